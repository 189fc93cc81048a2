"""Writes lightgbm.npz, the goldens of LightGBM's text models: python make_lightgbm.py OUT_DIR (lightgbm, numpy, pandas, scipy).

A case is a model file and rows with the library's answers. The values of a row are drawn from a pool that each feature
has: the model's own thresholds, the numbers next to them in f64 and in f32, what lies around the library's idea of
zero (1e-35), NaN, infinities, categories seen and never seen, and ordinary values. Keys, after `CASE/`:

model        the file's bytes
pool         (features, values) f64
rows64       (m, features) u8: where in the pool a value stands
rows32       (m, features) u8: the same, for rows that are rounded to f32 first
predict64, raw64, leaf64, predict32, raw32, leaf32   what the library answers; `raw` is left out where it is `predict`
contrib64    of the first rows of `rows64`, (m, outputs * (features + 1)); left out where the library refuses (linear trees)
sparse64     what `predict` answers for `rows64` as CSR without the zeros, where it was asked
"""
import pathlib
import sys

import lightgbm as lgb
import numpy as np
import pandas as pd
import scipy.sparse as sp

OUT = pathlib.Path(sys.argv[1])
FEATURES, TRAIN, ROWS, CONTRIB_ROWS, POOL = 6, 700, 100, 10, 120
goldens = {}


def seed_of(name):
    return sum(ord(c) * 31**i for i, c in enumerate(name)) % 2**32


def table(rng, nan=0.1, zeros=0.0, categorical=(), features=FEATURES, m=TRAIN):
    """Columns of several kinds: normal, halves (thresholds that f32 holds), small integers, heavy tails."""
    x = rng.normal(size=(m, features))
    x[:, 1] = rng.integers(-6, 7, m) / 2
    x[:, 2] = np.round(rng.normal(size=m), 2)
    x[:, 3] = rng.standard_t(2, m) * 100
    x[rng.random(x.shape) < zeros] = 0
    x[rng.random(x.shape) < nan] = np.nan
    for j, count in categorical:
        x[:, j] = rng.integers(0, count, m)
        x[rng.random(m) < nan, j] = np.nan
    return x


def score(rng, x, categorical=()):
    z = np.nan_to_num(x)
    s = z[:, 0] - np.abs(z[:, 1]) + z[:, 2] * (z[:, 0] > 0) + np.tanh(z[:, 3] / 100) + np.isnan(x[:, 4]) + 0.3 * np.sin(5 * z[:, 5])
    for j, count in categorical:
        s = s + rng.normal(size=count)[z[:, j].astype(int)] * 2 - z[:, j] / count
    return s + rng.normal(size=len(x)) * 0.3


def pool(booster, x, categorical=(), size=POOL):
    """The values that rows are drawn from, feature by feature."""
    rng = np.random.default_rng(1)
    trees = booster.trees_to_dataframe()
    columns = []
    tiny = np.float64(np.float32(1e-35))
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, -1e-36, tiny, -tiny, np.nextafter(tiny, 1), -np.nextafter(tiny, 1),
               np.nextafter(tiny, 0), 1e300, -1e300, 5e-324, 3.4e38, -3.4e38, 1e-34]
    counts = dict(categorical)
    for j, name in enumerate(booster.feature_name()):
        if j in counts:
            edges = [-1, -0.5, -1e-40, 0, 0.5, 0.999, 1.5, 31, 31.5, 32, 33, 63, 64, 65, counts[j], counts[j] + 0.5, 1000, 65536, 2.0**31 - 1,
                     2.0**31, 2.0**32 + 1, 1e10, -1e10, -(2.0**31), np.nan, np.inf, -np.inf]
            values = np.concatenate([edges, rng.permutation(counts[j])[: size - len(edges)]])
        else:
            used = trees[(trees.split_feature == name) & (trees.decision_type == "<=")].threshold.astype(float).unique()
            used = np.sort(rng.permutation(used)[: (size - len(special)) // 8])
            with np.errstate(over="ignore"):
                low = used.astype(np.float32)
            around = [used, np.nextafter(used, np.inf), np.nextafter(used, -np.inf), low, np.nextafter(low, np.float32(np.inf)), np.nextafter(low, np.float32(-np.inf))]
            around = np.unique(np.concatenate(around).astype(np.float64))
            values = np.concatenate([special, around, rng.choice(x[:, j], size - len(special) - len(around)).astype(np.float32)])
        columns.append(values[:size] if len(values) >= size else np.pad(values, (0, size - len(values)), mode="wrap"))
    return np.array(columns)


def case(name, model, x, categorical=(), rows=ROWS, contrib=CONTRIB_ROWS, size=POOL, sparse=False, linear=False):
    booster = model
    rng = np.random.default_rng(seed_of(name))
    values = pool(booster, x, categorical, size)
    features = booster.num_feature()
    save = lambda key, value: goldens.__setitem__(f"{name}/{key}", value)
    (OUT / "lightgbm.txt").unlink(missing_ok=True)
    booster.save_model(OUT / "lightgbm.txt")
    content = (OUT / "lightgbm.txt").read_bytes()
    (OUT / "lightgbm.txt").unlink()
    # What the file says counts, not what the trained object holds besides.
    booster = lgb.Booster(model_str=content.decode())
    save("model", np.frombuffer(content, np.uint8))
    save("pool", values)
    for bits, dtype in [("64", np.float64), ("32", np.float32)]:
        at = rng.integers(0, values.shape[1], (rows, features)).astype(np.uint8)
        with np.errstate(over="ignore"):
            x = values[np.arange(features), at].astype(dtype)
        save("rows" + bits, at)
        predict, raw = booster.predict(x), booster.predict(x, raw_score=True)
        save("predict" + bits, predict)
        if not np.array_equal(predict, raw):
            save("raw" + bits, raw)
        save("leaf" + bits, booster.predict(x, pred_leaf=True).astype(np.uint16))
        if bits == "64":
            if contrib and not linear:
                save("contrib64", booster.predict(x[:contrib], pred_contrib=True))
            if sparse:
                save("sparse64", booster.predict(sp.csr_matrix(x)))
    print(f"{name}: {booster.num_trees()} trees, {len(content)} bytes")


BASE = dict(verbose=-1, num_leaves=8, min_data_in_leaf=5, learning_rate=0.3, num_threads=1, deterministic=True, seed=3)


def train(params, x, y, rounds=6, categorical=(), **data):
    columns = [j for j, _ in categorical]
    dataset = lgb.Dataset(x, y, categorical_feature=columns or "auto", free_raw_data=False, **data)
    return lgb.train({**BASE, **params}, dataset, rounds)


def simple(name, params, kind="value", rounds=6, nan=0.1, zeros=0.0, categorical=(), features=FEATURES, **options):
    rng = np.random.default_rng(seed_of(name))
    x = table(rng, nan, zeros, categorical, features)
    s = score(rng, x, categorical)
    y = {"value": s, "positive": np.exp(s / 3), "binary": (s > 0) * 1.0, "share": 1 / (1 + np.exp(-s)),
         "grade": np.digitize(s, np.quantile(s, [0.3, 0.6, 0.9])) * 1.0}[kind]
    data = dict(group=[35] * (TRAIN // 35)) if params.get("objective") in ("lambdarank", "rank_xendcg") else {}
    model = train(params, x, y, rounds, categorical, **data)
    case(name, model, x, categorical, linear=params.get("linear_tree", False), **options)
    return model, x, y


# Every objective and its transform.
for objective in ["regression", "regression_l1", "huber", "fair", "quantile", "mape"]:
    simple(objective, dict(objective=objective))
for objective in ["poisson", "gamma", "tweedie"]:
    simple(objective, dict(objective=objective), "positive")
simple("reg_sqrt", dict(objective="regression", reg_sqrt=True))
simple("reg_sqrt_l1", dict(objective="regression_l1", reg_sqrt=True))
simple("binary", dict(objective="binary"), "binary", sparse=True)
simple("binary_sigmoid", dict(objective="binary", sigmoid=0.7, is_unbalance=True), "binary")
simple("multiclass", dict(objective="multiclass", num_class=4), "grade", rounds=4)
simple("multiclassova", dict(objective="multiclassova", num_class=4, sigmoid=1.5), "grade", rounds=4)
for objective in ["cross_entropy", "cross_entropy_lambda"]:
    simple(objective, dict(objective=objective), "share")
for objective in ["lambdarank", "rank_xendcg"]:
    simple(objective, dict(objective=objective), "grade")

# Objectives of the user's own leave no name in the file.
def squared(prediction, data):
    return prediction - data.get_label(), np.ones_like(prediction)


def squared3(prediction, data):
    label = data.get_label()[:, None] == np.arange(3)
    return prediction - label, np.ones_like(prediction)


simple("custom", dict(objective=squared))
simple("custom_multi", dict(objective=squared3, num_class=3), "binary", rounds=3)

# Missing values.
simple("missing_none", dict(objective="regression"), nan=0.0)
simple("missing_unused", dict(objective="regression", use_missing=False), nan=0.2)
simple("missing_zero", dict(objective="regression", zero_as_missing=True), zeros=0.3, rounds=10, sparse=True)
simple("missing_zero_binary", dict(objective="binary", zero_as_missing=True, num_leaves=20), "binary", zeros=0.2, nan=0.0)

# Categories.
cats = [(2, 100), (4, 5)]
often = dict(min_data_per_group=5, cat_smooth=1.0)
simple("categorical", dict(objective="regression", max_cat_to_onehot=2, **often), categorical=cats, sparse=True)
simple("categorical_onehot", dict(objective="binary", max_cat_to_onehot=200, **often), "binary", categorical=cats)
simple("categorical_zero", dict(objective="multiclass", num_class=4, zero_as_missing=True, **often), "grade", rounds=3, zeros=0.2, categorical=cats)
simple("categorical_only", dict(objective="regression", **often), categorical=[(j, 12 + 20 * j) for j in range(FEATURES)], nan=0.05)
simple("categorical_deep", dict(objective="regression", num_leaves=90, min_data_in_leaf=2, **often), categorical=cats, rounds=2)

# Linear leaves.
simple("linear", dict(objective="regression", linear_tree=True))
simple("linear_binary_categorical", dict(objective="binary", linear_tree=True, **often), "binary", categorical=cats)
simple("linear_multiclass", dict(objective="multiclass", num_class=4, linear_tree=True), "grade", rounds=3)

# Boosting.
simple("dart", dict(objective="binary", boosting="dart", drop_rate=0.5), "binary", rounds=10)
simple("dart_linear", dict(objective="regression", boosting="dart", drop_rate=0.5, linear_tree=True))
forest = dict(boosting="rf", bagging_freq=1, bagging_fraction=0.6)
simple("rf", dict(objective="regression", **forest))
simple("rf_binary", dict(objective="binary", num_leaves=31, **forest), "binary", rounds=7)
simple("rf_multiclass", dict(objective="multiclass", num_class=4, **forest), "grade", rounds=3)
simple("goss", dict(objective="poisson", data_sample_strategy="goss"), "positive")

# Shapes of trees.
simple("deep", dict(objective="regression", num_leaves=255, min_data_in_leaf=1), rounds=2, rows=40)
simple("chain", dict(objective="regression", num_leaves=60, min_data_in_leaf=1, extra_trees=True, max_bin=500), rounds=3, nan=0.0)
simple("stumps", dict(objective="binary", num_leaves=2), "binary", rounds=12)
simple("wide", dict(objective="regression", num_leaves=16), features=300, rows=24, contrib=1, size=32)
simple("monotone", dict(objective="regression", monotone_constraints=[1, -1, 0, 0, 0, 0]))

rng = np.random.default_rng(5)
x = table(rng)
case("one_leaf", train(dict(objective="binary", min_data_in_leaf=400), x, (rng.random(TRAIN) < 0.3) * 1.0, 3), x)
case("one_leaf_linear", train(dict(objective="regression", min_data_in_leaf=400, linear_tree=True), x, rng.normal(size=TRAIN), 3), x, linear=True)
case("one_leaf_rf", train(dict(objective="regression", min_data_in_leaf=400, **forest), x, rng.normal(size=TRAIN), 3), x)

# What was trained on with other rules for missing values: one feature is asked in two ways.
x = table(rng, zeros=0.3)
y = score(rng, x)
first = train(dict(objective="regression", zero_as_missing=True), x, y, 3)
second = lgb.train({**BASE, "objective": "regression"}, lgb.Dataset(x, y), 3, init_model=first)
case("missing_mixed", second, x)

# The library reads linear leaves below any missing type, but trains them without zero as missing: bits 2 and 3 of the
# decisions say which, 8 for NaN and 4 for zero.
linear = train(dict(objective="regression", linear_tree=True), x, y, 5).model_to_string()
as_zero = lambda line: "decision_type=" + " ".join(str(int(v) ^ 12 if int(v) & 8 else v) for v in line.split("=")[1].split())
lines = [as_zero(line) if line.startswith("decision_type=") else line for line in linear.split("\n")]
case("linear_zero", lgb.Booster(model_str="\n".join(line for line in lines if not line.startswith("tree_sizes="))), x, linear=True)

# The best iteration: the file holds the trees up to it.
x, other = table(rng), table(rng)
y, valid = score(rng, x), lgb.Dataset(other, score(rng, other))
stopped = lgb.train({**BASE, "objective": "regression", "learning_rate": 0.8}, lgb.Dataset(x, y), 60, valid_sets=[valid], callbacks=[lgb.early_stopping(3, verbose=False)],
                    keep_training_booster=True)
assert 0 < stopped.best_iteration < stopped.current_iteration()
case("best_iteration", stopped, x)

# Data frames: names, and categories that are text, numbers, truth values and in an order of their own.
frame = pd.DataFrame({
    "größe in_m": rng.normal(size=TRAIN),
    "plan": pd.Categorical(rng.choice(["free", "pro", "team", "très cher"], TRAIN)),
    "floor": pd.Categorical(rng.choice([10, 20, 30, 45], TRAIN)),
    "paid": pd.Categorical(rng.choice([True, False], TRAIN)),
    "age": rng.integers(18, 90, TRAIN),
})
y = frame["größe in_m"] + frame["plan"].cat.codes * (frame["paid"] == True) - frame["floor"].cat.codes  # noqa: E712
model = lgb.train({**BASE, "objective": "regression", **often}, lgb.Dataset(frame, y), 6)
codes = frame.assign(**{c: frame[c].cat.codes for c in ["plan", "floor", "paid"]}).to_numpy(float)
case("pandas", model, codes, [(1, 4), (2, 4), (3, 2)])
sample = frame.iloc[:40].copy()
sample["plan"] = sample["plan"].cat.add_categories(["new"])
sample.loc[sample.index[:3], "plan"] = "new"
sample.loc[sample.index[3:6], "plan"] = np.nan
goldens["pandas/frame_plan"] = sample["plan"].astype(object).fillna("").to_numpy().astype(str)
goldens["pandas/frame_floor"] = sample["floor"].astype(str).to_numpy().astype(str)
goldens["pandas/frame_paid"] = sample["paid"].astype(str).to_numpy().astype(str)
goldens["pandas/frame_numbers"] = sample[["größe in_m", "age"]].to_numpy(float)
goldens["pandas/frame_predict"] = model.predict(sample)
frame["floor"] = frame["floor"].cat.as_ordered()
model = lgb.train({**BASE, "objective": "regression", **often}, lgb.Dataset(frame, y), 6)
case("pandas_ordered", model, codes, [(1, 4), (3, 2)])

np.savez_compressed(OUT / "lightgbm.npz", **goldens)
size = (OUT / "lightgbm.npz").stat().st_size
rows = sum(len(v) for k, v in goldens.items() if "/rows" in k)
print(f"{sum(k.endswith('/model') for k in goldens)} cases, {rows} rows, {size} bytes")

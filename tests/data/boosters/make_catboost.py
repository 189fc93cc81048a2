"""Makes catboost.zip: CatBoost models as JSON, rows for each, and the library's own answers.

    python make_catboost.py

Needs catboost, numpy, pandas and scipy. A case NAME is two members: NAME.json, as `save_model(format="json", pool=...)`
wrote it (without white space and, but for two of them, what only the training needed), and NAME.npz:

| array | what |
|---|---|
| `in:x` | (m, n) float features; absent where the model has none |
| `in:categories` | (m, k) categorical features as text; absent where the model has none |
| `raw` | `predict(prediction_type="RawFormulaVal")` |
| `prediction` | what `predict` gives by default for a regressor or ranker, where that is not raw |
| `probabilities` | `predict(prediction_type="Probability")` of a classifier |
| `label` | `predict(prediction_type="Class")` of a classifier |
| `leaf` | `calc_leaf_indexes` |
| `contributions` | `get_feature_importance(type="ShapValues")` for the last rows; features in the order of the training data, then the expected value |
| `order` | the place of each column of `contributions` in [float features, categorical features] |

Half of the rows are drawn like the training data; the others sit on borders of the model and one ulp beside them, or
are NaN, infinite, -0.0, zero, beyond f32, or of a category that was never seen.
"""

import io
import json
import pathlib
import tempfile
import zipfile

import catboost as cb
import numpy as np
import pandas as pd

# Where CatBoost leaves the model at hand; gone when the program ends.
SCRATCH = tempfile.TemporaryDirectory()
SAVED = str(pathlib.Path(SCRATCH.name) / "case.json")

ROWS, SHAP_ROWS = 72, 6
rng = np.random.default_rng(20261127)
np.seterr(over="ignore")


def floats(m, columns, nan):
    x = np.round(rng.normal(size=(m, columns)), 3).astype(np.float32)
    if columns > 2:
        x[:, 2] = rng.integers(-2, 3, m)
    if nan:
        for j in range(0, columns, 2):
            x[rng.random(m) < 0.12, j] = np.nan
    return x


LONG = "a category whose name is long enough that every branch of the hash function is taken by one or another of its values"


def categories(m):
    """Low, middling and high cardinality; integers as text; texts of every length from 0 to 120, beyond ASCII too."""
    high = np.array([f"{LONG[: (7 * i) % 121]}{i}" if i % 3 else f"k{i}" for i in range(90)], dtype=object)
    high[0] = ""
    low = np.array(["red", "Zürich", "北京"], dtype=object)
    return np.stack(
        [
            rng.choice(low, m),
            rng.integers(0, 12, m).astype(str).astype(object),
            high[np.minimum(rng.geometric(0.04, m) - 1, 89)],
            rng.choice(np.array(["yes", "no"], dtype=object), m),
        ],
        axis=1,
    )


def signal(x, c):
    s = np.nan_to_num(x[:, 0]) + np.sign(np.nan_to_num(x[:, 1])) * np.nan_to_num(x[:, 2 % x.shape[1]])
    if c is not None:
        effect = {v: np.random.default_rng(abs(hash_of(v))).normal() for v in np.unique(c[:, 2].astype(str))}
        s = s + np.array([effect[v] for v in c[:, 2].astype(str)])
        s = s + (c[:, 0] == "red") * (c[:, 1].astype(int) % 3) + (c[:, 3] == "yes") * np.nan_to_num(x[:, 1])
    return s


def hash_of(text):
    return sum((i + 1) * b for i, b in enumerate(text.encode())) + 7


def adversarial(x, model):
    """Overwrites the second half of `x` with values on and beside the borders of the model, and with odd ones."""
    x = x.astype(np.float64)
    half = len(x) // 2
    for f in model["features_info"].get("float_features", []):
        j, borders = f["feature_index"], np.array(f["borders"], dtype=np.float32)
        odd = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e300, -1e300, 1e-300, 3.4e38, -3.4028234663852886e38])
        if len(borders):
            picked = rng.choice(borders, half)
            way = rng.integers(0, 4, half)
            values = np.where(way == 0, picked, np.where(way == 1, np.nextafter(picked, np.float32(np.inf)),
                              np.nextafter(picked, np.float32(-np.inf)))).astype(np.float64)
            # Between a border and the next f32: an f64 row rounds to one or the other first.
            between = picked.astype(np.float64) * (1 + rng.choice([-4e-8, -1e-8, 1e-8, 4e-8], half))
            values = np.where(way == 3, between, values)
        else:
            values = x[half:, j].copy()
        strange = rng.random(half) < 0.15
        values[strange] = rng.choice(odd, strange.sum())
        x[half:, j] = values
    return x


def unseen(c):
    c = c.copy()
    half = len(c) // 2
    for j in range(c.shape[1]):
        at = half + np.flatnonzero(rng.random(half) < 0.2)
        c[at, j] = rng.choice(np.array(["never seen", "", "RED", "red ", "00", "-1", LONG[::-1], "nan"], dtype=object), len(at))
    return c


def frame(x, c, order):
    """The training frame: float and categorical columns, interleaved as `order` says."""
    columns = {}
    for name in order:
        kind, j = name[0], int(name[1:])
        columns[name] = x[:, j] if kind == "f" else c[:, j]
    return pd.DataFrame(columns)


def squeeze(text):
    """JSON without the white space between tokens."""
    out, in_string, escaped = [], False, False
    for ch in text:
        if in_string:
            out.append(ch)
            in_string = not (ch == '"' and not escaped)
            escaped = ch == "\\" and not escaped
        elif not ch.isspace():
            out.append(ch)
            in_string = ch == '"'
    return "".join(out)


def trim(text, info):
    """The file without what only the training needed."""
    text = text.replace(f'"output_options":{json.dumps(info["output_options"])},', "")
    text = text.replace(f',"training":{json.dumps(info["training"])}', "")
    start = text.index('"params":{"boosting_options"')
    end = text.index('"train_finish_time"')
    kept = {key: info["params"][key] for key in ("cat_feature_params", "loss_function")}
    return f'{text[:start]}"params":{json.dumps(kept, separators=(",", ":"))},{text[end:]}'


archive = zipfile.ZipFile("catboost.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9)
total = 0


def add(name, data):
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def case(name, loss, target, *, kind="regressor", train=500, columns=4, nan=True, cats=False, names=True, f32=False,
         groups=False, after=None, rewrite=None, **params):
    """Trains, saves, asks. `target(signal)` is the label; `after(model)` changes the model before it is saved."""
    global total
    x = floats(train, columns, nan)
    c = categories(train) if cats else None
    y = target(signal(x, c))
    order = [f"f{j}" for j in range(columns)]
    if cats:
        order = ["f0", "c0", "c1"] + [f"f{j}" for j in range(1, columns)] + ["c2", "c3"]
    text = [n for n in order if n[0] == "c"]
    options = dict(iterations=6, depth=4, learning_rate=0.3, random_seed=7, thread_count=2, verbose=0,
                   allow_writing_files=False, loss_function=loss)
    options.update(params)
    group = np.sort(rng.integers(0, train // 10, train)) if groups else None
    data = frame(x, c, order) if names else x
    pool = cb.Pool(data, y, cat_features=text or None, group_id=group)
    model = {"regressor": cb.CatBoostRegressor, "classifier": cb.CatBoostClassifier, "ranker": cb.CatBoostRanker}[kind](**options)
    model.fit(pool)
    if after:
        after(model)
    model.save_model(SAVED, format="json", pool=pool if names else None)
    whole = squeeze(pathlib.Path(SAVED).read_text())
    document = json.loads(whole)
    if not name.endswith("default"):
        whole = trim(whole, document["model_info"])
    if rewrite:
        whole = rewrite(whole)
        json.loads(whole)
        pathlib.Path(SAVED).write_text(whole)
        model = cb.CatBoost()
        model.load_model(SAVED, format="json")
    xt = adversarial(floats(ROWS, columns, nan), document)
    if f32:
        xt = xt.astype(np.float32)
    ct = unseen(categories(ROWS)) if cats else None
    rows = frame(xt, ct, order) if names else xt
    ask = cb.Pool(rows, cat_features=text or None)
    arrays = {"in:x": xt}
    if cats:
        arrays["in:categories"] = ct.astype(str)
    arrays["raw"] = cb.CatBoost.predict(model, ask, prediction_type="RawFormulaVal")
    if kind == "classifier":
        arrays["probabilities"] = np.asarray(model.predict(ask, prediction_type="Probability"))
        label = np.asarray(model.predict(ask, prediction_type="Class"))
        arrays["label"] = label.astype(str) if label.dtype == object else label
    else:
        prediction = model.predict(ask)
        if not np.array_equal(prediction, arrays["raw"]):
            arrays["prediction"] = prediction
    again = cb.CatBoost()
    again.load_model(SAVED, format="json")
    # `load_model` cuts sums of the target down to whole numbers, and what is refused is not in the file.
    if not name.startswith("refused") and "TargetMeanValue" not in whole:
        assert np.allclose(again.predict(ask, prediction_type="RawFormulaVal"), arrays["raw"], rtol=1e-13, atol=1e-13), name
    # The file numbers the leaves of trees of other shapes anew, and gives them other weights than the model has.
    same = model if "oblivious_trees" in document else again
    leaf = same.calc_leaf_indexes(ask)
    arrays["leaf"] = leaf.astype(np.uint8 if leaf.max(initial=0) < 256 else np.uint16)
    first = cb.Pool(frame(xt[-SHAP_ROWS:], None if ct is None else ct[-SHAP_ROWS:], order) if names else xt[-SHAP_ROWS:], cat_features=text or None)
    try:
        arrays["contributions"] = same.get_feature_importance(first, type="ShapValues")
        flat = [f"f{j}" for j in range(columns)] + [f"c{j}" for j in range(4 if cats else 0)]
        arrays["order"] = np.array([flat.index(n) for n in order], dtype=np.int32)
    except cb.CatBoostError as error:
        print(f"  {name}: no contributions: {error}")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    add(f"{name}.json", whole)
    add(f"{name}.npz", buffer.getvalue())
    total += ROWS
    types = sorted({t["ctr_type"] for t in document["features_info"].get("ctrs", [])})
    complexity = max((len(t["elements"]) for t in document["features_info"].get("ctrs", [])), default=0)
    print(f"{name}: {len(whole) >> 10} kB, {model.tree_count_} trees, ctrs {types}, complexity {complexity}")


identity = lambda s: s
binary = lambda s: (s > 0.3).astype(int)
words = lambda s: np.where(s > 0.3, "good", "bad")
three = lambda s: np.array(["low", "mid", "top"])[np.digitize(s, [-0.5, 0.8])]
ints = lambda s: np.array([10, 3, 7, -2])[np.digitize(s, [-1, 0, 1])]
positive = lambda s: np.exp(s / 3)
counts = lambda s: rng.poisson(np.exp(np.clip(s, -3, 3) / 2))
several = lambda s: np.stack([s, -s + rng.normal(size=len(s)), np.abs(s)], axis=1)
flags = lambda s: np.stack([s > 0, s > 1, rng.random(len(s)) > 0.5], axis=1).astype(int)
grades = lambda s: np.digitize(s, [-1, 0, 1]).astype(float)

# Losses, without categories, over the grow policies.
case("logloss", "Logloss", binary, kind="classifier", depth=6, iterations=10, f32=True)
case("logloss_unnamed", "Logloss", binary, kind="classifier", names=False)
case("logloss_words", "Logloss", words, kind="classifier", grow_policy="Depthwise", iterations=3)
case("logloss_floats", "Logloss", lambda s: np.where(s > 0, 1.5, 0.25), kind="classifier")
case("logloss_bools", "Logloss", lambda s: s > 0, kind="classifier")
case("threshold", "Logloss", binary, kind="classifier", after=lambda m: m.set_probability_threshold(0.8))
case("cross_entropy", "CrossEntropy", lambda s: 1 / (1 + np.exp(-s)), kind="classifier")
case("focal", "Focal:focal_alpha=0.4;focal_gamma=1.5", binary, kind="classifier")
case("multiclass", "MultiClass", three, kind="classifier", grow_policy="Lossguide", max_leaves=12)
case("multiclass_ints", "MultiClass", ints, kind="classifier", f32=True)
case("multiclass_absent", "MultiClass", lambda s: np.where(s > 0, 3, 1), kind="classifier", classes_count=5)
case("one_vs_all", "MultiClassOneVsAll", three, kind="classifier")
case("multi_logloss", "MultiLogloss", flags, kind="classifier")
case("multi_cross_entropy", "MultiCrossEntropy", lambda s: np.stack([1 / (1 + np.exp(-s)), 1 / (1 + np.exp(s))], 1), kind="classifier")
case("rmse", "RMSE", identity, iterations=20, depth=5)
case("rmse_depthwise", "RMSE", identity, grow_policy="Depthwise", depth=6, iterations=3)
case("rmse_lossguide", "RMSE", identity, grow_policy="Lossguide", max_leaves=40, depth=12, iterations=3)
case("rmse_deep", "RMSE", identity, depth=9, iterations=2)
case("rmse_stumps", "RMSE", identity, depth=1, iterations=20)
case("rmse_scaled", "RMSE", identity, after=lambda m: m.set_scale_and_bias(2.5, -1.25))
case("rmse_nan_max", "RMSE", identity, nan_mode="Max")
case("rmse_nan_max_lossguide", "RMSE", identity, nan_mode="Max", grow_policy="Lossguide")
case("rmse_nan_forbidden", "RMSE", identity, nan=False, nan_mode="Forbidden")
case("rmse_many_borders", "RMSE", identity, border_count=1000, train=2500, columns=2, iterations=24, feature_border_type="Uniform")
case("rmse_zero_trees", "RMSE", identity, after=lambda m: m.shrink(1), depth=2)
case("mae", "MAE", identity)
case("quantile", "Quantile:alpha=0.3", identity, grow_policy="Depthwise")
case("multi_quantile", "MultiQuantile:alpha=0.1,0.5,0.9", identity)
case("log_lin_quantile", "LogLinQuantile:alpha=0.6", positive)
case("poisson", "Poisson", counts, f32=True)
case("tweedie", "Tweedie:variance_power=1.4", counts)
case("mape", "MAPE", positive)
case("lq", "Lq:q=3", identity)
case("huber", "Huber:delta=0.7", identity)
case("expectile", "Expectile:alpha=0.7", identity)
case("log_cosh", "LogCosh", identity)
case("uncertainty", "RMSEWithUncertainty", identity)
case("multi_rmse", "MultiRMSE", several)
case("multi_rmse_missing", "MultiRMSEWithMissingValues", several)
case("survival_aft", "SurvivalAft:dist=Normal;scale=1.5", lambda s: np.stack([positive(s), positive(s) + (rng.random(len(s)) < 0.6)], 1))
case("cox", "Cox", lambda s: positive(s) * rng.choice([-1, 1], len(s)))
case("query_rmse", "QueryRMSE", grades, kind="ranker", groups=True)
case("query_softmax", "QuerySoftMax", grades, kind="ranker", groups=True)
case("yeti_rank", "YetiRank", grades, kind="ranker", groups=True)
case("pair_logit", "PairLogit", grades, kind="ranker", groups=True)
case("lambda_mart", "LambdaMart", grades, kind="ranker", groups=True)

# Categories: one-hot alone, then statistics of each type, alone and in combinations, with priors of their own.
every = dict(cats=True, one_hot_max_size=1, model_size_reg=0)
case("one_hot", "Logloss", words, kind="classifier", cats=True, one_hot_max_size=120, iterations=8)
case("one_hot_lossguide", "RMSE", identity, cats=True, one_hot_max_size=120, grow_policy="Lossguide", iterations=5)
case("ctr_default", "Logloss", words, kind="classifier", cats=True, iterations=10, depth=5)
case("ctr_default_rmse", "RMSE", identity, cats=True, iterations=10, f32=True)
case("ctr_multiclass", "MultiClass", three, kind="classifier", cats=True)
case("ctr_multi_rmse", "MultiRMSE", several, cats=True, simple_ctr=["Counter"], one_hot_max_size=4)
case("ctr_poisson", "Poisson", counts, cats=True)
case("ctr_ranker", "YetiRank", grades, kind="ranker", groups=True, cats=True)
for policy in ("SymmetricTree", "Depthwise", "Lossguide"):
    for complexity in (1, 3):
        case(f"ctr_{policy.lower()}_{complexity}", "RMSE", identity, cats=True, one_hot_max_size=3, max_ctr_complexity=complexity,
             grow_policy=policy, depth=4, iterations=5, model_size_reg=0, simple_ctr=["Borders:TargetBorderCount=3", "Counter"],
             combinations_ctr=["Borders:TargetBorderCount=2:Prior=0.25/1", "Counter:Prior=2/1"])
for ctr in ("Borders", "Buckets", "BinarizedTargetMeanValue"):
    for border_count in (1, 4):
        case(f"ctr_{ctr.lower()}_{border_count}", "RMSE", identity, max_ctr_complexity=2, depth=5, **every,
             simple_ctr=[f"{ctr}:TargetBorderCount={border_count}:CtrBorderCount=30:Prior=0/1:Prior=0.3/1"],
             combinations_ctr=[f"{ctr}:TargetBorderCount={border_count}:Prior=1/1"])
case("ctr_counter", "Logloss", words, kind="classifier", max_ctr_complexity=3, **every, counter_calc_method="Full",
     simple_ctr=["Counter:Prior=0/1:Prior=3/1"], combinations_ctr=["Counter:CtrBorderCount=40:Prior=0.5/1"])
case("ctr_all", "Logloss", words, kind="classifier", max_ctr_complexity=3, depth=5, iterations=5, **every,
     simple_ctr=["Borders", "Buckets", "Counter", "BinarizedTargetMeanValue"],
     combinations_ctr=["Borders", "Buckets", "Counter", "BinarizedTargetMeanValue"])
case("ctr_per_feature", "RMSE", identity, max_ctr_complexity=2, **every,
     per_feature_ctr=["1:Buckets:TargetBorderCount=2:Prior=0.7/1", "c2:Counter:Prior=1/1"][:1])
case("ctr_one_hot_parts", "Logloss", words, kind="classifier", cats=True, one_hot_max_size=4, max_ctr_complexity=3, depth=6,
     iterations=6, model_size_reg=0)
# Types that only training on a GPU gives, in tables that a CPU filled.
case("ctr_feature_freq", "RMSE", identity, max_ctr_complexity=2, **every, simple_ctr=["Counter:Prior=0.5/1"],
     combinations_ctr=["Counter:Prior=1/1"], rewrite=lambda t: t.replace("Counter", "FeatureFreq"))
case("ctr_float_target_mean", "RMSE", lambda s: np.round(s), max_ctr_complexity=2, **every,
     simple_ctr=["BinarizedTargetMeanValue:TargetBorderCount=1:Prior=0.5/1"], combinations_ctr=["BinarizedTargetMeanValue:Prior=1/1"],
     rewrite=lambda t: t.replace("BinarizedTargetMeanValue", "FloatTargetMeanValue"))
# Two tables of one type over other classes of the target: the file keeps one of them, so this one is refused.
case("refused_two_targets", "RMSE", identity, max_ctr_complexity=1, **every,
     simple_ctr=["Borders:TargetBorderCount=3", "Borders:TargetBorderCount=1"])
# The same for the columns of a target of several columns.
case("refused_multi_rmse", "MultiRMSE", several, cats=True)
case("refused_multi_logloss", "MultiLogloss", flags, kind="classifier", cats=True)
case("refused_survival_aft", "SurvivalAft:dist=Normal;scale=1.5", lambda s: np.stack([positive(s), positive(s) + (rng.random(len(s)) < 0.6)], 1), cats=True)

archive.close()
print(total, "rows")

"""Writes xgboost.npz: small XGBoost models of every kind with the library's own answers.

    python make_xgboost.py [VERSION=DIRECTORY...]      written with xgboost 3.2.0, numpy 2.4.6, pandas 3.1.1, scipy 1.17.1

Each VERSION=DIRECTORY names an older xgboost (`pip install --no-deps --target DIRECTORY xgboost==VERSION`), of which a few
models are added. For every CASE the archive holds

    CASE/model      the file, as bytes (JSON for every second case, else UBJSON)
    CASE/raw        margins of the rows x (or CASE/x where the case has its own)
    CASE/answer     what `predict` gives for the first 400 of them
    CASE/leaf       what `pred_leaf` gives for the first 60 finite ones, where there are trees
    CASE/shap       what `pred_contribs` gives for the same
    CASE/predicted  of dart: margins by `predict` of the rows x without infinities; its CASE/raw is predicted in place

Rows x: random ones, and ones put together from the thresholds of all models, each exactly, one ulp below and above, with
NaN, infinities, zeros of both signs and other extremes strewn in.
"""

import json
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
import scipy.sparse
import xgboost as xgb

ROWS, COLUMNS = 400, 5
rng = np.random.default_rng(20)


def training(missing):
    x = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    x[:, 3] = np.round(x[:, 3] * 2)
    x[:, 4] = np.abs(x[:, 4]) * (rng.random(ROWS) < 0.6)
    signal = x[:, 0] + np.abs(x[:, 1]) * x[:, 2] + 0.3 * x[:, 3] - np.sqrt(x[:, 4])
    if missing:
        x[rng.random(x.shape) < 0.15] = np.nan
    return x, signal


def label(objective, signal):
    noise = rng.normal(size=ROWS) * 0.3
    kind = objective.split(":")[0]
    if kind in ("binary", "rank") or objective == "reg:logistic":
        return (signal + noise > 0).astype(np.float32)
    if kind == "multi":
        return np.digitize(signal + noise, [-0.5, 0.7]).astype(np.float32)
    if kind == "count":
        return rng.poisson(np.exp(np.clip(signal, -2, 2))).astype(np.float32)
    if objective in ("reg:gamma", "reg:tweedie", "reg:squaredlogerror") or kind == "survival":
        return np.exp(np.clip(signal, -2, 2) + noise).astype(np.float32)
    return (signal + noise).astype(np.float32)


OBJECTIVES = """reg:squarederror reg:squaredlogerror reg:logistic reg:pseudohubererror reg:absoluteerror reg:gamma
reg:tweedie reg:quantileerror count:poisson binary:logistic binary:logitraw binary:hinge multi:softprob multi:softmax
rank:ndcg rank:pairwise rank:map survival:cox survival:aft""".split()

models = {}  # name -> (booster, features taken from x)


def train(name, params, rounds=6, missing=True, **more):
    x, signal = training(missing)
    objective = params.get("objective", "reg:squarederror")
    y = more.pop("label", None)
    y = label(objective, signal) if y is None else y(signal)
    d = xgb.DMatrix(x, label=y, feature_names=more.pop("feature_names", None))
    if objective.startswith("rank"):
        d.set_group([40] * (ROWS // 40))
    if objective == "survival:aft":
        d.set_float_info("label_lower_bound", y)
        d.set_float_info("label_upper_bound", y * 1.2)
    if objective.startswith("multi"):
        params["num_class"] = 3
    params.setdefault("max_depth", 3)
    params["seed"] = 1
    if "early" in more:
        params["eta"] = 1.0
        split = xgb.DMatrix(x[300:], label=y[300:])
        models[name] = xgb.train(
            params, xgb.DMatrix(x[:300], label=y[:300]), 40, evals=[(split, "v")], early_stopping_rounds=3, verbose_eval=False
        )
        return
    models[name] = xgb.train(params, d, rounds, **more)


for objective in OBJECTIVES:
    params = {"objective": objective}
    if objective == "reg:quantileerror":
        params["quantile_alpha"] = 0.7
    if objective == "survival:aft":
        params["aft_loss_distribution"] = "normal"
    train(objective.replace(":", "_"), params, missing=len(models) % 2 == 0)

for objective in ["binary:logistic", "count:poisson", "reg:gamma", "survival:aft", "binary:hinge", "binary:logitraw", "multi:softprob"]:
    train("base_" + objective.split(":")[1], {"objective": objective, "base_score": 0.3}, rounds=2)
train("dart", {"booster": "dart", "rate_drop": 0.5, "skip_drop": 0.1}, rounds=8)
train("dart_multi", {"booster": "dart", "rate_drop": 0.4, "normalize_type": "forest", "objective": "multi:softprob"})
train("linear", {"booster": "gblinear"})
train("linear_logistic", {"booster": "gblinear", "objective": "binary:logistic"})
train("linear_multi", {"booster": "gblinear", "objective": "multi:softprob"})
train("parallel", {"num_parallel_tree": 3, "subsample": 0.7, "objective": "multi:softprob"}, rounds=2)
train("deep", {"max_depth": 12, "min_child_weight": 0.1}, rounds=4)
train("lossguide", {"grow_policy": "lossguide", "max_leaves": 40, "max_depth": 0, "tree_method": "hist"}, rounds=4)
train("stump", {"max_depth": 1}, rounds=10, feature_names=["a", "b", "c d", "ü", "e"])
train("early", {}, early=True)
train("early_multi", {"objective": "multi:softprob", "num_parallel_tree": 2}, early=True)
targets = lambda s: np.stack([s, -s + rng.normal(size=ROWS), s * s], axis=1).astype(np.float32)
train("targets", {}, rounds=3, label=targets)
train("vectors", {"multi_strategy": "multi_output_tree", "tree_method": "hist"}, rounds=3, label=targets)
train("labels", {"objective": "binary:logistic"}, rounds=3, label=lambda s: (targets(s) > 0).astype(np.float32))
train("quantiles", {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, rounds=3)
train("one_leaf", {"gamma": 1e9}, rounds=2)

out = {}
EXTREMES = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 1e-35, 16777216.0], np.float32)


def thresholds(boosters, columns):
    found = [[] for _ in range(columns)]
    for booster in boosters:
        gradient = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
        for tree in gradient.get("gbtree", gradient)["model"].get("trees", []):
            inner = np.array(tree["left_children"]) != -1
            features, values = np.array(tree["split_indices"])[inner], np.array(tree["split_conditions"], np.float32)[inner]
            for i in range(columns):
                found[i].append(values[features == i])
    return [np.unique(np.concatenate(f)) if f else np.zeros(1, np.float32) for f in found]


def adversarial(boosters, rows, columns):
    x = np.empty((rows, columns), np.float32)
    for j, values in enumerate(thresholds(boosters, columns)):
        values = values if len(values) else np.zeros(1, np.float32)
        values = np.concatenate([values, np.nextafter(values, np.float32(-np.inf)), np.nextafter(values, np.float32(np.inf))])
        x[:, j] = rng.choice(values, rows)
    strewn = rng.random(x.shape) < 0.08
    x[strewn] = rng.choice(EXTREMES, strewn.sum())
    return x


plain, _ = training(True)
x = np.concatenate([plain, adversarial(models.values(), 1400, COLUMNS)])
out["x"] = x
finite = np.flatnonzero(~np.isinf(x).any(axis=1))
finite = np.concatenate([finite[:30], finite[-30:]])
out["finite"] = finite.astype(np.int32)


def save(name, booster, kind):
    with tempfile.NamedTemporaryFile(suffix=kind) as file:
        booster.save_model(file.name)
        out[f"{name}/model"] = np.frombuffer(open(file.name, "rb").read(), np.uint8)


def whole(booster):
    """The trees that the scikit-learn interface scores: those up to the best iteration."""
    best = booster.attributes().get("best_iteration")
    return (0, 0) if best is None else (0, int(best) + 1)


for i, (name, booster) in enumerate(models.items()):
    save(name, booster, ".json" if i % 2 else ".ubj")
    linear = name.startswith("linear")
    trees = {} if linear else {"iteration_range": whole(booster)}
    if linear:
        # The library refuses infinities wherever it cannot predict in place.
        known = ~np.isinf(x).any(axis=1)
        d = xgb.DMatrix(x[known])
        raw = booster.predict(d, output_margin=True)
        answer = booster.predict(d)
        full = lambda a: np.full((len(x),) + a.shape[1:], np.nan, np.float32)
        both = full(raw), full(answer)
        both[0][known], both[1][known] = raw, answer
        raw, answer = both
    else:
        booster.set_param({"nthread": 1})
        raw = booster.inplace_predict(x, predict_type="margin", validate_features=False, **trees)
        answer = booster.inplace_predict(x, validate_features=False, **trees)
    d = xgb.DMatrix(x[finite], feature_names=booster.feature_names)
    if not linear:
        out[f"{name}/leaf"] = booster.predict(d, pred_leaf=True, **trees).astype(np.int32).reshape(len(finite), -1)
    try:
        out[f"{name}/shap"] = booster.predict(d, pred_contribs=True, **trees)
    except xgb.core.XGBoostError as e:
        print(name, str(e).split("\n")[0])
    out[f"{name}/raw"] = raw.astype(np.float32)
    out[f"{name}/answer"] = answer[:400].astype(np.float32)

# In place, the library adds up dart's trees otherwise than `predict` does, which takes no infinities.
known = ~np.isinf(x).any(axis=1)
for name in ("dart", "dart_multi"):
    out[f"{name}/predicted"] = models[name].predict(xgb.DMatrix(x[known]), output_margin=True)

# Rows of f64 between two f32s.
wide = x[:300].astype(np.float64) * (1 + rng.normal(size=(300, COLUMNS)) * 1e-8)
out["wide"] = wide
out["reg_squarederror/wide"] = models["reg_squarederror"].inplace_predict(wide, predict_type="margin")

# Sparse rows: what is absent is missing, and a stored zero is not.
sparse = rng.normal(size=(200, COLUMNS)).astype(np.float32)
sparse[rng.random(sparse.shape) < 0.3] = 0.0
kept = rng.random(sparse.shape) < 0.4
rows, columns = np.nonzero(kept)
csr = scipy.sparse.csr_matrix((sparse[kept], (rows, columns)), shape=sparse.shape)
out["csr/offsets"], out["csr/columns"] = csr.indptr.astype(np.int64), csr.indices.astype(np.int32)
out["csr/values"] = csr.data
for name in ["binary_logistic", "multi_softprob", "linear", "dart"]:
    out[f"{name}/sparse"] = models[name].predict(xgb.DMatrix(csr), output_margin=True)

# Categories: one-hot and partitioned splits; as text, and as codes that never were.
colours = [f"c{i}" for i in range(12)] + ["a b", "z"]
sizes = [10, 20, 30, 40]


def frame(rows):
    return pd.DataFrame({
        "number": rng.normal(size=rows).astype(np.float32),
        "colour": pd.Categorical(rng.choice(colours, rows), categories=colours),
        "size": pd.Categorical(rng.choice(sizes, rows), categories=sizes),
    })


def codes(frame):
    return np.stack([frame.number, frame.colour.cat.codes, frame["size"].cat.codes], axis=1).astype(np.float32)


for name, one_hot in [("categories_one_hot", 100), ("categories_sets", 1), ("categories_mixed", 6)]:
    data = frame(ROWS)
    data.loc[rng.random(ROWS) < 0.1, "colour"] = None
    y = data.number + data.colour.cat.codes % 5 + data["size"].cat.codes * 0.5
    d = xgb.DMatrix(data, label=y, enable_categorical=True)
    booster = xgb.train({"tree_method": "hist", "max_cat_to_onehot": one_hot, "max_depth": 5, "seed": 1}, d, 6)
    save(name, booster, ".json" if one_hot == 6 else ".ubj")
    asked = frame(300)
    asked.loc[rng.random(300) < 0.1, "colour"] = None
    text = asked.astype(object).where(asked.notna(), None)
    out[f"{name}/text"] = np.array([["" if v is None else str(v) for v in row] for row in text.to_numpy()], "U16")
    out[f"{name}/of_text"] = booster.predict(xgb.DMatrix(asked, enable_categorical=True), output_margin=True)
    x = codes(asked)
    x[x < 0] = np.nan
    x[:, 0] = asked.number
    odd = np.array([-1, -0.5, -0.0, 0.5, 2.7, 11.99, 12, 13, 14, 31, 32, 33, 64, 1e3, 16777215, 16777216, 1e10, np.inf, -np.inf, np.nan], np.float32)
    for j in (1, 2):
        strewn = rng.random(300) < 0.4
        x[strewn, j] = rng.choice(odd, strewn.sum())
    out[f"{name}/x"] = x
    types = booster.feature_types
    out[f"{name}/raw"] = booster.inplace_predict(x, predict_type="margin", validate_features=False)
    keep = np.flatnonzero(~np.isinf(x).any(axis=1) & (x[:, 1:] < 1e6).all(axis=1) & (np.nan_to_num(x[:, 1:]) >= 0).all(axis=1))[:40]
    d = xgb.DMatrix(x[keep], feature_names=booster.feature_names, feature_types=types)
    out[f"{name}/keep"] = keep.astype(np.int32)
    out[f"{name}/shap"] = booster.predict(d, pred_contribs=True)

# Older versions, each in a process of its own.
OLD = """
import sys, numpy as np
sys.path.insert(0, sys.argv[1])
for name in ("bool", "int", "float", "object"):
    np.__dict__.get(name) or setattr(np, name, getattr(__builtins__, name))
import xgboost as xgb
data = np.load(sys.argv[2])
d = xgb.DMatrix(data["x"], label=data["y"])
ask = xgb.DMatrix(data["asked"])
done = {}
for name, params in (("squared", {"objective": "reg:squarederror"}), ("logistic", {"objective": "binary:logistic", "base_score": 0.3}),
        ("raw", {"objective": "binary:logitraw", "base_score": 0.3}), ("multi", {"objective": "multi:softprob", "num_class": 2}),
        ("poisson", {"objective": "count:poisson"}), ("hinge", {"objective": "binary:hinge"}),
        ("dart", {"booster": "dart", "rate_drop": 0.5}), ("linear", {"booster": "gblinear"})):
    booster = xgb.train(dict(params, max_depth=3, verbosity=0), d, 4)
    booster.save_model("model.json")
    done[name + "/model"] = np.frombuffer(open("model.json", "rb").read(), np.uint8)
    done[name + "/raw"] = booster.predict(ask, output_margin=True)
    done[name + "/answer"] = booster.predict(ask)
np.savez("done.npz", **done)
"""
x, signal = training(True)
asked = out["x"][np.flatnonzero(~np.isinf(out["x"]).any(axis=1))[-200:]]
out["old/x"] = asked
for version, directory in (argument.split("=") for argument in sys.argv[1:]):
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/data.npz", x=x, y=(signal > 0).astype(np.float32), asked=asked)
        subprocess.run([sys.executable, "-c", OLD, directory, f"{folder}/data.npz"], cwd=folder, check=True)
        with np.load(f"{folder}/done.npz") as done:
            out.update({f"old/{version}/{name}": done[name] for name in done})

np.savez_compressed("xgboost.npz", **out)

"""Fit and export what is measured, and write every input pool in one plain form.

usage: export.py OUT [--zoo DIR] [--nets DIR] [--minilm DIR] [--groups linear,digits,zoo,trees,nets,large]

OUT/cases.json lists the cases. Each has a model file and its inputs: numbers as raw little-endian bytes,
strings as a JSON list, row-major, rows along the first axis. OUT/NAME.pkl says to python_peer.py how the library
that fitted the model answers, where it is timed; OUT/NAME.lleaves.pkl the same of lleaves. A batch of 0 stands for
loading the model.
"""

import argparse
import json
import pathlib
import pickle

import numpy as np
import onnx
import pandas as pd

import large

DIGITS_ROWS = 20_000
ZOO_ROWS = 4_000  # four windows of 1000; the table's rows repeat, out of step with the windows
ZOO_BATCH = 1_000
NETS_BATCHES = [1, 32]
TREE_FEATURES = 28
TREE_ROWS = 40_000
TREE_BATCHES = [1, 100, 10_000, 0]
MANY_ROWS = [10_000]
KINDS = {
    onnx.TensorProto.FLOAT: ("f32", np.float32),
    onnx.TensorProto.DOUBLE: ("f64", np.float64),
    onnx.TensorProto.INT64: ("i64", np.int64),
    onnx.TensorProto.STRING: ("str", str),
}


def write_case(out, name, group, batches, model_path, columns, estimator=None, onnx_path=None, peers=None):
    """`columns`: one (input name, kind, array (rows, ...)) per model input, in the model's order. `peers`: by key of the
    case, what python_peer.py is to load and from which file."""
    inputs = []
    for i, (input_name, kind, array) in enumerate(columns):
        file = out / f"{name}.{i}.{kind}"
        if kind == "str":
            file.write_text(json.dumps(array.ravel().tolist()))
        else:
            np.ascontiguousarray(array).tofile(file)
        inputs.append({"name": input_name, "kind": kind, "shape": list(array.shape), "file": str(file)})
    pickles = {}
    if estimator:
        pickles["fitted"] = {"estimator": estimator[0], "method": estimator[1]}
    for key, (load, file) in (peers or {}).items():
        pickles[key] = {"load": load, "file": str(file)}
    for key, peer in pickles.items():
        path = out / f"{name}.{key}.pkl"
        with open(path, "wb") as f:
            pickle.dump({**peer, "pool": columns[0][2]}, f)
        pickles[key] = str(path)
    return {
        "name": name,
        "group": group,
        "batches": batches,
        "model": str(model_path),
        "inputs": inputs,
        "onnx": str(onnx_path or model_path),
        **pickles,
    }


def digits_pool(pixels):
    """Distinct rows: digits drawn with replacement, each pixel moved by less than half a grey level."""
    rng = np.random.default_rng(7)
    rows = pixels[rng.integers(0, len(pixels), DIGITS_ROWS)]
    return np.clip(rows + rng.uniform(-0.5, 0.5, rows.shape), 0, 16).astype(np.float32)


def fitted(out, groups):
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels.astype(np.float32)
    pool = digits_pool(pixels)
    wanted = {
        "linear": (LinearRegression(), "predict", [1], {}),
        "digits": (
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
            "predict_proba",
            [1, 100, 10_000],
            {"zipmap": False},
        ),
    }
    for name, (estimator, method, batches, options) in wanted.items():
        if name not in groups:
            continue
        estimator.fit(pixels, labels)
        options = {id(estimator): options} if options else None
        path = out / f"{name}.onnx"
        path.write_bytes(to_onnx(estimator, pixels[:1], options=options).SerializeToString())
        yield write_case(out, name, name, batches, path, [("X", "f32", pool)], (estimator, method))


def tiled(array):
    return np.resize(array, (ZOO_ROWS, *array.shape[1:]))


def zoo_columns(path):
    """The inputs of one zoo model: from NAME.csv where there is one (strings), else from NAME.npz."""
    graph = onnx.load(path, load_external_data=False).graph
    constants = {t.name for t in graph.initializer}
    specs = [i for i in graph.input if i.name not in constants]
    table = path.with_suffix(".csv")
    if table.exists():
        frame = pd.read_csv(table, dtype=str, keep_default_na=False)
        arrays = {c: frame[c].to_numpy(dtype=object).reshape(-1, 1) for c in frame.columns}
    else:
        with np.load(path.with_suffix(".npz")) as npz:
            arrays = {k[3:]: npz[k] for k in npz.files if k.startswith("in:")}
    if len(specs) == 1 and len(arrays) == 1:
        arrays = {specs[0].name: next(iter(arrays.values()))}
    for spec in specs:
        kind, dtype = KINDS[spec.type.tensor_type.elem_type]
        array = arrays[spec.name]
        if kind == "str":
            array = array.astype(object)
        elif array.dtype == object:  # a text column of numbers, where an empty cell is a missing value
            array = np.where(array == "", "nan", array).astype(dtype)
        yield spec.name, kind, tiled(array.astype(dtype) if kind != "str" else array)


def zoo(out, folder):
    for path in sorted(folder.glob("*.onnx")):
        try:
            columns = list(zoo_columns(path))
        except (KeyError, OSError, ValueError) as e:
            print(f"note: {path.name} is left out, its inputs cannot be read: {e!r}")
            continue
        if not columns:
            print(f"note: {path.name} is left out, it takes no input")
            continue
        yield write_case(out, path.stem, "zoo", [ZOO_BATCH], path.resolve(), columns)


def tree_rows(rows, seed):
    return np.random.default_rng(seed).normal(size=(rows, TREE_FEATURES)).astype(np.float32)


def forest_graph(forest):
    """A regression forest as the converter writes it, whose lists of Python objects would take many gigabytes here."""
    parts = [estimator.tree_ for estimator in forest.estimators_]
    sizes = [t.node_count for t in parts]
    leaf = np.concatenate([t.children_left < 0 for t in parts])
    joined = lambda of: np.concatenate([of(t) for t in parts])
    tree_ids = np.repeat(np.arange(len(parts)), sizes)
    node_ids = joined(lambda t: np.arange(t.node_count))
    # scikit-learn compares f32 features with f64 thresholds: rounded down, no f32 goes another way.
    thresholds = joined(lambda t: t.threshold)
    rounded = thresholds.astype(np.float32)
    rounded = np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    lists = {
        "nodes_treeids": tree_ids,
        "nodes_nodeids": node_ids,
        "nodes_featureids": joined(lambda t: np.maximum(t.feature, 0)),
        "nodes_truenodeids": joined(lambda t: np.maximum(t.children_left, 0)),
        "nodes_falsenodeids": joined(lambda t: np.maximum(t.children_right, 0)),
        "target_treeids": tree_ids[leaf],
        "target_nodeids": node_ids[leaf],
        "target_ids": np.zeros(int(leaf.sum()), dtype=np.int64),
        "nodes_values": np.where(leaf, 0, rounded),
        "target_weights": joined(lambda t: t.value[:, 0, 0])[leaf] / len(parts),
    }
    node = onnx.helper.make_node("TreeEnsembleRegressor", ["input"], ["prediction"], domain="ai.onnx.ml", n_targets=1)
    for name, values in lists.items():
        attribute = node.attribute.add(name=name)
        if values.dtype.kind == "f":
            attribute.type = onnx.AttributeProto.FLOATS
            attribute.floats.extend(values.astype(np.float32).tolist())
        else:
            attribute.type = onnx.AttributeProto.INTS
            attribute.ints.extend(values.tolist())
    modes = node.attribute.add(name="nodes_modes", type=onnx.AttributeProto.STRINGS)
    modes.strings.extend(b"LEAF" if l else b"BRANCH_LEQ" for l in leaf)
    of = lambda name, width: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", width])
    graph = onnx.helper.make_graph([node], "forest", [of("input", TREE_FEATURES)], [of("prediction", 1)])
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    return onnx.helper.make_model(graph, ir_version=8, opset_imports=opsets)


def trees(out):
    """Boosters in the file of their own library, with the same model as ONNX for ONNX Runtime."""
    import catboost
    import lightgbm
    import xgboost
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    from sklearn.ensemble import RandomForestRegressor

    x = tree_rows(40_000, 1)
    noise = np.random.default_rng(2).normal(size=len(x)) * 0.3
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + (x[:, 3] > 0.3) * x[:, 4] + x[:, 5:].sum(axis=1) * 0.1 + noise
    pool = [("input", "f32", tree_rows(TREE_ROWS, 3))]
    initial = [("input", FloatTensorType([None, TREE_FEATURES]))]

    def case(name, batches, model, graph, peers):
        return write_case(out, name, "trees", batches, model, pool, onnx_path=graph, peers=peers)

    booster = lightgbm.train(
        {"objective": "regression", "num_leaves": 31, "learning_rate": 0.02, "num_threads": 2, "verbose": -1},
        lightgbm.Dataset(x, y),
        1000,
    )
    for count in (100, 1000):
        path, graph = out / f"lightgbm_{count}.txt", out / f"lightgbm_{count}.onnx"
        booster.save_model(path, num_iteration=count)
        of_file = lightgbm.Booster(model_file=str(path))
        graph.write_bytes(convert_lightgbm(of_file, initial_types=initial, zipmap=False).SerializeToString())
        name = f"lightgbm {count} x 31"
        yield case(name, TREE_BATCHES, path, graph, {"fitted": ("lightgbm", path), "compiled": ("lleaves", path)})
        yield case(f"{name}, portable", MANY_ROWS, path, graph, {}) | {"engine": "portable"}
        yield case(f"{name}, 2 threads", MANY_ROWS, path, graph, {}) | {"threads": 2}

    booster = xgboost.train(
        {"max_depth": 6, "eta": 0.05, "nthread": 2, "tree_method": "hist"}, xgboost.DMatrix(x, y), 1000
    )
    for count in (100, 1000):
        path, graph = out / f"xgboost_{count}.json", out / f"xgboost_{count}.onnx"
        some = booster[:count]
        some.save_model(path)
        graph.write_bytes(convert_xgboost(some, initial_types=initial).SerializeToString())
        yield case(f"xgboost {count}, depth 6", TREE_BATCHES, path, graph, {"fitted": ("xgboost", path)})
        yield case(f"xgboost {count}, depth 6, 2 threads", MANY_ROWS, path, graph, {}) | {"threads": 2}

    booster = catboost.CatBoostRegressor(iterations=500, depth=6, thread_count=2, verbose=False, allow_writing_files=False)
    booster.fit(x, y)
    path, graph = out / "catboost.json", out / "catboost.onnx"
    booster.save_model(path, format="json")
    booster.save_model(graph, format="onnx")
    yield case("catboost 500, depth 6", TREE_BATCHES, path, graph, {"fitted": ("catboost", path)})

    forest = RandomForestRegressor(200, max_leaf_nodes=5000, n_jobs=2, random_state=0, max_features=9).fit(x, y)
    path = out / "forest.onnx"
    path.write_bytes(forest_graph(forest).SerializeToString())
    yield case("forest 200 x 5000", [1, 100, 10_000], path, path, {})


def nets(out, folder):
    """Each network twice: as the loader chooses, and through tract."""
    for path in sorted(folder.glob("*.onnx")):
        columns = list(zoo_columns(path))
        yield write_case(out, path.stem, "nets", NETS_BATCHES, path.resolve(), columns)
        through_tract = write_case(out, f"{path.stem} (tract)", "nets", NETS_BATCHES, path.resolve(), columns)
        yield through_tract | {"backend": "tract"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--zoo", type=pathlib.Path)
    parser.add_argument("--nets", type=pathlib.Path)
    parser.add_argument("--minilm", type=pathlib.Path)
    parser.add_argument("--groups", default="linear,digits,zoo,trees,nets,large")
    args = parser.parse_args()
    groups = args.groups.split(",")
    cases = list(fitted(args.out, groups)) if {"linear", "digits"} & set(groups) else []
    if args.zoo and "zoo" in groups:
        cases += zoo(args.out, args.zoo)
    if args.nets and "nets" in groups:
        cases += nets(args.out, args.nets)
    if "trees" in groups:
        cases += trees(args.out)
    if "large" in groups:
        write = lambda name, batches, path, columns: write_case(args.out, name, "large", batches, path, columns)
        cases += large.cases(args.out, write, args.minilm)
    (args.out / "cases.json").write_text(json.dumps(cases, indent=1))


if __name__ == "__main__":
    main()

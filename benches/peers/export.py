"""Fit and export what is measured, and write every input pool in one plain form.

usage: export.py OUT [--zoo DIR] [--nets DIR] [--groups linear,digits,zoo,nets]

OUT/cases.json lists the cases. Each has a model file and its inputs: numbers as raw little-endian bytes,
strings as a JSON list, row-major, rows along the first axis. OUT/NAME.pkl is the fitted estimator, where
there is one, with the method that answers what the ONNX graph answers.
"""

import argparse
import json
import pathlib
import pickle

import numpy as np
import onnx
import pandas as pd

DIGITS_ROWS = 20_000
ZOO_ROWS = 4_000  # four windows of 1000; the table's rows repeat, out of step with the windows
ZOO_BATCH = 1_000
NETS_BATCHES = [1, 32]
KINDS = {
    onnx.TensorProto.FLOAT: ("f32", np.float32),
    onnx.TensorProto.DOUBLE: ("f64", np.float64),
    onnx.TensorProto.INT64: ("i64", np.int64),
    onnx.TensorProto.STRING: ("str", str),
}


def write_case(out, name, group, batches, model_path, columns, estimator=None, backend=None):
    """`columns`: one (input name, kind, array (rows, ...)) per model input, in the model's order."""
    inputs = []
    for i, (input_name, kind, array) in enumerate(columns):
        file = out / f"{name}.{i}.{kind}"
        if kind == "str":
            file.write_text(json.dumps(array.ravel().tolist()))
        else:
            np.ascontiguousarray(array).tofile(file)
        inputs.append({"name": input_name, "kind": kind, "shape": list(array.shape), "file": str(file)})
    if estimator:
        with open(out / f"{name}.pkl", "wb") as f:
            pickle.dump({"estimator": estimator[0], "method": estimator[1], "pool": columns[0][2]}, f)
    return {
        "name": name,
        "group": group,
        "batches": batches,
        "model": str(model_path),
        "backend": backend,
        "inputs": inputs,
        "sklearn": str(out / f"{name}.pkl") if estimator else None,
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


def nets(out, folder):
    """Each network twice: as the loader chooses, and through tract."""
    for path in sorted(folder.glob("*.onnx")):
        columns = list(zoo_columns(path))
        yield write_case(out, path.stem, "nets", NETS_BATCHES, path.resolve(), columns)
        yield write_case(out, f"{path.stem} (tract)", "nets", NETS_BATCHES, path.resolve(), columns, backend="tract")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--zoo", type=pathlib.Path)
    parser.add_argument("--nets", type=pathlib.Path)
    parser.add_argument("--groups", default="linear,digits,zoo,nets")
    args = parser.parse_args()
    groups = args.groups.split(",")
    cases = list(fitted(args.out, groups)) if {"linear", "digits"} & set(groups) else []
    if args.zoo and "zoo" in groups:
        cases += zoo(args.out, args.zoo)
    if args.nets and "nets" in groups:
        cases += nets(args.out, args.nets)
    (args.out / "cases.json").write_text(json.dumps(cases, indent=1))


if __name__ == "__main__":
    main()

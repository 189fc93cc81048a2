"""Makes the files of this folder with the package `onnx`: one of every element type, and some that are refused."""

import os

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h

HERE = os.path.dirname(os.path.abspath(__file__))
TYPES = {
    "bool": T.BOOL, "u8": T.UINT8, "u16": T.UINT16, "u32": T.UINT32, "u64": T.UINT64, "i8": T.INT8, "i16": T.INT16,
    "i32": T.INT32, "i64": T.INT64, "f16": T.FLOAT16, "bf16": T.BFLOAT16, "f32": T.FLOAT, "f64": T.DOUBLE,
    "string": T.STRING,
}


def save(name, nodes, inputs, outputs, initializers=()):
    graph = h.make_graph(list(nodes), "g", list(inputs), list(outputs), list(initializers))
    model = h.make_model(graph, ir_version=9, opset_imports=[h.make_opsetid("", 19)], producer_name="make_ort")
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(model.SerializeToString())


def value(name, kind, shape=("n", 1)):
    return h.make_tensor_value_info(name, kind, shape)


def main():
    save(
        "types.onnx",
        [h.make_node("Identity", [name], [f"{name}_out"]) for name in TYPES],
        [value(name, kind) for name, kind in TYPES.items()],
        [value(f"{name}_out", kind) for name, kind in TYPES.items()],
    )
    save("f8.onnx", [h.make_node("Cast", ["x"], ["y"], to=T.FLOAT8E4M3FN)], [value("x", T.FLOAT)], [value("y", T.FLOAT8E4M3FN)])
    sequence = h.make_tensor_sequence_value_info("y", T.FLOAT, None)
    save("sequence.onnx", [h.make_node("SequenceConstruct", ["x", "x"], ["y"])], [value("x", T.FLOAT)], [sequence])
    save("no_such.onnx", [h.make_node("NoSuch", ["x"], ["y"])], [value("x", T.FLOAT)], [value("y", T.FLOAT)])
    np.array([1, 2, 3, 4], np.float32).tofile(os.path.join(HERE, "weights.bin"))
    for name, location in [("external.onnx", "weights.bin"), ("external_outside.onnx", "../weights.bin")]:
        weights = T(name="w", data_type=T.FLOAT, dims=[2, 2], data_location=T.EXTERNAL)
        weights.external_data.add(key="location", value=location)
        x, y = value("x", T.FLOAT, ("n", 2)), value("y", T.FLOAT, ("n", 2))
        save(name, [h.make_node("MatMul", ["x", "w"], ["y"])], [x], [y], [weights])


if __name__ == "__main__":
    main()

"""Small graphs of single layers with ONNX Runtime's answers: `make_layers.py`, with numpy, onnx and onnxruntime.

NAME.onnx takes x (n, k) and gives y; NAME.npz holds `in:x` and `ort:y` of seven rows.
"""

import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

here = pathlib.Path(__file__).parent
random = np.random.default_rng(0)


def floats(*shape):
    return random.normal(size=shape).astype("f4")


def ints(*values):
    return np.array(values, dtype="i8")


def save(name, k, out, constants, *nodes, x=None):
    graph = helper.make_graph(
        [helper.make_node(operator, ins.split(), outs.split(), **attributes) for operator, ins, outs, attributes in nodes],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", k])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", out])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 5)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, here / f"{name}.onnx")
    x = floats(7, k) if x is None else x
    session = onnxruntime.InferenceSession(here / f"{name}.onnx", providers=["CPUExecutionProvider"])
    np.savez(here / f"{name}.npz", **{"in:x": x, "ort:y": session.run(None, {"x": x})[0]})


image = ("Reshape", "x s", "a", {})
flat = ("Flatten", "e", "y", {})
save(
    "conv",
    24,
    24,
    {"s": ints(-1, 2, 4, 3), "w": floats(4, 1, 2, 2), "b": floats(4)},
    image,
    ("Conv", "a w b", "c", {"pads": [1, 0, 0, 1], "strides": [2, 1], "group": 2}),
    ("MaxPool", "c", "d", {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]}),
    ("HardSwish", "d", "e", {}),
    flat,
)
save(
    "conv_dilated",
    30,
    12,
    {"s": ints(-1, 2, 15), "w": floats(3, 2, 3), "scale": floats(3), "shift": floats(3), "mean": floats(3), "var": np.abs(floats(3))},
    image,
    ("Conv", "a w", "c", {"dilations": [2], "pads": [2, 2], "strides": [2]}),
    ("BatchNormalization", "c scale shift mean var", "d", {}),
    ("AveragePool", "d", "e", {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    flat,
)
for name, operator, gates, attributes in [
    ("gru", "GRU", 3, {"linear_before_reset": 1}),
    ("gru_before", "GRU", 3, {}),
    ("lstm", "LSTM", 4, {}),
    ("rnn", "RNN", 1, {}),
]:
    save(
        name,
        6,
        4,
        {
            "s": ints(-1, 3, 2),
            "q": ints(-1, 4),
            "w": floats(2, gates * 2, 2),
            "r": floats(2, gates * 2, 2),
            "b": floats(2, gates * 4),
        },
        image,
        ("Transpose", "a", "t", {"perm": [1, 0, 2]}),
        (operator, "t w r b", "all last", {"hidden_size": 2, "direction": "bidirectional", **attributes}),
        ("Transpose", "last", "u", {"perm": [1, 0, 2]}),
        ("Reshape", "u q", "y", {}),
    )
save(
    "sort",
    5,
    3,
    {"k": ints(3)},
    ("TopK", "x k", "v p", {"axis": 1, "largest": 0}),
    ("GatherElements", "x p", "z", {"axis": 1}),
    ("Add", "v z", "y", {}),
)
save(
    "attend",
    6,
    6,
    {"s": ints(-1, 3, 2), "q": ints(-1, 6), "g": floats(2)},
    image,
    ("Transpose", "a", "b", {"perm": [0, 2, 1]}),
    ("MatMul", "a b", "c", {}),
    ("Softmax", "c", "d", {"axis": 1}),
    ("MatMul", "d a", "e", {}),
    ("LayerNormalization", "e g", "n", {}),
    ("Reshape", "n q", "y", {}),
)
# Two trees: tests for sets, and for numbers.
rows = floats(64, 3)
rows[:, 1] = random.integers(0, 9, 64)


def numbers(*values):
    return numpy_helper.from_array(np.array(values, dtype="f4"))


save(
    "trees",
    3,
    2,
    {},
    (
        "TreeEnsemble",
        "x",
        "y",
        {
            "domain": "ai.onnx.ml",
            "n_targets": 2,
            "aggregate_function": 1,
            "post_transform": 0,
            "tree_roots": [0, 4],
            "nodes_featureids": [0, 1, 1, 2, 0],
            "nodes_modes": numpy_helper.from_array(np.array([0, 6, 6, 3, 1], dtype="u1")),
            "nodes_splits": numbers(0.1, 0, 0, -0.25, -0.3),
            "nodes_truenodeids": [1, 0, 2, 3, 5],
            "nodes_trueleafs": [0, 1, 1, 1, 1],
            "nodes_falsenodeids": [2, 1, 3, 4, 6],
            "nodes_falseleafs": [0, 1, 0, 1, 1],
            "membership_values": numbers(1, 2, 5, np.nan, 2, 7, np.nan),
            "leaf_targetids": [0, 1, 0, 1, 0, 1, 0],
            "leaf_weights": numbers(0.5, -1.25, 2.0, 0.75, 1.5, 0.1, -0.2),
        },
    ),
    x=rows,
)

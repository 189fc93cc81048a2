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


MICROSOFT = {"domain": "com.microsoft"}


def save(name, k, out, constants, *nodes, x=None, rows="n", opset=17):
    graph = helper.make_graph(
        [
            # A dash stands for what is left out.
            helper.make_node(operator, [i.strip("-") for i in ins.split()], outs.split(), **attributes)
            for operator, ins, outs, attributes in nodes
        ],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, k])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, out])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in [("", opset), ("ai.onnx.ml", 5), ("com.microsoft", 1)]]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, here / f"{name}.onnx")
    x = floats(7 if rows == "n" else rows, k if isinstance(k, int) else 5) if x is None else x
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
# What ONNX Runtime's tools fuse.
save(
    "fused_attention",
    12,
    12,
    {"s": ints(-1, 3, 4), "q": ints(-1, 12), "w": floats(4, 12), "b": floats(12)},
    image,
    ("Attention", "a w b", "e", {"num_heads": 2, "unidirectional": 1, **MICROSOFT}),
    ("Reshape", "e q", "y", {}),
)
save(
    "fused_heads",
    12,
    12,
    {"s": ints(-1, 3, 4), "q": ints(-1, 12), "g": floats(4), "h": floats(4)},
    image,
    ("MultiHeadAttention", "a a a", "e", {"num_heads": 2, **MICROSOFT}),
    ("SkipLayerNormalization", "a e g h", "n", MICROSOFT),
    ("FastGelu", "n", "f", MICROSOFT),
    ("QuickGelu", "f", "z", MICROSOFT),
    ("Reshape", "z q", "y", {}),
)
save(
    "fused_embedding",
    4,
    12,
    {"q": ints(-1, 12), "words": floats(9, 3), "places": floats(4, 3), "g": floats(3), "h": floats(3)},
    ("Cast", "x", "ids", {"to": TensorProto.INT32}),
    ("EmbedLayerNormalization", "ids - words places - g h", "e m", MICROSOFT),
    ("Reshape", "e q", "y", {}),
    x=random.integers(0, 9, (7, 4)).astype("f4"),
)
# A generator of images, and what changes their size.
save(
    "generate",
    8,
    108,
    {"s": ints(-1, 2, 2, 2), "w": floats(2, 3, 3, 3), "b": floats(3), "sizes": np.array([1, 1, 1.5, 1.5], dtype="f4")},
    image,
    ("ConvTranspose", "a w b", "c", {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    ("InstanceNormalization", "c b b", "n", {}),
    ("Resize", "n - sizes", "e", {"mode": "cubic"}),
    ("Flatten", "e", "y", {}),
)
save(
    "einsum",
    6,
    4,
    {"s": ints(-1, 2, 3), "w": floats(3, 2, 4)},
    image,
    ("Einsum", "a w", "y", {"equation": "nij,jik->nk"}),
)
# A length that stays open.
save(
    "open",
    "length",
    "length",
    {},
    ("Softmax", "x", "s", {"axis": 1}),
    ("ReduceMax", "s", "m", {"axes": [1], "keepdims": 1}),
    ("Div", "s m", "y", {}),
)
# Rows that need each other.
save("whole", 3, 3, {}, ("Softmax", "x", "s", {"axis": 0}), ("MatMul", "s x", "y", {}), rows=3)
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

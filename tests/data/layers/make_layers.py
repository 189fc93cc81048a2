"""Small graphs of single layers with ONNX Runtime's answers: `make_layers.py`, with numpy, onnx and onnxruntime.

NAME.onnx takes x (n, k) and gives y, or takes and gives one value of a fixed shape; NAME.npz holds `in:x` and `ort:y` of seven rows.
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
            helper.make_node(operator, [i.strip("-") for i in ins.split()], [o.strip("-") for o in outs.split()], **attributes)
            for operator, ins, outs, attributes in nodes
        ],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, k])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out if isinstance(out, list) else [rows, out])],
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


forest = {
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
}
save("trees", 3, 2, {}, ("TreeEnsemble", "x", "y", forest), x=rows)
# Weights that are computed.
save(
    "computed_conv",
    41,
    [1, 72],
    {
        "all": ints(82),
        "parts": ints(50, 16, 4, 12),
        "s": ints(1, 2, 5, 5),
        "t": ints(4, 1, 2, 2),
        "u": ints(4, 1, 1, 3),
        "q": ints(1, -1),
    },
    ("Reshape", "x all", "f", {}),
    ("Split", "f parts", "pa pw b pv", {}),
    ("Reshape", "pa s", "a", {}),
    ("Reshape", "pw t", "w", {}),
    ("Reshape", "pv u", "v", {}),
    ("Conv", "a w b", "c", {"group": 2, "strides": [2, 2], "pads": [1, 0, 0, 1]}),
    ("ConvTranspose", "c v b", "d", {"group": 4, "strides": [1, 2], "pads": [0, 1, 0, 0]}),
    ("Reshape", "d q", "y", {}),
    rows=2,
)
# Recurrences with functions of their own, peepholes, bounds and sequences of several lengths.
save(
    "recurrences",
    6,
    12,
    {
        "s": ints(-1, 3, 2),
        "q": ints(-1, 4),
        **{f"{part}{gates}": floats(2, gates * 2, *size) for gates in (1, 3, 4) for part, size in [("w", [2]), ("r", [2])]},
        **{f"b{gates}": floats(2, gates * 4) for gates in (1, 3, 4)},
        "p": floats(2, 6),
    },
    image,
    ("Transpose", "a", "t", {"perm": [1, 0, 2]}),
    (
        "LSTM",
        "t w4 r4 b4 - - - p",
        "all l1",
        {
            "hidden_size": 2,
            "direction": "bidirectional",
            "clip": 0.7,
            "activations": ["HardSigmoid", "Softsign", "Affine", "Sigmoid", "Tanh", "ScaledTanh"],
            "activation_alpha": [0.3, 0.9, 1.5],
            "activation_beta": [0.4, 0.1, 0.8],
        },
    ),
    (
        "GRU",
        "t w3 r3 b3",
        "- l2",
        {"hidden_size": 2, "direction": "bidirectional", "activations": ["Sigmoid", "LeakyRelu", "HardSigmoid", "Softplus"]},
    ),
    (
        "RNN",
        "t w1 r1 b1",
        "- l3",
        {"hidden_size": 2, "direction": "bidirectional", "activations": ["Elu", "ThresholdedRelu"], "activation_alpha": [0.9, 0.4], "clip": 1.5},
    ),
    ("Transpose", "l1", "u1", {"perm": [1, 0, 2]}),
    ("Transpose", "l2", "u2", {"perm": [1, 0, 2]}),
    ("Transpose", "l3", "u3", {"perm": [1, 0, 2]}),
    ("Reshape", "u1 q", "y1", {}),
    ("Reshape", "u2 q", "y2", {}),
    ("Reshape", "u3 q", "y3", {}),
    ("Concat", "y1 y2 y3", "y", {"axis": 1}),
)
save(
    "computed_lstm",
    15,
    [1, 40],
    {
        "all": ints(120),
        "parts": ints(12, 32, 32, 32, 12),
        "s": ints(2, 3, 2),
        "t": ints(2, 8, 2),
        "u": ints(2, 16),
        "v": ints(2, 6),
        "lengths": np.array([3, 1], dtype="i4"),
        "q": ints(1, -1),
    },
    ("Reshape", "x all", "f", {}),
    ("Split", "f parts", "pa pw pr pb pp", {}),
    ("Reshape", "pa s", "a", {}),
    ("Reshape", "pw t", "w", {}),
    ("Reshape", "pr t", "r", {}),
    ("Reshape", "pb u", "b", {}),
    ("Reshape", "pp v", "p", {}),
    ("Transpose", "a", "steps", {"perm": [1, 0, 2]}),
    ("LSTM", "steps w r b lengths - - p", "states h c", {"hidden_size": 2, "direction": "bidirectional"}),
    ("Reshape", "states q", "e", {}),
    ("Reshape", "h q", "eh", {}),
    ("Reshape", "c q", "ec", {}),
    ("Concat", "e eh ec", "y", {"axis": 1}),
    rows=8,
)
save(
    "scan",
    12,
    15,
    {"s": ints(-1, 4, 3)},
    image,
    ("ReduceMax", "a", "first", {"axes": [1], "keepdims": 0}),
    (
        "Scan",
        "first a",
        "last each",
        {
            "num_scan_inputs": 1,
            "scan_input_axes": [1],
            "scan_input_directions": [1],
            "scan_output_axes": [2],
            "scan_output_directions": [1],
            "body": helper.make_graph(
                [
                    helper.make_node("Mul", ["before", "now"], ["product"]),
                    helper.make_node("Tanh", ["product"], ["bounded"]),
                    helper.make_node("Sub", ["bounded", "now"], ["behind"]),
                    helper.make_node("Identity", ["behind"], ["shown"]),
                ],
                "body",
                [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("before", "now")],
                [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("behind", "shown")],
            ),
        },
    ),
    ("Flatten", "each", "e", {}),
    ("Concat", "last e", "y", {"axis": 1}),
)
# Branches and an end that are computed.


def body(nodes, inputs, outputs):
    kinds = {"go": TensorProto.BOOL, "on": TensorProto.BOOL, "round": TensorProto.INT64}
    infos = [[helper.make_tensor_value_info(n, kinds.get(n, TensorProto.FLOAT), [] if n in kinds else None) for n in names] for names in (inputs, outputs)]
    return helper.make_graph([helper.make_node(op, ins.split(), outs.split(), **more) for op, ins, outs, more in nodes], "body", *infos)


whole = {"keepdims": 0}
branches = {
    "then_branch": body([("Mul", "x two", "t", {})], [], ["t"]),
    "else_branch": body([("Neg", "x", "e", {})], [], ["e"]),
}
save(
    "choice",
    3,
    [2, 9],
    {"two": np.array(2, "f4"), "four": np.array(4, "f4"), "growth": np.array(1.5, "f4"), "most": np.array(8), "start": np.array(True)},
    ("ReduceMax", "x", "m", whole),
    ("Greater", "m two", "c", {}),
    ("Not", "c", "d", {}),
    ("If", "c", "a", branches),
    ("If", "d", "b", branches),
    (
        "Loop",
        "most start x",
        "f",
        {
            "body": body(
                [
                    ("Mul", "before growth", "after", {}),
                    ("ReduceMax", "after", "largest", whole),
                    ("Less", "largest four", "on", {}),
                ],
                ["round", "go", "before"],
                ["on", "after"],
            )
        },
    ),
    ("Concat", "a b f", "y", {"axis": 1}),
    rows=2,
)
# Places that are computed.
save(
    "scatter",
    6,
    44,
    {"k": ints(4), "six": ints(6), "three": ints(3), "last": ints(-1)},
    ("TopK", "x k", "v p", {}),
    ("Sub", "p six", "back", {}),
    ("Neg", "x", "n", {}),
    ("Abs", "v", "m", {}),
    ("ScatterElements", "n p m", "a", {"axis": 1}),
    # Several come to one place.
    ("Mod", "p three", "few", {}),
    ("ScatterElements", "n few m", "b", {"axis": 1, "reduction": "add"}),
    ("ScatterElements", "n few m", "c", {"axis": 1, "reduction": "mul"}),
    ("ScatterElements", "n few m", "d", {"axis": 1, "reduction": "max"}),
    ("ScatterElements", "n back m", "e", {"axis": 1, "reduction": "min"}),
    ("ScatterElements", "n few m", "h", {"axis": 1}),
    ("Unsqueeze", "p last", "tuples", {}),
    ("GatherND", "x tuples", "f", {"batch_dims": 1}),
    ("Unsqueeze", "back last", "others", {}),
    ("GatherND", "n others", "g", {"batch_dims": 1}),
    ("Concat", "a b c d e f g h", "y", {"axis": 1}),
    opset=18,
)
save(
    "scatter_tuples",
    4,
    4,
    {"rows": ints(0, 2, 1, 2, 0, 2), "four": ints(4), "pair": ints(6, 1), "many": ints(12), "short": ints(6)},
    ("Flatten", "x", "f", {"axis": 0}),
    ("Reshape", "f many", "line", {}),
    ("TopK", "line short", "v p", {}),
    ("Mod", "p four", "column", {}),
    ("Reshape", "rows pair", "r", {}),
    ("Reshape", "column pair", "c", {}),
    ("Concat", "r c", "at", {"axis": 1}),
    ("ScatterND", "x at v", "a", {"reduction": "add"}),
    ("ScatterND", "a at v", "y", {"reduction": "max"}),
    rows=3,
    opset=18,
)
save("determinant", 9, 1, {"s": ints(-1, 1, 3, 3)}, image, ("Det", "a", "y", {}))
save(
    "grams",
    6,
    4,
    {},
    ("Cast", "x", "i", {"to": TensorProto.INT64}),
    (
        "TfIdfVectorizer",
        "i",
        "y",
        {
            "mode": "TFIDF",
            "min_gram_length": 1,
            "max_gram_length": 3,
            "max_skip_count": 2,
            "ngram_counts": [0, 1, 5],
            "ngram_indexes": [2, 0, 1, 3],
            "pool_int64s": [3, 1, 2, 2, 2, 0, 1, 2],
            "weights": [0.5, 1.5, 2.0, 3.0],
        },
    ),
    x=random.integers(0, 4, (7, 6)).astype("f4"),
)
save(
    "loss",
    4,
    [1, 7],
    {"own": np.abs(floats(4)), "one": ints(1), "row": ints(1, 7)},
    ("ArgMin", "x", "class", {"axis": 1, "keepdims": 0}),
    ("SoftmaxCrossEntropyLoss", "x class own", "a logs", {"reduction": "none", "ignore_index": 2}),
    ("SoftmaxCrossEntropyLoss", "x class own", "b", {"reduction": "mean"}),
    ("NegativeLogLikelihoodLoss", "logs class", "c", {"reduction": "sum"}),
    ("Reshape", "b one", "b1", {}),
    ("Reshape", "c one", "c1", {}),
    ("Concat", "a b1 c1", "d", {"axis": 0}),
    ("Reshape", "d row", "y", {}),
    rows=5,
)
# Several rows of trees for each observation.
save(
    "trees_rows",
    6,
    4,
    {"s": ints(-1, 3), "q": ints(-1, 4)},
    image,
    ("TreeEnsemble", "a", "e", forest),
    ("Reshape", "e q", "y", {}),
    x=rows.reshape(-1, 6),
)

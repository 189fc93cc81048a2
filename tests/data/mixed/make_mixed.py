"""Graphs that mix ONNX-ML preprocessors with networks, with ONNX Runtime's answers.

usage: make_mixed.py OUT      (onnx onnxruntime numpy)

For each NAME.onnx: NAME.npz with in:* inputs and ort:* ONNX Runtime's outputs.
"""
import sys, numpy as np, onnx, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

out = sys.argv[1]
rng = np.random.default_rng(2)
f = lambda *shape: rng.normal(size=shape).astype(np.float32)
ML = "ai.onnx.ml"
node = lambda op, inputs, outputs, domain="", **attrs: h.make_node(op, inputs, outputs, name=op + outputs[0], domain=domain, **attrs)


def keep(name, nodes, inits, feeds, outputs):
    kind = lambda a: T.STRING if a.dtype.kind == "U" else h.np_dtype_to_tensor_dtype(a.dtype)
    graph = h.make_graph(nodes, name, [h.make_tensor_value_info(k, kind(v), ["n", *v.shape[1:]]) for k, v in feeds.items()],
                         [h.make_tensor_value_info(*o, None) for o in outputs], [nh.from_array(v, k) for k, v in inits.items()])
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17), h.make_opsetid(ML, 3)], ir_version=8), f"{out}/{name}.onnx")
    answers = ort.InferenceSession(f"{out}/{name}.onnx").run(None, {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in feeds.items()})
    np.savez_compressed(f"{out}/{name}.npz", **{f"in:{k}": v for k, v in feeds.items()}, **{f"ort:{k}": a.astype("U") if a.dtype == object else a for (k, _), a in zip(outputs, answers)})
    print(name, [a.shape for a in answers], answers[0][:3])


# A table is scaled, read as a sequence by a recurrent layer, and its class is named.
keep("scaled_gru", [
    node("Scaler", ["table"], ["scaled"], ML, offset=f(12).tolist(), scale=(np.abs(f(12)) + 0.5).tolist()),
    node("Reshape", ["scaled", "shape"], ["steps"]), node("Transpose", ["steps"], ["time"], perm=[1, 0, 2]),
    node("GRU", ["time", "W", "R", "B"], ["", "last"], hidden_size=5), node("Squeeze", ["last", "zero"], ["state"]),
    node("Gemm", ["state", "w", "b"], ["scores"]), node("Softmax", ["scores"], ["probabilities"], axis=1),
    node("ArgMax", ["probabilities"], ["best"], axis=1, keepdims=0),
    node("LabelEncoder", ["best"], ["label"], ML, keys_int64s=[0, 1, 2], values_strings=["low", "middle", "high"], default_string="?"),
], {"shape": np.array([-1, 4, 3], np.int64), "zero": np.array([0], np.int64), "W": f(1, 15, 3), "R": f(1, 15, 5) / 2, "B": f(1, 30) / 2, "w": f(5, 3) * 2, "b": f(3)},
    {"table": f(9, 12)}, [("label", T.STRING), ("probabilities", T.FLOAT)])

# Words get their vectors, which are convolved; numbers with gaps join them; the numbers are an answer too.
words = np.array(["red", "green", "blue", "violet"])
keep("words_conv", [
    node("LabelEncoder", ["words"], ["ids"], ML, keys_strings=["red", "green", "blue"], values_int64s=[1, 2, 3], default_int64=0),
    node("Gather", ["table", "ids"], ["vectors"], axis=0), node("Transpose", ["vectors"], ["channels"], perm=[0, 2, 1]),
    node("Conv", ["channels", "kernel"], ["maps"], pads=[1, 1]), node("GlobalMaxPool", ["maps"], ["top"]), node("Flatten", ["top"], ["flat"], axis=1),
    node("Imputer", ["numbers"], ["whole"], ML, imputed_value_floats=[1.5, -2.0], replaced_value_float=float("nan")),
    node("Normalizer", ["whole"], ["unit"], ML, norm="L2"), node("Concat", ["flat", "unit"], ["all"], axis=1), node("Gemm", ["all", "w"], ["y"]),
], {"table": f(4, 6), "kernel": f(5, 6, 3) / 2, "w": f(7, 2)},
    {"words": rng.choice(words, (8, 4)), "numbers": np.where(rng.random((8, 2)) > 0.3, f(8, 2), np.float32(np.nan))}, [("y", T.FLOAT), ("whole", T.FLOAT)])

"""Small graphs, one for each operator of com.microsoft that ONNX Runtime's quantiser writes, with its own answers.

usage: make_qops.py OUT      (onnx onnxruntime numpy)

For each NAME.onnx: NAME.npz with in:* inputs and ort:* ONNX Runtime's outputs.
"""
import os, sys, numpy as np, onnx, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh
from onnxruntime.quantization import QuantType, quantize_dynamic

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(0)
MS = "com.microsoft"


def save(name, nodes, inits, inputs, outputs, feeds, opset=17):
    graph = h.make_graph(
        nodes, name,
        [h.make_tensor_value_info(n, h.np_dtype_to_tensor_dtype(feeds[n].dtype), ["n", *feeds[n].shape[1:]]) for n in inputs],
        [h.make_tensor_value_info(n, t, None) for n, t in outputs],
        [nh.from_array(v, k) for k, v in inits.items()])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset), h.make_opsetid(MS, 1)], ir_version=8)
    finish(name, model, feeds)


def finish(name, model, feeds):
    onnx.save(model, f"{out}/{name}.onnx")
    options = ort.SessionOptions()
    # As the operators stand in the file, not as they are merged.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(f"{out}/{name}.onnx", options)
    answers = session.run(None, feeds)
    names = [o.name for o in session.get_outputs()]
    np.savez_compressed(f"{out}/{name}.npz", **{f"in:{k}": v for k, v in feeds.items()}, **{f"ort:{k}": v for k, v in zip(names, answers)})
    print(name, [a.shape for a in answers])


f = lambda *shape: rng.normal(size=shape).astype(np.float32)
s = lambda v: np.float32(v)
for kind, zero in {"u8": np.uint8(120), "i8": np.int8(-3)}.items():
    q = h.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"])
    inits = {"xs": s(0.03), "xz": zero, "ys": s(0.04), "yz": zero}
    for op, attrs, shape in [
        ("QLinearSigmoid", {}, (5, 6)), ("QLinearLeakyRelu", {"alpha": 0.1}, (5, 6)),
        ("QLinearSoftmax", {"axis": -1, "opset": 17}, (5, 6)),
        ("QLinearAveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, (5, 3, 6, 6)),
        ("QLinearGlobalAveragePool", {"channels_last": 0}, (5, 3, 6, 6)),
    ]:
        d = h.make_node("DequantizeLinear", ["yq", "ys", "yz"], ["y"])
        save(f"{op}_{kind}", [q, h.make_node(op, ["xq", "xs", "xz", "ys", "yz"], ["yq"], domain=MS, **attrs), d], inits, ["x"], [("y", T.FLOAT)], {"x": f(*shape)})
    for op in ["QLinearAdd", "QLinearMul"]:
        nodes = [q, h.make_node("QuantizeLinear", ["b", "bs", "bz"], ["bq"]), h.make_node(op, ["xq", "xs", "xz", "bq", "bs", "bz", "ys", "yz"], ["yq"], domain=MS)]
        save(f"{op}_{kind}", nodes, {**inits, "bs": s(0.02), "bz": zero}, ["x", "b"], [("yq", T.UINT8 if kind == "u8" else T.INT8)], {"x": f(4, 5), "b": f(4, 5)})
    nodes = [q, h.make_node("QuantizeLinear", ["b", "bs", "bz"], ["bq"])]
    more = {**inits, "bs": s(0.02), "bz": zero}
    dq = h.make_node("DequantizeLinear", ["yq", "ys", "yz"], ["y"])
    save(f"QLinearConcat_{kind}", [*nodes, h.make_node("QLinearConcat", ["ys", "yz", "xq", "xs", "xz", "bq", "bs", "bz"], ["yq"], domain=MS, axis=1), dq], more, ["x", "b"], [("y", T.FLOAT)], {"x": f(4, 5), "b": f(4, 2)})
    save(f"QLinearWhere_{kind}", [*nodes, h.make_node("QLinearWhere", ["c", "xq", "xs", "xz", "bq", "bs", "bz", "ys", "yz"], ["yq"], domain=MS), dq], more, ["c", "x", "b"], [("y", T.FLOAT)], {"c": rng.random((4, 5)) > 0.5, "x": f(4, 5), "b": f(4, 5)})
    w = rng.integers(-127, 127, (5, 3)).astype(np.int8) if kind == "i8" else rng.integers(0, 255, (5, 3)).astype(np.uint8)
    wz = np.int8(0) if kind == "i8" else np.uint8(128)
    c = rng.integers(-4000, 4000, 3).astype(np.int32)
    for trans in [0, 1]:
        gemm = h.make_node("QGemm", ["xq", "xs", "xz", "w", "ws", "wz", "c", "ys", "yz"], ["yq"], domain=MS, alpha=1.0, transB=trans)
        save(f"QGemm_{kind}_{trans}", [q, gemm, dq], {**inits, "w": np.ascontiguousarray(w.T) if trans else w, "ws": s(0.01), "wz": wz, "c": c}, ["x"], [("y", T.FLOAT)], {"x": f(4, 5)})
    if kind == "i8":
        gemm = h.make_node("QGemm", ["xq", "xs", "xz", "w", "ws", "wz", "c"], ["y"], domain=MS)
        save("QGemm_float_channels", [q, gemm], {**inits, "w": w, "ws": f(3) ** 2, "wz": np.zeros(3, np.int8), "c": c}, ["x"], [("y", T.FLOAT)], {"x": f(4, 5)})

for code, name in {np.uint16: "u16", np.int16: "i16"}.items():
    nodes = [h.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], domain=MS), h.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], domain=MS)]
    save(f"QuantizeLinear_{name}", nodes, {"s": s(0.0005), "z": code(300)}, ["x"], [("y", T.FLOAT)], {"x": f(4, 5)})
w = rng.integers(-127, 127, (5, 3)).astype(np.int8)
save("DynamicQuantizeMatMul", [h.make_node("DynamicQuantizeMatMul", ["x", "w", "s", "", "b"], ["y"], domain=MS)], {"w": w, "s": f(3) ** 2, "b": f(3)}, ["x"], [("y", T.FLOAT)], {"x": f(4, 5)})
nodes = [h.make_node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"]), h.make_node("MatMulIntegerToFloat", ["q", "w", "qs", "ws", "qz", "", "b"], ["y"], domain=MS)]
save("MatMulIntegerToFloat", nodes, {"w": w, "ws": s(0.02), "b": f(3)}, ["x"], [("y", T.FLOAT)], {"x": f(4, 5)})

for channels in [False, True]:
    for direction, dirs in {"forward": 1, "bidirectional": 2}.items():
        hidden, width, length = 6, 4, 7
        inits = {"W": f(dirs, 4 * hidden, width) / 2, "R": f(dirs, 4 * hidden, hidden) / 2, "B": f(dirs, 8 * hidden) / 4}
        nodes = [h.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]), h.make_node("LSTM", ["t", "W", "R", "B"], ["Y", "Yh"], direction=direction, hidden_size=hidden), h.make_node("Transpose", ["Yh"], ["y"], perm=[1, 0, 2])]
        graph = h.make_graph(nodes, "lstm", [h.make_tensor_value_info("x", T.FLOAT, ["n", length, width])], [h.make_tensor_value_info("y", T.FLOAT, ["n", dirs, hidden])], [nh.from_array(v, k) for k, v in inits.items()])
        onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), f"{out}/plain.onnx")
        name = f"DynamicQuantizeLSTM_{direction}_{'channels' if channels else 'whole'}"
        quantize_dynamic(f"{out}/plain.onnx", f"{out}/{name}.onnx", weight_type=QuantType.QInt8, per_channel=channels)
        finish(name, onnx.load(f"{out}/{name}.onnx"), {"x": f(5, length, width)})
        os.remove(f"{out}/plain.onnx")

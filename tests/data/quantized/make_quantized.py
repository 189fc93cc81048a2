"""Small graphs put through every mode of onnxruntime.quantization, and operators that its fusions and weight-only
quantisers write, with ONNX Runtime's own answers.

usage: make_quantized.py OUT      (onnx onnxruntime numpy ml_dtypes onnx-ir torch)

For each NAME.onnx: NAME.npz with in:* inputs and ort:* ONNX Runtime's outputs.
"""
import itertools, logging, os, sys, tempfile, numpy as np, onnx, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_bnb4_quantizer import MatMulBnb4Quantizer
from onnxruntime.quantization import matmul_nbits_quantizer as nbits

logging.disable(logging.CRITICAL)
out = sys.argv[1]
os.makedirs(out, exist_ok=True)
scratch = tempfile.mkdtemp()
MS = "com.microsoft"
rng = np.random.default_rng(1)
f = lambda *shape: rng.normal(size=shape).astype(np.float32)
node = lambda op, inputs, outputs, domain="", **attrs: h.make_node(op, inputs.split(), outputs.split(), name=op + outputs.split()[0], domain=domain, **attrs)


def graph(nodes, inits, feeds, outputs, opset=17, batch="n"):
    """`outputs`: (name, element type, dims). Axis 0 of every input is the batch."""
    shape = lambda a: [batch, *a.shape[1:]] if a.ndim else []
    return h.make_model(
        h.make_graph(
            nodes, "g",
            [h.make_tensor_value_info(k, h.np_dtype_to_tensor_dtype(v.dtype), shape(v)) for k, v in feeds.items()],
            [h.make_tensor_value_info(*o) for o in outputs],
            [nh.from_array(v, k) for k, v in inits.items()]),
        opset_imports=[h.make_opsetid("", opset), h.make_opsetid(MS, 1)], ir_version=10)


def keep(name, model, feeds):
    path = f"{out}/{name}.onnx"
    if isinstance(model, str):
        os.replace(model, path)
    else:
        onnx.save(model, path)
    options = ort.SessionOptions()
    # As the operators stand in the file, not as they are merged.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [o.name for o in session.get_outputs()]
        answers = session.run(None, feeds)
    except Exception as e:
        print("left out, ONNX Runtime refuses it:", name, str(e).splitlines()[0][:110])
        os.remove(path)
        return
    np.savez_compressed(f"{out}/{name}.npz", **{f"in:{k}": v for k, v in feeds.items()}, **{f"ort:{k}": v for k, v in zip(names, answers)})
    print(name, sorted({(n.domain + ":" if n.domain else "") + n.op_type for n in onnx.load(path).graph.node}))


class Reader(CalibrationDataReader):
    def __init__(self, feeds): self.it = iter([feeds])
    def get_next(self): return next(self.it, None)


def through(name, model, feeds, modes):
    """`modes`: suffix -> function from a file to a file."""
    plain = f"{scratch}/{name}.onnx"
    onnx.save(model, plain)
    for suffix, go in modes.items():
        made = f"{scratch}/{name}_{suffix}.onnx"
        try:
            go(plain, made)
        except Exception as e:
            print("not made:", name, suffix, str(e).splitlines()[0][:110])
            continue
        keep(f"{name}_{suffix}", made, feeds)


QT = QuantType
# Without reduced weights, 8-bit products of mixed signs overflow in ONNX Runtime's kernels for AVX2.
static = lambda fmt, a, w, channels, feeds, **extra: lambda i, o: quantize_static(
    i, o, Reader(feeds), quant_format=fmt, activation_type=a, weight_type=w, per_channel=channels, extra_options=extra, reduce_range=w == QT.QInt8)


def modes(feeds):
    short = {QT.QUInt8: "u8", QT.QInt8: "i8", QT.QUInt16: "u16", QT.QInt16: "i16", QT.QInt4: "i4", QT.QUInt4: "u4"}
    made = {}
    for a, w, c in [(QT.QUInt8, QT.QInt8, False), (QT.QUInt8, QT.QUInt8, False), (QT.QInt8, QT.QInt8, True)]:
        made[f"qop_{short[a]}_{short[w]}_{'channels' if c else 'whole'}"] = static(QuantFormat.QOperator, a, w, c, feeds)
    for a, w, c in [(QT.QUInt8, QT.QInt8, True), (QT.QInt8, QT.QInt8, False), (QT.QUInt16, QT.QInt8, True), (QT.QInt16, QT.QInt16, False), (QT.QUInt8, QT.QInt4, True), (QT.QUInt8, QT.QUInt4, False)]:
        made[f"qdq_{short[a]}_{short[w]}_{'channels' if c else 'whole'}"] = static(QuantFormat.QDQ, a, w, c, feeds)
    made["qdq_contrib"] = static(QuantFormat.QDQ, QT.QUInt8, QT.QInt8, True, feeds, UseQDQContribOps=True)
    made["qdq_symmetric"] = static(QuantFormat.QDQ, QT.QInt8, QT.QInt8, True, feeds, ActivationSymmetric=True, WeightSymmetric=True, DedicatedQDQPair=True)
    for w, c in [(QT.QInt8, True), (QT.QUInt8, False)]:
        made[f"dynamic_{short[w]}_{'channels' if c else 'whole'}"] = lambda i, o, w=w, c=c: quantize_dynamic(i, o, weight_type=w, per_channel=c, reduce_range=w == QT.QInt8)
    return made


# Every operator that the static quantisers know, in two nets.
feeds = {"x": f(3, 2, 8, 8)}
inits = {"w1": f(4, 2, 3, 3) / 4, "b1": f(4), "w2": f(4, 1, 3, 3) / 3, "w3": f(4, 3, 2, 2) / 3, "lo": np.float32(0), "hi": np.float32(6),
         "sizes": np.array([0, 0, 4, 4, 0, 0, 0, 0], np.int64)[:0], "scales": np.array([1, 1, 2, 2], np.float32),
         "pads": np.array([0, 0, 1, 1, 0, 0, 0, 0], np.int64), "parts": np.array([2, 2], np.int64), "w4": f(10, 5) / 3, "b4": f(5),
         "shape": np.array([0, -1], np.int64), "bn_s": np.abs(f(4)) + 0.5, "bn_b": f(4), "bn_m": f(4) / 4, "bn_v": np.abs(f(4)) + 0.5}
del inits["sizes"]
vision = [
    node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1]), node("Relu", "c1", "r1"),
    node("MaxPool", "r1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
    node("Conv", "p1 w2", "c2", group=4, pads=[1, 1, 1, 1]), node("BatchNormalization", "c2 bn_s bn_b bn_m bn_v", "n2"),
    node("LeakyRelu", "n2", "r2", alpha=0.2), node("Add", "r2 p1", "a2"),
    node("Resize", "a2  scales".replace("  ", " _ "), "u2", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    node("AveragePool", "u2", "v2", kernel_shape=[2, 2], strides=[2, 2]), node("Sigmoid", "v2", "s2"), node("Mul", "s2 a2", "m2"),
    node("Pad", "m2 pads", "d2"), node("Split", "d2 parts", "h1 h2", axis=1), node("Concat", "h2 h1", "k2", axis=1),
    node("ConvTranspose", "k2 w3", "t3", strides=[2, 2]), node("Clip", "t3 lo hi", "t4"),
    node("GlobalAveragePool", "t4", "g3"), node("Reshape", "g3 shape", "f3"), node("GlobalAveragePool", "k2", "g4"), node("Flatten", "g4", "f4"),
    node("Slice", "f4 s_from s_to s_axes", "f5"), node("Concat", "f3 f4 f5", "all", axis=1), node("Gemm", "all w4 b4", "y4"), node("Softmax", "y4", "y", axis=-1),
]
for n in vision:  # an input left out
    for i, name in enumerate(n.input):
        if name == "_":
            n.input[i] = ""
inits |= {"s_from": np.array([1], np.int64), "s_to": np.array([4], np.int64), "s_axes": np.array([1], np.int64)}
through("vision", graph(vision, inits, feeds, [("y", T.FLOAT, None)]), feeds, modes(feeds))

feeds = {"ids": rng.integers(0, 11, (3, 6)).astype(np.int64), "keep": (rng.random((3, 6)) > 0.3)}
inits = {"table": f(11, 8), "g": np.abs(f(8)) + 0.5, "b": f(8), "wq": f(8, 8) / 3, "wk": f(8, 8) / 3, "half": np.float32(0.35), "low": np.float32(-9), "w": f(8, 4) / 2, "bias": f(4), "axes": np.array([1], np.int64)}
text = [
    node("Gather", "table ids", "e"), node("LayerNormalization", "e g b", "n"), node("MatMul", "n wq", "q"), node("MatMul", "n wk", "k0"),
    node("Transpose", "k0", "k", perm=[0, 2, 1]), node("MatMul", "q k", "s0"), node("Mul", "s0 half", "s1"),
    node("Unsqueeze", "keep axes", "keep1"), node("Where", "keep1 s1 low", "s2"), node("Softmax", "s2", "p", axis=-1),
    node("MatMul", "p n", "v"), node("Add", "v e", "a"), node("ReduceMean", "a", "mean0", axes=[1], keepdims=1), node("Squeeze", "mean0 axes", "mean"),
    node("Gemm", "mean w bias", "y"),
]
through("text", graph(text, inits, feeds, [("y", T.FLOAT, None)]), feeds, {k: v for k, v in modes(feeds).items() if "qop" not in k})
text = [n for n in text if n.op_type not in ("Where", "Unsqueeze")]
text[[n.op_type for n in text].index("Softmax")].input[0] = "s1"
feeds.pop("keep")
through("text", graph(text, {k: v for k, v in inits.items() if k != "low"}, feeds, [("y", T.FLOAT, None)]), feeds, {k: v for k, v in modes(feeds).items() if "qop" in k})
feeds = {"x": f(4, 9)}
through("best", graph([node("MatMul", "x w", "m"), node("ArgMax", "m", "y", axis=1, keepdims=0)], {"w": f(9, 7)}, feeds, [("y", T.INT64, None)]), feeds, {k: v for k, v in modes(feeds).items() if "qop" in k})

# The integer operators alone.
for signed, groups in itertools.product([False, True], [1, 2]):
    kind = np.int8 if signed else np.uint8
    x = rng.integers(0, 120, (2, 4, 6, 6)).astype(kind)
    w = rng.integers(-60 if signed else 0, 60, (4, 4 // groups, 3, 3)).astype(kind)
    suffix = f"{'i8' if signed else 'u8'}_{groups}"
    if not signed:
        keep(f"ConvInteger_{suffix}", graph([node("ConvInteger", "x w xz wz", "y", group=groups, pads=[1, 1, 0, 1], strides=[2, 1])], {"w": w, "xz": kind(7), "wz": kind(3)}, {"x": x}, [("y", T.INT32, None)]), {"x": x})
    params = {"w": w, "xs": np.float32(0.02), "xz": kind(5), "ws": np.abs(f(4)) / 90 if signed else np.float32(0.015), "wz": np.zeros(4, kind) if signed else kind(9), "ys": np.float32(0.3), "yz": kind(100 if not signed else 4), "b": rng.integers(-900, 900, 4).astype(np.int32)}
    keep(f"QLinearConv_{suffix}", graph([node("QLinearConv", "x xs xz w ws wz ys yz b", "y", group=groups, dilations=[1, 2], pads=[1, 2, 1, 2])], params, {"x": x}, [("y", T.INT8 if signed else T.UINT8, None)]), {"x": x})
    a, b = rng.integers(0, 120, (3, 5)).astype(kind), rng.integers(0, 100, (5, 4)).astype(kind)
    zeros = rng.integers(0, 9, 4).astype(kind)
    if groups == 1:
        keep(f"MatMulInteger_{suffix}", graph([node("MatMulInteger", "a b az bz", "y")], {"b": b, "az": kind(3), "bz": zeros}, {"a": a}, [("y", T.INT32, None)]), {"a": a})
        keep(f"QLinearMatMul_{suffix}", graph([node("QLinearMatMul", "a as az b bs bz ys yz", "y")], {"as": np.float32(0.02), "az": kind(3), "b": b, "bs": np.abs(f(4)) / 50 + np.float32(0.005), "bz": zeros, "ys": np.float32(0.1), "yz": kind(7)}, {"a": a}, [("y", T.INT8 if signed else T.UINT8, None)]), {"a": a})

# Fused transformers: as floats, and after the dynamic quantiser.
m, s, heads, width = 3, 5, 2, 8
dynamic = {"float": lambda i, o: onnx.save(onnx.load(i), o), "dynamic": lambda i, o: quantize_dynamic(i, o, weight_type=QT.QInt8, reduce_range=True), "dynamic_channels": lambda i, o: quantize_dynamic(i, o, weight_type=QT.QInt8, per_channel=True, reduce_range=True)}
for mask, causal, past in [("none", 0, 0), ("none", 1, 0), ("lengths", 0, 0), ("raw", 0, 0), ("square", 0, 0), ("none", 1, 1)]:
    feeds = {"x": f(m, s, width)}
    nodes, given = [], ""
    if mask == "lengths":
        feeds["mask"] = np.array([5, 3, 1], np.int32)
        given = "mask"
    elif mask == "raw":
        feeds["mask"] = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 1, 0, 1]], np.int64)
        nodes, given = [h.make_node("Cast", ["mask"], ["mask32"], to=T.INT32)], "mask32"
    elif mask == "square":
        feeds["mask"] = np.tril(np.ones((m, s, s), np.int32))
        given = "mask"
    inputs, outputs = ["x", "w", "b", given], [("y", T.FLOAT, None)]
    if past:
        # (2, m, heads, t, width of a head): the batch is not its first axis, so it is split off in front of the graph.
        feeds["before"] = f(m, 2, heads, 4, width // heads)
        nodes.append(h.make_node("Transpose", ["before"], ["past"], perm=[1, 0, 2, 3, 4]))
        inputs.append("past")
        outputs.append(("after", T.FLOAT, None))
    nodes.append(h.make_node("Attention", inputs, ["y"] + (["present"] if past else []), name="att", domain=MS, num_heads=heads, unidirectional=causal))
    if past:
        nodes.append(h.make_node("Transpose", ["present"], ["after"], perm=[1, 0, 2, 3, 4]))
    through(f"attention_{mask}{'_causal' if causal else ''}{'_past' if past else ''}", graph(nodes, {"w": f(width, 3 * width) / 3, "b": f(3 * width) / 4}, feeds, outputs), feeds, dynamic if mask != "square" else {"float": dynamic["float"]})
feeds = {"ids": rng.integers(0, 20, (m, s)).astype(np.int32), "seg": rng.integers(0, 2, (m, s)).astype(np.int32), "mask": np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], np.int32)}
tables = {"word": f(20, width), "pos": f(7, width), "segment": f(2, width), "gain": np.abs(f(width)) + 0.5, "shift": f(width)}
bert = [node("EmbedLayerNormalization", "ids seg word pos segment gain shift mask", "e lengths", MS, epsilon=1e-12),
        node("Attention", "e w b lengths", "a", MS, num_heads=heads), node("SkipLayerNormalization", "a e gain shift extra", "y", MS, epsilon=1e-12)]
through("bert", graph(bert, {**tables, "w": f(width, 3 * width) / 3, "b": f(3 * width) / 4, "extra": f(width)}, feeds, [("y", T.FLOAT, None)]), feeds, dynamic)
short = {k: feeds[k] for k in ["ids"]}
through("embed", graph([h.make_node("EmbedLayerNormalization", ["ids", "", "word", "pos", "", "gain", "shift"], ["y", "lengths"], name="e", domain=MS)], {k: v for k, v in tables.items() if k != "segment"}, short, [("y", T.FLOAT, None), ("lengths", T.INT32, None)]), short, {"float": dynamic["float"]})
for op, inputs in [("BiasGelu", "x b"), ("Gelu", "x"), ("FastGelu", "x b"), ("QuickGelu", "x")]:
    feeds = {"x": f(m, s, width)}
    keep(op, graph([node(op, inputs, "y", MS)], {"b": f(width)} if "b" in inputs else {}, feeds, [("y", T.FLOAT, None)]), feeds)

# Weights alone.
feeds = {"x": f(3, 64)}
linear = graph([node("MatMul", "x w", "y")], {"w": f(64, 24) / 8}, feeds, [("y", T.FLOAT, None)], opset=21)


def weight_only(config, **more):
    def go(i, o):
        quantizer = nbits.MatMulNBitsQuantizer(onnx.load(i), algo_config=config(), **more)
        quantizer.process()
        quantizer.model.save_model_to_file(o, False)
    return go


made = {}
for bits, block, symmetric, fmt in [(4, 32, True, QuantFormat.QOperator), (4, 32, False, QuantFormat.QOperator), (4, 16, False, QuantFormat.QOperator), (4, 128, True, QuantFormat.QOperator), (8, 32, True, QuantFormat.QOperator), (8, 16, False, QuantFormat.QOperator), (2, 16, False, QuantFormat.QOperator), (2, 32, True, QuantFormat.QOperator), (4, 16, True, QuantFormat.QDQ), (4, 32, False, QuantFormat.QDQ), (8, 32, False, QuantFormat.QDQ)]:
    made[f"default_{bits}_{block}_{'sym' if symmetric else 'asym'}_{'qdq' if fmt == QuantFormat.QDQ else 'qop'}"] = weight_only(
        lambda b=block, y=symmetric, q=fmt, n=bits: nbits.DefaultWeightOnlyQuantConfig(block_size=b, is_symmetric=y, quant_format=q, bits=n))
through("linear", linear, feeds, made)
feeds = {"x": f(3, 256)}
linear = graph([node("MatMul", "x w", "y")], {"w": f(256, 8) / 8}, feeds, [("y", T.FLOAT, None)], opset=21)
made = {}
made["hqq"] = weight_only(lambda: nbits.HQQWeightOnlyQuantConfig(block_size=32, bits=4))
made["rtn"] = weight_only(lambda: nbits.RTNWeightOnlyQuantConfig())
made["kquant"] = weight_only(lambda: nbits.KQuantWeightOnlyQuantConfig())
for kind, name in [(MatMulBnb4Quantizer.FP4, "fp4"), (MatMulBnb4Quantizer.NF4, "nf4")]:
    def bnb4(i, o, kind=kind):
        quantizer = MatMulBnb4Quantizer(onnx.load(i), kind, 64)
        quantizer.process()
        quantizer.model.save_model_to_file(o, False)
    made[f"bnb4_{name}"] = bnb4
through("linear", linear, feeds, made)
feeds = {"x": f(3, 48)}
w, scales = rng.integers(0, 256, (24, 3, 8)).astype(np.uint8), np.abs(f(72)) / 20 + np.float32(0.01)
groups = rng.integers(0, 3, 48).astype(np.int32)
nb = lambda inputs, inits, **attrs: graph([h.make_node("MatMulNBits", inputs, ["y"], domain=MS, K=48, N=24, block_size=16, **attrs)], inits, feeds, [("y", T.FLOAT, None)])
keep("MatMulNBits_groups", nb(["x", "w", "s", "", "g"], {"w": w, "s": scales, "g": groups}, bits=4), feeds)
keep("MatMulNBits_float_zeros_bias", nb(["x", "w", "s", "z", "", "b"], {"w": w, "s": scales, "z": f(72) + np.float32(8), "b": f(24)}, bits=4), feeds)
feeds = {"ids": rng.integers(0, 12, (3, 2)).astype(np.int64)}
gather = graph([node("Gather", "table ids", "y")], {"table": f(12, 64)}, feeds, [("y", T.FLOAT, None)], opset=21)
through("gather", gather, feeds, {
    f"default_{b}_{s}": weight_only(lambda b=b, s=s: nbits.DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=s == "sym", bits=b, op_types_to_quantize=("Gather",), quant_axes=(("Gather", 1),)))
    for b in [4, 8] for s in ["sym", "asym"]})
codes = rng.integers(0, 256, (12, 32)).astype(np.uint8)
for bits, cols in [(4, 64), (8, 32)]:
    blocks = cols // 16
    keep(f"GatherBlockQuantized_u8_{bits}", graph([node("GatherBlockQuantized", "t ids s z", "y", MS, gather_axis=0, quantize_axis=1, block_size=16, bits=bits)], {"t": codes, "s": np.abs(f(12, blocks)) / 9, "z": rng.integers(0, 256, (12, blocks * bits // 8)).astype(np.uint8)}, feeds, [("y", T.FLOAT, None)]), feeds)
for name, kind in [("i4", T.INT4), ("u4", T.UINT4)]:
    values = rng.integers(-8, 8, (6, 32)) if name == "i4" else rng.integers(0, 16, (6, 32))
    model = graph([node("GatherBlockQuantized", "t ids s", "y", MS, gather_axis=1, quantize_axis=0, block_size=16)], {"s": np.abs(f(1, 32)) / 9}, feeds, [("y", T.FLOAT, None)], opset=21)
    model.graph.initializer.append(h.make_tensor("t", kind, [6, 32], values.ravel()))
    keep(f"GatherBlockQuantized_{name}_columns", model, feeds)

"""The larger networks: two perceptrons, MiniLM and ResNet-50, in f32 and in ONNX Runtime's dynamic int8."""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

PERCEPTRONS = [[64, 256, 256, 10], [512, 2048, 2048, 10]]
PERCEPTRON_BATCHES = [1, 32, 256]
# Tokens of a text, and how many texts at once.
MINILM_BATCHES = {16: [1], 128: [1, 8]}
WORDS = range(1000, 28_000)


def perceptron(widths):
    """Layers of the widths given with ReLU between them, weights drawn as He et al. do."""
    rng = np.random.default_rng(5)
    nodes, weights, x = [], [], "x"
    for i, (k, n) in enumerate(zip(widths, widths[1:])):
        last = i == len(widths) - 2
        weights.append(numpy_helper.from_array((rng.normal(size=(k, n)) * (2 / k) ** 0.5).astype(np.float32), f"w{i}"))
        weights.append(numpy_helper.from_array(rng.normal(size=n).astype(np.float32) * 0.1, f"b{i}"))
        nodes.append(helper.make_node("MatMul", [x, f"w{i}"], [f"m{i}"]))
        nodes.append(helper.make_node("Add", [f"m{i}", f"b{i}"], ["y" if last else f"a{i}"]))
        if not last:
            x = f"r{i}"
            nodes.append(helper.make_node("Relu", [f"a{i}"], [x]))
    of = lambda name, width: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
    graph = helper.make_graph(nodes, "perceptron", [of("x", widths[0])], [of("y", widths[-1])], weights)
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def perceptrons(out, case):
    for widths in PERCEPTRONS:
        name = "mlp " + "-".join(map(str, widths))
        path, small = out / f"{name}.onnx", out / f"{name} int8.onnx"
        onnx.save(perceptron(widths), path)
        quantize_dynamic(path, small, weight_type=QuantType.QInt8, per_channel=True)
        pool = np.random.default_rng(6).normal(size=(1024, widths[0])).astype(np.float32)
        for file in (path, small):
            yield case(file.stem, PERCEPTRON_BATCHES, file, [("x", "f32", pool)])


def minilm(folder, case):
    """`folder` holds what export_minilm.py makes."""
    rng = np.random.default_rng(7)
    for tokens, batches in MINILM_BATCHES.items():
        ids = rng.integers(WORDS.start, WORDS.stop, size=(32, tokens))
        ids[:, 0], ids[:, -1] = 101, 102
        ones, zeros = np.ones_like(ids), np.zeros_like(ids)
        columns = [(n, "i64", a) for n, a in (("input_ids", ids), ("attention_mask", ones), ("token_type_ids", zeros))]
        for file, kind in (("minilm.onnx", ""), ("minilm_int8.onnx", " int8")):
            path = (folder / file).resolve()
            # Loading depends on no length, so it is timed once.
            loading = [0] if tokens == min(MINILM_BATCHES) else []
            yield case(f"minilm, {tokens} tokens{kind}", batches + loading, path, columns)
            if max(batches) > 1:
                threads = case(f"minilm, {tokens} tokens, 2 threads{kind}", [max(batches)], path, columns)
                yield threads | {"threads": 2}


def resnet50(case):
    """The graph that the package `onnx` ships, its weights replaced by constants."""
    path = pathlib.Path(onnx.__file__).parent / "backend/test/data/light/light_resnet50.onnx"
    if not path.exists():
        print(f"note: ResNet-50 is left out, {path} is not there")
        return
    graph = onnx.load(path).graph
    constants = {t.name for t in graph.initializer}
    name = next(i.name for i in graph.input if i.name not in constants)
    pool = np.random.default_rng(8).normal(size=(4, 3, 224, 224)).astype(np.float32)
    yield case("resnet-50", [1], path, [(name, "f32", pool)])


def cases(out, case, minilm_folder):
    """`case` writes one: its name, batches, file and columns."""
    yield from perceptrons(out, case)
    if minilm_folder:
        yield from minilm(minilm_folder, case)
    else:
        print("note: MiniLM is left out; make it with export_minilm.py and give its folder as --minilm")
    yield from resnet50(case)

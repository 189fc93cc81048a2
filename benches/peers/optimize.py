"""Holds what `modelberth quantize`, `prune` and `distill` write against onnxruntime.quantization, and runs every file
through ONNX Runtime.

usage: optimize.py MODELBERTH NETS OUT [--zoo ZOO] [--minilm DIR [--sentences FILE]]      (numpy onnx onnxruntime scikit-learn skl2onnx)

MODELBERTH is the binary, NETS the directory of `make_nets.py`, OUT a directory for the files, ZOO one with tree models, DIR that of
`export_minilm.py`, FILE an .npz of the ids of other sentences, as that writes them. Prints, layer by layer, the signal to noise
ratio in dB of both quantised models against the float one, as ONNX Runtime computes all three, and what the others come to;
at the end the figures with their bars. Every file written is run by ONNX Runtime, and those but MiniLM's by MODELBERTH too,
and the answers compared.
"""
import json, os, subprocess, sys, time
import numpy as np, onnx, onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

binary, nets, out = sys.argv[1:4]
minilm = sys.argv[sys.argv.index("--minilm") + 1] if "--minilm" in sys.argv else None
zoo = sys.argv[sys.argv.index("--zoo") + 1] if "--zoo" in sys.argv else None
sentences = sys.argv[sys.argv.index("--sentences") + 1] if "--sentences" in sys.argv else None
os.makedirs(out, exist_ok=True)
ort.set_default_logger_severity(4)


def session(model):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    # What is compared is what the file says, layer by layer; fusions would hide layers.
    return ort.InferenceSession(model, options)


def tapped(path, names, feed):
    model = onnx.load(path)
    have = {o.name for o in model.graph.output}
    given = {o for n in model.graph.node for o in n.output}
    names = [n for n in names if n in given]
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in have)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return dict(zip(names, ort.InferenceSession(model.SerializeToString(), options).run(names, feed)))


def sqnr(exact, approximate):
    noise = np.sum((exact.astype(np.float64) - approximate) ** 2)
    return 10 * np.log10(np.sum(exact.astype(np.float64) ** 2) / noise) if noise > 0 else np.inf


FIGURES = []


def figure(what, got, bar, held):
    """Keeps a figure of the table that ends the run."""
    FIGURES.append((what, got, bar, "held" if held else "MISSED"))


def agree(file, data):
    """How far our answers for a file are from ONNX Runtime's, relative to the largest; the share of equal classes."""
    done, _ = run("predict", file, "--input", data, "--output", f"{out}/answers.npz", "--ignore-extra")
    if done.returncode:
        return float("nan"), float("nan")
    theirs, ours = session(file), np.load(f"{out}/answers.npz")
    feed = {i.name: np.load(data)[i.name] for i in theirs.get_inputs()}
    scores = [(ours[o.name], a) for o, a in zip(theirs.get_outputs(), theirs.run(None, feed)) if a.dtype == np.float32]
    far = max(float(np.abs(x - y).max() / max(np.abs(y).max(), 1e-30)) for x, y in scores)
    same = min(float((x.reshape(len(x), -1).argmax(1) == y.reshape(len(y), -1).argmax(1)).mean()) for x, y in scores)
    print(f"{os.path.basename(file)}: ours and ONNX Runtime's answers differ by {far:.2e} of the largest, classes equal {same:.3f}")
    return far, same


def run(*args):
    began = time.perf_counter()
    done = subprocess.run([binary, *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        print("  FAILED", *args, done.stderr.strip()[-400:])
    return done, time.perf_counter() - began


def write_data(name, path):
    golden = np.load(f"{nets}/{name}.npz")
    np.savez(path, x=golden["in:x"], label=golden["label"])
    return golden


def compared(a, b, batch, data):
    done, _ = run("compare", a, b, "--data", data, "--label", "label", "--batch", batch, "--json")
    return json.loads(done.stdout) if not done.returncode else {}


class Reader(CalibrationDataReader):
    def __init__(self, x):
        self.batches = iter([{"x": x[i:i + 50]} for i in range(0, len(x), 50)])

    def get_next(self):
        return next(self.batches, None)


LAYERS = ("Gemm", "MatMul", "Conv", "LSTM", "GRU", "Gather")
for name in ["mlp", "cnn", "gru", "attn"]:
    path, data = f"{nets}/{name}.onnx", f"{out}/{name}_data.npz"
    golden = write_data(name, data)
    x, label = golden["in:x"], golden["label"]
    feed = {"x": x}
    graph = onnx.load(path).graph
    constant = {t.name for t in graph.initializer}
    layers = [n.output[0] for n in graph.node if n.op_type in LAYERS and n.input[-1 if n.op_type == "MatMul" else 1] in constant]
    exact = tapped(path, layers, feed)
    for target in ["int8-dynamic", "int8-static"]:
        theirs, ours = f"{out}/{name}_{target}_ort.onnx", f"{out}/{name}_{target}.onnx"
        if target == "int8-dynamic":
            quantize_dynamic(path, theirs, weight_type=QuantType.QInt8, per_channel=True)
        else:
            quantize_static(path, theirs, Reader(x), quant_format=QuantFormat.QDQ, per_channel=True)
        done, _ = run("quantize", path, ours, "--to", target, "--data", data, "--label", "label", "--report", f"{out}/{name}_{target}.json")
        if done.returncode:
            continue
        a, b = tapped(theirs, layers, feed), tapped(ours, layers, feed)
        report = {l["output"]: l["sqnr_db"] for l in json.load(open(f"{out}/{name}_{target}.json"))["layers"]}
        worst = -np.inf
        for layer in layers:
            one = sqnr(exact[layer], a[layer]) if layer in a else float("nan")
            other = sqnr(exact[layer], b[layer]) if layer in b else float("nan")
            verdict = "" if not one - other > 0.1 else "  BELOW"
            worst = max(worst, one - other) if np.isfinite(one - other) else worst
            told = report.get(layer)
            print(f"{name:5} {target:13} {layer:44} ORT {one:6.2f} dB  ours {other:6.2f} dB  (report {told and round(told, 2)}){verdict}")
        acc = {w: (session(f).run(None, feed)[0].argmax(1) == label).mean() for w, f in [("float", path), ("ort", theirs), ("ours", ours)]}
        size = {w: os.path.getsize(f) for w, f in [("float", path), ("ort", theirs), ("ours", ours)]}
        print(f"{name:5} {target:13} accuracy {acc}  bytes {size}")
        figure(f"{name} {target}: the layer furthest below onnxruntime.quantization", f"{worst:.2f} dB", "<= 0.1 dB", worst <= 0.1)
        if name == "cnn" and target == "int8-static":
            found = compared(path, ours, 64, data)["metric"]
            figure("cnn int8-static: accuracy lost", f"{100 * found['drop']:.2f} points", "<= 0.5", found["drop"] <= 0.005)
        agree(ours, data)
    for target in ["int8-weights", "int4-weights", "f16", "bf16"]:
        for form in [None] + (["n-bits", "blocked-qdq"] if target.startswith("int") and name in ("mlp", "attn") else []):
            file = f"{out}/{name}_{target}_{form}.onnx"
            args = ["quantize", path, file, "--to", target, "--data", data, "--label", "label"] + (["--form", form] if form else [])
            done, _ = run(*args)
            if done.returncode:
                continue
            got, want = session(file).run(None, feed)[0], session(path).run(None, feed)[0]
            same = (got.argmax(1) == want.argmax(1)).mean()
            agree(file, data)
            print(f"{name:5} {target:13} {form or 'default':12} SQNR {sqnr(want, got):6.2f} dB, classes equal {same:.3f}, bytes {os.path.getsize(file)}")

    for share in [0.25, 0.5]:
        file = f"{out}/{name}_pruned_{share}.onnx"
        done, _ = run("prune", path, file, "--kind", "structured", "--share", share, "--data", data)
        if not done.returncode:
            got = session(file).run(None, feed)[0]
            agree(file, data)
            print(f"{name:5} structured    {share:4} accuracy {(got.argmax(1) == label).mean():.3f}, bytes {os.path.getsize(file)}")

digits = f"{out}/digits.npz", f"{out}/held.npz"


def prepare_digits():
    """scikit-learn's digits in [0, 1], 1,400 unlabelled ones to learn from and 397 labelled ones to judge by; a forest."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype(np.float32), y[order]
    for path, part in zip(digits, [slice(0, 1400), slice(1400, None)]):
        np.savez(path, x=x[part], **({"label": y[part]} if path == digits[1] else {}))
    forest = RandomForestClassifier(200, random_state=0).fit(x[:1400], y[:1400])
    with open(f"{out}/forest.onnx", "wb") as file:
        model = to_onnx(forest, x[:1], options={id(forest): {"zipmap": False}}, target_opset=17)
        model.graph.input[0].name = "x"
        for node in model.graph.node:
            node.input[:] = ["x" if name == "X" else name for name in node.input]
        file.write(model.SerializeToString())


def told(name, found):
    change = found.get("latency") or {}
    before, after = (change.get(k) for k in ("before_ns_per_row", "after_ns_per_row"))
    faster = before / after if after else 0
    print(f"{name}: metric {found.get('metric')}, ns a row {before} to {after}, {faster:.2f} times as fast")
    return (found.get("metric") or {}), faster


prepare_digits()
small = f"{out}/mlp_half.onnx"
run("prune", f"{nets}/mlp.onnx", small, "--kind", "structured", "--share", 0.5, "--data", digits[0])
metric, faster = told("mlp, half its units, batch 256", compared(f"{nets}/mlp.onnx", small, 256, digits[1]))
figure("half the units of the MLP: accuracy lost", f"{100 * metric['drop']:.2f} points", "<= 1", metric["drop"] <= 0.01)
figure("half the units of the MLP: batch 256", f"{faster:.2f} times as fast", ">= 1.7", faster >= 1.7)
student = f"{out}/student.onnx"
run("distill", f"{out}/forest.onnx", student, "--to", "mlp", "--hidden", 32, "--data", digits[0])
print("forest", os.path.getsize(f"{out}/forest.onnx"), "bytes, student", os.path.getsize(student), "bytes")
for batch in [1, 256]:
    metric, faster = told(f"200 trees to a perceptron, batch {batch}", compared(f"{out}/forest.onnx", student, batch, digits[1]))
    figure(f"200 trees to a perceptron: batch {batch}", f"{faster:.1f} times as fast", ">= 10", faster >= 10)
share = metric["after"]["value"] / metric["before"]["value"]
figure("200 trees to a perceptron: share of the teacher's accuracy", f"{share:.4f}", ">= 0.98", share >= 0.98)
figure("200 trees to a perceptron: bytes", os.path.getsize(student), "<= 20,000", os.path.getsize(student) <= 20_000)
for file in [small, student]:
    held = np.load(digits[1])
    agree(file, digits[1])
    theirs = session(file)
    answer = theirs.run(None, {theirs.get_inputs()[0].name: held["x"]})
    labels = next((a for a in answer if a.ndim == 1 and a.dtype == np.int64), answer[-1].argmax(-1))
    print(f"{os.path.basename(file)} through ONNX Runtime: accuracy {(labels == held['label']).mean():.4f}")


def binned():
    """The forest, and what trees the zoo has, in bins of a byte and in nodes with float thresholds: bytes and ns a row."""
    import re
    named = lambda file: re.search("AdaBoost|ExtraTree|RandomForest|lgb_|xgb_", file)
    files = [f"{out}/forest.onnx"] + ([f"{zoo}/{f}" for f in sorted(os.listdir(zoo)) if named(f) and not f.endswith(".npz")] if zoo else [])
    ratios = []
    for file in files:
        done, _ = run("inspect", file, "--tree-engine", "bit-vector", "--json")
        sizes = re.findall(r"(\d+) bytes of u8 bins in place of (\d+)", done.stdout)
        if not sizes:
            print(f"{os.path.basename(file)}: no trees that bins hold")
            continue
        small, plain = (sum(map(int, of)) for of in zip(*sizes))
        times = {engine: [] for engine in ["bit-vector", "walk"]}
        for _ in range(9):
            for engine, found in times.items():
                done, _ = run("bench", file, "--tree-engine", engine, "--batch", "1000", "--seconds", "0.1", "--json")
                found.append(json.loads(done.stdout.splitlines()[0])["ns_per_row"]["median"])
        bins, floats = (float(np.median(found)) for found in times.values())
        ratios.append(bins / floats)
        print(f"{os.path.basename(file)}: {small} bytes in bins, {plain} with floats, {small / plain:.2f}; {bins} and {floats} ns a row, {bins / floats:.2f}")
        if file == files[0]:
            figure("200 trees in bins: bytes of nodes", f"{100 * small / plain:.0f} %", "<= 50 %", small <= plain / 2)
            figure("200 trees in bins: time by that of float thresholds", f"{bins / floats:.2f}", "<= 1", bins <= floats)
    if zoo:
        mean = float(np.exp(np.mean(np.log(ratios))))
        figure(f"{len(ratios)} models in bins: time by that of float thresholds, mean", f"{mean:.2f}", "<= 1", mean <= 1)


binned()
if minilm:
    texts = np.load(sentences or f"{minilm}/minilm.npz")
    feed = {k[3:]: texts[k] for k in texts.files if k.startswith("in:")}
    mask = feed["attention_mask"][..., None]
    batches = [{k: v[i:i + 10] for k, v in feed.items()} for i in range(0, len(mask), 10)]

    def embed(path):
        """Mean-pooled embeddings, ten sentences at a time, and the seconds of the fastest of three runs."""
        net, best = session(path), np.inf
        for _ in range(3):
            began = time.perf_counter()
            h = np.concatenate([net.run(None, batch)[0] for batch in batches])
            best = min(best, time.perf_counter() - began)
        s = (h * mask).sum(1) / np.maximum(mask.sum(1), 1)
        return s / np.linalg.norm(s, axis=1, keepdims=True), best

    base, seconds = embed(f"{minilm}/minilm.onnx")
    whole = os.path.getsize(f"{minilm}/minilm.onnx")
    print(f"{len(base)} sentences; f32 {seconds:.3f} s")
    theirs, peer_seconds = embed(f"{minilm}/minilm_int8.onnx")
    print(f"ORT's int8 file: cosine {(theirs * base).sum(1).mean():.5f}, {peer_seconds:.3f} s")
    for target, extra in [("int8-dynamic", []), ("int8-dynamic", ["--weights-alone"]), ("int8-dynamic", ["--reduce-range"]),
                          ("int4-weights", []), ("int4-weights", ["--weights-alone"])]:
        file = f"{out}/minilm_{target}{''.join(extra)}.onnx"
        done = subprocess.run(["/usr/bin/time", "-v", binary, "quantize", f"{minilm}/minilm.onnx", file, "--to", target, *extra, "--report", f"{out}/minilm_{target}.json"], capture_output=True, text=True)
        told = {l.split(": ")[0].strip(): l.split(": ")[-1] for l in done.stderr.splitlines() if ": " in l}
        layers = json.load(open(f"{out}/minilm_{target}.json"))["layers"]
        ours, seconds = embed(file)
        cos = (ours * base).sum(1)
        weights = sum(l["bytes_after"] for l in layers) / sum(l["bytes_before"] for l in layers)
        print(f"minilm {target} {' '.join(extra)}: bytes {os.path.getsize(file) / whole:.4f}, quantised weights {weights:.4f}, cosine mean {cos.mean():.5f} "
              f"least {cos.min():.5f}, {seconds:.3f} s, quantised in {told.get('Elapsed (wall clock) time (h:mm:ss or m:ss)')}, peak "
              f"{int(told.get('Maximum resident set size (kbytes)', 0)) * 1024 / whole:.2f} times the file")
        label, peak = f"MiniLM {' '.join([target, *extra])}", int(told.get("Maximum resident set size (kbytes)", 0)) * 1024 / whole
        took = sum(float(part) * 60 ** i for i, part in enumerate(reversed(told["Elapsed (wall clock) time (h:mm:ss or m:ss)"].split(":"))))
        if not extra:
            figure(f"{label}: quantised in", f"{took:.1f} s", "<= 10 s", took <= 10)
            figure(f"{label}: peak memory", f"{peak:.2f} times the file", "<= 3", peak <= 3)
            if target == "int8-dynamic":
                share = os.path.getsize(file) / whole
                figure(f"{label}: bytes", f"{100 * share:.1f} %", "<= 26 %", share <= 0.26)
                figure(f"{label}: mean cosine", f"{cos.mean():.4f}", ">= 0.995", cos.mean() >= 0.995)
                figure(f"{label}: time by ONNX Runtime's own int8 file", f"{seconds / peer_seconds:.2f}", "<= 1", seconds <= peer_seconds)
            else:
                figure(f"{label}: bytes of the quantised weights", f"{100 * weights:.1f} %", "<= 14 %", weights <= 0.14)
                figure(f"{label}: mean cosine", f"{cos.mean():.4f}", ">= 0.97", cos.mean() >= 0.97)

print()
for row in FIGURES:
    print("| " + " | ".join(map(str, row)) + " |")

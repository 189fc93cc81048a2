"""Holds the operators of a network against those of ONNX Runtime, kind by kind, and the memory of both.

usage: layers.py MODELBERTH FILE DATA [--seconds S] [--json OUT]          (numpy onnxruntime)

MODELBERTH is the binary, FILE an ONNX network, DATA an .npz of its inputs, which is one batch. Both run it on one thread,
in turns, and tell what each operator takes; since both make one of several nodes, and not of the same ones, times are summed by
what the operators do. Prints a table of microseconds a call, and the most memory that loading and ten calls took.
"""
import json, os, subprocess, sys, tempfile
import numpy as np

KINDS = [
    ("matrix products", ["MatMul", "Gemm", "FusedMatMul", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm", "MatMulNBits", "Linear"]),
    ("convolutions", ["Conv", "FusedConv", "NhwcFusedConv", "QLinearConv", "ConvInteger"]),
    ("attention", ["Attention", "MultiHeadAttention", "QAttention", "Softmax", "ScaledAttention", "QLinearSoftmax"]),
    ("normalisation", ["LayerNormalization", "SkipLayerNormalization", "SimplifiedLayerNormalization", "BatchNormalization", "Norm"]),
    ("activations", ["Gelu", "BiasGelu", "FastGelu", "QuickGelu", "Erf", "Relu", "Tanh", "Sigmoid", "Clip"]),
    ("pools", ["MaxPool", "AveragePool", "GlobalAveragePool", "QLinearGlobalAveragePool"]),
    ("recurrent", ["LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"]),
    ("quantising", ["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"]),
    ("look-ups", ["Gather", "EmbedLayerNormalization", "QEmbedLayerNormalization"]),
    ("layout", ["Reshape", "Transpose", "Concat", "Split", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Expand", "ReorderInput", "ReorderOutput", "Shape"]),
]
REST = "the rest"


def kind(operator):
    return next((name for name, operators in KINDS if operator in operators), REST)


def ours(binary, file, data, rows, seconds):
    done = subprocess.run([binary, "bench", file, "--input", data, "--batch", str(rows), "--seconds", str(seconds), "--operators", "--json", "--backend", "native"],
                          capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    told, sums = json.loads(done.stdout), {}
    for operator in told["operators"]:
        # Of several in one, `MatMul 'a' + Add 'b'`, the first does the work.
        sums.setdefault(kind(operator["operator"].split()[0]), []).append(operator["median_us"])
    return {k: sum(v) for k, v in sums.items()}, told["ns_per_row"]["median"] * rows / 1e3


def theirs(file, data, seconds):
    import time
    import onnxruntime as ort

    def session(profile):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        if profile:
            options.enable_profiling, options.profile_file_prefix = True, f"{tempfile.mkdtemp()}/ort"
        return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def calls(net):
        feed = {i.name: np.load(data)[i.name] for i in net.get_inputs()}
        net.run(None, feed)
        times, began = [], time.perf_counter()
        while not times or time.perf_counter() - began < seconds:
            start = time.perf_counter()
            net.run(None, feed)
            times.append((time.perf_counter() - start) * 1e6)
        return times

    whole = float(np.median(calls(session(False))))
    net = session(True)
    calls(net)
    samples, sums = {}, {}
    for event in json.load(open(net.end_profiling())):
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            samples.setdefault((event["args"]["op_name"], event["name"]), []).append(event["dur"])
    for (operator, _), durations in samples.items():
        sums[kind(operator)] = sums.get(kind(operator), 0) + float(np.median(durations))
    return sums, whole


def peak_of_ours(binary, file, data):
    out = f"{tempfile.mkdtemp()}/answers.npz"
    code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    done = subprocess.run([sys.executable, "-c", code, binary, "predict", file, "--input", data, "--output", out, "--backend", "native"], capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / 1024 if not done.returncode else sys.exit(done.stderr)


def peak_of_theirs(file, data):
    """Of a process that has the library loaded already: what it took more than before."""
    code = """if True:
        import resource, sys
        import numpy as np, onnxruntime as ort
        feed = dict(np.load(sys.argv[2]))
        before = int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1])
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        net = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
        for _ in range(10):
            net.run(None, {i.name: feed[i.name] for i in net.get_inputs()})
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, before)"""
    done = subprocess.run([sys.executable, "-c", code, file, data], capture_output=True, text=True)
    most, before = map(int, done.stdout.split()) if not done.returncode else sys.exit(done.stderr)
    return (most - before) / 1024


if __name__ == "__main__":
    binary, file, data = sys.argv[1:4]
    seconds = float(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 1.0
    rows = len(next(iter(np.load(data).values())))
    a, b = [], []
    for _ in range(3):
        a.append(ours(binary, file, data, rows, seconds / 2))
        b.append(theirs(file, data, seconds / 2))
    middle = lambda found, k: float(np.median([sums.get(k, 0) for sums, _ in found]))
    kinds = [k for k in [name for name, _ in KINDS] + [REST] if max(middle(a, k), middle(b, k)) > 0]
    table = [(k, middle(a, k), middle(b, k)) for k in kinds]
    table.append(("a call", *(float(np.median([whole for _, whole in found])) for found in (a, b))))
    print(f"{os.path.basename(file)}, {rows} rows of {data}, us")
    print("| what | modelberth | ONNX Runtime | ratio |\n|---|---|---|---|")
    for name, x, y in table:
        print(f"| {name} | {x:.0f} | {y:.0f} | {x / y:.2f} |" if y else f"| {name} | {x:.0f} | 0 | |")
    memory = peak_of_ours(binary, file, data), peak_of_theirs(file, data)
    print(f"most memory: modelberth {memory[0]:.0f} MiB, the whole process; ONNX Runtime {memory[1]:.0f} MiB more than before it was asked; {memory[0] / memory[1]:.2f}")
    if "--json" in sys.argv:
        json.dump({"us": table, "peak_mib": memory}, open(sys.argv[sys.argv.index("--json") + 1], "w"))

"""Makes `sample.zip`: cases of ONNX's own test suite, as many as fit, so that every operator has some.

    python sample.py DIRECTORY    # onnx/backend/test/data of the package onnx 1.22.0

The cases are those of the package (Apache-2.0), unchanged. Small ones come first; those written in other operators and
those of types that are not carried are left out.
"""

import collections
import os
import sys
import zipfile

import onnx

HERE = os.path.dirname(os.path.abspath(__file__))
MOST_BYTES = 470_000
# Signals whose answers were rounded in single precision, and answers drawn at random.
LEFT_OUT = ("test_dft_inverse", "test_bernoulli", "test_training_dropout", "test_image_decoder", "test_gradient")
CARRIED = set(range(1, 14)) | {16}


def files(directory):
    for root, _, names in sorted(os.walk(directory)):
        yield from (os.path.join(root, name) for name in sorted(names))


def carried(model):
    values = list(model.graph.input) + list(model.graph.output)
    return all(v.type.WhichOneof("value") == "tensor_type" and v.type.tensor_type.elem_type in CARRIED for v in values)


def main(data):
    by_operator = collections.defaultdict(list)
    for kind in ("node", "simple"):
        for name in sorted(os.listdir(os.path.join(data, kind))):
            case = os.path.join(data, kind, name)
            if "expanded" in name or name.startswith(LEFT_OUT):
                continue
            model = onnx.load(os.path.join(case, "model.onnx"))
            if carried(model):
                size = sum(os.path.getsize(f) for f in files(case))
                by_operator[model.graph.node[0].op_type].append((size, f"{kind}/{name}"))
    for cases in by_operator.values():
        cases.sort()
    # The smallest of each operator, then the second smallest of each, and so on.
    rounds = max(len(cases) for cases in by_operator.values())
    order = [by_operator[op][i] for i in range(rounds) for op in sorted(by_operator) if i < len(by_operator[op])]
    path = os.path.join(HERE, "sample.zip")
    taken = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for size, name in order:
            if size > 20_000:
                continue
            for file in files(os.path.join(data, name)):
                entry = zipfile.ZipInfo(os.path.relpath(file, data), date_time=(2026, 1, 1, 0, 0, 0))
                with open(file, "rb") as content:
                    archive.writestr(entry, content.read(), zipfile.ZIP_DEFLATED)
            taken += 1
            if archive.fp.tell() + 180 * len(archive.filelist) > MOST_BYTES:
                break
    print(taken, "of", len(order), "cases,", len(by_operator), "operators,", os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main(sys.argv[1])

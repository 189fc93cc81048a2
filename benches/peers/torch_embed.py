"""PyTorch's time for what `benches/embed.rs` measures, on one thread.

usage: torch_embed.py MODEL      (torch transformers)
"""
import sys, time
import numpy as np, torch
from transformers import AutoModel

torch.set_num_threads(1)
for attention in ["sdpa", "eager"]:
    net = AutoModel.from_pretrained(sys.argv[1], attn_implementation=attention).eval()
    for m, n in [(8, 128), (1, 128), (1, 16), (32, 16)]:
        i, j = np.mgrid[:m, :n]
        ids = torch.tensor(1000 + (i * 131 + j * 17) % 20000)
        times = []
        with torch.inference_mode():
            for _ in range(16):
                start = time.perf_counter()
                net(input_ids=ids, attention_mask=torch.ones_like(ids))
                times.append(time.perf_counter() - start)
        times = sorted(times[1:])
        print(f"{attention:6} tokens {m:3} x {n:<4} median {1e3 * times[len(times) // 2]:8.2f}ms  least {1e3 * times[0]:8.2f}ms")

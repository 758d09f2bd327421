#!/usr/bin/env bash
# torch: on a CPU a bool tensor is cast to floats several times as slowly as the same bytes.
#
# Guess: a bool is a byte, so both casts take the same time.
# Seen:  torch 2.13.0, AVX-512: bool to float32 takes 7 times as long as the same memory seen as uint8, and a product of
#        float32 with a bool mask 4.7 times as long as one of two float tensors, since the mask is cast on the way. Tensors
#        beyond the cache: 4 and 3 times.
# Use:   mask.view(torch.uint8).to(x.dtype) * x.
#
# Ends with 0 while that is so: the values are equal, and the cast takes at least 3 times as long.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0
OMP_NUM_THREADS=1 "$folder/env/bin/python" -W ignore - <<'PYTHON'
import time

import torch

print("torch", torch.__version__, torch.backends.cpu.get_cpu_capability())
torch.manual_seed(0)
x, y = torch.randn(2, 100_000)
mask = torch.rand(100_000) < 0.8
seen = mask.view(torch.uint8)
assert torch.equal(mask.float(), seen.float())
assert torch.equal(x * mask, x * seen.float())
steps = {
    "bool to float": mask.float, "bytes to float": seen.float,
    "float times bool": lambda: x * mask, "float times float": lambda: x * y,
}
best = dict.fromkeys(steps, float("inf"))
for _ in range(300):
    for name, step in steps.items():
        started = time.thread_time()
        step()
        best[name] = min(best[name], time.thread_time() - started)
cast = best["bool to float"] / best["bytes to float"]
product = best["float times bool"] / best["float times float"]
print(f"cast: bool over bytes {cast:.1f}; product: with a bool over with a float {product:.1f}")
assert cast >= 3
PYTHON
echo "as described"

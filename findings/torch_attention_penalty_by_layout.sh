#!/usr/bin/env bash
# torch: on the CPU, whether a gradient penalty goes through scaled_dot_product_attention depends on how queries lie in memory.
#
# Guess: the fused attention has a second derivative or has none, for all inputs of a shape.
# Seen:  torch 2.13.0: with queries, keys and values from a 1x1 convolution in the ordinary layout, the penalty's gradient
#        comes and agrees with finite differences; with the same convolution in channels_last, or from a Linear layer, it
#        ends in a RuntimeError that names scaled_dot_product_flash_attention_for_cpu_backward. So a discriminator
#        with R1 trains until somebody adds .to(memory_format=torch.channels_last).
# Use:   sdpa_kernel(SDPBackend.MATH) around a step with a penalty.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

print("torch", torch.__version__)


def penalty(inputs, layer, layout):
    """Squared norm of the gradient of a score that goes through attention over 16 positions."""
    features = inputs.to(memory_format=layout)
    if isinstance(layer, torch.nn.Conv2d):
        parts = [part.flatten(2).reshape(2, 2, 4, 16).transpose(-1, -2) for part in layer(features).chunk(3, 1)]
    else:
        rows = layer(features.flatten(2).transpose(1, 2))
        parts = [part.reshape(2, 16, 2, 4).transpose(1, 2) for part in rows.chunk(3, -1)]
    score = F.scaled_dot_product_attention(*parts).square().sum()
    (gradient,) = torch.autograd.grad(score, inputs, create_graph=True)
    return gradient.square().sum()


def slopes(layer, layout):
    """Derivative of the penalty along one direction, by autograd and by central differences, in double precision."""
    torch.manual_seed(0)
    inputs = torch.randn(2, 8, 4, 4, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(2, 8, 4, 4, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(penalty(inputs, layer, layout), inputs)
    ends = [penalty((inputs.detach() + s * 1e-5 * direction).requires_grad_(), layer, layout) for s in (1, -1)]
    return float((gradient * direction).sum()), float(ends[0] - ends[1]) / 2e-5


torch.manual_seed(1)
layers = {"1x1 convolution": torch.nn.Conv2d(8, 24, 1).double(), "Linear": torch.nn.Linear(8, 24).double()}
layouts = {"ordinary layout": torch.contiguous_format, "channels_last": torch.channels_last}
for name, layer in layers.items():
    for place, layout in layouts.items():
        try:
            exact, measured = slopes(layer, layout)
            outcome = f"{exact:.6f}, finite differences {measured:.6f}"
            assert abs(exact - measured) < 1e-4 * abs(exact), outcome
            works = True
        except RuntimeError as error:
            outcome = f"RuntimeError, {str(error).split('.')[0]}"
            works = False
            assert "scaled_dot_product_flash_attention_for_cpu_backward" in str(error)
        print(f"{name}, {place}: {outcome}")
        assert works == (name == "1x1 convolution" and place == "ordinary layout")
        with sdpa_kernel(SDPBackend.MATH):
            exact, measured = slopes(layer, layout)
        assert abs(exact - measured) < 1e-4 * abs(exact)
PYTHON
echo "as described"

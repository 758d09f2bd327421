#!/usr/bin/env bash
# diffusers: from_pipe changes the weights of the pipeline that it is given.
#
# Guess: a second pipeline over the components of a first one leaves the first alone; dtype= is that of the second.
# Seen:  diffusers 0.42.1 shares the networks and then casts them, to float32 unless dtype says otherwise. A first pipeline
#        loaded in bfloat16 is in float32 afterwards, twice its size; and one in float32 whose sibling is asked for in
#        bfloat16 has its own weights rounded, which no cast back repairs: what it draws differs from before.
# Use:   build the sibling by its constructor, Sibling(**first.components), which casts nothing.
#
# Known there as issue 12754. Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check diffusers==0.42.1 numpy==2.4.6
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import diffusers
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel

torch.manual_seed(0)


def first(dtype):
    unet = UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    pipe = DDPMPipeline(unet.to(dtype), DDPMScheduler())
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn(pipe):
    generator = torch.Generator().manual_seed(0)
    return torch.from_numpy(pipe(generator=generator, num_inference_steps=2, output_type="np").images)


print("diffusers", diffusers.__version__)
half = first(torch.bfloat16)
DDIMPipeline.from_pipe(half, scheduler=DDIMScheduler())
print("loaded in bfloat16, after from_pipe of a sibling:", half.unet.dtype)
assert half.unet.dtype == torch.float32

full = first(torch.float32)
weights, before = {name: value.clone() for name, value in full.unet.state_dict().items()}, drawn(full)
sibling = DDIMPipeline(**full.components | {"scheduler": DDIMScheduler()})
assert sibling.unet is full.unet and full.unet.dtype == torch.float32 and torch.equal(drawn(full), before)
DDIMPipeline.from_pipe(full, scheduler=DDIMScheduler(), dtype=torch.bfloat16)
print("in float32, after from_pipe(dtype=bfloat16) of a sibling:", full.unet.dtype)
assert full.unet.dtype == torch.bfloat16
full.to(torch.float32)
lost = sum(int((value != weights[name]).sum()) for name, value in full.unet.state_dict().items())
moved = float((drawn(full) - before).abs().max())
print(f"cast back, {lost} of {sum(map(torch.numel, weights.values()))} weights differ, its pictures by up to {moved:.4f}")
assert lost > 0 and moved > 1e-4
PYTHON
echo "as described"

#!/usr/bin/env bash
# diffusers: a model that EMAModel saves has the averaged weights and the buffers of a new model.
#
# Guess: save_pretrained writes the trained model with averaged parameters in place of its own, so that running
#        statistics come along, averaged or not.
# Seen:  diffusers 0.42.1 builds a new model from the configuration, copies the parameters in and saves that: buffers are
#        those of the constructor. AutoencoderKLFlux2 normalises its latents by the running mean and variance of a
#        BatchNorm without parameters; after EMAModel they are 0 and 1 again. No warning at saving, none at loading.
#        store / copy_to / restore around the model's own save_pretrained keeps them.
# Use:   copy_to the trained model, save that, restore.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check diffusers==0.42.1 numpy==2.4.6
"$folder/env/bin/python" -W ignore - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKLFlux2
from diffusers.training_utils import EMAModel

print("diffusers", diffusers.__version__)
folder = Path(sys.argv[1])
torch.manual_seed(0)
model = AutoencoderKLFlux2(
    block_out_channels=(32,), down_block_types=("DownEncoderBlock2D",), up_block_types=("UpDecoderBlock2D",),
    layers_per_block=1, latent_channels=4, norm_num_groups=8, sample_size=16,
)
model.train()
latents = 0.3 + 2 * torch.randn(4096, model.bn.num_features, 1, 1)
for _ in range(100):
    model.bn(latents)
ema = EMAModel(model.parameters(), model_cls=AutoencoderKLFlux2, model_config=model.config)
ema.step(model.parameters())

ema.save_pretrained(folder / "ema")
ema.store(model.parameters())
ema.copy_to(model.parameters())
model.save_pretrained(folder / "own")
ema.restore(model.parameters())

print(f"trained: mean {model.bn.running_mean.mean():.2f}, variance {model.bn.running_var.mean():.2f}")
means = {}
for name in ("ema", "own"):
    saved = AutoencoderKLFlux2.from_pretrained(folder / name)
    same = all(torch.equal(a, b) for a, b in zip(saved.parameters(), model.parameters()))
    means[name] = saved.bn.running_mean.mean().item(), saved.bn.running_var.mean().item()
    print(f"{name}: parameters equal {same}, mean {means[name][0]:.2f}, variance {means[name][1]:.2f}")
    assert same
assert means["ema"] == (0, 1) and abs(means["own"][0] - 0.3) < 0.05 and abs(means["own"][1] - 4) < 0.3
PYTHON
echo "as described"

#!/usr/bin/env bash
# diffusers: what save_lora_adapter writes, load_lora_adapter does not load, and says that this is safe to ignore.
#
# Guess: the two methods of one model are each other's inverse.
# Seen:  diffusers 0.42.1: the file has the names of the network's layers; loading looks for names that begin with
#        "transformer.", its default prefix, in a U-Net too, finds none and returns. A logged warning calls it safe to
#        ignore; there is no error, no adapter, and outputs are those of the base. prefix=None loads all of it.
# Use:   load_lora_adapter(..., prefix=None), and assert that peft_config is there afterwards.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check \
    diffusers==0.42.1 peft==0.21.2 transformers==5.23.0 numpy==2.4.6
"$folder/env/bin/python" -W ignore - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import diffusers
import peft
import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig
from safetensors.torch import load_file

print("diffusers", diffusers.__version__, "peft", peft.__version__)
folder, name = Path(sys.argv[1]) / "adapter", "pytorch_lora_weights.safetensors"


def unet():
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8, in_channels=3, out_channels=3, block_out_channels=(8, 8), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8, attention_head_dim=4, norm_num_groups=4,
    ).eval()  # fmt: skip


def output(model):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(1, 3, 8, 8, generator=generator), torch.tensor([1]), torch.randn(1, 2, 8, generator=generator)
    with torch.no_grad():
        return model(*inputs).sample


trained = unet()
trained.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
trained.save_lora_adapter(folder)
print("saved", len(load_file(folder / name)), "tensors, the first", min(load_file(folder / name)))
base, ours = output(unet()), output(trained)
assert (ours - base).abs().max() > 0.01
for prefix in ("the default", None):
    model = unet()
    model.load_lora_adapter(folder, weight_name=name, **({} if prefix else {"prefix": None}))
    adapters = list(getattr(model, "peft_config", {}))
    found = output(model)
    print(f"prefix {prefix}: adapters {adapters}, {(found - ours).abs().max():.4f} from the trained, {(found - base).abs().max():.4f} from the base")
    assert bool(adapters) is (prefix is None)
    assert torch.equal(found, base if prefix else ours)
PYTHON
echo "as described"

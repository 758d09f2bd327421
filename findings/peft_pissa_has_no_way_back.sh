#!/usr/bin/env bash
# peft: with PiSSA or OLoRA neither disable_adapter nor unload gives the base model back, even before the first step of training.
#
# Guess: an adapter stands beside the weights, whatever it starts from: disabled, or unloaded without a merge, it leaves
#        the model as it came.
# Seen:  peft 0.21.2: both take their start out of the base weights, so that the sum is right and the base alone is
#        another network; outputs of order 1 move by tenths, with the context manager and after unload(), and no
#        warning says so. True, "gaussian" and "orthogonal" do give the base back. save_pretrained with
#        path_initial_model_for_weight_conversion makes a plain LoRA of the trained adapter; nothing restores the base.
# Use:   another start where the base is needed again: as a reference, as a teacher, for a second adapter.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check peft==0.21.2 transformers==5.23.0 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import warnings

import peft
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

print("peft", peft.__version__)


def base():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 4))


x = torch.randn(256, 16, generator=torch.Generator().manual_seed(0))
expected = base()(x).detach()
print(f"outputs have deviation {expected.std():.2f}")
for start in (True, "gaussian", "orthogonal", "pissa", "olora"):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = get_peft_model(base(), LoraConfig(r=4, target_modules=["0", "2"], init_lora_weights=start))
        on = (model(x) - expected).abs().max().item()
        with model.disable_adapter():
            disabled = (model(x) - expected).abs().max().item()
        unloaded = (model.unload()(x) - expected).abs().max().item()
    print(f"{start}: on {on:.6f}, disabled {disabled:.3f}, unloaded {unloaded:.3f} from the base")
    assert on < 1e-5
    for moved in (disabled, unloaded):
        assert moved > 0.1 if start in ("pissa", "olora") else moved < 1e-5, (start, moved)
PYTHON
echo "as described"

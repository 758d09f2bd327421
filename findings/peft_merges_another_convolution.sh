#!/usr/bin/env bash
# peft: LoRA on a dilated or circular convolution is another function after merge_and_unload, without a word.
#
# Guess: the low-rank convolution has the settings of the layer that it stands beside, so that merging changes rounding
#        only, as it does for plain convolutions.
# Seen:  peft 0.21.2 copies kernel size, stride and padding, neither dilation nor padding mode. Conv1d with dilation=2 and
#        padding="same" trains an undilated update (kernel 3 in place of 5 positions), and the merged weight applies it
#        dilated; Conv2d the same; padding_mode="circular" pads the update with zeros. Outputs move by more than 1 where
#        plain convolutions move by 1e-6. With numeric padding a dilated layer raises a RuntimeError about sizes instead.
# Use:   adapt the projections beside such layers, or train and save the adapter without ever merging it.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check peft==0.21.2 numpy==2.4.6
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import peft
import torch
from torch import nn

CASES = {
    "Conv1d, plain": (nn.Conv1d(8, 8, 3, padding="same"), (1, 8, 32)),
    "Conv1d, dilation=2": (nn.Conv1d(8, 8, 3, padding="same", dilation=2), (1, 8, 32)),
    "Conv2d, dilation=2": (nn.Conv2d(8, 8, 3, padding="same", dilation=2), (1, 8, 16, 16)),
    "Conv1d, circular": (nn.Conv1d(8, 8, 3, padding=1, padding_mode="circular"), (1, 8, 32)),
}
print("peft", peft.__version__, "torch", torch.__version__)
moved = {}
for case, (layer, shape) in CASES.items():
    torch.manual_seed(0)
    config = peft.LoraConfig(r=4, target_modules=["0"], init_lora_weights=False)
    model = peft.get_peft_model(nn.Sequential(layer), config).eval()
    low_rank = model.base_model.model[0].lora_A["default"]
    assert set(low_rank.dilation) == {1} and low_rank.padding_mode == "zeros", case
    inputs = torch.randn(shape)
    with torch.no_grad():
        before = model(inputs)
        after = model.merge_and_unload()(inputs)
    moved[case] = float((after - before).abs().max())
    print(f"{case}: merging moves the output by up to {moved[case]:.1e}, of {float(before.abs().max()):.1f}")
assert moved.pop("Conv1d, plain") < 1e-5
assert all(value > 0.5 for value in moved.values()), moved

torch.manual_seed(0)
config = peft.LoraConfig(r=4, target_modules=["0"])
model = peft.get_peft_model(nn.Sequential(nn.Conv1d(8, 8, 3, padding=2, dilation=2)), config)
try:
    model(torch.randn(1, 8, 32))
except RuntimeError as error:
    print("padding=2, dilation=2:", error)
else:
    raise AssertionError("a dilated layer with numeric padding runs now")
PYTHON
echo "as described"

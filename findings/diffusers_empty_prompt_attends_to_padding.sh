#!/usr/bin/env bash
# diffusers: a prompt whose every token is masked attends to its padding exactly as if nothing were masked.
#
# Guess: encoder_attention_mask with a row of zeros takes the text away, as the masking of single tokens does.
# Seen:  diffusers 0.42.1 turns the mask into 0 and -10000 and adds it to the scores; a softmax does not see what all of
#        a row have in common. UNet2DConditionModel gives the masked row the output that it gives without any mask, and
#        that output moves when the values under the mask do. A row with one token left is right.
# Use:   keep one real token in every row (a learnt one for "no text"), or set the states of such rows to zero.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check diffusers==0.42.1 transformers==5.23.0 numpy==2.4.6
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import diffusers
import torch
from diffusers import UNet2DConditionModel

torch.manual_seed(0)
unet = UNet2DConditionModel(
    sample_size=8,
    in_channels=3,
    out_channels=3,
    block_out_channels=(8, 8),
    layers_per_block=1,
    norm_num_groups=4,
    attention_head_dim=4,
    cross_attention_dim=8,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
).eval()
images, states = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 8)
mask = torch.tensor([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.bool)
other = torch.where(mask[..., None], states, states + 3)  # differs only under the mask


@torch.no_grad()
def moved(first, second):
    outputs = [unet(images, 10, encoder_hidden_states=s, encoder_attention_mask=m).sample for s, m in (first, second)]
    return (outputs[0] - outputs[1]).abs().amax((1, 2, 3)).tolist()


print("diffusers", diffusers.__version__)
padding = moved((states, mask), (other, mask))
unmasked = moved((states, mask), (states, None))
print(f"changing what is masked moves the output by {padding[0]:.1e} with one token left, {padding[1]:.2f} with none")
print(f"leaving out the mask moves it by {unmasked[0]:.2f} with one token left, {unmasked[1]:.1e} with none")
assert padding[0] == 0 and padding[1] > 0.1
assert unmasked[0] > 0.01 and unmasked[1] < 1e-3
PYTHON
echo "as described"

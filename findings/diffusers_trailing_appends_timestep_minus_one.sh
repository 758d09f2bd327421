#!/usr/bin/env bash
# diffusers: timestep_spacing="trailing" gives one step too many, at timestep -1, for 62 of the 1000 numbers of steps.
#
# Guess: set_timesteps(n) gives n timesteps that end above -1, for every n from 1 to 1000.
# Seen:  diffusers 0.42.1 with 1000 training timesteps: for n = 61, 103, 121, 122, ... DDIM, DPMSolverMultistep and
#        EulerDiscrete give n + 1 timesteps, the last one -1. They count down in float from 1000 by 1000 / n, and where
#        rounding leaves the end just above 0, one more value fits in. No error: in DDIM the index -1 reads the last
#        entry of alphas_cumprod, the noisiest one.
# Use:   drop negative timesteps after set_timesteps, or choose an n that divides 1000.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check diffusers==0.42.1 numpy==2.4.6
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import diffusers
import torch

print("diffusers", diffusers.__version__)
for name in ("DDIMScheduler", "DPMSolverMultistepScheduler", "EulerDiscreteScheduler"):
    odd = []
    for steps in range(1, 1001):
        scheduler = getattr(diffusers, name)(num_train_timesteps=1000, timestep_spacing="trailing")
        scheduler.set_timesteps(steps)
        if len(scheduler.timesteps) != steps:
            assert len(scheduler.timesteps) == steps + 1, (name, steps)
            assert float(scheduler.timesteps[-1]) == -1, (name, steps)
            odd.append(steps)
    print(f"{name}: {len(odd)} numbers of steps, the first are {odd[:4]}")
    assert (len(odd), odd[:4]) == (62, [61, 103, 121, 122]), name

scheduler = diffusers.DDIMScheduler(num_train_timesteps=1000, timestep_spacing="trailing", clip_sample=False)
scheduler.set_timesteps(61)
sample = torch.ones(1, 1, 2, 2)
clean = scheduler.step(torch.zeros_like(sample), int(scheduler.timesteps[-1]), sample).pred_original_sample
print(f"DDIM at timestep -1 divides by the signal of the noisiest step: {float(clean[0, 0, 0, 0]):.1f} from 1.0")
assert torch.equal(clean, sample / scheduler.alphas_cumprod[-1] ** 0.5)
PYTHON
echo "as described"

#!/usr/bin/env bash
# diffusers: DEIS and SASolver on flow sigmas end at the noise of their last step, and nothing switches that off.
#
# Guess: with use_flow_sigmas every multistep scheduler integrates to 0: where the network knows the one clean image,
#        the last sample is that image.
# Seen:  diffusers 0.42.1: DPMSolverMultistep, DPMSolverSinglestep and UniPCMultistep append sigma 0 and give the image to
#        1e-6. DEISMultistep and SASolver append their last sigma a second time; with 10 steps a tenth of the noise is
#        left in the sample, with 50 a fiftieth. Neither has final_sigmas_type; no warning.
# Use:   DPMSolverMultistep or UniPCMultistep on flow sigmas.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check diffusers==0.42.1 numpy==2.4.6 scipy==1.17.1
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import diffusers
import torch

print("diffusers", diffusers.__version__)


def left_over(name, steps):
    """The noise that is left in the last sample, and the last two sigmas."""
    scheduler = getattr(diffusers, name)(use_flow_sigmas=True, prediction_type="flow_prediction")
    scheduler.set_timesteps(steps)
    torch.manual_seed(0)
    image, noise = torch.full((1, 1, 32, 32), 0.5), torch.randn(1, 1, 32, 32)
    sample = noise
    for number, timestep in enumerate(scheduler.timesteps):
        velocity = (sample - image) / scheduler.sigmas[number]  # exact: x = (1 - sigma) image + sigma noise
        sample = scheduler.step(velocity, timestep, sample).prev_sample
    assert not hasattr(scheduler.config, "final_sigmas_type") or scheduler.config.final_sigmas_type == "zero"
    return float((sample - image).std()), scheduler.sigmas[-2:].tolist()


for name in ("DPMSolverMultistep", "DPMSolverSinglestep", "UniPCMultistep", "DEISMultistep", "SASolver"):
    for steps in (10, 50):
        left, sigmas = left_over(f"{name}Scheduler", steps)
        print(f"{name}, {steps} steps: {left:.4f} of the noise left, last sigmas {sigmas[0]:.4f} {sigmas[1]:.4f}")
        if name in ("DEISMultistep", "SASolver"):
            assert sigmas[0] == sigmas[1] and 0.3 * sigmas[1] < left < 1.5 * sigmas[1], (name, steps, left)
        else:
            assert sigmas[1] == 0 and left < 1e-6, (name, steps, left)
PYTHON
echo "as described"

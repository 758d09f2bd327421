"""Targets of a distilled step against the step of a scheduler of diffusers, and against each other."""

from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler
from torch.testing import assert_close

from hf_kexue.simple_diffusion import ShiftedCosineScheduler
from hf_kexue.simple_diffusion.distillation_simple_diffusion import deterministic_step, implied_sample
from hf_kexue.simple_diffusion.guidance_simple_diffusion import output_from_sample


def states(count=4):
    generator = torch.Generator().manual_seed(0)
    x_0, x_t = (torch.randn(count, 3, 8, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    return x_0, x_t, torch.tensor([-15.0, -2.0, 0.0, 2.0], dtype=torch.float64)


def test_a_step_is_that_of_ddim():
    """The scheduler that the student is saved with, clean end included."""
    own = ShiftedCosineScheduler(sample_size=64)
    ddim = DDIMScheduler.from_config(own.config, clip_sample=False)
    ddim.set_timesteps(4)
    assert ddim.timesteps.tolist() == [999, 749, 499, 249]
    times = [float(own.logsnr((t + 1) / 1000)) for t in ddim.timesteps.tolist()] + [float("inf")]
    x_0, x_t, _ = states(1)
    for t, (here, there) in zip(ddim.timesteps, pairwise(times)):
        logsnr_t, logsnr_s = (torch.tensor([value], dtype=torch.float64) for value in (here, there))
        output = output_from_sample(x_0, x_t, logsnr_t, "v_prediction")
        expected = ddim.step(output, t, x_t).prev_sample
        # its table is in float32
        assert_close(deterministic_step(x_0, x_t, logsnr_t, logsnr_s), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ahead", [0.5, 4.0, float("inf")])
def test_the_implied_sample_leads_there(ahead):
    x_0, x_t, logsnr = states()
    x_s = deterministic_step(x_0, x_t, logsnr, logsnr + ahead)
    assert_close(implied_sample(x_t, x_s, logsnr, logsnr + ahead), x_0)


def test_two_small_steps_have_one_target():
    """By hand, in the numbers of one pixel: from sigma 0.8 over 0.6 to 0 with two clean predictions."""
    logsnr = [torch.tensor([value], dtype=torch.float64) for value in (0.36 / 0.64, 0.64 / 0.36)]
    logsnr = [value.log() for value in logsnr]
    x_t = torch.full((1, 1, 1, 1), 1.0, dtype=torch.float64)
    middle = deterministic_step(torch.full_like(x_t, 0.5), x_t, logsnr[0], logsnr[1])
    assert_close(middle, torch.full_like(x_t, 0.8 * 0.5 + 0.6 / 0.8 * (1.0 - 0.6 * 0.5)))
    end = torch.tensor([float("inf")], dtype=torch.float64)
    assert_close(implied_sample(x_t, torch.full_like(x_t, 0.3), logsnr[0], end), torch.full_like(x_t, 0.3))


def test_logsnr_must_rise():
    x_0, x_t, logsnr = states()
    with pytest.raises(ValueError, match="rise"):
        implied_sample(x_t, x_0, logsnr, logsnr)

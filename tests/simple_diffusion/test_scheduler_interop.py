"""The swap: `Other.from_config(shifted_cosine.config)` through every class of diffusers' Karras family, and back.

The denoiser is an oracle that knows the one clean image: what is lost on the way is lost by the swap or by the class.
Four facts that a user meets are asserted here by name:

- DEISMultistepScheduler ends at training index 0 instead of at the clean image, and leaves that index's noise.
- PNDMScheduler does too by its own default; the config carries `set_alpha_to_one` (and `skip_prk_steps`) to mend it.
  With v-prediction it also mixes velocities of different timesteps, an error of second order in the step.
- EDMEulerScheduler has no betas at all and is left out of `_compatibles`.
- PNDM, KDPM2, KDPM2-ancestral, Euler-ancestral and DPM-SDE know no prediction type "sample".
"""

import math
from itertools import pairwise

import diffusers
import pytest
import torch
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers

from hf_kexue.simple_diffusion.scheduling_shifted_cosine import ShiftedCosineScheduler

# diffusers hands torch scalars to numpy in ways that numpy deprecates, a hundred thousand times in this file
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Should have tb<=t1:UserWarning"),  # torchsde, of its own float32 end point
    pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning"),  # DPM-SDE at zero terminal SNR
]

FAMILY = sorted(member.name for member in KarrasDiffusionSchedulers if member.name != "EDMEulerScheduler")
WITHOUT_SAMPLE_PREDICTION = {
    "PNDMScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "DPMSolverSDEScheduler",
}
# These follow the flow of the noise they started with, so that even a result that is not clean is known.
LEAVES_NOISE = {"DEISMultistepScheduler"}
MIXES_VELOCITIES = {"PNDMScheduler"}


@pytest.fixture(scope="module")
def clean():
    return 1.8 * torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)) - 0.9


def swap(name, scheduler, **overrides):
    return getattr(diffusers, name).from_config(scheduler.config, **overrides)


def logsnr_now(scheduler, t):
    """logSNR of the model input at t: from sigma where there are sigmas (timesteps may be fractional), else from the
    table."""
    if getattr(scheduler, "sigmas", None) is None:
        abar = scheduler.alphas_cumprod[int(t)].double()
        return torch.log(abar) - torch.log1p(-abar)
    index = scheduler.step_index or 0
    if type(scheduler).__name__ == "KDPM2DiscreteScheduler" and not scheduler.state_in_first_order:
        sigma = scheduler.sigmas_interpol[index]
    elif type(scheduler).__name__ == "KDPM2AncestralDiscreteScheduler" and not scheduler.state_in_first_order:
        sigma = scheduler.sigmas_interpol[index - 1]
    else:
        sigma = scheduler.sigmas[index]
    return -2 * torch.log(sigma.double())


def denoise(scheduler, clean, num_steps=20):
    """The loop of a diffusers pipeline with the oracle in place of the network; returns start noise and result."""
    scheduler.set_timesteps(num_steps)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(clean.shape, generator=generator)
    x = start * scheduler.init_noise_sigma
    extra = {"generator": generator} if "generator" in scheduler.step.__code__.co_varnames else {}
    for t in scheduler.timesteps:
        model_input = scheduler.scale_model_input(x, t)
        logsnr = logsnr_now(scheduler, t)
        alpha, sigma = torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()
        noise = (model_input.double() - alpha * clean) / sigma
        output = {"epsilon": noise, "sample": clean, "v_prediction": alpha * noise - sigma * clean}
        x = scheduler.step(output[scheduler.config.prediction_type].float(), t, x, **extra).prev_sample
    return start, x


def carried_error(scheduler, other):
    """|logSNR of the other's table - ours| at every training timestep."""
    abar = other.alphas_cumprod.double()
    ours = scheduler.logsnr_at(torch.arange(len(scheduler)), dtype=torch.float64)
    return (torch.log(abar) - torch.log1p(-abar) - ours).abs()


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("size", [64, 256, 1024])
def test_logsnr_is_carried(name, size):
    scheduler = ShiftedCosineScheduler(sample_size=size)
    error = carried_error(scheduler, swap(name, scheduler))
    # They keep 1 - beta in float32, a grid of 2^-24 just below 1, so that where sigma^2 is small logSNR cannot be held
    # better than half a step of that grid, 2^-25 / sigma^2: 7e-3 at index 0 of 64 px, below 1e-3 from 256 px on.
    sigma_squared = torch.sigmoid(-scheduler.logsnr_at(torch.arange(1000), dtype=torch.float64))
    floor = 2.0**-25 / sigma_squared
    assert bool((error <= torch.clamp(2 * floor, min=1e-3)).all()), error.max()
    assert bool((error[2:] <= 1e-3).all()), error[2:].max()
    if size >= 256:
        assert error.max() <= 1e-3


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("pair", [(32, 256), (256, 32)])
def test_interpolated_schedules_are_carried_too(name, pair):
    scheduler = ShiftedCosineScheduler(num_train_timesteps=200, sample_size=512, base_size=pair)
    assert carried_error(scheduler, swap(name, scheduler)).max() <= 1e-3


@pytest.mark.parametrize("name", FAMILY)
def test_there_and_back_is_the_same_scheduler(name, tmp_path, caplog):
    arguments = {"sample_size": 256, "base_size": (32, 256), "logsnr_max": 12.0, "variance_gamma": 0.1}
    scheduler = ShiftedCosineScheduler(num_train_timesteps=100, **arguments)
    other = swap(name, scheduler)
    for key in ("prediction_type", "timestep_spacing", "num_train_timesteps"):
        assert other.config[key] == scheduler.config[key]
    other.save_pretrained(tmp_path)
    for back in (
        ShiftedCosineScheduler.from_config(other.config),
        ShiftedCosineScheduler.from_config(type(other).from_pretrained(tmp_path).config),
    ):
        parameters = [key for key in scheduler.config if not key.startswith("_")]
        assert {key: back.config[key] for key in parameters} == {key: scheduler.config[key] for key in parameters}
        u = torch.linspace(0, 1, 11, dtype=torch.float64)
        torch.testing.assert_close(back.logsnr(u), scheduler.logsnr(u), rtol=0, atol=0)
    assert "betas win" not in caplog.text


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_oracle_recovers_the_image_in_twenty_steps(name, prediction_type, clean):
    scheduler = ShiftedCosineScheduler(sample_size=256, prediction_type=prediction_type)
    other = swap(name, scheduler)
    if prediction_type == "sample" and name in WITHOUT_SAMPLE_PREDICTION:
        with pytest.raises((ValueError, NotImplementedError), match="prediction_type"):
            denoise(other, clean)
        return
    _, result = denoise(other, clean)
    error = (result - clean).abs().max().item()
    if name in LEAVES_NOISE or (name in MIXES_VELOCITIES and prediction_type == "v_prediction"):
        assert 1e-2 < error < 5e-2
    else:
        assert error < 1e-3


def test_our_own_loop_recovers_the_image(clean):
    for size in (64, 1024):
        _, result = denoise(ShiftedCosineScheduler(sample_size=size), clean)
        assert (result - clean).abs().max() < 1e-5


@pytest.mark.parametrize("arguments", [{}, {"solver_order": 1}, {"solver_order": 3}, {"timestep_spacing": "linspace"}])
def test_deis_ends_at_training_index_0_whatever_its_settings(arguments, clean):
    """Its last sigma is that of index 0, with no setting for zero: the rest is that index's noise and nothing else."""
    scheduler = ShiftedCosineScheduler(sample_size=256)
    for num_steps in (20, 100):
        start, result = denoise(swap("DEISMultistepScheduler", scheduler, **arguments), clean, num_steps)
        logsnr = scheduler.logsnr_at(0, dtype=torch.float64)
        sigma = torch.exp(-logsnr / 2).float()  # of x / alpha, as that class scales its result
        assert sigma.item() == pytest.approx(0.0084, abs=1e-4)  # one level of an 8-bit image in [-1, 1] is 0.0078
        torch.testing.assert_close(result, clean + sigma * start, rtol=0, atol=1e-3)


def test_deis_leaves_less_the_finer_the_training_grid(clean):
    """A network that is conditioned on logSNR does not mind another grid: index 0 then lies nearer to u = 0."""
    fine = ShiftedCosineScheduler(sample_size=64, num_train_timesteps=20_000)
    start, result = denoise(swap("DEISMultistepScheduler", fine), clean)
    sigma = math.exp(-fine.logsnr_at(0, dtype=torch.float64).item() / 2)
    assert sigma < 7e-4
    assert (result - clean).abs().max() < 1.1 * sigma * start.abs().max()


def test_pndm_needs_the_final_alpha_that_the_config_carries(clean):
    scheduler = ShiftedCosineScheduler(sample_size=256, prediction_type="epsilon")
    carried = swap("PNDMScheduler", scheduler)
    assert carried.config.set_alpha_to_one
    assert carried.config.skip_prk_steps
    by_itself = swap("PNDMScheduler", scheduler, set_alpha_to_one=False)
    errors = [(denoise(s, clean)[1] - clean).abs().max().item() for s in (carried, by_itself)]
    assert errors[0] < 1e-3 < 1e-2 < errors[1]


def test_pndm_mixes_velocities_with_second_order(clean):
    """Its multistep formula averages model outputs of several timesteps: exact for a constant noise, but not for v,
    whose meaning changes with t. More steps mend it: 1e-3 at 100 steps."""
    scheduler = ShiftedCosineScheduler(sample_size=256)
    errors = [
        (denoise(swap("PNDMScheduler", scheduler), clean, n)[1] - clean).abs().max().item() for n in (50, 100, 200)
    ]
    assert errors[1] < 1e-3
    assert all(1.7 < math.log2(coarse / fine) < 2.3 for coarse, fine in pairwise(errors)), errors


def test_edm_euler_cannot_carry_the_schedule(clean):
    """It builds its own sigmas, 0.002 to 80, and scales the input by sigma_data: nothing of a VP schedule is left."""
    scheduler = ShiftedCosineScheduler(sample_size=256)
    assert "EDMEulerScheduler" not in scheduler._compatibles
    edm = swap("EDMEulerScheduler", scheduler)
    assert not hasattr(edm, "alphas_cumprod")
    assert edm.sigmas.max() == pytest.approx(80.0)
    _, result = denoise(edm, clean)
    assert (result - clean).abs().max() > 0.1


def test_zero_terminal_snr_survives_in_the_classes_that_know_it(clean):
    scheduler = ShiftedCosineScheduler(sample_size=256, rescale_betas_zero_snr=True)
    for name in FAMILY:
        other = swap(name, scheduler)
        known = "rescale_betas_zero_snr" in other.__init__.__wrapped__.__code__.co_varnames
        assert known == (
            name
            in {
                "DDIMScheduler",
                "DDPMScheduler",
                "DPMSolverMultistepScheduler",
                "EulerAncestralDiscreteScheduler",
                "EulerDiscreteScheduler",
                "UniPCMultistepScheduler",
            }
        )
        if known:
            assert other.config.rescale_betas_zero_snr
            other.set_timesteps(20)
            assert math.isfinite(float(other.init_noise_sigma))
            # their own substitute for alpha = 0 at the last timestep is 2^-12 where they divide by it
            assert other.alphas_cumprod[-1] <= 2.0**-24
            assert torch.isfinite(denoise_after_first(other, clean)).all()


def denoise_after_first(scheduler, clean):
    """One step from pure noise with the exact velocity, v = -x_0 there."""
    x = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * scheduler.init_noise_sigma
    t = scheduler.timesteps[0]
    scheduler.scale_model_input(x, t)
    return scheduler.step(-clean, t, x).prev_sample

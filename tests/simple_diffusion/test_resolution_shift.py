"""Five names for one shift: what each does to the logSNR of an image, and what is read from its config.

The truth is the mean square of signal and noise in x_t as each project mixes them, at the same time of its own clock.
"""

import json
import math

import diffusers
import pytest
import torch

from hf_kexue.simple_diffusion.resolution_shift import resolution_shift_of
from hf_kexue.simple_diffusion.scheduling_shifted_cosine import ShiftedCosineScheduler
from hf_kexue.simple_diffusion.scheduling_shifted_flow import ShiftedFlowScheduler

U = torch.linspace(0.02, 0.98, 25, dtype=torch.float64)  # share of the noise without a shift


def flow_match(k):
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=k)
    scheduler.set_timesteps(sigmas=U.flip(0).tolist())
    return scheduler.config, 2 * torch.log(
        (1 - scheduler.sigmas[:-1].flip(0).double()) / scheduler.sigmas[:-1].flip(0)
    )


def jit(k):
    return {"noise_scale": k, "img_size": int(256 * k)}, 2 * torch.log((1 - U) / (k * U))  # noise of deviation k


def prx(k):
    return {"_class_name": "PRXPixelPipeline", "noise_scale": k}, 2 * torch.log((1 - U) / (k * U))


def pixel_dit(k):
    data = 1 - U  # its time counts the image
    moved = data / (data + (1 - data) * k)
    return {"diffusion_sampler": {"init_args": {"timeshift": k, "num_steps": 50}}}, 2 * torch.log(moved / (1 - moved))


def ideogram(k):
    module = "diffusers.pipelines.ideogram4.pipeline_ideogram4"
    pytest.importorskip(module, reason="this diffusers has no Ideogram 4")
    from diffusers.pipelines.ideogram4.pipeline_ideogram4 import _logit_normal_sigmas, _resolution_aware_mu

    side = int(512 * k)
    large = _logit_normal_sigmas(41, _resolution_aware_mu(side, side, 0.0)).double()
    base = _logit_normal_sigmas(41, 0.0).double()
    kept = slice(8, 33)  # not clipped
    moved = 2 * torch.log((1 - large) / large) - 2 * torch.log((1 - base) / base)
    config = {"_class_name": "Ideogram4Pipeline", "mu": 0.0, "height": side, "width": side}
    return config, moved[kept] + (2 * torch.log((1 - U) / U))[: len(moved[kept])]


def ours(k):
    scheduler = ShiftedFlowScheduler(sample_size=64 * k, base_size=64)
    return scheduler.config, scheduler.logsnr(U)


def cosine(k):
    scheduler = ShiftedCosineScheduler(sample_size=64 * k, base_size=64)
    plain = ShiftedCosineScheduler(sample_size=64, base_size=64)
    return scheduler.config, scheduler.logsnr(U) - plain.logsnr(U) + 2 * torch.log((1 - U) / U)


@pytest.mark.parametrize("kind", [ours, cosine, flow_match, jit, prx, pixel_dit, ideogram])
@pytest.mark.parametrize("k", [1.0, 2.0, 4.0, 0.5])
def test_all_lower_logsnr_by_two_log_k(kind, k):
    config, logsnr = kind(k)
    moved = logsnr - (2 * torch.log((1 - U) / U))[: len(logsnr)]
    torch.testing.assert_close(moved, torch.full_like(moved, -2 * math.log(k)), rtol=0, atol=2e-5)  # float32 sigmas
    shift = resolution_shift_of(config)
    assert shift.nats == pytest.approx(-2 * math.log(k), abs=1e-9)
    assert 2 * math.log(shift.base_size / shift.sample_size) == pytest.approx(shift.nats, abs=1e-9)
    flow, cosine = shift.flow_scheduler(), shift.cosine_scheduler()
    half = torch.tensor(0.5, dtype=torch.float64)  # where neither is anything else than its shift
    assert flow.logsnr(half).item() == pytest.approx(shift.nats, abs=1e-9)
    assert cosine.logsnr(half).item() == pytest.approx(shift.nats, abs=1e-9)


def test_sizes():
    assert resolution_shift_of({"noise_scale": 2.0, "img_size": 512}).base_size == 256
    assert resolution_shift_of({"timeshift": 4.0}, height=1024).base_size == 256
    assert resolution_shift_of({"shift": 3.0}).sample_size == 192
    assert resolution_shift_of({"shift": 3.0}, base_size=32).sample_size == 96
    shift = resolution_shift_of({"mu": 0.5}, height=512, width=1024)
    assert shift.nats == pytest.approx(-1.0 - math.log(2))
    assert shift.sample_size == pytest.approx(512 * math.sqrt(2))


def test_repositories(tmp_path):
    diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(tmp_path / "scheduler")
    assert resolution_shift_of(tmp_path / "scheduler").kind == "shift"
    assert resolution_shift_of(tmp_path / "scheduler" / "scheduler_config.json").nats == pytest.approx(
        -2 * math.log(3)
    )
    index = {"_class_name": "PRXPixelPipeline", "noise_scale": 2.0, "scheduler": ["diffusers", "X"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    both = resolution_shift_of(str(tmp_path))
    assert both.kind == "shift+noise_scale"
    assert both.nats == pytest.approx(-2 * math.log(6))


def test_objects():
    scheduler = ShiftedCosineScheduler(sample_size=256)
    solver = diffusers.DPMSolverMultistepScheduler.from_config(scheduler.config)
    for given in (scheduler, solver, solver.config):
        shift = resolution_shift_of(given)
        assert (shift.base_size, shift.sample_size) == (64, 256)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "Known are"),
        ({"_class_name": "DDIMScheduler", "beta_schedule": "linear"}, "DDIMScheduler"),
        ({"shift": 0.0}, "shift"),
        ({"noise_scale": -1.0}, "noise_scale"),
        ({"timeshift": "large"}, "timeshift"),
        ({"sample_size": 64, "base_size": [32, 64]}, "base_size"),
        ({"sample_size": 0, "base_size": 64}, "sample_size"),
        ({"shift": 1.0, "use_dynamic_shifting": True}, "use_dynamic_shifting"),
        ({"shift": 1.0, "shift_terminal": 0.02}, "shift_terminal"),
        ({"mu": 0.0}, "height and width"),
        (3, "int"),
    ],
)
def test_unknown_and_wrong_configs(config, message):
    with pytest.raises(ValueError, match=message):
        resolution_shift_of(config)


def test_no_such_file(tmp_path):
    with pytest.raises(OSError, match="scheduler_config"):
        resolution_shift_of(tmp_path / "scheduler_config.json")
    with pytest.raises(ValueError, match="holds no"):
        resolution_shift_of(tmp_path)

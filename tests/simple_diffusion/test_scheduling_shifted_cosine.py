"""The shifted cosine schedule against its closed form, its siblings in diffusers, and its contract."""

import copy
import inspect
import json
import math
import pickle

import diffusers
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from hf_kexue.simple_diffusion.scheduling_shifted_cosine import ShiftedCosineScheduler, register_with_diffusers

SIZES = [64, 128, 256, 512, 1024]
PREDICTION_TYPES = ["epsilon", "sample", "v_prediction"]


def closed_form(u, image, base, low=-15.0, high=15.0):
    """logSNR from the angle whose cosine and sine are alpha and sigma, in plain Python."""
    start, end = math.atan(math.exp(-high / 2)), math.atan(math.exp(-low / 2))
    angle = start + u * (end - start)
    return 2 * math.log(math.cos(angle) / math.sin(angle)) + 2 * math.log(base / image)


def toy_output(sample):
    """A bounded stand-in for a network."""
    return torch.sin(3.0 * sample) + 0.2


def loop(scheduler, sample, num_steps, **step_arguments):
    scheduler.set_timesteps(num_steps)
    for t in scheduler.timesteps:
        sample = scheduler.step(toy_output(sample), t, sample, **step_arguments).prev_sample
    return sample


@pytest.fixture
def sample():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


# ---------------------------------------- the schedule


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("base", [32, 64])
def test_logsnr_is_the_closed_form(size, base):
    scheduler = ShiftedCosineScheduler(sample_size=size, base_size=base)
    u = torch.linspace(0, 1, 101, dtype=torch.float64)
    expected = torch.tensor([closed_form(x, size, base) for x in u.tolist()], dtype=torch.float64)
    # The expected cosine loses digits near pi/2: 1e-16 / 5e-4 there, and a factor for the rest.
    torch.testing.assert_close(scheduler.logsnr(u), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pair", [(32, 256), (256, 32), (64, 32)])
def test_pair_interpolates_between_two_shifts_in_either_orientation(size, pair):
    scheduler = ShiftedCosineScheduler(sample_size=size, base_size=pair)
    u = torch.linspace(0, 1, 101, dtype=torch.float64)
    expected = [(1 - x) * closed_form(x, size, pair[0]) + x * closed_form(x, size, pair[1]) for x in u.tolist()]
    torch.testing.assert_close(scheduler.logsnr(u), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-11)


@pytest.mark.parametrize("size", SIZES)
def test_shift_undoes_what_mean_pooling_does_to_the_noise(size):
    """The shift's other form: pooled by s = size / 64, the large image has the small image's signal-to-noise ratio."""
    large, small = ShiftedCosineScheduler(sample_size=size), ShiftedCosineScheduler(sample_size=64)
    i = torch.arange(1000)
    snr = large.logsnr_at(i, dtype=torch.float64).exp()
    pooled = snr * (size / 64) ** 2
    torch.testing.assert_close(pooled, small.logsnr_at(i, dtype=torch.float64).exp(), rtol=1e-10, atol=0)


def test_published_values():
    shifts = [(128, 64, -1.386), (128, 32, -2.773), (256, 32, -4.159), (512, 32, -5.545), (512, 256, -1.386)]
    for size, base, shift in shifts:
        middle = ShiftedCosineScheduler(sample_size=size, base_size=base).logsnr(0.5).item()
        assert middle == pytest.approx(shift, abs=5e-4)  # printed with three decimals; unshifted it is 0
    ends = ShiftedCosineScheduler(sample_size=256, base_size=32).logsnr(torch.tensor([1.0, 0.0])).tolist()
    assert ends == pytest.approx([-19.16, 10.84], abs=5e-3)
    u = torch.tensor([0, 0.25, 0.5, 0.75, 1])
    low_first = ShiftedCosineScheduler(sample_size=512, base_size=(32, 256)).logsnr(u).tolist()
    high_first = ShiftedCosineScheduler(sample_size=512, base_size=(256, 32)).logsnr(u).tolist()
    assert low_first == pytest.approx([9.46, -2.74, -3.47, -4.19, -16.39], abs=6e-3)
    assert high_first == pytest.approx([13.61, -0.67, -3.47, -6.27, -20.55], abs=6e-3)


def test_indices_are_the_times_after_the_first_step():
    scheduler = ShiftedCosineScheduler(num_train_timesteps=10, sample_size=128)
    expected = scheduler.logsnr(torch.arange(1, 11, dtype=torch.float64) / 10)
    torch.testing.assert_close(scheduler.logsnr_at(torch.arange(10), dtype=torch.float64), expected, rtol=0, atol=0)
    assert scheduler.logsnr_at(torch.arange(10)).dtype == torch.float32
    assert scheduler.logsnr_at(torch.tensor([[3], [4]])).shape == (2, 1)
    assert scheduler.logsnr_at(3).shape == ()


def test_logsnr_dtype_follows_u():
    scheduler = ShiftedCosineScheduler()
    assert scheduler.logsnr(0.3).dtype == torch.float64
    assert scheduler.logsnr(torch.tensor([0.3])).dtype == torch.float32
    assert scheduler.logsnr(torch.tensor([[0.3]], dtype=torch.float64)).dtype == torch.float64
    assert scheduler.logsnr(torch.tensor([0.3], dtype=torch.bfloat16)).dtype == torch.float32


@pytest.mark.parametrize("size", SIZES)
def test_betas_rebuild_the_curve_and_are_not_clipped(size):
    scheduler = ShiftedCosineScheduler(sample_size=size)
    betas = torch.tensor(scheduler.config.trained_betas, dtype=torch.float64)
    expected = torch.tensor([1 / (1 + math.exp(-closed_form((i + 1) / 1000, size, 64))) for i in range(1000)])
    torch.testing.assert_close(torch.cumprod(1 - betas, 0), expected.double(), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(scheduler.alphas_cumprod, expected, rtol=1e-6, atol=1e-7)
    assert scheduler.alphas_cumprod.dtype == scheduler.betas.dtype == scheduler.alphas.dtype == torch.float32
    wide = ShiftedCosineScheduler(sample_size=size, logsnr_min=-20.0)
    assert wide.betas.max() > 0.999  # the cosine schedule of diffusers caps its betas there


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize(
    "arguments",
    [
        {"num_train_timesteps": 100, "logsnr_min": -40.0, "logsnr_max": 40.0},
        {"num_train_timesteps": 100, "sample_size": 4096, "base_size": 32},
        {"num_train_timesteps": 1},
        {"num_train_timesteps": 2, "base_size": (32, 256)},
    ],
)
def test_no_nan_at_either_end(sample, arguments, prediction_type):
    scheduler = ShiftedCosineScheduler(**arguments, prediction_type=prediction_type)
    assert torch.isfinite(scheduler.logsnr(torch.linspace(0, 1, 1001))).all()
    ends = torch.tensor([0, len(scheduler) - 1])
    assert torch.isfinite(scheduler.add_noise(sample, sample, ends)).all()
    for num_steps in {1, min(7, len(scheduler)), len(scheduler)}:
        for eta in (0.0, 1.0):
            assert torch.isfinite(loop(scheduler, sample, num_steps, eta=eta)).all()


@pytest.mark.parametrize("prediction_type", ["sample", "v_prediction"])
def test_zero_terminal_snr_is_exact_and_finite(sample, prediction_type):
    scheduler = ShiftedCosineScheduler(
        sample_size=128, rescale_betas_zero_snr=True, prediction_type=prediction_type, logsnr_min=-3.0
    )
    assert scheduler.logsnr(1.0).item() == -math.inf
    assert scheduler.betas[-1] == 1.0
    noise = torch.randn_like(sample)
    torch.testing.assert_close(scheduler.add_noise(sample, noise, torch.tensor(999)), noise, rtol=0, atol=0)
    for eta in (0.0, 1.0):
        assert torch.isfinite(loop(scheduler, sample, 20, eta=eta)).all()
    reloaded = ShiftedCosineScheduler.from_config(scheduler.config)
    assert reloaded.logsnr(1.0).item() == -math.inf


# ---------------------------------------- the forward process


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_noise_and_velocity_undo_each_other(sample, prediction_type):
    scheduler = ShiftedCosineScheduler(sample_size=128, prediction_type=prediction_type, clip_sample=False)
    scheduler.set_timesteps(20)
    noise = torch.randn(sample.shape, generator=torch.Generator().manual_seed(1))
    for t in scheduler.timesteps[4:]:
        x_t = scheduler.add_noise(sample, noise, t)
        velocity = scheduler.get_velocity(sample, noise, t)
        output = {"epsilon": noise, "sample": sample, "v_prediction": velocity}[prediction_type]
        step = scheduler.step(output, t, x_t, eta=0.0)
        # float32, and for epsilon a division by alpha_t, which is 0.1 at the noisiest timestep used here
        torch.testing.assert_close(step.pred_original_sample, sample, rtol=0, atol=2e-5)
        s = scheduler.previous_timestep(t)
        expected = scheduler.add_noise(sample, noise, torch.tensor(s)) if s >= 0 else sample
        torch.testing.assert_close(step.prev_sample, expected, rtol=0, atol=2e-5)


def test_add_noise_and_velocity_agree_with_ddpm(sample):
    scheduler = ShiftedCosineScheduler(sample_size=256)
    ddpm = DDPMScheduler.from_config(scheduler.config)
    noise, timesteps = torch.randn_like(sample), torch.tensor([100, 987])
    for name in ("add_noise", "get_velocity"):
        ours, theirs = (getattr(s, name)(sample, noise, timesteps) for s in (scheduler, ddpm))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-6)  # float32 tables there
    # one timestep for all, with and without a dimension
    for one in (torch.tensor(100), torch.tensor([100]), torch.tensor(100, dtype=torch.int32)):
        torch.testing.assert_close(
            scheduler.add_noise(sample, noise, one)[0], scheduler.add_noise(sample, noise, timesteps)[0]
        )


def test_small_sigma_survives_float32():
    """sigma at the clean end comes from sigmoid(-logsnr), not from 1 - alphas_cumprod, whose digits are gone there."""
    scheduler = ShiftedCosineScheduler(num_train_timesteps=100_000, base_size=128)
    noisy = scheduler.add_noise(torch.zeros(1, 1), torch.ones(1, 1), torch.tensor(0)).item()
    exact = math.exp(-0.5 * closed_form(1e-5, 64, 128))  # sigma = exp(-logsnr / 2) up to 1e-7 relative
    assert noisy == pytest.approx(exact, rel=1e-6)
    assert (1 - scheduler.alphas_cumprod[0].item()) ** 0.5 != pytest.approx(exact, rel=1e-2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(sample, dtype):
    scheduler = ShiftedCosineScheduler(sample_size=256)
    scheduler.set_timesteps(10)
    x, noise, t = sample.to(dtype), torch.randn_like(sample).to(dtype), scheduler.timesteps[3]
    for name in ("add_noise", "get_velocity"):
        got = getattr(scheduler, name)(x, noise, t)
        assert got.dtype == dtype
        torch.testing.assert_close(
            got, getattr(scheduler, name)(x.float(), noise.float(), t).to(dtype), rtol=0, atol=0
        )
    for eta in (0.0, 1.0):
        half, full = (
            scheduler.step(noise.to(d), t, x.to(d), eta=eta, generator=torch.Generator().manual_seed(3))
            for d in (dtype, torch.float32)
        )
        assert half.prev_sample.dtype == half.pred_original_sample.dtype == dtype
        torch.testing.assert_close(half.prev_sample, full.prev_sample.to(dtype), rtol=0, atol=0)
    mixed = scheduler.step(noise, t, sample, eta=0.0).prev_sample  # an autocast network beside a float32 sample
    assert mixed.dtype == torch.float32


def test_float64_samples_stay_float64(sample):
    scheduler = ShiftedCosineScheduler()
    scheduler.set_timesteps(10)
    x = sample.double()
    assert scheduler.step(x, 999, x).prev_sample.dtype == torch.float64
    assert scheduler.add_noise(x, x, torch.tensor([5])).dtype == torch.float64


def test_meta_device_moves_nothing_behind_the_back(sample):
    """The tables follow the sample to its device, and `alphas_cumprod` stays where the user left it."""
    scheduler = ShiftedCosineScheduler()
    there = sample.to("meta")
    assert scheduler.add_noise(there, there, torch.tensor([1, 2])).device.type == "meta"
    assert scheduler.alphas_cumprod.device.type == "cpu"
    assert torch.isfinite(scheduler.add_noise(sample, sample, torch.tensor([1, 2]))).all()


# ---------------------------------------- timesteps


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
def test_spacing_equals_ddim(spacing):
    scheduler = ShiftedCosineScheduler(timestep_spacing=spacing)
    ddim = DDIMScheduler.from_config(scheduler.config)
    for count in [*range(1, 130), 201, 250, 333, 368, 500, 750, 999, 1000]:
        scheduler.set_timesteps(count)
        ddim.set_timesteps(count)
        # DDIM's trailing has one timestep too many, -1, at some counts (61, 103, 121, 122, ...): a rounded np.arange
        theirs = [t for t in ddim.timesteps.tolist() if t >= 0]
        assert scheduler.timesteps.tolist() == theirs, count
        assert scheduler.timesteps.dtype == torch.int64
        assert len(scheduler.timesteps) == scheduler.num_inference_steps == count


def test_every_count_gives_distinct_descending_timesteps_that_start_at_pure_noise():
    scheduler = ShiftedCosineScheduler(num_train_timesteps=257)
    for count in range(1, 258):
        scheduler.set_timesteps(count)
        assert scheduler.timesteps[0] == 256
        assert scheduler.timesteps[-1] >= 0
        assert bool((scheduler.timesteps.diff() < 0).all())


def test_custom_timesteps_and_previous_timestep():
    scheduler = ShiftedCosineScheduler()
    assert scheduler.previous_timestep(5) == 4
    assert scheduler.previous_timestep(0) == -1
    scheduler.set_timesteps(timesteps=[900, 500, 100, 3])
    assert scheduler.timesteps.tolist() == [900, 500, 100, 3]
    assert [scheduler.previous_timestep(t) for t in scheduler.timesteps] == [500, 100, 3, -1]
    assert scheduler.previous_timestep(700) == 500  # between two: the next lower one
    assert len(scheduler) == 1000


def test_steps_have_no_memory(sample):
    """An image-to-image loop may start anywhere: the result of a step depends on its arguments alone."""
    scheduler = ShiftedCosineScheduler()
    scheduler.set_timesteps(10)
    direct = scheduler.step(toy_output(sample), 399, sample, eta=0.0).prev_sample
    loop(scheduler, sample, 10)
    again = scheduler.step(toy_output(sample), 399, sample, eta=0.0).prev_sample
    torch.testing.assert_close(direct, again, rtol=0, atol=0)


@pytest.mark.parametrize(
    "form", [999, torch.tensor(999), torch.tensor([999]), torch.tensor([999, 999]), np.int64(999)]
)
def test_step_takes_one_timestep_in_any_form(sample, form):
    scheduler = ShiftedCosineScheduler()
    scheduler.set_timesteps(10)
    expected = scheduler.step(sample, 999, sample, eta=0.0).prev_sample
    torch.testing.assert_close(scheduler.step(sample, form, sample, eta=0.0).prev_sample, expected, rtol=0, atol=0)


# ---------------------------------------- siblings

# diffusers keeps abar in float32, 6e-8 near 1. A fine step near the clean end has beta = 1e-4 or less, whose root, the
# deviation of the noise, is then off by 6e-8 / (2 sqrt(1e-4)) = 3e-6, and times a noise of 4 by 1e-5; twice that here.
SIBLING = {"rtol": 0, "atol": 2e-5}


def each_step(scheduler, sibling, sample, count, ours, theirs, widen=None):
    """The same step of both, from the same input with the same noise, at every timestep of a loop."""
    scheduler.set_timesteps(count)
    sibling.set_timesteps(count)
    assert scheduler.timesteps.tolist() == sibling.timesteps.tolist()
    for t in scheduler.timesteps:
        output = toy_output(sample)
        a = scheduler.step(output, t, sample, generator=torch.Generator().manual_seed(int(t)), **ours)
        wide = output if widen is None else torch.cat([output, torch.full_like(output, widen)], dim=1)
        b = sibling.step(wide, t, sample, generator=torch.Generator().manual_seed(int(t)), **theirs)
        yield int(t), a, b
        sample = a.prev_sample


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("count", [10, 200])
def test_equals_ddim_without_noise(sample, prediction_type, count):
    scheduler = ShiftedCosineScheduler(sample_size=256, prediction_type=prediction_type)
    ddim = DDIMScheduler.from_config(scheduler.config)
    for _, a, b in each_step(
        scheduler, ddim, sample, count, {"eta": 0.0}, {"eta": 0.0, "use_clipped_model_output": True}
    ):
        torch.testing.assert_close(a.pred_original_sample, b.pred_original_sample, **SIBLING)
        torch.testing.assert_close(a.prev_sample, b.prev_sample, **SIBLING)


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_equals_ddim_with_noise_at_the_lower_bound(sample, eta):
    scheduler = ShiftedCosineScheduler(sample_size=256, variance_gamma=0.0)
    ddim = DDIMScheduler.from_config(scheduler.config)
    for _, a, b in each_step(
        scheduler, ddim, sample, 50, {"eta": eta}, {"eta": eta, "use_clipped_model_output": True}
    ):
        torch.testing.assert_close(a.prev_sample, b.prev_sample, **SIBLING)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize(
    ("gamma", "variance_type", "widen"),
    [(0.0, "fixed_small", None), (1.0, "fixed_large", None), (0.3, "learned_range", 2 * 0.3 - 1)],
)
@pytest.mark.parametrize("count", [20, 200])
def test_equals_ddpm(sample, prediction_type, gamma, variance_type, widen, count):
    scheduler = ShiftedCosineScheduler(sample_size=256, prediction_type=prediction_type, variance_gamma=gamma)
    ddpm = DDPMScheduler.from_config(scheduler.config, variance_type=variance_type)
    ddpm.variance_type = variance_type  # read both ways by DDPMScheduler.step
    for t, a, b in each_step(scheduler, ddpm, sample, count, {"eta": 1.0}, {}, widen):
        torch.testing.assert_close(a.pred_original_sample, b.pred_original_sample, **SIBLING)
        if gamma == 1.0 and scheduler.previous_timestep(t) < 0 < t:
            # DDPM adds noise to the image it returns when the loop ends above index 0; here the last step is clean
            torch.testing.assert_close(a.prev_sample, a.pred_original_sample, rtol=0, atol=0)
            assert (b.prev_sample - b.pred_original_sample).std() > 0.01
        else:
            torch.testing.assert_close(a.prev_sample, b.prev_sample, **SIBLING)


def test_eta_between_scales_the_noise(sample):
    scheduler = ShiftedCosineScheduler(variance_gamma=0.6, clip_sample=False)
    scheduler.set_timesteps(10)
    for eta in (0.25, 0.5, 1.0):
        first, second = (
            scheduler.step(sample, 499, sample, eta=eta, generator=torch.Generator().manual_seed(seed)).prev_sample
            for seed in (1, 2)
        )
        z1, z2 = (torch.randn(sample.shape, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
        low, high = scheduler.logsnr_at(torch.tensor([499, 399]), dtype=torch.float64).tolist()
        upper, lower = (1 / (1 + math.exp(x)) * (1 - math.exp(low - high)) for x in (low, high))
        std = math.exp(0.5 * (0.6 * math.log(upper) + 0.4 * math.log(lower)))
        torch.testing.assert_close(first - second, eta * std * (z1 - z2), rtol=0, atol=1e-5)


def test_generator_per_sample_makes_batches_equal_single_images(sample):
    scheduler = ShiftedCosineScheduler()
    scheduler.set_timesteps(5)
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    batch = scheduler.step(sample, 599, sample, generator=generators).prev_sample
    for i, seed in enumerate((1, 2)):
        one = sample[i : i + 1]
        single = scheduler.step(one, 599, one, generator=torch.Generator().manual_seed(seed)).prev_sample
        torch.testing.assert_close(batch[i : i + 1], single, rtol=0, atol=0)


# ---------------------------------------- the diffusers contract

CONFIGS = [
    {},
    {"sample_size": 256, "base_size": (32, 256)},
    {"num_train_timesteps": 100, "prediction_type": "epsilon", "variance_gamma": 0.0},
    {"logsnr_min": -8.0, "logsnr_max": 12.0, "clip_sample": False, "timestep_spacing": "linspace"},
    {"rescale_betas_zero_snr": True, "clip_sample_range": 2.0},
]


@pytest.mark.parametrize("arguments", CONFIGS)
def test_save_and_load_keep_config_and_result(tmp_path, sample, arguments):
    scheduler = ShiftedCosineScheduler(**arguments)
    scheduler.save_pretrained(tmp_path)
    reloaded = ShiftedCosineScheduler.from_pretrained(tmp_path)
    assert dict(reloaded.config) == dict(scheduler.config)
    json.loads((tmp_path / "scheduler_config.json").read_text(), parse_constant=pytest.fail)  # no Infinity, no NaN
    a, b = (loop(s, sample, 10, generator=torch.Generator().manual_seed(0)) for s in (scheduler, reloaded))
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    u = torch.linspace(0, 1, 11)
    torch.testing.assert_close(scheduler.logsnr(u), reloaded.logsnr(u), rtol=0, atol=0)


@pytest.mark.parametrize("arguments", CONFIGS)
def test_copies_are_equal(sample, arguments):
    scheduler = ShiftedCosineScheduler(**arguments)
    scheduler.add_noise(sample, sample, torch.tensor(3))
    for other in (
        copy.deepcopy(scheduler),
        pickle.loads(pickle.dumps(scheduler)),
        ShiftedCosineScheduler.from_config(scheduler.config),
    ):
        assert dict(other.config) == dict(scheduler.config)
        torch.testing.assert_close(other.alphas_cumprod, scheduler.alphas_cumprod, rtol=0, atol=0)


def test_tuple_equals_output_and_shapes_hold(sample):
    scheduler = ShiftedCosineScheduler()
    scheduler.set_timesteps(50)
    for t in (0, 1, 999):
        output = scheduler.step(sample, t, sample, generator=torch.Generator().manual_seed(0))
        pair = scheduler.step(sample, t, sample, generator=torch.Generator().manual_seed(0), return_dict=False)
        assert isinstance(pair, tuple)
        torch.testing.assert_close(pair[0], output.prev_sample, rtol=0, atol=0)
        torch.testing.assert_close(pair[1], output.pred_original_sample, rtol=0, atol=0)
        assert output.prev_sample.shape == output.pred_original_sample.shape == sample.shape


def test_interface_that_pipelines_rely_on(sample):
    scheduler = ShiftedCosineScheduler()
    assert scheduler.init_noise_sigma == 1.0
    assert scheduler.order == 1
    assert scheduler.scale_model_input(sample, 5) is sample
    assert "generator" in inspect.signature(scheduler.step).parameters
    assert "eta" in inspect.signature(scheduler.step).parameters
    parameters = inspect.signature(ShiftedCosineScheduler.__init__).parameters
    assert all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    assert all(p.default is not inspect.Parameter.empty for name, p in parameters.items() if name != "self")
    # diffusers warns when a config value is read from the scheduler itself: none may be shadowed by an attribute
    assert not set(parameters) & set(vars(scheduler))
    with pytest.warns(FutureWarning, match="sample_size"):
        assert scheduler.sample_size == 64
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = scheduler.no_such_name
    names = {c.__name__ for c in scheduler.compatibles}
    assert {"DDIMScheduler", "DPMSolverMultistepScheduler"} <= names
    assert "EDMEulerScheduler" not in names


def test_numpy_arguments_can_be_saved(tmp_path):
    scheduler = ShiftedCosineScheduler(sample_size=np.int64(256), base_size=np.array([32.0, 256.0]))
    scheduler.save_pretrained(tmp_path)
    assert ShiftedCosineScheduler.from_pretrained(tmp_path).config.base_size == [32.0, 256.0]


def test_clip_sample(sample):
    for arguments, bound in (({}, 1.0), ({"clip_sample_range": 0.3}, 0.3), ({"clip_sample": False}, math.inf)):
        scheduler = ShiftedCosineScheduler(prediction_type="sample", **arguments)
        scheduler.set_timesteps(4)
        clean = scheduler.step(9 * sample, 999, sample).pred_original_sample
        assert clean.abs().max() == min(bound, (9 * sample).abs().max())


# ---------------------------------------- trained_betas


def test_foreign_betas_win_and_say_so(tmp_path, sample, caplog):
    scheduler = ShiftedCosineScheduler(trained_betas=np.array([0.1, 0.3]))
    assert "betas win" in caplog.text
    assert scheduler.config.num_train_timesteps == len(scheduler) == 2
    torch.testing.assert_close(scheduler.alphas_cumprod, torch.tensor([0.9, 0.63]))
    torch.testing.assert_close(scheduler.logsnr_at(torch.arange(2)), torch.tensor([9.0, 0.63 / 0.37]).log())
    assert torch.isfinite(loop(scheduler, sample, 2)).all()
    with pytest.raises(ValueError, match="foreign trained_betas"):
        scheduler.logsnr(0.5)
    scheduler.save_pretrained(tmp_path)
    reloaded = ShiftedCosineScheduler.from_pretrained(tmp_path)
    assert reloaded.betas.tolist() == scheduler.betas.tolist()
    assert dict(reloaded.config) == dict(scheduler.config)


def test_own_betas_are_recognised_even_in_float32(caplog):
    scheduler = ShiftedCosineScheduler(sample_size=256)
    rounded = ShiftedCosineScheduler(sample_size=256, trained_betas=scheduler.betas)
    assert dict(rounded.config) == dict(scheduler.config)
    torch.testing.assert_close(rounded.logsnr(0.25), scheduler.logsnr(0.25), rtol=0, atol=0)
    assert caplog.text == ""


def test_a_new_schedule_argument_replaces_the_betas_of_the_config(caplog):
    scheduler = ShiftedCosineScheduler(sample_size=64, variance_gamma=0.1)
    other = ShiftedCosineScheduler.from_config(scheduler.config, sample_size=128)
    assert dict(other.config) == dict(ShiftedCosineScheduler(sample_size=128, variance_gamma=0.1).config)
    longer = ShiftedCosineScheduler.from_config(scheduler.config, num_train_timesteps=4000)
    assert len(longer) == 4000
    assert caplog.text == ""


def test_a_named_beta_schedule_is_not_replaced_silently(caplog):
    ShiftedCosineScheduler.from_config(DDIMScheduler(beta_schedule="scaled_linear").config)
    assert "'scaled_linear' betas of the config give way" in caplog.text


def test_registration_is_explicit_and_silences_the_warning(caplog):
    config = ShiftedCosineScheduler(sample_size=256).config
    logger = diffusers.utils.logging.get_logger("diffusers.configuration_utils")
    assert not hasattr(diffusers, "ShiftedCosineScheduler")
    logger.addHandler(caplog.handler)
    try:
        DDIMScheduler.from_config(config)
        assert "sample_size" in caplog.text
        caplog.clear()
        register_with_diffusers()
        DDIMScheduler.from_config(config)
        assert caplog.text == ""
        assert ShiftedCosineScheduler in ShiftedCosineScheduler().compatibles
    finally:
        logger.removeHandler(caplog.handler)
        if hasattr(diffusers, "ShiftedCosineScheduler"):
            del diffusers.ShiftedCosineScheduler


# ---------------------------------------- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_size": -64}, "sample_size is -64"),
        ({"sample_size": 0}, "sample_size is 0"),
        ({"sample_size": "64"}, "sample_size is '64'"),
        ({"base_size": math.nan}, "base_size is nan"),
        ({"base_size": -1}, "base_size is -1"),
        ({"base_size": (32,)}, "one size, or a pair"),
        ({"base_size": (32, 64, 128)}, "one size, or a pair"),
        ({"base_size": (32, -64)}, r"base_size is \(32, -64\)"),
        ({"base_size": "ab"}, "base_size is"),
        ({"base_size": (1, 64)}, "less than 23.1 times the first"),
        ({"num_train_timesteps": 0}, "num_train_timesteps is 0"),
        ({"num_train_timesteps": 10.5}, "num_train_timesteps is 10.5"),
        ({"num_train_timesteps": True}, "num_train_timesteps is True"),
        ({"prediction_type": "flow"}, "prediction_type is 'flow'"),
        ({"timestep_spacing": "even"}, "timestep_spacing is 'even'"),
        ({"logsnr_min": 15.0}, "logsnr_min is 15.0"),
        ({"logsnr_min": 3.0, "logsnr_max": 2.0}, "min < max"),
        ({"logsnr_max": math.inf}, "max <= 100"),
        ({"logsnr_min": math.nan}, "-100 <= min"),
        ({"sample_size": 1e9, "base_size": 32, "logsnr_min": -4.0, "logsnr_max": -3.0}, "what numbers can hold"),
        ({"variance_gamma": 1.5}, "variance_gamma is 1.5"),
        ({"clip_sample_range": 0.0}, "clip_sample_range is 0.0"),
        ({"prediction_type": "epsilon", "rescale_betas_zero_snr": True}, "epsilon.*zero terminal SNR"),
        ({"prediction_type": "epsilon", "trained_betas": [0.5, 1.0]}, "epsilon.*zero terminal SNR"),
        ({"trained_betas": [0.5, 1.5]}, "between 0 and 1"),
        ({"trained_betas": [1.0, 0.5]}, "only the last may equal 1"),
        ({"trained_betas": []}, "one row"),
        ({"trained_betas": [[0.1, 0.2]]}, "one row"),
    ],
)
def test_wrong_constructor_arguments_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        ShiftedCosineScheduler(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"num_inference_steps": -3}, "num_inference_steps is -3"),
        ({"num_inference_steps": 2.5}, "positive whole number"),
        ({"num_inference_steps": 1001}, "num_inference_steps is 1001"),
        ({}, "either num_inference_steps or timesteps"),
        ({"num_inference_steps": 2, "timesteps": [5, 3]}, "not both"),
        ({"timesteps": [3, 5]}, "strictly descending"),
        ({"timesteps": [5, 5]}, "strictly descending"),
        ({"timesteps": []}, "integers are needed|strictly descending"),
        ({"timesteps": [[5, 3]]}, "strictly descending"),
        ({"timesteps": [1000, 3]}, r"must lie in 0\.\.999"),
        ({"timesteps": [5, -1]}, r"must lie in 0\.\.999"),
        ({"timesteps": [5.0, 1.0]}, "integers are needed"),
    ],
)
def test_wrong_timesteps_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        ShiftedCosineScheduler().set_timesteps(**arguments)


def test_wrong_calls_raise(sample):
    scheduler = ShiftedCosineScheduler()
    with pytest.raises(ValueError, match="before set_timesteps"):
        scheduler.step(sample, 999, sample)
    scheduler.set_timesteps(10)
    for eta in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="eta is"):
            scheduler.step(sample, 999, sample, eta=eta)
    with pytest.raises(ValueError, match=r"\(2, 6, 8, 8\) .*\(2, 3, 8, 8\)"):
        scheduler.step(torch.cat([sample, sample], dim=1), 999, sample)
    with pytest.raises(ValueError, match=r"0\.\.999.*1000"):
        scheduler.step(sample, 1000, sample)
    with pytest.raises(ValueError, match="integers are needed"):
        scheduler.step(sample, 99.5, sample)
    with pytest.raises(ValueError, match="one timestep"):
        scheduler.step(sample, torch.tensor([999, 998]), sample)
    with pytest.raises(ValueError, match="noise has shape"):
        scheduler.add_noise(sample, sample[:1], torch.tensor([1]))
    with pytest.raises(ValueError, match="3 timesteps"):
        scheduler.get_velocity(sample, sample, torch.tensor([1, 2, 3]))
    for u in (1.5, -0.1, math.nan, torch.tensor([0.5, 2.0])):
        with pytest.raises(ValueError, match="u must lie in"):
            scheduler.logsnr(u)

"""The shifted straight path against its formulas, and the schedulers of diffusers that are made from it.

Three facts about diffusers 0.42.1 that a user meets are asserted here by name:

- FlowMatchEuler and FlowMatchHeun shift the lowest time of the loop twice.
- DEISMultistep and SASolver stop at the noise of their last step.
- EulerDiscreteScheduler knows no flow sigmas; DPM-Solver++ of order 1 is Euler.
"""

import math

import diffusers
import pytest
import torch
from torch.testing import assert_close

from hf_kexue.simple_diffusion.schedulers_simple_diffusion import set_flow_timesteps
from hf_kexue.simple_diffusion.scheduling_shifted_cosine import ShiftedCosineScheduler
from hf_kexue.simple_diffusion.scheduling_shifted_flow import ShiftedFlowScheduler
from hf_kexue.simple_diffusion.times_simple_diffusion import logsnr_range, time_at, training_times

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
FLOW_MATCHING = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler")
SOLVERS = ("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler")
SHIFTS = [(64, 64), (192, 64), (32, 64)]


def flow(sample_size=192, base_size=64, **options):
    return ShiftedFlowScheduler(sample_size=sample_size, base_size=base_size, **options)


def started(scheduler, steps):
    set_timesteps = set_flow_timesteps if type(scheduler).__name__ in FLOW_MATCHING else type(scheduler).set_timesteps
    set_timesteps(scheduler, steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    return scheduler


def integrate(scheduler, x, network, steps):
    """The loop of a pipeline: network(x, t) -> x_0; the scheduler takes what its prediction_type names."""
    started(scheduler, steps)
    kind = "flow_prediction" if type(scheduler).__name__ in FLOW_MATCHING else scheduler.config.prediction_type
    for i, timestep in enumerate(scheduler.timesteps):
        t = scheduler.sigmas[i].double()
        x_0 = network(x, t)
        output = {"sample": x_0, "epsilon": (x - (1 - t) * x_0) / t, "flow_prediction": (x - x_0) / t}[kind]
        x = scheduler.step(output, timestep, x).prev_sample
    return x


# ---- the curve


@pytest.mark.parametrize(("size", "base"), SHIFTS)
def test_logsnr_is_the_cosine_kind_of_shift(size, base):
    u = torch.linspace(0, 1, 101, dtype=torch.float64)[1:-1]
    k = size / base
    t = k * u / (1 + (k - 1) * u)
    scheduler = flow(size, base)
    assert_close(scheduler.logsnr(u), 2 * torch.log((1 - t) / t))
    unshifted = flow(base, base).logsnr(u)
    cosine = ShiftedCosineScheduler(sample_size=size, base_size=base).logsnr(u)
    moved = cosine - ShiftedCosineScheduler(sample_size=base, base_size=base).logsnr(u)
    assert_close(scheduler.logsnr(u) - unshifted, moved, rtol=0, atol=1e-12)
    assert_close(moved, torch.full_like(u, -2 * math.log(k)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_dtype_of_u_and_no_clipping(dtype):
    tiny = torch.finfo(dtype).tiny
    u = torch.tensor([tiny, 0.25, 1 - torch.finfo(dtype).eps], dtype=dtype)
    scheduler = flow()
    logsnr, slope = scheduler.logsnr(u), scheduler.logsnr_slope(u)
    assert logsnr.dtype == slope.dtype == dtype
    assert bool(logsnr.isfinite().all())
    exact = [2 * (math.log1p(-x) - math.log(x)) - 2 * math.log(3) for x in u.tolist()]
    assert_close(logsnr, torch.tensor(exact, dtype=torch.float64).to(dtype))
    ends = scheduler.logsnr(torch.tensor([0.0, 1.0], dtype=dtype))
    assert ends.tolist() == [math.inf, -math.inf]


def test_slope_is_the_derivative():
    u = torch.linspace(0.01, 0.99, 50, dtype=torch.float64, requires_grad=True)
    scheduler = flow()
    (derivative,) = torch.autograd.grad(scheduler.logsnr(u).sum(), u)
    assert_close(scheduler.logsnr_slope(u.detach()), -derivative)


@pytest.mark.parametrize(("size", "base"), SHIFTS)
def test_timesteps_are_shares_of_the_noise(size, base):
    scheduler = flow(size, base)
    u = torch.arange(1000, 0, -1, dtype=torch.float64) / 1000
    t = size / base * u / (1 + (size / base - 1) * u)
    assert_close(scheduler.timesteps.double() / 1000, t, rtol=1e-6, atol=0)
    assert_close(scheduler.logsnr_at(scheduler.timesteps[1:]), scheduler.logsnr(u[1:]).float(), rtol=1e-4, atol=1e-4)
    assert scheduler.sigmas[-1] == 0
    assert len(scheduler.sigmas) == 1001
    assert scheduler.logsnr_at(1000) == -math.inf


def test_noise_and_velocity():
    scheduler, generator = flow(), torch.Generator().manual_seed(0)
    x_0, noise = (torch.randn(3, 1, 4, 4, generator=generator) for _ in range(2))
    timesteps = torch.tensor([900.0, 500.0, 1.0])
    share = (timesteps / 1000).view(-1, 1, 1, 1)
    x_t = scheduler.add_noise(x_0, noise, timesteps)
    assert_close(x_t, (1 - share) * x_0 + share * noise)
    assert_close(scheduler.get_velocity(x_0, noise, timesteps), noise - x_0)
    assert scheduler.add_noise(x_0.half(), noise.half(), timesteps).dtype == torch.float16


# ---- the steps


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_a_step_is_that_of_the_variance_preserving_scheduler_on_another_scale(eta):
    cosine = ShiftedCosineScheduler(sample_size=128, prediction_type="sample", clip_sample=False)
    cosine.set_timesteps(timesteps=[700, 300])
    high, low = cosine.logsnr_at(torch.tensor([700, 300]), dtype=torch.float64)
    shares = torch.sigmoid(-torch.stack([high, low]) / 2)
    straight = flow(128, prediction_type="sample", clip_sample=False, solver="ancestral")
    straight.set_timesteps(timesteps=1000 * shares)
    scale = [torch.sigmoid(x).sqrt() + torch.sigmoid(-x).sqrt() for x in (high, low)]
    x_vp, x_0 = (
        torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i in (0, 1)
    )
    options = {"eta": eta, "return_dict": False}
    expected, _ = cosine.step(x_0, 700, x_vp, generator=torch.Generator().manual_seed(2), **options)
    given = straight.timesteps[0]
    result, _ = straight.step(x_0, given, x_vp / scale[0], generator=torch.Generator().manual_seed(2), **options)
    assert_close(
        result * scale[1], expected, rtol=1e-6, atol=1e-6
    )  # timesteps of the cosine are float64, ours float32


@pytest.mark.parametrize("kind", ["flow_prediction", "epsilon", "sample"])
@pytest.mark.parametrize("solver", ["euler", "heun", "ancestral"])
@pytest.mark.parametrize(("size", "base"), SHIFTS)
def test_a_network_that_knows_the_image_recovers_it(size, base, solver, kind):
    clean = 1.8 * torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)) - 0.9
    scheduler = flow(size, base, solver=solver, prediction_type=kind)
    start = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    assert_close(integrate(scheduler, start, lambda x, t: clean, 12), clean, rtol=0, atol=1e-4)
    assert len(scheduler.timesteps) == (23 if solver == "heun" else 12)


STD = 0.5


def normal_network(x, t):
    """x_0 of pixels that are independent N(0, STD**2)."""
    return (1 - t) * STD**2 * x / ((1 - t) ** 2 * STD**2 + t**2)


def end_of_normal(scheduler):
    """Where the path of a normal leads: x keeps its quantile, so that x_0 = STD x_1 / its deviation at the start."""
    t = float(scheduler.sigmas[0].double())
    return STD / math.hypot((1 - t) * STD, t)


@pytest.mark.parametrize(
    ("name", "options", "ratio"),
    [
        ("own", {"solver": "euler"}, 3),
        ("own", {"solver": "heun"}, 8),
        ("FlowMatchEulerDiscreteScheduler", {}, 3),
        ("FlowMatchHeunDiscreteScheduler", {}, 8),
        ("DPMSolverMultistepScheduler", {"solver_order": 1}, 3),
        ("DPMSolverMultistepScheduler", {}, 4),
        ("DPMSolverSinglestepScheduler", {}, 4),
        ("UniPCMultistepScheduler", {}, 8),
    ],
)
@pytest.mark.parametrize("kind", ["flow_prediction", "epsilon"])
def test_solvers_tend_to_the_exact_path(name, options, ratio, kind):
    """Shift 3, exact network for a normal, whose path is known. Four times the steps divide the error by 4 at first
    order and by 16 at second, less what the last step, of first order in all classes, leaves of it."""
    x = torch.linspace(-2, 2, 64, dtype=torch.float64).view(1, 1, 8, 8)
    errors = []
    for steps in (20, 80):
        own = flow(prediction_type=kind, clip_sample=False, **(options if name == "own" else {}))
        scheduler = own if name == "own" else getattr(diffusers, name).from_config(own.config, **options)
        result = integrate(scheduler, x, normal_network, steps)
        errors.append((result - end_of_normal(scheduler) * x).abs().max().item())
    assert errors[0] < 0.25
    assert errors[1] < errors[0] / ratio, errors


# ---- diffusers


@pytest.mark.parametrize(("size", "base"), SHIFTS)
def test_sigmas_are_shifted_once_in_every_class(size, base):
    own, k, steps = flow(size, base), size / base, 20

    def shifted(u):
        return k * u / (1 + (k - 1) * u)

    def sigmas_of(name):
        return started(getattr(diffusers, name).from_config(own.config), steps).sigmas.double()

    u = torch.arange(steps, -1, -1, dtype=torch.float64) / steps
    assert_close(sigmas_of(FLOW_MATCHING[0]), shifted(u), rtol=1e-6, atol=1e-7)
    doubled = torch.cat([u[:1], u[1:-1].repeat_interleave(2), u[-1:]])
    assert_close(sigmas_of(FLOW_MATCHING[1]), shifted(doubled), rtol=1e-6, atol=1e-7)
    for name in SOLVERS[:2]:  # they start one training step below noise
        assert_close(sigmas_of(name), shifted(u * 0.999), rtol=1e-6, atol=1e-7)
    grid = torch.linspace(1, 0.001, steps + 1, dtype=torch.float64)[:-1]
    assert_close(sigmas_of(SOLVERS[2])[:-1], shifted(grid), rtol=1e-6, atol=2e-6)  # 1e-6 below 1 at the start
    first = 1 / (1 + math.exp(-7.5))
    assert_close(started(own, steps).sigmas.double(), shifted(first * u), rtol=1e-6, atol=1e-7)


def test_diffusers_shifts_the_lowest_time_twice():
    """diffusers#13243."""
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    assert scheduler.sigmas[-1].item() == pytest.approx(0.00299, abs=1e-5)
    scheduler.set_timesteps(1000)
    assert scheduler.sigmas[-2].item() == pytest.approx(0.00893, abs=1e-5)
    set_flow_timesteps(scheduler, 1000)
    assert scheduler.sigmas[-2].item() == pytest.approx(0.00299, abs=1e-5)


@pytest.mark.parametrize("name", ["DEISMultistepScheduler", "SASolverScheduler"])
def test_two_classes_stop_at_the_noise_of_their_last_step(name):
    assert name not in ShiftedFlowScheduler._compatibles
    other = getattr(diffusers, name).from_config(flow().config)
    other.set_timesteps(20)
    assert other.sigmas[-1] == other.sigmas[-2] > 0.1


def test_euler_knows_no_flow_sigmas():
    assert "use_flow_sigmas" not in diffusers.EulerDiscreteScheduler.__init__.__wrapped__.__code__.co_varnames


@pytest.mark.parametrize("name", [*FLOW_MATCHING, *SOLVERS])
def test_there_and_back(name, tmp_path):
    own = flow(192, 48, prediction_type="epsilon", network_prediction_type="v_prediction", solver="heun")
    other = getattr(diffusers, name).from_config(own.config)
    other.save_pretrained(tmp_path)
    for config in (other.config, type(other).from_pretrained(tmp_path).config):
        back = ShiftedFlowScheduler.from_config(config)
        assert {key: back.config[key] for key in own.config if key[0] != "_"} == {
            key: value for key, value in own.config.items() if key[0] != "_"
        }
        assert back.shift == 4


def test_configs_of_diffusers():
    euler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    own = ShiftedFlowScheduler.from_config(euler.config)
    assert (own.shift, own.config.sample_size, own.config.base_size) == (3, 192, 64)
    assert own.config.prediction_type == own.config.network_prediction_type == "flow_prediction"
    solver = diffusers.DPMSolverMultistepScheduler(use_flow_sigmas=True, flow_shift=2.0)
    own = ShiftedFlowScheduler.from_config(solver.config, base_size=32)
    assert (own.config.base_size, own.config.prediction_type) == (32, "epsilon")
    assert ShiftedFlowScheduler.from_config(solver.config).shift == 2
    assert ShiftedFlowScheduler.from_config(euler.config, sample_size=256).shift == 4


def test_between_the_two_kinds_of_schedules():
    cosine = ShiftedCosineScheduler(sample_size=256, logsnr_max=12.0, variance_gamma=0.1)
    own = ShiftedFlowScheduler.from_config(cosine.config)
    assert (own.shift, own.config.network_prediction_type, own.config.variance_gamma) == (4, "v_prediction", 0.1)
    assert own.config.prediction_type == "flow_prediction"
    back = ShiftedCosineScheduler.from_config(own.config)
    for key, value in cosine.config.items():
        assert back.config[key] == value, key
    solver = diffusers.DPMSolverMultistepScheduler.from_config(back.config)
    assert not solver.config.use_flow_sigmas


def test_saved_and_loaded(tmp_path):
    own = flow(192, solver="heun", network_prediction_type="v_prediction")
    own.save_pretrained(tmp_path)
    loaded = ShiftedFlowScheduler.from_pretrained(tmp_path)
    assert dict(loaded.config) == dict(own.config)
    assert_close(started(loaded, 9).sigmas, started(own, 9).sigmas, rtol=0, atol=0)


# ---- training times


@pytest.mark.parametrize("make", [flow, lambda: ShiftedCosineScheduler(sample_size=192, base_size=64)])
@pytest.mark.parametrize("distribution", ["uniform", "logit_normal", "slope"])
def test_training_times(make, distribution):
    scheduler = make()
    places = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    u = training_times(scheduler, places, distribution, mean=0.8, std=0.8)
    lowest, highest = logsnr_range(scheduler)
    logsnr = scheduler.logsnr(u)
    assert lowest - 1e-6 <= logsnr.min()
    assert logsnr.max() <= highest + 1e-6
    if distribution == "uniform":
        assert_close(u[100:-100], places[100:-100])
    elif distribution == "slope":
        assert_close(logsnr, highest + (lowest - highest) * places, rtol=0, atol=1e-6)
    else:  # logit of the noise's share before the shift: N(0.8, 0.8**2)
        logit = (-2 * math.log(3) - logsnr) / 2
        assert logit.mean().item() == pytest.approx(0.8, abs=1e-3)
        assert logit.std().item() == pytest.approx(0.8, abs=5e-3)


def test_time_at_is_the_inverse():
    for scheduler in (flow(), ShiftedCosineScheduler(sample_size=512, base_size=(32, 256))):
        u = torch.linspace(0.01, 0.99, 21, dtype=torch.float64)
        assert_close(time_at(scheduler, scheduler.logsnr(u)), u, rtol=0, atol=1e-12)
    assert_close(flow()._curve.inverse(flow().logsnr(u)), u)


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_size": 0}, "sample_size"),
        ({"base_size": -64}, "base_size"),
        ({"base_size": (64, 32)}, "base_size"),
        ({"logsnr_min": 1.0}, "logsnr_min"),
        ({"variance_gamma": 2.0}, "variance_gamma"),
        ({"prediction_type": "v_prediction"}, "prediction_type"),
        ({"network_prediction_type": "noise"}, "network_prediction_type"),
        ({"solver": "rk4"}, "solver"),
        ({"num_train_timesteps": 1.5}, "num_train_timesteps"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ShiftedFlowScheduler(**arguments)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"shift": 0.0}, "shift"),
        ({"shift": -1.0}, "shift"),
        ({"shift": 1.0, "use_dynamic_shifting": True}, "use_dynamic_shifting"),
        ({"shift": 1.0, "invert_sigmas": True}, "invert_sigmas"),
        ({"shift": 1.0, "shift_terminal": 0.1}, "shift_terminal"),
        ({"shift": 2.0, "flow_shift": 3.0}, "differ"),
        ({"shift": 2.0, "sample_size": 192, "base_size": 64}, "sample_size"),
        ({"_class_name": "DDIMScheduler", "beta_schedule": "linear"}, "neither"),
        ({"sample_size": 64, "base_size": [32, 64]}, "base_size"),
    ],
)
def test_wrong_configs(config, message):
    with pytest.raises(ValueError, match=message):
        ShiftedFlowScheduler.from_config(config)


def test_wrong_steps():
    scheduler, x = flow(solver="heun"), torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match="before set_timesteps"):
        scheduler.step(x, 1000.0, x)
    scheduler.set_timesteps(5)
    with pytest.raises(ValueError, match="not one of"):
        scheduler.step(x, 123.4, x)
    with pytest.raises(ValueError, match="heun"):
        scheduler.step(x, scheduler.timesteps[0], x, eta=0.5)
    with pytest.raises(ValueError, match="u must lie"):
        scheduler.logsnr(1.5)
    with pytest.raises(ValueError, match="timesteps must lie"):
        scheduler.add_noise(x, x, torch.tensor(1001.0))
    for steps in ({}, {"num_inference_steps": 0}, {"timesteps": [1, 2]}, {"timesteps": [1000, 500]}):
        with pytest.raises(ValueError, match="steps"):
            scheduler.set_timesteps(**steps)
    with pytest.raises(ValueError, match="distribution"):
        training_times(scheduler, torch.rand(3), "cosine")
    with pytest.raises(ValueError, match="std"):
        training_times(scheduler, torch.rand(3), "logit_normal", std=0.0)

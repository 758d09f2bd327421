"""Losses against their definitions in plain float64, and the slope of the schedule that makes them schedule-free."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from hf_kexue.simple_diffusion.losses_simple_diffusion import (
    loss_weight,
    mean_by_logsnr,
    multiscale_mean_square,
    prediction_target,
    readout_loss,
    sigmoid_bias,
    simple_diffusion_loss,
)
from hf_kexue.simple_diffusion.scheduling_shifted_cosine import ShiftedCosineScheduler

PREDICTION_TYPES = ("epsilon", "sample", "v_prediction", "flow_prediction")
WEIGHTINGS = ("epsilon", "sample", "v", "flow", "sigmoid", "min_snr")
SCHEDULES = {
    "plain": {},
    "shifted": {"sample_size": 256, "base_size": 32},
    "interpolated": {"sample_size": 512, "base_size": (256, 32)},
    "interpolated-other-way": {"sample_size": 512, "base_size": (32, 256)},
    "narrow": {"logsnr_min": -6.0, "logsnr_max": 8.0},
}


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def alpha_sigma(logsnr):
    snr = logsnr.exp().view(-1, 1, 1, 1)
    return (snr / (1 + snr)).sqrt(), (1 / (1 + snr)).sqrt()


def case(batch=4, side=8, dtype=torch.float64):
    """Images, noise, logSNR and a wrong prediction of the image."""
    sample, noise, wrong = (normal(batch, 3, side, side, seed=seed, dtype=dtype) for seed in range(3))
    return sample, noise, torch.linspace(-5, 6, batch, dtype=dtype), sample + 0.3 * wrong


def expressed_as(prediction_type, x_hat, sample, noise, logsnr):
    """One denoiser in four forms."""
    alpha, sigma = alpha_sigma(logsnr)
    eps_hat = (alpha * sample + sigma * noise - alpha * x_hat) / sigma
    forms = {"epsilon": eps_hat, "sample": x_hat, "v_prediction": alpha * eps_hat - sigma * x_hat}
    return (forms | {"flow_prediction": eps_hat - x_hat})[prediction_type]


def plain_weight(weighting, logsnr, bias=0.0, gamma=5.0):
    snr = logsnr.exp()
    return {
        "epsilon": torch.ones_like(snr),
        "sample": 1 / snr,
        "v": (1 + snr) / snr,
        "flow": (1 + snr.sqrt()) ** 2 / snr,
        "sigmoid": 1 / (1 + snr * math.exp(-bias)),
        "min_snr": snr.clamp(max=gamma) / snr,
    }[weighting]


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_loss_is_the_weighted_noise_error_however_it_is_expressed(weighting, prediction_type):
    sample, noise, logsnr, x_hat = case()
    eps_hat = expressed_as("epsilon", x_hat, sample, noise, logsnr)
    expected = plain_weight(weighting, logsnr, bias=-1.5) * (eps_hat - noise).square().mean(dim=(1, 2, 3))
    output = expressed_as(prediction_type, x_hat, sample, noise, logsnr)
    options = {"prediction_type": prediction_type, "weighting": weighting, "bias": -1.5}
    each = simple_diffusion_loss(output, sample, noise, logsnr, reduction="none", **options)
    assert_close(each, expected, rtol=1e-10, atol=0)  # float64; eps_hat divides by sigma down to 0.05
    assert_close(simple_diffusion_loss(output, sample, noise, logsnr, **options), expected.mean(), rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    ("prediction_type", "weighting"),
    [("v_prediction", "v"), ("epsilon", "epsilon"), ("sample", "sample"), ("flow_prediction", "flow")],
)
def test_matching_weighting_is_plain_mse(prediction_type, weighting):
    sample, noise, logsnr, _ = case()
    output = normal(*sample.shape, seed=7)
    alpha, sigma = alpha_sigma(logsnr)
    targets = {"v_prediction": alpha * noise - sigma * sample, "epsilon": noise, "sample": sample}
    target = (targets | {"flow_prediction": noise - sample})[prediction_type]
    assert_close(prediction_target(sample, noise, logsnr, prediction_type), target)
    loss = simple_diffusion_loss(output, sample, noise, logsnr, prediction_type, weighting)
    assert_close(loss, F.mse_loss(output, target))


PAIRS = {"sample": "sample", "epsilon": "epsilon", "flow_prediction": "flow", "v_prediction": "v"}


@pytest.mark.parametrize("weighting", PAIRS.values())
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_each_pair_is_the_square_in_the_space_of_its_loss(prediction_type, weighting):
    """x, epsilon or v predicted, and the plain mean square of the error of x, epsilon or v: the nine pairs."""
    sample, noise, logsnr, x_hat = case()
    (space,) = [kind for kind, name in PAIRS.items() if name == weighting]
    wrong, right = (expressed_as(space, x, sample, noise, logsnr) for x in (x_hat, sample))
    output = expressed_as(prediction_type, x_hat, sample, noise, logsnr)
    loss = simple_diffusion_loss(output, sample, noise, logsnr, prediction_type, weighting)
    assert_close(loss, F.mse_loss(wrong, right), rtol=1e-10, atol=0)


def test_the_target_of_a_sample_prediction_is_the_sample():
    sample, noise, logsnr, _ = case()
    assert_close(prediction_target(sample, noise, logsnr, "sample"), sample)


def test_min_snr_for_v_prediction_is_the_published_weight():
    """arXiv 2303.09556: min(snr, gamma) / (snr + 1) on the square of the v error."""
    sample, noise, logsnr, _ = case()
    output = normal(*sample.shape, seed=7)
    snr = logsnr.exp()
    error = (output - prediction_target(sample, noise, logsnr, "v_prediction")).square().mean(dim=(1, 2, 3))
    expected = (snr.clamp(max=5) / (snr + 1) * error).mean()
    assert_close(simple_diffusion_loss(output, sample, noise, logsnr, "v_prediction", "min_snr"), expected)
    other = (snr.clamp(max=2) / (snr + 1) * error).mean()
    options = {"min_snr_gamma": 2.0}
    assert_close(simple_diffusion_loss(output, sample, noise, logsnr, "v_prediction", "min_snr", **options), other)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("logsnr", [-25.0, 25.0])
def test_extreme_noise_levels_stay_finite_in_float32(weighting, prediction_type, logsnr):
    sample, noise, _, _ = case(dtype=torch.float32)
    output = normal(*sample.shape, seed=7, dtype=torch.float32).requires_grad_()
    loss = simple_diffusion_loss(output, sample, noise, torch.full((4,), logsnr), prediction_type, weighting)
    loss.backward()
    assert loss.isfinite()
    assert output.grad.isfinite().all()


@pytest.mark.parametrize(("size", "bias"), [(32, 1), (64, 0), (128, -1), (256, -2), (512, -3)])
def test_sigmoid_bias(size, bias):
    assert sigmoid_bias(size) == bias


def test_the_bias_follows_the_height_of_the_image():
    sample, noise, logsnr, x_hat = case(side=16)
    default = simple_diffusion_loss(x_hat, sample, noise, logsnr, "sample", "sigmoid")
    assert_close(default, simple_diffusion_loss(x_hat, sample, noise, logsnr, "sample", "sigmoid", bias=2.0))


# The slope of the schedule


@pytest.mark.parametrize("name", SCHEDULES)
def test_slope_is_the_derivative_of_logsnr(name):
    scheduler = ShiftedCosineScheduler(**SCHEDULES[name])
    u = torch.linspace(0, 1, 41, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(scheduler.logsnr(u).sum(), u)
    assert_close(scheduler.logsnr_slope(u.detach()), -gradient, rtol=1e-9, atol=0)

    inner = u.detach()[1:-1]
    h = 1e-6
    differences = -(scheduler.logsnr(inner + h) - scheduler.logsnr(inner - h)) / (2 * h)
    # Rounding of logSNR about 15 gives 1e-15 * 15 / 1e-6; truncation is smaller.
    assert_close(scheduler.logsnr_slope(inner), differences, rtol=1e-6, atol=1e-7)


def test_slope_of_the_article_form():
    """Without clipping to speak of, logSNR(u) = -2 log tan(pi u / 2) has the slope 2 pi / sin(pi u)."""
    scheduler = ShiftedCosineScheduler(logsnr_min=-60.0, logsnr_max=60.0)
    u = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    assert_close(scheduler.logsnr_slope(u), 2 * math.pi / torch.sin(math.pi * u), rtol=1e-10, atol=0)


@pytest.mark.parametrize(("u", "dtype"), [(0.3, torch.float64), (torch.tensor([0.3]), torch.float32)])
def test_slope_dtype_follows_u(u, dtype):
    assert ShiftedCosineScheduler().logsnr_slope(u).dtype == dtype


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("bias", [0.0, -2.0])
def test_sigmoid_weighting_integrates_over_logsnr_whatever_the_schedule(name, bias):
    """E_u[weight] = integral of sigmoid(b - l) dl from end to end = softplus(b - l_min) - softplus(b - l_max)."""
    scheduler = ShiftedCosineScheduler(**SCHEDULES[name])
    u = (torch.arange(2**19, dtype=torch.float64) + 0.5) / 2**19
    logsnr = scheduler.logsnr(u)
    weight = loss_weight(logsnr, "sigmoid", bias=bias, logsnr_slope=scheduler.logsnr_slope(u))
    ends = scheduler.logsnr(torch.tensor([1.0, 0.0], dtype=torch.float64))
    grid = torch.linspace(*ends.tolist(), 20001, dtype=torch.float64)
    quadrature = torch.trapezoid(torch.sigmoid(bias - grid), grid)
    closed = F.softplus(bias - ends[0]) - F.softplus(bias - ends[1])
    assert_close(quadrature, closed, rtol=1e-6, atol=0)  # the trapezoidal rule at a spacing of 0.0015
    assert_close(weight.mean(), closed, rtol=1e-5, atol=0)  # midpoint rule; the slope bends within 3e-4 of the ends


def test_two_schedules_have_one_expected_loss():
    """An error that depends on logSNR alone has the same expectation under a plain and a shifted schedule."""
    integrals = []
    for arguments in (SCHEDULES["plain"], SCHEDULES["shifted"]):
        scheduler = ShiftedCosineScheduler(**arguments)
        u = (torch.arange(2**16, dtype=torch.float64) + 0.5) / 2**16
        logsnr = scheduler.logsnr(u)
        bump = torch.exp(-0.5 * logsnr.square()).sqrt()  # squared error of the noise; vanishes at every end
        shape = (-1, 1, 1, 1)
        zeros = torch.zeros(len(u), 1, 1, 1, dtype=torch.float64)
        slope = scheduler.logsnr_slope(u)
        options = {"prediction_type": "epsilon", "weighting": "sigmoid", "bias": 0.5, "logsnr_slope": slope}
        integrals.append(simple_diffusion_loss(bump.view(shape), zeros, zeros, logsnr, **options))
    assert_close(integrals[0], integrals[1], rtol=1e-6, atol=0)
    grid = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    direct = torch.trapezoid(torch.sigmoid(0.5 - grid) * torch.exp(-0.5 * grid.square()), grid)
    assert_close(integrals[0], direct, rtol=1e-6, atol=0)


# Several scales


def plain_multiscale(error, smallest):
    """Loops over squares, no pooling operator."""
    batch, channels, height, width = error.shape
    result = []
    for b in range(batch):
        total = weights = 0.0
        size = smallest
        while size <= height:
            cell = height // size
            squares = [
                error[b, c, i : i + cell, j : j + cell].mean().square()
                for c in range(channels)
                for i in range(0, height, cell)
                for j in range(0, width, cell)
            ]
            total, weights = total + torch.stack(squares).mean() / size, weights + 1 / size
            size *= 2
        result.append(total / weights)
    return torch.stack(result)


@pytest.mark.parametrize(
    ("height", "width", "smallest"),
    [(16, 16, 4), (8, 16, 2), (8, 12, 4), (8, 8, 8)],
    ids=["square", "wide", "3-2", "one"],
)
def test_multiscale_against_plain_loops(height, width, smallest):
    error = normal(2, 2, height, width)
    assert_close(multiscale_mean_square(error, smallest), plain_multiscale(error, smallest))


def test_one_scale_is_the_mean_square():
    error = normal(3, 2, 32, 32)
    assert_close(multiscale_mean_square(error), error.square().mean(dim=(1, 2, 3)))


def test_multiscale_of_a_constant_and_of_white_noise():
    """Pooling keeps a constant and divides the variance of white noise by the number of pixels in a square."""
    assert_close(multiscale_mean_square(torch.full((1, 1, 128, 128), 0.5)), torch.tensor([0.25]))
    sizes = (32, 64, 128)
    expected = sum((size / 128) ** 2 / size for size in sizes) / sum(1 / size for size in sizes)
    observed = multiscale_mean_square(normal(16, 3, 128, 128)).mean()
    # The 32 x 32 scale rules: 49152 values, of which the mean square has the standard error 0.6 %.
    assert_close(observed, torch.tensor(expected, dtype=torch.float64), rtol=0.03, atol=0)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (96, 96), (64, 33), (40, 40)])
def test_multiscale_refuses_sizes_without_halves(height, width):
    with pytest.raises(ValueError, match="down to 32 rows"):
        multiscale_mean_square(torch.zeros(1, 1, height, width))


@pytest.mark.parametrize("smallest", [0, -4])
def test_multiscale_refuses_a_coarsest_scale_without_rows(smallest):
    with pytest.raises(ValueError, match="positive"):
        multiscale_mean_square(torch.zeros(1, 1, 16, 16), smallest)


def test_multiscale_argument_of_the_loss():
    sample, noise, logsnr, x_hat = case(batch=1, side=64)
    options = {"prediction_type": "sample", "weighting": "epsilon", "reduction": "none"}
    loss = simple_diffusion_loss(x_hat, sample, noise, logsnr, multiscale=True, **options)
    eps_error = expressed_as("epsilon", x_hat, sample, noise, logsnr) - noise
    assert_close(loss, plain_multiscale(eps_error, 32), rtol=1e-10, atol=0)
    coarser = simple_diffusion_loss(x_hat, sample, noise, logsnr, multiscale=16, **options)
    assert_close(coarser, multiscale_mean_square(eps_error, 16), rtol=1e-10, atol=0)


# Gradients and precision


@pytest.mark.parametrize("multiscale", [False, 4], ids=["one-scale", "multiscale"])
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_float32_loss_and_gradient_against_a_float64_reference(weighting, prediction_type, multiscale):
    sample, noise, logsnr, x_hat = case(batch=2)
    output = expressed_as(prediction_type, x_hat, sample, noise, logsnr)

    twin = output.clone().requires_grad_()
    alpha, sigma = alpha_sigma(logsnr)
    x_t = alpha * sample + sigma * noise
    eps_hat = {
        "epsilon": twin,
        "sample": (x_t - alpha * twin) / sigma,
        "v_prediction": sigma * x_t + alpha * twin,
        "flow_prediction": (x_t + alpha * twin) / (alpha + sigma),
    }[prediction_type]
    error = eps_hat - noise
    mean_square = plain_multiscale(error, multiscale) if multiscale else error.square().mean(dim=(1, 2, 3))
    expected = (plain_weight(weighting, logsnr, bias=-1.0) * mean_square).mean()
    expected.backward()

    single = output.float().requires_grad_()
    options = {"prediction_type": prediction_type, "weighting": weighting, "multiscale": multiscale, "bias": -1.0}
    loss = simple_diffusion_loss(single, sample.float(), noise.float(), logsnr.float(), **options)
    loss.backward()
    assert loss.dtype == torch.float32
    # Differences of numbers of size 1 to 10 keep about 1e-6 of absolute precision, errors are 0.02 to 4.
    assert_close(loss.double(), expected, rtol=1e-4, atol=1e-6)
    assert_close(single.grad.double(), twin.grad, rtol=1e-3, atol=1e-4 * twin.grad.abs().max().item())


def test_half_precision_outputs_are_computed_in_float32():
    sample, noise, logsnr, x_hat = (part.float() for part in case())
    half = simple_diffusion_loss(x_hat.bfloat16(), sample, noise, logsnr, "sample", "sigmoid")
    same = simple_diffusion_loss(x_hat.bfloat16().float(), sample, noise, logsnr, "sample", "sigmoid")
    assert half.dtype == torch.float32
    assert_close(half, same, rtol=0, atol=0)


# Bins and errors


def test_mean_by_logsnr():
    logsnr = torch.tensor([-9.0, -4.0, -4.5, 1.0, 7.0, 8.0])
    loss = torch.tensor([1.0, 2.0, 4.0, 5.0, 6.0, 10.0])
    expected = {"logsnr_-inf_to_-6": 1.0, "logsnr_-6_to_-3": 3.0, "logsnr_0_to_3": 5.0, "logsnr_6_to_inf": 8.0}
    assert mean_by_logsnr(loss, logsnr) == expected
    assert mean_by_logsnr(loss, logsnr, edges=(0.5,)) == {
        "logsnr_-inf_to_0.5": pytest.approx(7 / 3),
        "logsnr_0.5_to_inf": 7.0,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weighting": "snr"}, "weighting must be one of"),
        ({"prediction_type": "v"}, "prediction_type must be one of"),
        ({"reduction": "sum"}, "reduction must be one of"),
        ({"model_output": torch.zeros(2, 3, 4, 4)}, "must have one shape"),
        ({"noise": torch.zeros(2, 1, 8, 8)}, "must have one shape"),
        ({"logsnr": torch.zeros(3)}, "logsnr the shape"),
        ({"logsnr": torch.zeros(())}, "logsnr the shape"),
        ({"multiscale": True}, "power of two"),
        ({"multiscale": 3}, "power of two"),
        ({"multiscale": 0}, "positive"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_wrong_arguments_raise(arguments, message):
    image = torch.zeros(2, 3, 8, 8)
    right = {"model_output": image, "sample": image, "noise": image, "logsnr": torch.zeros(2)}
    with pytest.raises(ValueError, match=message):
        simple_diffusion_loss(**(right | arguments))


def test_wrong_names_outside_the_loss():
    image = torch.zeros(2, 3, 8, 8)
    with pytest.raises(ValueError, match="prediction_type must be one of"):
        prediction_target(image, image, torch.zeros(2), "x0")
    with pytest.raises(ValueError, match="weighting must be one of"):
        loss_weight(torch.zeros(2), "edm")


@pytest.mark.parametrize("weighting", ["epsilon", "v", "sigmoid", "min_snr"])
@pytest.mark.parametrize("prediction_type", ["v_prediction", "sample"])
@pytest.mark.parametrize("slope", [None, math.inf])
def test_zero_terminal_snr_is_the_limit(weighting, prediction_type, slope):
    generator = torch.Generator().manual_seed(0)
    output, sample, noise = torch.randn(3, 1, 3, 8, 8, generator=generator)
    target = -sample if prediction_type == "v_prediction" else sample  # v = alpha noise - sigma sample at alpha = 0
    expected = (output - target).square().mean() if weighting == "v" else torch.zeros(())
    slopes = {} if slope is None else {"logsnr_slope": torch.tensor([slope])}
    if weighting != "sigmoid":  # the only weighting that takes a slope
        slopes = {}
    loss = simple_diffusion_loss(
        output, sample, noise, torch.tensor([-math.inf]), prediction_type, weighting, **slopes
    )
    torch.testing.assert_close(loss, expected)


# Predictions at several sizes


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction", "flow_prediction"])
def test_heads_that_pool_the_prediction_give_the_multiscale_loss(kind):
    output, sample, noise = torch.randn(3, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    logsnr = torch.tensor([-5.0, -1.0, 2.0, 6.0], dtype=torch.float64)
    outputs = [output, F.avg_pool2d(output, 2), F.avg_pool2d(output, 4)]
    options = {"prediction_type": kind, "weighting": "sigmoid", "reduction": "none"}
    heads = readout_loss(outputs, sample, noise, logsnr, **options)
    assert_close(heads, simple_diffusion_loss(output, sample, noise, logsnr, multiscale=8, **options))
    plain = readout_loss([output], sample, noise, logsnr, **options)
    assert_close(plain, simple_diffusion_loss(output, sample, noise, logsnr, **options))


def test_a_head_is_held_to_the_pooled_image():
    sample, noise = torch.randn(2, 2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    outputs = [sample, F.avg_pool2d(sample, 2)]
    logsnr = torch.zeros(2)
    assert readout_loss(outputs, sample, noise, logsnr, prediction_type="sample") == 0
    outputs[1] = outputs[1] + 2.0  # squared 4, weighted (1/8) / (1/8 + 1/16)
    options = {"prediction_type": "sample", "weighting": "sample"}
    assert_close(readout_loss(outputs, sample, noise, logsnr, **options), torch.tensor(8 / 3))
    with pytest.raises(ValueError, match="no part of 16 x 24"):
        readout_loss([sample, sample[..., :5, :5]], sample, noise, logsnr)

"""Guidance formulas in float64 against the forms in which the articles print them."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from hf_kexue.simple_diffusion.guidance_simple_diffusion import (
    extrapolate,
    in_interval,
    output_from_sample,
    predict_sample,
    upsample_guidance,
)

PREDICTION_TYPES = ("epsilon", "sample", "v_prediction")


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def alpha_sigma(logsnr):
    """From the definition snr = alpha**2 / sigma**2 with alpha**2 + sigma**2 = 1."""
    snr = torch.as_tensor(logsnr, dtype=torch.float64).exp()
    return (snr / (1 + snr)).sqrt(), (1 / (1 + snr)).sqrt()


def repeat(x, factor):
    return F.interpolate(x, scale_factor=factor, mode="nearest")


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5, -1.0])
def test_extrapolate(scale):
    positive, negative = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    w = scale - 1  # the form (1 + w) cond - w uncond
    assert_close(extrapolate(positive, negative, scale), (1 + w) * positive - w * negative)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_extrapolation_is_the_same_in_every_prediction_space(prediction_type):
    x_t, first, second = (normal(2, 1, 4, 4, seed=seed) for seed in range(3))
    logsnr = torch.tensor([-1.5, 2.0], dtype=torch.float64)
    outputs = [output_from_sample(x_0, x_t, logsnr, prediction_type) for x_0 in (first, second)]
    guided = predict_sample(extrapolate(*outputs, 3.0), x_t, logsnr, prediction_type)
    assert_close(guided, extrapolate(first, second, 3.0))


@pytest.mark.parametrize(("logsnr", "inside"), [(-2.0, True), (0.5, True), (1.0, True), (-2.1, False), (1.1, False)])
def test_interval(logsnr, inside):
    assert in_interval(logsnr, (-2.0, 1.0)) is inside
    assert in_interval(logsnr, None) is True
    assert in_interval(logsnr, (-math.inf, math.inf)) is True


@pytest.mark.parametrize("interval", [(1.0, 1.0), (2.0, -2.0), (math.nan, 1.0)])
def test_an_empty_interval_is_refused(interval):
    with pytest.raises(ValueError, match="low < high"):
        in_interval(0.0, interval)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_predict_sample_recovers_the_image(prediction_type):
    x_0, noise = normal(3, 2, 4, 4), normal(3, 2, 4, 4, seed=1)
    logsnr = torch.tensor([-4.0, 0.0, 5.0], dtype=torch.float64)
    alpha, sigma = (part.view(-1, 1, 1, 1) for part in alpha_sigma(logsnr))
    x_t = alpha * x_0 + sigma * noise
    output = {"epsilon": noise, "sample": x_0, "v_prediction": alpha * noise - sigma * x_0}[prediction_type]
    assert_close(predict_sample(output, x_t, logsnr, prediction_type), x_0, rtol=1e-12, atol=1e-12)
    assert_close(output_from_sample(x_0, x_t, logsnr, prediction_type), output, rtol=1e-12, atol=1e-12)


def epsilon_network(x_t, logsnr):
    """Any smooth noise predictor that works at every size."""
    neighbours = F.avg_pool2d(F.pad(x_t, (1, 1, 1, 1), mode="circular"), 3, stride=1)
    return torch.tanh(x_t - 0.6 * neighbours) + 0.1 * torch.sin(logsnr) * x_t


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("scale", [1.0, 1.2, 0.5])
@pytest.mark.parametrize("logsnr", [-6.0, -1.0, 2.0])
def test_upsample_guidance_is_the_epsilon_formula_of_the_article(factor, scale, logsnr):
    x_t, logsnr = normal(2, 3, 8, 16), torch.tensor(logsnr, dtype=torch.float64)
    alpha, sigma = alpha_sigma(logsnr)

    rho = (alpha**2 + sigma**2 / factor**2).sqrt()
    tau = torch.log(factor**2 * alpha**2 / sigma**2)  # SNR(tau) = s**2 SNR(t)
    eps = epsilon_network(x_t, logsnr)
    eps_low = epsilon_network(F.avg_pool2d(x_t, factor) / rho, tau)
    eps_tilde = eps + scale * repeat(eps_low / factor - F.avg_pool2d(eps, factor), factor)

    def denoise(x, at):
        a, s = alpha_sigma(at)
        return (x - s * epsilon_network(x, at)) / a

    x_tilde = upsample_guidance(denoise, x_t, logsnr, factor, scale)
    assert_close(output_from_sample(x_tilde, x_t, logsnr, "epsilon"), eps_tilde, rtol=1e-10, atol=1e-10)


def test_pooled_input_has_the_variance_that_the_lower_resolution_expects():
    """D x_t / rho of white x_0 = 0 has the variance sigma(tau)**2 that the smaller image has at tau."""
    seen = []

    def denoise(x, at):
        seen.append((x, at))
        return torch.zeros_like(x)

    logsnr = torch.tensor(-0.7, dtype=torch.float64)
    _, sigma = alpha_sigma(logsnr)
    upsample_guidance(denoise, sigma * normal(64, 1, 32, 32), logsnr, 4, 1.0)
    (_, at_high), (x_low, at_low) = seen
    assert at_high == logsnr
    assert x_low.shape == (64, 1, 8, 8)
    # 4096 independent values: the standard error of a variance is 2.2 %.
    assert_close(x_low.var(), alpha_sigma(at_low)[1] ** 2, rtol=0.1, atol=0)


def test_a_denoiser_that_is_right_at_both_sizes_is_left_alone():
    """Images of one constant c ~ N(0.3, 0.5**2): posterior mean in closed form at any size, and D x_hat = x_low."""
    mean, std = 0.3, 0.5

    def denoise(x, at):
        a, s = alpha_sigma(at)
        count = x.shape[-2] * x.shape[-1]
        gain = a * std**2 / (a**2 * std**2 + s**2 / count)
        return (mean + gain * (x.mean(dim=(-2, -1), keepdim=True) - a * mean)).expand_as(x)

    x_t, logsnr = normal(3, 1, 8, 8), torch.tensor(-2.0, dtype=torch.float64)
    assert_close(upsample_guidance(denoise, x_t, logsnr, 2, 1.2), denoise(x_t, logsnr), rtol=1e-12, atol=1e-12)


def test_unit_scale_puts_the_low_resolution_prediction_in_place():
    def denoise(x, at):
        return torch.tanh(x) * torch.sigmoid(at)

    x_t, logsnr = normal(2, 3, 8, 8), torch.tensor(-1.0, dtype=torch.float64)
    alpha, sigma = alpha_sigma(logsnr)
    x_low = denoise(F.avg_pool2d(x_t, 2) / (alpha**2 + sigma**2 / 4).sqrt(), logsnr + math.log(4))
    x_tilde = upsample_guidance(denoise, x_t, logsnr, 2, 1.0)
    assert_close(F.avg_pool2d(x_tilde, 2), x_low)
    x_hat = denoise(x_t, logsnr)  # what is finer than the squares comes from the high resolution alone
    assert_close(x_tilde - repeat(x_low, 2), x_hat - repeat(F.avg_pool2d(x_hat, 2), 2))


@pytest.mark.parametrize(("factor", "scale"), [(1, 1.2), (2, 0.0)], ids=["factor-1", "scale-0"])
def test_upsample_guidance_off(factor, scale):
    calls = []

    def denoise(x, at):
        calls.append(x.shape)
        return torch.tanh(x)

    x_t = normal(1, 1, 4, 4)
    logsnr = torch.tensor(0.0, dtype=torch.float64)
    assert_close(upsample_guidance(denoise, x_t, logsnr, factor, scale), torch.tanh(x_t))
    assert len(calls) == 1


def test_one_logsnr_for_each_image():
    x_t, logsnr = normal(2, 1, 4, 4), torch.tensor([-1.0, 2.0], dtype=torch.float64)

    def denoise(x, at):
        return torch.tanh(x * torch.sigmoid(at).view(-1, 1, 1, 1))

    together = upsample_guidance(denoise, x_t, logsnr, 2, 1.2)
    apart = [upsample_guidance(denoise, x_t[i : i + 1], logsnr[i : i + 1], 2, 1.2) for i in range(2)]
    assert_close(together, torch.cat(apart))


@pytest.mark.parametrize("factor", [0, -2, 1.5, 3], ids=["zero", "negative", "fraction", "does-not-divide"])
def test_wrong_factors_are_refused(factor):
    with pytest.raises(ValueError, match="positive integer that divides"):
        upsample_guidance(lambda x, at: x, normal(1, 1, 8, 8), torch.tensor(0.0), factor, 1.0)

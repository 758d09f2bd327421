"""Sampling a distribution whose score is known: the sampler alone is on trial, no network is involved.

Data: a mixture of two normals on the line. Its posterior mean E[x_0 | x_t] is elementary, so is its distribution
function, and the deterministic flow from N(0, 1) to it is the monotone rearrangement quantile(Phi(z)), which no line
of the scheduler knows about. Everything is float64.
"""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from scipy.optimize import brentq
from scipy.stats import norm

from hf_kexue.simple_diffusion.scheduling_shifted_cosine import ShiftedCosineScheduler

WEIGHTS, MEANS, STDS = (0.3, 0.7), (-1.0, 0.6), (0.25, 0.4)
MEAN = sum(w * m for w, m in zip(WEIGHTS, MEANS))
VARIANCE = sum(w * (m * m + s * s) for w, m, s in zip(WEIGHTS, MEANS, STDS)) - MEAN**2
THIRD = sum(w * ((m - MEAN) ** 3 + 3 * (m - MEAN) * s * s) for w, m, s in zip(WEIGHTS, MEANS, STDS))
FOURTH = sum(w * ((m - MEAN) ** 4 + 6 * (m - MEAN) ** 2 * s * s + 3 * s**4) for w, m, s in zip(WEIGHTS, MEANS, STDS))
BELOW_VALLEY = sum(w * norm.cdf((-0.4 - m) / s) for w, m, s in zip(WEIGHTS, MEANS, STDS))


def posterior_mean(x_t, alpha, sigma, weights=WEIGHTS, means=MEANS, stds=STDS):
    """E[x_0 | x_t] by Bayes: x_t given component k is N(alpha m, alpha^2 s^2 + sigma^2), and regression is linear."""
    variances = [(alpha * s) ** 2 + sigma**2 for s in stds]
    log_joint = [
        math.log(w) - 0.5 * math.log(v) - (x_t - alpha * m) ** 2 / (2 * v)
        for w, m, v in zip(weights, means, variances)
    ]
    share = torch.softmax(torch.stack(log_joint), dim=0)
    parts = [m + alpha * s * s / v * (x_t - alpha * m) for m, s, v in zip(means, stds, variances)]
    return sum(r * part for r, part in zip(share, parts))


def model_output(x_t, x_0, alpha, sigma, prediction_type):
    noise = (x_t - alpha * x_0) / sigma
    return {"sample": x_0, "epsilon": noise, "v_prediction": alpha * noise - sigma * x_0}[prediction_type]


def alpha_sigma(scheduler, t):
    snr = math.exp(scheduler.logsnr_at(t, dtype=torch.float64).item())
    return math.sqrt(snr / (1 + snr)), math.sqrt(1 / (1 + snr))


def sample(scheduler, x, num_steps, mixture=(WEIGHTS, MEANS, STDS), **step_arguments):
    scheduler.set_timesteps(num_steps)
    for t in scheduler.timesteps:
        alpha, sigma = alpha_sigma(scheduler, t)
        x_0 = posterior_mean(x, alpha, sigma, *mixture)
        output = model_output(x, x_0, alpha, sigma, scheduler.config.prediction_type)
        x = scheduler.step(output, t, x, **step_arguments).prev_sample
    return x


def make_scheduler(**arguments):
    return ShiftedCosineScheduler(**({"num_train_timesteps": 4096, "clip_sample": False} | arguments))


@pytest.fixture(scope="module")
def quantiles():
    """Start z on a grid of normal quantiles, and where the exact flow takes each of them."""
    probabilities = [(i + 0.5) / 200 for i in range(200)]
    target = [
        brentq(
            lambda x, p=p: sum(w * norm.cdf((x - m) / s) for w, m, s in zip(WEIGHTS, MEANS, STDS)) - p,
            -9,
            9,
            xtol=1e-13,
        )
        for p in probabilities
    ]
    return torch.from_numpy(norm.ppf(probabilities)), torch.tensor(target, dtype=torch.float64)


def orders_of(errors):
    return [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"prediction_type": "epsilon"},
        {"prediction_type": "sample"},
        {"prediction_type": "v_prediction"},
        {"sample_size": 256},
        {"sample_size": 512, "base_size": (256, 32)},
    ],
)
def test_ddim_converges_to_the_exact_flow_with_first_order(quantiles, arguments):
    start, target = quantiles
    scheduler = make_scheduler(**arguments)
    errors = [(sample(scheduler, start, n, eta=0.0) - target).abs().max().item() for n in (64, 128, 256)]
    # First order: the error halves with the step, asymptotically, hence the margin on the early orders.
    assert errors[-1] < 0.03, errors
    assert orders_of(errors)[-1] == pytest.approx(1.0, abs=0.1), errors
    assert min(orders_of(errors)) > 0.85, errors


def test_ddim_reproduces_the_moments(quantiles):
    start = torch.from_numpy(norm.ppf((torch.arange(4000, dtype=torch.float64) + 0.5).numpy() / 4000))
    x = sample(make_scheduler(sample_size=128), start, 512, eta=0.0)
    # 512 first-order steps leave about 4e-3 at single points (see above), of both signs, so less in the moments.
    assert x.mean().item() == pytest.approx(MEAN, abs=4e-3)
    assert x.var().item() == pytest.approx(VARIANCE, abs=4e-3)
    assert ((x - x.mean()) ** 3).mean().item() == pytest.approx(THIRD, abs=4e-3)
    assert (x < -0.4).double().mean().item() == pytest.approx(BELOW_VALLEY, abs=4e-3)


@pytest.mark.parametrize(("sample_size", "gamma"), [(64, 0.0), (64, 0.3), (64, 1.0), (256, 1.0)])
def test_ancestral_sampling_reproduces_the_moments(sample_size, gamma):
    count = 10_000
    generator = torch.Generator().manual_seed(20)
    start = torch.randn(count, generator=generator, dtype=torch.float64)
    scheduler = make_scheduler(sample_size=sample_size, variance_gamma=gamma)
    x = sample(scheduler, start, 256, eta=1.0, generator=generator)
    # Four standard errors of the Monte Carlo; for the variance also the bias of 256 steps, at most 3 % here and at
    # its largest for gamma = 0 (the recursion below shows the same without sampling noise, and that it halves).
    variance_of_square = FOURTH - VARIANCE**2
    assert x.mean().item() == pytest.approx(MEAN, abs=4 * math.sqrt(VARIANCE / count))
    assert x.var().item() == pytest.approx(VARIANCE, abs=4 * math.sqrt(variance_of_square / count) + 0.03 * VARIANCE)
    share = (x < -0.4).double().mean().item()
    assert share == pytest.approx(BELOW_VALLEY, abs=4 * math.sqrt(BELOW_VALLEY * (1 - BELOW_VALLEY) / count))


def ancestral_gaussian_moments(scheduler, mean, std, num_steps):
    """Mean and variance after ancestral sampling of N(mean, std^2), without any sampling noise: each step is affine in
    x and in its noise, so two probes of x and one of the noise give the coefficients of the recursion."""
    probe_mean, probe_variance = 0.0, 1.0
    scheduler.set_timesteps(num_steps)
    for t in scheduler.timesteps:
        alpha, sigma = alpha_sigma(scheduler, t)
        x = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
        output = model_output(
            x, posterior_mean(x, alpha, sigma, (1.0,), (mean,), (std,)), alpha, sigma, scheduler.config.prediction_type
        )
        seeds = [torch.Generator().manual_seed(seed) for seed in (0, 0, 1)]
        first, moved, other_noise = scheduler.step(output, t, x, eta=1.0, generator=seeds).prev_sample.tolist()
        noise = [
            torch.randn(1, generator=torch.Generator().manual_seed(s), dtype=torch.float64).item() for s in (0, 1)
        ]
        spread = (other_noise - first) / (noise[1] - noise[0])
        slope, offset = moved - first, first - spread * noise[0]
        probe_mean = offset + slope * probe_mean
        probe_variance = slope**2 * probe_variance + spread**2
    return probe_mean, probe_variance


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
def test_ancestral_sampling_of_a_normal_converges_with_first_order(gamma):
    mean, std = 0.5, 0.3
    scheduler = make_scheduler(sample_size=64, variance_gamma=gamma)
    results = [ancestral_gaussian_moments(scheduler, mean, std, n) for n in (64, 128, 256, 512)]
    errors = [abs(variance - std**2) for _, variance in results]
    # The mean is exact but for what N(0, 1) lacks of the start, alpha_T mean = 3e-4 shrunk by the way down.
    assert [m for m, _ in results] == pytest.approx([mean] * 4, abs=1e-6)
    assert errors[-1] < 0.03 * std**2, errors
    assert orders_of(errors)[-1] == pytest.approx(1.0, abs=0.08), errors
    assert min(orders_of(errors)) > 0.8, errors


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers gives torch tensors to np.array
def test_a_second_order_class_swapped_in_solves_the_same_flow_with_second_order(quantiles):
    start, target = quantiles
    ours = make_scheduler(sample_size=128)
    errors = []
    for num_steps in (32, 64, 128):
        swapped = DPMSolverMultistepScheduler.from_config(ours.config)
        swapped.set_timesteps(num_steps)
        x = start.clone()
        for t in swapped.timesteps:
            alpha, sigma = alpha_sigma(ours, t)
            output = model_output(x, posterior_mean(x, alpha, sigma), alpha, sigma, "v_prediction")
            x = swapped.step(output, t, x).prev_sample
        errors.append((x - target).abs().max().item())
    # Its tables are float32 and its last step is of first order: beyond 128 steps the order is no longer clean.
    assert sum(orders_of(errors)) / 2 > 1.7, errors
    assert errors[-1] < (sample(ours, start, 128, eta=0.0) - target).abs().max().item() / 5, errors

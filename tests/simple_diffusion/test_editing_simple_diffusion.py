"""How a known part is kept, in float64: for a normal distribution against the closed form of Bayes' rule in numpy."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hf_kexue.simple_diffusion.editing_simple_diffusion import (
    brought_back,
    gradient_shift,
    noised,
    output_shift,
    projection_shift,
    replaced,
)
from hf_kexue.simple_diffusion.guidance_simple_diffusion import output_from_sample
from hf_kexue.simple_diffusion.observations_simple_diffusion import BlockMeans, KeptPixels

SHAPE, SIZE = (1, 4, 4), 16  # one channel
LEVELS = [-6.0, -1.0, 0.0, 2.5, 7.0]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def level(logsnr):
    """logSNR as a tensor, alpha, sigma."""
    return torch.tensor(logsnr, dtype=torch.float64), 1 / np.sqrt(1 + np.exp(-logsnr)), 1 / np.sqrt(1 + np.exp(logsnr))


FACTOR = 0.3 * normal(SIZE, SIZE, seed=1).numpy()
COVARIANCE, MEAN = FACTOR @ FACTOR.T + 0.02 * np.eye(SIZE), 0.3 * normal(SIZE, seed=2).numpy()
VALUES = torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
KEPT = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
KEPT[..., :2, 1:] = True
OBSERVATIONS = {"pixels": KeptPixels(VALUES, KEPT), "means": BlockMeans(VALUES[..., :2, :2], 2)}
each = pytest.mark.parametrize("observation", OBSERVATIONS.values(), ids=OBSERVATIONS.keys())


def rows(observation):
    """A without its rows of zeros (D, 16), and y (D,) in [-1, 1]."""
    units = torch.eye(SIZE, dtype=torch.float64).view(SIZE, *SHAPE)
    a = observation.apply(units).flatten(1).numpy().T
    y = a @ (2 * observation.pseudo_inverse(observation.values).flatten().numpy() - 1)
    seen = np.abs(a).sum(1) > 0
    return a[seen], y[seen]


def conditioned(mean, covariance, a, y, noise):
    """Mean and covariance of x ~ N given y = A x + noise of this covariance."""
    gain = covariance @ a.T @ np.linalg.inv(a @ covariance @ a.T + noise)
    return mean + gain @ (y - a @ mean), covariance - gain @ a @ covariance


def behind(x_t, logsnr):
    """Mean and covariance of the pictures behind x_t (16,)."""
    _, alpha, sigma = level(logsnr)
    return conditioned(MEAN, COVARIANCE, alpha * np.eye(SIZE), x_t, sigma**2 * np.eye(SIZE))


def denoised(x_t, logsnr):
    """E[x | x_t] for x_t (B, 1, 4, 4), with its graph: the network that knows the distribution."""
    _, alpha, sigma = level(logsnr)
    gain = torch.from_numpy(alpha * COVARIANCE @ np.linalg.inv(alpha**2 * COVARIANCE + sigma**2 * np.eye(SIZE)))
    mean = torch.from_numpy(MEAN)
    return (mean + (x_t.flatten(1) - alpha * mean) @ gain.T).view(x_t.shape)


def guided_mean(x_t, logsnr, observation, iterations=SIZE):
    leaf = x_t.clone().requires_grad_()
    x_hat = denoised(leaf, logsnr)
    return x_hat.detach() + gradient_shift(x_hat.detach(), x_hat, leaf, observation, iterations)


@each
@pytest.mark.parametrize("logsnr", LEVELS)
def test_the_gradient_gives_the_posterior_mean_of_a_normal_distribution(observation, logsnr):
    x_t = normal(3, *SHAPE, seed=7)
    guided = guided_mean(x_t, logsnr, observation).flatten(1).numpy()
    a, y = rows(observation)
    for row, one in zip(guided, x_t.flatten(1).numpy()):
        mean, _ = conditioned(*behind(one, logsnr), a, y, np.zeros((len(a), len(a))))
        assert np.abs(row - mean).max() < 1e-7 * (1 + np.abs(mean).max())


@each
@pytest.mark.parametrize("logsnr", LEVELS)
def test_the_gradient_gives_the_posterior_covariance_of_a_normal_distribution(observation, logsnr):
    """Tweedie's formula once more: sigma^2 / alpha times the derivative of the guided mean, by central differences."""
    _, alpha, sigma = level(logsnr)
    x_t, step = normal(1, *SHAPE, seed=7), 1e-3  # the mean is linear
    units = step * torch.eye(SIZE, dtype=torch.float64).view(SIZE, *SHAPE)
    above, below = (guided_mean(x_t + sign * units, logsnr, observation).flatten(1) for sign in (1, -1))
    derivative = ((above - below) / (2 * step)).T.numpy()
    a, y = rows(observation)
    _, covariance = conditioned(*behind(x_t.flatten().numpy(), logsnr), a, y, np.zeros((len(a), len(a))))
    tolerance = 1e-5 * sigma**2 / alpha  # of the division by the step
    assert np.abs(sigma**2 / alpha * derivative - covariance).max() < tolerance + 1e-9


@each
def test_few_iterations_keep_what_is_known_and_come_nearer_with_each(observation):
    x_t, logsnr = normal(2, *SHAPE, seed=7), 0.0
    exact = guided_mean(x_t, logsnr, observation)
    distances = []
    for iterations in (1, 2, 4):
        guided = guided_mean(x_t, logsnr, observation, iterations)
        assert_close(observation.residual(guided), torch.zeros_like(observation.residual(guided)), rtol=0, atol=1e-12)
        distances.append(float((guided - exact).norm()))
    projected = denoised(x_t, logsnr)
    projected = projected + projection_shift(projected, observation)
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.1 * float((projected - exact).norm())


def test_the_gradient_is_the_projection_where_pixels_are_independent():
    x_t = normal(2, *SHAPE, seed=7).requires_grad_()
    x_hat = 0.7 * x_t + 0.1
    for observation in OBSERVATIONS.values():
        shift = gradient_shift(x_hat.detach(), x_hat, x_t, observation, 1)
        assert_close(shift, projection_shift(x_hat.detach(), observation), rtol=0, atol=1e-14)


def test_a_derivative_that_is_not_positive_leaves_the_projection():
    x_t = normal(2, *SHAPE, seed=7).requires_grad_()
    for x_hat in (-x_t, 0 * x_t):
        shift = gradient_shift(x_hat.detach(), x_hat, x_t, OBSERVATIONS["pixels"], 3)
        assert_close(shift, projection_shift(x_hat.detach(), OBSERVATIONS["pixels"]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction", "flow_prediction"])
def test_a_shift_of_the_prediction_as_one_of_the_output(kind):
    x_0, shift, x_t = (normal(2, *SHAPE, seed=seed) for seed in range(3))
    for logsnr in LEVELS:
        logsnr, *_ = level(logsnr)
        difference = output_from_sample(x_0 + shift, x_t, logsnr, kind) - output_from_sample(x_0, x_t, logsnr, kind)
        assert_close(output_shift(shift, logsnr, kind), difference, rtol=1e-9, atol=1e-9)
        assert not output_shift(torch.zeros_like(shift), logsnr, kind).any()


@each
@pytest.mark.parametrize("logsnr", LEVELS)
def test_the_known_part_is_replaced_and_the_free_part_is_not(observation, logsnr):
    x_t, noise = normal(2, *SHAPE, seed=7), normal(2, *SHAPE, seed=8)
    number, alpha, sigma = level(logsnr)
    a, y = rows(observation)
    known = np.linalg.pinv(a) @ a
    picture = np.linalg.pinv(a) @ y
    wanted = [(np.eye(SIZE) - known) @ x + known @ (alpha * picture + sigma * n)
              for x, n in zip(x_t.flatten(1).numpy(), noise.flatten(1).numpy())]  # fmt: skip
    found = replaced(x_t, noise, number, observation).flatten(1).numpy()
    assert np.abs(found - np.stack(wanted)).max() < 1e-14


def test_noise_that_is_brought_back_has_the_law_of_its_level():
    """Coefficients of picture and noises of a picture that is noised to s and then brought back to t."""
    one, zero = torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    for s, t in ((2.0, 1.0), (8.0, -3.0), (-4.0, -12.0)):
        (logsnr_s, *_), (logsnr_t, alpha, sigma) = level(s), level(t)
        parts = [brought_back(noised(x, n, logsnr_s), m, logsnr_s, logsnr_t).item()
                 for x, n, m in ((one, zero, zero), (zero, one, zero), (zero, zero, one))]  # fmt: skip
        assert parts[0] == pytest.approx(alpha, rel=1e-12)
        assert parts[1] ** 2 + parts[2] ** 2 == pytest.approx(sigma**2, rel=1e-12)

"""Observations as dense matrices in float64, against those of numpy; finished pictures against a solver of scipy."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.testing import assert_close

from hf_kexue.simple_diffusion.observations_simple_diffusion import BlockMeans, KeptPixels

SHAPE = (1, 2, 4, 6)
KEPT = torch.rand(1, 1, 4, 6, generator=torch.Generator().manual_seed(3)) < 0.4


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


OBSERVATIONS = {
    "some pixels": KeptPixels(uniform(*SHAPE), KEPT),
    "no pixels": KeptPixels(uniform(*SHAPE), torch.zeros_like(KEPT)),
    "all pixels": KeptPixels(uniform(*SHAPE), torch.ones_like(KEPT)),
    "means of 2 x 2": BlockMeans(uniform(1, 2, 2, 3), 2),
}
each = pytest.mark.parametrize("observation", OBSERVATIONS.values(), ids=OBSERVATIONS.keys())


def matrix(function, shape):
    """Columns are what the function makes of the unit vectors."""
    units = torch.eye(int(np.prod(shape)), dtype=torch.float64).view(-1, *shape[1:])
    return np.stack([function(unit.unsqueeze(0)).flatten().numpy() for unit in units], axis=1)


@each
def test_the_pseudo_inverse_and_the_adjoint_are_those_of_the_matrix(observation):
    a = matrix(observation.apply, SHAPE)
    plus = matrix(observation.pseudo_inverse, observation.values.shape)
    assert np.abs(matrix(observation.adjoint, observation.values.shape) - a.T).max() == 0
    assert np.abs(plus - np.linalg.pinv(a)).max() < 1e-12
    assert np.abs(a @ plus @ a - a).max() < 1e-15
    assert np.abs(plus @ a @ plus - plus).max() < 1e-15


@each
def test_the_residual_is_what_is_missing(observation):
    pictures = 2 * uniform(*SHAPE, seed=1) - 1
    missing = observation.residual(pictures)
    mended = observation.residual(pictures + observation.pseudo_inverse(missing))
    assert_close(mended, torch.zeros_like(missing), rtol=0, atol=1e-15)
    if not observation.is_empty:
        assert missing.abs().max() > 0.1


def test_only_a_mask_that_keeps_nothing_is_empty():
    assert [name for name, observation in OBSERVATIONS.items() if observation.is_empty] == ["no pixels"]


def test_kept_pixels_come_back_bit_for_bit():
    observation, drawn = OBSERVATIONS["some pixels"], uniform(*SHAPE, seed=1)
    finished, kept = observation.fulfilled(drawn), KEPT.expand(SHAPE)
    assert torch.equal(finished[kept], observation.values[kept])
    assert torch.equal(finished[~kept], drawn[~kept])


@pytest.mark.parametrize("mean", [0.0, 0.05, 0.5, 0.93, 1.0])
def test_a_block_is_moved_to_the_nearest_one_with_its_mean(mean):
    drawn = uniform(1, 1, 2, 2, seed=4)
    observation = BlockMeans(torch.full((1, 1, 1, 1), mean, dtype=torch.float64), 2)
    solved = minimize(
        lambda x: ((x - drawn.flatten().numpy()) ** 2).sum(), np.full(4, mean), bounds=[(0, 1)] * 4, method="SLSQP",
        constraints={"type": "eq", "fun": lambda x: x.mean() - mean}, options={"ftol": 1e-16},
    )  # fmt: skip
    finished = observation.fulfilled(drawn).flatten().numpy()
    assert np.abs(finished - solved.x).max() < 1e-5  # of SLSQP
    assert abs(finished.mean() - mean) < 1e-11


@pytest.mark.parametrize("factor", [2, 4])
def test_eight_bit_blocks_have_eight_bit_means_exactly(factor):
    """Rounding each pixel by itself misses about half of them."""
    levels = torch.randint(256, (2, 3, 4, 5), generator=torch.Generator().manual_seed(0))
    levels[0, 0, 0, :2] = torch.tensor([0, 255])
    observation = BlockMeans((levels / 255).float(), factor)
    noise = 0.1 * torch.randn(2, 3, 4 * factor, 5 * factor, generator=torch.Generator().manual_seed(1))
    drawn = (observation.pseudo_inverse(observation.values) + noise).clamp(0, 1)
    finished = 255 * observation.fulfilled(drawn, eight_bits=True)
    whole = finished.round().long()
    assert_close(finished, whole.float(), rtol=0, atol=1e-4)
    assert whole.min() >= 0
    assert whole.max() <= 255
    sums = whole.unfold(2, factor, factor).unfold(3, factor, factor).sum((-1, -2))
    assert torch.equal(sums, factor**2 * levels)
    assert (finished - 255 * observation.fulfilled(drawn)).abs().max() < 1

"""Penalties on the slope of a discriminator against closed forms, another package, and their expectations."""

import math

import pytest
import torch

from hf_kexue.rsgan.gradient_penalties_rsgan import (
    gradient_penalty_finite_difference,
    wgan_divergence,
    wgan_gradient_penalty,
    zero_centered_gradient_penalty,
)

IMAGES = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
SLOPE = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def linear(x):
    return (x * SLOPE).flatten(1).sum(1)


def quadratic(x):
    return (x.square() * SLOPE).flatten(1).sum(1) / 2


def test_zero_centered_penalty():
    """|w|^2 of a linear discriminator, sum (w x)^2 of a quadratic one."""
    samples = IMAGES.clone().requires_grad_()
    expected = SLOPE.square().sum().expand(6)
    torch.testing.assert_close(zero_centered_gradient_penalty(linear(samples), samples), expected)
    expected = (IMAGES * SLOPE).square().flatten(1).sum(1)
    torch.testing.assert_close(zero_centered_gradient_penalty(quadratic(samples), samples), expected)


def test_penalty_reaches_the_weights():
    """d/dw of sum |w|^2 over six samples is 12 w."""
    weight, samples = SLOPE.clone().requires_grad_(), IMAGES.clone().requires_grad_()
    zero_centered_gradient_penalty((samples * weight).flatten(1).sum(1), samples).sum().backward()
    torch.testing.assert_close(weight.grad, 12 * SLOPE)


def test_other_package():
    """R1 and R2 of relativistic-loss."""
    package = pytest.importorskip("relativistic_loss", reason="relativistic-loss is not installed")
    for penalty in (package.r1_penalty, package.r2_penalty):
        samples = IMAGES.clone().requires_grad_()
        ours = 0.7 / 2 * zero_centered_gradient_penalty(quadratic(samples), samples).mean()
        torch.testing.assert_close(ours, penalty(quadratic, IMAGES, gamma=0.7))


def test_finite_differences_in_the_mean():
    """Of a linear discriminator: |w|^2 in the mean over the directions, with any epsilon; the variance is 2 |w|^4."""
    samples = IMAGES[:1].expand(40_000, -1, -1, -1)
    generator = torch.Generator().manual_seed(0)
    found = gradient_penalty_finite_difference(linear, samples, epsilon=0.5, generator=generator).double()
    square = float(SLOPE.square().sum())
    assert float(found.mean()) == pytest.approx(square, abs=4 * math.sqrt(2) * square / 200)  # four standard errors
    assert float(found.var()) == pytest.approx(2 * square**2, rel=0.1)
    known = gradient_penalty_finite_difference(linear, samples, linear(samples), 0.5, torch.Generator().manual_seed(0))
    torch.testing.assert_close(known, found)


def test_finite_differences_converge():
    """Of a quadratic discriminator E is |grad|^2 + epsilon^2 E q(n)^2: the error falls with the square of epsilon."""
    samples = IMAGES[:1].expand(20_000, -1, -1, -1)

    def mean(epsilon):
        generator = torch.Generator().manual_seed(3)
        return float(
            gradient_penalty_finite_difference(quadratic, samples, epsilon=epsilon, generator=generator).mean()
        )

    limit = mean(1e-4)
    assert limit == pytest.approx(float((IMAGES[0] * SLOPE).square().sum()), rel=0.05)  # five standard errors
    assert (mean(2.0) - limit) / (mean(1.0) - limit) == pytest.approx(4, rel=0.1)


def test_finite_differences_reach_the_weights():
    """d/dw of the mean of (w n)^2 is 2 w in expectation; each entry has a variance of 4 (|w|^2 + w_i^2) a sample."""
    weight, samples = SLOPE.clone().requires_grad_(), torch.zeros(40_000, 2, 3, 3, dtype=torch.float64)
    generator = torch.Generator().manual_seed(4)
    gradient_penalty_finite_difference(
        lambda x: (x * weight).flatten(1).sum(1), samples, epsilon=1.0, generator=generator
    ).mean().backward()
    errors = 2 * (SLOPE.square().sum() + SLOPE.square()).sqrt() / 200
    assert float(((weight.grad - 2 * SLOPE) / errors).abs().max()) < 4  # standard errors


def test_finite_differences_of_columns():
    """Scores (B, 1) count as scores (B,), beside known ones of either shape."""
    values = [
        gradient_penalty_finite_difference(d, IMAGES, known, generator=torch.Generator().manual_seed(5))
        for d, known in (
            (linear, None),
            (lambda x: linear(x)[:, None], None),
            (lambda x: linear(x)[:, None], linear(IMAGES)),
        )
    ]
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[0], values[2])


def test_wgan_penalties():
    """A linear discriminator has one slope everywhere."""
    norm = float(SLOPE.square().sum().sqrt())
    other = IMAGES.flip(0)
    found = wgan_gradient_penalty(linear, IMAGES, other)
    torch.testing.assert_close(found, torch.full((6,), (norm - 1) ** 2, dtype=torch.float64))
    found = wgan_gradient_penalty(linear, IMAGES, other, center=0.0)
    torch.testing.assert_close(found, torch.full((6,), norm**2, dtype=torch.float64))
    found = wgan_divergence(linear, IMAGES, other, k=2.0, p=6.0)
    torch.testing.assert_close(found, torch.full((6,), 2 * norm**6, dtype=torch.float64))


def test_wgan_places_lie_between():
    """(d/dx of x^2 / 2) is the place itself: between both images, and elsewhere for each sample."""
    seen = []

    def discriminator(x):
        seen.append(x.detach().clone())
        return x.square().flatten(1).sum(1) / 2

    real, fake = torch.zeros(8, 1, 2, 2), torch.ones(8, 1, 2, 2)
    found = wgan_gradient_penalty(discriminator, real, fake, 0.0, torch.Generator().manual_seed(0))
    share = seen[0].flatten(1)
    assert torch.equal(share, share[:, :1].expand(-1, 4))
    assert len(set(share[:, 0].tolist())) == 8
    assert 0 <= float(share.min()) <= float(share.max()) <= 1
    torch.testing.assert_close(found, share.square().sum(1))


def test_divergence_between():
    """Where D = sum x^2 / 2, images 0 and 1 of four pixels: |grad D| = 2 share at the place of each."""
    real, fake = torch.zeros(8, 1, 2, 2, dtype=torch.float64), torch.ones(8, 1, 2, 2, dtype=torch.float64)
    share = torch.rand(8, generator=torch.Generator().manual_seed(0)).double()
    found = wgan_divergence(
        lambda x: x.square().flatten(1).sum(1) / 2, real, fake, 3.0, 4.0, torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(found, 3 * (2 * share) ** 4)


def test_wgan_penalties_reach_the_weights():
    """By w: (|w| - 1)^2 has the gradient 2 (|w| - 1) w / |w|, and k |w|^p k p |w|^(p - 2) w."""
    norm = SLOPE.square().sum().sqrt()
    for penalty, expected in (
        (wgan_gradient_penalty, 2 * (norm - 1) * SLOPE / norm),
        (wgan_divergence, 2 * 6 * norm**4 * SLOPE),
    ):
        weight = SLOPE.clone().requires_grad_()
        penalty(lambda x, w=weight: (x * w).flatten(1).sum(1), IMAGES, IMAGES.flip(0)).mean().backward()
        torch.testing.assert_close(weight.grad, expected)


def test_flat_discriminator_has_gradients():
    """The root in |grad D| has no slope at 0; weights that are zero still learn from the penalty."""
    weight = torch.zeros(2, 3, 3, requires_grad=True)
    images = torch.randn(4, 2, 3, 3)
    wgan_gradient_penalty(lambda x: (x * weight).flatten(1).sum(1), images, -images).sum().backward()
    assert torch.isfinite(weight.grad).all()


# ---- errors


def test_zero_centered_penalty_bad_arguments_raise():
    message = r"requires_grad_\(True\)"
    with pytest.raises(ValueError, match=message):
        zero_centered_gradient_penalty(linear(IMAGES), IMAGES)
    samples, weight = IMAGES.clone(), SLOPE.clone().requires_grad_()
    logits = (samples * weight).flatten(1).sum(1)
    with pytest.raises(ValueError, match=message):  # too late
        zero_centered_gradient_penalty(logits, samples.requires_grad_())
    with torch.no_grad():
        logits = linear(samples)
    with pytest.raises(ValueError, match=message):
        zero_centered_gradient_penalty(logits, samples)


def test_other_penalties_bad_arguments_raise():
    with pytest.raises(ValueError, match=r"epsilon .*0"):
        gradient_penalty_finite_difference(linear, IMAGES, epsilon=0)
    with pytest.raises(ValueError, match=r"6 samples.*\(2,\) and \(6,\)"):
        gradient_penalty_finite_difference(linear, IMAGES, linear(IMAGES[:2]))
    for penalty in (wgan_gradient_penalty, wgan_divergence):
        with pytest.raises(ValueError, match=r"\(6, 2, 3, 3\) and \(2, 2, 3, 3\)"):
            penalty(linear, IMAGES, IMAGES[:2])
        with torch.no_grad(), pytest.raises(ValueError, match="outside of torch"):
            penalty(linear, IMAGES, IMAGES)
    for options in ({"k": -1.0}, {"p": 0.0}):
        with pytest.raises(ValueError, match="power p"):
            wgan_divergence(linear, IMAGES, IMAGES, **options)

"""Penalties on the slope of a discriminator, for each image; a loss gets their mean times a weight.

    R1, R2                              |grad D(x)|^2 at real, at generated images; weight gamma / 2
    their finite-difference form        ((D(x + epsilon n) - D(x)) / epsilon)^2, n normal
    WGAN-GP, WGAN-div                   (|grad D| - 1)^2 and k |grad D|^p, between a real and a generated image

Sources: arXiv 1801.04406 (R1, R2); arXiv 1704.00028 (WGAN-GP); arXiv 1712.01026 and kexue.fm archives/6139 (WGAN-div).
Shapes: B images, any number of further dimensions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .losses_rsgan import single


def zero_centered_gradient_penalty(logits: Tensor, samples: Tensor) -> Tensor:
    """|d logit / d sample|^2 of each sample: R1 for real samples, R2 for generated ones.

    Args:
        logits: (B,) scores of the samples, each of its own sample alone.
        samples: (B, ...) that require a gradient.

    Returns:
        (B,) float32, differentiable; a discriminator's loss gets gamma / 2 times its mean.

    Raises:
        ValueError: if the scores have no gradient with respect to the samples.

    Source: arXiv 1801.04406 (R1, R2).
    """
    gradient = None
    if samples.requires_grad and logits.requires_grad:
        (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True, allow_unused=True)
    if gradient is None:
        raise ValueError(
            "the scores have no gradient with respect to the samples, which need requires_grad_(True) before they are "
            "scored, and that outside of torch.no_grad()."
        )
    return single(gradient).flatten(1).square().sum(dim=1)


def gradient_penalty_finite_difference(
    discriminator: Callable[[Tensor], Tensor],
    samples: Tensor,
    logits: Tensor | None = None,
    epsilon: float = 0.01,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The same from differences of scores: no second derivative.

    With n standard normal, E ((D(x + epsilon n) - D(x)) / epsilon)^2 = |grad D|^2 + O(epsilon^2); one n a sample.

    Args:
        discriminator: (B, ...) -> (B,).
        samples: (B, ...).
        logits: scores of the samples where they are known, of the discriminator's shape.
        epsilon: above 0; with scores of float32 not below 1e-3.
        generator: of n; on the CPU.

    Returns:
        (B,) float32, differentiable by the discriminator's weights.

    Raises:
        ValueError: if epsilon is not above 0, or there is not one score for each sample.
    """
    if epsilon <= 0:
        raise ValueError(f"epsilon must be above 0, got {epsilon}.")
    noise = torch.randn(samples.shape, generator=generator).to(samples)
    before = discriminator(samples) if logits is None else logits
    after = discriminator(samples + epsilon * noise)
    if not before.numel() == after.numel() == len(samples):
        raise ValueError(
            f"finite differences need one score for each of the {len(samples)} samples, got scores of the shapes "
            f"{tuple(before.shape)} and {tuple(after.shape)}."
        )
    return ((single(after).flatten() - single(before).flatten()) / epsilon).square()


def wgan_gradient_penalty(
    discriminator: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    center: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """(|grad D| - center)^2 at a random place between each real and generated image.

    Args:
        discriminator: (B, ...) -> (B,).
        real: (B, ...).
        fake: (B, ...).
        center: 1 for WGAN-GP, 0 for a penalty of any slope.
        generator: of the places; on the CPU.

    Returns:
        (B,) float32, differentiable.

    Raises:
        ValueError: for unequal shapes.

    Source: arXiv 1704.00028.
    """
    between = _between(real, fake, generator)
    squares = zero_centered_gradient_penalty(discriminator(between), between)
    return ((squares + 1e-12).sqrt() - center).square()  # the root's slope at 0 is infinite


def wgan_divergence(
    discriminator: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    k: float = 2.0,
    p: float = 6.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """k |grad D|^p at a random place between each real and generated image.

    Args:
        discriminator: (B, ...) -> (B,).
        real: (B, ...).
        fake: (B, ...).
        k: weight.
        p: power.
        generator: of the places; on the CPU.

    Returns:
        (B,) float32, differentiable.

    Raises:
        ValueError: for unequal shapes, k below 0 or p not above 0.

    Source: arXiv 1712.01026 (WGAN-div); kexue.fm archives/6139, whose code takes the images themselves, half of them
    real: mean (k / 2) (R1^(p / 2) + R2^(p / 2)), by `zero_centered_gradient_penalty`.
    """
    if k < 0 or p <= 0:
        raise ValueError(f"WGAN-div needs a weight k that is not below 0 and a power p above 0, got {k} and {p}.")
    between = _between(real, fake, generator)
    squares = zero_centered_gradient_penalty(discriminator(between), between)
    return k * (squares + 1e-12) ** (p / 2)


def _between(real: Tensor, fake: Tensor, generator: torch.Generator | None) -> Tensor:
    if real.shape != fake.shape:
        raise ValueError(f"real and fake must have one shape, got {tuple(real.shape)} and {tuple(fake.shape)}.")
    share = torch.rand(len(real), generator=generator).to(real).view(-1, *[1] * (real.ndim - 1))
    return torch.lerp(real.detach(), fake.detach(), share).requires_grad_()

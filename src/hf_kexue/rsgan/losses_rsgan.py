"""Losses of GANs over the scores of a discriminator: relativistic ones, and the others as controls.

With scores r of real and f of generated images and a decreasing convex g, the discriminator lowers, for each pairing,

    none       mean g(r) + mean g(-f)
    paired     mean g(r - f)                                           (RSGAN)
    average    mean g(r - mean f) + mean g(mean r - f)                 (RaSGAN)

and the generator the same with r and f exchanged (non-saturating), or raises it (saturating).

    kind            g(x)
    logistic        log(1 + exp(-x))
    least_squares   (1 - x)^2
    hinge           max(0, 1 - x)
    identity        -x                                                 (Wasserstein)

At the optimum over all discriminators the paired logistic loss is log 2 - JS(p(x) q(y), q(x) p(y)); where p = q it is
log 2. The generator of `none` and kind hinge or identity lowers -mean f, as is usual. Sums of two means are not
halved, as they are in the code of arXiv 1807.00734.

Sources: kexue.fm archives/6110; arXiv 1807.00734 (relativistic discriminators); arXiv 2501.05441 (R3GAN: paired, with
R1 and R2); kexue.fm archives/6163 (GAN-QP).
Shapes: B images; scores of any shape, counted by elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Pairing = Literal["paired", "average", "none"]
Kind = Literal["logistic", "least_squares", "hinge", "identity"]
Side = Literal["discriminator", "generator"]

KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "logistic": lambda x: F.softplus(-x),
    "least_squares": lambda x: (1 - x).square(),
    "hinge": lambda x: F.relu(1 - x),
    "identity": lambda x: -x,
}


def relativistic_loss(
    real_logits: Tensor,
    fake_logits: Tensor,
    pairing: Pairing = "paired",
    kind: Kind = "logistic",
    side: Side = "discriminator",
    f: Callable[[Tensor], Tensor] | None = None,
    saturating: bool = False,
) -> Tensor:
    """The loss of one side.

    Args:
        real_logits: scores of real images, any shape.
        fake_logits: scores of generated images; as many for `paired`, which takes them in order.
        pairing: what a score is compared with.
        kind: the function g.
        side: whose loss.
        f: another g instead of `kind`, elementwise, such as `lambda x: (-x).exp()`.
        saturating: the generator raises the discriminator's loss instead of lowering the exchanged one.

    Returns:
        Scalar, float32 at least. Averages of `average` are taken over all processes, and their gradients go to all.

    Raises:
        ValueError: for an unknown name, no scores, or unequal numbers of scores for `paired`.

    Source: archives/6110, equations of RSGAN; arXiv 1807.00734, section 4.
    """
    for value, allowed, name in (
        (pairing, ("paired", "average", "none"), "pairing"),
        (kind, tuple(KINDS), "kind"),
        (side, ("discriminator", "generator"), "side"),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}.")
    if not real_logits.numel() or not fake_logits.numel():
        raise ValueError(f"a loss needs scores, got {real_logits.numel()} real and {fake_logits.numel()} fake ones.")
    if pairing == "paired" and real_logits.numel() != fake_logits.numel():
        raise ValueError(
            f"pairing 'paired' needs as many fake as real scores, got {fake_logits.numel()} and {real_logits.numel()}."
        )
    g = f or KINDS[kind]
    real, fake = (single(logits).flatten() for logits in (real_logits, fake_logits))
    sign = -1.0 if side == "generator" and saturating else 1.0
    if side == "generator" and not saturating:
        if pairing == "none":  # a generator has no hold on the scores of real images
            return -fake.mean() if f is None and kind in ("hinge", "identity") else g(fake).mean()
        real, fake = fake, real
    if pairing == "paired":
        return sign * g(real - fake).mean()
    if pairing == "average":
        return sign * (g(real - _mean_over_processes(fake)).mean() + g(_mean_over_processes(real) - fake).mean())
    return sign * (g(real).mean() + g(-fake).mean())


def gan_qp_loss(
    real_logits: Tensor,
    fake_logits: Tensor,
    real: Tensor,
    fake: Tensor,
    side: Side = "discriminator",
    strength: float = 10.0,
    norm: Literal["l1", "l2"] = "l1",
) -> Tensor:
    """GAN-QP: the discriminator raises d - d^2 / (2 strength |x - y|), d = D(x) - D(y); the generator lowers d.

    Args:
        real_logits: (B,).
        fake_logits: (B,).
        real: (B, ...) images that were scored.
        fake: (B, ...).
        side: whose loss.
        strength: lambda of the article.
        norm: mean absolute difference (`l1`) or root of the mean square (`l2`) over the pixels.

    Returns:
        Scalar, float32 at least.

    Raises:
        ValueError: for an unknown name, unequal shapes, scores that are not one for each image, or a strength that is
            not above 0.

    Source: kexue.fm archives/6163.
    """
    if side not in ("discriminator", "generator") or norm not in ("l1", "l2"):
        raise ValueError(f"side is 'discriminator' or 'generator', norm 'l1' or 'l2'; got {side!r} and {norm!r}.")
    if strength <= 0 or real.shape != fake.shape:
        raise ValueError(
            f"GAN-QP needs a strength above 0 and as many images of one shape, got {strength}, {tuple(real.shape)} "
            f"and {tuple(fake.shape)}."
        )
    if not real_logits.numel() == fake_logits.numel() == len(real):
        raise ValueError(
            f"GAN-QP needs one score for each image, got {real_logits.numel()} real and {fake_logits.numel()} fake "
            f"scores for {len(real)} images."
        )
    difference = single(real_logits).flatten() - single(fake_logits).flatten()
    if side == "generator":
        return difference.mean()
    apart = single(real - fake).flatten(1)
    distance = apart.abs().mean(dim=1) if norm == "l1" else apart.square().mean(dim=1).sqrt()
    return (difference.square() / (2 * strength * distance.detach().clamp(min=1e-8)) - difference).mean()


def annealed(step: int, steps: int, start: float, end: float) -> float:
    """Half a cosine from `start` at step 0 to `end` at `steps`, and `end` from there on.

    Source: arXiv 2501.05441: gamma, learning rates and beta_2 of R3GAN run so.
    """
    share = min(step / steps, 1.0) if steps > 0 else 1.0
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes; backward sums the gradients of all of them.

    DDP averages gradients over the processes, each of which holds the loss of its own images, and so the share that
    flows through other processes' losses has to be collected here. An own function, because PyTorch's
    `torch.distributed.nn.functional.all_reduce` is deprecated and what replaces it is not public.
    """

    @staticmethod
    def forward(context: object, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(context: object, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _mean_over_processes(scores: Tensor) -> Tensor:
    """Mean over the scores of all processes, each of which must call this as often."""
    if not (dist.is_available() and dist.is_initialized()):
        return scores.mean()
    both = torch.stack([scores.sum(), scores.new_tensor(float(scores.numel()))])
    total = _SumOverProcesses.apply(both)
    return total[0] / total[1].detach()


def single(x: Tensor) -> Tensor:
    """float32 for half precision; float64 stays."""
    return x if x.dtype == torch.float64 else x.float()

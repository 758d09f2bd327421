"""Distillation of a sampler into few steps: the target of one large step on a teacher's deterministic path.

A deterministic (DDIM) step from x_t to x_s with a clean prediction x_0 is

    x_s = alpha_s x_0 + (sigma_s / sigma_t) (x_t - alpha_t x_0),                                    (1)

so that a teacher which went from x_t to x_s in several guided steps did what one step with

    x_0 = (x_s - (sigma_s / sigma_t) x_t) / (alpha_s - (sigma_s / sigma_t) alpha_t)                 (2)

would have done. A student that predicts (2) at each of its few times follows the teacher's path.

Sources: kexue.fm archives/10047 (schedule); arXiv 2202.00512 (progressive distillation, eq. of the target);
arXiv 2210.03142 (guided teachers, the scale as an input).
Pure functions over tensors: no model, no scheduler. Shapes: B batch, C channels, H W rows and columns.
"""

from __future__ import annotations

import torch
from torch import Tensor


def deterministic_step(x_0: Tensor, x_t: Tensor, logsnr_t: Tensor, logsnr_s: Tensor) -> Tensor:
    """x_s of equation (1), (B, C, H, W).

    Args:
        x_0: clean prediction (B, C, H, W).
        x_t: of the same shape.
        logsnr_t, logsnr_s: of x_t and x_s, (B,); an infinite `logsnr_s` is the clean end, where x_s is x_0.
    """
    ratio, alpha_t, alpha_s = _coefficients(x_t, logsnr_t, logsnr_s)
    return alpha_s * x_0 + ratio * (x_t - alpha_t * x_0)  # (1)


def implied_sample(x_t: Tensor, x_s: Tensor, logsnr_t: Tensor, logsnr_s: Tensor) -> Tensor:
    """The clean prediction of equation (2) that leads from x_t to x_s in one deterministic step, (B, C, H, W).

    Args:
        x_t, x_s: states of one path (B, C, H, W).
        logsnr_t, logsnr_s: of each, (B,), `logsnr_s` the larger one; infinite at the clean end.

    Raises:
        ValueError: if logSNR does not rise from x_t to x_s.

    Relations: inverse of `deterministic_step` in its first argument.
    """
    if not bool((logsnr_s > logsnr_t).all()):
        raise ValueError(f"logSNR must rise along a step, got {logsnr_t.tolist()} and {logsnr_s.tolist()}.")
    ratio, alpha_t, alpha_s = _coefficients(x_t, logsnr_t, logsnr_s)
    return (x_s - ratio * x_t) / (alpha_s - ratio * alpha_t)  # (2)


def _coefficients(x_t: Tensor, logsnr_t: Tensor, logsnr_s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """sigma_s / sigma_t, alpha_t and alpha_s, each (B, 1, 1, 1)."""
    first, second = (value.to(x_t).view(-1, *[1] * (x_t.ndim - 1)) for value in (logsnr_t, logsnr_s))
    ratio = (torch.sigmoid(-second) / torch.sigmoid(-first)).sqrt()
    return ratio, torch.sigmoid(first).sqrt(), torch.sigmoid(second).sqrt()

"""One noised image on two scales: variance preserving and flow matching, at equal logSNR.

    variance preserving   x_vp   = alpha x_0 + sigma noise,   alpha**2 = sigmoid(logsnr), sigma**2 = sigmoid(-logsnr)
    flow matching         x_flow = (1 - t) x_0 + t noise,     t = sigmoid(-logsnr / 2) = sigma / (alpha + sigma)

    x_flow = x_vp / (alpha + sigma)                                                                          (1)
    v_flow = noise - x_0 = (alpha + sigma) v_vp + (sigma - alpha) x_vp,    v_vp = alpha noise - sigma x_0    (2)

Only the scale differs: x_0 and the noise that a network predicts are the same in both, and a network that is
conditioned on logSNR and sees x_vp can be sampled in either.

Pure functions over tensors: x and v (B, ...), logsnr a scalar tensor or (B,), results in the dtype of x.
Sources: archives/10047 (logSNR); arXiv 2209.03003 (the straight path).
"""

from __future__ import annotations

import torch
from torch import Tensor


def flow_time(logsnr: Tensor) -> Tensor:
    """t = sigmoid(-logsnr / 2), the share of the noise in x_flow; shape and dtype of `logsnr`."""
    return torch.sigmoid(-logsnr / 2)


def flow_from_variance_preserving(x_vp: Tensor, logsnr: Tensor) -> Tensor:
    """Eq. (1)."""
    alpha, sigma = _scales(logsnr, x_vp)
    return x_vp / (alpha + sigma)


def variance_preserving_from_flow(x_flow: Tensor, logsnr: Tensor) -> Tensor:
    """Eq. (1) solved for x_vp."""
    alpha, sigma = _scales(logsnr, x_flow)
    return x_flow * (alpha + sigma)


def flow_velocity_from_v(v_vp: Tensor, x_vp: Tensor, logsnr: Tensor) -> Tensor:
    """Eq. (2)."""
    alpha, sigma = _scales(logsnr, x_vp)
    return (alpha + sigma) * v_vp + (sigma - alpha) * x_vp


def v_from_flow_velocity(v_flow: Tensor, x_vp: Tensor, logsnr: Tensor) -> Tensor:
    """Eq. (2) solved for v_vp."""
    alpha, sigma = _scales(logsnr, x_vp)
    return (v_flow - (sigma - alpha) * x_vp) / (alpha + sigma)


def flow_velocity_from_sample(x_0: Tensor, x_flow: Tensor, logsnr: Tensor) -> Tensor:
    """(x_flow - x_0) / t, the velocity that leads from x_0 to x_flow; logsnr below +inf."""
    return (x_flow - x_0) / _broadcast(flow_time(logsnr), x_flow)


def sample_from_flow_velocity(v_flow: Tensor, x_flow: Tensor, logsnr: Tensor) -> Tensor:
    """x_0 = x_flow - t v_flow."""
    return x_flow - _broadcast(flow_time(logsnr), x_flow) * v_flow


def _scales(logsnr: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    return _broadcast(torch.sigmoid(logsnr).sqrt(), x), _broadcast(torch.sigmoid(-logsnr).sqrt(), x)


def _broadcast(values: Tensor, x: Tensor) -> Tensor:
    return values.to(x).reshape(-1, *[1] * (x.ndim - 1))

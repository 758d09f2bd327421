r"""Sampling with a known part: how each step keeps y = A x (`observations_simple_diffusion`).

With the predicted clean picture x_hat(x_t), the mean of all pictures behind x_t, three methods keep y:

    replacement   the known part of x_t is y under as much noise as x_t has:
                  x_t + A^+ A (alpha y_x + sigma noise - x_t),   y_x = A^+ y                                      (1)
    projection    the known part of the prediction is y:   x_hat + A^+ (y - A x_hat)                              (2)
    gradient      the prediction is the mean of all pictures behind x_t *and* y, if those behind x_t are normal with
                  the covariance that the network itself implies, V = (sigma^2 / alpha) d x_hat / d x_t:
                  x_hat + V A^T (A V A^T)^{-1} (y - A x_hat)                                                      (3)

(2) is (3) with V = 1: what is free does not follow what is known. (3) is exact for a normal distribution, since
E[x | x_t] is linear there and its derivative is V (Tweedie). It is solved by a few steps of conjugate gradients, each
a backward pass of the network, and (2) mends what they leave of y - A x_hat. The factor of V cancels.

Resampling does a step more than once: its end is brought back to the noise of its beginning,

    x_t = (alpha_t / alpha_s) x_s + sqrt(sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2) noise,                      (4)

so that what is free meets what is known again.

Pure functions over tensors, x_t of variance-preserving noise.
Sources: replacement and resampling arXiv 2201.09865 (RePaint), of block means arXiv 2108.02938 (ILVR); projection
arXiv 2212.00490 (DDNM); gradient arXiv 2405.13712 (moment matching by conjugate gradients), after arXiv 2209.14687
(DPS). Starting from a noised picture: arXiv 2108.01073 (SDEdit).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .guidance_simple_diffusion import alpha_sigma
from .observations_simple_diffusion import Observation

Method = Literal["replacement", "projection", "gradient"]


def noised(pictures: Tensor, noise: Tensor, logsnr: Tensor) -> Tensor:
    """alpha x + sigma noise: a picture (B, C, H, W) in [-1, 1] observed through noise.

    A picture under the noise of a level is what sampling from that level on takes for its own x_t: the draw comes from
    all pictures that the noised one may have been.
    """
    alpha, sigma = alpha_sigma(logsnr, pictures)
    return alpha * pictures + sigma * noise


def replaced(x_t: Tensor, noise: Tensor, logsnr: Tensor, observation: Observation) -> Tensor:
    """Eq. (1), (B, C, H, W); where nothing is known x_t stays as it is, bit for bit."""
    alpha, sigma = alpha_sigma(logsnr, x_t)
    known = observation.residual(torch.zeros_like(x_t))  # y
    difference = alpha * known + observation.apply(sigma * noise - x_t)
    return x_t + observation.pseudo_inverse(difference)


def projection_shift(x_hat: Tensor, observation: Observation) -> Tensor:
    """What eq. (2) adds to x_hat (B, C, H, W)."""
    return observation.pseudo_inverse(observation.residual(x_hat))


def gradient_shift(x_hat: Tensor, unguided: Tensor, x_t: Tensor, observation: Observation, iterations: int) -> Tensor:
    """What eq. (3) adds to x_hat, and eq. (2) to the rest.

    Args:
        x_hat (B, C, H, W): the prediction.
        unguided (B, C, H, W): the one whose derivative is V, computed from x_t, with its graph.
        x_t (B, C, H, W): a leaf that requires a gradient.
        observation: y.
        iterations: steps of conjugate gradients, each a backward pass; rank of A are exact for a linear x_hat.

    Returns:
        (B, C, H, W), without a graph. A picture along whose direction the derivative is not positive, as that of a
        network may be, takes no further step.
    """
    residual = observation.residual(x_hat)
    direction, shift = residual, torch.zeros_like(x_hat)
    squared = _dot(residual, residual)
    for _ in range(iterations):
        (pulled,) = torch.autograd.grad(unguided, x_t, observation.adjoint(direction), retain_graph=True)
        pushed = observation.apply(pulled)
        curvature = _dot(direction, pushed)
        length = torch.where(curvature > 0, squared / curvature, 0.0)
        shift, residual = shift + length * pulled, residual - length * pushed
        before, squared = squared, _dot(residual, residual)
        direction = residual + torch.where((before > 0) & (length > 0), squared / before, 0.0) * direction
    return shift + observation.pseudo_inverse(observation.residual(x_hat + shift))


def output_shift(shift: Tensor, logsnr: Tensor, prediction_type: str) -> Tensor:
    """What a shift of the clean prediction adds to a model output of some kind; zero for zero."""
    alpha, sigma = alpha_sigma(logsnr, shift)
    if prediction_type == "epsilon":
        return -alpha / sigma * shift
    if prediction_type == "flow_prediction":
        return -(alpha + sigma) / sigma * shift
    return shift if prediction_type == "sample" else -shift / sigma


def brought_back(x_s: Tensor, noise: Tensor, logsnr_s: Tensor, logsnr_t: Tensor) -> Tensor:
    """Eq. (4) from logSNR s down to t, (B, C, H, W)."""
    (alpha_s, sigma_s), (alpha_t, sigma_t) = alpha_sigma(logsnr_s, x_s), alpha_sigma(logsnr_t, x_s)
    ratio = alpha_t / alpha_s
    return ratio * x_s + (sigma_t.square() - (ratio * sigma_s).square()).clamp(min=0).sqrt() * noise


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """(B, 1, 1, 1)."""
    return (first * second).sum(dim=(1, 2, 3), keepdim=True)

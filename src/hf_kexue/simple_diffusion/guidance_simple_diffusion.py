"""Guidance at sampling time: classifier-free, autoguidance, intervals, and upsampling beyond the training resolution.

Pure functions over tensors; the pipeline calls them, no model and no scheduler is known here. Model outputs of one
kind are affine in each other, so extrapolating between two of them is the same in epsilon, sample or v space.

Sources: Ho and Salimans, arXiv 2207.12598 (classifier-free); Karras et al., arXiv 2406.02507 (autoguidance);
Kynkäänniemi et al., arXiv 2404.07724 (interval); kexue.fm archives/10055 and arXiv 2404.01709 (upsample guidance).
Shapes: B batch, C channels, H W rows and columns; logsnr is a scalar tensor or (B,).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def extrapolate(positive: Tensor, negative: Tensor, guidance_scale: float) -> Tensor:
    """negative + guidance_scale (positive - negative), any shape; 1 is no guidance.

    Classifier-free guidance takes the conditional prediction as positive and the unconditional one as negative;
    autoguidance the model and a weaker version of itself.
    """
    return negative + guidance_scale * (positive - negative)


def in_interval(logsnr: float, interval: tuple[float, float] | None) -> bool:
    """Whether guidance acts at this logSNR (nats); None is everywhere.

    Raises:
        ValueError: if the interval is not (low, high) with low < high.
    """
    if interval is None:
        return True
    low, high = interval
    if not low < high:
        raise ValueError(f"guidance_interval must be (low, high) in logSNR with low < high, got {interval}.")
    return low <= logsnr <= high


def predict_sample(model_output: Tensor, x_t: Tensor, logsnr: Tensor, prediction_type: str) -> Tensor:
    """The clean sample that a model output implies; all (B, C, H, W), x_t of variance-preserving noise."""
    alpha, sigma = alpha_sigma(logsnr, x_t)
    if prediction_type == "epsilon":
        return (x_t - sigma * model_output) / alpha
    if prediction_type == "flow_prediction":
        return (x_t - sigma * model_output) / (alpha + sigma)
    return model_output if prediction_type == "sample" else alpha * x_t - sigma * model_output


def output_from_sample(sample: Tensor, x_t: Tensor, logsnr: Tensor, prediction_type: str) -> Tensor:
    """The model output that implies a clean sample: inverse of `predict_sample`."""
    alpha, sigma = alpha_sigma(logsnr, x_t)
    if prediction_type == "epsilon":
        return (x_t - alpha * sample) / sigma
    if prediction_type == "flow_prediction":
        return (x_t - (alpha + sigma) * sample) / sigma
    return sample if prediction_type == "sample" else (alpha * x_t - sample) / sigma


def upsample_guidance(
    denoise: Callable[[Tensor, Tensor], Tensor], x_t: Tensor, logsnr: Tensor, factor: int, scale: float
) -> Tensor:
    """Clean-sample prediction at `factor` times the training resolution, steered by the prediction at that resolution.

    With D the mean over factor x factor squares, U its nearest-neighbour repetition and s = factor,

        x_tilde = x_hat + scale U[ x_low - D x_hat ],     x_low = denoise(D x_t / rho, logsnr + 2 log s),
        rho**2 = alpha**2 + sigma**2 / s**2.

    In epsilon space this is the article's  eps + (1 + w) U[ eps_low / s - D eps ]  with scale = 1 + w; written for the
    clean sample the factor 1/s is absorbed and nothing is divided by a vanishing alpha.

    Args:
        denoise: (x_t, logsnr) -> clean sample, at any resolution.
        x_t (B, C, H, W): H and W are multiples of `factor`.
        logsnr: of x_t at its own resolution.
        factor: how many times larger than the training resolution, s >= 1; 1 is no guidance.
        scale: 1 + w in the article (about 1.2 there); 0 is no guidance.

    Raises:
        ValueError: if the factor is not a positive integer or does not divide H and W.
    """
    if factor < 1 or factor != int(factor) or x_t.shape[-2] % factor or x_t.shape[-1] % factor:
        raise ValueError(f"The factor must be a positive integer that divides {tuple(x_t.shape[-2:])}, got {factor}.")
    x_hat = denoise(x_t, logsnr)
    if factor == 1 or scale == 0:
        return x_hat
    alpha, sigma = alpha_sigma(logsnr, x_t)
    rho = (alpha.square() + sigma.square() / factor**2).sqrt()
    x_low = denoise(F.avg_pool2d(x_t, factor) / rho, logsnr + 2 * math.log(factor))  # (B, C, H/s, W/s)
    correction = x_low - F.avg_pool2d(x_hat, factor)
    return x_hat + scale * correction.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def alpha_sigma(logsnr: Tensor, x_t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma in the dtype of x_t, (B or 1, 1, ...)."""
    logsnr = logsnr.to(x_t).reshape(-1, *[1] * (x_t.ndim - 1))
    return torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()

"""Losses of simple diffusion and SiD2: one error in epsilon space, six weightings, several scales.

Every prediction becomes an error of the noise first, e = noise_hat - noise, because the kinds of prediction differ
only by a factor that depends on logSNR (alpha**2 = sigmoid(logsnr), sigma**2 = sigmoid(-logsnr)):

    prediction_type     target                     e in terms of the network's own error d = output - target
    "epsilon"           noise                      e = d
    "sample"            x_0                        e = -(alpha / sigma) d
    "v_prediction"      alpha noise - sigma x_0    e = alpha d
    "flow_prediction"   noise - x_0                e = alpha / (alpha + sigma) d = sigmoid(logsnr / 2) d

The loss is then weight(logsnr) * mean(e**2). The first four weights make it the mean square of the error of that
target, whatever the network predicts: x, epsilon or v, each with x-, epsilon- or v-loss, are nine pairs.

    "epsilon"   weight 1                                     plain noise regression, the loss of simple diffusion
    "sample"    weight exp(-logsnr)                          plain regression of the image, the x-loss
    "v"         weight 1 / alpha**2                          plain regression of v
    "flow"      weight (1 + exp(-logsnr / 2))**2             plain regression of the velocity of flow matching
    "sigmoid"   weight sigmoid(bias - logsnr)                SiD2; times -d logsnr / d u where the slope is given
    "min_snr"   weight min(snr, gamma) / snr                 Min-SNR, arXiv 2303.09556, in epsilon space

The multiscale loss adds the errors of mean-pooled noise, so that the few, coarse degrees of freedom of a large image
are not drowned by the many fine ones: sum over s in {32, 64, ..., H} of (1 / s) mean((D_s e)**2). A network with
read-out heads predicts D_s of its target itself, and the same sum is over the errors of its heads: `readout_loss`.

Sources: kexue.fm archives/10047; arXiv 2301.11093 (loss, multiscale loss); arXiv 2410.19324 (sigmoid weighting);
arXiv 2511.13720 (the nine pairs on the straight path).
Pure functions over tensors: no model, no scheduler. Shapes: B batch, C channels, H W rows and columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

PredictionType = Literal["epsilon", "sample", "v_prediction", "flow_prediction"]
Weighting = Literal["epsilon", "sample", "v", "flow", "sigmoid", "min_snr"]


def sigmoid_bias(sample_size: float) -> float:
    """Bias b of the sigmoid weighting for images of `sample_size` pixels: 0 at 64, one less for each doubling.

    SiD2 (arXiv 2410.19324) reports about -1, -2 and -3 at 128, 256 and 512 pixels; this is the line through them.
    """
    return -math.log2(sample_size / 64)


def prediction_target(sample: Tensor, noise: Tensor, logsnr: Tensor, prediction_type: PredictionType) -> Tensor:
    """Training target of a kind, as the module docstring has it; all (B, C, H, W), logsnr (B,)."""
    _check_choice("prediction_type", prediction_type, get_args(PredictionType))
    if prediction_type == "epsilon":
        return noise
    if prediction_type == "sample":
        return sample
    if prediction_type == "flow_prediction":
        return noise - sample
    alpha, sigma = _alpha_sigma(logsnr, sample.ndim)
    return alpha * noise - sigma * sample


def loss_weight(
    logsnr: Tensor,
    weighting: Weighting,
    *,
    bias: float = 0.0,
    min_snr_gamma: float = 5.0,
    logsnr_slope: Tensor | None = None,
) -> Tensor:
    """Weight of the squared epsilon error at each logSNR, (B,) -> (B,), in the dtype of `logsnr`.

    Args:
        logsnr: log signal-to-noise ratio, nats.
        weighting: one of the six of the module docstring.
        bias: b of the sigmoid weighting; `sigmoid_bias` gives it per resolution.
        min_snr_gamma: clip of Min-SNR.
        logsnr_slope: -d logsnr / d u at the sampled times, for `"sigmoid"`: makes the expectation over uniform u the
            integral of sigmoid(b - logsnr) over logsnr, whatever the schedule.
    """
    _check_choice("weighting", weighting, get_args(Weighting))
    if weighting == "epsilon":
        return torch.ones_like(logsnr)
    if weighting == "sample":
        return torch.exp(-logsnr)
    if weighting == "v":
        return 1 / torch.sigmoid(logsnr)
    if weighting == "flow":
        return torch.sigmoid(logsnr / 2) ** -2
    if weighting == "sigmoid":
        weight = torch.sigmoid(bias - logsnr)
        return weight if logsnr_slope is None else weight * logsnr_slope
    return torch.exp(torch.clamp(math.log(min_snr_gamma) - logsnr, max=0))


def multiscale_mean_square(error: Tensor, smallest: int = 32) -> Tensor:
    """sum over s in {smallest, 2 smallest, ..., H} of (1 / s) mean(pool_s(error)**2), (B, C, H, W) -> (B,).

    pool_s is the mean over squares that leave s rows. Divided by the sum of 1 / s: an error as smooth as the
    coarsest scale counts as much as in the single-scale loss, white noise less. Height H decides the scales; W
    shrinks with it.

    Raises:
        ValueError: if H is smaller than `smallest`, or is not `smallest` times a power of two, or W does not divide.
    """
    if smallest < 1:
        raise ValueError(f"The coarsest scale must have a positive number of rows, got {smallest}.")
    height, width = error.shape[-2:]
    ratio, rest = divmod(height, smallest)
    if rest or ratio.bit_count() != 1 or width % ratio:
        raise ValueError(
            f"The multiscale loss halves the image down to {smallest} rows: the height must be that times a power of "
            f"two and the width a multiple of the same power, got {height} x {width}."
        )
    total, weights = torch.zeros(error.shape[0], dtype=error.dtype, device=error.device), 0.0
    while error.shape[-2] >= smallest:
        weight = 1 / error.shape[-2]
        total, weights = total + weight * error.square().flatten(1).mean(1), weights + weight
        if error.shape[-2] == smallest:
            break
        error = F.avg_pool2d(error, 2)
    return total / weights


def simple_diffusion_loss(
    model_output: Tensor,
    sample: Tensor,
    noise: Tensor,
    logsnr: Tensor,
    prediction_type: PredictionType = "v_prediction",
    weighting: Weighting = "sigmoid",
    multiscale: bool | int = False,
    *,
    bias: float | None = None,
    min_snr_gamma: float = 5.0,
    logsnr_slope: Tensor | None = None,
    reduction: Literal["mean", "none"] = "mean",
) -> Tensor:
    """The training loss of simple diffusion (see the module docstring for the formulas).

    Args:
        model_output (B, C, H, W): what the network returned for x_t = alpha sample + sigma noise.
        sample, noise (B, C, H, W): the clean images in [-1, 1] and the standard normal noise.
        logsnr (B,): of each x_t. Weights clamp it to +-30, so that zero terminal SNR (-inf) has a finite loss.
        prediction_type: `"epsilon"`, `"sample"`, `"v_prediction"` or `"flow_prediction"`.
        weighting: `"epsilon"`, `"sample"`, `"v"`, `"flow"`, `"sigmoid"` or `"min_snr"`.
        multiscale: False, True (down to 32 rows) or the number of rows of the coarsest scale.
        bias: of the sigmoid weighting; None takes `sigmoid_bias(H)`.
        min_snr_gamma: of Min-SNR.
        logsnr_slope (B,), optional: -d logsnr / d u, see `loss_weight`.
        reduction: `"none"` returns one value per image.

    Returns:
        Scalar or (B,), float32 (float64 for float64 input).

    Raises:
        ValueError: for an unknown name or tensors of different shapes.

    Relations: weighting `"v"` with a v-prediction is `mse_loss(output, v)`; `"epsilon"` with an epsilon prediction is
    `mse_loss(output, noise)`; the loss does not depend on which prediction type expresses the same denoiser.
    """
    if not (model_output.shape == sample.shape == noise.shape) or logsnr.shape != sample.shape[:1]:
        raise ValueError(
            "model_output, sample and noise must have one shape (B, C, H, W) and logsnr the shape (B,); got "
            f"{tuple(model_output.shape)}, {tuple(sample.shape)}, {tuple(noise.shape)} and {tuple(logsnr.shape)}."
        )
    _check_choice("reduction", reduction, ("mean", "none"))
    dtype = torch.promote_types(sample.dtype, torch.float32)
    sample, noise, logsnr = sample.to(dtype), noise.to(dtype), logsnr.to(dtype)
    # One factor per image turns the square of the output's own error into that of the epsilon error.
    difference = model_output.to(dtype) - prediction_target(sample, noise, logsnr, prediction_type)
    logsnr = logsnr.clamp(-30.0, 30.0)
    if prediction_type == "v_prediction":
        factor = torch.sigmoid(logsnr)
    elif prediction_type == "sample":
        factor = torch.exp(logsnr)
    elif prediction_type == "flow_prediction":
        factor = torch.sigmoid(logsnr / 2) ** 2
    else:
        factor = torch.ones_like(logsnr)
    bias = sigmoid_bias(sample.shape[-2]) if bias is None else bias
    weight = loss_weight(logsnr, weighting, bias=bias, min_snr_gamma=min_snr_gamma, logsnr_slope=logsnr_slope)
    if multiscale is False:
        mean_square = difference.square().flatten(1).mean(1)  # (B,)
    else:
        mean_square = multiscale_mean_square(difference, 32 if multiscale is True else multiscale)
    weight = weight * factor
    if logsnr_slope is not None and prediction_type != "epsilon":
        weight = torch.where(logsnr_slope.isinf(), 0.0, weight)  # the limit: the factor falls faster than it rises
    loss = weight * mean_square
    return loss.mean() if reduction == "mean" else loss


def readout_loss(
    outputs: Sequence[Tensor], sample: Tensor, noise: Tensor, logsnr: Tensor, bias: float | None = None, **options: Any
) -> Tensor:
    """The loss of a network that predicts the image at several sizes, sum over s of (1 / s) L_s over sum of 1 / s.

    L_s is `simple_diffusion_loss` of the prediction with s rows, against mean-pooled images and noise.

    Args:
        outputs: predictions (B, C, H, W), then (B, C, H / r, W / r) for whole r.
        sample, noise, logsnr, bias, **options: of `simple_diffusion_loss`; bias None is that of H at all sizes.

    Raises:
        ValueError: for a size that is no whole part of the image's.

    Relations: heads that return the mean-pooled first output give the multiscale loss, and no heads the plain one.
    """
    height, width = sample.shape[-2:]
    bias = sigmoid_bias(height) if bias is None else bias
    losses, weights = [], []
    for output in outputs:
        ratio, rest = divmod(height, output.shape[-2])
        if rest or output.shape[-1] * ratio != width:
            raise ValueError(f"A prediction has {tuple(output.shape[-2:])} pixels, no part of {height} x {width}.")
        small, small_noise = F.avg_pool2d(sample, ratio), F.avg_pool2d(noise, ratio)
        weights.append(1 / output.shape[-2])
        losses.append(weights[-1] * simple_diffusion_loss(output, small, small_noise, logsnr, bias=bias, **options))
    return torch.stack(losses).sum(0) / sum(weights)


def mean_by_logsnr(loss: Tensor, logsnr: Tensor, edges: Sequence[float] = (-6, -3, 0, 3, 6)) -> dict[str, float]:
    """Mean loss of each logSNR bin that has images: which noise levels a network still fails at.

    Args:
        loss, logsnr (B,): per image.
        edges: inner edges of the bins, ascending.

    Returns:
        `{"logsnr_-6_to_-3": mean, ...}`; the outer bins are open.
    """
    bounds = [-math.inf, *edges, math.inf]
    place = torch.bucketize(logsnr, torch.tensor(edges, dtype=logsnr.dtype, device=logsnr.device))
    return {
        f"logsnr_{bounds[i]:g}_to_{bounds[i + 1]:g}": float(loss[place == i].mean())
        for i in range(len(bounds) - 1)
        if (place == i).any()
    }


def _alpha_sigma(logsnr: Tensor, ndim: int) -> tuple[Tensor, Tensor]:
    logsnr = logsnr.view(-1, *[1] * (ndim - 1))
    return torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}.")

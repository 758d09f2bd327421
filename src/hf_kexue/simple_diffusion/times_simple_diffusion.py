"""Training times u of a schedule: uniform, logit-normal, or even in logSNR.

    "uniform"        u = place
    "logit_normal"   logsnr = shift - 2 (mean + std Phi^-1(place)): on the straight path the share of the noise before
                     the shift has a normal logit, as in arXiv 2403.03206; another schedule sees the same logSNR
    "slope"          u has the density -d logsnr / d u: logSNR is even over the range of the schedule

A place is uniform in (0, 1). Places that are spread evenly over a batch give times that are spread evenly too.

Sources: arXiv 2403.03206 (logit-normal times); archives/10047 (logSNR).
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from .checks_simple_diffusion import require, require_one_of

TimeDistribution = Literal["uniform", "logit_normal", "slope"]


def training_times(
    scheduler: Any, places: Tensor, distribution: TimeDistribution = "uniform", *, mean: float = 0.0, std: float = 1.0
) -> Tensor:
    """Times u for training with a scheduler.

    Args:
        scheduler: `ShiftedCosineScheduler` or `ShiftedFlowScheduler`.
        places (B,): in [0, 1).
        distribution: one of the three of the module docstring.
        mean, std: of the logit of the noise's share, for "logit_normal". JiT, whose time counts the share of the
            image, has (0.8, 0.8) in these terms.

    Returns:
        (B,), dtype of the places; within the range of logSNR that sampling uses.

    Raises:
        ValueError: for an unknown distribution, or a std that is not positive.
    """
    require_one_of("distribution", distribution, get_args(TimeDistribution))
    require(std > 0, f"std is {std}; the standard deviation of the times must be positive.")
    if distribution == "uniform":
        if not scheduler.config.get("use_flow_sigmas"):
            return places.clamp(min=1e-5)
        edge = 1.0 / (1.0 + math.exp(-scheduler.config["logsnr_min"] / 2))
        return places.clamp(edge, 1.0 - edge)
    lowest, highest = logsnr_range(scheduler)
    if distribution == "slope":
        logsnr = highest + (lowest - highest) * places.double()
    else:
        logsnr = _mean_shift(scheduler) - 2.0 * (mean + std * torch.special.ndtri(places.double()))
    return time_at(scheduler, logsnr.clamp(lowest, highest)).to(places)


def logsnr_range(scheduler: Any) -> tuple[float, float]:
    """logSNR at which sampling starts, and the highest that training sees."""
    if scheduler.config.get("use_flow_sigmas"):
        shift, lowest = _mean_shift(scheduler), scheduler.config["logsnr_min"]
        return shift + lowest, shift - lowest
    last, first = (float(scheduler.logsnr(torch.tensor(u, dtype=torch.float64))) for u in (1.0, 0.0))
    return max(last, -30.0), min(first, 30.0)


def time_at(scheduler: Any, logsnr: Tensor) -> Tensor:
    """u with `scheduler.logsnr(u) == logsnr`, float64, by bisection: every schedule falls with u."""
    target = logsnr.double()
    low, high = torch.zeros_like(target), torch.ones_like(target)
    for _ in range(60):
        middle = (low + high) / 2
        above = scheduler.logsnr(middle) > target
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return (low + high) / 2


def _mean_shift(scheduler: Any) -> float:
    size, base = scheduler.config["sample_size"], scheduler.config["base_size"]
    sizes = base if isinstance(base, list | tuple) else [base]
    return sum(2.0 * math.log(one / size) for one in sizes) / len(sizes)

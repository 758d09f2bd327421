"""Conditions on arguments, which raise a ValueError that names the argument and what was given."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def require_positive(name: str, *values: Any, whole: bool = False) -> None:
    kinds = int | np.integer if whole else int | float | np.number
    fits = all(isinstance(value, kinds) and not isinstance(value, bool) and 0 < value < math.inf for value in values)
    shown = values[0] if len(set(values)) == 1 else values
    require(fits, f"{name} is {shown!r}; a positive {'whole ' * whole}number is needed.")


def require_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    require(value in allowed, f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")


def require_shape(name: str, given: Tensor, sample: Tensor) -> None:
    shapes = f"{tuple(given.shape)} and the sample {tuple(sample.shape)}"
    require(given.shape == sample.shape, f"{name} has shape {shapes}; they must be equal.")


def checked_timesteps(timesteps: int | Sequence[int] | Tensor, number: int) -> Tensor:
    """Integer timesteps in [0, number) as int64; the range is looked at on the CPU only, where that is free."""
    steps = torch.as_tensor(timesteps)
    whole = not steps.is_floating_point() and steps.dtype != torch.bool
    require(whole, f"timesteps have dtype {steps.dtype}; integers are needed.")
    inside = steps.device.type != "cpu" or bool(((steps >= 0) & (steps < number)).all())
    require(inside, f"timesteps must lie in 0..{number - 1}; {timesteps} was given.")
    return steps.long()


def check_network_inputs(
    config: Any, stride: int, sample: Tensor, logsnr: Tensor, class_labels: Tensor | None
) -> None:
    """Inputs of a network which is conditioned on logSNR and, with num_class_embeds, on classes.

    Args:
        config: of the network, with in_channels and num_class_embeds.
        stride: height and width are multiples of it.
        sample, logsnr, class_labels: of the call.
    """
    shape = f"sample must have the shape (B, {config.in_channels}, H, W), got {tuple(sample.shape)}."
    require(sample.ndim == 4 and sample.shape[1] == config.in_channels, shape)
    height, width = sample.shape[-2:]
    if height % stride or width % stride or not height or not width:
        raise ValueError(
            f"Height and width must be positive multiples of {stride}, the total stride of this model; "
            f"got {height} x {width}."
        )
    batch_size, null = sample.shape[0], config.num_class_embeds
    if logsnr.ndim > 1 or logsnr.numel() not in (1, batch_size):
        raise ValueError(f"logsnr must be a number or have the shape ({batch_size},), got {tuple(logsnr.shape)}.")
    if class_labels is None:
        return
    require(null is not None, "class_labels were given, but this model has no classes (num_class_embeds is None).")
    if class_labels.shape != (batch_size,) or class_labels.is_floating_point():
        raise ValueError(f"class_labels must be {batch_size} integers, got {class_labels}.")
    if class_labels.device.type != "cpu" or torch.compiler.is_compiling() or not class_labels.numel():
        return  # elsewhere the check would wait for the device in every step
    if not 0 <= int(class_labels.min()) <= int(class_labels.max()) <= null:
        raise ValueError(f"class_labels must lie in 0..{null}, where {null} is the null class; got {class_labels}.")

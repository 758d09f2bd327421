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

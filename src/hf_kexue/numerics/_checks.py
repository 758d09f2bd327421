"""Input checks that the numerics modules share: what is wrong, what was given, what is allowed, in one sentence."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Real", "as_float_tensors", "check_choice", "check_count", "require"]

Real = Tensor | float


def holds(condition: Tensor) -> bool:
    """Whether a boolean tensor is true everywhere; taken as true where its values cannot be read.

    Inside `torch.func.vmap` a tensor has no readable values, so a check of the domain is impossible there and a value
    outside it gives what the formula gives (mostly NaN).
    """
    try:
        return bool(condition.all())
    except RuntimeError:
        return True


def require(condition: Tensor, sentence: str, **given: Tensor) -> None:
    """Raise a `ValueError` with `sentence` and the first values that break `condition`.

    Args:
        condition: Boolean tensor, true where the input is allowed.
        sentence: What is allowed and why.
        given: The inputs by name, each of the shape of `condition` (or a scalar), for the message.
    """
    if holds(condition):
        return
    index = tuple((~condition).nonzero()[0].tolist())
    values = ", ".join(f"{name} = {value.expand(condition.shape)[index].item():.6g}" for name, value in given.items())
    place = f" at index {index}" if index else ""
    raise ValueError(f"{sentence}; got {values}{place}" if values else sentence)


def as_float_tensors(**named: Real) -> tuple[Tensor, ...]:
    """Tensors of one floating type, broadcast against each other, free of NaN.

    Python numbers take the type of the tensors beside them, and float64 where there is none.

    Args:
        named: The inputs by the name that an error message should use.

    Returns:
        The tensors in the order given, of one shape, float32 or float64.

    Raises:
        TypeError: If a tensor is neither float32 nor float64.
        ValueError: If shapes do not broadcast or a value is NaN.
    """
    dtypes = []
    for name, value in named.items():
        if isinstance(value, Tensor):
            if value.dtype not in (torch.float32, torch.float64):
                raise TypeError(f"{name} must be a float32 or float64 tensor; got {value.dtype}")
            dtypes.append(value.dtype)
    dtype = torch.float32 if dtypes and torch.float64 not in dtypes else torch.float64
    device = next((value.device for value in named.values() if isinstance(value, Tensor)), None)
    tensors = [torch.as_tensor(value, dtype=dtype, device=device) for value in named.values()]
    try:
        tensors = list(torch.broadcast_tensors(*tensors))
    except RuntimeError as error:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in zip(named, tensors))
        raise ValueError(f"shapes must broadcast against each other; got {shapes}") from error
    for name, tensor in zip(named, tensors):
        require(~tensor.isnan(), f"{name} must not be NaN", **{name: tensor})
    return tuple(tensors)


def check_count(name: str, value: int, low: int, high: int | None = None) -> None:
    """Raise a `ValueError` unless `value` is a whole number in [low, high]."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{name} must be a whole number {allowed}; got {value!r}")


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise a `ValueError` unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}")

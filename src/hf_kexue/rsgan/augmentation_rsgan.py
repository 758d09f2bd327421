"""Differentiable augmentation of real and generated images on their way to the discriminator.

Both kinds are changed by the same law T before they are scored, D(T(x)) and D(T(G(z))), so that few photographs last
longer, and the generator's gradient passes through T: it learns the photographs, not their changed versions.

    color         brightness x + u - 1/2; saturation and contrast m + s (x - m), m the mean over the channels (s in
                  [0, 2]) or over the whole image (s in [1/2, 3/2])
    translation   by up to an eighth of each side, zeros (grey) where nothing was
    cutout        a square of half the sides set to zero, its centre anywhere

Shapes: B images, C channels, H rows, W columns; values in [-1, 1], which colour changes may leave.

Source: Zhao, Liu, Lin, Zhu and Han 2020, "Differentiable augmentation for data-efficient GAN training" (arXiv
2006.10738).
"""

from __future__ import annotations

import torch
from torch import Tensor

TRANSLATION = 0.125  # largest shift as a share of the side
CUTOUT = 0.5  # side of the square as a share of the side


def diff_augment(
    images: Tensor,
    policy: str = "color,translation,cutout",
    generator: torch.Generator | None = None,
    probability: float = 1.0,
    share: tuple[int, int] = (0, 1),
) -> Tensor:
    """Change each image by its own random parameters, differentiably.

    Args:
        images: (B, C, H, W) floats in [-1, 1].
        policy: names out of `color`, `translation`, `cutout` between commas, applied in this order; "" for none.
        generator: random source on the CPU; None is torch's global one. The numbers drawn depend on the policy and
            on B, H, W alone, not on `probability`.
        probability: chance of an image to go through each of the operations, in [0, 1]; independent of each other.
        share: number of this process, and of processes: numbers are drawn for the images of all, which follow each
            other by process, and the images of this one get theirs. With equal generators the processes then do
            together what one of them does with all images.

    Returns:
        (B, C, H, W), in the dtype, on the device and in the memory format of `images`.

    Raises:
        ValueError: for an unknown name, a probability outside [0, 1], or images of another shape.
        TypeError: for images that are not floating.

    Source: arXiv 2006.10738, sections 3 and 4.
    """
    names = [name.strip() for name in policy.split(",") if name.strip()]
    unknown = sorted(set(names) - _OPERATIONS.keys())
    if unknown:
        raise ValueError(f"The policy {policy!r} has unknown names {unknown}; there are {sorted(_OPERATIONS)}.")
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie in [0, 1], got {probability}.")
    if images.ndim != 4:
        raise ValueError(f"images must have the shape (B, C, H, W), got {tuple(images.shape)}.")
    if not images.is_floating_point():
        raise TypeError(f"images must be floats in [-1, 1], got {images.dtype}.")
    last = images.is_contiguous(memory_format=torch.channels_last)
    drawn = _Draws(generator, len(images), *share)
    for name in names:
        chosen = drawn.uniform(1, 1, 1) < probability
        changed = _OPERATIONS[name](images, chosen.to(images.device), drawn)
        images = changed.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    return images


class _Draws:
    """Numbers for the images of all processes, of which these images' are returned, (B, ...)."""

    def __init__(self, generator: torch.Generator | None, size: int, number: int, processes: int) -> None:
        self.generator, self.total = generator, size * processes
        self.own = slice(number * size, (number + 1) * size)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(self.total, *shape, generator=self.generator)[self.own]

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, (self.total, *shape), generator=self.generator)[self.own]


def _color(images: Tensor, chosen: Tensor, drawn: _Draws) -> Tensor:
    """Brightness, saturation and contrast; where an image is not chosen, by zero and one."""
    draws = [drawn.uniform(1, 1, 1).to(images) for _ in range(3)]
    brightness = (draws[0] - 0.5) * chosen
    saturation = torch.where(chosen, 2 * draws[1], 1.0)
    contrast = torch.where(chosen, draws[2] + 0.5, 1.0)
    images = images + brightness
    images = torch.lerp(images.mean(dim=1, keepdim=True).expand_as(images), images, saturation.expand_as(images))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean.expand_as(images), images, contrast.expand_as(images))


def _translation(images: Tensor, chosen: Tensor, drawn: _Draws) -> Tensor:
    """Shift by whole pixels; what comes in from outside is zero."""
    for dim in (2, 3):
        side = images.shape[dim]
        reach = int(side * TRANSLATION + 0.5)
        shift = drawn.integers(-reach, reach + 1, 1).to(images.device)
        source = torch.arange(side, device=images.device) - shift * chosen.flatten(1)  # (B, side)
        inside = (source >= 0) & (source < side)
        shape = (-1, 1, side, 1) if dim == 2 else (-1, 1, 1, side)
        rows = source.clamp(0, side - 1).view(shape).expand_as(images)  # (B, C, H, W)
        images = images.gather(dim, rows) * inside.view(shape)
    return images


def _cutout(images: Tensor, chosen: Tensor, drawn: _Draws) -> Tensor:
    """Zeros in a square, which may stand over the border."""
    hidden = chosen
    for dim, shape in ((2, (1, 1, -1, 1)), (3, (1, 1, 1, -1))):
        side = images.shape[dim]
        length = int(side * CUTOUT + 0.5)
        # first pixel of the square: its centre runs over every pixel, and one place beyond where `length` is even
        first = drawn.integers(0, side + 1 - length % 2, 1, 1, 1) - length // 2
        offset = torch.arange(side).view(shape) - first
        hidden = hidden & ((offset >= 0) & (offset < length)).to(images.device)  # grows to (B, 1, H, W)
    return images * ~hidden


_OPERATIONS = {"color": _color, "translation": _translation, "cutout": _cutout}

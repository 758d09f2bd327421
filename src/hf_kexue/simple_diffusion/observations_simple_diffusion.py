"""What is known of a picture before it is drawn: linear observations y = A x, without noise.

    kept pixels    A x keeps some pixels and puts zero at the others        A^+ = A^T = A
    block means    A x is the mean of every s x s block, a small picture    A^+ repeats, A^T = A^+ / s^2

A^+ is the pseudo-inverse: A^+ A is the part of a picture that y decides, and 1 - A^+ A what is left free.

    A A^+ A = A,   A^+ A A^+ = A^+,   A A^+ and A^+ A are symmetric

Pictures have values in [-1, 1] within the network and in [0, 1] outside; y has those of the picture.
Shapes: B batch, C channels, H W rows and columns, s side of a block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

HALVINGS = 40  # of an interval of length 2: the end of float32


@dataclass(frozen=True)
class Observation(ABC):
    """y = A x of every picture of a batch.

    Args:
        values: y, of pictures with values in [0, 1].
    """

    values: Tensor

    @abstractmethod
    def apply(self, pictures: Tensor) -> Tensor:
        """A x: (B, C, H, W) -> shape of `values`."""

    @abstractmethod
    def adjoint(self, values: Tensor) -> Tensor:
        """A^T y: shape of `values` -> (B, C, H, W)."""

    @abstractmethod
    def pseudo_inverse(self, values: Tensor) -> Tensor:
        """A^+ y: shape of `values` -> (B, C, H, W)."""

    @abstractmethod
    def fulfilled(self, pictures: Tensor, eight_bits: bool = False) -> Tensor:
        """Finished pictures that agree with y, changed as little as their range allows.

        Args:
            pictures (B, C, H, W): in [0, 1].
            eight_bits: on the grid of 8-bit levels, 0 to 255 over 255, where y is.
        """

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Whether nothing is known."""

    def residual(self, pictures: Tensor) -> Tensor:
        """y - A x for pictures in [-1, 1]; zero where nothing is known."""
        return self.apply(2.0 * self.pseudo_inverse(self.values.to(pictures)) - 1.0 - pictures)


@dataclass(frozen=True)
class KeptPixels(Observation):
    """Some pixels of a picture.

    Args:
        values (B, C, H, W): the picture; what is not kept is never looked at.
        kept (B or 1, 1, H, W): bool.
    """

    kept: Tensor

    def apply(self, pictures: Tensor) -> Tensor:
        return torch.where(self.kept, pictures, 0.0)

    def adjoint(self, values: Tensor) -> Tensor:
        return self.apply(values)

    def pseudo_inverse(self, values: Tensor) -> Tensor:
        return self.apply(values)

    def fulfilled(self, pictures: Tensor, eight_bits: bool = False) -> Tensor:
        """The kept pixels are those of `values`, bit for bit."""
        return torch.where(self.kept, self.values.to(pictures), pictures)

    @property
    def is_empty(self) -> bool:
        return not bool(self.kept.any())


@dataclass(frozen=True)
class BlockMeans(Observation):
    """The means of s x s blocks: a picture s times smaller.

    Args:
        values (B, C, H/s, W/s): that picture.
        factor: s.
    """

    factor: int

    def apply(self, pictures: Tensor) -> Tensor:
        return F.avg_pool2d(pictures, self.factor)

    def adjoint(self, values: Tensor) -> Tensor:
        return self.pseudo_inverse(values) / self.factor**2

    def pseudo_inverse(self, values: Tensor) -> Tensor:
        return values.repeat_interleave(self.factor, -2).repeat_interleave(self.factor, -1)

    def fulfilled(self, pictures: Tensor, eight_bits: bool = False) -> Tensor:
        """The nearest pictures in [0, 1] with these means: each block is moved by one number, and cut off.

        On the grid of 8-bit levels all pixels are rounded down, and in each block the largest fractions up again,
        as many as its mean asks for.
        """
        values, work = self.values.to(pictures).double(), pictures.double()
        low, high = -torch.ones_like(values), torch.ones_like(values)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = self.apply((work + self.pseudo_inverse(middle)).clamp(0, 1)) < values
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        work = (work + self.pseudo_inverse((low + high) / 2)).clamp(0, 1)
        return (self._rounded(work, values) / 255 if eight_bits else work).to(pictures)

    def _rounded(self, pictures: Tensor, values: Tensor) -> Tensor:
        blocks = F.pixel_unshuffle(255.0 * pictures, self.factor)  # (B, C s^2, H/s, W/s)
        blocks = blocks.unflatten(1, (-1, self.factor**2))  # (B, C, s^2, H/s, W/s)
        floors = blocks.floor()
        missing = (255.0 * self.factor**2 * values).round() - floors.sum(2)  # (B, C, H/s, W/s)
        places = (blocks - floors).argsort(2, descending=True).argsort(2)  # 0 is the largest fraction
        levels = (floors + (places < missing.unsqueeze(2))).clamp(max=255.0)
        return F.pixel_shuffle(levels.flatten(1, 2), self.factor)

    @property
    def is_empty(self) -> bool:
        return False

"""Random inputs of networks, to trace and to compare them with: the same ones for the same sizes."""

from __future__ import annotations

import torch
from torch import Tensor

Sizes = dict[str, int]


class Draws:
    """Random inputs; an axis is a number, or the name of one of the sizes. Each call draws on."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.generator = torch.Generator().manual_seed(sum(sizes.values()))

    def _shape(self, axes: tuple[str | int, ...]) -> list[int]:
        return [axis if isinstance(axis, int) else self.sizes[axis] for axis in axes]

    def ids(self, below: int, *axes: str | int) -> Tensor:
        """Whole numbers from 0."""
        return torch.randint(below, self._shape(axes), generator=self.generator)

    def normal(self, *axes: str | int) -> Tensor:
        return torch.randn(self._shape(axes), generator=self.generator)

    def uniform(self, *axes: str | int) -> Tensor:
        return torch.rand(self._shape(axes), generator=self.generator)

    def mask(self, *axes: str | int) -> Tensor:
        """(B, L) of which all rows but the first end in padding."""
        rows, length = self._shape(axes)
        ends = length - torch.arange(rows) * (length // (rows + 1))
        return (torch.arange(length) < ends[:, None]).long()

    def spans(self) -> Tensor:
        """(count, 3): text, first and last character."""
        count, rows, length = self.sizes["count"], self.sizes["batch"], self.sizes["length"]
        places = torch.randint(length, (count, 2), generator=self.generator).sort(dim=1).values
        return torch.cat([torch.arange(count)[:, None] % rows, places], dim=1)

"""A cache of decoded pictures of one size: each is decoded once, and a batch is a few tensor operations."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .pixels import Size, sides


def decoded_bytes(number: int, resolution: Size) -> int:
    """Size of a `DecodedImages` in bytes."""
    return number * 3 * math.prod(sides(resolution))


def shared_bytes(*shape: int) -> Tensor:
    """uint8 zeros in memory shared by forked processes. Not `share_memory_`: it uses /dev/shm, which is 64 MB in a
    container."""
    memory = mmap.mmap(-1, max(1, torch.Size(shape).numel()))
    return torch.frombuffer(memory, dtype=torch.uint8)[: torch.Size(shape).numel()].view(shape)


class DecodedImages:
    """Pictures (N, 3, height, width) as bytes, decoded on first use, by one process or several.

    Args:
        number: N.
        resolution: of their sides, or (height, width).
        labels: their classes, or None.
        decode: index -> (3, height, width) uint8, or a name if it cannot be decoded.
    """

    def __init__(
        self, number: int, resolution: Size, labels: Sequence[int] | None, decode: Callable[[int], Tensor | str]
    ) -> None:
        self.pixels, self.known = shared_bytes(number, 3, *sides(resolution)), shared_bytes(number)
        self.labels = None if labels is None else torch.as_tensor(labels, dtype=torch.int64)
        self.broken: dict[int, str] = {}  # kept by each process for itself
        self.decode = decode

    def batch(self, indices: Sequence[int], flipped: Sequence[bool]) -> dict[str, Any]:
        """The batch of `collate_images` for these pictures, the flipped ones mirrored: float32 in [-1, 1]."""
        for index in indices:
            if not self.known[index] and index not in self.broken:
                pixels = self.decode(index)
                if isinstance(pixels, str):
                    self.broken[index] = pixels
                else:
                    self.pixels[index], self.known[index] = pixels, 1
        valid = [place for place, index in enumerate(indices) if index not in self.broken]
        batch: dict[str, Any] = {"broken": [self.broken[index] for index in indices if index in self.broken]}
        if not valid:
            return batch | {"pixel_values": torch.empty(0)}
        chosen = torch.tensor([indices[place] for place in valid])
        mirrored = torch.tensor([row for row, place in enumerate(valid) if flipped[place]], dtype=torch.int64)
        pixels = self.pixels.index_select(0, chosen)  # (B, 3, H, W)
        pixels.index_copy_(0, mirrored, pixels.index_select(0, mirrored).flip(-1))
        batch["pixel_values"] = pixels.float().div_(127.5).sub_(1)
        if self.labels is not None:
            batch["class_labels"] = self.labels[chosen]
        return batch

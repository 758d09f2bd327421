"""Batches of texts of similar length, to reduce padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class LengthGroupedSampler(Sampler[int]):
    """A random order with neighbours of similar length: shuffle, split into groups of some batches, sort each group by
    length, split it into batches and shuffle these.

    The order depends on (seed, epoch) only.

    Args:
        lengths: of all samples.
        batch_size: samples of a batch.
        seed: of the order.
        batches_per_group: more give less padding and less random batches.

    Raises:
        ValueError: for sizes below 1.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int = 0, batches_per_group: int = 32) -> None:
        if batch_size < 1 or batches_per_group < 1:
            raise ValueError(
                f"batch_size and batches_per_group must be at least 1, got {batch_size} and {batches_per_group}."
            )
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.batches_per_group = batches_per_group
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of this epoch from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self.seed, self.epoch))
        order = generator.permutation(len(self.lengths))
        size = self.batch_size * self.batches_per_group
        rest = len(order) % self.batch_size  # the incomplete batch comes last
        order, tail = np.split(order, [len(order) - rest])
        for first in range(0, len(order), size):
            group = order[first : first + size]
            group = group[np.argsort(self.lengths[group], kind="stable")].reshape(-1, self.batch_size)
            for batch in group[generator.permutation(len(group))]:
                yield from batch.tolist()
        yield from tail.tolist()

"""A data set whose epoch number is shared with its worker processes."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset


class EpochDataset(Dataset[Any]):
    """A data set whose samples depend on the epoch.

    The epoch number is in shared memory, so that persistent workers (`persistent_workers`) see it change.
    """

    def __init__(self) -> None:
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Draw the samples of this epoch from now on."""
        self._epoch.fill_(epoch)

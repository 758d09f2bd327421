"""The number of the epoch, where worker processes see it change."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset


class EpochDataset(Dataset[Any]):
    """A data set whose samples depend on the epoch.

    The number lies in shared memory: workers that outlive an epoch (`persistent_workers`) read the new one.
    """

    def __init__(self) -> None:
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Other samples."""
        self._epoch.fill_(epoch)

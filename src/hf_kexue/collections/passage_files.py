"""The passages of a saved collection: one file of texts, and where each begins."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

TEXTS, ENDS, IDS = "passages.txt", "passage_ends.npy", "passage_ids.json"


class PassageFile(Sequence[str]):
    """Texts that stay on disk and are decoded one by one.

    Args:
        folder: as `write_passages` left it.

    Raises:
        ValueError: if the files do not fit each other.
    """

    def __init__(self, folder: Path) -> None:
        self.ids: list[str] = json.loads((folder / IDS).read_text(encoding="utf-8"))
        self._ends = np.load(folder / ENDS, mmap_mode="r")
        with (folder / TEXTS).open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(self._ends) != len(self.ids) or not len(self._ends) or self._ends[-1] != len(self._bytes):
            raise ValueError(f"{TEXTS}, {ENDS} and {IDS} are not of one collection")

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        start = int(self._ends[number - 1]) if number else 0
        return self._bytes[start : int(self._ends[number])].decode("utf-8")

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))


def write_passages(folder: Path, ids: list[str], texts: Iterable[str]) -> None:
    """Write ids and texts into a folder."""
    ends, size = [], 0
    with (folder / TEXTS).open("wb") as file:
        for text in texts:
            size += file.write(text.encode("utf-8"))
            ends.append(size)
    np.save(folder / ENDS, np.array(ends, dtype=np.int64))
    (folder / IDS).write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")

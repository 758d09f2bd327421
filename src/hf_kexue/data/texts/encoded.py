"""Encode texts as arrays of tokens, and map character offsets to tokens.

    encode = EncodedTexts(tokenizer)
    columns, offsets = encode(["《空城未央》是夙言以信的小说"])      # {"input_ids": (1, L), ...}, (1, L, 2)
    TokenSpans(offsets[0]).find(1, 5)                          # (1, 4), first and last token

Each text is tokenized once and cached: epochs after the first cost a third.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

OFFSETS = "offset_mapping"
UNUSED = ("token_type_ids",)
MAX_RANDOM = 8  # tokens of a random span


class EncodedTexts:
    """The columns of a tokenizer for single texts, without special tokens, padded on the right.

    Args:
        tokenizer: a fast one; columns beside the ids are kept.
        max_remembered: size of the cache; the oldest texts are dropped.
        multiple_of: lengths of batches are padded to a multiple of it, which is faster on GPUs.
    """

    def __init__(self, tokenizer: Any, max_remembered: int = 2**15, multiple_of: int = 1) -> None:
        self.tokenizer = tokenizer
        self.max_remembered = max_remembered
        self.multiple_of = multiple_of
        self._known: dict[str, dict[str, NDArray]] = {}

    def __call__(self, texts: Sequence[str]) -> tuple[dict[str, NDArray], NDArray]:
        """Encode texts.

        Args:
            texts: B texts, at least one of them with a token.

        Returns:
            the columns, (B, L) int64 each, with the tokenizer's padding id and 0 in the others; and the half-open
            character offsets of the tokens, (B, L, 2) int64, (0, 0) for padding.
        """
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        rows = {text: self._known[text] for text in texts if text in self._known} | self._encode(new)
        length = -(-max(len(row[OFFSETS]) for row in rows.values()) // self.multiple_of) * self.multiple_of
        columns = {}
        for name, first in rows[texts[0]].items():
            pad = self.tokenizer.pad_token_id if name == "input_ids" else 0
            columns[name] = np.full((len(texts), length, *first.shape[1:]), pad, dtype=np.int64)
            for number, text in enumerate(texts):
                row = rows[text][name]
                columns[name][number, : len(row)] = row
        return columns, columns.pop(OFFSETS)

    def _encode(self, texts: list[str]) -> dict[str, dict[str, NDArray]]:
        if not texts:
            return {}
        encoded = self.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
        names = [name for name in encoded if name not in UNUSED]
        rows = {
            text: {name: np.array(encoded[name][number], dtype=np.int32) for name in names}
            for number, text in enumerate(texts)
        }
        self._known |= rows
        for text in list(self._known)[: max(len(self._known) - self.max_remembered, 0)]:
            del self._known[text]
        return rows


class TokenSpans:
    """Map character offsets of one text to its tokens.

    Args:
        offsets: (L, 2) of the tokens from left to right, half-open; empty ones are ignored.
    """

    def __init__(self, offsets: NDArray) -> None:
        numbers = np.flatnonzero(offsets[:, 0] < offsets[:, 1])
        self._numbers = numbers.tolist()
        self._starts, self._ends = offsets[numbers].T.tolist()

    def __len__(self) -> int:
        return len(self._numbers)

    def find(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last token with one of the characters [start, end); None if there is no such token."""
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end) - 1
        return self._span(first, last) if first <= last else None

    def random(self, generator: np.random.Generator) -> list[tuple[int, int]]:
        """A list of one random span of at most `MAX_RANDOM` tokens; empty if the text has no token."""
        if not len(self):
            return []
        first = int(generator.integers(len(self)))
        return [self._span(first, min(first + int(generator.integers(MAX_RANDOM)), len(self) - 1))]

    def _span(self, first: int, last: int) -> tuple[int, int]:
        return self._numbers[first], self._numbers[last]


def piece_of(text: str, max_characters: int, generator: np.random.Generator) -> str:
    """Crop a text to `max_characters` at a random place, avoiding a blank piece."""
    if len(text) <= max_characters:
        return text
    begin = int(generator.integers(len(text) - max_characters + 1))
    piece = text[begin : begin + max_characters]
    return piece if piece.strip() else text.lstrip()[:max_characters]

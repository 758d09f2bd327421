"""Captions of pictures: prompts made of the text columns of a row, one drawn at each visit.

captions = CaptionColumns(("name_en", "name_zh", "tags_en"), prefix="style")
captions.all_of(row)                       # ["noto: red apple", "noto: 苹果", "noto: apple, fruit, red"]
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CaptionColumns:
    """Which columns hold the words of a picture.

    Args:
        columns: of texts or lists of texts; a list is one caption, joined by commas. A column named twice is drawn
            twice as often.
        prefix: column of a text that stands before each caption with a colon, such as a style.
    """

    columns: tuple[str, ...]
    prefix: str | None = None

    @property
    def names(self) -> list[str]:
        """The columns to keep of a data set."""
        return list(dict.fromkeys([*self.columns, *([self.prefix] if self.prefix else [])]))

    def all_of(self, row: Mapping[str, Any], bare: bool = False) -> list[str]:
        """The captions of a row in the order of the columns, without empty ones. Where there are none, it is the
        prefix alone or the empty prompt, which stands for any picture; or [] with `bare`."""
        texts = [_joined(row[column]) for column in self.columns]
        prefix = _joined(row[self.prefix]) if self.prefix else ""
        return [f"{prefix}: {text}" if prefix else text for text in texts if text] or ([] if bare else [prefix])

    def draw(self, row: Mapping[str, Any], key: str, count: int = 1) -> list[str]:
        """Captions of a row, decided by a key alone; of different columns as long as there are so many.

        Args:
            row: with the columns.
            key: such as seed, epoch and number of the row.
            count: how many.
        """
        captions = self.all_of(row)
        order = random.Random(key).sample(captions, len(captions))
        return [order[place % len(order)] for place in range(count)]

    def check(self, features: Mapping[str, Any], dataset: str) -> None:
        """Raise unless the columns are there and hold texts or lists of texts.

        Raises:
            ValueError: naming the columns that do.
        """
        known = [name for name, feature in features.items() if _is_text(feature)]
        for name in self.names:
            if name not in known:
                raise ValueError(f"{dataset} has no column of texts {name!r}; captions can come from {known}.")
        if self.prefix and _is_list(features[self.prefix]):
            raise ValueError(f"The column {self.prefix!r} of {dataset} holds lists: the prefix must be one text.")


def _joined(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(text for text in map(_joined, value) if text)
    return "" if value is None else " ".join(str(value).split())


def _is_list(feature: Any) -> bool:
    return hasattr(feature, "feature") or isinstance(feature, list)


def _is_text(feature: Any) -> bool:
    if _is_list(feature):
        feature = feature[0] if isinstance(feature, list) else feature.feature
    return str(getattr(feature, "dtype", "")) in ("string", "large_string")

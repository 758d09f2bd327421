"""Folds of labelled sentences by their texts: which a network may learn, and which it may label for others.

    fold_of("周星驰主演的喜剧之王由李力持执导。", 2)        # 0 or 1, whatever file holds the sentence
    without_fold(examples, "0/2")                          # what the network that labels fold 0 learns

A network that labels sentences it has learned repeats their labels. So of K networks each learns all folds but one,
and labels that one: no label of a fold comes from itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from .reading import TripleExample

PART = re.compile(r"(\d{1,4})/(\d{1,4})")


def fold_of(text: str, folds: int) -> int:
    """The fold of a text, in [0, folds): equal texts are in the same one, spaces at their ends aside."""
    return int.from_bytes(hashlib.sha256(text.strip().encode()).digest()[:8], "big") % folds


def without_fold(examples: Sequence[TripleExample], part: str) -> list[TripleExample]:
    """The examples of all folds but one.

    Args:
        examples: any.
        part: "k/K", the fold to leave out, from 0, of K of at least 2.

    Raises:
        ValueError: for another form, or if nothing is left.
    """
    match = PART.fullmatch(part)
    fold, folds = (int(match[1]), int(match[2])) if match else (0, 0)
    if not fold < folds or folds < 2:
        raise ValueError(f"The fold to leave out must be k/K such as 0/2, k below K, K at least 2; got {part!r}.")
    kept = [example for example in examples if fold_of(example.text, folds) != fold]
    if not kept:
        raise ValueError(f"Without fold {part} none of the {len(examples)} sentences is left.")
    return kept

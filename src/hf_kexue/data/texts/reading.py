"""Plain texts for pre-training: a file, a folder or a Hub id -> a list of distinct, non-empty strings.

    read_texts("texts.txt.gz")          # one text a line
    read_texts("train.jsonl.gz")        # questions in any form that `read_qa` knows: their passages

Records are recognised by their columns: `text`; `context` (SQuAD, flat, or nested in `paragraphs`); `passages` with a
`passage` each. For file formats see `record_files`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..record_files import as_object, field, lines_of, located_records, text_field

TEXT_SUFFIXES = (".txt", ".txt.gz")


def read_texts(source: str | Path, split: str = "train", on_error: Literal["raise", "skip"] = "raise") -> list[str]:
    """Read all texts of a source.

    Args:
        source: a text file in UTF-8 with one text a line (.txt, .txt.gz); a file of records (.jsonl, .json, or .gz of
            either); a folder, of which `<split>.jsonl` is read, or which `datasets` reads; or a Hub id.
        split: name of the split; ignored for a file.
        on_error: "skip" skips broken lines and records and warns once, with their number and the first three.

    Returns:
        Stripped texts in the order of the source; of equal ones the first.

    Raises:
        FileNotFoundError: if the source does not exist.
        ValueError: for a line that is not UTF-8, a record that is invalid JSON or has none of the columns, a truncated
            file, an unknown split, or a source without any text.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip'; got {on_error!r}.")
    is_text_file = str(source).endswith(TEXT_SUFFIXES)
    places = _lines(Path(source).expanduser()) if is_text_file else _texts_of_records(source, split)
    texts: dict[str, None] = {}
    broken: list[str] = []
    for found in places:
        if isinstance(found, str):
            texts.setdefault(found.strip())
        elif on_error == "raise":
            raise found
        else:
            broken.append(str(found))
    texts.pop("", None)
    if broken and not texts:
        raise ValueError(f"{source} holds no text, and {len(broken)} broken record(s); the first is {broken[0]}")
    if not texts:
        raise ValueError(f"{source} holds no text: all its lines or records are empty.")
    if broken:
        first = " ".join(broken[:3])
        warnings.warn(f"{len(broken)} broken record(s) of {source} left out: {first}", stacklevel=2)
    return list(texts)


def hold_out(texts: Sequence[str], share: float, seed: int = 0) -> tuple[list[str], list[str]]:
    """Split texts at random; the same texts and seed give the same split.

    Args:
        texts: any.
        share: of the texts to hold out, in [0, 1); above 0 it is rounded up, so at least one.
        seed: of the choice.

    Returns:
        Training and held-out texts, both in their original order.

    Raises:
        ValueError: for a share out of [0, 1), or if no text is left to train on.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share must be at least 0 and below 1, got {share}.")
    count = math.ceil(share * len(texts))
    if count == len(texts):
        raise ValueError(
            f"Holding out {share} of {len(texts)} text(s) leaves none to train on: give more texts, or 0."
        )
    held = set(np.random.default_rng(seed).permutation(len(texts))[:count].tolist())
    parts: tuple[list[str], list[str]] = ([], [])
    for number, text in enumerate(texts):
        parts[number in held].append(text)
    return parts


def _lines(path: Path) -> Iterator[str | ValueError]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    for number, line in enumerate(lines_of(path), 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            yield ValueError(
                f"{path.name}, line {number}: byte {error.start + 1} is not UTF-8: convert the file to UTF-8."
            )


def _texts_of_records(source: str | Path, split: str) -> Iterator[str | ValueError]:
    for place, record in located_records(source, split):
        try:
            yield from _texts(record)
        except ValueError as error:
            yield ValueError(f"{place}: {error}.")


def _texts(record: Any) -> list[str]:
    if isinstance(record, ValueError):
        raise record
    as_object(record)
    for name in ("text", "context"):
        if name in record:
            return [text_field(record, name)]
    for names, name in (("passages", "passage"), ("paragraphs", "context")):
        if names in record:
            return [text_field(as_object(item), name) for item in field(record, names, list)]
    raise ValueError(f"there is none of the columns text, context, passages, paragraphs; there are {sorted(record)}")

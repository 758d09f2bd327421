"""What the commands of `hf-kexue` read and show: texts in files, triples as lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


def read_text(path: Path) -> str:
    """As it stands in the file, so that positions are those of the file.

    Raises:
        ValueError: for a file that is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: byte {error.start} cannot be read.") from error


def read_lines(path: Path, keys: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The texts of a file of one a line, with the numbers of their lines from 1; lines of white space are left out.

    The file is read as the texts are taken, so that any number of lines needs the memory of one.

    Args:
        path: plain text in UTF-8, or .jsonl with a string a line, or an object.
        keys: under which an object may have its text.

    Raises:
        ValueError: for a line that is none of this, naming it, and for a file without a text.
    """
    number = 0
    with path.open("rb") as file:
        for number, line in _texts(path, file, keys):
            yield number, line
    if not number:
        raise ValueError(f"{path} holds no {keys[0]}.")


def _texts(path: Path, file: Any, keys: Sequence[str]) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(file, 1):
        try:
            text: Any = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path.name}, line {number} is not text in UTF-8: its byte {error.start} cannot be read."
            ) from error
        if not text.strip():
            continue
        if path.suffix == ".jsonl":
            try:
                text = json.loads(text)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path.name}, line {number}: broken JSON, {error}.") from error
            if isinstance(text, dict):
                text = next((text[key] for key in keys if key in text), None)
            if not isinstance(text, str):
                raise ValueError(f"{path.name}, line {number}: neither a string nor an object with a {keys[0]}.")
        yield number, text


def triple_line(triple: Mapping[str, Any], place: str) -> str:
    """A triple for people, on one line; `place` comes before its characters."""
    words = [" ".join(triple[role]["text"].split()) for role in ("subject", "object")]
    spans = [f"{triple[role]['start']} to {triple[role]['end']}" for role in ("subject", "object")]
    shown = f"{words[0]}  {triple['predicate']}  {words[1]}"
    return f"{triple['score']:.4f}  {shown}  {place}characters {spans[0]}, {spans[1]}"

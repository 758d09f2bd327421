"""Input and output of the commands of `hf-kexue`: texts from files, triples as lines, names of pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


def read_text(path: Path) -> str:
    """Read a file without newline conversion, so that offsets are those of the file.

    Raises:
        ValueError: for a file that is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: byte {error.start} is invalid.") from error


def read_lines(path: Path, keys: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text) for a file with one text a line; blank lines are skipped.

    The file is read lazily, in constant memory.

    Args:
        path: plain text in UTF-8, or .jsonl with a string a line, or an object.
        keys: keys of the text in an object.

    Raises:
        ValueError: for another line, naming it, and for a file without a text.
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
                f"{path.name}, line {number} is not text in UTF-8: byte {error.start} is invalid."
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
    """Format a triple on one line; `place` is a prefix of its offsets."""
    words = [" ".join(triple[role]["text"].split()) for role in ("subject", "object")]
    spans = [f"{triple[role]['start']} to {triple[role]['end']}" for role in ("subject", "object")]
    shown = f"{words[0]}  {triple['predicate']}  {words[1]}"
    return f"{triple['score']:.4f}  {shown}  {place}characters {spans[0]}, {spans[1]}"


def check_picture_output(path: Path) -> None:
    """Check the output path before drawing.

    Raises:
        ValueError: for a folder, or a suffix that Pillow cannot write.
    """
    from PIL import Image

    if path.is_dir():
        raise ValueError(f"--output {path} is a folder: give a file name.")
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise ValueError(f"--output {path} must have the suffix of a picture, such as .png or .jpg.")

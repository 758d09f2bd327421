"""What the commands of `hf-kexue` read and show: texts in files, triples as lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MODEL_HELP = "Folder of {}; or a repository id of the Hub."


def read_text(path: Path) -> str:
    """As it stands in the file, so that positions are those of the file.

    Raises:
        ValueError: for a file that is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: byte {error.start} cannot be read.") from error


def read_lines(path: Path, keys: Sequence[str]) -> list[tuple[int, str]]:
    """The texts of a file of one a line, with the numbers of their lines; blank lines are left out.

    Args:
        path: plain text, or .jsonl with a string a line, or an object.
        keys: under which an object may have its text.

    Raises:
        ValueError: for a line that is none of this, naming it, and for a file without a text.
    """
    texts = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        text: Any = line.removesuffix("\r")
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
        texts.append((number, text))
    if not texts:
        raise ValueError(f"{path} holds no {keys[0]}.")
    return texts


def triple_line(triple: Mapping[str, Any], place: str) -> str:
    """A triple for people, on one line; `place` comes before its characters."""
    words = [" ".join(triple[role]["text"].split()) for role in ("subject", "object")]
    spans = [f"{triple[role]['start']} to {triple[role]['end']}" for role in ("subject", "object")]
    shown = f"{words[0]}  {triple['predicate']}  {words[1]}"
    return f"{triple['score']:.4f}  {shown}  {place}characters {spans[0]}, {spans[1]}"

"""Records of JSON and CSV files, folders and Hub ids, each with its place in the file for error messages.

    for place, record in located_records("train.jsonl.gz"):
        ...                                                  # ("train.jsonl.gz, line 1", {"id": ...})

A .json file holds one JSON value: a list of records, {"data": such a list}, or one record. A .jsonl file holds one
record a line, and a .json file of lines is read too. A .csv or .tsv file names its columns in the first line, and all
its values are strings. Each name may be followed by .gz. Files are UTF-8; GBK is detected and reported. The content
of a record is checked by the caller, with `field`, `text_field` and `as_object`.
"""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .whole_files import whole_file

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
_KIND_NAMES = {dict: "an object", list: "a list", str: "a string", type(None): "null"}
_SURROGATE = re.compile("[\ud800-\udfff]")

Located = tuple[str, Any]  # a place ("train.jsonl, line 3"), and the record there, or a ValueError instead of it


def located_records(source: str | Path, split: str = "train", config: str | None = None) -> Iterator[Located]:
    """Iterate over the records of a data set.

    Args:
        source: a file; a folder; or a Hub id. In a folder `<split>.jsonl` (or another of the suffixes) is read
            directly, other folders and the Hub through `datasets`.
        split: name of the split; ignored for a file.
        config: configuration of a Hub data set that has several.

    Yields:
        (place, record): the JSON value, or a `ValueError` for invalid JSON.

    Raises:
        FileNotFoundError: if the source does not exist.
        ValueError: for a truncated, invalid or empty file, and an unknown suffix or split.
    """
    place = None
    for place, record in _walk(source, split, config):
        yield place, record
    if place is None:
        raise ValueError(f"{source} is empty: it holds no record.")


def as_object(value: Any) -> dict[str, Any]:
    """`value`, or a `ValueError` if it is not a JSON object."""
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {kind_of(value)}")
    return value


def field(record: dict[str, Any], name: str, kind: type) -> Any:
    """`record[name]`, or a `ValueError` if that is missing or not of type `kind` (dict, list or str)."""
    if name not in record:
        raise ValueError(f"the column {name!r} is missing; there are {sorted(record)}")
    if not isinstance(record[name], kind):
        raise ValueError(f"{name} is {kind_of(record[name])}, not {_KIND_NAMES[kind]}")
    return record[name]


def text_field(record: dict[str, Any], name: str) -> str:
    """`record[name]`, or a `ValueError` if that is missing, not a string, or not valid Unicode."""
    text = field(record, name, str)
    bad = _SURROGATE.search(text)
    if bad:
        raise ValueError(f"{name} holds half a character, the lone surrogate U+{ord(bad[0]):04X} at {bad.start()}")
    return text


def kind_of(value: Any) -> str:
    """Name of the type of a JSON value; numbers and booleans are shown themselves."""
    if isinstance(value, datetime.date):  # `datasets` reads "1998-05-01" so, and the text itself is lost
        return f"the date {value}, made of a text by the datasets library: give the path of the JSON file itself"
    return _KIND_NAMES.get(type(value), repr(value))


def _walk(source: str | Path, split: str, config: str | None) -> Iterator[Located]:
    path = Path(source).expanduser()
    if path.is_dir():
        files = [path / f"{split}{suffix}" for suffix in SUFFIXES if (path / f"{split}{suffix}").is_file()]
        if not files:
            yield from _rows(path, split, config)
        for file in files:
            yield from _file(file)
    elif path.is_file():
        yield from _file(path)
    elif isinstance(source, Path) or source.startswith((".", "/", "~")) or source.endswith(SUFFIXES):
        raise FileNotFoundError(f"There is no file or folder {source}.")
    else:
        yield from _rows(source, split, config)


def _rows(source: str | Path, split: str, config: str | None) -> Iterator[Located]:
    """Of a folder or Hub id that `datasets` reads."""
    from datasets import get_dataset_split_names, load_dataset
    from datasets.exceptions import DatasetGenerationError

    name = str(source)
    first = re.split(r"[\[+]", split)[0]  # of "train[:100]" and "train+validation"
    try:
        splits = get_dataset_split_names(name, config)  # before preparing the data set
        if first in splits:
            rows = load_dataset(name, config, split=split)
    except (ValueError, DatasetGenerationError) as error:
        raise ValueError(f"{name} cannot be read as a data set: {error}") from error
    if first not in splits:
        files = Path(name).glob("*.json*")
        splits = sorted({*splits, *(file.name.partition(".")[0] for file in files if file.name.endswith(SUFFIXES))})
        raise ValueError(f"{name} has no split {first!r}; it has {', '.join(splits)}.")
    for number, row in enumerate(rows, 1):
        yield f"{name}, row {number} of {split}", row


def _file(path: Path) -> Iterator[Located]:
    if not path.name.endswith(SUFFIXES):
        raise ValueError(f"{path} has an unknown suffix; known are {', '.join(SUFFIXES)}.")
    lines = lines_of(path)
    if {".csv", ".tsv"} & set(path.suffixes):
        yield from _table(path, lines)
        return
    if ".jsonl" not in path.suffixes:
        content = b"".join(lines)
        try:
            document = json.loads(decoded(content)) if content.strip() else []
        except (ValueError, RecursionError) as error:
            if not str(error).startswith("Extra data"):  # a complete JSON value followed by more: JSON lines
                raise ValueError(f"{path} is not valid JSON: {error}.") from error
            lines = iter(content.split(b"\n"))
        else:
            yield from _items(document, path.name)
            return
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield f"{path.name}, line {number}", _record(line)


def _record(line: bytes) -> Any:
    try:
        return json.loads(decoded(line))
    except (ValueError, RecursionError) as error:
        return ValueError(f"invalid JSON ({error})")


def decoded(content: bytes) -> str:
    """Decode UTF-8.

    Raises:
        ValueError: for other encodings; GBK, still common for Chinese text, is named.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        try:
            content.decode("gb18030")
        except UnicodeDecodeError:
            raise error from None
        raise ValueError("it is not UTF-8 but GBK: convert it with `iconv -f gb18030 -t utf-8`") from error


def _table(path: Path, lines: Iterator[bytes]) -> Iterator[Located]:
    """The rows of a CSV or TSV file."""
    try:
        text = decoded(b"".join(lines))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}.") from error
    delimiter = "\t" if ".tsv" in path.suffixes else ","
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        try:
            row: Any = next(rows, None)
        except csv.Error as error:
            raise ValueError(f"{path} is truncated or not a table: line {rows.line_num}: {error}.") from error
        if row is None:
            return
        if None in row or None in row.values():
            row = ValueError(f"the number of values is not that of the columns, {len(rows.fieldnames or ())}")
        yield f"{path.name}, line {rows.line_num}", row


def _items(document: Any, name: str) -> Iterator[Located]:
    if isinstance(document, dict) and not isinstance(document.get("data"), dict):
        document = document.get("data", [document])
    elif isinstance(document, dict):  # one task of Label Studio
        document = [document]
    if not isinstance(document, list):
        raise ValueError(f"{name} must hold a list of records, got {kind_of(document)}.")
    for number, record in enumerate(document, 1):
        yield f"{name}, record {number}", record


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> int:
    """Write records as .jsonl, atomically, and return their number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            number += 1
    return number


def lines_of(path: Path) -> Iterator[bytes]:
    """Lines of a plain or gzip file."""
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                number += 1
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} cannot be read past line {number}: the gzip data are truncated or damaged."
        ) from error

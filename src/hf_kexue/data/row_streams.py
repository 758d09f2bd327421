"""Rows of a corpus of any size, one after another: files, folders, and Hub ids, in constant memory.

    for place, row in stream_rows("corpus/"):
        ...                                       # ("news.csv, line 7", {"text": ...}), or a ValueError in its place

A .txt file holds a text a line, which becomes {"text": ...}; so does a string in a .jsonl file. .jsonl, .csv, .tsv
(each perhaps followed by .gz) and .parquet are read piece by piece, .json as a whole. Blank lines are skipped.
What is broken is yielded as a `ValueError`, and reading goes on behind it: the next line, or the next file where the
rest of one is unreadable.
"""

from __future__ import annotations

import csv
import importlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from .record_files import Located, decoded, kind_of, lines_of, located_records

LINES = (".txt", ".jsonl", ".csv", ".tsv")
STREAMED = (*LINES, *(f"{suffix}.gz" for suffix in LINES), ".parquet", ".json", ".json.gz")
LONGEST_FIELD = 2**24  # characters of a field of a table; an open quotation mark would swallow the rest of a file
ROWS_AT_ONCE = 1024  # of a parquet file


def stream_rows(source: str | Path, split: str = "train", starts: list[int] | None = None) -> Iterator[Located]:
    """Iterate over the rows of a corpus.

    Args:
        source: a file; a folder: `<split>.*` in it, where there are such files, else all files below it with a known
            suffix, by path; or a Hub id, which is streamed.
        split: of a folder or Hub id.
        starts: gets, as a file begins, the number of its first row, counted from 0 over all files.

    Yields:
        (place, row): a dictionary, or a `ValueError` for what is no row.

    Raises:
        FileNotFoundError: if the source does not exist.
        ValueError: for a file or folder without a known suffix, and for an unknown split of a Hub id.
    """
    files = corpus_files(source, split)
    if files is None:
        yield from _hub_rows(str(source), split)
        return
    number = 0
    for path in files:
        if starts is not None:
            starts.append(number)
        for located in rows_of_file(path):
            yield located
            number += 1


def rows_of_file(path: Path, skip: int = 0) -> Iterator[Located]:
    """The rows of a file as of `stream_rows`, without the first `skip`.

    Row groups of a parquet file that end before them are not read; other files are read from their beginning.
    """
    is_parquet = ".parquet" in path.suffixes
    rows = _file_rows(path, skip if is_parquet else 0)
    for place, row in rows if is_parquet else islice(rows, skip, None):
        yield place, _as_row(row)


def corpus_files(source: str | Path, split: str = "train") -> list[Path] | None:
    """The files that `stream_rows` reads, in order; None for a Hub id.

    Raises:
        FileNotFoundError, ValueError: as of `stream_rows`.
    """
    path = Path(source).expanduser()
    if path.is_file():
        if not path.name.endswith(STREAMED):
            raise ValueError(f"{path} has an unknown suffix; known are {', '.join(STREAMED)}.")
        return [path]
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and file.name.endswith(STREAMED)]
        files = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
        of_split = [file for file in files if file.name.partition(".")[0] == split and file.parent == path]
        if not files:
            raise ValueError(f"The folder {path} holds no file with one of the suffixes {', '.join(STREAMED)}.")
        return of_split or files
    if isinstance(source, Path) or source.startswith((".", "/", "~")) or source.endswith(STREAMED):
        raise FileNotFoundError(f"There is no file or folder {source}.")
    return None


def _file_rows(path: Path, skip: int) -> Iterator[Located]:
    suffixes = set(path.suffixes)
    try:
        if ".parquet" in suffixes:
            yield from _parquet_rows(path, skip)
        elif suffixes & {".csv", ".tsv"}:
            yield from _table_rows(path, "\t" if ".tsv" in suffixes else ",")
        elif ".json" in suffixes:
            yield from located_records(path)
        else:
            for number, line in enumerate(lines_of(path), 1):
                place = f"{path.name}, line {number}"
                if line.strip():
                    yield place, _line(line, ".jsonl" in suffixes)
    except (ValueError, OSError) as error:  # damaged archives, and what is no parquet or JSON at all
        yield path.name, ValueError(f"the rest of the file cannot be read: {error}")


def _line(line: bytes, is_json: bool) -> Any:
    try:
        text = decoded(line).removesuffix("\n").removesuffix("\r")
        return json.loads(text) if is_json else text
    except (ValueError, RecursionError) as error:
        return ValueError(f"invalid JSON ({error})" if is_json else f"not a line of text: {error}")


def _as_row(value: Any) -> dict[str, Any] | ValueError:
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, dict | ValueError):
        return value
    return ValueError(f"expected an object or a string, got {kind_of(value)}")


def _table_rows(path: Path, delimiter: str) -> Iterator[Located]:
    """Rows of a CSV or TSV file, decoded line by line: a byte that is not UTF-8 spoils its row alone."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_FIELD))
    lines = (line.decode("utf-8-sig" if not number else "utf-8", "surrogateescape")
             for number, line in enumerate(lines_of(path)))  # fmt: skip
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        columns = next(rows, None)
    except csv.Error as error:
        raise ValueError(f"the first line holds no column names: {error}") from error
    if columns is None:
        raise ValueError("the file is empty: it has no line of column names")
    while True:
        try:
            values = next(rows, None)
        except csv.Error as error:
            yield f"{path.name}, line {rows.line_num}", ValueError(f"not a row of a table: {error}")
            continue
        if values is None:
            return
        if values:
            yield f"{path.name}, line {rows.line_num}", _table_row(columns, values)


def _table_row(columns: list[str], values: list[str]) -> dict[str, str] | ValueError:
    if len(values) != len(columns):
        return ValueError(f"there are {len(values)} values for {len(columns)} columns")
    if any("\udc80" <= character <= "\udcff" for value in values for character in value):
        return ValueError("the row is not UTF-8")
    return dict(zip(columns, values))


def parquet() -> Any:
    """`pyarrow.parquet`, or an ImportError that says what to install."""
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError('Parquet needs pyarrow, which is not installed: `pip install "hf-kexue[train]"`.') from error


def _parquet_rows(path: Path, skip: int) -> Iterator[Located]:
    with parquet().ParquetFile(path) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        ends = list(accumulate(sizes))
        first = bisect_right(ends, skip)  # the row group that row `skip` lies in
        number = ends[first] - sizes[first] if first < len(ends) else skip
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, row_groups=range(first, len(ends))):
            rows = batch.slice(max(0, skip - number)) if skip > number else batch
            number += len(batch) - len(rows)
            for row in rows.to_pylist():
                number += 1
                yield f"{path.name}, row {number}", row


def _hub_rows(name: str, split: str) -> Iterable[Located]:
    from datasets import get_dataset_split_names, load_dataset
    from datasets.exceptions import DatasetGenerationError

    try:
        splits = get_dataset_split_names(name)
        rows = load_dataset(name, split=split, streaming=True) if split in splits else ()
    except (ValueError, OSError, DatasetGenerationError) as error:
        raise ValueError(f"{name} is neither a file nor a folder, nor a data set of the Hub: {error}") from error
    if split not in splits:
        raise ValueError(f"{name} has no split {split!r}; it has {', '.join(map(str, splits))}.")
    for number, row in enumerate(rows, 1):
        yield f"{name}, row {number} of {split}", row

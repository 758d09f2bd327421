"""Parts of a long run: small files that are either complete or absent, so that a run that was killed goes on.

    part-1-of-1-00000.jsonl  part-1-of-1-00000.parquet  part-1-of-1-00000.csv
    rejected-1-of-1-00000.jsonl           rows that were set aside, with the reason; only where there are any
    done-1-of-1.json                      written when the shard is finished

A part is computed from its rows alone and written to a temporary file that is renamed: whatever moment a run is
killed at, the same command makes the same bytes of what is missing. A part counts once all of its files exist.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.whole_files import write_whole

PART_FORMATS = ("jsonl", "parquet", "csv")
MENTION = ("text", "start", "end", "type")


@dataclass(frozen=True)
class Columns:
    """What the rows of a task hold.

    Args:
        list_name: key of the list of each row: "triples" or "answers".
        text_names: keys that hold strings, beside "row" and "id".
        table: names of the columns of the CSV file, which has a line for each entry of the list.
        cells: entry -> its values in that table.
        arrow: () -> pyarrow type of an entry.
        plain: entry -> the same with values of these types.
    """

    list_name: str
    text_names: tuple[str, ...]
    table: tuple[str, ...]
    cells: Callable[[dict[str, Any]], list[Any]]
    arrow: Callable[[], Any]
    plain: Callable[[dict[str, Any]], dict[str, Any]] = dict


def part_name(shard: tuple[int, int], number: int) -> str:
    """Name of a part without its suffix; shards count from 1, parts from 0."""
    return f"part-{shard[0]}-of-{shard[1]}-{number:05d}"


def is_complete(folder: Path, name: str, formats: Sequence[str]) -> bool:
    """Whether all files of a part exist."""
    return all((folder / f"{name}.{form}").is_file() for form in formats)


def write_part(
    folder: Path, name: str, formats: Sequence[str], columns: Columns, rows: list[dict], rejected: list[dict]
) -> None:
    """Write the files of a part: what was set aside first, so that a complete part has it for certain."""
    if rejected:
        write_whole(folder / f"{name.replace('part', 'rejected', 1)}.jsonl", json_lines(rejected))
    writers = {"jsonl": json_lines, "csv": lambda rows: _csv(columns, rows), "parquet": lambda r: _parquet(columns, r)}
    for form in formats:
        write_whole(folder / f"{name}.{form}", writers[form](rows))


def json_lines(rows: Iterable[dict]) -> bytes:
    """Rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode()


def _csv(columns: Columns, rows: list[dict]) -> bytes:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["row", "id", *columns.table])
    for row in rows:
        for entry in row[columns.list_name]:
            table.writerow([row["row"], row.get("id"), *columns.cells(entry)])
    return text.getvalue().encode()


def arrow_table(columns: Columns, rows: list[dict], **more: Any) -> Any:
    """Rows as a pyarrow table: "row", "id" as text, the texts, the list; `more` are types of further columns by name.

    The schema is written down: the type of lists that are all empty would be lost.
    """
    import pyarrow

    text, lists = pyarrow.string(), pyarrow.list_(columns.arrow())
    names = {"row": pyarrow.int64(), "id": text, **dict.fromkeys(columns.text_names, text), columns.list_name: lists}
    plain = []
    for row in rows:
        entries = row.get(columns.list_name)  # None: there is an error instead
        listed = None if entries is None else [columns.plain(entry) for entry in entries]
        plain.append({**row, "id": _text(row.get("id")), columns.list_name: listed})
    return pyarrow.Table.from_pylist(plain, schema=pyarrow.schema({**names, **more}))


def _parquet(columns: Columns, rows: list[dict]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(arrow_table(columns, rows), sink)
    return bytes(sink.getvalue())


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _triple_cells(triple: dict[str, Any]) -> list[Any]:
    subject, found = ([triple[role].get(key) for key in MENTION] for role in ("subject", "object"))
    return [*subject, triple["predicate"], *found, triple["score"]]


def _triple_type() -> Any:
    import pyarrow

    kinds = (pyarrow.string(), pyarrow.int64(), pyarrow.int64(), pyarrow.string())
    mention = pyarrow.struct(dict(zip(MENTION, kinds)))
    return pyarrow.struct(
        {"subject": mention, "predicate": pyarrow.string(), "object": mention, "score": pyarrow.float64()}
    )


def _answer_type() -> Any:
    import pyarrow

    whole = pyarrow.int64()
    places = {"start": whole, "end": whole, "passage": pyarrow.string()}
    numbers = {"score": pyarrow.float64(), "probability": pyarrow.float64()}
    return pyarrow.struct({"answer": pyarrow.string(), **numbers, **places})


def _plain_answer(answer: dict[str, Any]) -> dict[str, Any]:
    """The passage is the number of one given with the question, or the id of one of a collection."""
    return {**answer, "passage": _text(answer.get("passage"))}


_ANSWER = ("answer", "score", "probability", "start", "end", "passage")
_PLACES = ("", "_start", "_end", "_type")
_TRIPLE = (*(f"subject{place}" for place in _PLACES), "predicate", *(f"object{place}" for place in _PLACES), "score")
TRIPLE_COLUMNS = Columns("triples", ("text",), _TRIPLE, _triple_cells, _triple_type)
ANSWER_COLUMNS = Columns(
    "answers", ("question",), _ANSWER, lambda answer: [answer.get(key) for key in _ANSWER], _answer_type, _plain_answer
)

"""`hf-kexue index`: make a collection of passages, which `hf-kexue ask --index` searches."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

import typer

KEYS = ("passage", "context", "text")


def index(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE_OR_FOLDER", help=".txt, .jsonl, .csv, .parquet, .gz; a folder of them; a Hub id."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the collection.")] = Path("index"),
    add: Annotated[bool, typer.Option("--add", help="Add to the collection in that folder.")] = False,
    column: Annotated[str | None, typer.Option(help="Of the passage; default: passage, context or text.")] = None,
    split: Annotated[str, typer.Option(help="Of a folder or Hub id.")] = "train",
    segmenter: Annotated[str, typer.Option(help="rjieba, jieba or none (pairs of characters alone).")] = "rjieba",
) -> None:
    """Index passages, so that questions can be asked of all of them.

    A line of a .txt file is a passage. An "id" of a row is kept and named by answers; without one it is the number of
    the row, from 0, or the next that is free. Equal passages without ids are kept once. Rows without a passage are
    counted and left out.
    """
    from ..collections import PassageCollection
    from ..data.row_streams import stream_rows

    collection = PassageCollection.load(output) if add else PassageCollection(segmenter=segmenter, progress=True)
    seen = {collection[name] for name in collection.ids}
    passages: dict[str, str] = {}
    reasons: list[str] = []

    def taken(name: str) -> bool:
        return name in passages or name in collection

    for number, (place, row) in enumerate(stream_rows(source, split), len(collection)):
        try:
            if isinstance(row, ValueError):
                raise row
            text = _passage(row, column)
            if row.get("id") is None:
                if text in seen:
                    continue
                name = next(str(free) for free in itertools.count(number) if not taken(str(free)))
            elif taken(name := str(row["id"])):
                raise ValueError(f"the id {name!r} is there already")
        except ValueError as error:
            reasons.append(f"{place}: {error}.")
            continue
        seen.add(text)
        passages[name] = text
    if not passages:
        raise ValueError(f"{source} holds no new passage. {reasons[0] if reasons else ''}")
    collection.add(passages.items())
    collection.save(output)
    for reason in reasons[:20]:
        typer.echo(reason, err=True)
    typer.echo(f"{len(passages)} passages added to {output}, {len(collection)} in all; {len(reasons)} rows left out.")


def _passage(row: dict, column: str | None) -> str:
    from ..data.record_files import text_field
    from ..inference.extraction import is_blank

    name = column or next((key for key in KEYS if key in row), KEYS[0])
    text = text_field(row, name)
    if is_blank(text):
        raise ValueError(f"{name} is empty")
    return text

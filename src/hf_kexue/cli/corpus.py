"""Options and reports of runs over a corpus, `hf-kexue extract --to` and `hf-kexue ask --questions`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..inference.corpus_tasks import Task

To = Annotated[
    Path | None, typer.Option("--to", help="Folder for the parts of a corpus; the same command again goes on.")
]
Formats = Annotated[
    list[str] | None,
    typer.Option("--format", help="Of the parts: jsonl (default), parquet, csv, graphml, neo4j; may be repeated."),
]
Shard = Annotated[str, typer.Option(help="I/N: every Nth row from the Ith, for N machines.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes, each with the model and one thread.")]
PartRows = Annotated[int, typer.Option(min=1, help="Rows of a part at most.")]
Split = Annotated[str, typer.Option(help="Of a folder or Hub id.")]


def run(task: Task, source: str, to: Path, formats: list[str] | None, shard: str, **settings: Any) -> None:
    """Run a task over a corpus, and report counts and speed.

    Raises:
        ValueError, OSError: as of `run_corpus`; and for a shard of another form.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    if not match:
        raise ValueError(f"--shard must be I/N such as 2/8, got {shard!r}.")
    from ..inference.corpus import run_corpus

    numbers = (int(match[1]), int(match[2]))
    done = run_corpus(task, source, to, formats=formats or ["jsonl"], shard=numbers, **settings)
    typer.echo(
        f"{done.rows} rows in {done.parts} parts in {to}, {done.rejected} set aside; {done.computed} rows now, "
        f"{done.computed / done.seconds:.1f} a second."
    )
    if done.rejected:
        typer.echo(f"Reasons: {to}/rejected-*.jsonl", err=True)
    if done.waits_for:
        missing = ", ".join(f"{number}/{numbers[1]}" for number in done.waits_for)
        typer.echo(f"The graph is written by the last shard; missing: {missing}.", err=True)

"""`hf-kexue check-data`: check data before training on them. Exit codes: 0, 1 (not usable), 2 (nothing to check)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

RECORDS = ".json, .jsonl, .csv, .tsv, or .gz of them; a folder of such; or a Hub id."

check_data = typer.Typer(help="Check data before training on them.", no_args_is_help=True)


@check_data.command()
def qa(
    source: Annotated[
        str, typer.Argument(metavar="FILE_OR_FOLDER", help=".json, .jsonl, .csv, .tsv, .gz of them; or a Hub id.")
    ],
    split: Annotated[str, typer.Option(help="Of a folder or Hub id.")] = "train",
    tokenizer: Annotated[Path | None, typer.Option(help="Saved tokenizer; default: count characters.")] = None,
    max_length: Annotated[int, typer.Option(help="Tokens of a window, question included.")] = 512,
    stride: Annotated[int, typer.Option(help="Tokens that neighbouring windows share.")] = 128,
    max_answer_len: Annotated[float, typer.Option(help="Longest answer; ASCII letters and digits count 0.5.")] = 30,
    write_clean: Annotated[Path | None, typer.Option(help="Write the learnable records to this .jsonl file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count broken questions, and answers that are not in their passage, too long or cut by the window.

    Exit code 0: usable. 1: a record is broken, a question or passage is empty, an answer is not at its offset, or
    more than 5 % of the questions with answers have none that can be learned. 2: nothing to check.
    """
    from ..data.questions.check import check_qa
    from ..data.questions.reading import scan_qa

    examples, broken = scan_qa(source, split)
    report = check_qa(examples, _load_tokenizer(tokenizer), max_length, stride, max_answer_len, broken)
    typer.echo(json.dumps(report.to_dict(), ensure_ascii=False) if as_json else str(report))
    _echo_first(broken)
    if write_clean is not None:
        from ..data.questions.clean import clean_questions, question_record

        _write_clean(write_clean, map(question_record, clean_questions(examples)))
    if not report.usable:
        raise typer.Exit(1)


@check_data.command()
def triples(
    source: Annotated[
        str, typer.Argument(metavar="FILE_OR_FOLDER", help=".json, .jsonl, .csv, .tsv, .gz of them; or a Hub id.")
    ],
    split: Annotated[str, typer.Option(help="Of a folder or Hub id.")] = "train",
    schema: Annotated[Path | None, typer.Option(help="JSON file of predicates and types to compare with.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Saved tokenizer; default: count characters.")] = None,
    max_length: Annotated[int, typer.Option(help="Tokens of one input of the model.")] = 256,
    overfit: Annotated[bool, typer.Option(help="Also overfit a small model on 16 sentences; about a minute.")] = False,
    write_clean: Annotated[Path | None, typer.Option(help="Write the learnable records to this .jsonl file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count triples whose mentions are not in their text, cut or hidden, and predicates that are unknown or rare.

    Exit code 0: usable. 1: a record is broken, a text is empty, there is no triple of the schema, more than 5 % of
    the triples cannot be learned, or --overfit ends below F1 1. 2: nothing to check.
    """
    from ..data.triples.check import check_triples
    from ..data.triples.reading import scan_triples
    from ..data.triples.schemas import read_schema

    entries = None if schema is None else read_schema(schema)
    examples, broken = scan_triples(source, split)
    report = check_triples(examples, _load_tokenizer(tokenizer), entries, max_length, broken)
    facts, f1, overfit_line = report.to_dict(), 1.0, ""
    if overfit and report.totals["known"]:
        from ..training.overfit_triples import overfit_triples, verdict

        f1 = overfit_triples([example for example in examples if example.text.strip()], entries)
        facts["overfit"], overfit_line = {"f1": f1}, f"\n{verdict(f1)}"
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else f"{report}{overfit_line}")
    _echo_first(report.schema_faults)
    _echo_first(broken)
    if write_clean is not None:
        from ..data.triples.clean import clean_triples, triple_record

        _write_clean(write_clean, map(triple_record, clean_triples(examples)))
    if not report.usable or f1 < 1:
        raise typer.Exit(1)


@check_data.command()
def images(
    source: Annotated[str, typer.Argument(metavar="FOLDER", help="Of pictures or parquet files; or a Hub id.")],
    split: Annotated[str, typer.Option(help="Of a folder or Hub id.")] = "train",
    held_out: Annotated[str | None, typer.Option(help="Split to look for duplicates in, such as validation.")] = None,
    label_column: Annotated[str, typer.Option(help="Column of classes; auto: as in training.")] = "auto",
    caption_column: Annotated[
        list[str], typer.Option(help="Column of captions or of lists of them, as in training; may be repeated.")
    ] = [],  # noqa: B006
    caption_prefix: Annotated[str | None, typer.Option(help="Column of a text before each caption.")] = None,
    resolution: Annotated[int, typer.Option(min=1, help="Training resolution in pixels.")] = 64,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Training batch size; default: no minimum.")] = None,
    background: Annotated[str, typer.Option(help="Below transparent pictures; a name or #rrggbb.")] = "white",
    page: Annotated[Path | None, typer.Option(help="Write thumbnails to this HTML page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count pictures that are broken, duplicated, tiny, elongated or of one colour, and captions that are missing,
    shared or long; show sizes and thumbnails.

    Exit code 0: usable. 1: more than 1 % of the pictures, and more than three, are broken, or they do not fill one
    batch. 2: nothing to check.
    """
    from ..data.images import CaptionColumns, load_images
    from ..data.images.check import check_images
    from ..data.images.check_page import check_page

    if caption_prefix and not caption_column:
        raise ValueError("--caption-prefix stands before captions: name them with --caption-column.")
    captions = CaptionColumns(tuple(caption_column), caption_prefix) if caption_column else None
    labels = None if captions and label_column == "auto" else label_column
    opened = load_images(source, split=split, label_column=labels, background=background, captions=captions)
    other = None if held_out is None else load_images(source, split=held_out, background=background)
    report, thumbnails = check_images(opened, resolution, batch_size or 1, other, held_out or "another split")
    typer.echo(json.dumps(report.to_dict(), ensure_ascii=False) if as_json else str(report))
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(check_page(report, thumbnails, f"{source}, {split}"), encoding="utf-8")
        typer.echo(f"Thumbnails: {page}", err=True)
    if not report.usable:
        raise typer.Exit(1)


def _write_clean(path: Path, records: Iterable[dict[str, Any]]) -> None:
    from ..data.record_files import write_records

    if path.suffix != ".jsonl":
        raise ValueError(f"--write-clean must name a .jsonl file, got {path}.")
    typer.echo(f"{write_records(path, records)} records written to {path}.", err=True)


def _echo_first(messages: Sequence[str]) -> None:
    """Print the first twenty to standard error, and the number of the others."""
    for message in messages[:20]:
        typer.echo(message, err=True)
    if len(messages) > 20:
        typer.echo(f"... and {len(messages) - 20} more.", err=True)


def _load_tokenizer(folder: Path | None) -> Any:
    """The tokenizer of a folder, of any class: only its offsets are needed."""
    if folder is None:
        return None
    if not (folder / "tokenizer.json").is_file():
        raise ValueError(f"{folder} is not the folder of a saved tokenizer: it has no tokenizer.json.")
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))

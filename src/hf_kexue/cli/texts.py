"""`hf-kexue ask` and `hf-kexue extract`: answers and triples from texts, with saved DGCNN models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..inference.kinds import READER, TRIPLES
from ..inference.saved_models import saved_kind
from .files import read_lines, read_text, triple_line
from .options import MODEL_HELP, Device, Dtype


def ask(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help=MODEL_HELP.format("a reader, e.g. model_cards/dgcnn-qa-zh"))
    ],
    question: Annotated[str, typer.Option(help="The question.")],
    context: Annotated[str | None, typer.Option(help="Text to search for the answer.")] = None,
    file: Annotated[Path | None, typer.Option(help="File with the text, of any length.")] = None,
    passages: Annotated[Path | None, typer.Option(help="Many texts: one a line, .jsonl or plain text.")] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Number of answers.")] = 1,
    impossible: Annotated[bool, typer.Option(help="Allow no answer.")] = False,
    device: Device = None,
    dtype: Dtype = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Answer a question from a text, or from many passages, with a saved reader.

    A line of a .jsonl file is a string, or an object with the text under "passage", "context" or "text"; blank lines
    are skipped. Positions count characters from 0, lines from 1.
    """
    if (context is not None) + (file is not None) + (passages is not None) != 1:
        raise ValueError("Give exactly one of --context, --file and --passages.")
    kind = saved_kind(model, READER)
    lines: list[tuple[int, str]] = []
    if passages is None:
        texts: dict[str, Any] = {"context": read_text(file) if file is not None else context}
    else:
        from ..inference.extraction import readable

        lines = readable(read_lines(passages, ("passage", "context", "text")))
        texts = {"passages": [text for _, text in lines]}
    reader = kind.load(model, device, dtype)
    result = reader(question=question, **texts, top_k=top_k, handle_impossible_answer=impossible)
    answers = result if isinstance(result, list) else [result]
    for answer in answers if passages is not None else []:
        answer["line"] = None if answer["passage"] is None else lines[answer["passage"]][0]
    if as_json:
        typer.echo(json.dumps(answers, ensure_ascii=False))
        return
    for answer in answers:
        place = f"line {answer['line']}, " if answer.get("line") else ""
        place = f"{place}characters {answer['start']} to {answer['end']}" if answer["answer"] else ""
        text = " ".join(answer["answer"].split()) or "(no answer)"  # on one line
        typer.echo(f"{answer['score']:.4f}  {text}  {place}".rstrip())


def extract(
    model: Annotated[str, typer.Option(help=MODEL_HELP.format("a model for triples"))],
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="Text to extract from.")] = None,
    file: Annotated[Path | None, typer.Option("--input", help="File with the text, of any length.")] = None,
    lines: Annotated[bool, typer.Option(help="Every line of the file is a text; always so in a .jsonl file.")] = False,
    predicate: Annotated[list[str] | None, typer.Option(help="Only this predicate; may be repeated.")] = None,
    occurrences: Annotated[
        str, typer.Option(help="found, best (one for equal mentions) or all occurrences.")
    ] = "found",
    output: Annotated[str, typer.Option(help="table, json or html.")] = "table",
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Extract subject, predicate and object from a text, or from the lines of a file, with a saved model.

    A line of a .jsonl file is a string, or an object with the text under "text". Positions count characters from 0,
    lines from 1. As json one text gives a list; lines give one object per line, streamed, so files may be of any
    length. For a page, which is held in memory, use `--output html > page.html`.
    """
    if (text is None) == (file is None) or (lines and file is None):
        raise ValueError("Give either TEXT or --input; --lines needs --input.")
    if output not in ("table", "json", "html"):
        raise ValueError(f"--output must be table, json or html, got {output!r}.")
    kind = saved_kind(model, TRIPLES)
    settings: dict[str, Any] = {"predicates": predicate, "occurrences": occurrences}
    if file is not None and (lines or file.suffix == ".jsonl"):
        if file.is_file():  # check all lines before extracting; a pipe can be read only once
            for _ in read_lines(file, ("text",)):
                pass
        from tqdm.auto import tqdm

        from ..inference.extraction import extract_each

        pipeline = kind.load(model, device, dtype)
        results = tqdm(extract_each(pipeline, read_lines(file, ("text",)), **settings), unit=" lines", disable=None)
        if output == "html":
            texts, lists = zip(*((one, triples) for _, one, triples in results))
            typer.echo(pipeline.to_html(texts, lists), nl=False)
            return
        for number, one, triples in results:
            if output == "json":
                typer.echo(json.dumps({"line": number, "text": one, "triples": triples}, ensure_ascii=False))
            else:
                _echo_table(triples, f"line {number}, ")
        return
    full_text = str(text) if file is None else read_text(file)
    pipeline = kind.load(model, device, dtype)
    triples = pipeline(full_text, **settings)
    if output == "html":
        typer.echo(pipeline.to_html(full_text, triples), nl=False)
    elif output == "json":
        typer.echo(json.dumps(triples, ensure_ascii=False))
    else:
        _echo_table(triples, "")


def _echo_table(triples: list[dict[str, Any]], place: str) -> None:
    for triple in triples:
        typer.echo(triple_line(triple, place))
    if not triples:
        typer.echo(f"{place}no triples")

"""`hf-kexue ask` and `hf-kexue extract`: answers and triples from texts, with saved DGCNN models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..inference.kinds import READER, TRIPLES
from ..inference.saved_models import saved_kind
from ..inference.triple_constraints import named_constraints
from .corpus import Formats, PartRows, Shard, Split, To, Workers, run
from .files import read_lines, read_text, triple_line
from .options import MODEL_HELP, Constraints, Device, Dtype


def ask(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help=MODEL_HELP.format("a reader, e.g. model_cards/dgcnn-qa-zh"))
    ],
    question: Annotated[str | None, typer.Option(help="The question.")] = None,
    context: Annotated[str | None, typer.Option(help="Text to search for the answer.")] = None,
    file: Annotated[Path | None, typer.Option(help="File with the text, of any length.")] = None,
    passages: Annotated[Path | None, typer.Option(help="Many texts: one a line, .jsonl or plain text.")] = None,
    index: Annotated[Path | None, typer.Option(help="Collection of passages, made by `hf-kexue index`.")] = None,
    questions: Annotated[
        str | None, typer.Option(help="Many questions: .txt, .jsonl, .csv, .parquet, a folder or Hub id; with --to.")
    ] = None,
    to: To = None,
    formats: Formats = None,
    split: Split = "validation",
    shard: Shard = "1/1",
    workers: Workers = 1,
    part_rows: PartRows = 1024,
    read: Annotated[int, typer.Option(min=1, help="Passages of --index to read for a question.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows that run together.")] = 16,
    top_k: Annotated[int, typer.Option(min=1, help="Number of answers.")] = 1,
    impossible: Annotated[bool, typer.Option(help="Allow no answer.")] = False,
    device: Device = None,
    dtype: Dtype = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Answer a question, or a file of them, from a text, from many passages or from a collection.

    A line of a .jsonl file of passages is a string, or an object with the text under "passage", "context" or "text";
    blank lines are skipped. Positions count characters from 0, lines from 1.

    With --questions and --to answers are written part by part; each row has "question", and "context" or "passages"
    unless --context, --file or --index serve them all. Killed and started again, the run goes on.
    """
    if (question is None) == (questions is None):
        raise ValueError("Give either --question or --questions.")
    if (questions is None) != (to is None):
        raise ValueError("--questions and --to belong together.")
    given = (context is not None) + (file is not None) + (passages is not None) + (index is not None)
    if given > 1 or (questions is None and not given):
        raise ValueError("Give exactly one of --context, --file and --passages, or --index.")
    kind = saved_kind(model, READER)
    settings: dict[str, Any] = {"top_k": top_k, "handle_impossible_answer": impossible, "batch_size": batch_size}
    settings |= {} if index is None else {"read": read}
    if questions is not None and to is not None:
        if passages is not None:
            raise ValueError("--passages are for one question: make a collection of them with `hf-kexue index`.")
        from ..inference.corpus_tasks import AskTask
        from ..inference.precision import chosen_dtype

        text = context if file is None else read_text(file)
        task = AskTask(
            model, device, chosen_dtype(dtype, device), text, None if index is None else str(index), settings
        )
        run(task, questions, to, formats, shard, split=split, workers=workers, part_rows=part_rows)
        return
    question = str(question)
    places: list[str] = []
    if index is not None:
        from ..collections import PassageCollection

        collection = PassageCollection.load(index)
        answers = collection.ask(kind.load(model, device, dtype), question, **settings)
        places = ["" if a["passage"] is None else f"passage {a['passage']}, " for a in answers]
    else:
        lines: list[tuple[int, str]] = []
        if passages is None:
            texts: dict[str, Any] = {"context": read_text(file) if file is not None else context}
        else:
            from ..inference.extraction import readable

            lines = readable(read_lines(passages, ("passage", "context", "text")))
            texts = {"passages": [text for _, text in lines]}
        result = kind.load(model, device, dtype)(question=question, **texts, **settings)
        answers = result if isinstance(result, list) else [result]
        for answer in answers if passages is not None else []:
            answer["line"] = None if answer["passage"] is None else lines[answer["passage"]][0]
        places = [f"line {answer['line']}, " if answer.get("line") else "" for answer in answers]
    if as_json:
        typer.echo(json.dumps(answers, ensure_ascii=False))
        return
    for answer, place in zip(answers, places):
        place = f"{place}characters {answer['start']} to {answer['end']}" if answer["answer"] else ""
        text = " ".join(answer["answer"].split()) or "(no answer)"  # on one line
        typer.echo(f"{answer['score']:.4f}  {text}  {place}".rstrip())


def extract(
    model: Annotated[str, typer.Option(help=MODEL_HELP.format("a model for triples"))],
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="Text to extract from.")] = None,
    file: Annotated[
        Path | None,
        typer.Option("--input", help="File with the text, of any length; with --to also a folder or Hub id."),
    ] = None,
    lines: Annotated[bool, typer.Option(help="Every line of the file is a text; always so in a .jsonl file.")] = False,
    predicate: Annotated[list[str] | None, typer.Option(help="Only this predicate; may be repeated.")] = None,
    occurrences: Annotated[
        str, typer.Option(help="found, best (one for equal mentions) or all occurrences.")
    ] = "found",
    constraints: Constraints = None,
    output: Annotated[str, typer.Option(help="table, json or html.")] = "table",
    to: To = None,
    formats: Formats = None,
    column: Annotated[str, typer.Option(help="Column of the text, with --to.")] = "text",
    split: Split = "train",
    shard: Shard = "1/1",
    workers: Workers = 1,
    part_rows: PartRows = 1024,
    batch_size: Annotated[int, typer.Option(min=1, help="Pieces of texts that run together.")] = 16,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Extract subject, predicate and object from a text, or from the lines of a file, with a saved model.

    A line of a .jsonl file is a string, or an object with the text under "text". Positions count characters from 0,
    lines from 1. As json one text gives a list; lines give one object per line, streamed, so files may be of any
    length. For a page, which is held in memory, use `--output html > page.html`.

    Triples keep to the constraints of the model's schema, such as whole dates. `--constraints none` leaves them as the
    network found them, `--constraints edges --constraints formats` applies these two.

    With --to a corpus is read row by row (.txt, .jsonl, .csv, .tsv, .parquet, .gz of them, a folder, a Hub id) and
    the triples are written part by part. Killed and started again, the run goes on; rows that cannot be read are set
    aside with their reason.
    """
    if (text is None) == (file is None) or (lines and file is None):
        raise ValueError("Give either TEXT or --input; --lines needs --input.")
    if output not in ("table", "json", "html"):
        raise ValueError(f"--output must be table, json or html, got {output!r}.")
    kind = saved_kind(model, TRIPLES)
    settings: dict[str, Any] = {"predicates": predicate, "occurrences": occurrences, "batch_size": batch_size}
    if constraints:
        settings["constraints"] = named_constraints(constraints)
    if to is not None:
        if file is None:
            raise ValueError("--to needs --input.")
        from ..inference.corpus_tasks import ExtractTask
        from ..inference.precision import chosen_dtype

        task = ExtractTask(model, device, chosen_dtype(dtype, device), column, settings)
        run(task, str(file), to, formats, shard, split=split, workers=workers, part_rows=part_rows)
        return
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

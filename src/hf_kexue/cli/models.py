"""`hf-kexue evaluate` and `hf-kexue info`: scores and size of a saved model of any kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..inference.kinds import named
from ..inference.saved_models import saved_kind
from .options import MODEL_HELP, Device, Dtype, with_options_of_kinds

MODEL = MODEL_HELP.format("a saved model of any kind")


@with_options_of_kinds(lambda kind: [*kind.data_options, *kind.evaluate_options])
def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="File or folder of questions, triples or images; or a Hub id.")
    ],
    split: Annotated[str, typer.Option(help="Of a folder or Hub id.")] = "validation",
    device: Device = None,
    dtype: Dtype = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; for triples with scores by predicate.")] = False,
    **options: Any,
) -> None:
    """Score a saved model on held-out data.

    Readers by the scorers of CMRC 2018 (questions in SQuAD form), SogouQA or WebQA (many passages), models for
    triples by that of DuIE 1.0, image pipelines by the kernel distance to photographs, KID-EffLite0.
    """
    kind = saved_kind(model)
    scores = {"model": model, "data": data, "split": split}
    scores |= kind.evaluate(model, data, split, device, dtype, **options)
    if as_json:
        typer.echo(json.dumps(scores, ensure_ascii=False))
        return
    for key, value in scores.items():
        if not isinstance(value, dict):  # the table of predicates
            typer.echo(f"{key:15} {value:.4f}" if isinstance(value, float) else f"{key:15} {value}")


def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)],
    device: Device = None,
    dtype: Dtype = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Parameters of a saved model, and the FLOPs of a forward pass, counted while it runs."""
    kind = saved_kind(model)
    facts = {"model": Path(model).name, **named(kind.facts)(kind.load(model, device, dtype))}
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    about = [facts["class"]]
    if "sample_size" in facts:
        about += [f"{facts['sample_size']} x {facts['sample_size']} pixels", f"{facts['classes'] or 'no'} classes"]
    if "predicates" in facts:
        about.append(f"{facts['predicates']} predicates")
    parameters = f"{facts['parameters'] / 1e6:.2f}M parameters"
    if "parameters_without_embeddings" in facts:
        parameters += f", {facts['parameters_without_embeddings'] / 1e6:.2f}M without embeddings"
    typer.echo(f"{facts['model']}: {', '.join(about)}\n{parameters}")
    typer.echo(f"{facts['flops'] / 1e9:.3f} GFLOPs for {facts['flops_of']}")

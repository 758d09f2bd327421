"""`hf-kexue evaluate` and `hf-kexue info`: figures of a saved model of any kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..inference.saved_models import IMAGES, saved_class
from .files import MODEL_HELP

OPTIONS = {
    "SimpleDiffusionPipeline": ("images", "seed", "guidance_scale", "steps", "sampler"),
    "RSGANPipeline": ("images", "seed", "truncation"),
    "DGCNNForQuestionAnswering": ("scorer", "limit", "batch_size"),
    "DGCNNForTripleExtraction": ("limit", "batch_size"),
}
"""What `evaluate` takes with each kind of model."""

MODEL = MODEL_HELP.format("a saved model of any kind")


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="File or folder of questions, triples or images; or a Hub id.")
    ],
    split: Annotated[str, typer.Option(help="Of a folder or Hub id.")] = "validation",
    scorer: Annotated[
        str | None,
        typer.Option(help="Reader: cmrc2018, sogouqa or webqa; default cmrc2018, sogouqa where passages are many."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Texts: only the first so many.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Texts: at once; default 32.")] = None,
    images: Annotated[int | None, typer.Option(min=4, help="Images: how many; default 400.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Images: of the samples; default 0.")] = None,
    guidance_scale: Annotated[
        float | None, typer.Option(help="Simple diffusion: 1 is off; default: as the model was saved.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Simple diffusion: evaluations; default 20.")] = None,
    sampler: Annotated[str | None, typer.Option(help="Simple diffusion: ancestral, ddim or dpm; default dpm.")] = None,
    truncation: Annotated[float | None, typer.Option(help="GAN: above 0, up to 1; default 1.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs; with triples also by predicate.")] = False,
) -> None:
    """Score a saved model on data that it was not trained on.

    Readers by the scorers of CMRC 2018 (questions in SQuAD form), SogouQA or WebQA (many passages), models for
    triples by that of DuIE 1.0, image pipelines by the kernel distance to photographs, KID-EffLite0.
    """
    name = saved_class(model)
    given = {
        "scorer": scorer, "limit": limit, "batch_size": batch_size, "images": images, "seed": seed,
        "guidance_scale": guidance_scale, "steps": steps, "sampler": sampler, "truncation": truncation,
    }  # fmt: skip
    options = {key: value for key, value in given.items() if value is not None}
    wrong = [key for key in options if key not in OPTIONS[name]]
    if wrong:
        allowed = ", ".join(f"--{key.replace('_', '-')}" for key in OPTIONS[name])
        raise ValueError(f"--{wrong[0].replace('_', '-')} does not go with {model}, a {name}; allowed are {allowed}.")
    scores = {"model": model, "data": data, "split": split, **_scores(model, name, data, split, options)}
    if as_json:
        typer.echo(json.dumps(scores, ensure_ascii=False))
        return
    for key, value in scores.items():
        if key != "per_predicate":
            typer.echo(f"{key:15} {value:.4f}" if isinstance(value, float) else f"{key:15} {value}")


def _scores(model: str, name: str, data: str, split: str, options: dict[str, Any]) -> dict[str, Any]:
    from ..data.images import load_images
    from ..data.questions.reading import read_qa
    from ..data.triples.reading import read_triples
    from ..inference.evaluation import evaluate_images, evaluate_reader, evaluate_triples
    from ..inference.saved_models import load_pipeline

    if name in IMAGES:
        source = load_images(data, split=split, label_column="auto")
        if name == "SimpleDiffusionPipeline":
            options = {"steps": 20, "sampler": "dpm", **options}
        return evaluate_images(load_pipeline(model, name), source, **options)
    limit = options.pop("limit", None)
    pipeline: Any
    if name == "DGCNNForQuestionAnswering":
        questions = read_qa(data, split)[:limit]
        pipeline = load_pipeline(model, name)
        return evaluate_reader(pipeline, questions, **options)
    texts = read_triples(data, split)[:limit]
    pipeline = load_pipeline(model, name)
    return evaluate_triples(pipeline, texts, **options)


def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Parameters of a saved model, and the arithmetic of a forward pass, counted while it runs."""
    name = saved_class(model)
    from ..inference.model_facts import model_facts
    from ..inference.saved_models import load_pipeline

    facts = {"model": Path(model).name, **model_facts(load_pipeline(model, name))}
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

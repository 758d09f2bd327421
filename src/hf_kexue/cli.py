"""`hf-kexue`: the package from a terminal. Heavy imports happen inside the commands, so that `--help` answers at
once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .cli_check_data import check_data
from .cli_files import check_model, read_lines, read_text, triple_line

app = typer.Typer(
    name="hf-kexue",
    help="The articles of kexue.fm as Hugging Face models.",
    no_args_is_help=True,
    add_completion=False,
)

app.add_typer(check_data, name="check-data")

ModelFolder = Annotated[
    Path, typer.Argument(help="Folder of a saved pipeline, e.g. model_cards/simple-diffusion-clothing-64.")
]


@app.command()
def generate(
    model: ModelFolder,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write: a grid of the samples.")] = Path(
        "samples.png"
    ),
    classes: Annotated[str, typer.Option(help="Class names, comma-separated; default: every class once.")] = "",
    per_class: Annotated[int, typer.Option(min=1, help="Images of each class (or in all, without classes).")] = 4,
    guidance_scale: Annotated[float, typer.Option(help="1 is off.")] = 2.0,
    steps: Annotated[int, typer.Option(min=1, help="Network evaluations per image.")] = 64,
    sampler: Annotated[str, typer.Option(help="ancestral, ddim or dpm (DPM-Solver++).")] = "ancestral",
    size: Annotated[int | None, typer.Option(help="Pixels; default: the training size.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same pictures.")] = 0,
) -> None:
    """Draw images with a saved simple-diffusion pipeline."""
    import torch

    from .simple_diffusion import SimpleDiffusionPipeline
    from .simple_diffusion.samplers import with_sampler
    from .training_runs import image_grid

    _check_folder(model)
    pipeline, options = with_sampler(SimpleDiffusionPipeline.from_pretrained(model), sampler)
    names = [name.strip() for name in classes.split(",") if name.strip()] or pipeline.class_names
    labels = [name for name in names for _ in range(per_class)] or None
    images = pipeline(
        batch_size=per_class,
        class_labels=labels,
        guidance_scale=guidance_scale if labels else 1.0,
        height=size,
        width=size,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(seed),
        **options,
    ).images
    output.parent.mkdir(parents=True, exist_ok=True)
    image_grid(images, per_class).save(output)
    typer.echo(f"{len(images)} images in {output}" + (f", rows: {', '.join(names)}" if names else ""))


@app.command()
def info(model: ModelFolder, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Parameters and arithmetic of a saved simple-diffusion pipeline."""
    from .simple_diffusion import SimpleDiffusionUViT2DModel
    from .simple_diffusion.complexity import count_flops, count_parameters

    _check_folder(model)
    unet = SimpleDiffusionUViT2DModel.from_pretrained(model, subfolder="unet")
    side = unet.config.sample_size
    facts = {
        "model": model.name,
        "sample_size": side,
        "parameters": count_parameters(unet),
        "flops": count_flops(unet),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{facts['model']}: {side} x {side} pixels, {facts['parameters'] / 1e6:.2f}M parameters, ", nl=False)
    typer.echo(f"{facts['flops'] / 1e9:.2f} GFLOPs per image and network evaluation")


@app.command()
def ask(
    model: Annotated[Path, typer.Argument(metavar="MODEL_FOLDER", help="Saved reader, e.g. model_cards/dgcnn-qa-zh.")],
    question: Annotated[str, typer.Option(help="What to ask.")],
    context: Annotated[str | None, typer.Option(help="Text that may answer it.")] = None,
    file: Annotated[Path | None, typer.Option(help="The text in a file, of any length.")] = None,
    passages: Annotated[Path | None, typer.Option(help="Many texts: one a line, .jsonl or plain text.")] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Answers.")] = 1,
    impossible: Annotated[bool, typer.Option(help="Allow the answer that there is none.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Answer a question from a text, or from many passages, with a saved reader.

    A line of a .jsonl file is a string, or an object with the text under "passage", "context" or "text". Positions
    count characters from 0, lines from 1.
    """
    if (context is not None) + (file is not None) + (passages is not None) != 1:
        raise ValueError("Give the text in one of --context, --file and --passages.")
    check_model(model, "DGCNNForQuestionAnswering", "reader")
    lines = [] if passages is None else read_lines(passages, ("passage", "context", "text"))
    from .dgcnn import DGCNNForQuestionAnswering, DGCNNTokenizer, ReadingComprehensionPipeline

    reader = ReadingComprehensionPipeline(
        model=DGCNNForQuestionAnswering.from_pretrained(model), tokenizer=DGCNNTokenizer.from_pretrained(model)
    )
    if passages is None:
        texts: dict[str, Any] = {"context": read_text(file) if file is not None else context}
    else:
        texts = {"passages": [text for _, text in lines]}
    found = reader(question=question, **texts, top_k=top_k, handle_impossible_answer=impossible)
    answers = found if isinstance(found, list) else [found]
    for answer in answers if passages is not None else []:
        answer["line"] = None if answer["passage"] is None else lines[answer["passage"]][0]
    if as_json:
        typer.echo(json.dumps(answers, ensure_ascii=False))
        return
    for answer in answers:
        place = f"line {answer['line']}, " if answer.get("line") else ""
        place = f"{place}characters {answer['start']} to {answer['end']}" if answer["answer"] else ""
        text = " ".join(answer["answer"].split()) or "(no answer)"  # one line each
        typer.echo(f"{answer['score']:.4f}  {text}  {place}".rstrip())


@app.command()
def extract(
    model: Annotated[Path, typer.Option(help="Folder of a saved model for triples.")],
    text: Annotated[str | None, typer.Argument(help="Text to read.")] = None,
    file: Annotated[Path | None, typer.Option("--input", help="The text in a file, of any length.")] = None,
    lines: Annotated[bool, typer.Option(help="Every line of the file is a text; always so in a .jsonl file.")] = False,
    predicate: Annotated[list[str] | None, typer.Option(help="Look for this one only; may be repeated.")] = None,
    occurrences: Annotated[str, typer.Option(help="found, best (one for equal words) or all places.")] = "found",
    output: Annotated[str, typer.Option(help="table, json or html.")] = "table",
) -> None:
    """Extract subject, predicate and object from a text, or from the lines of a file, with a saved model.

    A line of a .jsonl file is a string, or an object with the text under "text". Positions count characters from 0,
    lines from 1. As json one text gives a list, lines give an object each, on a line of its own. A page is written
    with `--output html > page.html`.
    """
    if (text is None) == (file is None) or (lines and file is None):
        raise ValueError("Give the text as an argument, or a file in --input; --lines is for a file.")
    if output not in ("table", "json", "html"):
        raise ValueError(f"--output must be table, json or html, got {output!r}.")
    check_model(model, "DGCNNForTripleExtraction", "model for triples")
    of_lines = file is not None and (lines or file.suffix == ".jsonl")
    if file is None:
        texts = [(1, str(text))]
    else:
        texts = read_lines(file, ("text",)) if of_lines else [(1, read_text(file))]
    from .dgcnn import DGCNNForTripleExtraction, DGCNNTokenizer, TripleExtractionPipeline

    pipeline = TripleExtractionPipeline(
        model=DGCNNForTripleExtraction.from_pretrained(model), tokenizer=DGCNNTokenizer.from_pretrained(model)
    )
    found = pipeline([one for _, one in texts], predicates=predicate, occurrences=occurrences)
    if output == "html":
        typer.echo(pipeline.to_html([one for _, one in texts], found), nl=False)
    for (number, one), triples in zip(texts, found):
        if output == "json":
            whole = {"line": number, "text": one, "triples": triples} if of_lines else triples
            typer.echo(json.dumps(whole, ensure_ascii=False))
        elif output == "table":
            place = f"line {number}, " if of_lines else ""
            for triple in triples:
                typer.echo(triple_line(triple, place))
            if not triples:
                typer.echo(f"{place}no triples")


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder of the page.")] = Path("demo"),
    repository: Annotated[Path, typer.Option(help="Checkout of hf_kexue.")] = Path("."),
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps of the short training.")] = 150,
) -> None:
    """Sample from the published model, train a little one, sample from it, and show all of it on one page."""
    from .demo import run_demo

    page = run_demo(repository.resolve(), output, steps)
    typer.echo(f"Open {page} in a browser.")


def _check_folder(model: Path) -> None:
    if not (model / "model_index.json").is_file():
        raise ValueError(f"{model} is not the folder of a saved pipeline: it has no model_index.json.")


def main() -> None:
    """Entry point: a user's mistake ends in one sentence and exit code 2, not in a traceback."""
    try:
        app()
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

"""`hf-kexue`: the package from a terminal. Heavy imports happen inside the commands, so that `--help` answers at
once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="hf-kexue",
    help="The articles of kexue.fm as Hugging Face models.",
    no_args_is_help=True,
    add_completion=False,
)

check_data = typer.Typer(help="What is wrong with data, before a training on them.", no_args_is_help=True)
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
    _check_reader(model)
    lines = [] if passages is None else _read_passages(passages)
    from .dgcnn import DGCNNForQuestionAnswering, DGCNNTokenizer, ReadingComprehensionPipeline

    reader = ReadingComprehensionPipeline(
        model=DGCNNForQuestionAnswering.from_pretrained(model), tokenizer=DGCNNTokenizer.from_pretrained(model)
    )
    if passages is None:
        texts: dict[str, Any] = {"context": _read_text(file) if file is not None else context}
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
def demo(
    output: Annotated[Path, typer.Option(help="Folder of the page.")] = Path("demo"),
    repository: Annotated[Path, typer.Option(help="Checkout of hf_kexue.")] = Path("."),
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps of the short training.")] = 150,
) -> None:
    """Sample from the published model, train a little one, sample from it, and show all of it on one page."""
    from .demo import run_demo

    page = run_demo(repository.resolve(), output, steps)
    typer.echo(f"Open {page} in a browser.")


@check_data.command()
def qa(
    source: Annotated[str, typer.Argument(metavar="FILE_OR_FOLDER", help=".json, .jsonl, .gz of them; or a Hub id.")],
    split: Annotated[str, typer.Option(help="Of a folder or Hub id.")] = "train",
    tokenizer: Annotated[Path | None, typer.Option(help="Saved tokenizer; default: count characters.")] = None,
    max_length: Annotated[int, typer.Option(help="Tokens of a window, question and all.")] = 512,
    stride: Annotated[int, typer.Option(help="Tokens that neighbouring windows share.")] = 128,
    max_answer_len: Annotated[float, typer.Option(help="Longest answer; ASCII letters and digits are 0.5.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Count answers that are not in their passage, too long or cut by the window, and questions that are broken.

    Ends with 0 if the data are usable; with 1 if a record is broken, a question or passage empty, an answer not at
    its offset, or if more than 5 % of the questions with answers have none that can be learned; with 2 if there is
    nothing to check.
    """
    from .data.check_reading_comprehension import check_qa
    from .data.reading_comprehension import scan_qa

    examples, broken = scan_qa(source, split)
    report = check_qa(examples, _load_tokenizer(tokenizer), max_length, stride, max_answer_len, broken)
    typer.echo(json.dumps(report.to_dict(), ensure_ascii=False) if as_json else str(report))
    for sentence in broken[:20]:
        typer.echo(sentence, err=True)
    if len(broken) > 20:
        typer.echo(f"... and {len(broken) - 20} more.", err=True)
    if not report.usable:
        raise typer.Exit(1)


def _load_tokenizer(folder: Path | None) -> Any:
    """What cuts a text into tokens, of whatever class: word ids and features of a family do not matter here."""
    if folder is None:
        return None
    if not (folder / "tokenizer.json").is_file():
        raise ValueError(f"{folder} is not the folder of a saved tokenizer: it has no tokenizer.json.")
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))


def _check_reader(model: Path) -> None:
    config = model / "config.json"
    if not config.is_file():
        raise ValueError(f"{model} is not the folder of a saved reader: it has no config.json.")
    names = json.loads(_read_text(config)).get("architectures")
    if names != ["DGCNNForQuestionAnswering"]:
        raise ValueError(f"{model} holds {', '.join(names or ['no model'])}, not a DGCNNForQuestionAnswering.")


def _read_text(path: Path) -> str:
    """As it stands in the file, so that positions are those of the file."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: byte {error.start} cannot be read.") from error


def _read_passages(path: Path) -> list[tuple[int, str]]:
    """The texts of a file of one a line, with the numbers of their lines; blank lines are left out."""
    passages = []
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        text: Any = line.removesuffix("\r")
        if not text.strip():
            continue
        if path.suffix == ".jsonl":
            try:
                text = json.loads(text)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path.name}, line {number}: broken JSON, {error}.") from error
            if isinstance(text, dict):
                text = next((text[key] for key in ("passage", "context", "text") if key in text), None)
            if not isinstance(text, str):
                raise ValueError(f"{path.name}, line {number}: neither a string nor an object with a passage.")
        passages.append((number, text))
    if not passages:
        raise ValueError(f"{path} holds no passage.")
    return passages


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

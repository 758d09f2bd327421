"""`hf-kexue`: the package from a terminal. Heavy imports happen inside the commands, so that `--help` answers at
once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="hf-kexue",
    help="The articles of kexue.fm as Hugging Face models.",
    no_args_is_help=True,
    add_completion=False,
)

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

"""`hf-kexue generate`: pictures from a saved pipeline of either image family."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..inference.saved_models import IMAGES, saved_class
from .files import MODEL_HELP

DEFAULTS: dict[str, dict[str, Any]] = {
    "SimpleDiffusionPipeline": {"guidance_scale": None, "steps": 64, "sampler": "ancestral", "size": None},
    "RSGANPipeline": {"truncation": None, "to_seed": None},
}
"""What each kind of pipeline takes beside the options of both."""


def generate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help=MODEL_HELP.format("a pipeline, e.g. model_cards/rsgan-clothing-64"))
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write: a grid of the samples.")] = Path(
        "samples.png"
    ),
    classes: Annotated[str, typer.Option(help="Class names, comma-separated; default: every class once.")] = "",
    per_class: Annotated[int, typer.Option(min=1, help="Images of each class (or in all, without classes).")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same pictures.")] = 0,
    guidance_scale: Annotated[
        float | None, typer.Option(help="Simple diffusion: 1 is off; default: as the model was saved.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Simple diffusion: network evaluations per image; default 64.")
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(help="Simple diffusion: ancestral, ddim or dpm (DPM-Solver++); default ancestral."),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Simple diffusion: pixels; default: the training size.")] = None,
    truncation: Annotated[
        float | None, typer.Option(help="GAN: above 0, up to 1; less is more typical and less varied; default 1.")
    ] = None,
    to_seed: Annotated[
        int | None, typer.Option(min=0, help="GAN: each row is the way from the image of --seed to that of this one.")
    ] = None,
) -> None:
    """Draw images with a saved pipeline, of simple diffusion or of a GAN."""
    name = saved_class(model, *IMAGES)
    given = {
        "guidance_scale": guidance_scale, "steps": steps, "sampler": sampler, "size": size,
        "truncation": truncation, "to_seed": to_seed,
    }  # fmt: skip
    options = _options(model, name, given)
    import torch

    from ..inference.drawing import class_rows, draw_by_diffusion, draw_by_gan, draw_way
    from ..inference.grids import image_grid
    from ..inference.saved_models import load_pipeline

    pipeline = load_pipeline(model, name)
    rows = class_rows(pipeline, [part.strip() for part in classes.split(",") if part.strip()])
    labels = [row for row in rows for _ in range(per_class)]
    generator = torch.Generator().manual_seed(seed)
    if name == "SimpleDiffusionPipeline":
        images = draw_by_diffusion(pipeline, labels, generator=generator, **options)
    elif options["to_seed"] is None:
        images = draw_by_gan(pipeline, labels, truncation=options["truncation"], generator=generator)
    else:
        ends = (seed, options["to_seed"])
        images = [one for row in rows for one in draw_way(pipeline, row, ends, per_class, options["truncation"])]
    output.parent.mkdir(parents=True, exist_ok=True)
    image_grid(images, per_class).save(output)
    shown = "" if rows == [None] else f", rows: {', '.join(map(str, rows))}"
    typer.echo(f"{len(images)} images in {output}{shown}")


def _options(model: str, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Those of this kind of pipeline.

    Raises:
        ValueError: for one that was given and belongs to another kind.
    """
    known = DEFAULTS[name]
    for key, value in given.items():
        if value is not None and key not in known:
            allowed = ", ".join(_spelled(key) for key in known)
            raise ValueError(
                f"{_spelled(key)} is not for {IMAGES[name]}, which {model} is; beside the options of both kinds it "
                f"takes {allowed}."
            )
    return {key: default if given[key] is None else given[key] for key, default in known.items()}


def _spelled(name: str) -> str:
    return "--" + name.replace("_", "-")

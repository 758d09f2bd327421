"""`hf-kexue generate`: draw pictures with a saved pipeline of any image family."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..inference.kinds import KINDS, named
from ..inference.saved_models import saved_kind
from .files import check_picture_output
from .options import MODEL_HELP, Device, DrawingDtype, with_options_of_kinds


@with_options_of_kinds(lambda kind: kind.generate_options)
def generate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help=MODEL_HELP.format("a pipeline, e.g. model_cards/rsgan-clothing-64"))
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write: a grid of the samples.")] = Path(
        "samples.png"
    ),
    prompt: Annotated[list[str], typer.Option(help="What to draw, for a model of prompts; may be repeated.")] = [],  # noqa: B006
    classes: Annotated[str, typer.Option(help="Class names, comma-separated; default: every class once.")] = "",
    per_class: Annotated[int, typer.Option(min=1, help="Images of each class or prompt (in all without either).")] = 4,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of the noise.")] = 0,
    device: Device = None,
    dtype: DrawingDtype = None,
    **options: Any,
) -> None:
    """Draw images with a saved pipeline: of prompts, of classes, or of a GAN."""
    kind = saved_kind(model, *(kind for kind in KINDS if kind.draw))
    options = kind.chosen(kind.generate_options, options)
    if prompt and not kind.has_words:
        raise ValueError(f"--prompt is not for {kind.words}: use --classes.")
    if classes and kind.has_words:
        raise ValueError(f"--classes is not for {kind.words}: use --prompt.")
    check_picture_output(output)
    import torch

    from ..inference.drawing import class_rows
    from ..inference.grids import image_grid, save_picture

    pipeline = kind.load(model, device, dtype or kind.drawn_in)
    rows = prompt or class_rows(pipeline, [part.strip() for part in classes.split(",") if part.strip()])
    generator = torch.Generator().manual_seed(seed)
    images = named(str(kind.draw))(pipeline, rows, per_class, generator=generator, **options)
    output.parent.mkdir(parents=True, exist_ok=True)
    save_picture(image_grid(images, per_class), output)
    row_names = "" if rows == [None] else f", rows: {', '.join(map(str, rows))}"
    typer.echo(f"{len(images)} images in {output}{row_names}")

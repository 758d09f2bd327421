"""`hf-kexue edit`: a picture drawn anew in part, further, larger or from its noise, with a saved diffusion model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..inference.kinds import SIMPLE_DIFFUSION, TEXT_TO_IMAGE
from ..inference.saved_models import saved_kind
from .files import check_picture_output
from .options import MODEL_HELP, Device, Dtype

if TYPE_CHECKING:
    from PIL import Image

LARGE = 4  # times the trained size


def edit(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help=MODEL_HELP.format("a diffusion model, e.g. model_cards/simple-diffusion-clothing-64")
        ),
    ],
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="Any file that Pillow reads, of any mode.")],
    mask: Annotated[
        Path | None, typer.Option(help="Picture that is white where to draw, black where to keep.")
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="Draw from the noised picture: 0 keeps it, 1 none of it.")
    ] = None,
    upscale: Annotated[int | None, typer.Option(min=2, help="Draw at so many times the size, such as 2 or 4.")] = None,
    outpaint: Annotated[str | None, typer.Option(metavar="L,T,R,B", help="Pixels to add at each side.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write.")] = Path("edited.png"),
    label: Annotated[str | None, typer.Option("--class", help="Class to draw; default: none.")] = None,
    prompt: Annotated[str | None, typer.Option(help="What to draw, for a model of prompts.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What to move away from, for one of prompts.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Scale the shorter side to so many pixels first.")] = None,
    method: Annotated[
        Literal["replacement", "projection", "gradient"] | None,
        typer.Option(help="How to keep what is known; default: gradient, the slowest and best."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures to draw, in a row.")] = 1,
    guidance_scale: Annotated[float | None, typer.Option(help="1 is off; default: the saved one.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Default: the saved ones, else 64.")] = None,
    sampler: Annotated[str | None, typer.Option(help="As of generate; default: as saved.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of the noise.")] = 0,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Edit a picture with a saved diffusion model: --mask, --outpaint, --upscale or --strength.

    Pixels that the mask or the border keeps come back as they were; the block means of an enlarged picture are its
    pixels. Both hold exactly for pictures of 8 bits, in formats without loss such as .png.
    """
    kind = saved_kind(model, SIMPLE_DIFFUSION, TEXT_TO_IMAGE)
    if kind.has_words and label is not None:
        raise ValueError(f"--class is not for {kind.words}: use --prompt.")
    if not kind.has_words and (prompt is not None or negative_prompt is not None):
        raise ValueError(f"Prompts are not for {kind.words} without a text encoder: use --class.")
    ways = {"--mask": mask, "--outpaint": outpaint, "--upscale": upscale, "--strength": strength}
    chosen = [name for name, value in ways.items() if value is not None]
    if len(chosen) != 1:
        raise ValueError(f"Give one of {', '.join(ways)}; got {', '.join(chosen) or 'none'}.")
    if strength is not None and not 0 <= strength <= 1:
        raise ValueError(f"--strength must lie between 0 and 1, got {strength}.")
    border = None if outpaint is None else _border(outpaint)
    check_picture_output(output)
    opened, opened_mask = _open(picture), None if mask is None else _open(mask)
    import torch

    from ..data.images.pixels import image_to_rgb
    from ..inference.editing import edit_picture, fitted, fitted_mask
    from ..inference.grids import image_grid, save_picture

    pipeline = kind.load(model, device, dtype)
    upright = image_to_rgb(opened)
    given = fitted(upright, pipeline.unet.total_stride, size)
    trained = pipeline.unet.config.sample_size
    if min(given.size) > LARGE * trained:
        typer.echo(
            f"Warning: {picture} has {given.width} x {given.height} pixels and the model was trained on {trained} x "
            f"{trained}; --size {trained} scales it.",
            err=True,
        )
    if opened_mask is not None:
        if opened_mask.size not in (upright.size, given.size):
            typer.echo(f"Warning: {mask} is scaled to the picture.", err=True)
        opened_mask = fitted_mask(opened_mask, given.size, upright.size)
    images = edit_picture(
        pipeline, given, mask=opened_mask, border=border, factor=upscale, strength=strength, method=method,
        label=label, prompt=prompt, negative_prompt=negative_prompt, count=count, guidance_scale=guidance_scale,
        steps=steps, sampler=sampler, generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    output.parent.mkdir(parents=True, exist_ok=True)
    save_picture(image_grid(images, count), output)
    typer.echo(f"{len(images)} of {images[0].width} x {images[0].height} pixels in {output}")


def _border(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+(,\d+){3}", text):
        raise ValueError(f"--outpaint must be four numbers of pixels L,T,R,B such as 16,0,16,0, got {text!r}.")
    return tuple(map(int, text.split(",")))


def _open(path: Path) -> Image.Image:
    """The picture of a file.

    Raises:
        ValueError: for a file that is no picture, or a broken one.
        OSError: if there is none.
    """
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    try:
        image = Image.open(path)
        image.load()
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} is no picture that Pillow can read: {error}.") from error
    return image

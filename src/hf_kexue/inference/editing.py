"""Edit pictures with a saved pipeline of simple diffusion: from a noised picture, behind a mask, around it, larger.

The same pipeline, settings and seed give the same pictures. Used by the command line and the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from ..data.images.pixels import image_to_rgb
from ..simple_diffusion import (
    SimpleDiffusionImageToImagePipeline,
    SimpleDiffusionInpaintPipeline,
    SimpleDiffusionUpscalePipeline,
)
from ..simple_diffusion.pictures_simple_diffusion import check_opaque, with_border
from ..simple_diffusion.samplers import with_sampler

ASPECT_TOLERANCE = 0.02  # of a mask that is scaled to its picture: one pixel of fifty


def edit_picture(
    pipeline: Any,
    picture: Image.Image,
    *,
    mask: Image.Image | None = None,
    border: Sequence[int] | None = None,
    factor: int | None = None,
    strength: float | None = None,
    method: str | None = None,
    label: Any = None,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    count: int = 1,
    guidance_scale: float | None = None,
    steps: int | None = None,
    sampler: str | None = None,
    generator: torch.Generator,
    progress: bool = True,
) -> list[Image.Image]:
    """Edited pictures, in one batch.

    Args:
        pipeline: `SimpleDiffusionPipeline` or `SimpleDiffusionTextToImagePipeline`.
        picture: in RGB, of a size that the network takes.
        mask: white where the picture is drawn anew; of the same size.
        border: pixels to add (left, top, right, bottom).
        factor: the picture is drawn at so many times its size.
        strength: 0 to 1, drawn from the noised picture. Exactly one of these four is given.
        method: of the first three: "replacement", "projection" or "gradient"; None: gradient.
        label: a class, or None.
        prompt, negative_prompt: of a model of prompts: what to draw and what to move away from; None: the empty one.
        count: pictures to draw.
        guidance_scale: 1 is off; None: the saved one. Always off without a class or a prompt.
        steps, sampler: network evaluations, name for `with_sampler`; None: as the pipeline was saved, else 64
            ancestral ones.
        generator: of the noise.
        progress: show a progress bar of the steps.

    Raises:
        ValueError: for none or several ways of editing, or from the pipeline.
    """
    ways = {"mask": mask, "border": border, "factor": factor, "strength": strength}
    chosen = [name for name, value in ways.items() if value is not None]
    if len(chosen) != 1:
        raise ValueError(f"Give one of mask, border, factor and strength; got {', '.join(chosen) or 'none'}.")
    options: dict[str, Any] = {}
    if sampler is not None:
        pipeline, options = with_sampler(pipeline, sampler)
    is_told = label is not None or bool(prompt or negative_prompt)
    options |= {
        "batch_size": count, "class_labels": None if label is None else [label] * count, "prompt": prompt,
        "negative_prompt": negative_prompt, "generator": generator, "num_inference_steps": steps,
        "guidance_scale": guidance_scale if is_told else 1.0,
    }  # fmt: skip
    given = () if method is None else (method,)
    if strength is not None:
        if given:
            raise ValueError("method is for mask, border and factor, not for strength.")
        kind: Any = SimpleDiffusionImageToImagePipeline
        arguments: tuple[Any, ...] = (picture, strength)
    elif factor is not None:
        kind, arguments = SimpleDiffusionUpscalePipeline, (picture, factor, *given)
    else:
        if border is not None:
            picture, mask = with_border(picture, *border)
        kind, arguments = SimpleDiffusionInpaintPipeline, (picture, mask, *given)
    editing = kind.from_pipe(pipeline)
    editing.set_progress_bar_config(disable=not progress)
    images: list[Image.Image] = editing(*arguments, **options).images
    return images


def fitted(picture: Image.Image, stride: int, size: int | None = None) -> Image.Image:
    """A picture of any mode in RGB, scaled if `size` is given.

    Args:
        picture: of any mode; transparent ones lie on white, 16-bit ones are rescaled, phones' ones are rotated.
        stride: pixels of which sides are multiples after scaling.
        size: shorter side in pixels; None: as it is.
    """
    picture = image_to_rgb(picture)
    if size is None:
        return picture
    scale = size / min(picture.size)
    width, height = (max(stride, stride * round(scale * side / stride)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def fitted_mask(mask: Image.Image, size: tuple[int, int], before: tuple[int, int] | None = None) -> Image.Image:
    """A mask of any mode in grey, scaled to a picture of the same proportions.

    Args:
        mask: of any mode.
        size: (width, height) of the picture.
        before: those of the picture before it was scaled, which may have changed its proportions a little; a mask may
            have these, too.

    Raises:
        ValueError: for other proportions, or a mask that is transparent in parts.
    """
    check_opaque(mask)
    grey = image_to_rgb(mask).convert("L")
    if grey.size == size:
        return grey
    shapes = [size, *([] if before is None else [before])]
    if min(abs(math.log(grey.width * high / (grey.height * wide))) for wide, high in shapes) > ASPECT_TOLERANCE:
        raise ValueError(
            f"The mask has {grey.width} x {grey.height} pixels, the picture {shapes[-1][0]} x {shapes[-1][1]}: a mask "
            "of other proportions cannot be laid over it."
        )
    return grey.resize(size, Image.Resampling.NEAREST)

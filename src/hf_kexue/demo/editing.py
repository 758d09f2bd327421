"""The tab for editing: a picture with what a visitor painted over it, and what to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ..inference.editing import edit_picture, fitted

FILL, CONTINUE, ENLARGE, REDRAW = "Fill what is painted", "Continue at both sides", "Enlarge 4 times", "Draw anew"
WAYS = (FILL, CONTINUE, ENLARGE, REDRAW)
LONGEST = 3  # times the shorter side; above it the trained size would be far away


def edit_by_hand(
    pipeline: Any,
    editor: Mapping[str, Any] | None,
    way: str,
    strength: float,
    **drawing: Any,
) -> Image.Image:
    """The picture of a visitor, scaled to the size that the model was trained at, and edited.

    Args:
        pipeline: `SimpleDiffusionPipeline` or `SimpleDiffusionTextToImagePipeline`.
        editor: "background", a picture of Pillow, and "layers", those painted over it, transparent elsewhere.
        way: of `WAYS`.
        strength: of "Draw anew", 0 to 1.
        **drawing: options of `edit_picture`, such as `label` or `prompt`, `steps` and `generator`.

    Raises:
        ValueError: without a picture, without paint where that is needed, or for a picture that is too long.
    """
    background = (editor or {}).get("background")
    if background is None:
        raise ValueError("Choose or drop a picture first.")
    if max(background.size) > LONGEST * min(background.size):
        raise ValueError(f"The picture is too long: at most {LONGEST} times its shorter side, got {background.size}.")
    side, stride = pipeline.unet.config.sample_size, pipeline.unet.total_stride
    picture = fitted(background, stride, side)
    options: dict[str, Any]
    if way == FILL:
        options = {"mask": painted(editor, picture.size)}
    elif way == CONTINUE:
        margin = stride * round(side / 4 / stride)
        options = {"border": (margin, 0, margin, 0)}
    elif way == ENLARGE:
        picture, options = (
            picture.resize((picture.width // 4, picture.height // 4), Image.Resampling.BOX),
            {"factor": 4},
        )
    elif way == REDRAW:
        options = {"strength": strength}
    else:
        raise ValueError(f"The way to edit must be one of {', '.join(WAYS)}; got {way!r}.")
    (edited,) = edit_picture(pipeline, picture, progress=False, **options, **drawing)
    return edited


def painted(editor: Mapping[str, Any] | None, size: tuple[int, int]) -> Image.Image:
    """A mask that is white where any layer is painted, scaled to `size`, so that no stroke is lost.

    Raises:
        ValueError: if nothing is painted.
    """
    layers = [np.asarray(layer.convert("RGBA"))[..., 3] for layer in (editor or {}).get("layers") or []]
    if not any(layer.any() for layer in layers):
        raise ValueError("Paint over the part that is to be filled.")
    covered = Image.fromarray((np.max(layers, axis=0) > 0).astype(np.uint8) * 255)
    return covered.resize(size, Image.Resampling.BOX).point(lambda level: 255 if level > 0 else 0)

"""The GAN in the demonstration: a grid of every class, and an interpolation between two seeds."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from ..inference import kinds
from ..inference.drawing import Labels, class_rows, draw_by_gan, draw_interpolation
from ..inference.grids import class_sheet, image_grid
from ..inference.saved_models import load_pipeline
from .html import Section, picture

GAN = Path("model_cards") / kinds.GAN.published
SEEDS = (0, 1)
STEPS = 12  # pictures of a strip
STRIPS = ("Outwear", "Pants", "T-Shirt")  # classes with a strip; else the first three


def gan(repository: Path, output: Path) -> Section:
    """Grid and interpolation, or a note if the model is not published."""
    title = "A relativistic GAN"
    if not (repository / GAN).is_dir():
        return title, f"{GAN} is not published yet, so there is nothing to show here.", ""
    started = time.perf_counter()
    pipeline = load_pipeline(str(repository / GAN), kinds.GAN)
    rows = class_rows(pipeline)
    generator = torch.Generator().manual_seed(0)
    images = draw_by_gan(pipeline, rows, 4, truncation=0.8, generator=generator)
    class_sheet(images, 4, _names(rows)).save(output / "gan.png")
    shown = [row for row in rows if row in STRIPS] or rows[: len(STRIPS)]
    strips = [image for row in shown for image in draw_interpolation(pipeline, row, SEEDS, STEPS, 0.8)]
    image_grid(strips, STEPS, _names(shown)).save(output / "gan_way.png")
    return (
        title,
        f"One network pass for an image: {len(images) + len(strips)} images, loaded and drawn here in "
        f"{time.perf_counter() - started:.1f} s. Rows: {_list_of(rows)}. Below, the interpolation from seed "
        f"{SEEDS[0]} to seed {SEEDS[1]}: {_list_of(shown)}.",
        picture("gan.png", "samples of each class") + "<p></p>" + picture("gan_way.png", "interpolations"),
    )


def _names(rows: Labels) -> list[str] | None:
    return None if rows == [None] else [str(row) for row in rows]


def _list_of(rows: Labels) -> str:
    return ", ".join(_names(rows) or ["no classes"])

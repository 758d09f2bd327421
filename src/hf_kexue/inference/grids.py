"""Arrange pictures in a grid, with or without row names, and save it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..data.whole_files import write_whole

FONT_SIZE = 12  # pixels
EDGE = 4  # pixels on both sides of a name


def image_grid(images: list[Image.Image], columns: int, names: Sequence[str] | None = None) -> Image.Image:
    """Pictures of one size in rows of `columns`, without gaps.

    Args:
        images: from left to right, then down.
        columns: pictures of a row.
        names: of the rows, written left of them. Pillow's default font has Latin letters only, so other names are
            replaced by the number of the row, from 1.

    Raises:
        ValueError: for no pictures, no columns, or a number of names other than that of rows.
    """
    if not images or columns < 1:
        raise ValueError(f"A grid needs pictures and at least one column, got {len(images)} and {columns}.")
    width, height = images[0].size
    rows = -(-len(images) // columns)
    if names is not None and len(names) != rows:
        raise ValueError(f"A grid needs one name for each of its {rows} rows, got {len(names)}.")
    font = ImageFont.load_default(FONT_SIZE)
    labels = [name if name.isascii() else str(number) for number, name in enumerate(names or [], 1)]
    margin = max((int(font.getlength(name)) + 2 * EDGE + 1 for name in labels), default=0)
    grid = Image.new("RGB", (margin + columns * width, rows * height), "white")
    for index, image in enumerate(images):
        grid.paste(image, (margin + (index % columns) * width, (index // columns) * height))
    for row, name in enumerate(labels):
        place = (margin - EDGE, row * height + height / 2)
        ImageDraw.Draw(grid).text(place, name, fill="black", font=font, anchor="rm")
    return grid


def class_sheet(images: list[Image.Image], per_class: int, names: Sequence[str] | None = None) -> Image.Image:
    """Rows of `per_class` pictures, a class each, in two blocks side by side; `names` as of `image_grid`."""
    rows = -(-len(images) // per_class)
    half = -(-rows // 2)
    blocks = [
        image_grid(
            images[first * per_class : last * per_class], per_class, None if names is None else names[first:last]
        )
        for first, last in ((0, half), (half, rows))
        if first < last
    ]
    sheet = Image.new("RGB", (sum(block.width + 16 for block in blocks) - 16, blocks[0].height), "white")
    left = 0
    for block in blocks:
        sheet.paste(block, (left, 0))
        left += block.width + 16
    return sheet


def save_picture(picture: Image.Image, path: Path) -> None:
    """Save a picture in the format of its suffix; the file is whole, or what was there stays.

    Pillow would cut a JPEG silently where the disk is full: findings/pillow_jpeg_on_a_full_disk_is_no_error.sh.

    Raises:
        OSError: where there is no room for it.
    """
    content = io.BytesIO()
    picture.save(content, Image.registered_extensions()[path.suffix.lower()])
    write_whole(path, content.getvalue())

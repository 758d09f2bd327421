"""Pictures side by side on one sheet."""

from __future__ import annotations

from PIL import Image


def image_grid(images: list[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size in rows of `columns`, without gaps."""
    if not images or columns < 1:
        raise ValueError(f"A grid needs pictures and at least one column, got {len(images)} and {columns}.")
    width, height = images[0].size
    grid = Image.new("RGB", (columns * width, -(-len(images) // columns) * height), "white")
    for index, image in enumerate(images):
        grid.paste(image, ((index % columns) * width, (index // columns) * height))
    return grid


def class_sheet(images: list[Image.Image], per_class: int) -> Image.Image:
    """Rows of `per_class` pictures, a class each, in two blocks side by side."""
    half = -(-len(images) // per_class // 2) * per_class
    blocks = [image_grid(part, per_class) for part in (images[:half], images[half:]) if part]
    sheet = Image.new("RGB", (sum(block.width + 16 for block in blocks) - 16, blocks[0].height), "white")
    for number, block in enumerate(blocks):
        sheet.paste(block, (number * (block.width + 16), 0))
    return sheet

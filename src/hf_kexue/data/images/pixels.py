"""One picture of any mode, depth and shape -> (3, height, width) pixels.

Transparent pictures are drawn on a background colour, photographs are rotated by their EXIF orientation, and grey
pictures of 12, 16 or 32 bits are rescaled to 8 bits.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

TWELVE_BITS, SIXTEEN_BITS = 4095, 65535


Size = int | tuple[int, int]  # side of a square, or (height, width)


def image_to_pixels(image: Image.Image, resolution: Size, background: str = "white") -> Tensor:
    """Scale until both sides cover `resolution` and crop the centre: (3, height, width) uint8.

    Args:
        image: of any mode. 16-bit grey values are taken as 12-bit (microscopes, X-rays) if none exceeds 4095, floats
            as [0, 1] if none exceeds 1.
        resolution: side of the square in pixels, or (height, width).
        background: colour below transparent pixels, as `PIL.ImageColor` knows them: a name or "#rrggbb".

    Raises:
        ValueError: for a colour that Pillow does not know.
    """
    image = image_to_rgb(image, background)
    height, width = sides(resolution)
    if image.size != (width, height):
        scale = max(width / image.width, height / image.height)
        image = image.resize(
            (max(width, round(image.width * scale)), max(height, round(image.height * scale))),
            Image.Resampling.LANCZOS,
        )
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)  # (3, H, W)


def image_to_rgb(image: Image.Image, background: str = "white") -> Image.Image:
    """A picture of any mode in RGB, upright, at its own size; arguments and errors as of `image_to_pixels`."""
    image = ImageOps.exif_transpose(image)  # photographs of phones are stored rotated
    if image.mode.startswith("I") or image.mode == "F":  # Pillow would clip all above 255 to white
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    return image.convert("RGB")


def sides(resolution: Size) -> tuple[int, int]:
    """(height, width)."""
    return (resolution, resolution) if isinstance(resolution, int) else (resolution[0], resolution[1])


def image_to_tensor(image: Image.Image, resolution: Size, flip: bool = False, background: str = "white") -> Tensor:
    """`image_to_pixels` in [-1, 1], mirrored or not: (3, height, width) float32."""
    return normalized(image_to_pixels(image, resolution, background), flip)


def normalized(pixels: Tensor, flip: bool) -> Tensor:
    """(3, H, W) uint8 as float32 in [-1, 1], mirrored or not."""
    return (pixels.flip(-1) if flip else pixels).float() / 127.5 - 1


def _eight_bits(levels: np.ndarray) -> np.ndarray:
    """Grey levels (H, W) of 12, 16 or 32 bits, or floats, as uint8."""
    if levels.dtype.kind == "f":
        levels = np.nan_to_num(levels)
        return (levels * (255 if levels.max() <= 1 else 1)).clip(0, 255).round().astype(np.uint8)
    largest = TWELVE_BITS if levels.max() <= TWELVE_BITS else SIXTEEN_BITS
    return ((levels.clip(0, largest).astype(np.uint64) * 255 + largest // 2) // largest).astype(np.uint8)

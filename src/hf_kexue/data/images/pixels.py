"""One picture of any mode, depth and shape -> (3, resolution, resolution) pixels.

Transparent pictures are drawn on a background colour, photographs are rotated by their EXIF orientation, and grey
pictures of 12, 16 or 32 bits are rescaled to 8 bits.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

TWELVE_BITS, SIXTEEN_BITS = 4095, 65535


def image_to_pixels(image: Image.Image, resolution: int, background: str = "white") -> Tensor:
    """Scale the shorter side to `resolution` and crop the centre: (3, resolution, resolution) uint8.

    Args:
        image: of any mode. 16-bit grey values are taken as 12-bit (microscopes, X-rays) if none exceeds 4095, floats
            as [0, 1] if none exceeds 1.
        resolution: side of the square in pixels.
        background: colour below transparent pixels, as `PIL.ImageColor` knows them: a name or "#rrggbb".

    Raises:
        ValueError: for a colour that Pillow does not know.
    """
    image = ImageOps.exif_transpose(image)  # photographs of phones are stored rotated
    if image.mode.startswith("I") or image.mode == "F":  # Pillow would clip all above 255 to white
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    image = image.convert("RGB")
    if image.size != (resolution, resolution):
        scale = resolution / min(image.size)
        width, height = (max(resolution, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
        left, top = (width - resolution) // 2, (height - resolution) // 2
        image = image.crop((left, top, left + resolution, top + resolution))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)  # (3, H, W)


def image_to_tensor(image: Image.Image, resolution: int, flip: bool = False, background: str = "white") -> Tensor:
    """`image_to_pixels` in [-1, 1], mirrored or not: (3, resolution, resolution) float32."""
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

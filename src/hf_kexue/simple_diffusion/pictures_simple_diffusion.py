"""Pictures and masks that are handed to a pipeline -> tensors, and pictures with a border to paint.

A picture is one of Pillow, an array (H, W), (H, W, C) or (B, H, W, C), or a tensor (H, W), (C, H, W) or
(B, C, H, W); or a list of these. Arrays and tensors are uint8, or floating point in [0, 1].
Shapes: B batch, C channels, H W rows and columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .checks_simple_diffusion import require

PIL_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
Picture = Image.Image | np.ndarray | Tensor
Pictures = Picture | Sequence[Picture]


def picture_tensor(pictures: Pictures, channels: int, stride: int, factor: int = 1) -> Tensor:
    """Pictures of one size as (B, channels, H, W) float32 in [0, 1].

    Args:
        pictures: see above. Colours become grey or the other way round as `channels` asks; transparent ones lie on
            white.
        channels: 1 or 3.
        stride: of the network; it must divide both sides.
        factor: by which they will be enlarged before the network sees them.

    Raises:
        ValueError: for no pictures, different or unfit sizes, values out of range, and modes of more than 8 bits.
        TypeError: for what is no picture.
    """
    found = [_one("image", picture, "L" if channels == 1 else "RGB") for picture in _listed(pictures)]
    require(bool(found), "image is empty; a picture is needed.")
    sizes = {tuple(one.shape[-2:]) for one in found}
    require(len(sizes) == 1, f"The pictures have different sizes, {sorted(size[::-1] for size in sizes)}.")
    batch = torch.cat([_with_channels(one, channels) for one in found])
    height, width = batch.shape[-2:]
    wanted = stride // math.gcd(stride, factor)
    require(
        height % wanted == 0 and width % wanted == 0,
        f"The picture has {width} x {height} pixels; both sides must be multiples of {wanted} for this network.",
    )
    return batch


def mask_tensor(masks: Pictures, size: tuple[int, int]) -> Tensor:
    """Masks as (B, 1, H, W) bool, True where a picture is kept: where the mask is black, or below one half.

    Raises:
        ValueError: for masks of another size than `size`, (H, W), with values out of range, or that do not say plainly
            what to draw: transparent in parts, or of 8 bits with the levels 0 and 1.
    """
    given = _listed(masks)
    for mask in given:
        check_opaque(mask)
    found = [_one("mask_image", mask, "L") for mask in given]
    require(bool(found), "mask_image is empty; a mask is needed.")
    for one in found:
        largest = round(255 * float(one.max()), 3)
        require(largest != 1, "mask_image has the levels 0 and 1 of 255, black both: give bool, or 255 for white.")
        height, width = one.shape[-2:]
        require(
            (height, width) == tuple(size),
            f"mask_image has {width} x {height} pixels, the picture {size[1]} x {size[0]}; they must be equal.",
        )
    return torch.cat([one.mean(1, keepdim=True) for one in found]) < 0.5


def check_opaque(mask: Any) -> None:
    """Refuse a mask of Pillow that is transparent in parts: programs disagree on whether those are to be drawn.

    Raises:
        ValueError: for one.
    """
    if isinstance(mask, Image.Image) and mask.has_transparency_data:
        opaque = mask.convert("RGBA").getchannel("A").getextrema()[0] == 255
        require(opaque, "mask_image is transparent in parts; white says what to draw, black what to keep.")


def with_border(
    picture: Image.Image, left: int = 0, top: int = 0, right: int = 0, bottom: int = 0
) -> tuple[Image.Image, Image.Image]:
    """A picture on a larger ground, and the mask that has the border painted: for out-painting.

    Args:
        picture: of any mode.
        left, top, right, bottom: pixels of the border.

    Returns:
        The picture on grey, and the mask: white at the border, black where the picture lies.

    Raises:
        ValueError: for a border below zero, or none.
    """
    border = (left, top, right, bottom)
    require(min(border) >= 0 and max(border) > 0, f"The border (left, top, right, bottom) is {border}; it must grow.")
    size = (picture.width + left + right, picture.height + top + bottom)
    larger, mask = Image.new("RGB", size, "grey"), Image.new("L", size, 255)
    larger.paste(_opaque(picture), (left, top))
    mask.paste(0, (left, top, left + picture.width, top + picture.height))
    return larger, mask


def _listed(pictures: Any) -> list[Any]:
    return list(pictures) if isinstance(pictures, list | tuple) else [pictures]


def _opaque(picture: Image.Image) -> Image.Image:
    require(
        picture.mode in PIL_MODES,
        f"The picture has the mode {picture.mode}, of more than 8 bits; convert it, or use hf-kexue edit, which does.",
    )
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _one(name: str, picture: Any, mode: str) -> Tensor:
    """(B, C, H, W) float32 in [0, 1]."""
    if isinstance(picture, Image.Image):
        require(min(picture.size) > 0, f"{name} has {picture.width} x {picture.height} pixels.")
        array = np.asarray(_opaque(picture).convert(mode))
        values = torch.from_numpy(array.copy()).reshape(picture.height, picture.width, -1).permute(2, 0, 1)
    elif isinstance(picture, np.ndarray):
        values = torch.from_numpy(picture.copy())
        values = values.unsqueeze(-1) if values.ndim == 2 else values
        values = values.movedim(-1, -3)
    elif isinstance(picture, Tensor):
        values = picture
    else:
        raise TypeError(f"{name} must be a picture of Pillow, an array or a tensor, got {type(picture).__name__}.")
    shape = tuple(values.shape)
    values = values[(None,) * max(0, 4 - values.ndim)]
    fits = len(shape) >= 2 and values.ndim == 4 and values.shape[1] in (1, 3) and values.numel() > 0
    require(fits, f"{name} has shape {shape}; pixels with 1 or 3 channels are needed.")
    if values.dtype == torch.uint8:
        return values.float() / 255
    if not values.is_floating_point():
        values = values.float() if values.dtype == torch.bool else values.double()
    inside = bool(((values >= 0) & (values <= 1)).all())
    require(inside, f"{name} has values outside [0, 1], or that are no numbers; 8-bit levels must be uint8.")
    return values.float()


def _with_channels(values: Tensor, channels: int) -> Tensor:
    if values.shape[1] == channels:
        return values
    if channels == 3:
        return values.expand(-1, 3, -1, -1)
    weights = values.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)  # of Pillow's own conversion to grey
    return (values * weights).sum(1, keepdim=True)

"""The LeGall 5/3 wavelet of JPEG 2000, by lifting: an invertible way to fold an image into channels.

One level along one axis, with x mirrored at both ends:

    detail[n] = x[2n+1] - (x[2n] + x[2n+2]) / 2
    smooth[n] = x[2n]   + (detail[n-1] + detail[n]) / 4

`smooth` is scaled by sqrt(2) and `detail` by 1/sqrt(2): constants keep their energy and white noise stays about white,
as the network expects of a noised image. The inverse undoes the two lifting steps in reverse order, exactly.

Sources: Le Gall and Tabatabai 1988; arXiv 2301.11093, which proposes the 5/3 wavelet as input transform.
Shapes: B batch, C channels, H W rows and columns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _analyse(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    length = x.shape[dim]
    even, odd = (x.index_select(dim, torch.arange(start, length, 2, device=x.device)) for start in (0, 1))
    half = length // 2
    following = torch.cat([even.narrow(dim, 1, half - 1), even.narrow(dim, half - 1, 1)], dim)
    detail = odd - (even + following) / 2
    preceding = torch.cat([detail.narrow(dim, 0, 1), detail.narrow(dim, 0, half - 1)], dim)
    smooth = even + (preceding + detail) / 4
    return smooth * math.sqrt(2), detail / math.sqrt(2)


def _synthesise(smooth: Tensor, detail: Tensor, dim: int) -> Tensor:
    smooth, detail = smooth / math.sqrt(2), detail * math.sqrt(2)
    half = smooth.shape[dim]
    preceding = torch.cat([detail.narrow(dim, 0, 1), detail.narrow(dim, 0, half - 1)], dim)
    even = smooth - (preceding + detail) / 4
    following = torch.cat([even.narrow(dim, 1, half - 1), even.narrow(dim, half - 1, 1)], dim)
    odd = detail + (even + following) / 2
    return torch.stack([even, odd], dim=dim + 1).flatten(dim, dim + 1)


def dwt_forward(x: Tensor, levels: int = 1) -> Tensor:
    """Fold an image into wavelet coefficients, every band split again at each further level.

    Args:
        x (B, C, H, W): H and W are multiples of 2**levels.
        levels: 0 returns x.

    Returns:
        (B, 4**levels * C, H / 2**levels, W / 2**levels); in each level the bands follow each other as smooth-smooth,
        smooth-detail, detail-smooth, detail-detail (rows first).

    Raises:
        ValueError: if H or W is not a multiple of 2**levels.
    """
    if x.shape[-2] % 2**levels or x.shape[-1] % 2**levels:
        raise ValueError(f"{levels} wavelet levels need sides divisible by {2**levels}, got {tuple(x.shape[-2:])}.")
    for _ in range(levels):
        bands = [band for half in _analyse(x, 2) for band in _analyse(half, 3)]
        x = torch.cat(bands, dim=1)
    return x


def dwt_inverse(x: Tensor, levels: int = 1) -> Tensor:
    """Undo `dwt_forward`: (B, 4**levels * C, H, W) -> (B, C, H * 2**levels, W * 2**levels)."""
    for _ in range(levels):
        smooth_smooth, smooth_detail, detail_smooth, detail_detail = x.chunk(4, dim=1)
        smooth = _synthesise(smooth_smooth, smooth_detail, 3)
        detail = _synthesise(detail_smooth, detail_detail, 3)
        x = _synthesise(smooth, detail, 2)
    return x

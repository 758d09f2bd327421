"""Layers of the transformer without convolutions: conditioning on time, positions, the block and the output head.

Source: arXiv 2511.13720 (JiT) for the arrangement; arXiv 2002.05202 (SwiGLU); arXiv 2212.09748 (adaLN-Zero).
Shapes: B batch, L tokens, D hidden_size, F frequencies, H W rows and columns of the token grid.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .kernels_uvit import RMSNorm
from .layers_uvit import LOGSNR_BOUND
from .transformer_uvit import Attention, axial_rotary_angles, zero_init

THETA = 10_000.0  # longest period of positions over 2 pi, in tokens


class FlowTimeEmbedding(nn.Module):
    """Time of the straight path, cosines and sines of it, then a two-layer perceptron: logSNR (B,) -> (B, D).

        z = t x_0 + (1 - t) s noise,    logsnr = 2 log(t / ((1 - t) s)),    t = sigmoid(logsnr / 2 + log s)

    t counts the share of the image, 0 at noise and 1 at the image, and s is the deviation of the noise.
    """

    def __init__(self, embedding_dim: int, noise_scale: float, num_frequencies: int = 128) -> None:
        super().__init__()
        self.num_frequencies, self.noise_scale = num_frequencies, noise_scale
        self.linear_1 = nn.Linear(2 * num_frequencies, embedding_dim)
        self.linear_2 = nn.Linear(embedding_dim, embedding_dim)

    def time(self, logsnr: Tensor) -> Tensor:
        """t (B,), float32; logSNR is clamped to +-30."""
        logsnr = logsnr.float().clamp(-LOGSNR_BOUND, LOGSNR_BOUND)
        return torch.sigmoid(logsnr / 2 + math.log(self.noise_scale))

    def scaled(self, x_vp: Tensor, logsnr: Tensor) -> Tensor:
        """z from x_vp = alpha x_0 + sigma noise at equal logSNR: x_vp sqrt(t**2 + (1 - t)**2 s**2)."""
        t = self.time(logsnr)
        scale = torch.sqrt(t**2 + ((1 - t) * self.noise_scale) ** 2)
        return x_vp * scale.to(x_vp.dtype)[:, None, None, None]

    def forward(self, logsnr: Tensor, dtype: torch.dtype) -> Tensor:
        places = torch.arange(self.num_frequencies, device=logsnr.device) / self.num_frequencies
        angles = self.time(logsnr)[:, None] * torch.exp(-math.log(10_000.0) * places)  # (B, F)
        features = torch.cat([angles.cos(), angles.sin()], dim=-1)  # (B, 2F)
        return self.linear_2(F.silu(self.linear_1(features.to(dtype))))


def sincos_positions(height: int, width: int, dim: int, base_tokens: float, device: torch.device) -> Tensor:
    """Fixed positions (H*W, dim), added to tokens: sines and cosines of the column, then of the row."""
    angles = axial_rotary_angles(height, width, dim, base_tokens, device, THETA, centred=False)  # (H*W, dim / 2)
    by_row, by_column = angles.chunk(2, dim=-1)
    return torch.cat([by_column.sin(), by_column.cos(), by_row.sin(), by_row.cos()], dim=-1)


class PatchEmbedding(nn.Module):
    """Pixels of a patch through a bottleneck: (B, L, pixels) -> (B, L, D)."""

    def __init__(self, pixels: int, bottleneck_dim: int, hidden_size: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(pixels, bottleneck_dim, bias=False)
        self.linear_2 = nn.Linear(bottleneck_dim, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(self.linear_1(x))


class SwiGLU(nn.Module):
    """W_3 (silu(W_1 x) * W_2 x); two thirds as wide as an MLP with as many weights."""

    def __init__(self, hidden_size: int, mlp_ratio: float, dropout: float) -> None:
        super().__init__()
        inner_dim = swiglu_dim(hidden_size, mlp_ratio)
        self.linear_1 = nn.Linear(hidden_size, 2 * inner_dim)
        self.linear_2 = nn.Linear(inner_dim, hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.linear_1(x).chunk(2, dim=-1)
        return self.linear_2(self.dropout(F.silu(gate) * value))


def swiglu_dim(hidden_size: int, mlp_ratio: float) -> int:
    """Inner width of `SwiGLU`."""
    return int(int(hidden_size * mlp_ratio) * 2 / 3)


class ViTBlock(nn.Module):
    """Self-attention and SwiGLU; shift, scale and gate of both come from the embedding (adaLN-Zero)."""

    def __init__(self, hidden_size: int, num_heads: int, mlp_ratio: float, dropout: float) -> None:
        super().__init__()
        self.norm1 = RMSNorm(hidden_size, eps=1e-6)
        self.attn = Attention(hidden_size, num_heads, bias=True)
        self.norm2 = RMSNorm(hidden_size, eps=1e-6)
        self.mlp = SwiGLU(hidden_size, mlp_ratio, dropout)
        self.dropout = nn.Dropout(dropout)
        self.modulation = nn.Linear(hidden_size, 6 * hidden_size)
        zero_init(self.modulation)

    def forward(self, x: Tensor, emb: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(emb)[:, None].chunk(6, dim=-1)  # (B, 1, D)
        h = torch.addcmul(shift1, self.norm1(x), 1 + scale1)  # (B, L, D)
        x = x + gate1 * self.dropout(self.attn(h, rotary))
        h = torch.addcmul(shift2, self.norm2(x), 1 + scale2)
        return x + gate2 * self.mlp(h)


class OutputHead(nn.Module):
    """Modulated norm, then pixels of a patch, which start at zero: (B, L, D) -> (B, L, pixels)."""

    def __init__(self, hidden_size: int, pixels: int) -> None:
        super().__init__()
        self.norm = RMSNorm(hidden_size, eps=1e-6)
        self.modulation = nn.Linear(hidden_size, 2 * hidden_size)
        self.linear = nn.Linear(hidden_size, pixels)
        zero_init(self.modulation)
        zero_init(self.linear)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        shift, scale = self.modulation(emb)[:, None].chunk(2, dim=-1)  # (B, 1, D)
        return self.linear(torch.addcmul(shift, self.norm(x), 1 + scale))

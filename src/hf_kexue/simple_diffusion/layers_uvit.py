"""Convolutional levels of the U-ViT, the embedding of logSNR and that of a prompt.

Source: arXiv 2301.11093, the U-ViT.
Shapes: B batch, C channels, H W rows and columns, E embedding width, F frequencies, P width of a
prompt's vector, K waves, m channels of the sketch, L tokens and D width of the transformer.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .kernels_uvit import GroupNorm
from .transformer_uvit import zero_init

LOGSNR_BOUND = 30.0  # nats; beyond it image or noise is below the precision of float32


class LogSNREmbedding(nn.Module):
    """Sines and cosines of logSNR, clamped to +-30, then a two-layer perceptron: (B,) -> (B, E)."""

    def __init__(self, embedding_dim: int, num_frequencies: int = 64) -> None:
        super().__init__()
        self.num_frequencies = num_frequencies
        self.linear_1 = nn.Linear(2 * num_frequencies, embedding_dim)
        self.linear_2 = nn.Linear(embedding_dim, embedding_dim)

    def forward(self, logsnr: Tensor, dtype: torch.dtype) -> Tensor:
        logsnr = logsnr.float().clamp(-LOGSNR_BOUND, LOGSNR_BOUND)  # zero terminal SNR is -inf
        # Periods from far beyond the range of logSNR (about +-20) down to a quarter of a nat. Not a buffer: in bf16
        # its rounding would turn the angles of a large logSNR by a tenth of a radian.
        exponents = torch.linspace(math.log(1 / 40), math.log(4.0), self.num_frequencies, device=logsnr.device)
        angles = logsnr[:, None] * exponents.exp()  # (B, F)
        features = torch.cat([angles.sin(), angles.cos()], dim=-1)  # (B, 2F)
        return self.linear_2(F.silu(self.linear_1(features.to(dtype))))  # weights may be stored in float8


class PooledText(nn.Module):
    """Two doors for the vector of a prompt: into the conditioning vector, (B, P) -> (B, E), and as a sketch on the
    tokens of the transformer, (B, P) -> (B, L, D).

    Modulation alone is the same at every place, and queries of cross-attention are noise where the image still is:
    neither says what belongs where before the first strokes are there. The sketch does: with the cosines
    phi_ab(y, x) = cos(pi a y) cos(pi b x), a and b below K, over the unit square,

        sketch(y, x) = W_out sum_ab phi_ab(y, x) (W_ab text),

    so that a linear map takes the prompt to a coarse picture, on a grid of any size. W_out starts at zero.
    """

    def __init__(self, text_dim: int, embedding_dim: int, hidden_size: int, waves: int = 8) -> None:
        super().__init__()
        self.waves = waves
        self.norm = nn.LayerNorm(text_dim)
        self.linear_1 = nn.Linear(text_dim, embedding_dim)
        self.linear_2 = nn.Linear(embedding_dim, embedding_dim)
        self.to_waves = nn.Linear(text_dim, waves**2 * max(1, hidden_size // 8))
        self.to_out = nn.Linear(max(1, hidden_size // 8), hidden_size)
        zero_init(self.to_out)

    def embed(self, text: Tensor) -> Tensor:
        """(B, P) -> (B, E), to be added to the embedding of logSNR."""
        return self.linear_2(F.silu(self.linear_1(self.norm(text))))

    def sketch(self, text: Tensor, rows: int, columns: int) -> Tensor:
        """(B, P) -> (B, rows * columns, D), to be added to the tokens."""
        waves = self.to_waves(self.norm(text)).unflatten(1, (self.waves, self.waves, -1))  # (B, K, K, m)
        by_row, by_column = (cosines(size, self.waves, waves) for size in (rows, columns))  # (H, K), (W, K)
        grid = torch.einsum("ya,xb,nabm->nyxm", by_row, by_column, waves)
        return self.to_out(grid.flatten(1, 2))


def cosines(size: int, waves: int, like: Tensor) -> Tensor:
    """cos(pi a (i + 1/2) / size) for i < size and a < waves: (size, waves)."""
    precision = torch.promote_types(like.dtype, torch.float32)
    places = (torch.arange(size, device=like.device, dtype=precision) + 0.5) / size
    return (math.pi * places[:, None] * torch.arange(waves, device=like.device)).cos().to(like.dtype)


class ResnetBlock(nn.Module):
    """x + Conv(SiLU(FiLM(Norm(Conv(SiLU(Norm(x))))))), the last convolution starts at zero."""

    def __init__(self, in_channels: int, out_channels: int, embedding_dim: int, norm_groups: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(math.gcd(norm_groups, in_channels), in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.modulation = nn.Linear(embedding_dim, 2 * out_channels)
        self.norm2 = GroupNorm(math.gcd(norm_groups, out_channels), out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        zero_init(self.modulation)
        zero_init(self.conv2)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        scale, shift = self.modulation(emb).chunk(2, dim=1)  # (B, C) each
        h = self.conv1(self.norm1(x))  # with SiLU, as norm2
        return self.shortcut(x) + self.conv2(self.norm2(h, scale, shift))


class Downsample(nn.Module):
    """2x2 convolution of stride 2: (B, C, H, W) -> (B, C', H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Upsample(nn.Module):
    """1x1 convolution and pixel shuffle, the mirror image of `Downsample`: (B, C', H/2, W/2) -> (B, C, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 2)


class DownBlock(nn.Module):
    """One level on the way down: residual blocks, then half the resolution."""

    def __init__(
        self, channels: int, next_channels: int, num_layers: int, embedding_dim: int, norm_groups: int
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            ResnetBlock(channels, channels, embedding_dim, norm_groups) for _ in range(num_layers)
        )
        self.downsampler = Downsample(channels, next_channels)

    def forward(self, x: Tensor, emb: Tensor) -> tuple[Tensor, list[Tensor]]:
        hidden_states = []
        for resnet in self.resnets:
            x = resnet(x, emb)
            hidden_states.append(x)
        return self.downsampler(x), hidden_states


class UpBlock(nn.Module):
    """One level on the way up: double the resolution, then residual blocks over the skips."""

    def __init__(
        self, channels: int, next_channels: int, num_layers: int, embedding_dim: int, norm_groups: int, skip: str
    ) -> None:
        super().__init__()
        self.skip = skip
        self.upsampler = Upsample(next_channels, channels)
        in_channels = 2 * channels if skip == "concat" else channels
        self.resnets = nn.ModuleList(
            ResnetBlock(in_channels, channels, embedding_dim, norm_groups) for _ in range(num_layers)
        )

    def forward(self, x: Tensor, emb: Tensor, hidden_states: list[Tensor], h_after: Tensor) -> Tensor:
        if self.skip == "residual":
            x = self.upsampler(x - h_after) + hidden_states[-1]
        else:
            x = self.upsampler(x)
        for resnet, h_before in zip(self.resnets, reversed(hidden_states)):
            x = resnet(torch.cat([x, h_before], dim=1) if self.skip == "concat" else x, emb)
        return x

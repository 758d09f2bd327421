"""Stages of the two networks of a GAN; each generator stage has its mirror image in the discriminator.

    r3      bilinear x2 -> 1x1 -> residual blocks          mirror: residual blocks -> 2x2 mean -> 1x1
    dcgan   transposed 4x4, stride 2 -> batch norm -> ReLU  mirror: 4x4, stride 2 -> leaky ReLU

A residual block of r3 is an inverted bottleneck without normalisation:

    x + W_out act(G act(W_in x + b) + c),    W_in, W_out 1x1, G 3x3 in groups

Its last convolution starts at zero and the other two are scaled by L^(-1 / (2m - 2)), m = 3 convolutions a block and
L blocks from end to end (fix-up): at the start a network of any depth is its resampling path.

Sources: arXiv 2501.05441 (r3); arXiv 1901.09321 (fix-up); arXiv 1511.06434 (dcgan).
Shapes: B batch, C channels, H W rows and columns.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # a leaky ReLU takes this from the standard deviation of a centred input


def convolution(
    in_channels: int, out_channels: int, size: int, groups: int = 1, gain: float = 1.0, padding: int | None = None
) -> nn.Conv2d:
    """A convolution that multiplies the standard deviation by `gain` (0: it is zero); by default it keeps the size."""
    layer = nn.Conv2d(
        in_channels, out_channels, size, padding=size // 2 if padding is None else padding, groups=groups
    )
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class ResidualBlock(nn.Module):
    """(B, C, H, W) -> (B, C, H, W).

    Args:
        channels: C.
        inner_channels: between the 1x1 convolutions; a multiple of `group_size`.
        group_size: channels of a group of the 3x3 convolution.
        depth: residual blocks from end to end of the network, L of fix-up.
    """

    def __init__(self, channels: int, inner_channels: int, group_size: int, depth: int) -> None:
        super().__init__()
        gain = GAIN * depth**-0.25
        self.conv_in = convolution(channels, inner_channels, 1, gain=gain)
        self.conv_grouped = convolution(inner_channels, inner_channels, 3, inner_channels // group_size, gain)
        self.conv_out = convolution(inner_channels, channels, 1, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.conv_in(x), SLOPE)
        return x + self.conv_out(F.leaky_relu(self.conv_grouped(hidden), SLOPE))


def residual_blocks(channels: int, number: int, expansion: int, group_size: int, depth: int) -> nn.ModuleList:
    """`number` blocks of one size; the rest as `ResidualBlock` takes it."""
    return nn.ModuleList(ResidualBlock(channels, expansion * channels, group_size, depth) for _ in range(number))


class LearnedStart(nn.Module):
    """A learned 4 x 4 map whose channels are multiplied by a linear function of the code: (B, Z) -> (B, C, 4, 4)."""

    def __init__(self, code_width: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, 4, 4))
        self.linear = nn.Linear(code_width, channels)
        nn.init.normal_(self.linear.weight, std=1 / math.sqrt(code_width))
        nn.init.zeros_(self.linear.bias)

    def forward(self, code: Tensor) -> Tensor:
        return self.weight * self.linear(code)[:, :, None, None]


class DenseStart(nn.Module):
    """Linear, batch normalisation, ReLU: (B, Z) -> (B, C, 4, 4)."""

    def __init__(self, code_width: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(code_width, 16 * channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, code: Tensor) -> Tensor:
        return F.relu(self.norm(self.linear(code).unflatten(1, (-1, 4, 4))))


class UpStage(nn.Module):
    """Twice the size, then residual blocks: (B, C, H, W) -> (B, C', 2H, 2W).

    The 1x1 convolution comes before the interpolation, with which it commutes, on a quarter of the pixels.
    """

    def __init__(self, in_channels: int, out_channels: int, blocks: nn.ModuleList) -> None:
        super().__init__()
        same = in_channels == out_channels
        self.conv_shortcut = nn.Identity() if same else convolution(in_channels, out_channels, 1)
        self.blocks = blocks

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(self.conv_shortcut(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        for block in self.blocks:
            x = block(x)
        return x


class DownStage(nn.Module):
    """Residual blocks, then half the size by means of 2 x 2: (B, C, H, W) -> (B, C', H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int, blocks: nn.ModuleList) -> None:
        super().__init__()
        same = in_channels == out_channels
        self.blocks = blocks
        self.conv_shortcut = nn.Identity() if same else convolution(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.conv_shortcut(F.avg_pool2d(x, 2))


class DCGANUpStage(nn.Module):
    """Transposed convolution, batch normalisation, ReLU: (B, C, H, W) -> (B, C', 2H, 2W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class DCGANDownStage(nn.Module):
    """Convolution and leaky ReLU: (B, C, H, W) -> (B, C', H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1)
        nn.init.normal_(self.conv.weight, std=GAIN / math.sqrt(16 * in_channels))
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv(x), SLOPE)

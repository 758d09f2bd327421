"""The transformer at the bottom of the U-ViT: rotary positions in two dimensions, attention, and the block made of
them.

Self-attention with RMS-normalised queries and keys (arXiv 2302.05442) keeps the logits bounded in bf16; positions turn
the queries and keys by coordinates relative to the training grid (rotary embedding, arXiv 2104.09864, one half of each
head per axis), so that the same weights serve any grid. Source of the arrangement: arXiv 2301.11093, U-ViT.

Shapes: B batch, L tokens, D hidden_size, d width of a head, S text tokens, H W rows and columns of the token grid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .kernels_uvit import RMSNorm, attention


def zero_init(layer: nn.Module) -> None:
    """Set weight and bias to zero: the branch that ends in this layer is silent at the start of training."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def axial_rotary_angles(
    height: int,
    width: int,
    head_dim: int,
    base_tokens: float,
    device: torch.device,
    theta: float = 100.0,
    centred: bool = True,
) -> Tensor:
    """Rotary angles (H*W, head_dim / 2): the first half of them turns with the row, the second with the column.

    Coordinates are scaled so that a grid of any size spans the area of the training grid of `base_tokens` tokens: at
    another resolution the network meets the same range of positions, only more densely or sparsely sampled. They are
    0 in the middle where `centred`, else in the first row and column.
    """
    scale = (base_tokens / (height * width)) ** 0.5  # math.sqrt would fix the size of an exported program
    rows = (torch.arange(height, device=device) - (height - 1) / 2 * centred) * scale
    columns = (torch.arange(width, device=device) - (width - 1) / 2 * centred) * scale
    frequencies = theta ** (-torch.arange(head_dim // 4, device=device) / (head_dim // 4))  # (head_dim / 4,)
    by_row = (rows[:, None] * frequencies)[:, None].expand(height, width, -1)
    by_column = (columns[:, None] * frequencies)[None].expand(height, width, -1)
    return torch.cat([by_row, by_column], dim=-1).flatten(0, 1)  # (H*W, head_dim / 2)


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (x[..., :d/2], x[..., d/2:]) of x (B, heads, L, d) by the angles behind cos and sin (L, d/2)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([torch.addcmul(first * cos, second, sin, value=-1), torch.addcmul(second * cos, first, sin)], -1)


class Attention(nn.Module):
    """Multi-head attention with RMS-normalised queries and keys; over itself, or over text states where given."""

    def __init__(self, hidden_size: int, num_heads: int, context_dim: int | None = None, bias: bool = False) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.to_q = nn.Linear(hidden_size, hidden_size, bias)
        self.to_kv = nn.Linear(context_dim or hidden_size, 2 * hidden_size, bias)
        self.norm_q = RMSNorm(hidden_size // num_heads, eps=1e-6)
        self.norm_k = RMSNorm(hidden_size // num_heads, eps=1e-6)
        self.to_out = nn.Linear(hidden_size, hidden_size)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor] | None = None,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        q = self.to_q(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, heads, L, d)
        kv = self.to_kv(x if context is None else context)  # (B, S or L, 2D)
        k, v = kv.unflatten(-1, (2 * self.num_heads, -1)).transpose(1, 2).chunk(2, dim=1)  # (B, heads, S or L, d) each
        q, k = self.norm_q(q), self.norm_k(k)
        if rotary is not None:
            q, k = apply_rotary(q, *rotary), apply_rotary(k, *rotary)
        h = attention(q, k, v, context_mask)
        return self.to_out(h.transpose(1, 2).flatten(2))  # (B, L, D)


class TransformerBlock(nn.Module):
    """Self-attention, optional cross-attention and MLP; shift, scale and gate of each branch come from the embedding.

    The six modulation vectors are one projection shared by all blocks plus a learned table per block (adaLN-single of
    PixArt, arXiv 2310.00426): a projection for each block would cost as many weights as its attention.
    """

    def __init__(
        self, hidden_size: int, num_heads: int, mlp_ratio: float, dropout: float, cross_attention_dim: int | None
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden_size, eps=1e-6, elementwise_affine=False)
        self.attn = Attention(hidden_size, num_heads)
        self.cross_attn = None
        if cross_attention_dim is not None:
            self.norm_cross = nn.LayerNorm(hidden_size, eps=1e-6)
            self.cross_attn = Attention(hidden_size, num_heads, cross_attention_dim)
            zero_init(self.cross_attn.to_out)
        self.norm2 = nn.LayerNorm(hidden_size, eps=1e-6, elementwise_affine=False)
        inner_dim = int(hidden_size * mlp_ratio)
        self.linear_1 = nn.Linear(hidden_size, inner_dim)
        self.linear_2 = nn.Linear(inner_dim, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.modulation_table = nn.Parameter(torch.zeros(6, hidden_size))

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        rotary: tuple[Tensor, Tensor],
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = (modulation + self.modulation_table)[:, :, None].unbind(1)
        h = torch.addcmul(shift1, self.norm1(x), 1 + scale1)  # (B, L, D)
        x = x + gate1 * self.dropout(self.attn(h, rotary))
        if self.cross_attn is not None and context is not None:
            x = x + self.cross_attn(self.norm_cross(x), context=context, context_mask=context_mask)
        h = torch.addcmul(shift2, self.norm2(x), 1 + scale2)
        h = self.linear_2(self.dropout(F.gelu(self.linear_1(h), approximate="tanh")))
        return x + gate2 * h

"""Convolutions over texts as matrix products over shifted copies of their input: as int8, ONNX Runtime computes those
faster.

Shapes: B batch, L characters, D channels in, E out, K width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..dgcnn.layers_dgcnn import DGCNNConv1d


class ProductConv1d(nn.Module):
    """A `DGCNNConv1d` that puts the characters before the channels, as a product with a constant matrix wants them."""

    def __init__(self, layer: DGCNNConv1d) -> None:
        super().__init__()
        (self.width,), (self.dilation,) = layer.kernel_size, layer.dilation
        self.matrix = nn.Parameter(
            layer.weight.detach().permute(2, 1, 0).flatten(0, 1), requires_grad=False
        )  # (KD, E)
        self.bias = layer.bias

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, D, L) -> (B, E, L)."""
        rows, length = hidden.transpose(1, 2), hidden.shape[2]
        if self.width > 1:
            padded = F.pad(rows, (0, 0, *(self.dilation * (self.width // 2),) * 2))
            starts = [k * self.dilation for k in range(self.width)]
            rows = torch.cat([padded[:, start : start + length] for start in starts], dim=2)  # (B, L, KD)
        found = rows @ self.matrix
        return (found if self.bias is None else found + self.bias).transpose(1, 2)


def with_products(model: Any) -> Any:
    """Replace the convolutions of a model in place."""
    for name, layer in model.named_children():
        if isinstance(layer, DGCNNConv1d):
            setattr(model, name, ProductConv1d(layer))
        else:
            with_products(layer)
    return model

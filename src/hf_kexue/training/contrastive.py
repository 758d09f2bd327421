"""Words before pictures: a text encoder learns alone which captions name one picture, and what it coarsely looks like.

Three losses over a batch of B pictures with two captions each, of vectors a, b of the captions and p of the pictures:

    L = N(a, b) + N(a, p) + |sketch(a) - coarse picture|^2 / variance,
    N(x, y) = mean of the cross entropies of  s x y^T  by rows and by columns,  |x| = |y| = 1

so that names of one picture in any language lie close together and others apart (InfoNCE, arXiv 1807.03748; pictures
and words as in CLIP, arXiv 2103.00020), and a linear map takes the vector to a picture of 16 x 16 pixels. The
tower of the pictures, the temperature and the sketch are thrown away afterwards.

Perceptrons behind the pooling of the encoder learn on from the third loss alone, `learn_pictures`: everything below
them stays as it is, so that the vectors of all captions are computed once and a step costs a small part.

Shapes: B pictures, P width of the encoder's vector, J width of the common space.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COMMON, SKETCH_SIDE = 256, 16
MAX_SCALE = 100.0  # of the logits, as in CLIP


class ContrastiveModel(nn.Module):
    """The text encoder and what trains it.

    Args:
        encode: (text_encoder, columns of the tokenizer) -> vectors (N, P).
        text_encoder: of transformers.
        pooled_dim: P.
    """

    def __init__(self, text_encoder: nn.Module, pooled_dim: int, encode: Any) -> None:
        super().__init__()
        self.text_encoder, self.encode = text_encoder, encode
        self.text_norm = nn.LayerNorm(pooled_dim)
        self.text_projection = nn.Linear(pooled_dim, COMMON, bias=False)
        self.sketch = nn.Linear(pooled_dim, 3 * SKETCH_SIDE**2)
        widths = (3, 48, 96, 192)
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), nn.GroupNorm(8, wide), nn.SiLU()]
        self.pictures = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * 192, COMMON))
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def vectors(self, columns: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Tokens -> vectors of length 1 (N, J), and sketches (N, 3, 16, 16)."""
        pooled = self.text_norm(self.encode(self.text_encoder, columns))
        sketch = self.sketch(pooled).float().unflatten(1, (3, SKETCH_SIDE, SKETCH_SIDE))
        return F.normalize(self.text_projection(pooled).float(), dim=1), sketch

    def of_pictures(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> vectors of length 1 (B, J)."""
        return F.normalize(self.pictures(F.adaptive_avg_pool2d(pixels, 32)).float(), dim=1)

    def forward(self, pixels: Tensor, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            pixels: (B, 3, H, W) in [-1, 1].
            columns: tokens of 2B captions: the first of each picture, then the second of each.

        Returns:
            `loss`, the sum of `words`, `pictures` and `sketch`, all scalars.
        """
        text, sketch = self.vectors(columns)
        first, second = text.chunk(2)
        scale = self.log_scale.exp().clamp(max=MAX_SCALE)
        words = info_nce(first, second, scale)
        pictures = info_nce(torch.cat([first, second]), self.of_pictures(pixels).repeat(2, 1), scale, groups=2)
        coarse = coarse_pictures(pixels).repeat(2, 1, 1, 1)
        drawn = (sketch - coarse).square().mean() / coarse.var()
        return {"loss": words + pictures + drawn, "words": words, "pictures": pictures, "sketch": drawn}


def coarse_pictures(pixels: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 3, 16, 16), means of pixels."""
    return F.adaptive_avg_pool2d(pixels.float(), SKETCH_SIDE)


def learn_pictures(
    model: ContrastiveModel, columns: Iterable[dict[str, Tensor]], owners: Tensor, coarse: Tensor, steps: int,
    seed: int, rate: float = 1.5e-3, batch_size: int = 128,
) -> list[float]:  # fmt: skip
    """Train the perceptrons behind the pooling of a `DGCNNModel`, and the sketch, to draw the picture of each caption.

    Args:
        model: whose `text_encoder` has `vector_blocks`; changed in place.
        columns: tokens of N captions, in batches.
        owners: (N,) int64, the picture of each caption.
        coarse: (M, 3, 16, 16) the pictures in [-1, 1].
        steps: of AdamW, at least 1, the rate rising for a tenth of them and falling to zero.
        seed: of the captions that are drawn.
        rate: the highest.
        batch_size: captions of a step.

    Returns:
        The loss of each step: mean square error over the variance of the pictures.

    Raises:
        ValueError: for an encoder without perceptrons.
    """
    from tqdm.auto import tqdm

    encoder: Any = model.text_encoder
    blocks = getattr(encoder, "vector_blocks", None)
    if blocks is None:
        raise ValueError("The encoder has no perceptrons behind its pooling: pooler_layers of its configuration is 0.")
    encoder.vector_blocks, was_training = None, model.training
    try:
        with torch.no_grad():
            vectors = torch.cat([model.eval().encode(encoder, batch).float() for batch in columns])
    finally:
        encoder.vector_blocks = blocks
        model.train(was_training)
    parts = nn.ModuleList([blocks, model.text_norm, model.sketch])
    optimizer = torch.optim.AdamW(parts.parameters(), rate, weight_decay=0.01)
    rising = min(0.9, max(0.1, 1.5 / steps))  # of few steps so that neither phase of the curve is empty
    curve = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=rising)
    generator, variance, losses = torch.Generator().manual_seed(seed), coarse.var(), []
    for _ in tqdm(range(steps), "pictures of vectors", disable=None):
        drawn = torch.randint(len(owners), (batch_size,), generator=generator)
        sketch = model.sketch(model.text_norm(blocks(vectors[drawn])))
        loss = (sketch - coarse[owners[drawn]].flatten(1)).square().mean() / variance
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.step()
        losses.append(float(loss.detach()))
    return losses


def info_nce(x: Tensor, y: Tensor, scale: Tensor | float, groups: int = 1) -> Tensor:
    """Symmetric cross entropy of matching rows among all of a group.

    Args:
        x, y: (groups * B, J); row i of x belongs to row i of y.
        scale: of the inner products.
        groups: blocks of rows that are compared among themselves alone.
    """
    logits = scale * torch.einsum("gij,gkj->gik", x.unflatten(0, (groups, -1)), y.unflatten(0, (groups, -1)))
    target = torch.arange(logits.shape[1], device=logits.device).expand(groups, -1)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.transpose(1, 2), target)) / 2


def retrieval_share(x: Tensor, y: Tensor) -> float:
    """Share of rows of x (N, J) whose nearest row of y (N, J), by the inner product, is their own."""
    return float((x @ y.T).argmax(dim=1).eq(torch.arange(len(x), device=x.device)).float().mean())

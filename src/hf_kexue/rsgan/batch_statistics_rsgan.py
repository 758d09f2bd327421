"""Batch-normalisation statistics that belong to the averaged weights of a generator.

An average of weights over training is another network than the one whose running statistics were gathered: its
activations have other means and variances. They are estimated anew from latents, which cost nothing.

Source: torch.optim.swa_utils.update_bn; Izmailov et al. 2018, arXiv 1803.05407, on why averaged weights need it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from .modeling_rsgan import RSGANGenerator


class _Labelled(nn.Module):
    """`update_bn` hands over one tensor: a latent with the index of its class as the last number."""

    def __init__(self, generator: RSGANGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, code: Tensor) -> Tensor:
        labels = None if self.generator.config.num_class_embeds is None else code[:, -1].long()
        return self.generator(code[:, : self.generator.config.latent_dim], labels).sample


def estimate_batch_statistics(
    generator: RSGANGenerator, batches: int = 32, batch_size: int = 64, seed: int = 0
) -> int:
    """Replace the running means and variances of a generator by those of its present weights.

    Args:
        generator: on any device; its mode is restored. One without batch normalisation is left as it is.
        batches: of latents, each counted alike.
        batch_size: latents in each, at least 2; classes are drawn uniformly.
        seed: of latents and classes, which are drawn on the CPU.

    Returns:
        Number of batch-normalisation layers.

    Raises:
        ValueError: for fewer than one batch, or less than two latents in it.
    """
    if batches < 1 or batch_size < 2:
        raise ValueError(f"At least 1 batch of at least 2 latents is needed, got {batches} of {batch_size}.")
    layers = sum(isinstance(module, _BatchNorm) for module in generator.modules())
    if layers == 0:
        return 0
    drawn = torch.Generator().manual_seed(seed)
    config = generator.config

    def codes() -> Iterator[Tensor]:
        for _ in range(batches):
            latents = torch.randn(batch_size, config.latent_dim, generator=drawn)
            labels = torch.randint(config.num_class_embeds or 1, (batch_size, 1), generator=drawn)
            yield torch.cat([latents, labels.to(latents)], dim=1)

    was_training = generator.training
    update_bn(codes(), _Labelled(generator), device=generator.device)
    generator.train(was_training)
    return layers

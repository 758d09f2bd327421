"""How large a network is and how much it computes, without allocating it."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from .pipeline_drawing import Network


def count_parameters(model: torch.nn.Module) -> int:
    """Number of trainable scalars."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_flops(model: Network, height: int | None = None, width: int | None = None) -> int:
    """Floating-point operations of one forward pass for one image; a multiplication and an addition count as two.

    Args:
        model: on any device; a copy on the meta device does the counting.
        height, width: pixels, default `sample_size`.
    """
    with torch.device("meta"):
        twin = type(model).from_config(model.config)
        shape = (1, twin.config.in_channels, height or twin.config.sample_size, width or twin.config.sample_size)
        sample, logsnr = torch.empty(shape), torch.empty(1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        twin(sample, logsnr)
    return counter.get_total_flops()

"""Network and scheduler of the arguments of a diffusion run."""

from __future__ import annotations

import functools
import math
from typing import Any

from ..data.images import image_size
from ..simple_diffusion import (
    ShiftedCosineScheduler,
    ShiftedFlowScheduler,
    SimpleDiffusionUViT2DModel,
    SimpleDiffusionViT2DModel,
)
from ..simple_diffusion.pipeline_drawing import Network
from ..simple_diffusion.reshift_simple_diffusion import reshifted
from .diffusion_networks import network_options


def side_of(args: Any) -> float:
    """Side of the square with as many pixels as --resolution."""
    side = math.sqrt(math.prod(image_size(args.resolution)))
    return int(side) if side == int(side) else side


def build_scheduler(args: Any) -> ShiftedCosineScheduler | ShiftedFlowScheduler:
    """The scheduler of --schedule, --base_size and --prediction_type, shifted to --resolution.

    Raises:
        ValueError: for an unknown schedule.
    """
    base_size: Any = args.base_size[0] if len(args.base_size) == 1 else tuple(args.base_size)
    kind: Any = args.prediction_type  # checked by the scheduler
    if args.schedule not in ("cosine", "flow"):
        raise ValueError(f"--schedule must be 'cosine' or 'flow', got {args.schedule!r}.")
    if args.schedule == "flow":
        return ShiftedFlowScheduler(
            sample_size=side_of(args), base_size=base_size, network_prediction_type=kind, solver="heun"
        )
    return ShiftedCosineScheduler(sample_size=side_of(args), base_size=base_size, prediction_type=kind)


def build_model(args: Any, num_classes: int | None, **text: Any) -> Network:
    """The network of the arguments, before --init_from.

    Args:
        args: of the run.
        num_classes: None: no classes.
        text: widths of what a text encoder gives; of a U-ViT alone.

    Raises:
        ValueError: for an unknown network, a size that its stride does not divide, or a ViT with a text encoder.
    """
    options, vit = network_options(args), args.network == "vit"
    stride = args.patch_size if vit else args.patch_size * 2 ** len(args.block_out_channels)
    for size in [args.resolution, *args.buckets]:
        height, width = image_size(size)
        if height % stride or width % stride:
            raise ValueError(
                f"--resolution and --buckets must be multiples of {stride}, the network's stride: {size}."
            )
    side = max(1, round(side_of(args) / stride)) * stride
    options |= {"sample_size": side, "num_class_embeds": num_classes}
    if not vit:
        return SimpleDiffusionUViT2DModel(**text, **options)
    if text:
        raise ValueError("--network vit takes no prompts yet: leave --caption_column out, or use --network uvit.")
    kind: Any = args.prediction_type  # checked by the network
    return SimpleDiffusionViT2DModel(prediction_type=kind, **options)


@functools.lru_cache
def schedule_for(scheduler: Any, height: int, width: int) -> Any:
    """The schedule for a bucket, shifted by its number of pixels."""
    return reshifted(scheduler, height, width)

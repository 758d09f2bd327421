"""A scheduler moved to another image size: the same class and options, logSNR lowered by 2 log of the ratio of sides.

Source: archives/10047.
"""

from __future__ import annotations

import copy
import math
from typing import Any

from diffusers.utils import logging

from .config_warnings import without_config_warnings
from .schedulers_simple_diffusion import is_flow
from .scheduling_shifted_cosine import ShiftedCosineScheduler
from .scheduling_shifted_flow import ShiftedFlowScheduler

reshift_logger = logging.get_logger(__name__)


def reshifted(scheduler: Any, height: int, width: int) -> Any:
    """The scheduler for images of this size: itself if it is made for as many pixels, else a new one.

    Args:
        scheduler: `ShiftedCosineScheduler`, `ShiftedFlowScheduler`, or one that was made from the config of either,
            which holds `sample_size` and `base_size`. Others are returned as they are, with a warning.
        height, width: pixels; of an image that is not square the number of pixels counts.
    """
    config, size = scheduler.config, math.sqrt(height * width)
    size = int(size) if size == int(size) else size
    if "sample_size" not in config or "base_size" not in config:
        reshift_logger.warning(
            f"{type(scheduler).__name__} does not know the size that it is made for: it is not re-shifted."
        )
        return scheduler
    if config["sample_size"] == size:
        return scheduler
    with without_config_warnings():  # of keys which only one of the two classes has
        if is_flow(scheduler):
            own: Any = ShiftedFlowScheduler.from_config(config, sample_size=size)
            keys: tuple[str, ...] = ("sample_size", "shift", "flow_shift")
        else:
            if not ShiftedCosineScheduler.from_config(config).follows_curve:
                reshift_logger.warning("The betas of the scheduler are not those of its sizes: it is not re-shifted.")
                return scheduler
            own = ShiftedCosineScheduler.from_config(config, sample_size=size)
            keys = ("sample_size", "trained_betas")
        if isinstance(scheduler, ShiftedCosineScheduler | ShiftedFlowScheduler):
            return own
        moved = dict(copy.deepcopy(config)) | {key: own.config[key] for key in keys}
        moved.pop("_use_default_values", None)
        return type(scheduler).from_config(moved)

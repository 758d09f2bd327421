"""Samplers by name, for command lines and benchmarks: our own two and the solvers of diffusers behind
`from_config`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from diffusers import DPMSolverMultistepScheduler

from .pipeline_simple_diffusion import SimpleDiffusionPipeline
from .scheduling_shifted_cosine import ShiftedCosineScheduler

SAMPLERS = ("ancestral", "ddim", "dpm")


def with_sampler(pipeline: SimpleDiffusionPipeline, sampler: str) -> tuple[SimpleDiffusionPipeline, dict[str, Any]]:
    """The pipeline with another sampler on the same noise schedule, and the call options that go with it.

    Args:
        pipeline: left as it is; the returned one shares its networks.
        sampler: `"ancestral"` and `"ddim"` are `ShiftedCosineScheduler` at eta 1 and 0, `"dpm"` is second-order
            DPM-Solver++ with its last steps at first order.

    Raises:
        ValueError: for another name.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}; got {sampler!r}.")
    if sampler == "dpm":
        with _without_warnings():  # that it keeps the size of our schedule in its configuration and does not use it
            scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
        options: dict[str, Any] = {}
    else:
        scheduler = ShiftedCosineScheduler.from_config(pipeline.scheduler.config)
        options = {"eta": 1.0 if sampler == "ancestral" else 0.0}
    kept = {key: pipeline.config[key] for key in ("id2label", "guidance_scale", "guidance_unet_share")}
    kept["num_inference_steps"] = pipeline.config.num_inference_steps
    return SimpleDiffusionPipeline(pipeline.unet, scheduler, guidance_unet=pipeline.guidance_unet, **kept), options


@contextmanager
def _without_warnings() -> Iterator[None]:
    logger = logging.getLogger("diffusers.configuration_utils")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)

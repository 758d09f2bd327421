"""Samplers by name, for command lines and benchmarks: our own two and the solvers of diffusers behind
`from_config`."""

from __future__ import annotations

from typing import Any, TypeVar

from diffusers import DPMSolverMultistepScheduler

from .config_warnings import without_config_warnings
from .pipeline_drawing import DrawingPipeline
from .scheduling_shifted_cosine import ShiftedCosineScheduler
from .scheduling_shifted_flow import ShiftedFlowScheduler

SAMPLERS = ("ancestral", "ddim", "dpm", "flow", "flow-heun", "flow-ancestral", "flow-dpm")


PipelineT = TypeVar("PipelineT", bound=DrawingPipeline)


def with_sampler(pipeline: PipelineT, sampler: str) -> tuple[PipelineT, dict[str, Any]]:
    """The pipeline with another sampler for the same network, and the call options that go with it.

    Args:
        pipeline: left as it is; the returned one, of the same class, shares its networks.
        sampler: `"ancestral"` and `"ddim"` are `ShiftedCosineScheduler` at eta 1 and 0, `"dpm"` is second-order
            DPM-Solver++ with its last steps at first order, on the schedule that the pipeline has. The others are
            `ShiftedFlowScheduler` with the solver Euler, Heun or ancestral, or DPM-Solver++ on its schedule, at the
            sizes that the pipeline has.

    Raises:
        ValueError: for another name.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}; got {sampler!r}.")
    options: dict[str, Any] = {}
    config = pipeline.scheduler.config
    with without_config_warnings():  # that a class keeps keys of another one in its configuration, unused
        if sampler == "dpm":
            scheduler = DPMSolverMultistepScheduler.from_config(config)
        elif sampler.startswith("flow"):
            solver = sampler.partition("-")[2] or "euler"
            scheduler = ShiftedFlowScheduler.from_config(config, solver="euler" if solver == "dpm" else solver)
            if solver == "dpm":
                scheduler = DPMSolverMultistepScheduler.from_config(scheduler.config)
        else:
            scheduler = ShiftedCosineScheduler.from_config(config)
            options = {"eta": 1.0 if sampler == "ancestral" else 0.0}
    return type(pipeline).from_pipe(pipeline, scheduler=scheduler), options

"""Pictures from saved image pipelines: rows of classes, single samples, and the way from one seed of a GAN to another.

Seeds decide: the same pipeline, settings and seed draw the same pictures. Used by the command line, the demonstration
and the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..rsgan.pipeline_rsgan import spherical
from ..simple_diffusion import SimpleDiffusionPipeline
from ..simple_diffusion.samplers import with_sampler
from .grids import class_sheet

Labels = list[Any]  # names, or indices where a pipeline has no names, or None for each image without a class


def class_rows(pipeline: Any, classes: Sequence[str] = ()) -> Labels:
    """The classes to draw, one row each.

    Args:
        pipeline: of simple diffusion, or of a GAN.
        classes: names; none given: all that the pipeline knows.

    Returns:
        Names; indices where classes have none; [None] for a model without classes.

    Raises:
        ValueError: for a name that the pipeline does not know.
    """
    if classes:
        pipeline.label_ids(list(classes))
        return list(classes)
    network = pipeline.unet if hasattr(pipeline, "unet") else pipeline.generator
    return pipeline.class_names or list(range(network.config.num_class_embeds or 0)) or [None]


def draw_by_diffusion(
    pipeline: Any,
    labels: Labels,
    *,
    guidance_scale: float | None = None,
    steps: int = 64,
    sampler: str = "ancestral",
    size: int | None = None,
    generator: torch.Generator,
    progress: bool = True,
) -> list[Image.Image]:
    """One picture for each label, in one batch.

    Args:
        pipeline: `SimpleDiffusionPipeline`.
        labels: of `class_rows`, repeated as wanted.
        guidance_scale: 1 is off, None as the pipeline was saved; without classes it is off anyway.
        steps, sampler, size: network evaluations, name as of `with_sampler`, pixels (None: of the training).
        generator: of the noise.
        progress: show a bar of the steps.

    Raises:
        ValueError: for what the pipeline or `with_sampler` refuses.
    """
    pipeline, options = with_sampler(pipeline, sampler)
    pipeline.set_progress_bar_config(disable=not progress)
    has_classes = labels[0] is not None
    return pipeline(
        batch_size=len(labels),
        class_labels=labels if has_classes else None,
        guidance_scale=guidance_scale if has_classes else 1.0,
        height=size,
        width=size,
        num_inference_steps=steps,
        generator=generator,
        **options,
    ).images


def draw_by_gan(
    pipeline: Any, labels: Labels, *, truncation: float | None = None, generator: torch.Generator
) -> list[Image.Image]:
    """One picture for each label.

    Args:
        pipeline: `RSGANPipeline`.
        labels: of `class_rows`, repeated as wanted.
        truncation: in (0, 1], or None.
        generator: of the latents.

    Raises:
        ValueError: for what the pipeline refuses.
    """
    classes = None if labels[0] is None else labels
    return pipeline(len(labels), class_labels=classes, truncation=truncation, generator=generator).images


def latent_of_seed(pipeline: Any, seed: int) -> Tensor:
    """(Z,) float32, the first latent that a GAN draws from this seed."""
    return torch.randn(pipeline.generator.config.latent_dim, generator=torch.Generator().manual_seed(seed))


def draw_way(
    pipeline: Any, label: Any, seeds: tuple[int, int], steps: int, truncation: float | None = None
) -> list[Image.Image]:
    """The way of a GAN from the latent of one seed to that of another, both included.

    Args:
        pipeline: `RSGANPipeline`.
        label: of `class_rows`.
        seeds: of the two ends.
        steps: pictures, at least 2.
        truncation: in (0, 1], or None.

    Raises:
        ValueError: for what the pipeline refuses.
    """
    if truncation is not None and not 0 < truncation <= 1:
        raise ValueError(f"truncation must be above 0 and at most 1, got {truncation}.")
    first, last = (latent_of_seed(pipeline, seed) * (truncation or 1.0) for seed in seeds)
    return pipeline.interpolate(first, last, steps=steps, class_labels=label).images


def draw_between(
    pipeline: Any, label: Any, seeds: tuple[int, int], place: float, truncation: float | None = None
) -> Image.Image:
    """One picture of that way.

    Args:
        pipeline, label, seeds, truncation: as of `draw_way`.
        place: from 0, the first, to 1, the last; its nearest hundredth counts.

    Raises:
        ValueError: for what the pipeline refuses.
    """
    first, last = (latent_of_seed(pipeline, seed) for seed in seeds)
    latents = spherical(first, last, 101)[round(100 * place)]
    classes = None if label is None else [label]
    return pipeline(latents=latents[None], class_labels=classes, truncation=truncation).images[0]


def draw_classes(pipeline: SimpleDiffusionPipeline, path: Path, per_class: int) -> None:
    """Write a picture with `per_class` samples of every class from seed 0, in two blocks side by side."""
    labels = [name for name in pipeline.class_names for _ in range(per_class)]
    generator = torch.Generator().manual_seed(0)
    images = []
    for start in range(0, len(labels), 16):
        part = labels[start : start + 16]
        images += draw_by_diffusion(pipeline, part, steps=20, sampler="dpm", generator=generator)
    class_sheet(images, per_class).save(path)

"""Pictures from saved image pipelines: rows of classes, single samples, and the way from one seed of a GAN to another.

The same pipeline, settings and seed draw the same pictures. Used by the command line, the demonstration and the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..rsgan.pipeline_rsgan import spherical
from ..simple_diffusion.samplers import with_sampler
from .grids import class_sheet
from .kinds import kind_of, named

Labels = list[Any]  # names, or indices where a pipeline has no names, or None for each image without a class


def class_rows(pipeline: Any, classes: Sequence[str] = ()) -> Labels:
    """The classes to draw, one row each.

    Args:
        pipeline: of images, of any kind.
        classes: names; none given: all that the pipeline knows.

    Returns:
        Names; indices where classes have none; [None] for a model without classes.

    Raises:
        ValueError: for a name that the pipeline does not know.
    """
    if classes:
        pipeline.label_ids(list(classes))
        return list(classes)
    network = getattr(pipeline, kind_of(pipeline).network)
    return pipeline.class_names or list(range(network.config.num_class_embeds or 0)) or [None]


def draw_by_diffusion(
    pipeline: Any,
    labels: Labels,
    per_class: int = 1,
    *,
    guidance_scale: float | None = None,
    guidance_interval: tuple[float, float] | None = None,
    steps: int = 64,
    sampler: str = "ancestral",
    size: int | None = None,
    generator: torch.Generator,
    output_type: str = "pil",
    progress: bool = True,
) -> Any:
    """Pictures of each label, in one batch.

    Args:
        pipeline: `SimpleDiffusionPipeline`.
        labels: of `class_rows`.
        per_class: pictures of each.
        guidance_scale: 1 is off, None as the pipeline was saved; without classes it is off anyway.
        guidance_interval: (low, high) in logSNR where guidance acts, None everywhere.
        steps, sampler, size: network evaluations, name as of `with_sampler`, pixels (None: of the training).
        generator: of the noise.
        output_type: "pil", "np" or "pt".
        progress: show a bar of the steps.

    Raises:
        ValueError: for what the pipeline or `with_sampler` refuses.
    """
    pipeline, options = with_sampler(pipeline, sampler)
    pipeline.set_progress_bar_config(disable=not progress)
    labels = [label for label in labels for _ in range(per_class)]
    has_classes = labels[0] is not None
    return pipeline(
        batch_size=len(labels),
        class_labels=labels if has_classes else None,
        guidance_scale=guidance_scale if has_classes else 1.0,
        guidance_interval=guidance_interval,
        height=size,
        width=size,
        num_inference_steps=steps,
        generator=generator,
        output_type=output_type,
        **options,
    ).images


def draw_by_gan(
    pipeline: Any,
    labels: Labels,
    per_class: int = 1,
    *,
    truncation: float | None = None,
    to_seed: int | None = None,
    generator: torch.Generator,
    output_type: str = "pil",
    progress: bool = True,
) -> Any:
    """Pictures of each label; or, with `to_seed`, `per_class` pictures of a way for each.

    Args:
        pipeline: `RSGANPipeline`.
        labels: of `class_rows`.
        per_class: pictures of each.
        truncation: in (0, 1], or None.
        to_seed: where the ways end; they start at the seed of the generator.
        generator: of the latents.
        output_type: "pil", "np" or "pt"; ways are "pil".
        progress: not used, since there is one pass.

    Raises:
        ValueError: for what the pipeline refuses.
    """
    if to_seed is not None:
        ends = (generator.initial_seed(), to_seed)
        return [image for label in labels for image in draw_way(pipeline, label, ends, per_class, truncation)]
    labels = [label for label in labels for _ in range(per_class)]
    options: dict[str, Any] = {} if output_type == "pil" else {"output_type": output_type}
    classes = None if labels[0] is None else labels
    return pipeline(len(labels), class_labels=classes, truncation=truncation, generator=generator, **options).images


def draw_in_batches(
    pipeline: Any, labels: Labels, at_once: int, *, generator: torch.Generator, **options: Any
) -> Iterator[Any]:
    """One picture for each label, `at_once` of them in a batch; the noise of a diffusion depends on that number.

    Args:
        pipeline: of images, of any kind.
        labels: of `class_rows`, repeated as wanted.
        at_once: pictures of a batch.
        generator: of the noise.
        options: of the function `draw` of its kind.
    """
    draw = named(str(kind_of(pipeline).draw))
    for start in range(0, len(labels), at_once):
        yield from draw(pipeline, labels[start : start + at_once], generator=generator, **options)


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


def draw_classes(pipeline: Any, path: Path, per_class: int, names: bool = False) -> None:
    """Write a picture with `per_class` samples of every class from seed 0 by DPM-Solver++ in 20 steps, in two blocks
    side by side.

    Args:
        pipeline: `SimpleDiffusionPipeline` with class names.
        path: of the picture.
        per_class: samples of each class, a row.
        names: write the class names beside the rows.
    """
    labels = [name for name in pipeline.class_names for _ in range(per_class)]
    generator = torch.Generator().manual_seed(0)
    images = list(draw_in_batches(pipeline, labels, 16, generator=generator, steps=20, sampler="dpm"))
    class_sheet(images, per_class, pipeline.class_names if names else None).save(path)

"""Draw pictures with saved image pipelines: rows of classes, batches of samples, and interpolations of a GAN.

The same pipeline, settings and seed give the same pictures. Used by the command line, the demonstration and the page.
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
from .grids import class_sheet, save_picture
from .kinds import kind_of, named

Labels = list[Any]  # class names, or indices if the pipeline has no names, prompts, or None for images without either


def class_rows(pipeline: Any, classes: Sequence[str] = ()) -> Labels:
    """The classes to draw, one a row.

    Args:
        pipeline: any image pipeline.
        classes: names; default: all classes of the pipeline.

    Returns:
        Names, or indices for unnamed classes; [None] for a model without classes.

    Raises:
        ValueError: for an unknown name.
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
    negative_prompt: str | None = None,
    guidance_scale: float | None = None,
    guidance_interval: tuple[float, float] | None = None,
    steps: int | None = None,
    sampler: str | None = None,
    size: int | None = None,
    generator: torch.Generator,
    output_type: str = "pil",
    progress: bool = True,
) -> Any:
    """Draw pictures of each label, in one batch.

    Args:
        pipeline: `SimpleDiffusionPipeline` or `SimpleDiffusionTextToImagePipeline`.
        labels: of `class_rows`, or prompts.
        per_class: pictures of each.
        negative_prompt: what pictures of prompts move away from; None: the empty prompt.
        guidance_scale: 1 is off; None: the saved one. Always off without classes or prompts.
        guidance_interval: (low, high) in logSNR where guidance is applied; None: everywhere.
        steps, sampler: network evaluations, name for `with_sampler`; None: as the pipeline was saved, else 64
            ancestral ones.
        size: pixels; None: the training size.
        generator: of the noise.
        output_type: "pil", "np" or "pt".
        progress: show a progress bar of the steps.

    Raises:
        ValueError: from the pipeline or `with_sampler`.
    """
    options: dict[str, Any] = {}
    if sampler is not None:
        pipeline, options = with_sampler(pipeline, sampler)
    pipeline.set_progress_bar_config(disable=not progress)
    labels = [label for label in labels for _ in range(per_class)]
    is_told = labels[0] is not None or negative_prompt is not None
    if kind_of(pipeline).has_words:
        options |= {"prompt": [label or "" for label in labels], "negative_prompt": negative_prompt}
    else:
        options |= {"batch_size": len(labels), "class_labels": labels if is_told else None}
    return pipeline(
        guidance_scale=guidance_scale if is_told else 1.0,
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
    """Draw pictures of each label; with `to_seed`, an interpolation of `per_class` pictures for each.

    Args:
        pipeline: `RSGANPipeline`.
        labels: of `class_rows`.
        per_class: pictures of each.
        truncation: in (0, 1], or None.
        to_seed: last seed of the interpolations; the first is that of the generator.
        generator: of the latents.
        output_type: "pil", "np" or "pt"; interpolations are "pil".
        progress: ignored.

    Raises:
        ValueError: from the pipeline.
    """
    if to_seed is not None:
        ends = (generator.initial_seed(), to_seed)
        return [
            image for label in labels for image in draw_interpolation(pipeline, label, ends, per_class, truncation)
        ]
    labels = [label for label in labels for _ in range(per_class)]
    options: dict[str, Any] = {} if output_type == "pil" else {"output_type": output_type}
    classes = None if labels[0] is None else labels
    return pipeline(len(labels), class_labels=classes, truncation=truncation, generator=generator, **options).images


def draw_in_batches(
    pipeline: Any, labels: Labels, batch_size: int, *, generator: torch.Generator, **options: Any
) -> Iterator[Any]:
    """Draw one picture for each label in batches of `batch_size`; the noise of a diffusion depends on it.

    Args:
        pipeline: any image pipeline.
        labels: of `class_rows`, repeated as needed.
        batch_size: pictures of a batch.
        generator: of the noise.
        options: of the `draw` function of its kind.
    """
    draw = named(str(kind_of(pipeline).draw))
    for start in range(0, len(labels), batch_size):
        yield from draw(pipeline, labels[start : start + batch_size], generator=generator, **options)


def latent_of_seed(pipeline: Any, seed: int) -> Tensor:
    """The first latent that a GAN draws from this seed: (Z,) float32."""
    return torch.randn(pipeline.generator.config.latent_dim, generator=torch.Generator().manual_seed(seed))


def draw_interpolation(
    pipeline: Any, label: Any, seeds: tuple[int, int], steps: int, truncation: float | None = None
) -> list[Image.Image]:
    """Interpolate a GAN from the latent of one seed to that of another, both included.

    Args:
        pipeline: `RSGANPipeline`.
        label: of `class_rows`.
        seeds: first and last.
        steps: pictures, at least 2.
        truncation: in (0, 1], or None.

    Raises:
        ValueError: from the pipeline.
    """
    if truncation is not None and not 0 < truncation <= 1:
        raise ValueError(f"truncation must be above 0 and at most 1, got {truncation}.")
    first, last = (latent_of_seed(pipeline, seed) * (truncation or 1.0) for seed in seeds)
    return pipeline.interpolate(first, last, steps=steps, class_labels=label).images


def draw_interpolated(
    pipeline: Any, label: Any, seeds: tuple[int, int], place: float, truncation: float | None = None
) -> Image.Image:
    """Draw one picture of that interpolation.

    Args:
        pipeline, label, seeds, truncation: as of `draw_interpolation`.
        place: 0 (first seed) to 1 (last seed), rounded to hundredths.

    Raises:
        ValueError: from the pipeline.
    """
    first, last = (latent_of_seed(pipeline, seed) for seed in seeds)
    latents = spherical(first, last, 101)[round(100 * place)]
    classes = None if label is None else [label]
    return pipeline(latents=latents[None], class_labels=classes, truncation=truncation).images[0]


def draw_classes(pipeline: Any, path: Path, per_class: int, names: bool = False) -> None:
    """Save a sheet with `per_class` samples of every class from seed 0, by DPM-Solver++ in 20 steps, or in the steps
    that the pipeline was saved with.

    Args:
        pipeline: `SimpleDiffusionPipeline` with class names.
        path: of the picture.
        per_class: samples of each class, in a row.
        names: label the rows with the class names.
    """
    labels = [name for name in pipeline.class_names for _ in range(per_class)]
    generator = torch.Generator().manual_seed(0)
    options = {} if pipeline.config.num_inference_steps else {"steps": 20, "sampler": "dpm"}
    images = list(draw_in_batches(pipeline, labels, 16, generator=generator, **options))
    save_picture(class_sheet(images, per_class, pipeline.class_names if names else None), path)

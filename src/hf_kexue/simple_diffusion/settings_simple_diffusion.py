"""Arguments that the calls of all pipelines of simple diffusion share, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Literal, Self, TypeAlias, TypedDict

import numpy as np
import torch
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from torch import Tensor

from .checks_simple_diffusion import require, require_one_of
from .guidance_simple_diffusion import in_interval

ClassLabels = int | str | Sequence[int | str] | Tensor | None
StepCallback: TypeAlias = (
    Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]] | PipelineCallback | MultiPipelineCallbacks | None
)


class DrawingOptions(TypedDict, total=False):
    """The fields of `DrawingSettings` as keyword arguments, for editors and type checkers."""

    batch_size: int
    class_labels: ClassLabels
    guidance_scale: float | None
    guidance_interval: tuple[float, float] | None
    guidance_unet: Any
    guidance_unet_share: float | None
    reshift: Literal["auto", "off"]
    num_inference_steps: int | None
    eta: float | None
    generator: torch.Generator | list[torch.Generator] | None
    latents: Tensor | None
    output_type: str
    return_dict: bool
    callback_on_step_end: StepCallback
    callback_on_step_end_tensor_inputs: Sequence[str]
    num_images_per_label: int


@dataclass(frozen=True)
class DrawingSettings:
    """Arguments of a call, see `SimpleDiffusionPipeline.__call__`; checks itself."""

    batch_size: int = 1
    class_labels: ClassLabels = None
    guidance_scale: float | None = None
    guidance_interval: tuple[float, float] | None = None
    guidance_unet: Any = None
    guidance_unet_share: float | None = None
    reshift: Literal["auto", "off"] = "auto"
    num_inference_steps: int | None = None
    eta: float | None = None
    generator: torch.Generator | list[torch.Generator] | None = None
    latents: Tensor | None = None
    output_type: str = "pil"
    return_dict: bool = True
    callback_on_step_end: StepCallback = None
    callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",)
    num_images_per_label: int = 1

    def __post_init__(self) -> None:
        require_one_of("reshift", self.reshift, ("auto", "off"))
        if not isinstance(self.num_images_per_label, Integral) or self.num_images_per_label < 1:
            raise ValueError(f"num_images_per_label must be a positive integer, got {self.num_images_per_label!r}.")
        if self.output_type not in ("pil", "np", "pt"):
            raise ValueError(f'output_type must be "pil", "np" or "pt", got {self.output_type!r}.')
        if self.guidance_scale is not None:
            check_guidance(self.guidance_scale, 1.0)
        if self.guidance_unet_share is not None:
            check_guidance(1.0, self.guidance_unet_share)
        in_interval(0.0, self.guidance_interval)  # refuses an empty one
        inputs, callback = self.callback_on_step_end_tensor_inputs, self.callback_on_step_end
        if isinstance(callback, PipelineCallback | MultiPipelineCallbacks):
            inputs = callback.tensor_inputs
        if set(inputs) - {"latents"}:
            raise ValueError(f'Callbacks get "latents" alone, not {list(inputs)}.')
        object.__setattr__(self, "callback_on_step_end_tensor_inputs", inputs)

    def resolved(self, pictures: int | None = None) -> Self:
        """With class labels as a list, and the batch size that labels, latents or given pictures decide.

        Args:
            pictures: number of given pictures; a single one serves the whole batch. None: none are given.

        Raises:
            ValueError: for numbers that do not fit together.
        """
        labels, batch_size, per_label = self.class_labels, self.batch_size, self.num_images_per_label
        latents = self.latents
        if isinstance(labels, Tensor | np.ndarray):
            labels = labels.tolist()
        if latents is not None:
            batch_size = len(latents) // per_label
        elif pictures is not None and pictures > 1 and batch_size == 1:
            batch_size = pictures
        if isinstance(labels, int | np.integer | str):
            labels = [labels] * batch_size
        if labels is not None:
            labels = list(labels)
            batch_size = len(labels)
        elif latents is not None:
            batch_size, per_label = len(latents), 1
        require(batch_size >= 1, f"batch_size must be at least 1, got {batch_size}.")
        fits = pictures in (None, 1, batch_size)
        others = f"{batch_size} labels, prompts or images"
        require(fits, f"{pictures} pictures were given for {others}; give one, or one each.")
        count, generator = batch_size * per_label, self.generator
        if isinstance(generator, list) and len(generator) not in (1, count):
            raise ValueError(f"{len(generator)} generators for {count} images were given; give one, or one each.")
        return replace(self, class_labels=labels, batch_size=batch_size, num_images_per_label=per_label)

    def repeated(self, pictures: Tensor) -> Tensor:
        """Given pictures (1 or batch_size, ...) as one for each image that is drawn; of resolved settings."""
        return pictures.expand(self.batch_size, *pictures.shape[1:]).repeat_interleave(self.num_images_per_label, 0)


def check_guidance(guidance_scale: Any, guidance_unet_share: Any) -> None:
    """Refuse what is no number, and a share outside [0, 1].

    Raises:
        ValueError: naming it.
    """
    for name, value in (("guidance_scale", guidance_scale), ("guidance_unet_share", guidance_unet_share)):
        if not isinstance(value, Real) or isinstance(value, bool) or value != value:
            raise ValueError(f"{name} must be a number, got {value!r}.")
    if not 0 <= guidance_unet_share <= 1:
        raise ValueError(f"guidance_unet_share must lie in [0, 1], got {guidance_unet_share}.")

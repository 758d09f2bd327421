"""Sampling from a network in pixel space, U-ViT or ViT: noise in, images out. The loop is that of `pipeline_drawing`.

Sources: kexue.fm archives/10047 and archives/10055; arXiv 2301.11093.
Shapes: B batch, C channels, H W rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from torch import Tensor

from .guidance_simple_diffusion import in_interval
from .loop_simple_diffusion import Upsampling
from .pipeline_drawing import DrawingPipeline, Network
from .settings_simple_diffusion import DrawingSettings, StepCallback


class SimpleDiffusionPipeline(DrawingPipeline, DiffusionPipeline):
    r"""Unconditional or class-conditional images from a `SimpleDiffusionUViT2DModel` or `SimpleDiffusionViT2DModel`.

    Args:
        unet ([`SimpleDiffusionUViT2DModel`] or [`SimpleDiffusionViT2DModel`]): the network.
        scheduler ([`ShiftedCosineScheduler`], [`ShiftedFlowScheduler`], or a scheduler of diffusers that was made from
            the config of either): the sampler. Its prediction is that of the network, and one that replaces it later
            must have the same.
        id2label (`dict[int, str]`, optional): names of the classes.
        guidance_unet (a network of either kind, optional): a weaker model (fewer steps, smaller) for autoguidance
            (arXiv 2406.02507). A pipeline saved with one guides with it;
            `from_pretrained(..., guidance_unet=None)` leaves it out.
        guidance_scale (`float`): how strongly calls guide unless they say otherwise; 1 is not at all.
        guidance_unet_share (`float`): how much, from 0 to 1, of what images move away from is drawn by the
            guidance_unet; the rest by the network itself without a class. 1 is autoguidance, 0 guidance by the class.
        num_inference_steps (`int`, optional): steps of calls unless they say otherwise; None: 64.

    The networks are put into evaluation mode here, once; calls leave the mode alone, so that threads may share them.

    Raises:
        ValueError: for a guidance_scale or guidance_unet_share that is no number or out of range, or a network that
            predicts another kind than the scheduler takes.
    """

    def __call__(
        self,
        batch_size: int = 1,
        class_labels: int | str | Sequence[int | str] | Tensor | None = None,
        guidance_scale: float | None = None,
        guidance_interval: tuple[float, float] | None = None,
        guidance_unet: Network | None = None,
        guidance_unet_share: float | None = None,
        upsample_factor: int = 1,
        upsample_guidance_scale: float = 1.2,
        upsample_guidance_interval: tuple[float, float] | None = (-float("inf"), 0.0),
        height: int | None = None,
        width: int | None = None,
        reshift: Literal["auto", "off"] = "auto",
        num_inference_steps: int | None = None,
        eta: float | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: StepCallback = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        num_images_per_label: int = 1,
    ) -> Any:
        """Generate images.

        Args:
            batch_size: how many; the number of `class_labels` or `latents` where those are given.
            class_labels: one name or index per image, or one for all. None draws without a class. A name is matched
                exactly, else without regard to case.
            guidance_scale: w of weak + w (strong - weak), where weak is the guidance_unet, or the network itself
                without a class, or a mean of both; 1 is off and costs one network call per step, else two or, for a
                mean, three. None: as the pipeline was saved.
            guidance_interval: (low, high) in logSNR where guidance acts; None is everywhere.
            guidance_unet: a weaker model in place of the pipeline's own one.
            guidance_unet_share: weight of the guidance_unet in the mean of both, from 0 to 1, whose other part is the
                network itself without a class; None: as the pipeline was saved.
            upsample_factor: sample at this multiple of `sample_size`, steered by the prediction at `sample_size`,
                without training (archives/10055).
            upsample_guidance_scale: 1 + w of the article.
            upsample_guidance_interval: logSNR of the large image where the steering acts; only in the noisy phase.
            height, width: pixels; default `sample_size * upsample_factor`, or those of the latents.
            reshift: "auto" moves the schedule to the size that is asked for by `height`, `width`, `upsample_factor`
                or `latents`, if it is not made for as many pixels: logSNR lowered by 2 log of the ratio of sides.
                "off" samples with the schedule as it is.
            num_inference_steps: network evaluations; None: as the pipeline was saved, else 64.
            eta: passed on to schedulers whose `step` takes it: 1 ancestral, 0 DDIM.
            generator: one, or one per image: makes the images reproducible, whatever the scheduler class.
            latents (B, C, H, W): start noise of unit variance, drawn from `generator` by default.
            output_type: `"pil"`, `"np"` (B, H, W, C) in [0, 1], or `"pt"` (B, C, H, W) in [0, 1].
            return_dict: False returns a plain tuple.
            callback_on_step_end: called as (pipeline, step, timestep, tensors) after each step; may return new
                latents, in any floating dtype. Callbacks of diffusers name the tensors that they take themselves.
            callback_on_step_end_tensor_inputs: tensors handed to it; `"latents"` is the only one.
            num_images_per_label: images for each of the `batch_size` or `class_labels`, next to each other.

        Returns:
            `ImagePipelineOutput` with `.images`.

        Raises:
            ValueError: for invalid arguments, or a scheduler that cannot drive this network.
        """
        if upsample_factor < 1 or upsample_factor != int(upsample_factor):
            raise ValueError(f"upsample_factor must be a positive integer, got {upsample_factor}.")
        in_interval(0.0, upsample_guidance_interval)  # refuses an empty one
        settings = DrawingSettings(
            batch_size=batch_size, class_labels=class_labels, guidance_scale=guidance_scale,
            guidance_interval=guidance_interval, guidance_unet=guidance_unet, guidance_unet_share=guidance_unet_share,
            reshift=reshift, num_inference_steps=num_inference_steps, eta=eta, generator=generator, latents=latents,
            output_type=output_type, return_dict=return_dict, callback_on_step_end=callback_on_step_end,
            callback_on_step_end_tensor_inputs=callback_on_step_end_tensor_inputs,
            num_images_per_label=num_images_per_label,
        )  # fmt: skip
        upsampling = Upsampling(int(upsample_factor), upsample_guidance_scale, upsample_guidance_interval)
        return self._draw(settings.resolved(), height=height, width=width, upsampling=upsampling)

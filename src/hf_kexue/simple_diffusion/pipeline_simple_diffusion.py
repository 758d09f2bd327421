"""Sampling from a network in pixel space, U-ViT or ViT: noise in, images out, the loop in sight.

Works with `ShiftedCosineScheduler`, `ShiftedFlowScheduler` and, through `from_config`, with Karras-family and flow
schedulers of diffusers: the network is conditioned on logSNR, which each of them has (`schedulers_simple_diffusion`).

A few lines longer than 350: a third describes the arguments of a call, which are those of pipelines of diffusers.

Sources: kexue.fm archives/10047 and archives/10055; arXiv 2301.11093.
Shapes: B batch, C channels, H W rows and columns.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import torch
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from diffusers.pipelines.pipeline_utils import DiffusionPipeline, ImagePipelineOutput
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from .checks_simple_diffusion import require_one_of
from .guidance_simple_diffusion import extrapolate, in_interval, output_from_sample, predict_sample, upsample_guidance
from .modeling_uvit import SimpleDiffusionUViT2DModel
from .modeling_vit import SimpleDiffusionViT2DModel
from .pipeline_from_hub import PipelineFromHub
from .reshift_simple_diffusion import reshifted
from .schedulers_simple_diffusion import (
    check_prediction,
    check_scheduler,
    check_size,
    logsnr_of,
    network_input,
    network_prediction,
    output_for_step,
    set_stride,
    start_sampling,
)
from .scheduling_shifted_cosine import ShiftedCosineScheduler
from .scheduling_shifted_flow import ShiftedFlowScheduler

Network = SimpleDiffusionUViT2DModel | SimpleDiffusionViT2DModel


class SimpleDiffusionPipeline(PipelineFromHub, DiffusionPipeline):
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

    _own_classes = (
        *(SimpleDiffusionUViT2DModel, SimpleDiffusionViT2DModel),
        *(ShiftedCosineScheduler, ShiftedFlowScheduler),
    )
    _optional_components = ["guidance_unet"]  # noqa: RUF012 - the form diffusers reads
    model_cpu_offload_seq = "unet->guidance_unet"
    _callback_tensor_inputs = ["latents"]  # noqa: RUF012 - the form diffusers reads

    def __init__(
        self,
        unet: Network,
        scheduler: SchedulerMixin,
        id2label: dict[int, str] | dict[str, str] | None = None,
        guidance_unet: Network | None = None,
        guidance_scale: float = 1.0,
        guidance_unet_share: float = 1.0,
        num_inference_steps: int | None = None,
    ) -> None:
        super().__init__()
        _check_guidance(guidance_scale, guidance_unet_share)
        for network in (unet, guidance_unet):
            if isinstance(network, torch.nn.Module):
                network.eval()
            if scheduler is not None:
                check_prediction(network, scheduler)
        self.register_modules(unet=unet, scheduler=scheduler, guidance_unet=guidance_unet)
        self.register_to_config(id2label={str(k): v for k, v in id2label.items()} if id2label else None)
        self.register_to_config(guidance_scale=guidance_scale, guidance_unet_share=guidance_unet_share)
        self.register_to_config(num_inference_steps=num_inference_steps)
        self._prediction_at_start = None if scheduler is None else network_prediction(scheduler)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in the order of their indices; empty if the pipeline has none."""
        id2label = self.config.id2label or {}
        return [id2label[key] for key in sorted(id2label, key=int)]

    def label_ids(self, class_labels: Sequence[int | str] | Tensor) -> Tensor:
        """Class names or indices -> (B,) int64.

        Raises:
            ValueError: for a name or an index that this pipeline does not know.
        """
        num_classes = self.unet.config.num_class_embeds
        if num_classes is None:
            raise ValueError("class_labels were given, but this model was trained without classes.")
        values = class_labels.tolist() if isinstance(class_labels, Tensor) else list(class_labels)
        names = self.class_names
        ids = []
        for value in values:
            index = int(value) if isinstance(value, Integral) else None
            if isinstance(value, str):  # the exact name first, then the only one that differs in case alone
                exact = [i for i, name in enumerate(names) if name == value]
                found = exact or [i for i, name in enumerate(names) if name.lower() == value.lower()]
                index = found[0] if len(found) == 1 else None
            if index is None or not 0 <= index <= num_classes:
                known = ", ".join(names) or f"0 to {num_classes - 1}"
                raise ValueError(f"Unknown class {value!r}; this model knows {known} (index {num_classes}: no class).")
            ids.append(int(index))
        return torch.tensor(ids, dtype=torch.int64)

    @property
    def guidance_scale(self) -> float:
        """Of the running call; a callback that sets `_guidance_scale` to 1 ends the guidance."""
        return self._guidance_scale

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether the running call guides."""
        return self._guidance_scale != 1.0

    @property
    def num_timesteps(self) -> int:
        """Steps of the running or the last call."""
        return self._num_timesteps

    @property
    def interrupt(self) -> bool:
        """Set `_interrupt` in a callback: the remaining steps are skipped and the latents returned as they are."""
        return self._interrupt

    def _check_inputs(
        self,
        batch_size: int,
        num_images_per_label: int,
        guidance_scale: float,
        guidance_unet: Network | None,
        guidance_unet_share: float,
        upsample_factor: int,
        output_type: str,
        reshift: str,
        height: int | None,
        width: int | None,
    ) -> None:
        check_scheduler(self.scheduler, self._prediction_at_start)
        for network in (self.unet, guidance_unet):
            check_prediction(network, self.scheduler)
        check_size(getattr(self.unet, "total_stride", 1), height=height, width=width)
        require_one_of("reshift", reshift, ("auto", "off"))
        _check_guidance(guidance_scale, guidance_unet_share)
        if not isinstance(num_images_per_label, Integral) or num_images_per_label < 1:
            raise ValueError(f"num_images_per_label must be a positive integer, got {num_images_per_label!r}.")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        if output_type not in ("pil", "np", "pt"):
            raise ValueError(f'output_type must be "pil", "np" or "pt", got {output_type!r}.')
        takes_scale = bool(self.unet.config.get("guidance_embedding"))
        if takes_scale and guidance_unet is not None:
            raise ValueError("This network takes guidance_scale as an input: a guidance_unet has no use.")
        weaker = guidance_unet is not None or self.unet.config.num_class_embeds is not None
        if guidance_scale != 1.0 and not weaker and not takes_scale:
            raise ValueError(
                "guidance_scale needs a model with classes or a weaker one as guidance_unet; this one has no classes."
            )
        if upsample_factor < 1 or upsample_factor != int(upsample_factor):
            raise ValueError(f"upsample_factor must be a positive integer, got {upsample_factor}.")

    @torch.no_grad()
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
        callback_on_step_end: Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]
        | PipelineCallback
        | MultiPipelineCallbacks
        | None = None,
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
        if isinstance(class_labels, Tensor | np.ndarray):
            class_labels = class_labels.tolist()
        if isinstance(class_labels, int | np.integer | str):
            count = batch_size if latents is None else len(latents) // max(1, num_images_per_label)
            class_labels = [class_labels] * count
        if class_labels is not None:
            batch_size = len(class_labels)
        elif latents is not None:
            batch_size, num_images_per_label = len(latents), 1
        guidance_unet = guidance_unet or self.guidance_unet
        if guidance_scale is None:
            guidance_scale = self.config.guidance_scale
        if guidance_unet_share is None:
            guidance_unet_share = self.config.guidance_unet_share
        self._check_inputs(
            batch_size, num_images_per_label, guidance_scale, guidance_unet, guidance_unet_share, upsample_factor,
            output_type, reshift, height, width,
        )  # fmt: skip
        batch_size *= num_images_per_label
        if isinstance(callback_on_step_end, PipelineCallback | MultiPipelineCallbacks):
            callback_on_step_end_tensor_inputs = callback_on_step_end.tensor_inputs
        if set(callback_on_step_end_tensor_inputs) - {"latents"}:
            raise ValueError(f'Callbacks get "latents" alone, not {list(callback_on_step_end_tensor_inputs)}.')
        if isinstance(generator, list) and len(generator) not in (1, batch_size):
            raise ValueError(f"{len(generator)} generators for {batch_size} images were given; give one, or one each.")
        in_interval(0.0, guidance_interval), in_interval(0.0, upsample_guidance_interval)  # refuse empty ones early
        device, dtype = self._execution_device, self.unet.dtype
        upsample_factor = int(upsample_factor)
        side = self.unet.config.sample_size * upsample_factor
        shape = (batch_size, self.unet.config.in_channels, height or side, width or side)
        if latents is None:
            latents = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)
        elif latents.ndim != 4 or latents.shape[0] != batch_size or latents.shape[1] != shape[1]:
            raise ValueError(f"latents must have the shape {shape}, got {tuple(latents.shape)}.")
        scheduler, side = self.scheduler, self.unet.config.sample_size
        if reshift == "auto" and (height or width or latents.shape[-2:] != (side, side)):
            scheduler = reshifted(scheduler, *latents.shape[-2:])
        labels = None
        if class_labels is not None:
            labels = self.label_ids(class_labels).repeat_interleave(num_images_per_label).to(device)
        self._guidance_scale, self._interrupt = guidance_scale, False

        # Sampling arithmetic stays in float32: sigma-space schedulers start at sigmas in the thousands.
        steps = (self.config.num_inference_steps or 64) if num_inference_steps is None else num_inference_steps
        timesteps = start_sampling(scheduler, steps, device, generator)
        self._num_timesteps = len(timesteps)
        latents = latents.to(device, torch.float32) * getattr(scheduler, "init_noise_sigma", 1.0)
        accepted = inspect.signature(scheduler.step).parameters
        # The own scheduler takes the noise from the clipped sample; DDIM does so where it is asked to.
        step_options = {"generator": generator, "eta": eta, "use_clipped_model_output": True}
        step_options = {key: value for key, value in step_options.items() if key in accepted and value is not None}
        prediction_type = network_prediction(scheduler)
        distilled = bool(self.unet.config.get("guidance_embedding"))

        def predict(x_t: Tensor, logsnr: Tensor) -> Tensor:
            """Guided model output, float32 (B, C, H, W)."""
            x_t, logsnr_batch = x_t.to(dtype), logsnr.to(x_t.device).expand(len(x_t))
            guided = self.guidance_scale != 1.0 and in_interval(float(logsnr), guidance_interval)
            if distilled:  # into one call
                scale = self.guidance_scale if guided else 1.0
                return self.unet(x_t, logsnr_batch, labels, guidance_scale=scale).sample.float()
            if not guided or (guidance_unet is None and labels is None):
                return self.unet(x_t, logsnr_batch, labels).sample.float()
            share = 0.0 if guidance_unet is None else guidance_unet_share
            if labels is None or share == 1:  # nothing that the network itself could be guided by
                positive = negative = self.unet(x_t, logsnr_batch, labels).sample.float()
            else:
                null = torch.full_like(labels, self.unet.config.num_class_embeds)
                both = self.unet(torch.cat([x_t, x_t]), logsnr_batch.repeat(2), torch.cat([labels, null])).sample
                positive, negative = both.float().chunk(2)
            if guidance_unet is not None and share > 0:
                weak = guidance_unet(x_t.to(guidance_unet.dtype), logsnr_batch, labels).sample.float()
                negative = torch.lerp(negative, weak, share)
            return extrapolate(positive, negative, self.guidance_scale)

        def denoise(x_t: Tensor, logsnr: Tensor) -> Tensor:
            x_0 = predict_sample(predict(x_t, logsnr), x_t, logsnr, prediction_type)
            return x_0.clamp(-1, 1) if scheduler.config.get("clip_sample") else x_0

        with self.progress_bar(total=len(timesteps)) as progress_bar:
            for i, t in enumerate(timesteps):
                if self.interrupt:
                    continue
                logsnr = logsnr_of(scheduler, t, i)
                set_stride(scheduler, timesteps, i)
                model_input = network_input(scheduler, latents, t, logsnr)
                if upsample_factor > 1 and in_interval(float(logsnr), upsample_guidance_interval):
                    x_0 = upsample_guidance(denoise, model_input, logsnr, upsample_factor, upsample_guidance_scale)
                    model_output = output_from_sample(x_0, model_input, logsnr, prediction_type)
                else:
                    model_output = predict(model_input, logsnr)
                model_output = output_for_step(scheduler, model_output, model_input, latents, logsnr, i)
                latents = scheduler.step(model_output, t, latents, **step_options).prev_sample
                if callback_on_step_end is not None:
                    tensors = dict.fromkeys(callback_on_step_end_tensor_inputs, latents)  # no name but "latents"
                    latents = (callback_on_step_end(self, i, t, tensors) or {}).pop("latents", latents)
                    latents = latents.to(device, torch.float32)
                progress_bar.update()

        images: Any = (latents / 2 + 0.5).clamp(0, 1)
        if output_type != "pt":
            images = images.permute(0, 2, 3, 1).cpu().numpy().astype(np.float32)  # (B, H, W, C)
        if output_type == "pil":
            images = self.numpy_to_pil(images)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if return_dict else (images,)


def _check_guidance(guidance_scale: float, guidance_unet_share: float) -> None:
    for name, value in (("guidance_scale", guidance_scale), ("guidance_unet_share", guidance_unet_share)):
        if not isinstance(value, Real) or isinstance(value, bool) or value != value:
            raise ValueError(f"{name} must be a number, got {value!r}.")
    if not 0 <= guidance_unet_share <= 1:
        raise ValueError(f"guidance_unet_share must lie in [0, 1], got {guidance_unet_share}.")

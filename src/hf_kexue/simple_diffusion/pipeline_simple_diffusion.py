"""Sampling from a pixel-space U-ViT: noise in, images out, the loop in sight.

Works with `ShiftedCosineScheduler` and, through `from_config`, with the Karras-family schedulers of diffusers: the
network is conditioned on logSNR, which every one of them can tell from its `alphas_cumprod`.

Sources: kexue.fm archives/10047 and archives/10055; arXiv 2301.11093.
Shapes: B batch, C channels, H W rows and columns.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline, ImagePipelineOutput
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from .guidance_simple_diffusion import extrapolate, in_interval, output_from_sample, predict_sample, upsample_guidance
from .modeling_uvit import SimpleDiffusionUViT2DModel
from .pipeline_from_hub import PipelineFromHub
from .scheduling_shifted_cosine import ShiftedCosineScheduler


class SimpleDiffusionPipeline(PipelineFromHub, DiffusionPipeline):
    r"""Unconditional or class-conditional images from a `SimpleDiffusionUViT2DModel`.

    Args:
        unet ([`SimpleDiffusionUViT2DModel`]): the network.
        scheduler ([`ShiftedCosineScheduler`] or a Karras-family scheduler made from its config): the sampler.
        id2label (`dict[int, str]`, optional): names of the classes.
        guidance_unet ([`SimpleDiffusionUViT2DModel`], optional): a weaker model (fewer steps, smaller) for
            autoguidance (arXiv 2406.02507). A pipeline saved with one guides with it;
            `from_pretrained(..., guidance_unet=None)` leaves it out.
        guidance_scale (`float`): how strongly calls guide unless they say otherwise; 1 is not at all.
        guidance_unet_share (`float`): how much, from 0 to 1, of what images move away from is drawn by the
            guidance_unet; the rest by the network itself without a class. 1 is autoguidance, 0 guidance by the class.
    """

    _own_classes = (SimpleDiffusionUViT2DModel, ShiftedCosineScheduler)
    _optional_components = ["guidance_unet"]  # noqa: RUF012 - the form diffusers reads
    model_cpu_offload_seq = "unet->guidance_unet"
    _callback_tensor_inputs = ["latents"]  # noqa: RUF012 - the form diffusers reads

    def __init__(
        self,
        unet: SimpleDiffusionUViT2DModel,
        scheduler: SchedulerMixin,
        id2label: dict[int, str] | dict[str, str] | None = None,
        guidance_unet: SimpleDiffusionUViT2DModel | None = None,
        guidance_scale: float = 1.0,
        guidance_unet_share: float = 1.0,
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler, guidance_unet=guidance_unet)
        self.register_to_config(id2label={str(k): v for k, v in id2label.items()} if id2label else None)
        self.register_to_config(guidance_scale=guidance_scale, guidance_unet_share=guidance_unet_share)

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
        by_name = {name.lower(): index for index, name in enumerate(self.class_names)}
        ids = []
        for value in values:
            index = by_name.get(value.lower()) if isinstance(value, str) else int(value)
            if index is None or not 0 <= index <= num_classes:
                known = ", ".join(self.class_names) or f"0 to {num_classes - 1}"
                raise ValueError(f"Unknown class {value!r}; this model knows {known} (index {num_classes}: no class).")
            ids.append(index)
        return torch.tensor(ids, dtype=torch.int64)

    def _logsnr(self, timestep: Tensor) -> Tensor:
        """logSNR at a timestep, whole or (Karras sigmas) fractional, from whatever scheduler is plugged in: scalar
        float32."""
        if hasattr(self.scheduler, "logsnr_at"):
            return self.scheduler.logsnr_at(timestep.long()).float()
        alphas_cumprod = self.scheduler.alphas_cumprod.double().cpu()
        table = torch.log(alphas_cumprod) - torch.log1p(-alphas_cumprod)
        position = timestep.double().cpu().clamp(0, len(table) - 1)
        low = position.floor().long().clamp(max=len(table) - 2)
        return torch.lerp(table[low], table[low + 1], position - low).float()

    def _check_inputs(
        self,
        batch_size: int,
        guidance_scale: float,
        guidance_unet: SimpleDiffusionUViT2DModel | None,
        guidance_unet_share: float,
        upsample_factor: int,
        output_type: str,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        if output_type not in ("pil", "np", "pt"):
            raise ValueError(f'output_type must be "pil", "np" or "pt", got {output_type!r}.')
        if guidance_scale != 1.0 and guidance_unet is None and self.unet.config.num_class_embeds is None:
            raise ValueError(
                "guidance_scale needs a model with classes or a weaker one as guidance_unet; this one has no classes."
            )
        if not 0 <= guidance_unet_share <= 1:
            raise ValueError(f"guidance_unet_share is a share from 0 to 1, got {guidance_unet_share}.")
        if upsample_factor < 1 or upsample_factor != int(upsample_factor):
            raise ValueError(f"upsample_factor must be a positive integer, got {upsample_factor}.")

    @torch.no_grad()
    def __call__(
        self,
        batch_size: int = 1,
        class_labels: int | str | Sequence[int | str] | Tensor | None = None,
        guidance_scale: float | None = None,
        guidance_interval: tuple[float, float] | None = None,
        guidance_unet: SimpleDiffusionUViT2DModel | None = None,
        guidance_unet_share: float | None = None,
        upsample_factor: int = 1,
        upsample_guidance_scale: float = 1.2,
        upsample_guidance_interval: tuple[float, float] | None = (-float("inf"), 0.0),
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        eta: float | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> Any:
        """Draw images.

        Args:
            batch_size: how many; the number of `class_labels` or `latents` where those are given.
            class_labels: one name or index per image, or one for all. None draws without a class.
            guidance_scale: w of weak + w (strong - weak), where weak is the guidance_unet, or the network itself
                without a class, or a mean of both; 1 is off and costs one network call per step, else two or, for a
                mean, three. None: as the pipeline was saved.
            guidance_interval: (low, high) in logSNR where guidance acts; None is everywhere.
            guidance_unet: a weaker model in place of the pipeline's own one.
            guidance_unet_share: weight of the guidance_unet in the mean of both, from 0 to 1, whose other part is the
                network itself without a class; None: as the pipeline was saved.
            upsample_factor: sample at this multiple of `sample_size`, steered by the prediction at `sample_size`,
                without training (archives/10055). The scheduler must have the schedule of the large size.
            upsample_guidance_scale: 1 + w of the article.
            upsample_guidance_interval: logSNR of the large image where the steering acts; only in the noisy phase.
            height, width: pixels; default `sample_size * upsample_factor`.
            num_inference_steps: network evaluations, default 64.
            eta: passed on to schedulers whose `step` takes it: 1 ancestral, 0 DDIM.
            generator: one, or one per image: makes the images reproducible.
            latents (B, C, H, W): start noise of unit variance, drawn from `generator` by default.
            output_type: `"pil"`, `"np"` (B, H, W, C) in [0, 1], or `"pt"` (B, C, H, W) in [0, 1].
            return_dict: False returns a plain tuple.
            callback_on_step_end: called as (pipeline, step, timestep, tensors) after each step; may return new
                latents.
            callback_on_step_end_tensor_inputs: tensors handed to it; `"latents"` is the only one.

        Returns:
            `ImagePipelineOutput` with `.images`.

        Raises:
            ValueError: with a sentence, for input that cannot be met.
        """
        if isinstance(class_labels, (int, str)):
            class_labels = [class_labels] * batch_size
        if class_labels is not None:
            batch_size = len(class_labels)
        elif latents is not None:
            batch_size = len(latents)
        guidance_unet = guidance_unet or self.guidance_unet
        if guidance_scale is None:
            guidance_scale = self.config.guidance_scale
        if guidance_unet_share is None:
            guidance_unet_share = self.config.guidance_unet_share
        self._check_inputs(
            batch_size, guidance_scale, guidance_unet, guidance_unet_share, upsample_factor, output_type
        )
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
        labels = None if class_labels is None else self.label_ids(class_labels).to(device)

        # Sampling arithmetic stays in float32: sigma-space schedulers start at sigmas in the thousands.
        self.scheduler.set_timesteps(64 if num_inference_steps is None else num_inference_steps, device=device)
        if hasattr(self.scheduler, "set_begin_index"):  # Karras sigmas round to equal timesteps: a search would miss
            self.scheduler.set_begin_index(0)
        latents = latents.to(device, torch.float32) * self.scheduler.init_noise_sigma
        accepted = inspect.signature(self.scheduler.step).parameters
        step_options = {"generator": generator, "eta": eta}
        step_options = {key: value for key, value in step_options.items() if key in accepted and value is not None}
        prediction_type = self.scheduler.config.prediction_type

        def predict(x_t: Tensor, logsnr: Tensor) -> Tensor:
            """Guided model output, float32 (B, C, H, W)."""
            x_t, logsnr_batch = x_t.to(dtype), logsnr.to(x_t.device).expand(len(x_t))
            guided = guidance_scale != 1.0 and in_interval(float(logsnr), guidance_interval)
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
            return extrapolate(positive, negative, guidance_scale)

        def denoise(x_t: Tensor, logsnr: Tensor) -> Tensor:
            x_0 = predict_sample(predict(x_t, logsnr), x_t, logsnr, prediction_type)
            return x_0.clamp(-1, 1) if self.scheduler.config.get("clip_sample") else x_0

        with self.progress_bar(total=len(self.scheduler.timesteps)) as progress_bar:
            for i, t in enumerate(self.scheduler.timesteps):
                logsnr = self._logsnr(t)
                # Variance-exploding classes hand over x_t / sqrt(alphas_cumprod); scaling brings it back to unit
                # variance.
                model_input = self.scheduler.scale_model_input(latents, t)
                if upsample_factor > 1 and in_interval(float(logsnr), upsample_guidance_interval):
                    x_0 = upsample_guidance(denoise, model_input, logsnr, upsample_factor, upsample_guidance_scale)
                    model_output = output_from_sample(x_0, model_input, logsnr, prediction_type)
                else:
                    model_output = predict(model_input, logsnr)
                latents = self.scheduler.step(model_output, t, latents, **step_options).prev_sample
                if callback_on_step_end is not None:
                    tensors = dict.fromkeys(callback_on_step_end_tensor_inputs, latents)  # no name but "latents"
                    latents = (callback_on_step_end(self, i, t, tensors) or {}).pop("latents", latents)
                progress_bar.update()

        images: Any = (latents / 2 + 0.5).clamp(0, 1)
        if output_type != "pt":
            images = images.permute(0, 2, 3, 1).cpu().numpy().astype(np.float32)  # (B, H, W, C)
        if output_type == "pil":
            images = self.numpy_to_pil(images)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if return_dict else (images,)

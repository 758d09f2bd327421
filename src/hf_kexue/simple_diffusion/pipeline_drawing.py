"""What the pipelines of simple diffusion share: components, checks, and the loop from noise to images.

Works with `ShiftedCosineScheduler`, `ShiftedFlowScheduler` and, through `from_config`, with Karras-family and flow
schedulers of diffusers: the network is conditioned on logSNR, which each of them has (`schedulers_simple_diffusion`).

Shapes: B batch, C channels, H W rows and columns.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline, ImagePipelineOutput
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from .checks_simple_diffusion import require
from .conditions_simple_diffusion import Conditions, GuidedNetwork
from .config_warnings import without_config_warnings
from .loop_simple_diffusion import NO_UPSAMPLING, Known, SamplingLoop, Upsampling, copied
from .modeling_uvit import SimpleDiffusionUViT2DModel
from .modeling_vit import SimpleDiffusionViT2DModel
from .pipeline_from_hub import PipelineFromHub
from .reshift_simple_diffusion import reshifted
from .schedulers_simple_diffusion import (
    begin_later,
    check_prediction,
    check_repeatable,
    check_scheduler,
    check_size,
    network_prediction,
    start_sampling,
)
from .scheduling_shifted_cosine import ShiftedCosineScheduler
from .scheduling_shifted_flow import ShiftedFlowScheduler
from .settings_simple_diffusion import DrawingSettings, check_guidance

Network = SimpleDiffusionUViT2DModel | SimpleDiffusionViT2DModel
OWN_KEYS = {
    key for kind in (ShiftedCosineScheduler, ShiftedFlowScheduler) for key in inspect.signature(kind).parameters
}


class DrawingPipeline(PipelineFromHub, DiffusionPipeline):
    """Base of the pipelines of this family; see `SimpleDiffusionPipeline` for its arguments."""

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
        check_guidance(guidance_scale, guidance_unet_share)
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

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """As of `PipelineFromHub`, whose arguments and errors it has; a scheduler of diffusers that was made of one of
        this family keeps its keys, and diffusers does not warn of them."""
        with without_config_warnings(OWN_KEYS):
            return super().from_pretrained(pretrained_model_name_or_path, **kwargs)

    @classmethod
    def from_pipe(cls, pipeline: DiffusionPipeline, **kwargs: Any) -> Self:
        """A pipeline of this class with the components and settings of another, which it shares.

        Unlike that of diffusers it leaves the dtype of the networks alone, which are in use elsewhere.

        Args:
            pipeline: of this family.
            **kwargs: arguments of the constructor to replace, such as `scheduler`.

        Raises:
            ValueError: for components that this class has no use for, or that the other one lacks.
        """
        names, needed = inspect.signature(cls.__init__).parameters.keys() - {"self"}, cls._get_signature_keys(cls)[0]
        settings = {name: pipeline.config[name] for name in names & pipeline.config.keys()}
        parts = {name: part for name, part in pipeline.components.items() if name in names or part is not None}
        missing = set(needed) - {*parts, *kwargs, *cls._optional_components}
        made = f"A {cls.__name__} made of a {type(pipeline).__name__}"
        require(not missing, f"{made} lacks {', '.join(sorted(missing))}.")
        require(parts.keys() <= names, f"{made} has no use for {', '.join(sorted(parts.keys() - names))}.")
        return cls(**settings | parts | kwargs)

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

    @property
    def total_stride(self) -> int:
        """Pixels of which height and width must be multiples."""
        return int(getattr(self.unet, "total_stride", 1))

    @property
    def _has_conditions(self) -> bool:
        """Whether the network can be guided by itself without its condition."""
        return self.unet.config.num_class_embeds is not None

    def conditions(self, settings: DrawingSettings, device: torch.device) -> Conditions:
        """What the network is told of each image of a call, the one place that makes it.

        Raises:
            ValueError: for an unknown class.
        """
        if settings.class_labels is None:
            return Conditions()
        labels = self.label_ids(settings.class_labels)  # type: ignore[arg-type]
        labels = labels.repeat_interleave(settings.num_images_per_label).to(device)
        null = torch.full_like(labels, self.unet.config.num_class_embeds)
        return Conditions({"class_labels": labels}, {"class_labels": null})

    def _check_inputs(self, guidance_scale: float, guidance_unet: Any, sides: dict[str, int | None]) -> None:
        check_scheduler(self.scheduler, self._prediction_at_start)
        for network in (self.unet, guidance_unet):
            check_prediction(network, self.scheduler)
        check_size(self.total_stride, **sides)
        takes_scale = bool(self.unet.config.get("guidance_embedding"))
        if takes_scale and guidance_unet is not None:
            raise ValueError("This network takes guidance_scale as an input: a guidance_unet has no use.")
        weaker = guidance_unet is not None or self._has_conditions
        if guidance_scale != 1.0 and not weaker and not takes_scale:
            raise ValueError(
                "guidance_scale needs a model with classes or a weaker one as guidance_unet; this one has no classes."
            )

    @torch.no_grad()
    def _draw(
        self,
        settings: DrawingSettings,
        *,
        height: int | None = None,
        width: int | None = None,
        upsampling: Upsampling = NO_UPSAMPLING,
        known: Known | None = None,
        picture: Tensor | None = None,
        strength: float = 1.0,
    ) -> Any:
        """Draw images.

        Args:
            settings: resolved.
            height, width: pixels; None: those of the latents, else `sample_size` by the factor of `upsampling`.
            upsampling: see `SimpleDiffusionPipeline`.
            known: what is known of the images.
            picture (B, C, H, W): in [0, 1], where sampling begins if `strength` is below 1.
            strength: share of the steps to do.
        """
        scale = self.config.guidance_scale if settings.guidance_scale is None else settings.guidance_scale
        self._check_inputs(scale, settings.guidance_unet or self.guidance_unet, {"height": height, "width": width})
        device = self._execution_device
        noise_copy = copied(settings.generator, device)
        latents, scheduler = self._start_noise(settings, height, width, upsampling.factor, device)
        if known is not None and known.observation.is_empty:
            known = None
        if known is not None:
            derives = known.method == "gradient" and torch.is_inference_mode_enabled()
            require(not derives, 'method "gradient" needs derivatives: call it outside of torch.inference_mode().')
            if known.resampling > 1:
                check_repeatable(scheduler)
        network = self._network(settings, device)
        self._guidance_scale, self._interrupt = scale, False
        steps = settings.num_inference_steps
        steps = (self.config.num_inference_steps or 64) if steps is None else steps
        timesteps = start_sampling(scheduler, steps, device, settings.generator)
        first = begin_later(scheduler, timesteps, strength)
        self._num_timesteps = len(timesteps) - first
        loop = SamplingLoop(
            scheduler, timesteps, lambda x_t, logsnr: network(x_t, logsnr, self.guidance_scale),
            lambda x_t, logsnr: network(x_t, logsnr, 1.0), self._step_options(scheduler, settings),
            settings.generator, upsampling, known, noise_copy,
        )  # fmt: skip
        if picture is not None and first == len(timesteps):
            images = picture
        else:
            latents = loop.begun(latents, first, None if picture is None else 2.0 * picture - 1.0)
            images = (self._run(loop, latents, first, settings) / 2 + 0.5).clamp(0, 1)
        if known is not None:
            images = known.observation.fulfilled(images, eight_bits=settings.output_type == "pil")
        return self._output(images, settings)

    def _network(self, settings: DrawingSettings, device: torch.device) -> GuidedNetwork:
        share = settings.guidance_unet_share
        return GuidedNetwork(
            self.unet, self.conditions(settings, device), settings.guidance_unet or self.guidance_unet,
            self.config.guidance_unet_share if share is None else share, settings.guidance_interval,
        )  # fmt: skip

    @staticmethod
    def _step_options(scheduler: Any, settings: DrawingSettings) -> dict[str, Any]:
        accepted = inspect.signature(scheduler.step).parameters
        # The own scheduler takes the noise from the clipped sample; DDIM does so where it is asked to.
        options = {"generator": settings.generator, "eta": settings.eta, "use_clipped_model_output": True}
        return {key: value for key, value in options.items() if key in accepted and value is not None}

    def _start_noise(
        self, settings: DrawingSettings, height: int | None, width: int | None, factor: int, device: torch.device
    ) -> tuple[Tensor, Any]:
        """Noise (B, C, H, W) in float32, and the scheduler for its size."""
        side, latents = self.unet.config.sample_size * factor, settings.latents
        batch_size = settings.batch_size * settings.num_images_per_label
        shape = (batch_size, self.unet.config.in_channels, height or side, width or side)
        if latents is None:
            latents = randn_tensor(shape, generator=settings.generator, device=device, dtype=torch.float32)
        elif latents.ndim != 4 or latents.shape[0] != batch_size or latents.shape[1] != shape[1]:
            raise ValueError(f"latents must have the shape {shape}, got {tuple(latents.shape)}.")
        scheduler, side = self.scheduler, self.unet.config.sample_size
        if settings.reshift == "auto" and (height or width or latents.shape[-2:] != (side, side)):
            scheduler = reshifted(scheduler, *latents.shape[-2:])
        return latents.to(device, torch.float32), scheduler

    def _run(self, loop: SamplingLoop, latents: Tensor, first: int, settings: DrawingSettings) -> Tensor:
        """The loop from step `first` on."""
        callback: Any = settings.callback_on_step_end
        with self.progress_bar(total=self._num_timesteps) as progress_bar:
            for index in range(first, len(loop.timesteps)):
                if self.interrupt:
                    continue
                latents = loop.step(latents, index)
                if callback is not None:
                    tensors = dict.fromkeys(settings.callback_on_step_end_tensor_inputs, latents)  # only "latents"
                    returned = callback(self, index - first, loop.timesteps[index], tensors) or {}
                    latents = returned.pop("latents", latents).to(latents.device, torch.float32)
                progress_bar.update()
        return latents

    def _output(self, images: Any, settings: DrawingSettings) -> Any:
        if settings.output_type != "pt":
            images = images.permute(0, 2, 3, 1).cpu().numpy().astype(np.float32)  # (B, H, W, C)
        if settings.output_type == "pil":
            images = self.numpy_to_pil(images)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if settings.return_dict else (images,)

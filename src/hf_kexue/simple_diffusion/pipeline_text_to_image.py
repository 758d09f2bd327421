"""Images from prompts: the loop of `pipeline_drawing`, told by a text encoder what to draw.

Sources: kexue.fm archives/10047; arXiv 2301.11093; guidance by the empty prompt: arXiv 2207.12598.
Shapes: B prompts, N images a prompt, C channels, H W rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .checks_simple_diffusion import require
from .modeling_uvit import SimpleDiffusionUViT2DModel
from .pipeline_prompted import PromptedPipeline
from .settings_simple_diffusion import StepCallback


class SimpleDiffusionTextToImagePipeline(PromptedPipeline, DiffusionPipeline):
    r"""Images from prompts.

    Args:
        unet ([`SimpleDiffusionUViT2DModel`]): with `pooled_projection_dim`, `cross_attention_dim` or both.
        scheduler ([`ShiftedCosineScheduler`], [`ShiftedFlowScheduler`], or a scheduler of diffusers made from the
            config of either): the sampler.
        text_encoder ([`~transformers.PreTrainedModel`]): any encoder; its states go to the cross-attention, its
            pooled vector (else the mean of its states) beside logSNR.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]): of the encoder; `model_max_length` tokens are the
            longest prompt.
        guidance_unet, guidance_scale, guidance_unet_share, num_inference_steps: as of [`SimpleDiffusionPipeline`].
        id2label: not used here; kept so that the shared configuration loads.

    The networks are put into evaluation mode here, once.

    Raises:
        ValueError: for a network that takes no text, or widths that do not fit.
    """

    _optional_components = ["guidance_unet"]  # noqa: RUF012 - the form diffusers reads

    def __init__(
        self,
        unet: SimpleDiffusionUViT2DModel,
        scheduler: SchedulerMixin,
        text_encoder: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        id2label: dict[int, str] | dict[str, str] | None = None,
        guidance_unet: SimpleDiffusionUViT2DModel | None = None,
        guidance_scale: float = 1.0,
        guidance_unet_share: float = 1.0,
        num_inference_steps: int | None = None,
    ) -> None:
        super().__init__(
            unet, scheduler, id2label, guidance_unet, guidance_scale, guidance_unet_share, num_inference_steps,
            text_encoder, tokenizer,
        )  # fmt: skip
        if isinstance(unet, torch.nn.Module) and not self._doors(unet):
            raise ValueError("This network takes no text: it has no pooled_projection_dim and no cross_attention_dim.")

    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        num_images_per_prompt: int = 1,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_interval: tuple[float, float] | None = None,
        guidance_unet: SimpleDiffusionUViT2DModel | None = None,
        guidance_unet_share: float | None = None,
        reshift: Literal["auto", "off"] = "auto",
        eta: float | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        prompt_attention_mask: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        negative_prompt_attention_mask: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: StepCallback = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> Any:
        """Draw images.

        Args:
            prompt: what to draw, one text or several; an empty one stands for no prompt. None with embeddings.
            negative_prompt: what to move away from, one for all or one each; None: the empty prompt. Without effect
                where nothing is guided.
            num_images_per_prompt: images of each prompt, next to each other.
            height, width: pixels; None: those of the latents, else `sample_size`.
            num_inference_steps: network evaluations; None: as the pipeline was saved, else 64.
            guidance_scale: w of negative + w (prompt - negative); 1 is off and costs one network call per step, else
                two. None: as the pipeline was saved.
            guidance_interval, guidance_unet, guidance_unet_share, reshift, eta: as of [`SimpleDiffusionPipeline`].
            generator: one, or one per image.
            latents (B N, C, H, W): start noise of unit variance, drawn from `generator` by default.
            prompt_embeds, pooled_prompt_embeds, prompt_attention_mask: of `encode_prompt`, in place of the prompt; the
                network must get those that it has inputs for. Without a mask all tokens count.
            negative_prompt_embeds, negative_pooled_prompt_embeds, negative_prompt_attention_mask: in place of the
                negative prompt.
            output_type: `"pil"`, `"np"` (B N, H, W, C) in [0, 1], or `"pt"` (B N, C, H, W) in [0, 1].
            return_dict: False returns a plain tuple.
            callback_on_step_end, callback_on_step_end_tensor_inputs: as of [`SimpleDiffusionPipeline`].

        Returns:
            `ImagePipelineOutput` with `.images`.

        Raises:
            ValueError: for invalid arguments.
        """
        given = [part for part in (prompt, prompt_embeds, pooled_prompt_embeds) if part is not None]
        require(bool(given), "Give a prompt, or its embeddings; an empty prompt draws without one.")
        settings = self._settings({
            "prompt": prompt, "negative_prompt": negative_prompt, "num_images_per_prompt": num_images_per_prompt,
            "guidance_scale": guidance_scale, "guidance_interval": guidance_interval, "guidance_unet": guidance_unet,
            "guidance_unet_share": guidance_unet_share, "reshift": reshift,
            "num_inference_steps": num_inference_steps, "eta": eta, "generator": generator, "latents": latents,
            "prompt_embeds": prompt_embeds, "pooled_prompt_embeds": pooled_prompt_embeds,
            "prompt_attention_mask": prompt_attention_mask, "negative_prompt_embeds": negative_prompt_embeds,
            "negative_pooled_prompt_embeds": negative_pooled_prompt_embeds,
            "negative_prompt_attention_mask": negative_prompt_attention_mask, "output_type": output_type,
            "return_dict": return_dict, "callback_on_step_end": callback_on_step_end,
            "callback_on_step_end_tensor_inputs": callback_on_step_end_tensor_inputs,
        })  # fmt: skip
        return self._draw(settings, height=height, width=width)

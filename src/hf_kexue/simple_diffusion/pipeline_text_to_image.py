"""Images from prompts: the loop of `pipeline_drawing`, told by a text encoder what to draw.

Sources: kexue.fm archives/10047; arXiv 2301.11093; guidance by the empty prompt: arXiv 2207.12598.
Shapes: B prompts, N images a prompt, S tokens, T width of the encoder's states, P width of its vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Literal, cast

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .conditions_simple_diffusion import Conditions
from .modeling_uvit import SimpleDiffusionUViT2DModel
from .pipeline_drawing import DrawingPipeline
from .prompts_simple_diffusion import EncodedPrompts, check_prompts, encode_tokens, tokenize_prompts
from .settings_simple_diffusion import DrawingSettings, StepCallback

# Encoders of the package that a folder with code names by a file of its own, and where they are found instead.
ENCODERS = {
    "DGCNNModel": "hf_kexue.dgcnn.modeling_dgcnn",
    "DGCNNTokenizer": "hf_kexue.dgcnn.tokenization_dgcnn",
}


@dataclass(frozen=True)
class PromptSettings(DrawingSettings):
    """Settings of a call with the prompts of each image and what images move away from."""

    prompts: EncodedPrompts | None = None
    negative: EncodedPrompts | None = None


class SimpleDiffusionTextToImagePipeline(DrawingPipeline, DiffusionPipeline):
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

    model_cpu_offload_seq = "text_encoder->unet->guidance_unet"

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
            unet, scheduler, id2label, guidance_unet, guidance_scale, guidance_unet_share, num_inference_steps
        )
        if isinstance(unet, torch.nn.Module) and not self._doors(unet):
            raise ValueError("This network takes no text: it has no pooled_projection_dim and no cross_attention_dim.")
        if isinstance(text_encoder, torch.nn.Module):
            text_encoder.eval()
        self.register_modules(text_encoder=text_encoder, tokenizer=tokenizer)

    @staticmethod
    def _doors(unet: Any) -> dict[str, int]:
        """Widths of the inputs for text that the network has."""
        keys = ("pooled_projection_dim", "cross_attention_dim")
        return {key: unet.config[key] for key in keys if unet.config.get(key) is not None}

    @classmethod
    def load_config(cls, *args: Any, **kwargs: Any) -> Any:
        """As of the base, with the package's own encoders where it is installed."""
        loaded = super().load_config(*args, **kwargs)
        config = loaded[0] if isinstance(loaded, tuple) else loaded
        for key in ("text_encoder", "tokenizer"):
            module = ENCODERS.get((config.get(key) or [None])[-1])
            if module is not None and find_spec(module.partition(".")[0]) is not None:
                config[key] = [module, config[key][-1]]
        return loaded

    @property
    def _has_conditions(self) -> bool:
        return True  # of the empty prompt

    @torch.no_grad()
    def encode_prompt(self, prompt: str | Sequence[str]) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """What a call makes of prompts, for calls that get the same ones often.

        Args:
            prompt: one or several; an empty one stands for no prompt. Longer ones than the tokenizer's
                `model_max_length` are cut, which is logged.

        Returns:
            `prompt_embeds` (B, S, T), `pooled_prompt_embeds` (B, P) and `prompt_attention_mask` (B, S) bool.

        Raises:
            ValueError: for what is no text.
        """
        encoded = self._encoded("prompt", check_prompts("prompt", prompt), None, None, None)
        assert encoded is not None
        return encoded.states, encoded.pooled, encoded.mask

    def _encoded(
        self, name: str, prompt: Any, states: Tensor | None, pooled: Tensor | None, mask: Tensor | None
    ) -> EncodedPrompts | None:
        """Encoded texts, or given embeddings; None for neither.

        Raises:
            ValueError: for both, for what is no text, and for embeddings that the network cannot take.
        """
        if states is None and pooled is None and mask is None:
            if prompt is None:
                return None
            columns = tokenize_prompts(self.tokenizer, check_prompts(name, prompt))
            return encode_tokens(self.text_encoder, columns)
        if prompt is not None:
            raise ValueError(f"{name} and embeddings of it exclude each other: give one of them.")
        for key, part in (("pooled_projection_dim", pooled), ("cross_attention_dim", states)):
            width = self._doors(self.unet).get(key)
            if width is not None and (part is None or part.shape[-1] != width):
                got = "none" if part is None else tuple(part.shape)
                raise ValueError(f"The embeddings of {name} must have the width {width} ({key}), got {got}.")
        if states is not None and mask is None:
            mask = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        if states is not None and mask is not None and not bool(mask.bool().any(dim=1).all()):
            raise ValueError(f"The mask of {name} leaves a row without a token: keep one of the empty prompt.")
        if states is not None and pooled is not None and len(states) != len(pooled):
            raise ValueError(f"{len(states)} states and {len(pooled)} vectors of {name} were given.")
        return EncodedPrompts(states, None if mask is None or states is None else mask.bool(), pooled)

    def conditions(self, settings: DrawingSettings, device: torch.device) -> Conditions:
        """Text of each image, beside that of what it moves away from."""
        assert isinstance(settings, PromptSettings)
        assert settings.prompts is not None
        assert settings.negative is not None
        length = max(settings.prompts.length, settings.negative.length)
        sides = (text.padded(length).to(device, self.unet.dtype) for text in (settings.prompts, settings.negative))
        return Conditions(*map(self.network_inputs, sides))

    def network_inputs(self, text: EncodedPrompts) -> dict[str, Tensor]:
        """Keyword arguments of the network, those that it has inputs for."""
        doors, inputs = self._doors(self.unet), {}
        if "pooled_projection_dim" in doors and text.pooled is not None:
            inputs["pooled_projections"] = text.pooled
        if "cross_attention_dim" in doors and text.states is not None and text.mask is not None:
            inputs |= {"encoder_hidden_states": text.states, "encoder_attention_mask": text.mask}
        return inputs

    @torch.no_grad()
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
        prompts = self._encoded("prompt", prompt, prompt_embeds, pooled_prompt_embeds, prompt_attention_mask)
        if prompts is None:
            raise ValueError("Give a prompt, or its embeddings; an empty prompt draws without one.")
        negative = self._encoded(
            "negative_prompt", negative_prompt, negative_prompt_embeds, negative_pooled_prompt_embeds,
            negative_prompt_attention_mask,
        ) or self._encoded("negative_prompt", "", None, None, None)  # fmt: skip
        assert negative is not None
        count = len(prompts)
        if len(negative) not in (1, count):
            raise ValueError(f"{len(negative)} negative prompts for {count} prompts: give one, or one each.")
        settings = PromptSettings(
            batch_size=count, guidance_scale=guidance_scale, guidance_interval=guidance_interval,
            guidance_unet=guidance_unet, guidance_unet_share=guidance_unet_share, reshift=reshift,
            num_inference_steps=num_inference_steps, eta=eta, generator=generator, output_type=output_type,
            return_dict=return_dict, callback_on_step_end=callback_on_step_end,
            callback_on_step_end_tensor_inputs=callback_on_step_end_tensor_inputs,
            num_images_per_label=num_images_per_prompt,
        )  # fmt: skip
        if latents is not None and len(latents) != count * num_images_per_prompt:
            raise ValueError(f"{len(latents)} latents for {count * num_images_per_prompt} images were given.")
        drawing = replace(
            cast(PromptSettings, settings.resolved()), latents=latents,
            prompts=prompts.repeated(count, num_images_per_prompt),
            negative=negative.repeated(count, num_images_per_prompt),
        )  # fmt: skip
        return self._draw(drawing, height=height, width=width)

"""What pipelines share that may be told by words what to draw: text encoder, prompts of a call, embeddings.

Shapes: B prompts, S tokens, T width of the encoder's states, P width of its vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, Self

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .checks_simple_diffusion import require, require_positive
from .conditions_simple_diffusion import Conditions
from .pipeline_drawing import DrawingPipeline, Network
from .prompts_simple_diffusion import EncodedPrompts, check_prompts, encode_tokens, tokenize_prompts
from .settings_simple_diffusion import DrawingOptions, DrawingSettings

# Encoders of the package that a folder with code names by a file of its own, and where they are found instead.
ENCODERS = {
    "DGCNNModel": "hf_kexue.dgcnn.modeling_dgcnn",
    "DGCNNTokenizer": "hf_kexue.dgcnn.tokenization_dgcnn",
}
EMBEDDINGS = ("prompt_embeds", "pooled_prompt_embeds", "prompt_attention_mask")
OF_CLASSES = ("class_labels", "num_images_per_label")


class PromptOptions(DrawingOptions, total=False):
    """Options of drawing, and those of prompts; see `SimpleDiffusionTextToImagePipeline.__call__`."""

    prompt: str | Sequence[str] | None
    negative_prompt: str | Sequence[str] | None
    num_images_per_prompt: int
    prompt_embeds: Tensor | None
    pooled_prompt_embeds: Tensor | None
    prompt_attention_mask: Tensor | None
    negative_prompt_embeds: Tensor | None
    negative_pooled_prompt_embeds: Tensor | None
    negative_prompt_attention_mask: Tensor | None


OF_PROMPTS = tuple(PromptOptions.__annotations__.keys() - DrawingOptions.__annotations__.keys())


@dataclass(frozen=True)
class PromptSettings(DrawingSettings):
    """Settings of a call with its prompts and what images move away from; resolved, a row for each image."""

    prompts: EncodedPrompts = field(kw_only=True)
    negative: EncodedPrompts = field(kw_only=True)

    def resolved(self, pictures: int | None = None) -> Self:
        """As of the base; one prompt serves all pictures or a `batch_size`."""
        count, latents = len(self.prompts), self.latents
        plain = replace(self, latents=None, batch_size=count if count > 1 else self.batch_size)
        settings = super(PromptSettings, plain).resolved(pictures)
        rows, each = settings.batch_size, settings.num_images_per_label
        negative = len(self.negative)
        require(negative in (1, rows), f"{negative} negative prompts for {rows} prompts: give one, or one each.")
        fits = latents is None or len(latents) == rows * each
        require(fits, f"{0 if latents is None else len(latents)} latents for {rows * each} images were given.")
        return replace(
            settings, latents=latents, prompts=self.prompts.repeated(rows, each),
            negative=self.negative.repeated(rows, each),
        )  # fmt: skip


class PromptedPipeline(DrawingPipeline, DiffusionPipeline):
    """Base of the pipelines that take prompts where their network was trained with them, and classes elsewhere."""

    _optional_components = ["guidance_unet", "text_encoder", "tokenizer"]  # noqa: RUF012 - the form diffusers reads
    model_cpu_offload_seq = "text_encoder->unet->guidance_unet"

    def __init__(
        self,
        unet: Network,
        scheduler: SchedulerMixin,
        id2label: dict[int, str] | dict[str, str] | None = None,
        guidance_unet: Network | None = None,
        guidance_scale: float = 1.0,
        guidance_unet_share: float = 1.0,
        num_inference_steps: int | None = None,
        text_encoder: PreTrainedModel | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> None:
        super().__init__(
            unet, scheduler, id2label, guidance_unet, guidance_scale, guidance_unet_share, num_inference_steps
        )
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
        return bool(self._doors(self.unet)) or super()._has_conditions  # of the empty prompt

    @torch.no_grad()
    def encode_prompt(self, prompt: str | Sequence[str]) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """What a call makes of prompts, for calls that get the same ones often.

        Args:
            prompt: one or several; an empty one stands for no prompt. Longer ones than the tokenizer's
                `model_max_length` are cut, which is logged.

        Returns:
            `prompt_embeds` (B, S, T), `pooled_prompt_embeds` (B, P) and `prompt_attention_mask` (B, S) bool.

        Raises:
            ValueError: for what is no text, and for a pipeline without a text encoder.
        """
        encoded = self._encoded("prompt", prompt)
        return encoded.states, encoded.pooled, encoded.mask

    @torch.no_grad()
    def _settings(self, options: Mapping[str, Any], pictures: int | None = None) -> DrawingSettings:
        """Resolved settings of a call; no prompt is the empty one.

        Args:
            options: of `PromptOptions`.
            pictures: number of given pictures.

        Raises:
            ValueError: for a prompt of a network that takes none, a class of one that takes prompts, and what is
                wrong with either.
            TypeError: for an unknown option.
        """
        words = {key: value for key, value in options.items() if key in OF_PROMPTS and value is not None}
        others = {key: value for key, value in options.items() if key not in OF_PROMPTS}
        if not self._doors(self.unet):
            known = f"; it draws the classes {', '.join(self.class_names)}" if self.class_names else ""
            require(not words, f"{', '.join(words)} was given, but this model was trained without words{known}.")
            return DrawingSettings(**others).resolved(pictures)
        classes = [key for key in OF_CLASSES if others.get(key) is not None]
        require(not classes, f"{', '.join(classes)} was given, but this model draws what a prompt says: give prompt.")
        prompts, negative = (
            self._encoded(f"{side}prompt", words.get(f"{side}prompt"), *(words.get(side + key) for key in EMBEDDINGS))
            for side in ("", "negative_")
        )
        others["num_images_per_label"] = each = words.get("num_images_per_prompt", 1)
        require_positive("num_images_per_prompt", each, whole=True)
        return PromptSettings(**others, prompts=prompts, negative=negative).resolved(pictures)

    def _encoded(
        self,
        name: str,
        prompt: Any,
        states: Tensor | None = None,
        pooled: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> EncodedPrompts:
        """Encoded texts, or given embeddings; of neither, the empty text.

        Raises:
            ValueError: for both, for what is no text, and for embeddings that the network cannot take.
        """
        if states is None and pooled is None and mask is None:
            texts = check_prompts(name, "" if prompt is None else prompt)
            missing = [part for part in ("text_encoder", "tokenizer") if getattr(self, part) is None]
            require(not missing, f"This pipeline has no {' and no '.join(missing)}: give embeddings of {name}.")
            return encode_tokens(self.text_encoder, tokenize_prompts(self.tokenizer, texts))
        require(prompt is None, f"{name} and embeddings of it exclude each other: give one of them.")
        for what, part, axes in (("states", states, 3), ("vectors", pooled, 2), ("mask", mask, 2)):
            fits = part is None or (isinstance(part, Tensor) and part.ndim == axes)
            require(fits, f"The {what} of {name} must be a tensor with {axes} axes, see encode_prompt.")
        for key, part in (("pooled_projection_dim", pooled), ("cross_attention_dim", states)):
            width = self._doors(self.unet).get(key)
            if width is not None and (part is None or part.shape[-1] != width):
                got = "none" if part is None else tuple(part.shape)
                raise ValueError(f"The embeddings of {name} must have the width {width} ({key}), got {got}.")
        if states is not None and mask is None:
            mask = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        if states is not None and mask is not None:
            shapes = f"{tuple(mask.shape)}, its states {tuple(states.shape)}"
            require(mask.shape == states.shape[:2], f"The mask of {name} has the shape {shapes}; they do not fit.")
            real = bool(mask.bool().any(dim=1).all())
            require(real, f"The mask of {name} leaves a row without a token: keep one of the empty prompt.")
        if states is not None and pooled is not None and len(states) != len(pooled):
            raise ValueError(f"{len(states)} states and {len(pooled)} vectors of {name} were given.")
        return EncodedPrompts(states, None if mask is None or states is None else mask.bool(), pooled)

    def conditions(self, settings: DrawingSettings, device: torch.device) -> Conditions:
        """Text of each image beside that of what it moves away from, or its class."""
        if not isinstance(settings, PromptSettings):
            return super().conditions(settings, device)
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

"""Prompts -> what the network takes of them, with any text encoder of transformers.

Two doors: the states of the tokens for cross-attention, and one vector a prompt. An empty prompt, which stands for no
prompt at all, keeps one real token: a row that is masked whole is not masked in the attention of some libraries and
not a number in that of others. Where the tokenizer makes no token of it, its first place of padding counts as one.

Shapes: B prompts, S tokens, T width of the states, P width of the vectors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from logging import getLogger
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LONGEST = 512  # tokens, for a tokenizer that knows no limit


@dataclass(frozen=True)
class EncodedPrompts:
    """What an encoder makes of prompts; a network without cross-attention needs no states.

    Args:
        states (B, S, T): of the tokens, or None.
        mask (B, S): bool, True where a token is real, at least one a row; or None.
        pooled (B, P): one vector a prompt, or None.
    """

    states: Tensor | None
    mask: Tensor | None
    pooled: Tensor | None

    def __len__(self) -> int:
        return len(next(part for part in (self.states, self.pooled) if part is not None))

    @property
    def length(self) -> int:
        """S, or 0 without states."""
        return 0 if self.states is None else self.states.shape[1]

    def repeated(self, count: int, images: int = 1) -> EncodedPrompts:
        """The rows, or the only one `count` times, each for so many images next to each other."""
        times = count // len(self)
        return self._each(lambda part: part.repeat(times, *[1] * (part.ndim - 1)).repeat_interleave(images, dim=0))

    def padded(self, length: int) -> EncodedPrompts:
        """With S of at least `length`; what is added is masked."""
        if self.states is None or self.mask is None or self.length >= length:
            return self
        more = length - self.length
        return replace(self, states=F.pad(self.states, (0, 0, 0, more)), mask=F.pad(self.mask, (0, more)))

    def to(self, device: torch.device, dtype: torch.dtype) -> EncodedPrompts:
        """On another device, states and vectors in another precision."""
        return self._each(lambda part: part.to(device) if part.dtype == torch.bool else part.to(device, dtype))

    def _each(self, change: Callable[[Tensor], Tensor]) -> EncodedPrompts:
        parts = (self.states, self.mask, self.pooled)
        return EncodedPrompts(*(None if part is None else change(part) for part in parts))


def check_prompts(name: str, prompts: Any) -> list[str]:
    """A text or several as a list.

    Raises:
        ValueError: for anything else, and for none.
    """
    texts = [prompts] if isinstance(prompts, str) else prompts
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name} must be a text or a list of texts, got {prompts!r}.")
    return list(texts)


def tokenize_prompts(tokenizer: Any, prompts: Sequence[str], warn: bool = True) -> dict[str, Tensor]:
    """The columns of a tokenizer, cut to its `model_max_length` and padded to the longest prompt.

    Args:
        tokenizer: of transformers.
        prompts: at least one.
        warn: log what is cut off.
    """
    longest = min(tokenizer.model_max_length, LONGEST)
    options: dict[str, Any] = {"padding": True, "truncation": True, "max_length": longest, "return_tensors": "pt"}
    columns = dict(tokenizer(list(prompts), **options))
    if columns["input_ids"].shape[1] == 0:  # no prompt has a token
        options |= {"padding": "max_length", "max_length": 1}
        columns = dict(tokenizer(list(prompts), **options))
    mask = columns["attention_mask"].clone()
    place = -1 if tokenizer.padding_side == "left" else 0
    mask[:, place] = mask[:, place].masked_fill(mask.sum(dim=1) == 0, 1)
    columns["attention_mask"] = mask
    if warn and bool((mask.sum(dim=1) == longest).any()):
        for prompt in prompts:
            count = len(tokenizer(prompt, verbose=False)["input_ids"])
            if count > longest:
                getLogger(__name__).warning(
                    "A prompt has %d tokens and is cut to the first %d: %.80s...", count, longest, prompt
                )
    return columns


def encode_tokens(text_encoder: Any, columns: Mapping[str, Tensor]) -> EncodedPrompts:
    """States, mask and vectors of tokenized prompts. The vector is the encoder's `pooler_output`, else the
    mean of the states of real tokens.

    Args:
        text_encoder: of transformers.
        columns: of `tokenize_prompts`; the encoder gets those that it names.
    """
    known = inspect.signature(text_encoder.forward).parameters
    device = next(text_encoder.parameters()).device
    inputs = {name: column.to(device) for name, column in columns.items() if name in known}
    output = text_encoder(**inputs, return_dict=True)
    states = output.last_hidden_state
    mask = columns["attention_mask"].to(device) != 0
    pooled = output.get("pooler_output")
    if pooled is None:
        weight = mask.to(states.dtype)[..., None]
        pooled = (states * weight).sum(dim=1) / weight.sum(dim=1)
    return EncodedPrompts(states, mask, pooled)

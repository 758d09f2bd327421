"""Prompts -> what the network takes of them, with any text encoder of transformers.

Two doors: the states of the tokens for cross-attention, and one vector a prompt. An empty prompt, which stands for no
prompt at all, keeps one real token: a row that is masked whole is not masked in the attention of some libraries and
not a number in that of others. Where the tokenizer makes no token of it, its first place of padding counts as one.

Shapes: B prompts, S tokens, T width of the states, P width of the vectors.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)
LONGEST = 512  # tokens, for a tokenizer that knows no limit


@dataclass
class EncodedPrompts:
    """What an encoder makes of prompts.

    Args:
        states (B, S, T): of the tokens.
        mask (B, S): bool, True where a token is real; at least one a row.
        pooled (B, P): one vector a prompt.
    """

    states: Tensor
    mask: Tensor
    pooled: Tensor


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
                logger.warning("A prompt has %d tokens and is cut to the first %d: %.80s...", count, longest, prompt)
    return columns


def encode_tokens(text_encoder: Any, columns: Mapping[str, Tensor]) -> EncodedPrompts:
    """States, mask and vectors of tokenized prompts. The vector is the encoder's `pooler_output`, else its
    `text_embeds`, else the mean of the states of real tokens.

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
        pooled = output.get("text_embeds")
    if pooled is None:
        weight = mask.to(states.dtype)[..., None]
        pooled = (states * weight).sum(dim=1) / weight.sum(dim=1)
    return EncodedPrompts(states, mask, pooled)


def encode_prompts(tokenizer: Any, text_encoder: Any, prompts: Sequence[str]) -> EncodedPrompts:
    """Tokenize and encode; see `tokenize_prompts` and `encode_tokens`."""
    with torch.no_grad():
        return encode_tokens(text_encoder, tokenize_prompts(tokenizer, prompts))

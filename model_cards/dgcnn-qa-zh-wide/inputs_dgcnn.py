"""What the pipelines of the DGCNN share: what they refuse, and batches of columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .text_checks_dgcnn import check_text, is_blank

CHARACTERS_WITH_PROGRESS = 50_000

Columns = dict[str, NDArray[Any]]


def is_sequence(values: Any) -> bool:
    """A list of any kind, which a string is not."""
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


def check_names(settings: Mapping[str, Any], known: Sequence[str]) -> None:
    """That there are settings of these names.

    Raises:
        TypeError: naming one that there is not.
    """
    for name in sorted(settings.keys() - set(known)):
        raise TypeError(f"There is no setting {name!r}; there are {', '.join(known)}.")


def check_integer(name: str, value: Any, least: int) -> None:
    """An integer that is large enough.

    Raises:
        TypeError, ValueError: naming the setting.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}.")


def check_content(text: Any, where: str) -> None:
    """A string of which something makes a token.

    Raises:
        TypeError, ValueError: beginning with `where`.
    """
    where = where[0].upper() + where[1:]
    check_text(text, where)
    if is_blank(text):
        raise ValueError(f"{where} is empty or only white space: {text[:20]!r}.")


def check_vocabularies(model: Any, tokenizer: Any) -> None:
    """That model and tokenizer have the same characters and words.

    Raises:
        TypeError, ValueError: where the tokenizer is another, or the two do not belong together.
    """
    if not hasattr(tokenizer, "segment"):
        raise TypeError(f"The tokenizer must be a DGCNNTokenizer, got {type(tokenizer).__name__}.")
    config = model.config
    for kind, size, room in (
        ("characters", len(tokenizer), config.vocab_size),
        ("words", tokenizer.word_vocab_size, config.word_vocab_size),
    ):
        if room and not 0 < size <= room:
            raise ValueError(f"The tokenizer knows {size} {kind}, the model {room}: they do not belong together.")


def padded(rows: Sequence[Columns]) -> dict[str, Tensor]:
    """Columns of several texts as tensors (B, L, ...), zeros after the end of each, and an attention mask unless all
    are of one length."""
    lengths = [len(row["input_ids"]) for row in rows]
    batch = {}
    if len(set(lengths)) > 1:
        batch["attention_mask"] = pad_sequence([torch.ones(size, dtype=torch.long) for size in lengths], True)
    for name in rows[0]:
        batch[name] = pad_sequence([torch.from_numpy(np.asarray(row[name])) for row in rows], batch_first=True)
    return batch

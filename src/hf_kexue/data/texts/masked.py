"""Batches for a masked language model over characters, with whole-word masking.

    windows = TextWindows(texts, max_characters=256, seed=0)
    loader = DataLoader(windows, 32, collate_fn=MaskingCollator(tokenizer))
    next(iter(loader))  # input_ids, attention_mask, word_input_ids, labels

For a model with word embeddings, the word of a masked character is [UNK], since its vector would reveal the answer. A
sample depends on (seed, epoch, index) only, so a resumed run sees the same samples as an uninterrupted one, and a
validation without `set_epoch` sees the same samples at each call.

Source: J. Devlin et al. 2018, "BERT", section 3.1 (shares); whole words as in Y. Cui et al. 2019, "Pre-Training with
Whole Word Masking for Chinese BERT", section 2.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..epochs import EpochDataset

NOT_NAMED = -100  # the label that the loss ignores
UNKNOWN_WORD = 1  # row of [UNK] among the word ids
SHARE_OF_MASKS, SHARE_OF_RANDOM = 0.8, 0.1  # of the chosen characters; the others stay


@dataclass
class TextWindow:
    """A piece of a text.

    Args:
        text: characters.
        seed: of the collator's random draws for this piece.
    """

    text: str
    seed: int


class TextWindows(EpochDataset):
    """All texts in pieces, once an epoch; the pieces begin at other random offsets each epoch.

    Args:
        texts: plain texts, of any length. Control and format characters are removed and white space is collapsed,
            so that no piece is blank.
        max_characters: longest piece, at least 2. A text of n characters makes ceil(n / max_characters) pieces, each
            at most half a piece away from where it would lie if they lay end to end.
        seed: of all random draws.

    Raises:
        ValueError: if no text holds a character that is not blank, or pieces are too short.
    """

    def __init__(self, texts: Sequence[str], max_characters: int = 256, seed: int = 0) -> None:
        super().__init__()
        if max_characters < 2:
            raise ValueError(f"max_characters must be at least 2, got {max_characters}.")
        self.texts = [clean for text in texts if (clean := " ".join(text.translate(_WITHOUT_CONTROLS).split()))]
        if not self.texts:
            raise ValueError(f"none of the {len(texts)} texts holds a character that is not blank.")
        self.max_characters = max_characters
        self.seed = seed
        self.pieces = [
            (number, begin) for number, text in enumerate(self.texts) for begin in range(0, len(text), max_characters)
        ]

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, index: int) -> TextWindow:
        generator = np.random.default_rng((self.seed, self.epoch, index))
        number, begin = self.pieces[index]
        text, size = self.texts[number], self.max_characters
        begin += int(generator.integers(-(size // 2), size // 2 + 1))
        begin = max(min(begin, len(text) - size), 0)
        return TextWindow(text[begin : begin + size], int(generator.integers(2**31)))


class MaskingCollator:
    """Pieces of texts -> tensors of a masked language model.

    Args:
        tokenizer: a `DGCNNTokenizer`, or any with its interface and `segment`.
        share: of the characters of a piece to predict: whole words in random order, as many as come closest to it, at
            least one. 80 % of these characters become [MASK], 10 % a random character, 10 % stay.

    A call takes a list of `TextWindow` and returns `input_ids`, `attention_mask`, `word_input_ids` if the tokenizer
    has words ([UNK] at the chosen characters), and `labels`: the ids to predict, -100 elsewhere; all (B, L) int64.

    Raises:
        ValueError: for a share out of (0, 1), a tokenizer without [MASK].
    """

    def __init__(self, tokenizer: Any, share: float = 0.15) -> None:
        if not 0 < share < 1:
            raise ValueError(f"share must be between 0 and 1, got {share}.")
        if tokenizer.mask_token_id is None:
            raise ValueError("tokenizer has no [MASK]: use a DGCNNTokenizer.")
        self.tokenizer = tokenizer
        self.share = share
        self.characters = np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)

    def __call__(self, windows: Sequence[TextWindow]) -> dict[str, Tensor]:
        encoded = self.tokenizer(
            [window.text for window in windows],
            add_special_tokens=False,
            padding=True,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        names = ("input_ids", "attention_mask", "word_input_ids")
        batch: dict[str, Tensor] = {name: encoded[name] for name in names if name in encoded}
        batch["labels"] = torch.full_like(batch["input_ids"], NOT_NAMED)
        for row, window in enumerate(windows):
            generator = np.random.default_rng(window.seed)
            held = batch["attention_mask"][row].numpy().astype(bool)
            starts = encoded["offset_mapping"][row, :, 0].numpy()[held]
            words = np.searchsorted([start for _, start, _ in self.tokenizer.segment(window.text)], starts, "right")
            chosen = torch.from_numpy(np.flatnonzero(held)[choose_words(words, self.share, generator)])
            ids = batch["input_ids"][row]
            batch["labels"][row, chosen] = ids[chosen]
            ids[chosen] = torch.from_numpy(self._hide(ids[chosen].numpy(), generator))
            if "word_input_ids" in batch:
                batch["word_input_ids"][row, chosen] = UNKNOWN_WORD
        return batch

    def _hide(self, ids: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
        draw = generator.random(len(ids))
        other = generator.choice(self.characters, len(ids))
        ids = np.where(draw < SHARE_OF_MASKS + SHARE_OF_RANDOM, other, ids)
        return np.where(draw < SHARE_OF_MASKS, self.tokenizer.mask_token_id, ids)


def choose_words(words: NDArray[np.int64], share: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Choose whole words at random until they hold about a share of the characters.

    Args:
        words: (L,) number of the word of each character, at least one.
        share: of the characters.
        generator: of all random draws.

    Returns:
        (L,) True at the characters of the chosen words, at least one.
    """
    _, word_of, lengths = np.unique(words, return_inverse=True, return_counts=True)
    order = generator.permutation(len(lengths))
    taken = np.abs(np.cumsum(lengths[order]) - share * len(words)).argmin() + 1
    return np.isin(word_of, order[:taken])


class _WithoutControls(dict[int, str]):
    """Code point -> itself, a blank for control characters and separators, nothing for format characters."""

    def __missing__(self, code: int) -> str:
        category = unicodedata.category(chr(code))
        self[code] = "" if category == "Cf" else " " if category == "Cc" or category[0] == "Z" else chr(code)
        return self[code]


_WITHOUT_CONTROLS = _WithoutControls()

"""Plain texts -> batches for a masked language model over characters, of which whole words are masked.

    windows = TextWindows(texts, max_characters=256, seed=0)
    loader = DataLoader(windows, 32, collate_fn=MaskingCollator(tokenizer))
    next(iter(loader))  # input_ids, attention_mask, word_input_ids, labels

Where the model sees the word of a character too, the word of a masked character is unknown: its vector would tell the
answer. What a sample looks like depends on (seed, epoch, index) only, so a resumed run sees what the unbroken one
would have, and a validation without `set_epoch` sees the same at each call.

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

NOT_NAMED = -100  # the label that a loss leaves out
UNKNOWN_WORD = 1  # row of [UNK] among the word ids
SHARE_OF_MASKS, SHARE_OF_RANDOM = 0.8, 0.1  # of the chosen characters; the others stay


@dataclass
class TextWindow:
    """A piece of a text.

    Args:
        text: characters.
        seed: of what the collator draws for this piece.
    """

    text: str
    seed: int


class TextWindows(EpochDataset):
    """All texts in pieces, once an epoch; where the pieces begin is drawn anew each epoch.

    Args:
        texts: plain texts, of any length. Control and format characters go, and one blank stands for many, so that
            no piece is blank.
        max_characters: longest piece, at least 2. A text of n characters makes ceil(n / max_characters) pieces, each
            at most half a piece away from where it would lie if they lay end to end.
        seed: of all chance.

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
        share: of the characters of a piece that the model has to name: whole words in random order, as many as come
            closest, but one at least. 80 % of these characters become [MASK], 10 % any character, 10 % stay.

    A call takes a list of `TextWindow` and returns `input_ids`, `attention_mask`, `word_input_ids` where the tokenizer
    has words ([UNK] at the chosen characters), and `labels`: the ids to name, -100 elsewhere; all (B, L) int64.

    Raises:
        ValueError: for a share out of (0, 1), a tokenizer without [MASK].
    """

    def __init__(self, tokenizer: Any, share: float = 0.15) -> None:
        if not 0 < share < 1:
            raise ValueError(f"share must be between 0 and 1, got {share}.")
        if tokenizer.mask_token_id is None:
            raise ValueError("the tokenizer has no [MASK]: take a DGCNNTokenizer.")
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
        fate = generator.random(len(ids))
        other = generator.choice(self.characters, len(ids))
        ids = np.where(fate < SHARE_OF_MASKS + SHARE_OF_RANDOM, other, ids)
        return np.where(fate < SHARE_OF_MASKS, self.tokenizer.mask_token_id, ids)


def choose_words(words: NDArray[np.int64], share: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Whole words in random order until about a share of the characters is chosen.

    Args:
        words: (L,) number of the word of each character, at least one.
        share: of the characters.
        generator: all chance comes from it.

    Returns:
        (L,) True at the characters of as many words as come closest to the share, and of one word at least.
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

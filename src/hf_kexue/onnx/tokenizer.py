"""`DGCNNTokenizer` without transformers: the same columns from the same files, by tokenizers and rjieba."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from ..dgcnn.checks_dgcnn import check_word_vocab, check_words
from ..dgcnn.columns_dgcnn import SPECIAL_TOKENS, Columns, feature_columns, word_column, word_rows
from ..dgcnn.prior_dgcnn import KnownTriple, read_prior
from ..dgcnn.segmentation_dgcnn import Segmenter, WordSegmenter, read_words
from .sessions import read_json

FILES = {
    "word_vocab_size": "word_vocab.txt",
    "dictionary_size": "dictionary.txt",
    "triple_prior_size": "triple_prior.txt",
}


class OnnxTokenizer:
    """Columns of texts and of pairs of a question and a text.

    Args:
        folder: with tokenizer.json, tokenizer_config.json and the lists that it names.
        segmenter: a function from a text to its words, for a tokenizer that was saved with one; None: the saved name.

    Raises:
        FileNotFoundError, ValueError: for missing, broken or contradicting files.
        ImportError: without the segmenter.
    """

    def __init__(self, folder: Path, segmenter: Segmenter | None = None) -> None:
        config = read_json(folder, "tokenizer_config.json")
        read_json(folder, "tokenizer.json")  # for its errors
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:
            # The library raises a bare Exception.
            raise ValueError(f"{folder / 'tokenizer.json'} is no tokenizer: {error}.") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # One that was saved with split_special_tokens reads "[SEP]" in a text as characters.
        self._tokenizer.encode_special_tokens = bool(config.get("split_special_tokens", False))
        paths = {name: folder / file if (folder / file).is_file() else None for name, file in FILES.items()}
        sizes = {name: config.get(name) for name in FILES}
        words = read_words(paths["word_vocab_size"], sizes["word_vocab_size"], FILES["word_vocab_size"])
        dictionary = read_words(paths["dictionary_size"], sizes["dictionary_size"], FILES["dictionary_size"])
        self.triple_prior: list[KnownTriple] | None = read_prior(
            paths["triple_prior_size"], sizes["triple_prior_size"]
        )
        words = None if words is None else check_word_vocab(words, SPECIAL_TOKENS[:2])
        self._word_rows = None if words is None else {word: row for row, word in enumerate(words)}
        self.match_features = bool(config.get("match_features", False))
        self._segmenter = WordSegmenter(
            segmenter or config.get("segmenter", "rjieba"), check_words(dictionary or (), "dictionary", spaces=False)
        )
        if words is not None or self.match_features:
            self._segmenter.check_fingerprint(config.get("segmentation_fingerprint"))

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    @property
    def word_vocab_size(self) -> int:
        """Words; 0 for characters only."""
        return len(self._word_rows or ())

    def text(self, text: str) -> tuple[Columns, NDArray[np.int64]]:
        """The columns of a text without special tokens, each (L,), and its character offsets (L, 2)."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        columns = {"input_ids": np.array(encoding.ids, dtype=np.int64)}
        if self._word_rows is not None:
            rows = [word_rows(self._segmenter.cut(text), self._word_rows), []]
            columns["word_input_ids"] = np.array(word_column(encoding, rows), dtype=np.int64)
        return columns, _offsets(encoding, 0)

    def question(
        self, question: str, passages: Sequence[str]
    ) -> tuple[Columns, list[tuple[Columns, NDArray[np.int64]]]]:
        """The columns of a question with its separator, and those of its passages with their character offsets."""
        encodings = self._tokenizer.encode_batch([(question, passage) for passage in passages])
        size = encodings[0].type_ids.count(0)  # the question and its separator come first
        columns: list[Columns] = [{"input_ids": np.array(one.ids, dtype=np.int64)} for one in encodings]
        if self._word_rows is not None:
            rows = {text: word_rows(self._segmenter.cut(text), self._word_rows) for text in {question, *passages}}
            for one, encoding, passage in zip(columns, encodings, passages):
                words = word_column(encoding, [rows[question], rows[passage]])
                one["word_input_ids"] = np.array(words, dtype=np.int64)
        of_question = {name: values[:size] for name, values in columns[0].items()}
        if self.match_features:
            count = len(passages)
            features = feature_columns(
                enumerate(encodings), [question] * count, list(passages), [0] * count, self._segmenter.segment
            )
            for one, values in zip(columns, features):
                one["match_features"] = values
        found = [({name: values[size:] for name, values in one.items()}, _offsets(encoding, size))
                 for one, encoding in zip(columns, encodings)]  # fmt: skip
        return of_question, found


def check_vocabularies(folder: Path, config: Any, tokenizer: OnnxTokenizer) -> None:
    """That the network has rows for the characters and words of the tokenizer.

    Raises:
        ValueError: where the two do not belong together.
    """
    for kind, size, room in (
        ("characters", len(tokenizer), config.vocab_size),
        ("words", tokenizer.word_vocab_size, config.word_vocab_size),
    ):
        if room and not 0 < size <= room:
            raise ValueError(
                f"The tokenizer in {folder} knows {size} {kind}, the model {room}: they do not belong together."
            )


def _offsets(encoding: Encoding, start: int) -> NDArray[np.int64]:
    return np.array(encoding.offsets[start:], dtype=np.int64).reshape(-1, 2)

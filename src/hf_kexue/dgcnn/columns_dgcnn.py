"""What the DGCNN tokenizer computes in Python: vocabularies of a corpus, and the columns that come from words.

The tokenizer cuts the text a second time, into words, and gives every token what the word at its place has.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Regex, normalizers, pre_tokenizers

from .checks_dgcnn import check_text, is_blank

PAD, UNK, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[SEP]", "[MASK]")
NO_CHARACTER = frozenset({0, 2, 3})  # ids of the special tokens that stand for no character
NUM_MATCH_FEATURES = 8

NORMALIZER = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
CHARACTERS = pre_tokenizers.Sequence(
    [pre_tokenizers.Split(Regex(r"[\s\p{Z}\p{Cc}\p{Cf}]+"), "removed"), pre_tokenizers.FixedLength(1)]
)

CHARACTERS_WITH_PROGRESS = 50_000

Columns = dict[str, NDArray[Any]]
Words = list[tuple[str, int, int]]  # (word, start, end)


def count_tokens(text: str) -> int:
    """How many tokens a text makes, special tokens aside."""
    return len(CHARACTERS.pre_tokenize_str(NORMALIZER.normalize_str(text)))


@lru_cache(maxsize=2**16)
def normal_word(word: str) -> str:
    """A word in normal form."""
    return NORMALIZER.normalize_str(word)


def build_vocabularies(
    texts: Iterable[str], cut: Callable[[str], list[str]] | None, min_count: int, word_min_count: int, max_words: int
) -> tuple[dict[str, int], list[str] | None]:
    """Characters and words of a corpus in normal form, most frequent first, ties by code point.

    Args:
        texts: read once.
        cut: text -> words; None: no words.
        min_count: how often a character must occur.
        word_min_count: how often a word must occur.
        max_words: words at most, beside the two special rows.

    Returns:
        character -> id, and the words by id or None.

    Raises:
        TypeError, ValueError: for a text that is no string or holds half a surrogate pair, naming its number.
    """
    if isinstance(texts, str):
        raise TypeError("texts must be an iterable of strings, got one string.")
    characters: Counter[str] = Counter()
    spelled: Counter[str] = Counter()
    for number, text in enumerate(texts):
        check_text(text, f"Text {number} (from 0)")
        characters.update(NORMALIZER.normalize_str(text))
        if cut is not None:
            spelled.update(cut(text))
    vocab = {token: row for row, token in enumerate([*SPECIAL_TOKENS, *_most_frequent(characters, min_count)])}
    if cut is None:
        return vocab, None
    words: Counter[str] = Counter()
    for word, count in spelled.items():
        if "\n" not in word:  # a user's own segmenter may cut across lines; a file of one word a line cannot hold that
            words[NORMALIZER.normalize_str(word)] += count
    return vocab, [PAD, UNK, *_most_frequent(words, word_min_count)[:max_words]]


def _most_frequent(counts: Counter[str], min_count: int) -> list[str]:
    kept = [(-count, token) for token, count in counts.items() if count >= min_count and not is_blank(token)]
    return [token for _, token in sorted(kept) if token not in SPECIAL_TOKENS]


def word_rows(words: Iterable[str], known: dict[str, int]) -> list[int]:
    """For each character of a text the id of its word.

    Args:
        words: which, joined, are the text.
        known: word -> id. A word is looked up as it is, then in normal form; 1 where it is unknown.
    """
    rows: list[int] = []
    for word in words:
        row = known.get(word)
        if row is None:
            row = known.get(normal_word(word), 1)
        rows += [row] * len(word)
    return rows


def word_column(encoding: Encoding, rows: Sequence[Sequence[int]]) -> list[int]:
    """The id of the word of each token; 0 for special tokens and padding.

    Args:
        encoding: one window.
        rows: for the text and, if there is one, its pair, the id of the word of each character.
    """
    return [
        rows[side][start] if end and token not in NO_CHARACTER else 0
        for token, side, (start, end) in zip(encoding.ids, encoding.type_ids, encoding.offsets)
    ]


def feature_columns(
    windows: Iterable[tuple[int, Encoding]],
    questions: list[str],
    contexts: list[str],
    groups: list[int] | None,
    segment: Callable[[str], Words],
) -> list[NDArray[np.float32]]:
    """The match features of each token, for each window.

    Args:
        windows: (number of the record, encoding), those of one record together.
        questions: one a record.
        contexts: one a record.
        groups: one a record; contexts of the same number are passages of one question. None: each alone.
        segment: text -> words with offsets.

    Returns:
        A float32 array (length, 8) a window, zero outside the context.
    """
    from .features_dgcnn import match_features, spread_over_characters

    segments = {text: segment(text) for text in {*questions, *contexts}}
    words = {text: [normal_word(word) for word, _, _ in found] for text, found in segments.items()}
    sets = {context: frozenset(words[context]) for context in contexts} if groups else {}
    members = defaultdict(list)
    for record, group in enumerate(groups or ()):
        members[group].append(record)
    columns = []
    for record, of_record in groupby(windows, key=lambda window: window[0]):
        question, context = questions[record], contexts[record]
        others = [sets[contexts[i]] for i in members[groups[record]] if i != record] if groups else []
        values = np.zeros((len(words[context]), NUM_MATCH_FEATURES), dtype=np.float32)
        if words[question]:  # a blank one has nothing in common with any word
            values = match_features(words[question], words[context], others)
        places = np.array([span for _, *span in segments[context]], dtype=np.int64).reshape(-1, 2)
        for _, encoding in of_record:
            offsets = np.array(encoding.offsets).reshape(-1, 2)
            offsets *= np.array(encoding.type_ids, dtype=np.int64)[:, None]  # (0, 0), no text, outside the context
            columns.append(spread_over_characters(values, places, offsets))
    return columns


def pad_column(rows: Any, length: int, side: str, is_features: bool) -> Any:
    """A column of words filled up with zeros.

    Args:
        rows: (tokens,) integers, or (tokens, 8) numbers of the features.
        length: at least as many.
        side: of the zeros, `"left"` or `"right"`.
        is_features: which of the two.

    Returns:
        A list of integers, or a float32 array (length, 8).
    """
    if is_features:
        values = np.asarray(rows, dtype=np.float32).reshape(-1, NUM_MATCH_FEATURES)
        missing = length - len(values)
        return np.pad(values, ((missing, 0) if side == "left" else (0, missing), (0, 0)))
    zeros = [0] * (length - len(rows))
    return [*zeros, *rows] if side == "left" else [*rows, *zeros]


def padded(rows: Sequence[Columns]) -> Columns:
    """Columns of several texts as arrays (B, L, ...), zeros after the end of each, and an attention mask unless all
    are of one length."""
    lengths = [len(row["input_ids"]) for row in rows]
    batch: Columns = {}
    if len(set(lengths)) > 1:
        batch["attention_mask"] = stacked([np.ones(size, dtype=np.int64) for size in lengths])
    return batch | {name: stacked([row[name] for row in rows]) for name in rows[0]}


def stacked(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Arrays (L, ...) of different lengths as one (B, L, ...), zeros after the end of each."""
    arrays = list(map(np.asarray, rows))
    batch = np.zeros((len(arrays), max(map(len, arrays)), *arrays[0].shape[1:]), dtype=arrays[0].dtype)
    for row, array in zip(batch, arrays):
        row[: len(array)] = array
    return batch

"""The eight match features of a passage word: how far the word, and what stands around it, recurs in the question.

    column       0 / 4   1 if the token occurs in the question, else 0
                 1 / 5   share of the question's passages, other than this one, that hold the token
                 2 / 6   Jaccard similarity of the sets of tokens of window and question
                 3 / 7   edit distance of window and question, over the question's length: 0 equal, 1 nothing in common
    0 to 3 take words for tokens; 4 to 7 characters, averaged over the characters of the word.

A question of n tokens lays a window of n tokens around each token of the passage, n // 2 of them to the left; what
would stand outside the passage is left out. Nothing is normalised here: hand over what should count as equal as equal.

Nothing grows with the number of windows times n but the edit distance. Its table has neighbours that differ by at most
one, so a column of it is two bits a question token (Myers 1999, Hyyro 2003), held in `uint64`; column c of all windows
is the passage shifted by c, so n steps over arrays as long as the passage do all windows.

Source: kexue.fm/archives/5409 (features and window); G. Myers 1999, "A fast bit-vector algorithm for approximate
string matching based on dynamic programming"; H. Hyyro 2003, "A bit-vector algorithm for computing Levenshtein and
Damerau edit distances".
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import count

import numpy as np
from numpy.typing import ArrayLike, NDArray

NUM_MATCH_FEATURES = 8

_WORD = 64  # bits of the integers that hold a column
_ALL = 2**_WORD - 1
_TOP = np.uint64(_WORD - 1)
_EVERY = {n: (np.uint64(n), np.uint64(_ALL // (2**n + 1))) for n in (1, 2, 4)}  # n, and every other group of n bits
_BYTES = np.uint64(_ALL // 255)  # 1 in each byte


def match_features(
    question_words: Sequence[str],
    passage_words: Sequence[str],
    other_passages: Sequence[Collection[str]] = (),
    question_text: str | None = None,
) -> NDArray[np.float32]:
    """The eight match features of every word of a passage.

    Args:
        question_words: words of the question, at least one.
        passage_words: words of the passage; an empty one has zeros for its characters.
        other_passages: the words of each other passage of the same question, in any order.
        question_text: characters of the question, of which whitespace does not count; None: those of its words.

    Returns:
        (number of passage words, 8), each in [0, 1]; columns as the module's docstring lists them. With k other
        passages, of which h hold the word, co-occurrence is h / (k + 1): this passage counts in the denominator only.

    Raises:
        TypeError: a string where a sequence of words belongs.
        ValueError: a question without words or characters.

    Source: kexue.fm/archives/5409, section on features.
    """
    named = [("question_words", question_words), ("passage_words", passage_words)]
    for name, words in named + [(f"other_passages[{i}]", words) for i, words in enumerate(other_passages)]:
        if isinstance(words, str):
            raise TypeError(f"{name} must be a sequence of words, got the string {words[:20]!r}; cut it into words.")
    characters = "".join((question_text if question_text is not None else "".join(question_words)).split())
    if not question_words or not characters:
        raise ValueError(f"The question needs at least one word and character, got {list(question_words)!r}.")
    if not passage_words:
        return np.zeros((0, NUM_MATCH_FEATURES), dtype=np.float32)
    lengths = np.fromiter(map(len, passage_words), np.intp, len(passage_words))
    filled = lengths > 0  # what a normaliser left nothing of has no characters to average over
    features = np.zeros((NUM_MATCH_FEATURES, len(passage_words)), dtype=np.float32)
    features[:4] = _token_features(question_words, passage_words, other_passages)
    by_character = _token_features(characters, "".join(passage_words), ["".join(words) for words in other_passages])
    if filled.any():
        starts = np.cumsum(lengths) - lengths
        features[4:, filled] = np.add.reduceat(by_character, starts[filled], axis=1) / lengths[filled]
    return np.ascontiguousarray(features.T)  # (words, 8)


def spread_over_characters(values: ArrayLike, word_offsets: ArrayLike, char_offsets: ArrayLike) -> NDArray:
    """Gives every character what its word has.

    Args:
        values: (words, F), a row a word.
        word_offsets: (words, 2), where each word starts and ends in the text; in order, no two overlap.
        char_offsets: (characters, 2), the same for tokens of any order; start = end marks one that is not text.

    Returns:
        (characters, F) of the dtype of `values`: the row of the word in which the character starts; zeros for what is
        no text or lies in no word.

    Raises:
        ValueError: other shapes, or words that overlap or are out of order.
    """
    rows = np.asarray(values)
    words = np.asarray(word_offsets, dtype=np.int64).reshape(-1, 2)
    characters = np.asarray(char_offsets, dtype=np.int64).reshape(-1, 2)
    if rows.ndim != 2 or len(rows) != len(words):
        raise ValueError(f"values must have a row for each of the {len(words)} words, got the shape {rows.shape}.")
    if (np.diff(words.ravel()) < 0).any():
        raise ValueError("word_offsets must be in order and free of overlaps: each start at or after the end before.")
    starts, ends = characters.T
    word = np.searchsorted(words[:, 0], starts, side="right") - 1
    inside = (word >= 0) & (ends > starts)
    inside[inside] = starts[inside] < words[word[inside], 1]
    spread = np.zeros((len(characters), rows.shape[1]), dtype=rows.dtype)
    spread[inside] = rows[word[inside]]
    return spread


def _token_features(question: Sequence[str], passage: Sequence[str], others: Sequence[Iterable[str]]) -> NDArray:
    """The four features of every token, (4, tokens) float64."""
    index: defaultdict[str, int] = defaultdict(count().__next__)  # the question's tokens have the lowest numbers
    rows = [0] * len(question)  # of each of these numbers, the bits of the places where the token stands
    for place, token in enumerate(question):
        rows[index[token]] |= 1 << place
    num_known = len(index)
    ids = np.fromiter(map(index.__getitem__, passage), np.intp, len(passage))

    features = np.empty((4, len(passage)))
    features[0] = ids < num_known
    hits = [index[token] for other in others for token in index.keys() & other]
    counts = np.bincount(np.array(hits, dtype=np.intp), minlength=len(index))
    features[1] = counts[ids] / (len(others) + 1)
    features[2] = _window_jaccard(ids, num_known, len(question))
    blocks = range(0, len(question), _WORD)
    table = np.array([[row >> shift & _ALL for row in [*rows[:num_known], 0]] for shift in blocks], dtype=np.uint64)
    features[3] = _window_edit_distance(np.take(table, np.minimum(ids, num_known), axis=1), len(question)) / len(
        question
    )
    return features


def _window_jaccard(ids: NDArray, num_known: int, size: int) -> NDArray:
    """Jaccard similarity of every window with the question, whose distinct tokens are the ids below `num_known`.

    A place counts in the windows that hold it but not the same token's place before: a range of windows, which is +1
    where it starts and -1 after it ends.
    """
    length, left = len(ids), size // 2
    order = np.argsort(ids, kind="stable")
    again = np.flatnonzero(ids[order[1:]] == ids[order[:-1]])
    after_previous = np.zeros(length, dtype=np.intp)  # first window that no longer holds the place before
    after_previous[order[again + 1]] = order[again] + left + 1
    places = np.arange(length)
    first = np.minimum(np.maximum(after_previous, places - (size - 1 - left)), length)
    stop = np.minimum(places + left + 1, length)

    def distinct(chosen: NDArray | slice) -> NDArray:
        steps = np.bincount(first[chosen], minlength=length + 1) - np.bincount(stop[chosen], minlength=length + 1)
        return np.cumsum(steps)[:length]

    common = distinct(ids < num_known)
    return common / (num_known + distinct(slice(None)) - common)


def _window_edit_distance(masks: NDArray[np.uint64], size: int) -> NDArray:
    """Edit distance of every window to the question of `size` tokens.

    Args:
        masks: (blocks, tokens), the places of the question at which each token of the passage stands, 64 bits a block.
        size: length of question and window.

    Returns:
        (tokens,) int64.
    """
    num_blocks, length = masks.shape
    left = size // 2
    up = np.full_like(masks, _ALL)  # bit i: the table grows by one from row i to row i + 1 of the column
    down = np.zeros_like(masks)  # bit i: it falls by one
    for column in range(size):
        first, stop = max(left - column, 0), min(length + left - column, length)
        if first >= stop:
            continue
        above: tuple[NDArray, NDArray] | None = None  # the lowest row of the block above; the row above all grows
        for block in range(num_blocks):
            u, d = up[block, first:stop], down[block, first:stop]
            equal = masks[block, first - left + column : stop - left + column]
            if above is not None:
                equal = equal | above[1]
            same = equal & u  # becomes: no step along the diagonal
            same += u
            same ^= u
            same |= equal
            same |= d
            falls = same & u  # from the column before to this one; in bit i, row i + 1
            stays = same | u  # it does not grow
            stays ^= d  # within `same`, and apart from `u`
            below = (stays >> _TOP, falls >> _TOP) if block + 1 < num_blocks else None
            stays += stays  # bit i now is row i
            falls += falls
            if above is not None:
                stays |= above[0]
                falls |= above[1]
            either = same | stays
            np.bitwise_xor(either, stays, out=d)
            either ^= same
            np.bitwise_or(either, falls, out=u)
            above = below
    up[-1] &= np.uint64(_ALL >> (num_blocks * _WORD - size))  # below the question nothing matches, so nothing falls
    places = np.arange(length)
    window_length = np.minimum(places + size - left, length) - np.maximum(places - left, 0)
    return window_length + _bit_count(up) - _bit_count(down)


def _bit_count(values: NDArray[np.uint64]) -> NDArray:
    """Bits set in each column of (blocks, tokens), adding neighbouring groups of 1, 2 and 4 bits, then all bytes."""
    counts = values - (values >> _EVERY[1][0] & _EVERY[1][1])
    counts = (counts & _EVERY[2][1]) + (counts >> _EVERY[2][0] & _EVERY[2][1])
    counts = counts + (counts >> _EVERY[4][0]) & _EVERY[4][1]
    return (counts * _BYTES >> np.uint64(56)).sum(axis=0, dtype=np.int64)

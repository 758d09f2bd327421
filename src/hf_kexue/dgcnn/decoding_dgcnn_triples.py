"""From scores of starts and ends to subjects and objects, by the half pointer.

    span      a start above its threshold, with the nearest end above its own at or right of it
    score     sqrt(start * end), in [0, 1]; of a triple: subject score * object score

Starts and ends belong together within a column: a subject type, or a predicate. Tokens of a span are inclusive.
Thresholds must be exceeded, not only reached.

Source: kexue.fm/archives/6671, section on the model and its decoding (0.5 for starts, 0.4 for ends).
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .mentions_dgcnn import is_whole

KNOWN_THRESHOLD = 0.5  # of `known_triple_scores`
Place = tuple[int, int]  # half-open character offsets
FoundTriples = dict[tuple[Place, int, Place], float]  # subject, number of the predicate, object -> score


class Subject(NamedTuple):
    """A span of tokens, both inclusive, with the numbers of the subject types it was found as, and its score."""

    first: int
    last: int
    types: tuple[int, ...]
    score: float


class ObjectSpan(NamedTuple):
    """An object of one subject: the predicate's number, the tokens of the span, both inclusive, and its score."""

    predicate: int
    first: int
    last: int
    score: float


def decode_subjects(
    scores: ArrayLike,
    start_threshold: float = 0.5,
    end_threshold: float = 0.4,
    sentences: NDArray[np.int64] | None = None,
) -> list[Subject]:
    """The subjects of a text.

    Args:
        scores: (L, 2T) probabilities: T columns of starts, one for each subject type, then T of ends.
        start_threshold: what a start must exceed, in [0, 1].
        end_threshold: what an end must exceed, in [0, 1].
        sentences: (L,) the number of the sentence of each token: no span crosses from one to another. None: one.

    Returns:
        The spans from left to right. A span found as several types is there once, with all of them and the largest
        of its scores.

    Raises:
        ValueError: for another shape, for scores or thresholds that are not in [0, 1].

    Source: kexue.fm/archives/6671.
    """
    found: dict[tuple[int, int], Subject] = {}
    for number, first, last, score in zip(*_spans(scores, start_threshold, end_threshold, None, sentences)):
        known = found.get((first, last))
        types = (*known.types, number) if known else (number,)
        found[first, last] = Subject(first, last, types, max(known.score, score) if known else score)
    return sorted(found.values())


def decode_objects(
    scores: ArrayLike,
    start_threshold: float = 0.5,
    end_threshold: float = 0.4,
    allowed: Collection[int] | None = None,
    sentences: NDArray[np.int64] | None = None,
) -> list[ObjectSpan]:
    """The objects of one subject, for each predicate.

    Args:
        scores: (L, 2C) probabilities: C columns of starts, one for each predicate, then C of ends.
        start_threshold: what a start must exceed, in [0, 1].
        end_threshold: what an end must exceed, in [0, 1].
        allowed: numbers of the predicates to look for, see `allowed_predicates`; None: all.
        sentences: as of `decode_subjects`.

    Returns:
        The spans, by predicate, then from left to right.

    Raises:
        ValueError: for another shape, for scores or thresholds that are not in [0, 1], for a predicate beyond C.

    Source: kexue.fm/archives/6671.
    """
    return list(map(ObjectSpan, *_spans(scores, start_threshold, end_threshold, allowed, sentences)))


def allowed_predicates(
    schema: Sequence[Mapping[str, Any]], subject_types: Sequence[str], types: Collection[int]
) -> list[int]:
    """The predicates that a subject of these types may have.

    Args:
        schema: entries with `"subject_types"`, a list of names; one without names takes any subject.
        subject_types: names of the T subject types; `[""]` where subjects are not typed.
        types: what the subject was found as, numbers below T.

    Returns:
        Numbers of the schema's entries, ascending.
    """
    names = {subject_types[number] for number in types}
    if "" in names:
        return list(range(len(schema)))
    entries = (entry.get("subject_types") or () for entry in schema)
    return [number for number, wanted in enumerate(entries) if not wanted or not names.isdisjoint(wanted)]


def best_of_equal_words(found: FoundTriples, text: str) -> FoundTriples:
    """Of triples with the same words the one with the highest score, the first of equals."""
    best: dict[tuple[str, int, str], tuple[tuple[Place, int, Place], float]] = {}
    for key, score in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        best.setdefault((text[slice(*key[0])], key[1], text[slice(*key[2])]), (key, score))
    return dict(best.values())


def everywhere(found: FoundTriples, text: str, ranges: list[Place]) -> FoundTriples:
    """Triples at every pair of places of their mentions within a piece of the text, overlapping places too; where they
    were found in any case, elsewhere not within a longer number or Latin word.

    Args:
        found: of `best_of_equal_words`.
        text: what the places refer to.
        ranges: where the pieces of the text start and end; they follow each other and are all of it.

    Returns:
        The triples with the scores given.
    """
    starts = [start for start, _ in ranges]
    spread: FoundTriples = {}
    for (subject, predicate, other), score in found.items():
        spread[subject, predicate, other] = score
        by_piece: list[dict[int, list[Place]]] = []
        for mention in (text[slice(*subject)], text[slice(*other)]):
            by_piece.append({})
            at = text.find(mention)
            while at >= 0:
                number = bisect_right(starts, at) - 1
                if at + len(mention) <= ranges[number][1] and is_whole(text, at, at + len(mention)):
                    by_piece[-1].setdefault(number, []).append((at, at + len(mention)))
                at = text.find(mention, at + 1)
        for number in by_piece[0].keys() & by_piece[1].keys():
            for one, two in product(by_piece[0][number], by_piece[1][number]):
                spread[one, predicate, two] = score
    return spread


def _spans(
    scores: ArrayLike,
    start_threshold: float,
    end_threshold: float,
    allowed: Collection[int] | None,
    sentences: NDArray[np.int64] | None,
) -> tuple[list[int], list[int], list[int], list[float]]:
    """Columns, first tokens, last tokens and scores of all spans, by column and then from left to right."""
    table = _checked(scores, start_threshold, end_threshold)
    length, columns = len(table), table.shape[1] // 2
    above_start = (table[:, :columns] > start_threshold).T  # (C, L)
    if allowed is not None:
        above_start = above_start & _mask(allowed, columns)[:, None]
    column, first = np.nonzero(above_start)
    end_column, end = np.nonzero((table[:, columns:] > end_threshold).T)
    if not len(column) or not len(end):
        return [], [], [], []
    # One number for each place of each column, ascending: the next end is the nearest, if it is of the same column.
    nearest = np.searchsorted(end_column * length + end, column * length + first)
    has_end = nearest < len(end)
    has_end[has_end] = end_column[nearest[has_end]] == column[has_end]
    if sentences is not None:
        has_end[has_end] = sentences[first[has_end]] == sentences[end[nearest[has_end]]]
    column, first, last = column[has_end], first[has_end], end[nearest[has_end]]
    products = table[first, column].astype(np.float64) * table[last, column + columns]
    return column.tolist(), first.tolist(), last.tolist(), np.sqrt(products).tolist()


def _mask(allowed: Collection[int], columns: int) -> NDArray[np.bool_]:
    mask = np.zeros(columns, dtype=bool)
    numbers = np.fromiter(allowed, dtype=np.int64, count=len(allowed))
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < columns:
        raise ValueError(f"allowed must hold numbers of the {columns} predicates, got {sorted(allowed)}.")
    mask[numbers] = True
    return mask


def _checked(scores: ArrayLike, *thresholds: float) -> NDArray:
    """The scores (L, 2C), or a ValueError."""
    table = np.asarray(scores)
    if table.ndim != 2 or table.shape[1] % 2:
        raise ValueError(f"scores must have the shape (tokens, 2 * columns), starts then ends, got {table.shape}.")
    if table.size and not (table.min() >= 0 and table.max() <= 1):  # false for NaN too
        raise ValueError("scores must be probabilities; some are outside [0, 1] or not finite. Were logits given?")
    if not all(0 <= threshold <= 1 for threshold in thresholds):
        raise ValueError(f"Thresholds must be in [0, 1], got {' and '.join(map(str, thresholds))}.")
    return table

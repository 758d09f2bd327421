"""From scores of starts and ends to answers: spans of one window, of one passage, of all passages of a question.

    span      score = start * end, of all spans short enough                     `best_spans`
    passage   overlapping windows: maximum of equal places                       `merge_windows`
              equal strings: maximum                                             `best_per_string`
    question  s_a = sum over passages of s**2 / (1 + sum over passages of s)     `vote`

Every list is sorted by score, highest first. Ties: the earlier passage, then the earlier start, then the shorter span.

Source: kexue.fm/archives/5409, section on decoding; kexue.fm/archives/6906.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Span(NamedTuple):
    """A piece of a context, `text == context[start:end]`, and its score."""

    text: str
    score: float
    start: int
    end: int


class VotedSpan(NamedTuple):
    """An answer with the score of all passages, and its best place: `text == passages[passage][start:end]`."""

    text: str
    score: float
    passage: int
    start: int
    end: int


_VOTES: dict[str, Callable[[list[float]], float]] = {
    "article": lambda scores: sum(s * s for s in scores) / (1.0 + sum(scores)),
    "squares": lambda scores: sum(s * s for s in scores),
    "best": max,
}


def answer_length(text: str) -> float:
    """Length as answers are measured: 0.5 for an ASCII letter or digit, 0 for whitespace, 1 for any other character.

    Source: kexue.fm/archives/5409 (Chinese character 1, letter or digit 0.5).
    """
    return sum(_half_lengths(text).tolist()) / 2


def best_spans(
    start: ArrayLike,
    end: ArrayLike,
    offsets: ArrayLike,
    context: str,
    max_answer_len: float = 30,
    top_k: int = 5,
    threshold: float = 0.0,
    distinct_strings: bool = False,
) -> list[Span]:
    """The spans of a window with the highest product of start and end.

    A span goes from the first character of a token to the last of the same or a later one. Tokens that start at the
    same character, as parts of a ligature do, are one start, with the largest of their scores; ends likewise. So no
    two spans have the same place.

    Args:
        start: (L,) score of each token as the first of an answer, at least 0.
        end: (L,) the same as the last.
        offsets: (L, 2) where each token starts and ends in `context`; (0, 0) for one that is not of the passage.
        context: what the offsets refer to.
        max_answer_len: longest answer, measured by `answer_length`.
        top_k: how many spans at most; fewer only where fewer exist.
        threshold: lowest score of a span.
        distinct_strings: of equal strings take only the best, and count these for `top_k`. The lists of windows
            merged then hold the `top_k` best distinct strings of the passage for certain.

    Returns:
        The best spans, sorted.

    Raises:
        ValueError: shapes that do not fit, scores that are negative or not finite, offsets beyond the context or out
            of order, or a limit that is not positive.

    Source: kexue.fm/archives/5409, section on decoding.
    """
    if top_k < 1 or not max_answer_len > 0:
        raise ValueError(f"top_k and max_answer_len must be positive, got {top_k} and {max_answer_len}.")
    scores, places = _checked(start, end, offsets, len(context))
    of_passage = places[:, 0] < places[:, 1]
    if not of_passage.any():
        return []
    starts, start_scores = _largest_per_place(places[of_passage, 0], scores[0, of_passage])
    ends, end_scores = _largest_per_place(places[of_passage, 1], scores[1, of_passage])

    base = starts[0]
    lengths = np.concatenate(([0], np.cumsum(_half_lengths(context[base : ends[-1]]))))  # before each character
    first = np.searchsorted(ends, starts, side="right")
    stop = np.searchsorted(lengths[ends - base], lengths[starts - base] + 2 * max_answer_len, side="right")
    width = max(int((stop - first).max()), 0)
    columns = first[:, None] + np.arange(width)  # (starts, width)
    products = start_scores[:, None] * end_scores[np.minimum(columns, len(ends) - 1)]
    rows, places_of_end = np.nonzero((columns < stop[:, None]) & (products >= threshold))  # in the order of ties
    found = products[rows, places_of_end], starts[rows], ends[columns[rows, places_of_end]]
    return _highest(*found, context, top_k, distinct_strings)


def merge_windows(spans_per_window: Iterable[Iterable[Span]], top_k: int | None = None) -> list[Span]:
    """The spans of a passage from those of its overlapping windows: equal places count once, with the largest score.

    Args:
        spans_per_window: the spans of each window, their offsets in the passage. With the `top_k` best of every
            window the result is the `top_k` best of the passage: what is better in a window is better in the passage.
        top_k: how many at most; None: all.

    Returns:
        The spans, sorted.
    """
    best: dict[tuple[int, int], Span] = {}
    for spans in spans_per_window:
        for span in spans:
            place = (span.start, span.end)
            if place not in best or span.score > best[place].score:
                best[place] = span
    return sorted(best.values(), key=_rank)[:top_k]


def best_per_string(spans: Iterable[Span]) -> list[Span]:
    """Of spans with equal text the one with the largest score, the first of these in the passage; sorted."""
    best: dict[str, Span] = {}
    for span in sorted(spans, key=_rank):
        best.setdefault(span.text, span)
    return list(best.values())


def vote(passages: Sequence[Iterable[Span]], method: str = "article") -> list[VotedSpan]:
    """Answers of all passages of a question, each string with one score.

    Args:
        passages: the spans of each passage; of equal strings in one passage the largest score s counts. A string
            gets only the votes of lists that hold it, so let each hold some more than the answers asked for.
        method: "article": sum of s**2 / (1 + sum of s) over the passages, by which one sure passage outdoes several
            unsure ones; "squares": sum of s**2; "best": the largest s, no vote.

    Returns:
        An answer for each string, with the place where s is largest; sorted.

    Raises:
        ValueError: another method.

    Source: kexue.fm/archives/5409, section on decoding; `dgcnn.py` beside kexue.fm/archives/6906.
    """
    if method not in _VOTES:
        raise ValueError(f"method must be one of {', '.join(_VOTES)}, got {method!r}.")
    votes: dict[str, list[tuple[int, Span]]] = {}
    for number, spans in enumerate(passages):
        for span in best_per_string(spans):
            votes.setdefault(span.text, []).append((number, span))
    answers = []
    for text, held in votes.items():
        passage, span = max(held, key=lambda pair: pair[1].score)  # the first of equals
        score = _VOTES[method]([span.score for _, span in held])
        answers.append(VotedSpan(text, score, passage, span.start, span.end))
    return sorted(answers, key=lambda answer: (-answer.score, answer.passage, answer.start, answer.end))


def no_answer_score(spans: Iterable[Span | VotedSpan], threshold: float = 0.5) -> float:
    """Score of "no answer", above the best span exactly where that is below the threshold.

        (1 - best) * threshold / (1 - threshold)      at most 1; with a threshold of 0.5 it is 1 - best

    Starts and ends that carry the global answerability make every span small where nothing answers.

    Args:
        spans: best is the highest of their scores, 0 without any, 1 where a vote sums up to more.
        threshold: in (0, 1).

    Raises:
        ValueError: for another threshold.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be in (0, 1), got {threshold!r}.")
    best = min(max((span.score for span in spans), default=0.0), 1.0)
    return min((1.0 - best) * threshold / (1.0 - threshold), 1.0)


def _rank(span: Span) -> tuple[float, int, int]:
    return -span.score, span.start, span.end


def _half_lengths(text: str) -> NDArray[np.int64]:
    """Twice the length of each character, (characters,)."""
    return np.array([0 if c.isspace() else 1 if c.isascii() and c.isalnum() else 2 for c in text], dtype=np.int64)


def _checked(start: ArrayLike, end: ArrayLike, offsets: ArrayLike, length: int) -> tuple[NDArray, NDArray]:
    """Scores (2, L) float64 and offsets (L, 2) int64, or a ValueError."""
    shapes = np.shape(start), np.shape(end), np.shape(offsets)
    if len(shapes[0]) != 1 or shapes[1] != shapes[0] or (shapes[2] != (*shapes[0], 2) and shapes[0] != (0,)):
        raise ValueError(f"start, end and offsets must have shapes (L,), (L,) and (L, 2), got {shapes}.")
    scores = np.stack([np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)])
    places = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    if not (np.isfinite(scores) & (scores >= 0)).all():
        raise ValueError("start and end must be probabilities; some are negative or not finite. Were logits given?")
    passage = places[places[:, 0] < places[:, 1]]
    if len(passage) and (passage.min() < 0 or passage.max() > length):
        raise ValueError(f"offsets go from {passage.min()} to {passage.max()}, the context from 0 to {length}.")
    if (np.diff(passage, axis=0) < 0).any():
        raise ValueError("offsets must go through the context from left to right.")
    return scores, places


def _largest_per_place(places: NDArray, scores: NDArray) -> tuple[NDArray, NDArray]:
    """Each place of a sorted array once, with the largest of its scores."""
    first = np.flatnonzero(np.diff(places, prepend=-1))
    return places[first], np.maximum.reduceat(scores, first)


def _highest(
    scores: NDArray, starts: NDArray, ends: NDArray, context: str, top_k: int, distinct_strings: bool
) -> list[Span]:
    """The `top_k` highest of spans given in the order of ties; no more of them is sorted than is needed."""
    count = top_k
    while True:
        chosen = np.arange(len(scores))
        if count < len(scores):
            chosen = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")][:count]
        found = zip(scores[chosen].tolist(), starts[chosen].tolist(), ends[chosen].tolist())
        spans = [Span(context[start:end], score, start, end) for score, start, end in found]
        if distinct_strings:
            spans = best_per_string(spans)
        if len(spans) >= top_k or count >= len(scores):
            return spans[:top_k]
        count *= 4

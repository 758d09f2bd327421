"""From the scores of a reader to probabilities, and the score below which it had better not answer.

    logit p = slope * logit s + intercept      p: that the best answer, of score s, is right
    "no answer" wins  <=>  s < threshold

Both are fitted to questions with known answers, some of which have none: the line by maximum likelihood, the threshold
by counting what is right with each, an answer or a refusal. Imports neither torch nor transformers.

Source: Platt, Probabilistic outputs for support vector machines (1999); Guo et al., arXiv 1706.04599 (calibration of
networks, expected error).
"""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOWEST = 1e-6  # scores are cut to [LOWEST, 1 - LOWEST] before their logit
STEPS = 100


class Bin(NamedTuple):
    """Questions of like probability: the mean of what was said, and the share that was right."""

    probability: float
    right: float
    questions: int


class Calibration(NamedTuple):
    """What `ReadingComprehensionPipeline.calibrate` found; the first three are saved with the model.

    Args:
        slope, intercept: of the line from logit of score to logit of probability.
        threshold: score below which "no answer" wins.
        questions, unanswerable: how many there were.
        right: share of questions with a right answer, or rightly refused, at the threshold; `right_before` at 0.5,
            `right_always` without refusing.
        precision, recall: of refusals at the threshold; precision is NaN where nothing is refused.
        bins: ten of equal width in probability, those without a question left out.
        expected_error: mean over the questions of |probability - share that is right| of their bin; `error_before`
            the same with the score as probability.
    """

    slope: float
    intercept: float
    threshold: float
    questions: int
    unanswerable: int
    right: float
    right_before: float
    right_always: float
    precision: float
    recall: float
    bins: tuple[Bin, ...]
    expected_error: float
    error_before: float


def calibration(scores: ArrayLike, right: ArrayLike, answerable: ArrayLike) -> Calibration:
    """Fit both to the best answer of each question.

    Args:
        scores: (N,) in [0, 1].
        right: (N,) whether that answer is right; never where nothing is.
        answerable: (N,) whether the text holds an answer.

    Returns:
        The fit, and what it does on these questions.

    Raises:
        ValueError: for no questions, other shapes, scores outside [0, 1], right answers to unanswerable questions,
            if all answers, or none, are right, and if higher scores are not right more often.
    """
    s, hit, has = np.asarray(scores, float), np.asarray(right, bool), np.asarray(answerable, bool)
    if s.ndim != 1 or not s.shape == hit.shape == has.shape or not s.size:
        shapes = ", ".join(map(str, (s.shape, hit.shape, has.shape)))
        raise ValueError(f"scores, right and answerable must be rows of one length, got {shapes}.")
    if not ((s >= 0) & (s <= 1)).all():
        raise ValueError("scores must be in [0, 1].")
    if (hit & ~has).any():
        raise ValueError("No answer to an unanswerable question can be right.")
    if hit.all() or not hit.any():
        raise ValueError(f"{'All' if hit.all() else 'None'} of the {s.size} answers are right: nothing can be fitted.")
    slope, intercept = fit_line(s, hit)
    if slope <= 0:
        raise ValueError("Answers of higher scores are not right more often: these scores tell nothing.")
    threshold = best_threshold(s, hit, ~has)
    refused = s < threshold
    probabilities = probability(s, slope, intercept)
    bins = reliability(probabilities, hit)
    return Calibration(
        slope, intercept, threshold, s.size, int((~has).sum()), _right(s, hit, ~has, threshold),
        _right(s, hit, ~has, 0.5), float(hit.mean()),
        float((refused & ~has).sum() / refused.sum()) if refused.any() else float("nan"),
        float((refused & ~has).sum() / (~has).sum()) if (~has).any() else float("nan"),
        bins, expected_error(bins), expected_error(reliability(s, hit)),
    )  # fmt: skip


def probability(score: ArrayLike, slope: float, intercept: float) -> NDArray:
    """p with logit p = slope * logit score + intercept; scores of any shape in [0, 1]."""
    return 1 / (1 + np.exp(-(slope * _logit(score) + intercept)))


def fit_line(scores: ArrayLike, right: ArrayLike) -> tuple[float, float]:
    """Slope and intercept by Newton's method on the likelihood, with Platt's targets: (n + 1) / (n + 2) for the n that
    are right and 1 / (m + 2) for the m that are not, so that there is a maximum where a score parts them, too."""
    hit = np.asarray(right, bool)
    x = np.stack([_logit(scores), np.ones(hit.size)], 1)
    target = np.where(hit, (hit.sum() + 1) / (hit.sum() + 2), 1 / ((~hit).sum() + 2))
    line = np.array([0.0, np.log((hit.sum() + 1) / ((~hit).sum() + 1))])

    def loss(line: NDArray) -> float:
        return float(np.sum(np.logaddexp(0, x @ line) - target * (x @ line)))

    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-(x @ line)))
        gradient = x.T @ (p - target)
        step = np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]) + 1e-12 * np.eye(2), gradient)
        while loss(line - step) > loss(line) and np.abs(step).max() > 1e-12:
            step = step / 2
        line = line - step
        if np.abs(step).max() < 1e-10:
            break
    return float(line[0]), float(line[1])


def best_threshold(scores: ArrayLike, right: ArrayLike, unanswerable: ArrayLike) -> float:
    """The threshold in (0, 1) with most right decisions, half way between two scores; the lowest of the best."""
    s, hit, nothing = np.asarray(scores, float), np.asarray(right, bool), np.asarray(unanswerable, bool)
    order = np.argsort(s, kind="stable")
    cuts = np.concatenate([[0.0], s[order], [1.0]])
    # Refusing the k lowest: what is gained there by refusing, lost of what was right.
    gains = np.concatenate([[0], np.cumsum(nothing[order].astype(int) - hit[order])])
    gains[np.flatnonzero(np.diff(cuts) <= 0)] = gains.min() - 1  # equal scores are refused together
    best = int(np.argmax(gains))
    return float(np.clip((cuts[best] + cuts[best + 1]) / 2, LOWEST, 1 - LOWEST))


def reliability(probabilities: ArrayLike, right: ArrayLike, bins: int = 10) -> tuple[Bin, ...]:
    """Said and true share in bins of equal width in [0, 1]; those without a question are left out."""
    p, hit = np.asarray(probabilities, float), np.asarray(right, bool)
    places = np.minimum((p * bins).astype(int), bins - 1)
    return tuple(
        Bin(float(p[places == place].mean()), float(hit[places == place].mean()), int((places == place).sum()))
        for place in range(bins) if (places == place).any()
    )  # fmt: skip


def expected_error(bins: Sequence[Bin]) -> float:
    """Mean over the questions of |said - true share| of their bin."""
    total = sum(row.questions for row in bins)
    return sum(row.questions * abs(row.probability - row.right) for row in bins) / total


def is_right(answer: str, references: Sequence[str]) -> bool:
    """Whether an answer equals one of the references but for punctuation, spaces, width and case."""
    return _letters(answer) in {_letters(reference) for reference in references} - {""}


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def _right(scores: NDArray, right: NDArray, unanswerable: NDArray, threshold: float) -> float:
    return float(np.where(scores < threshold, unanswerable, right).mean())


def _logit(scores: ArrayLike) -> NDArray:
    s = np.clip(np.asarray(scores, float), LOWEST, 1 - LOWEST)
    return np.log(s) - np.log1p(-s)

"""Thresholds of the half pointers that give the best F1 on held-out texts.

A threshold decides twice: which starts and ends count, and, since a start takes the nearest end that counts, which end
is the nearest. So every span that any thresholds above `lowest` can choose is noted once, with the interval of
thresholds that choose it:

    chosen  <=>  start > start threshold  and  earlier <= end threshold < end

where `earlier` is the highest end between the start and this end. Scoring other thresholds is then a matter of
comparisons, without the network.

Source: kexue.fm/archives/6671 (0.5 and 0.4, found on held-out texts), /7161 (0.6 and 0.5).
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from .decoding_dgcnn_triples import KNOWN_THRESHOLD, allowed_predicates
from .prior_dgcnn import TriplePrior

Triple = tuple[str, str, str]
MOST = 24  # subjects of a text, and starts of objects of a subject; a network that finds more has not learned yet
SUBJECTS_AT_ONCE = 256


class Candidate(NamedTuple):
    """A triple that some thresholds choose.

    Args:
        text: its number.
        triple: subject, predicate and object as they stand in the text.
        bounds: of the subject start, end, earlier; of the object start, end, earlier.
    """

    text: int
    triple: Triple
    bounds: tuple[float, ...]


@torch.inference_mode()
def triple_candidates(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    lowest: float = 0.1,
    prior: TriplePrior | None = None,
    batch_size: int = 32,
    max_length: int = 256,
) -> list[Candidate]:
    """Every triple that thresholds of at least `lowest` can choose.

    Args:
        model: with `extract_subjects`, `extract_objects`, `schema` and `subject_types`, in evaluation mode.
        tokenizer: that of the model.
        texts: their ends are cut off beyond `max_length` tokens.
        lowest: in (0, 1).
        prior: for a model that wants one; memorised triples that it finds are chosen by all thresholds.
        batch_size: texts that run together; texts of like lengths do.
        max_length: tokens.

    Returns:
        Candidates, in no order that means anything. Of a text the 24 best subjects are tried, of a subject objects
        with the 24 highest starts.
    """
    device = next(model.parameters()).device
    allowed = [allowed_predicates(model.schema, model.subject_types, [t]) for t in range(len(model.subject_types))]
    columns = [np.isin(np.arange(len(model.schema)), numbers) for numbers in allowed]
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    found: list[Candidate] = []
    for begin in range(0, len(order), batch_size):
        numbers = order[begin : begin + batch_size]
        encoded = tokenizer(
            [texts[number] for number in numbers], add_special_tokens=False, truncation=True, max_length=max_length,
            padding=True, return_offsets_mapping=True, return_tensors="pt",
        )  # fmt: skip
        offsets = encoded.pop("offset_mapping").numpy()
        if not offsets.shape[1]:
            continue  # none of these texts has a character
        inputs = {name: encoded[name].to(device) for name in _inputs(encoded)}
        if prior is not None and model.config.triple_prior:
            rows = [prior.features(texts[number], places) for number, places in zip(numbers, offsets)]
            inputs["prior"] = torch.from_numpy(np.stack(rows)).to(device)
        logits, states = model.extract_subjects(**inputs)
        tables = logits.float().sigmoid().cpu().numpy()
        subjects = [(row, *span) for row, table in enumerate(tables) for span in _best(_columns(table, lowest))]
        for first in range(0, len(subjects), SUBJECTS_AT_ONCE):
            some = subjects[first : first + SUBJECTS_AT_ONCE]
            places = torch.tensor([(row, a, b) for row, _, a, b, *_ in some], device=device)
            scores = model.extract_objects(states, places).float().sigmoid().cpu().numpy()
            for (row, type_, a, b, *bounds), table in zip(some, scores):
                text, spans = texts[numbers[row]], offsets[row]
                subject = text[spans[a, 0] : spans[b, 1]]
                for predicate, c, d, *others in _columns(table, lowest, columns[type_]):
                    name = model.schema[predicate]["predicate"]
                    triple = (subject, name, text[spans[c, 0] : spans[d, 1]])
                    found.append(Candidate(numbers[row], triple, (*bounds, *others)))
        if prior is not None:
            for number, places in zip(numbers, offsets):
                found += _known_candidates(model, prior, number, texts[number][: places.max()])
    return found


def _known_candidates(model: Any, prior: TriplePrior, number: int, text: str) -> Iterator[Candidate]:
    """Memorised triples in a text that the model's configuration finds without its network."""
    scores = model.config.known_triple_scores
    for (a, b), predicate, (c, d) in prior.nearest(text) if scores is not None else ():
        if scores[predicate] > KNOWN_THRESHOLD:
            triple = (text[a:b], model.schema[predicate]["predicate"], text[c:d])
            yield Candidate(number, triple, (1.0, 1.0, 0.0) * 2)


class ThresholdSearch:
    """Precision, recall and F1 of candidates for any thresholds: sets of triples, summed over the texts.

    Case and one pair of 《》 around a mention make no difference, as in the scorer of DuIE.

    Args:
        candidates: of `triple_candidates`.
        gold: the triples of each text.
        lowest: that of the candidates; thresholds below it are refused.
    """

    def __init__(self, candidates: Sequence[Candidate], gold: Sequence[Sequence[Triple]], lowest: float = 0.1) -> None:
        truth = [{_compared(triple) for triple in triples} for triples in gold]
        keys: dict[tuple[int, Triple], int] = {}
        numbers = [keys.setdefault((text, _compared(triple)), len(keys)) for text, triple, _ in candidates]
        self.numbers = np.array(numbers, dtype=np.int64)
        self.right = np.array([triple in truth[text] for text, triple in keys], dtype=bool)
        self.bounds = np.array([candidate.bounds for candidate in candidates], dtype=np.float64).reshape(-1, 6).T
        self.num_gold = sum(map(len, truth))
        self.lowest = lowest

    def counts(self, thresholds: Sequence[float]) -> tuple[int, int, int]:
        """Correct, predicted and gold triples.

        Args:
            thresholds: subject start, subject end, object start, object end.

        Raises:
            ValueError: for a threshold below `lowest`.
        """
        if min(thresholds) < self.lowest:
            raise ValueError(f"Thresholds must be at least {self.lowest}, got {list(thresholds)}.")
        start, end, object_start, object_end = thresholds
        a, b, earlier, c, d, object_earlier = self.bounds
        chosen = (a > start) & (b > end) & (earlier <= end)
        chosen &= (c > object_start) & (d > object_end) & (object_earlier <= object_end)
        predicted = np.unique(self.numbers[chosen])
        return int(self.right[predicted].sum()), len(predicted), self.num_gold

    def scores(self, thresholds: Sequence[float]) -> dict[str, float]:
        """Precision, recall and F1 in [0, 1]; see `counts`."""
        return triple_figures(*self.counts(thresholds))

    def best(self, begin: Sequence[float], step: float = 0.05, rounds: int = 3) -> list[float]:
        """Thresholds of the highest F1 by coordinate ascent: one threshold after the other, the others kept.

        Args:
            begin: where it starts, four thresholds; kept where nothing is better.
            step: of the grid from `lowest` to 0.95.
            rounds: over the four thresholds.
        """
        grid = [round(float(value), 6) for value in np.arange(self.lowest, 0.95 + 1e-9, step)]
        best = [max(float(value), self.lowest) for value in begin]
        highest = self.scores(best)["f1"]
        for _ in range(rounds):
            before = list(best)
            for place in range(4):
                for value in grid:
                    trial = [*best[:place], value, *best[place + 1 :]]
                    if (f1 := self.scores(trial)["f1"]) > highest:
                        best, highest = trial, f1
            if best == before:
                break
        return best


def crossed_counts(
    candidates: Sequence[Candidate], gold: Sequence[Sequence[Triple]], begin: Sequence[float]
) -> tuple[int, int, int]:
    """Correct, predicted and gold triples where each half of the texts gets the thresholds that are best for the other
    half: what a search is worth on texts that it has not seen.

    Args:
        candidates: of `triple_candidates`.
        gold: the triples of each text.
        begin: where both searches start.
    """
    halves = []
    for half in (0, 1):
        found = [candidate for candidate in candidates if candidate.text % 2 == half]
        halves.append(ThresholdSearch(found, [triples if n % 2 == half else [] for n, triples in enumerate(gold)]))
    first, second = (half.counts(other.best(begin)) for half, other in (halves, halves[::-1]))
    return first[0] + second[0], first[1] + second[1], first[2] + second[2]


def triple_figures(correct: int, predicted: int, gold: int) -> dict[str, float]:
    """Precision, recall and F1 in [0, 1] of numbers of triples; 0 where there are none."""
    f1 = 2 * correct / (predicted + gold) if correct else 0.0
    return {"precision": correct / max(predicted, 1), "recall": correct / max(gold, 1), "f1": f1}


def _compared(triple: Triple) -> Triple:
    subject, found = (
        mention[1:-1] if mention.startswith("《") and mention.endswith("》") else mention
        for mention in (triple[0].lower(), triple[2].lower())
    )
    return subject, triple[1], found


def _inputs(encoded: Any) -> list[str]:
    return [name for name in ("input_ids", "attention_mask", "word_input_ids") if name in encoded]


def _spans(
    starts: NDArray, ends: NDArray, lowest_start: float, lowest: float
) -> Iterator[tuple[int, int, float, float, float]]:
    """(first, last, start, end, earlier) of the spans that some thresholds choose."""
    places = np.flatnonzero(ends > lowest)
    for first in np.flatnonzero(starts > lowest_start):
        earlier = 0.0
        for last in places[np.searchsorted(places, first) :]:
            if ends[last] > earlier:
                yield int(first), int(last), float(starts[first]), float(ends[last]), earlier
                earlier = float(ends[last])


def _best(
    spans: Iterator[tuple[int, int, int, float, float, float]],
) -> list[tuple[int, int, int, float, float, float]]:
    return sorted(spans, key=lambda span: -span[3] * span[4])[:MOST]


def _columns(
    table: NDArray, lowest: float, allowed: NDArray | None = None
) -> Iterator[tuple[int, int, int, float, float, float]]:
    """(column, first, last, start, end, earlier) of all columns, scores (L, 2C); of the 24 highest starts where there
    are more."""
    size = table.shape[1] // 2
    starts = table[:, :size] if allowed is None else table[:, :size] * allowed
    lowest_start = lowest
    if np.count_nonzero(starts > lowest) > MOST:
        lowest_start = max(lowest, float(np.partition(starts, -MOST - 1, axis=None)[-MOST - 1]))
    for column in np.flatnonzero((starts > lowest_start).any(axis=0)):
        for span in _spans(starts[:, column], table[:, size + column], lowest_start, lowest):
            yield int(column), *span

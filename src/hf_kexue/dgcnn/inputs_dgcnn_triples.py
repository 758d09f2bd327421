"""What a user hands to the triple pipeline: texts, settings, model and tokenizer; what is wrong with them; and how a
long text is cut."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from .checks_dgcnn import (
    check_flag,
    check_integer,
    check_vocabularies,
    is_sequence,
)
from .constraints_dgcnn import CONSTRAINTS
from .decoding_dgcnn_triples import KNOWN_THRESHOLD
from .prior_dgcnn import TriplePrior
from .sentences_dgcnn import clause_ends, sentence_ends

OCCURRENCES = ("found", "best", "all")


@dataclass(frozen=True)
class TripleSettings:
    """Arguments of a call, see `TripleExtractionPipeline`; checks itself."""

    subject_threshold: tuple[float, float] = (0.5, 0.4)  # one number for both is made into two
    object_threshold: tuple[float, float] = (0.5, 0.4)
    predicates: str | Sequence[str] | None = None
    max_seq_len: int = 256
    split_above: int = 0
    occurrences: str = "found"
    known_threshold: float = KNOWN_THRESHOLD
    constraints: tuple[str, ...] = CONSTRAINTS  # True, False and names in any order are made into these
    batch_size: int = 16
    simplify: bool = False
    progress: bool | None = None

    def __post_init__(self) -> None:
        for name, least in (("max_seq_len", 1), ("split_above", 0), ("batch_size", 1)):
            check_integer(name, getattr(self, name), least)
        for name in ("subject_threshold", "object_threshold"):
            object.__setattr__(self, name, _pair(name, getattr(self, name)))
        if isinstance(self.known_threshold, bool) or not isinstance(self.known_threshold, int | float):
            raise TypeError(f"known_threshold must be a number, got {self.known_threshold!r}.")
        if not 0 <= self.known_threshold <= 1:
            raise ValueError(f"known_threshold must be in [0, 1], got {self.known_threshold!r}.")
        if self.occurrences not in OCCURRENCES:
            raise ValueError(f"occurrences must be one of {', '.join(OCCURRENCES)}, got {self.occurrences!r}.")
        object.__setattr__(self, "constraints", _constraints(self.constraints))
        check_flag("simplify", self.simplify)
        if self.progress is not None:
            check_flag("progress", self.progress)


def _pair(name: str, value: Any) -> tuple[float, float]:
    """Thresholds of start and end."""
    pair = tuple(value) if is_sequence(value) else (value, value)
    if len(pair) != 2 or any(isinstance(part, bool) or not isinstance(part, int | float) for part in pair):
        raise TypeError(f"{name} must be a number, or two: for starts and for ends; got {value!r}.")
    if not all(0 <= part <= 1 for part in pair):
        raise ValueError(f"{name} must be in [0, 1], got {value!r}.")
    return pair


def _constraints(value: Any) -> tuple[str, ...]:
    """Names of constraints, in their order."""
    if isinstance(value, bool):
        return CONSTRAINTS if value else ()
    names = [value] if isinstance(value, str) else value
    if not is_sequence(names):
        raise TypeError(f"constraints must be True, False or names, got {value!r}.")
    if unknown := [name for name in names if name not in CONSTRAINTS]:
        raise ValueError(f"constraints must be of {', '.join(CONSTRAINTS)}; got {unknown[0]!r}.")
    return tuple(name for name in CONSTRAINTS if name in names)


class TripleOptions(TypedDict, total=False):
    """The fields of `TripleSettings` as keyword arguments, for editors and type checkers."""

    subject_threshold: float | Sequence[float]
    object_threshold: float | Sequence[float]
    predicates: str | Sequence[str] | None
    max_seq_len: int
    split_above: int
    occurrences: str
    known_threshold: float
    constraints: bool | str | Sequence[str]
    batch_size: int
    simplify: bool
    progress: bool | None


def chosen_predicates(schema: Sequence[Mapping[str, Any]], wanted: str | Sequence[str] | None) -> frozenset[int]:
    """The numbers of the predicates with these names, of all for None.

    Raises:
        TypeError, ValueError: for a name that the schema does not have; the message holds those that come near.
    """
    known = [entry["predicate"] for entry in schema]
    if wanted is None:
        return frozenset(range(len(known)))
    names = [wanted] if isinstance(wanted, str) else wanted
    if not is_sequence(names):
        raise TypeError(f"predicates must be a list of names, got {type(wanted).__name__}.")
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=5, cutoff=0.4)
            hint = f"; near it: {', '.join(near)}" if near else f"; it knows {', '.join(known[:10])}"
            more = ", ..." if not near and len(known) > 10 else ""
            raise ValueError(f"The model does not know the predicate {name!r}{hint}{more}.")
    return frozenset(map(known.index, names))


def check_triple_fit(model: Any, tokenizer: Any) -> TriplePrior | None:
    """That model and tokenizer belong together.

    Returns:
        The memorised triples, where the model wants them.

    Raises:
        TypeError, ValueError: where one is not of the DGCNN family, or the two do not belong together.
    """
    if not hasattr(model, "extract_subjects"):
        raise TypeError(f"The model must be a DGCNNForTripleExtraction, got {type(model).__name__}.")
    check_vocabularies(model, tokenizer)
    if not model.config.triple_prior and model.config.known_triple_scores is None:
        return None
    if tokenizer.triple_prior is None:
        raise ValueError(
            "The model wants a prior, and the tokenizer has none: make it with triple_prior=, the memorised triples."
        )
    return TriplePrior(tokenizer.triple_prior, len(model.schema))


def pieces(
    text: str, offsets: NDArray[np.int64], size: int, split_above: int
) -> tuple[list[slice], NDArray[np.int64]]:
    """Cuts the tokens of a text into sentences, and too long sentences at commas, else anywhere.

    Args:
        text: any string.
        offsets: (L, 2) where each token starts and ends in it, from left to right.
        size: tokens of a piece at most.
        split_above: a text of at most so many tokens stays whole; of a longer one neighbouring sentences stay together
            while they have at most half as many. 0: each sentence is a piece.

    Returns:
        Slices of the tokens that follow each other and are all of them, none for no tokens; and (L,) the number of the
        sentence of each token.
    """
    count = len(offsets)
    ends = np.searchsorted(offsets[:, 0], np.array(sentence_ends(text), dtype=np.int64))  # first tokens after them
    sentences = np.searchsorted(ends, np.arange(count), side="right")
    if count <= min(size, split_above):
        return [slice(0, count)] if count else [], sentences
    clauses = np.searchsorted(offsets[:, 0], np.array(clause_ends(text), dtype=np.int64))
    found: list[slice] = []
    first = 0
    for end in sorted({*ends.tolist(), count} - {0}):
        if found and end - found[-1].start <= min(split_above // 2, size):
            found[-1] = slice(found[-1].start, end)
            first = end
        while end - first > size:
            last = int(np.searchsorted(clauses, first + size, side="right")) - 1
            stop = int(clauses[last]) if last >= 0 and clauses[last] > first else first + size
            found.append(slice(first, stop))
            first = stop
        if first < end:
            found.append(slice(first, end))
            first = end
    return found, sentences

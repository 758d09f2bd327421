"""What a user hands to the triple pipeline: texts, settings, model and tokenizer; what is wrong with them; and how a
long text is cut."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from .checks_dgcnn import check_content, check_integer, check_vocabularies, is_sequence
from .decoding_dgcnn_triples import KNOWN_THRESHOLD
from .prior_dgcnn import TriplePrior

OCCURRENCES = ("found", "best", "all")
SENTENCE_END = re.compile(r"[。！？；!?;…]+[”’」』）)\]】》\"']*|\.(?=\s)|[\r\n\u2028\u2029]+")
CLAUSE_END = re.compile(r"[，、：]|[,:](?!\d)")


@dataclass(frozen=True)
class TripleSettings:
    """Arguments of a call, see `TripleExtractionPipeline`; checks itself."""

    subject_threshold: tuple[float, float] = (0.5, 0.4)  # one number for both is made into two
    object_threshold: tuple[float, float] = (0.5, 0.4)
    predicates: str | Sequence[str] | None = None
    max_seq_len: int = 256
    split_above: int = 128
    occurrences: str = "found"
    known_threshold: float = KNOWN_THRESHOLD
    batch_size: int = 16
    progress: bool | None = None

    def __post_init__(self) -> None:
        for name in ("max_seq_len", "split_above", "batch_size"):
            check_integer(name, getattr(self, name), 1)
        for name in ("subject_threshold", "object_threshold"):
            object.__setattr__(self, name, _pair(name, getattr(self, name)))
        if isinstance(self.known_threshold, bool) or not isinstance(self.known_threshold, int | float):
            raise TypeError(f"known_threshold must be a number, got {self.known_threshold!r}.")
        if not 0 <= self.known_threshold <= 1:
            raise ValueError(f"known_threshold must be in [0, 1], got {self.known_threshold!r}.")
        if self.occurrences not in OCCURRENCES:
            raise ValueError(f"occurrences must be one of {', '.join(OCCURRENCES)}, got {self.occurrences!r}.")
        if not isinstance(self.progress, bool | None):
            raise TypeError(f"progress must be True or False, got {self.progress!r}.")


def _pair(name: str, value: Any) -> tuple[float, float]:
    """Thresholds of start and end."""
    pair = tuple(value) if is_sequence(value) else (value, value)
    if len(pair) != 2 or any(isinstance(part, bool) or not isinstance(part, int | float) for part in pair):
        raise TypeError(f"{name} must be a number, or two: for starts and for ends; got {value!r}.")
    if not all(0 <= part <= 1 for part in pair):
        raise ValueError(f"{name} must be in [0, 1], got {value!r}.")
    return pair


class TripleOptions(TypedDict, total=False):
    """The fields of `TripleSettings` as keyword arguments, for editors and type checkers."""

    subject_threshold: float | Sequence[float]
    object_threshold: float | Sequence[float]
    predicates: str | Sequence[str] | None
    max_seq_len: int
    split_above: int
    occurrences: str
    known_threshold: float
    batch_size: int
    progress: bool | None


def read_input(inputs: Any) -> tuple[list[str], bool]:
    """The texts of a call.

    Args:
        inputs: a string, or an iterable of strings.

    Returns:
        The texts, and whether several were given (then a list of results is due).

    Raises:
        TypeError, ValueError: for anything else, for texts without a character, and for half a surrogate pair; naming
            the text where there are several.
    """
    if isinstance(inputs, str):
        check_content(inputs, "the text")
        return [inputs], False
    if isinstance(inputs, bytes | Mapping) or not isinstance(inputs, Iterable):
        raise TypeError(f"A text must be a string, or several of them in a list; got {type(inputs).__name__}.")
    texts = list(inputs)
    for number, text in enumerate(texts):
        check_content(text, f"text {number} (from 0)")
    return texts, True


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
        The known triples, where the model wants them.

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
            "The model wants a prior, and the tokenizer has none: make it with triple_prior=, the known triples."
        )
    return TriplePrior(tokenizer.triple_prior, len(model.schema))


def pieces(text: str, offsets: NDArray[np.int64], size: int, split_above: int) -> list[slice]:
    """Cuts the tokens of a long text into sentences, and too long sentences at commas, else anywhere.

    Args:
        text: any string.
        offsets: (L, 2) where each token starts and ends in it, from left to right.
        size: tokens of a piece at most.
        split_above: a text of at most so many tokens stays whole; of a longer one neighbouring sentences stay together
            while they have at most half as many.

    Returns:
        Slices of the tokens that follow each other and are all of them; none for no tokens.
    """
    count = len(offsets)
    if count <= min(size, split_above):
        return [slice(0, count)] if count else []
    clauses = _first_tokens(text, offsets, CLAUSE_END)
    ends = {*_first_tokens(text, offsets, SENTENCE_END).tolist(), count} - {0}
    found: list[slice] = []
    first = 0
    for end in sorted(ends):
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
    return found


def _first_tokens(text: str, offsets: NDArray[np.int64], end: re.Pattern[str]) -> NDArray[np.int64]:
    """The first token after each match."""
    places = np.fromiter((match.end() for match in end.finditer(text)), dtype=np.int64)
    return np.searchsorted(offsets[:, 0], places)

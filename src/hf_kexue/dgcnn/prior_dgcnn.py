"""Distant supervision: which memorised triples have both mentions in a text, and where.

A network can be conditioned on them (`features`), and they can be found beside what a network finds (`nearest`).

The memorised triples are those of the training data. A triple that only the sample itself supports is no evidence
about new texts, so it is left out while the sample is learned: `exclude`.

The mentions are words, or, in a model that may travel farther than its data, fingerprints of them: these tell
whether a text holds a memorised triple, without its words.

Source: kexue.fm/archives/6671, section on distant supervision.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks_dgcnn import check_text
from .mentions_dgcnn import KnownFingerprints, KnownWords, Mention, Place, fingerprint
from .segmentation_dgcnn import read_words

KnownTriple = tuple[Mention, int, Mention]
FILE = "triple_prior.txt"


class TriplePrior:
    """Memorised triples, looked up in texts.

    Args:
        triples: (subject, number of the predicate, object), all with words or all with `fingerprint`s. One that
            several sentences support is there as often.
        num_predicates: C.

    Raises:
        TypeError, ValueError: for anything but such triples, empty mentions, half a surrogate pair, or a number that
            is not below C; naming the triple.

    Source: kexue.fm/archives/6671.
    """

    def __init__(self, triples: Sequence[KnownTriple], num_predicates: int) -> None:
        self.num_predicates = num_predicates
        known = check_prior(triples, num_predicates)
        look_up = KnownFingerprints if known and isinstance(known[0][0], int) else KnownWords
        self._key = look_up.key
        self._support = Counter(map(self._keyed, known))
        self._known = look_up(mention for subject, _, found in self._support for mention in (subject, found))
        self._of_subject: defaultdict[Mention, list[tuple[int, Mention]]] = defaultdict(list)
        for subject, predicate, found in self._support:
            self._of_subject[subject].append((predicate, found))

    def spans(self, text: str, exclude: Iterable[KnownTriple] = ()) -> list[tuple[int, int, int, int, int]]:
        """The memorised triples in a text, at every pair of places of their mentions.

        Args:
            text: any string.
            exclude: triples of which one support each does not count, the sample's own: a triple that one sentence
                supports is not found then, and one that two support is.

        Returns:
            (subject start, subject end, predicate, object start, object end), half-open character offsets, sorted.
        """
        pairs = ((s, p, o) for ss, p, oo in self._found(text, exclude) for s, o in product(ss, oo))
        return sorted((*s, p, *o) for s, p, o in pairs)

    def nearest(self, text: str, exclude: Iterable[KnownTriple] = ()) -> list[tuple[Place, int, Place]]:
        """The memorised triples in a text, each once, at the two places that are nearest to each other; the first of
        equals.

        Args:
            text: any string.
            exclude: as of `spans`.

        Returns:
            (subject, predicate, object), the mentions as half-open character offsets; sorted.
        """
        return sorted(
            min(((s, p, o) for s, o in product(ss, oo)), key=lambda found: (abs(found[0][0] - found[2][0]), found))
            for ss, p, oo in self._found(text, exclude)
        )

    def features(self, text: str, offsets: ArrayLike, exclude: Iterable[KnownTriple] = ()) -> NDArray[np.float32]:
        """Input features of the memorised triples in a text.

        Args:
            text: any string.
            offsets: (L, 2) where each token starts and ends in the text, half-open, from left to right; (0, 0) for
                one that is not of the text.
            exclude: as of `spans`.

        Returns:
            (L, 2 + 2C) float32 in {0, 1}: first tokens of subjects, last tokens of subjects, then for each predicate
            first tokens of objects, and for each predicate last tokens of objects.

        Raises:
            ValueError: for offsets of another shape.
        """
        places = np.asarray(offsets, dtype=np.int64)
        if places.ndim != 2 or places.shape[1] != 2:
            raise ValueError(f"offsets must have the shape (tokens, 2), got {places.shape}.")
        marks = np.zeros((len(places), 2 + 2 * self.num_predicates), dtype=np.float32)
        tokens = np.flatnonzero(places[:, 0] < places[:, 1])
        starts, ends = places[tokens].T
        for subjects, predicate, objects in self._found(text, exclude):
            for spans, column, width in ((subjects, 0, 1), (objects, 2 + predicate, self.num_predicates)):
                for start, end in spans:
                    first = np.searchsorted(ends, start, side="right")
                    last = np.searchsorted(starts, end) - 1
                    if first <= last:
                        marks[tokens[first], column] = marks[tokens[last], column + width] = 1
        return marks

    def _found(self, text: str, exclude: Iterable[KnownTriple]) -> list[tuple[list[Place], int, list[Place]]]:
        """Places of the subject, predicate and places of the object of each memorised triple in the text."""
        places = self._known.places(text)
        own = Counter(map(self._keyed, exclude))
        return [
            (found, predicate, places[other])
            for mention, found in places.items()
            for predicate, other in self._of_subject.get(mention, ())
            if other in places and self._support[mention, predicate, other] > own[mention, predicate, other]
        ]

    def _keyed(self, triple: KnownTriple) -> KnownTriple:
        subject, predicate, found = triple
        return self._key(subject), predicate, self._key(found)


def fingerprinted(triples: Iterable[KnownTriple]) -> list[KnownTriple]:
    """Memorised triples with fingerprints in place of words, each once: for a model that may not carry the words.

    Raises:
        ValueError: for a mention of more than 255 characters.
    """
    return sorted({(fingerprint(subject), predicate, fingerprint(found)) for subject, predicate, found in triples})


def check_prior(triples: Any, num_predicates: int | None = None) -> list[KnownTriple]:
    """The triples as a list of tuples.

    Raises:
        TypeError, ValueError: see `TriplePrior`; without `num_predicates` any number from 0 is good.
    """
    if isinstance(triples, str) or not isinstance(triples, Sequence):
        raise TypeError(f"triple_prior must be a list of triples, got {type(triples).__name__}.")
    checked: list[KnownTriple] = []
    for number, triple in enumerate(triples):
        where = f"Triple {number} (from 0) of the prior"
        if not isinstance(triple, Sequence) or isinstance(triple, str) or len(triple) != 3:
            raise TypeError(f"{where} must be (subject, number of the predicate, object), got {triple!r}.")
        subject, predicate, found = triple
        hashed = _is_number(checked[0][0] if checked else subject)
        for mention in (subject, found):
            if hashed and not (_is_number(mention) and 0 < mention < 2**52):
                raise ValueError(f"{where} must have fingerprints below 2 ** 52, as the first one: {triple!r}.")
            if not hashed:
                check_text(mention, f"A mention of {where[0].lower()}{where[1:]}")
            if not mention:
                raise ValueError(f"{where} has an empty mention: {triple!r}.")
        if not _is_number(predicate):
            raise TypeError(f"{where} must have the number of a predicate, got {predicate!r}.")
        if predicate < 0 or (num_predicates is not None and predicate >= num_predicates):
            room = "at least 0" if num_predicates is None else f"below {num_predicates}, the number of predicates"
            raise ValueError(f"{where} has the predicate {predicate}, which must be {room}.")
        checked.append((subject, predicate, found))
    return checked


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def prior_lines(triples: Iterable[KnownTriple]) -> list[str]:
    """The triples as JSON, one a line of `triple_prior.txt`."""
    return [json.dumps(triple, ensure_ascii=False) for triple in triples]


def read_prior(path: str | Path | None, size: int | None) -> list[KnownTriple] | None:
    """The inverse of `prior_lines`.

    Args:
        path: None where there is no such file.
        size: how many there must be; None takes any number.

    Raises:
        ValueError: if the file is missing or holds another number, and for a line that is no triple.
    """
    lines = read_words(path, size, FILE)
    if lines is None:
        return None
    try:
        return check_prior([json.loads(line) for line in lines])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{FILE} beside tokenizer.json cannot be read: {error}") from error

"""Memorised triples of the training data, and how reliable they are in a text that holds both mentions.

A memorised triple need not hold wherever both its mentions occur: that two people are married says little about a text
that names both as actors. Its precision is estimated on each training sentence with the triples of the others.

Source: kexue.fm/archives/6671, section on distant supervision, for the triples; the scores are ours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from .reading import TripleExample

KnownTriple = tuple[str, int, str]  # subject, index of the predicate, object
Place = tuple[int, int]


class Prior(Protocol):
    """Finds memorised triples in texts, such as `TriplePrior`."""

    def nearest(self, text: str, exclude: Iterable[KnownTriple] = ()) -> list[tuple[Place, int, Place]]: ...


def memorised_triples(examples: Sequence[TripleExample], schema: Sequence[Mapping[str, Any]]) -> list[KnownTriple]:
    """The triples of all examples whose predicate is in the schema, with its index there."""
    numbers = {entry["predicate"]: number for number, entry in enumerate(schema)}
    return [
        (triple.subject, numbers[triple.predicate], triple.object)
        for example in examples
        for triple in example.triples
        if triple.predicate in numbers
    ]


def known_triple_scores(
    examples: Sequence[TripleExample], schema: Sequence[Mapping[str, Any]], prior: Prior
) -> list[float]:
    """For each predicate the precision of memorised triples of other examples in texts that hold both mentions.

    Args:
        examples: training sentences.
        schema: C entries as of `build_schema`.
        prior: of the `memorised_triples` of these examples.

    Returns:
        (correct + 1) / (found + 2) for each predicate of the schema, in (0, 1): 0.5 if none is found.
    """
    right, found = [0] * len(schema), [0] * len(schema)
    for example in examples:
        gold = memorised_triples([example], schema)
        keys = set(map(_folded, gold))
        for (a, b), predicate, (c, d) in prior.nearest(example.text, exclude=gold):
            found[predicate] += 1
            right[predicate] += _folded((example.text[a:b], predicate, example.text[c:d])) in keys
    return [(r + 1) / (f + 2) for r, f in zip(right, found)]


def memorised_share(examples: Sequence[TripleExample], known: Sequence[KnownTriple], schema: Any) -> float:
    """The share of the triples of examples, each counted once a text, that are memorised; in [0, 1]."""
    keys = set(map(_folded, known))
    each = [set(map(_folded, memorised_triples([example], schema))) for example in examples]
    return sum(len(triples & keys) for triples in each) / max(sum(map(len, each)), 1)


def _folded(triple: KnownTriple) -> KnownTriple:
    """Ignore case and width."""
    subject, found = (unicodedata.normalize("NFKC", mention).lower() for mention in (triple[0], triple[2]))
    return subject, triple[1], found

"""What training sentences teach about texts without a network: the triples they hold, and how far to trust them.

A known triple need not hold wherever both its mentions stand: that two people are married says little about a text
that names both as actors. Each training sentence tells how often it does, by the triples of the others.

Source: kexue.fm/archives/6671, section on distant supervision, which knows triples; their scores are not of it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from .reading import TripleExample

KnownTriple = tuple[str, int, str]  # subject, number of the predicate, object
Place = tuple[int, int]


class Prior(Protocol):
    """Known triples in texts, such as `TriplePrior`."""

    def nearest(self, text: str, exclude: Iterable[KnownTriple] = ()) -> list[tuple[Place, int, Place]]: ...


def known_triples(examples: Sequence[TripleExample], schema: Sequence[Mapping[str, Any]]) -> list[KnownTriple]:
    """The triples of all examples, with the numbers of their predicates in the schema; others are left out."""
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
    """For each predicate how often a triple that another example holds is right, where both mentions stand in a text.

    Args:
        examples: training sentences.
        schema: C entries as of `build_schema`.
        prior: of the `known_triples` of these examples.

    Returns:
        (right + 1) / (found + 2) for each predicate of the schema, in (0, 1): 0.5 where none is found.
    """
    right, found = [0] * len(schema), [0] * len(schema)
    for example in examples:
        own = known_triples([example], schema)
        said = set(map(_folded, own))
        for (a, b), predicate, (c, d) in prior.nearest(example.text, exclude=own):
            found[predicate] += 1
            right[predicate] += _folded((example.text[a:b], predicate, example.text[c:d])) in said
    return [(r + 1) / (f + 2) for r, f in zip(right, found)]


def known_share(examples: Sequence[TripleExample], known: Sequence[KnownTriple], schema: Any) -> float:
    """The share of the triples of examples, each counted once a text, that are among the known ones; 0 to 1."""
    keys = set(map(_folded, known))
    each = [set(map(_folded, known_triples([example], schema))) for example in examples]
    return sum(len(own & keys) for own in each) / max(sum(map(len, each)), 1)


def _folded(triple: KnownTriple) -> KnownTriple:
    """Case and width make no difference."""
    subject, found = (unicodedata.normalize("NFKC", mention).lower() for mention in (triple[0], triple[2]))
    return subject, triple[1], found

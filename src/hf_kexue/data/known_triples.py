"""What training sentences teach about texts without a network: the triples they hold, and how far to trust them.

A known triple need not hold wherever both its mentions stand: that two people are married says little about a text
that names both as actors. Each training sentence tells how often it does, by the triples of the others.

Source: kexue.fm/archives/6671, section on distant supervision, which knows triples; their scores are not of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..dgcnn.mentions_dgcnn import KnownWords
from ..dgcnn.prior_dgcnn import KnownTriple, TriplePrior
from .triples import TripleExample


def known_triples(examples: Sequence[TripleExample], schema: Sequence[Mapping[str, Any]]) -> list[KnownTriple]:
    """The triples of all examples, with the numbers of their predicates in the schema; others are left out."""
    numbers = {entry["predicate"]: number for number, entry in enumerate(schema)}
    return [
        (triple.subject, numbers[triple.predicate], triple.object)
        for example in examples
        for triple in example.triples
        if triple.predicate in numbers
    ]


def known_triple_scores(examples: Sequence[TripleExample], schema: Sequence[Mapping[str, Any]]) -> list[float]:
    """For each predicate how often a triple that another example holds is right, where both mentions stand in a text.

    Returns:
        (right + 1) / (found + 2) for each predicate of the schema, in (0, 1): 0.5 where none is found.
    """
    prior = TriplePrior(known_triples(examples, schema), len(schema))
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
    subject, predicate, found = triple
    return KnownWords.key(subject), predicate, KnownWords.key(found)

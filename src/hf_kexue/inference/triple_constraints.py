"""What triples of a schema have in common, from training sentences; `dgcnn.constraints_dgcnn` decodes by it.

    schema = learn_constraints(build_schema(examples), examples)
    schema[0]    # {"predicate": "成立日期", ..., "object_format": "date", "cardinality": "one", "object_lists": False}

A key that an entry has already is kept, so a schema file decides where it says anything.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..data.triples.reading import TripleExample
from ..dgcnn.constraints_dgcnn import CONJUNCTION, CONSTRAINTS, FORMATS, YEAR

SHARE = 0.98
FORMAT_SHARE = 0.85  # annotators cut dates and quantities short now and then
LEAST = 20  # triples of a predicate, below which nothing is learned


def named_constraints(names: Sequence[str]) -> tuple[str, ...]:
    """What the argument `constraints` of the pipeline is where names come from a command.

    Args:
        names: of constraints, or "all" or "none" alone.

    Raises:
        ValueError: for any other name, and "all" or "none" among others.
    """
    if list(names) in (["all"], ["none"]):
        return CONSTRAINTS if names[0] == "all" else ()
    if unknown := [name for name in names if name not in CONSTRAINTS]:
        raise ValueError(
            f"--constraints must be all or none alone, or of {', '.join(CONSTRAINTS)}; got {unknown[0]!r}."
        )
    return tuple(name for name in CONSTRAINTS if name in names)


def learn_constraints(
    schema: Sequence[Mapping[str, Any]], examples: Iterable[TripleExample], share: float = SHARE
) -> list[dict[str, Any]]:
    """Add the keys that hold for at least 20 triples of a predicate and this share of them.

    Args:
        schema: entries as of `build_schema`.
        examples: training sentences.
        share: in (0, 1].

    Returns:
        Copies of the entries with

            cardinality     "one": a subject has one object in a sentence
            inverse_of      a predicate which the sentence has the other way round; its own name: symmetric. 95 % are
                            enough, since annotators forget one of the two
            object_format   "date" or "quantity", for 85 %
            object_lists    False: no object holds a conjunction

    Raises:
        ValueError: for a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be in (0, 1], got {share}.")
    count: Counter[str] = Counter()
    groups: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    inverse: Counter[tuple[str, str]] = Counter()
    formats: Counter[tuple[str, str]] = Counter()
    lists: Counter[str] = Counter()
    for example in examples:
        triples = {(triple.subject, triple.predicate, triple.object) for triple in example.triples}
        for (_, name), number in Counter((subject, name) for subject, name, _ in triples).items():
            groups[name][number == 1] += 1
        for subject, name, other in triples:
            count[name] += 1
            inverse.update((name, second) for one, second, two in triples if (one, two) == (other, subject))
            lists[name] += CONJUNCTION.search(other) is not None
            formats.update((name, key) for key, form in FORMATS.items() if form.fullmatch(other))
            formats[name, "date"] += YEAR.fullmatch(other) is not None
    found = []
    for entry in schema:
        name = entry["predicate"]
        learned: dict[str, Any] = {}
        if count[name] >= LEAST:
            if groups[name][True] >= share * groups[name].total():
                learned["cardinality"] = "one"
            for second in sorted({second for first, second in inverse if first == name}):
                if min(inverse[name, second] / count[name], inverse[second, name] / count[second]) >= share - 0.03:
                    learned["inverse_of"] = second
            for key in FORMATS:
                if formats[name, key] >= FORMAT_SHARE * count[name]:
                    learned.setdefault("object_format", key)
            if lists[name] <= (1 - share) * count[name]:
                learned["object_lists"] = False
        found.append({**learned, **entry})
    return found

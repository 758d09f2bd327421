"""Precision, recall and F1 of (subject, predicate, object) triples: the scorer of DuIE 1.0, and exact spans.

    triple_scores([(text, [("邪少兵王", "作者", "冰火未央")])], references)["f1"]
    triple_scores([(text, [((1, 5), "作者", (7, 11))])], references, match="span")["f1"]

All figures are micro averages over the texts of the references. Without aliases and locations, a triple of
`match="text"` is right if its text has an equal one, apart from case and one pair of 《》 around a mention. Types are
not scored.

Source: the scorer of the LIC 2019 information extraction contest, published with DuIE 1.0 (kexue.fm/archives/6671 is
about that contest).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

Text = tuple[str, str, str]
Record = tuple[str, Iterable[tuple[Any, str, Any]]]
Names = Mapping[str, Iterable[str]]


def triple_scores(
    predictions: Sequence[Record],
    references: Sequence[Record],
    match: Literal["text", "span"] = "text",
    aliases: Names | None = None,
    locations: Names | None = None,
    per_predicate: bool = False,
) -> dict[str, Any]:
    """Score triples.

    Texts are looked up by themselves: of records with the same text only the last counts, predictions for texts that
    the references do not have are not looked at, and a triple given twice for a text counts once. For "text" mentions
    are put in lower case, and lose one pair of 《》 around them. Then, with aliases:

    - of predicted triples that are aliases of one another the first is kept;
    - a predicted triple is correct if its text has it, or has it with an alias of its subject and one of its object;
      or if its text has it, its subject perhaps by an alias, with an object in whose `locations` it lies;
    - a gold triple is found if the same holds for it and any predicted triple, dropped ones too.

    Args:
        predictions: pairs of a text and its triples (subject, predicate, object): of strings for "text", of half-open
            character ranges (start, end) for subject and object for "span".
        references: the right ones in the same form.
        match: what must be equal.
        aliases: mention -> other names of it; case does not matter. Only with "text".
        locations: mention -> names that may stand in its place as an object, such as a town for its province. Only
            with "text".
        per_predicate: whether to add a table of predicates.

    Returns:
        `{"precision", "recall", "f1"}` in 0..1 (0 where nothing was predicted or nothing is there), and the numbers
        `correct` (of the predicted), `found` (of the gold; the same without aliases), `predicted` and `gold`. With
        `per_predicate` also `{"per_predicate": {predicate: the same}}`, most gold triples first. The published
        script rounds to four digits.

    Raises:
        TypeError: for a text or mention that is no string, a span that is no pair of integers, records that are no
            pairs, triples that are no three.
        ValueError: for no references, another `match`, aliases or locations with "span".

    Source: the scorer published with DuIE 1.0.
    """
    if match not in ("text", "span"):
        raise ValueError(f"match must be 'text' or 'span'; got {match!r}.")
    if match == "span" and (aliases or locations):
        raise ValueError("aliases and locations are names; with match='span' there are none to compare.")
    if not references:
        raise ValueError("references is empty; a score needs at least one text.")
    gold, predicted = (_by_text(records, name, match) for name, records in
                       (("references", references), ("predictions", predictions)))  # fmt: skip
    judge = _Judge(_lowered(aliases), _lowered(locations))
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])  # by predicate, in the order of NUMBERS
    for text, right in gold.items():
        given = predicted.get(text, {})
        for triple in judge.distinct(given):
            counts[triple[1]][2] += 1
            counts[triple[1]][0] += judge.is_right(triple, right)
        for triple in right:
            counts[triple[1]][3] += 1
            counts[triple[1]][1] += any(judge.is_right(other, {triple: None}) for other in given)
    total = [sum(column) for column in zip(*counts.values())] or [0, 0, 0, 0]
    scores = _scores(total)
    if per_predicate:
        ranked = sorted(counts, key=lambda name: (-counts[name][3], -counts[name][2], name))
        scores["per_predicate"] = {name: _scores(counts[name]) for name in ranked}
    return scores


class _Judge:
    """What the aliases and locations let pass."""

    def __init__(self, aliases: Mapping[str, set[str]], locations: Mapping[str, set[str]]) -> None:
        self.aliases = aliases
        self.locations = locations

    def names(self, mention: Any) -> set[Any]:
        return {mention, *self.aliases.get(mention, ())}

    def is_alias(self, triple: Text, among: Mapping[Text, None]) -> bool:
        if triple in among or not self.aliases:
            return triple in among
        subject, predicate, found = triple
        return any((s, predicate, o) in among for s in self.names(subject) for o in self.names(found))

    def is_right(self, triple: Text, gold: Mapping[Text, None]) -> bool:
        if self.is_alias(triple, gold):
            return True
        subject, predicate, found = triple
        return bool(self.locations) and any(
            predicate == p and s in self.names(subject) and found in self.locations.get(o, ()) for s, p, o in gold
        )

    def distinct(self, triples: Mapping[Text, None]) -> dict[Text, None]:
        kept: dict[Text, None] = {}
        for triple in triples:
            if not self.is_alias(triple, kept):
                kept[triple] = None
        return kept


def _scores(counts: Sequence[int]) -> dict[str, Any]:
    correct, found, predicted, gold = counts
    precision, recall = correct / max(predicted, 1), found / max(gold, 1)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    numbers = {"correct": correct, "found": found, "predicted": predicted, "gold": gold}
    return {"precision": precision, "recall": recall, "f1": f1, **numbers}


def _by_text(records: Sequence[Record], name: str, match: str) -> dict[str, dict[Text, None]]:
    """Text -> its triples in the form they are compared in, each once, in their order."""
    found: dict[str, dict[Text, None]] = {}
    for number, record in enumerate(records):
        where = f"{name}[{number}]"
        if isinstance(record, str) or not isinstance(record, Sequence) or len(record) != 2:
            raise TypeError(f"{where} must be a text and its triples, got {record!r}.")
        text, triples = record
        if not isinstance(text, str):
            raise TypeError(f"{where} must have a string as its text, got {type(text).__name__}.")
        found[text] = dict.fromkeys(_triple(triple, where, match) for triple in triples)
    return found


def _triple(triple: Any, where: str, match: str) -> Text:
    if isinstance(triple, str) or not isinstance(triple, Sequence) or len(triple) != 3:
        raise TypeError(f"{where} has {triple!r}; a triple is (subject, predicate, object).")
    subject, predicate, found = triple
    if not isinstance(predicate, str):
        raise TypeError(f"{where} has the predicate {predicate!r}, which must be a string.")
    form = _mention if match == "text" else _span
    return form(subject, where), predicate, form(found, where)


def _mention(mention: Any, where: str) -> str:
    if not isinstance(mention, str):
        raise TypeError(f"{where} has the mention {mention!r}, which must be a string; or use match='span'.")
    mention = mention.lower()
    return mention[1:-1] if mention.startswith("《") and mention.endswith("》") else mention


def _span(span: Any, where: str) -> Any:
    if isinstance(span, str) or not isinstance(span, Sequence) or len(span) != 2:
        raise TypeError(f"{where} has the span {span!r}, which must be a pair (start, end).")
    if not all(isinstance(place, int) for place in span):
        raise TypeError(f"{where} has the span {span!r}, which must be of two integers.")
    return tuple(span)


def _lowered(names: Names | None) -> dict[str, set[str]]:
    """The last of entries that differ in case alone counts, as in the published script."""
    return {mention.lower(): {other.lower() for other in others} for mention, others in (names or {}).items()}

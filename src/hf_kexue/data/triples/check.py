"""A look at texts with triples before a training that would fail on them: what is broken, what no model can learn.

    examples, broken = scan_triples("train.jsonl.gz")
    report = check_triples(examples, tokenizer, schema, broken=broken)
    print(report)                            # a table
    report.usable                            # whether training on this makes sense

A triple can be learned if both mentions stand in the text, each as whole tokens, close enough for one piece of
`max_length` tokens to hold both. The data are usable unless

- a record is broken or a text is empty: that wants mending;
- no triple has a predicate of the schema;
- more than 5 % of the triples cannot be learned: the mentions belong to other texts, or the pieces are too short.

All else is counted and does no harm, or is the user's to judge: triples of predicates that the schema does not have
are left out of a training. Of mentions that begin at the same place starts and ends alone return the shortest, so
that a triple with a longer one is learned and never found.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data_reports import DataReport
from ..texts.encoded import TokenSpans
from .reading import Triple, TripleExample, find_mentions
from .schemas import check_schema

MAX_LOST_SHARE = 0.05
RARE = 5  # triples of a predicate below which it is rare

FINDINGS = {
    "broken_records": ("broken records", "records"),
    "empty_texts": ("empty texts", "texts"),
    "texts_without_triples": ("texts without triples", "texts"),
    "duplicated_texts": ("texts given again", "texts"),
    "repeated_ids": ("ids used again", "texts"),
    "long_texts": ("texts longer than {max_length} {unit}", "texts"),
    "duplicated_triples": ("triples given again for the same text", "triples"),
    "absent_mentions": ("triples with a mention not in the text", "triples"),
    "split_mentions": ("triples with a mention that is no whole tokens", "triples"),
    "cut_triples": ("triples whole in no piece of {max_length} {unit}", "triples"),
    "hidden_triples": ("triples behind a shorter mention at the same place", "triples"),
    "equal_mentions": ("triples whose subject is their object", "triples"),
    "unknown_predicates": ("triples with a predicate not in the schema", "triples"),
    "rare_predicates": ("predicates with fewer than {rare} triples", "predicates"),
}
LOST = ("absent_mentions", "split_mentions", "cut_triples")

Span = tuple[int, int]
Places = dict[str, list[Span]]


class TripleReport(DataReport):
    """What `check_triples` found.

    Args:
        settings: `max_length`, its `unit`, and `rare`.
        totals: number of `records`, `texts`, `triples`, `known` triples whose predicate is one of the schema, and
            `predicates`, those of the schema among them.
        counts, examples, broken: as of `DataReport`, for each of `FINDINGS`; of rare predicates the names.

    `schema_faults` has the sentences of `check_schema`.
    """

    findings = FINDINGS
    faults = ("broken_records", "empty_texts")
    head = "{texts} texts, {triples} triples, {predicates} predicates; pieces of {max_length} {unit}"

    schema_faults: Sequence[str] = ()

    @property
    def problems(self) -> list[str]:
        """Why the data are not usable, in words; empty if they are."""
        found = super().problems
        lost, triples = sum(self.counts[name] for name in LOST), self.totals["triples"]
        if not triples:
            found.append("there is no triple")
        elif not self.totals["known"]:
            found.append("no triple has a predicate of the schema")
        if lost > MAX_LOST_SHARE * triples:
            found.append(f"{lost} of {triples} triples cannot be learned")
        return found

    def to_dict(self) -> dict[str, Any]:
        """The same for programs: only strings, numbers, booleans, lists and dictionaries."""
        return {**super().to_dict(), "schema": list(self.schema_faults)}


def check_triples(
    examples: Iterable[TripleExample],
    tokenizer: Callable[..., Any] | None = None,
    schema: Sequence[Mapping[str, Any]] | None = None,
    max_length: int = 256,
    broken: Sequence[str] = (),
) -> TripleReport:
    """Count what is wrong with texts and triples, and what a model with these settings cannot learn of them.

    Args:
        examples: of `scan_triples`, or of `read_triples`, which lets no broken one through.
        tokenizer: a fast tokenizer of transformers' kind; None counts characters.
        schema: entries as of `build_schema`, to compare with; None: whatever predicates there are.
        max_length: tokens of a piece that is read at once.
        broken: sentences of `scan_triples`; they are counted, and make the data unusable.

    Raises:
        ValueError: for pieces below one token, or a tokenizer without offsets.

    Source: the half pointer, kexue.fm/archives/6671.
    """
    if max_length < 1:
        raise ValueError(f"max_length must be at least 1, got {max_length}.")
    if tokenizer is not None and not getattr(tokenizer, "is_fast", False):
        raise ValueError(f"{type(tokenizer).__name__} gives no offsets; a fast tokenizer is needed.")
    examples = list(examples)
    unit = "characters" if tokenizer is None else "tokens"
    names = None if schema is None else {entry["predicate"] for entry in schema}
    totals = dict.fromkeys(("records", "texts", "triples", "known", "predicates"), 0)
    report = TripleReport({"unit": unit, "max_length": max_length, "rare": RARE}, totals, broken=list(broken))
    report.schema_faults = () if schema is None else check_schema(schema, examples)
    seen: set[tuple[str, str]] = set()
    given: dict[str, set[tuple[str, str, str]]] = {}
    counts: Counter[str] = Counter(dict.fromkeys(names or (), 0))
    for example in examples:
        for name, key in (("duplicated_texts", ("text", example.text)), ("repeated_ids", ("id", example.id))):
            if key in seen:
                report.add(name, example.id)
            seen.add(key)
        for triple in example.triples:
            asserted = (triple.subject, triple.predicate, triple.object)
            if asserted in given.setdefault(example.text, set()):
                report.add("duplicated_triples", example.id)
            given[example.text].add(asserted)
            counts[triple.predicate] += 1
            if names is not None and triple.predicate not in names:
                report.add("unknown_predicates", example.id)
        _check_text(example, _offsets(example.text, tokenizer), report)
    totals["records"] = totals["texts"] + len(broken)
    totals["known"] = totals["triples"] - report.counts["unknown_predicates"]
    totals["predicates"] = len(counts)
    for name, count in counts.most_common()[::-1]:
        if count < RARE:
            report.add("rare_predicates", name)
    for sentence in broken:
        report.add("broken_records", sentence.partition(": ")[0])
    return report


def _check_text(example: TripleExample, offsets: NDArray, report: TripleReport) -> None:
    report.totals["texts"] += 1
    report.totals["triples"] += len(example.triples)
    if not example.text.strip():
        report.add("empty_texts", example.id)
    elif not example.triples:
        report.add("texts_without_triples", example.id)
    if len(offsets) > report.settings["max_length"]:
        report.add("long_texts", example.id)
    mentions = {mention for triple in example.triples for mention in (triple.subject, triple.object)}
    places = {mention: find_mentions(mention, example.text) for mention in mentions}
    found = TokenSpans(offsets)
    tokens = {mention: _whole(places[mention], offsets, found) for mention in mentions}
    for triple in example.triples:
        if find_mentions(triple.subject, triple.object) == [(0, len(triple.object))]:
            report.add("equal_mentions", example.id)
        fate = _fate(triple, places, tokens, report.settings["max_length"])
        if fate is None and not _is_returned(triple, example.triples, places):
            fate = "hidden_triples"
        if fate is not None:
            report.add(fate, example.id)


def _fate(triple: Triple, places: Places, tokens: Places, max_length: int) -> str | None:
    """The finding that keeps a triple from being learned, or None."""
    if not places[triple.subject] or not places[triple.object]:
        return "absent_mentions"
    subjects, objects = tokens[triple.subject], tokens[triple.object]
    if not subjects or not objects:
        return "split_mentions"
    shortest = min(max(b, d) - min(a, c) + 1 for a, b in subjects for c, d in objects)
    return "cut_triples" if shortest > max_length else None


def _is_returned(triple: Triple, others: Sequence[Triple], places: Places) -> bool:
    """Whether the half pointer returns a triple when every start and end is scored right."""
    subjects = {span for other in others for span in places[other.subject] if places[other.object]}
    read = _read(subjects).intersection(places[triple.subject])
    same = [other for other in others if other.predicate == triple.predicate]
    for span in read:
        objects = {place for other in same if span in places[other.subject] for place in places[other.object]}
        if not _read(objects).isdisjoint(places[triple.object]):
            return True
    return False


def _read(spans: set[Span]) -> set[Span]:
    """What is read from all starts and ends of some spans: each start with the nearest end."""
    ends = sorted({end for _, end in spans})
    return {(start, ends[bisect_right(ends, start)]) for start, _ in spans}


def _offsets(text: str, tokenizer: Any) -> NDArray:
    """(L, 2) of the tokens."""
    if tokenizer is None:
        return np.stack([np.arange(len(text)), np.arange(1, len(text) + 1)], axis=1)
    options = {"add_special_tokens": False, "return_offsets_mapping": True, "verbose": False}
    found = tokenizer(text, **options)["offset_mapping"] if text.strip() else []  # it may refuse blanks
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _whole(places: Sequence[Span], offsets: NDArray, tokens: TokenSpans) -> list[Span]:
    """First and last token of the places that begin and end with a token."""
    spans = [(place, tokens.find(*place)) for place in places]
    return [
        span for (start, end), span in spans
        if span is not None and offsets[span[0], 0] == start and offsets[span[1], 1] == end
    ]  # fmt: skip

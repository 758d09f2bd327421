"""Check texts with triples before training on them: broken records, and triples that no model can learn.

    examples, broken = scan_triples("train.jsonl.gz")
    report = check_triples(examples, tokenizer, schema, broken=broken)
    print(report)                            # a table
    report.usable                            # whether the data are fit for training

A triple can be learned if both mentions occur in the text, each as whole tokens, close enough for one piece of
`max_length` tokens to hold both. The data are usable unless

- a record is broken or a text is empty;
- no triple has a predicate of the schema;
- more than 5 % of the triples cannot be learned: the mentions belong to other texts, or the pieces are too short.

All other findings are only counted: training drops triples whose predicate is not in the schema. Of mentions that
begin at the same place the half pointer returns the shortest: a triple with a longer one is learned but never found.
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
    "duplicated_texts": ("duplicated texts", "texts"),
    "repeated_ids": ("repeated ids", "texts"),
    "long_texts": ("texts longer than {max_length} {unit}", "texts"),
    "duplicated_triples": ("duplicated triples of a text", "triples"),
    "absent_mentions": ("triples with a mention not in the text", "triples"),
    "split_mentions": ("triples with a mention that splits a token", "triples"),
    "cut_triples": ("triples that no piece of {max_length} {unit} holds", "triples"),
    "hidden_triples": ("triples behind a shorter mention at the same place", "triples"),
    "equal_mentions": ("triples whose subject is their object", "triples"),
    "unknown_predicates": ("triples with a predicate not in the schema", "triples"),
    "rare_predicates": ("predicates with fewer than {rare} triples", "predicates"),
}
LOST = ("absent_mentions", "split_mentions", "cut_triples")

Span = tuple[int, int]
Places = dict[str, list[Span]]


class TripleReport(DataReport):
    """Result of `check_triples`.

    Args:
        settings: `max_length`, its `unit`, and `rare`.
        totals: number of `records`, `texts`, `triples`, `known` triples whose predicate is one of the schema, and
            `predicates`, those of the schema among them.
        counts, examples, broken: as of `DataReport`, for each of `FINDINGS`; of rare predicates the names.

    `schema_faults` has the messages of `check_schema`.
    """

    findings = FINDINGS
    faults = ("broken_records", "empty_texts")
    head = "{texts} texts, {triples} triples, {predicates} predicates; pieces of {max_length} {unit}"

    schema_faults: Sequence[str] = ()

    @property
    def problems(self) -> list[str]:
        """Why the data are not usable; empty if they are."""
        problems = super().problems
        lost, triples = sum(self.counts[name] for name in LOST), self.totals["triples"]
        if not triples:
            problems.append("there is no triple")
        elif not self.totals["known"]:
            problems.append("no triple has a predicate of the schema")
        if lost > MAX_LOST_SHARE * triples:
            problems.append(f"{lost} of {triples} triples cannot be learned")
        return problems

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {**super().to_dict(), "schema": list(self.schema_faults)}


def check_triples(
    examples: Iterable[TripleExample],
    tokenizer: Callable[..., Any] | None = None,
    schema: Sequence[Mapping[str, Any]] | None = None,
    max_length: int = 256,
    broken: Sequence[str] = (),
) -> TripleReport:
    """Count faults of texts and triples, and triples that a model with these settings cannot learn.

    Args:
        examples: of `scan_triples`, or of `read_triples`, which raises for broken ones.
        tokenizer: a fast tokenizer of transformers' kind; None counts characters.
        schema: entries as of `build_schema`, to compare with; None: all predicates of the examples.
        max_length: tokens of one input of the model.
        broken: messages of `scan_triples`; they are counted, and make the data unusable.

    Raises:
        ValueError: for pieces below one token, or a tokenizer without offsets.

    Source: the half pointer, kexue.fm/archives/6671.
    """
    if max_length < 1:
        raise ValueError(f"max_length must be at least 1, got {max_length}.")
    if tokenizer is not None and not getattr(tokenizer, "is_fast", False):
        raise ValueError(f"{type(tokenizer).__name__} has no offsets: use a fast tokenizer.")
    examples = list(examples)
    unit = "characters" if tokenizer is None else "tokens"
    names = None if schema is None else {entry["predicate"] for entry in schema}
    totals = dict.fromkeys(("records", "texts", "triples", "known", "predicates"), 0)
    report = TripleReport({"unit": unit, "max_length": max_length, "rare": RARE}, totals, broken=list(broken))
    report.schema_faults = () if schema is None else check_schema(schema, examples)
    seen: set[tuple[str, str]] = set()
    known: dict[str, set[tuple[str, str, str]]] = {}
    counts: Counter[str] = Counter(dict.fromkeys(names or (), 0))
    for example in examples:
        for name, key in (("duplicated_texts", ("text", example.text)), ("repeated_ids", ("id", example.id))):
            if key in seen:
                report.add(name, example.id)
            seen.add(key)
        for triple in example.triples:
            asserted = (triple.subject, triple.predicate, triple.object)
            if asserted in known.setdefault(example.text, set()):
                report.add("duplicated_triples", example.id)
            known[example.text].add(asserted)
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
    for message in broken:
        report.add("broken_records", message.partition(": ")[0])
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
    tokens = {mention: _aligned(places[mention], offsets, found) for mention in mentions}
    for triple in example.triples:
        if find_mentions(triple.subject, triple.object) == [(0, len(triple.object))]:
            report.add("equal_mentions", example.id)
        finding = _triple_finding(triple, places, tokens, report.settings["max_length"])
        if finding is None and not _is_returned(triple, example.triples, places):
            finding = "hidden_triples"
        if finding is not None:
            report.add(finding, example.id)


def _triple_finding(triple: Triple, places: Places, tokens: Places, max_length: int) -> str | None:
    """The finding that keeps a triple from being learned, or None."""
    if not places[triple.subject] or not places[triple.object]:
        return "absent_mentions"
    subjects, objects = tokens[triple.subject], tokens[triple.object]
    if not subjects or not objects:
        return "split_mentions"
    shortest = min(max(b, d) - min(a, c) + 1 for a, b in subjects for c, d in objects)
    return "cut_triples" if shortest > max_length else None


def _is_returned(triple: Triple, others: Sequence[Triple], places: Places) -> bool:
    """Whether the half pointer returns a triple if all start and end scores are correct."""
    subjects = {span for other in others for span in places[other.subject] if places[other.object]}
    returned = _decoded(subjects).intersection(places[triple.subject])
    same = [other for other in others if other.predicate == triple.predicate]
    for span in returned:
        objects = {place for other in same if span in places[other.subject] for place in places[other.object]}
        if not _decoded(objects).isdisjoint(places[triple.object]):
            return True
    return False


def _decoded(spans: set[Span]) -> set[Span]:
    """Decode the starts and ends of spans as the half pointer does: each start with the nearest end."""
    ends = sorted({end for _, end in spans})
    return {(start, ends[bisect_right(ends, start)]) for start, _ in spans}


def _offsets(text: str, tokenizer: Any) -> NDArray:
    """(L, 2) of the tokens."""
    if tokenizer is None:
        return np.stack([np.arange(len(text)), np.arange(1, len(text) + 1)], axis=1)
    options = {"add_special_tokens": False, "return_offsets_mapping": True, "verbose": False}
    found = tokenizer(text, **options)["offset_mapping"] if text.strip() else []  # some tokenizers refuse blanks
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _aligned(places: Sequence[Span], offsets: NDArray, tokens: TokenSpans) -> list[Span]:
    """First and last token of those places that begin and end at token boundaries."""
    spans = [(place, tokens.find(*place)) for place in places]
    return [
        span for (start, end), span in spans
        if span is not None and offsets[span[0], 0] == start and offsets[span[1], 1] == end
    ]  # fmt: skip

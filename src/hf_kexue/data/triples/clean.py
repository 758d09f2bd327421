"""Remove triples that no model can learn, and convert examples back to records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from .reading import TripleExample, find_mentions


def clean_triples(examples: Iterable[TripleExample]) -> Iterator[TripleExample]:
    """Drop empty and duplicated texts, duplicated triples, and triples with a mention that is not in the text.

    Args:
        examples: of `scan_triples`.
    """
    seen: set[str] = set()
    for example in examples:
        if not example.text.strip() or example.text in seen:
            continue
        seen.add(example.text)
        kept = [
            triple for triple in dict.fromkeys(example.triples)
            if find_mentions(triple.subject, example.text) and find_mentions(triple.object, example.text)
        ]  # fmt: skip
        yield replace(example, triples=kept)


def triple_record(example: TripleExample) -> dict[str, Any]:
    """The record of an example in the form of DuIE."""
    triples = [
        {
            "subject": triple.subject, "predicate": triple.predicate, "object": triple.object,
            "subject_type": triple.subject_type, "object_type": triple.object_type,
        }
        for triple in example.triples
    ]  # fmt: skip
    return {"id": example.id, "text": example.text, "spo_list": triples}

"""Remove triples that no model can learn, and convert examples back to records and files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..whole_files import write_whole
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


def write_triples(path: Path, examples: Iterable[TripleExample]) -> None:
    """Write new sentences, which have no ids, as JSON lines in the form of DuIE; the file is whole or not there."""
    records = map(triple_record, examples)
    lines = [{key: value for key, value in record.items() if key != "id"} for record in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))

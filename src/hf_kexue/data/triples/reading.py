"""Read texts with (subject, predicate, object) triples: a file, a folder or a Hub id -> `TripleExample`s.

    examples = read_triples("train.jsonl.gz")                # or a folder, or a Hub id
    schema = build_schema(examples)                          # or read_schema("schema.json")
    find_mentions("cnn", "空洞CNN与ｃｎｎ")                   # [(2, 5), (6, 9)]

The format is that of DuIE:

    {"text", "spo_list": [{"subject", "predicate", "object", "subject_type", "object_type"}]}

`id` and the types are optional. An object of several parts, as in DuIE 2.0, becomes one triple a part: "@value" keeps
the predicate, every other part is appended to it,

    {"predicate": "饰演", "object": {"@value": "楚留香", "inWork": "楚留香新传"}}  ->  饰演, 饰演_inWork

Exports of doccano and Label Studio, the records of UIE, and CSV are read too: see `formats`.

A broken record raises a `ValueError` with file, place and fault. Whether mentions occur in the text is checked by
`check_triples`. For file formats see `record_files`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from ..record_files import Located, as_object, field, kind_of, located_records, text_field
from ..texts.occurrences import find_occurrences
from .formats import duie_records

find_mentions = find_occurrences
"""Places of a mention in a text: mentions are found as answers are."""

VALUE = "@value"


@dataclass(frozen=True)
class Triple:
    """One relation of a text.

    Args:
        subject: mention, as it stands in the text.
        predicate: name.
        object: mention.
        subject_type: type of the subject; "" if unknown.
        object_type: the same of the object.
    """

    subject: str
    predicate: str
    object: str
    subject_type: str = ""
    object_type: str = ""


@dataclass
class TripleExample:
    """A text and its triples.

    Args:
        id: of the record, or its place in the file.
        text: any.
        triples: may be empty.
    """

    id: str
    text: str
    triples: list[Triple]


def read_triples(
    source: str | Path,
    split: str = "train",
    config: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> list[TripleExample]:
    """Read texts with triples.

    Args:
        source: a file; a folder, of which `<split>.jsonl` (or .json, or .gz of either) is read; another folder or a
            Hub id, which `datasets` reads.
        split: name of the split; ignored for a file.
        config: configuration of a Hub data set that has several.
        on_error: "skip" drops broken records with one warning that names the first three.

    Returns:
        Examples in file order, with non-empty texts, mentions and predicates.

    Raises:
        FileNotFoundError: if the source does not exist.
        ValueError: for a broken record, and with either `on_error` for a file that is truncated, empty or holds only
            broken records, and an unknown suffix or split.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip'; got {on_error!r}.")
    examples: list[TripleExample] = []
    broken: list[str] = []
    for place, found in _examples(source, split, config):
        if isinstance(found, TripleExample) and not found.text.strip():
            found = ValueError("the text is empty")
        if isinstance(found, TripleExample):
            examples.append(found)
        elif on_error == "raise":
            raise ValueError(f"{place}: {found}.")
        else:
            broken.append(f"{place}: {found}.")
    if not examples:
        raise ValueError(f"All {len(broken)} records of {source} are broken; the first is {broken[0]}")
    if broken:
        first = " ".join(broken[:3])
        warnings.warn(f"{len(broken)} broken record(s) of {source} left out: {first}", stacklevel=2)
    return examples


def scan_triples(
    source: str | Path, split: str = "train", config: str | None = None
) -> tuple[list[TripleExample], list[str]]:
    """Read all records of the right form, including empty texts.

    Args:
        source, split, config: as for `read_triples`.

    Returns:
        The examples, and one message for each broken record.

    Raises:
        FileNotFoundError, ValueError: as `read_triples`, except for broken records.
    """
    found = list(_examples(source, split, config))
    broken = [f"{place}: {fault}." for place, fault in found if isinstance(fault, ValueError)]
    return [example for _, example in found if isinstance(example, TripleExample)], broken


def add_inverses(
    examples: Sequence[TripleExample], pairs: Mapping[str, str] | None = None, symmetric: Sequence[str] = ()
) -> list[TripleExample]:
    """Add the inverses of triples.

    Args:
        examples: of `read_triples`; they are not changed.
        pairs: predicate -> its inverse, such as {"丈夫": "妻子"}; it works both ways.
        symmetric: predicates that are their own inverse.

    Returns:
        Examples with (object, inverse, subject) appended unless already present.

    Raises:
        ValueError: for a predicate named twice, or a pair or symmetric predicate that the examples lack.
    """
    pairs = pairs or {}
    named = [*pairs, *pairs.values(), *symmetric]
    doubled = next((name for name in named if named.count(name) > 1), None)
    if doubled is not None:
        raise ValueError(f"The predicate {doubled!r} is named twice among inverse and symmetric ones.")
    known = {triple.predicate for example in examples for triple in example.triples}
    for names in [*pairs.items(), *((name,) for name in symmetric)]:
        if known.isdisjoint(names):
            raise ValueError(f"No triple has the predicate {' or '.join(map(repr, names))}{near(names[0], known)}.")
    inverse = {**pairs, **{value: key for key, value in pairs.items()}, **{name: name for name in symmetric}}
    return [replace(example, triples=_with_inverses(example.triples, inverse)) for example in examples]


def near(name: str, known: Sequence[str] | set[str]) -> str:
    """Suggestions for an unknown name: `; near ones are 'a', 'b'`, or ""."""
    found = get_close_matches(name, sorted(known), n=3, cutoff=0.3)
    return f"; near ones are {', '.join(map(repr, found))}" if found else ""


def _with_inverses(triples: list[Triple], inverse: Mapping[str, str]) -> list[Triple]:
    seen = {(triple.subject, triple.predicate, triple.object) for triple in triples}
    added = []
    for triple in triples:
        name = inverse.get(triple.predicate)
        if name is not None and (triple.object, name, triple.subject) not in seen:
            seen.add((triple.object, name, triple.subject))
            added.append(Triple(triple.object, name, triple.subject, triple.object_type, triple.subject_type))
    return triples + added


def _examples(source: str | Path, split: str, config: str | None) -> Iterator[Located]:
    """Yield (place, `TripleExample` or the `ValueError` of a broken record)."""
    for place, record in duie_records(located_records(source, split, config)):
        try:
            yield place, _example(record, place)
        except ValueError as error:
            yield place, error


def _example(record: Any, place: str) -> TripleExample:
    if isinstance(record, ValueError):
        raise record
    as_object(record)
    text, key = text_field(record, "text"), record.get("id")
    if isinstance(key, bool) or not isinstance(key, str | int | None):
        raise ValueError(f"id is {kind_of(key)}, not a string")
    triples: list[Triple] = []
    for number, item in enumerate(field(record, "spo_list", list), 1):
        try:
            triples += _triples(as_object(item))
        except ValueError as error:
            raise ValueError(f"in triple {number} {error}") from error
    return TripleExample(place if key is None else str(key), text, triples)


def _triples(item: dict[str, Any]) -> list[Triple]:
    predicate, subject = _filled(item, "predicate"), _filled(item, "subject")
    subject_type = parts_of(item.get("subject_type"), "subject_type").get(VALUE, "")
    types = parts_of(item.get("object_type"), "object_type")
    if not isinstance(item.get("object"), dict):
        return [Triple(subject, predicate, _filled(item, "object"), subject_type, types.get(VALUE, ""))]
    objects = {name: text for name, text in parts_of(item["object"], "object").items() if text.strip()}
    if not objects:
        raise ValueError("object is empty")
    return [
        Triple(subject, part_name(predicate, name), text, subject_type, types.get(name, ""))
        for name, text in objects.items()
    ]


def part_name(predicate: str, part: str) -> str:
    """The predicate of one part of an object; unchanged for "@value"."""
    return predicate if part == VALUE else f"{predicate}_{part}"


def parts_of(value: Any, name: str) -> dict[str, str]:
    """A text or an object of texts, by part; nulls are dropped.

    Raises:
        ValueError: for anything else.
    """
    if not isinstance(value, dict):
        value = {VALUE: value}
    given = {part: text for part, text in value.items() if text is not None}
    return {part: text_field({name: text}, name) for part, text in given.items()}


def _filled(item: dict[str, Any], name: str) -> str:
    text = text_field(item, name)
    if not text.strip():
        raise ValueError(f"{name} is empty")
    return text

"""Schemas, the predicates and the types they allow: built from examples, or read from a file.

    schema = build_schema(examples)       # or read_schema("schema.json")
    schema[0]                             # {"predicate": "作者", "subject_types": ["图书作品"], "object_types": [...]}
    for message in check_schema(schema, examples):
        print(message)

The index of an entry is the index of its predicate in a model. An entry without types allows any.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..record_files import field, kind_of, located_records, text_field
from .reading import VALUE, TripleExample, near, part_name, parts_of

Schema = list[dict[str, Any]]
SIDES = ("subject", "object")


def build_schema(examples: Iterable[TripleExample], min_count: int = 1) -> Schema:
    """The predicates of examples with all types that they occur with.

    Args:
        examples: of `read_triples`.
        min_count: how many triples a predicate must have.

    Returns:
        Entries `{"predicate": name, "subject_types": [names], "object_types": [names]}`, most frequent predicate
        first, ties by name; types likewise.

    Raises:
        ValueError: if no predicate is that frequent.
    """
    counts: Counter[str] = Counter()
    types: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for example in examples:
        for triple in example.triples:
            counts[triple.predicate] += 1
            types[triple.predicate, "subject"][triple.subject_type] += 1
            types[triple.predicate, "object"][triple.object_type] += 1
    names = [name for name in _ranked(counts) if counts[name] >= min_count]
    if not names:
        raise ValueError(f"No predicate has {min_count} triple(s); there are {counts.total()} triple(s) in all.")
    return [_entry(name, *([kind for kind in _ranked(types[name, side]) if kind] for side in SIDES)) for name in names]


def read_schema(path: str | Path) -> Schema:
    """Read a schema from a file.

    Args:
        path: JSON (a list) or JSON lines, or .gz of either. An item is an entry as `build_schema` makes it; one of
            DuIE, `{"predicate", "subject_type", "object_type"}`, of which several with the same predicate are one
            entry with several types, and an object of several parts makes one predicate a part; or just the name of
            a predicate.

    Returns:
        Entries as of `build_schema`, in the order of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for an item of another form, naming its place, or an empty file.
    """
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for place, item in located_records(Path(path)):
        try:
            for name, *types in _items(item):
                known = found.setdefault(name, ({}, {}))
                for kinds, more in zip(known, types):
                    kinds.update(dict.fromkeys(more))
        except ValueError as error:
            raise ValueError(f"{place}: {error}.") from error
    return [_entry(name, *map(list, types)) for name, types in found.items()]


def check_schema(schema: Sequence[Mapping[str, Any]], examples: Iterable[TripleExample]) -> list[str]:
    """Find contradictions between examples and a schema.

    Args:
        schema: entries as of `build_schema`.
        examples: of `read_triples`.

    Returns:
        One message for each predicate that the schema lacks and each type that it does not allow, and one for triples
        without a type where the schema has types.
    """
    allowed = {(entry["predicate"], side): entry.get(f"{side}_types") for entry in schema for side in SIDES}
    names = {entry["predicate"] for entry in schema}
    unknown: Counter[str] = Counter()
    wrong: Counter[tuple[str, str, str]] = Counter()
    first: dict[Any, str] = {}
    untyped = 0
    for example in examples:
        for triple in example.triples:
            if triple.predicate not in names:
                unknown[triple.predicate] += 1
                first.setdefault(triple.predicate, example.id)
                continue
            for side, kind in zip(SIDES, (triple.subject_type, triple.object_type)):
                types = allowed[triple.predicate, side]
                untyped += bool(types) and not kind
                if types and kind and kind not in types:
                    wrong[triple.predicate, side, kind] += 1
                    first.setdefault((triple.predicate, side, kind), example.id)
    messages = [
        f"The predicate {name!r} of {count} triple(s) is not in the schema (first: {first[name]}){near(name, names)}."
        for name, count in unknown.most_common()
    ]
    for (name, side, kind), count in wrong.most_common():
        types = ", ".join(map(repr, allowed[name, side] or ()))
        messages.append(
            f"{count} {side}(s) of the predicate {name!r} have the type {kind!r} (first: {first[name, side, kind]}); "
            f"the schema allows {types}."
        )
    if untyped:
        messages.append(f"{untyped} subject(s) or object(s) have no type, though the schema names types for them.")
    return messages


def subject_columns(entry: Mapping[str, Any], subject_types: Sequence[str]) -> list[int]:
    """The type columns in which subjects of unknown type are tagged.

    Args:
        entry: the entry of the schema of their predicate.
        subject_types: names of the T types.

    Returns:
        Indices of the types that the predicate allows; all types if it allows none of them.
    """
    allowed = [number for number, name in enumerate(subject_types) if name in (entry.get("subject_types") or ())]
    return allowed or list(range(len(subject_types)))


def _ranked(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))


def _entry(name: str, subject_types: list[str], object_types: list[str]) -> dict[str, Any]:
    return {"predicate": name, "subject_types": subject_types, "object_types": object_types}


def _items(item: Any) -> list[tuple[str, list[str], list[str]]]:
    """Predicate, subject types and object types of each predicate that an item of a schema file names."""
    if isinstance(item, ValueError):
        raise item
    if isinstance(item, str):
        item = {"predicate": item}
    if not isinstance(item, dict):
        raise ValueError(f"an entry of a schema is an object or the name of a predicate, not {kind_of(item)}")
    name = text_field(item, "predicate")
    if not name.strip():
        raise ValueError("predicate is empty")
    subject_types = _types(item, "subject")
    if "object_types" in item:
        return [(name, subject_types, _types(item, "object"))]
    objects = parts_of(item.get("object_type"), "object_type") or {VALUE: ""}
    return [(part_name(name, part), subject_types, [kind] if kind else []) for part, kind in objects.items()]


def _types(item: dict[str, Any], side: str) -> list[str]:
    if f"{side}_types" in item:
        given = field(item, f"{side}_types", list)
        return [text_field({f"{side}_types": kind}, f"{side}_types") for kind in given]
    kind = parts_of(item.get(f"{side}_type"), f"{side}_type").get(VALUE)
    return [kind] if kind else []

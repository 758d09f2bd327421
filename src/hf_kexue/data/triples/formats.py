"""Convert exports of annotation tools and other toolkits to records of DuIE.

    doccano        {"text", "entities": [{"id", "label", "start_offset", "end_offset"}],
                    "relations": [{"from_id", "to_id", "type"}]}
    Label Studio   {"data": {"text"}, "annotations": [{"result": [{"id", "type": "labels", "value": {"start", "end",
                    "labels"}}, {"type": "relation", "from_id", "to_id", "direction", "labels"}]}]}
    UIE            {"content", "prompt": "<subject>的<predicate>", "result_list": [{"text", "start", "end"}]}
    CSV            columns text, subject, predicate, object, and optionally id, subject_type, object_type;
                   a text without a triple is a row with the three left empty

Formats are recognised by their keys. Records of UIE and CSV, one triple each, are joined to one record a text; UIE
prompts for entities, not for a relation, hold no triple.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..record_files import Located, as_object, field, text_field

TRIPLE = ("subject", "predicate", "object")


def duie_records(records: Iterator[Located]) -> Iterator[Located]:
    """Convert records of any of these formats to DuIE's; others stay unchanged.

    Args:
        records: of `located_records`.

    Yields:
        (place, record): joined records after all others, at the place of the first of their text.
    """
    joined: dict[str, tuple[str, dict[str, Any]]] = {}
    for place, record in records:
        try:
            if not isinstance(record, dict) or "spo_list" in record:
                yield place, record
            elif "relations" in record and "entities" in record:
                yield place, _of_doccano(record)
            elif "annotations" in record and "data" in record:
                yield place, _of_label_studio(record)
            elif "prompt" in record and "result_list" in record:
                _join(joined, place, {"text": text_field(record, "content")}, _of_uie(record))
            elif {"text", *TRIPLE} <= record.keys():
                head = {key: record[key] for key in ("text", "id") if record.get(key) not in (None, "")}
                _join(joined, place, {"text": text_field(record, "text"), **head}, _of_row(record))
            else:
                yield place, record
        except ValueError as error:
            yield place, error
    yield from joined.values()


def _join(
    joined: dict[str, tuple[str, dict[str, Any]]], place: str, head: dict[str, Any], triples: list[dict[str, Any]]
) -> None:
    _, record = joined.setdefault(head["text"], (place, {**head, "spo_list": []}))
    record["spo_list"] += [triple for triple in triples if triple not in record["spo_list"]]


def _of_row(record: dict[str, Any]) -> list[dict[str, Any]]:
    if not any(record[key] for key in TRIPLE):
        return []
    return [{key: record[key] for key in (*TRIPLE, "subject_type", "object_type") if record.get(key)}]


def _of_uie(record: dict[str, Any]) -> list[dict[str, Any]]:
    content, prompt = record["content"], text_field(record, "prompt")
    cuts = [place for place, character in enumerate(prompt) if character == "的" and prompt[:place] in content]
    if not cuts or not prompt[cuts[-1] + 1 :]:
        return []
    subject, predicate = prompt[: cuts[-1]], prompt[cuts[-1] + 1 :]
    found = [text_field(as_object(item), "text") for item in field(record, "result_list", list)]
    return [{"subject": subject, "predicate": predicate, "object": text} for text in found] if subject else []


def _of_doccano(record: dict[str, Any]) -> dict[str, Any]:
    text = text_field(record, "text")
    mentions = {}
    for item in field(record, "entities", list):
        entity = as_object(item)
        start, end = (_offset(entity, name, len(text)) for name in ("start_offset", "end_offset"))
        mentions[entity.get("id")] = (text[start:end], str(entity.get("label", "")))
    links = [
        (link.get("from_id"), str(link.get("type", "")), link.get("to_id"))
        for link in map(as_object, field(record, "relations", list))
    ]
    return _record(record, text, mentions, links)


def _of_label_studio(record: dict[str, Any]) -> dict[str, Any]:
    data = as_object(record["data"])
    texts = [key for key in data if isinstance(data[key], str)]
    name = "text" if "text" in texts or len(texts) != 1 else texts[0]
    text = text_field(data, name)
    valid = [item for item in map(as_object, field(record, "annotations", list)) if not item.get("was_cancelled")]
    mentions, links = {}, []
    for item in map(as_object, field(valid[-1], "result", list) if valid else []):
        if item.get("type") == "relation":
            first, second = item.get("from_id"), item.get("to_id")
            ends = {"left": [(second, first)], "bi": [(first, second), (second, first)]}
            for one, other in ends.get(str(item.get("direction")), [(first, second)]):
                links += [(one, str(label), other) for label in item.get("labels") or [""]]
        elif isinstance(value := item.get("value"), dict) and "labels" in value:
            mentions[item.get("id")] = (_mention(value, text), str((value["labels"] or [""])[0]))
    return _record(record, text, mentions, links)


def _mention(value: dict[str, Any], text: str) -> str:
    """Label Studio counts UTF-16 units as a browser does, which differ from characters behind an emoji."""
    units = text.encode("utf-16-le")
    start, end = (_offset(value, key, len(units) // 2) for key in ("start", "end"))
    return units[2 * start : 2 * end].decode("utf-16-le")


def _record(
    record: dict[str, Any], text: str, mentions: dict[Any, tuple[str, str]], links: list[tuple[Any, str, Any]]
) -> dict[str, Any]:
    triples = []
    for subject, predicate, target in links:
        for end in (subject, target):
            if end not in mentions:
                raise ValueError(f"a relation names the entity {end!r}, which the record lacks")
        (first, first_type), (second, second_type) = mentions[subject], mentions[target]
        triples.append({
            "subject": first, "predicate": predicate, "object": second,
            "subject_type": first_type, "object_type": second_type,
        })  # fmt: skip
    return {"id": record.get("id"), "text": text, "spo_list": triples}


def _offset(item: dict[str, Any], name: str, length: int) -> int:
    offset = item.get(name)
    if isinstance(offset, bool) or not isinstance(offset, int) or not 0 <= offset <= length:
        raise ValueError(f"{name} is {offset!r}, not an offset into a text of {length} characters")
    return offset

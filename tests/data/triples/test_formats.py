"""Exports of annotation tools, records of UIE and tables give the triples that DuIE's form gives."""

import csv
import json

import pytest

from hf_kexue.data.triples.clean import clean_triples, triple_record
from hf_kexue.data.triples.reading import Triple, read_triples, scan_triples

TEXT = "😀《邪少兵王》是冰火未央写的小说，主角是林逸。"
WRITER = Triple("邪少兵王", "作者", "冰火未央", "图书作品", "人物")
HERO = Triple("邪少兵王", "主角", "林逸", "图书作品", "人物")
MENTIONS = [("邪少兵王", "图书作品"), ("冰火未央", "人物"), ("林逸", "人物")]


def utf16(text):
    return len(text.encode("utf-16-le")) // 2


def doccano():
    entities = [
        {"id": n, "label": label, "start_offset": TEXT.index(m), "end_offset": TEXT.index(m) + len(m)}
        for n, (m, label) in enumerate(MENTIONS, 10)
    ]
    relations = [
        {"id": 1, "from_id": 10, "to_id": 11, "type": "作者"},
        {"id": 2, "from_id": 10, "to_id": 12, "type": "主角"},
    ]
    return [{"id": 5, "text": TEXT, "entities": entities, "relations": relations, "Comments": []}]


def label_studio():
    result = [
        {
            "id": f"e{n}", "type": "labels", "from_name": "label", "to_name": "text",
            "value": {
                "start": utf16(TEXT[: TEXT.index(m)]), "end": utf16(TEXT[: TEXT.index(m)]) + utf16(m), "text": m,
                "labels": [label],
            },
        }
        for n, (m, label) in enumerate(MENTIONS)
    ]  # fmt: skip
    result.append({"type": "relation", "from_id": "e0", "to_id": "e1", "direction": "right", "labels": ["作者"]})
    result.append({"type": "relation", "from_id": "e2", "to_id": "e0", "direction": "left", "labels": ["主角"]})
    cancelled = {"was_cancelled": True, "result": []}
    return [{"id": 5, "data": {"text": TEXT}, "annotations": [{"was_cancelled": False, "result": result}, cancelled]}]


def uie():
    def asks(prompt, *answers):
        found = [{"text": a, "start": TEXT.index(a), "end": TEXT.index(a) + len(a)} for a in answers]
        return {"content": TEXT, "prompt": prompt, "result_list": found}

    return [
        asks("邪少兵王的作者", "冰火未央"), asks("人物", "冰火未央", "林逸"), asks("邪少兵王的主角", "林逸"),
        asks("邪少兵王的出版社"), asks("邪少兵王的作者", "冰火未央"),
    ]  # fmt: skip


def rows():
    return [
        {
            "id": "5", "text": TEXT, "subject": t.subject, "predicate": t.predicate, "object": t.object,
            "subject_type": t.subject_type, "object_type": t.object_type,
        }
        for t in (WRITER, HERO)
    ]  # fmt: skip


def write(path, records):
    if path.suffix in (".csv", ".tsv"):
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            table = csv.DictWriter(file, list(records[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            table.writeheader()
            table.writerows(records)
    elif path.name.startswith("project"):
        path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    else:
        path.write_text("\n".join(json.dumps(record, ensure_ascii=False) for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("records", "name", "has_types"),
    [
        (doccano, "admin.jsonl", True),
        (label_studio, "project-1.json", True),
        (uie, "train.json", False),
        (rows, "train.csv", True),
        (rows, "train.tsv", True),
    ],
)
def test_each_form_gives_the_same_triples(tmp_path, records, name, has_types):
    (example,) = read_triples(write(tmp_path / name, records()))
    assert example.text == TEXT
    expected = [WRITER, HERO] if has_types else [Triple(t.subject, t.predicate, t.object) for t in (WRITER, HERO)]
    assert example.triples == expected


def test_a_folder_of_tables(tmp_path):
    write(tmp_path / "validation.csv", rows())
    assert read_triples(tmp_path, "validation")[0].triples == [WRITER, HERO]


def test_a_row_without_a_triple_is_a_text_without_triples(tmp_path):
    empty = dict.fromkeys(("subject", "predicate", "object"), "")
    (example,) = read_triples(write(tmp_path / "a.csv", [{"text": "没有。", **empty}]))
    assert example.triples == []


def test_a_cell_may_hold_line_breaks_and_commas(tmp_path):
    text = "第一行，\n第二行"
    record = {"text": text, "subject": "第一行", "predicate": "次", "object": "第二行"}
    (example,) = read_triples(write(tmp_path / "a.csv", [record]))
    assert example.text == text


@pytest.mark.parametrize(
    ("record", "named"),
    [
        (doccano()[0] | {"relations": [{"from_id": 10, "to_id": 99, "type": "作者"}]}, "99"),
        (doccano()[0] | {"entities": [{"id": 10, "label": "", "start_offset": 0, "end_offset": 999}]}, "end_offset"),
        ({"content": 3, "prompt": "a", "result_list": []}, "content"),
        ({"data": {"text": "a"}, "annotations": 3}, "annotations"),
    ],
)
def test_a_broken_record_is_named_with_its_place(tmp_path, record, named):
    examples, broken = scan_triples(write(tmp_path / "a.jsonl", [record, *doccano()]))
    assert len(examples) == 1
    assert len(broken) == 1
    assert broken[0].startswith("a.jsonl, line 1: ")
    assert named in broken[0]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_gbk_is_called_by_its_name(tmp_path, name):
    path = write(tmp_path / name, rows() if name == "a.csv" else uie())
    text = path.read_text(encoding="utf-8-sig").replace("😀", "")
    path.write_bytes(text.encode("gb18030"))
    with pytest.raises(ValueError, match="GBK"):
        read_triples(path)


def test_a_row_of_another_width_is_broken(tmp_path):
    (tmp_path / "a.csv").write_text("text,subject,predicate,object\n甲,甲,是,甲\n乙,乙\n", encoding="utf-8")
    examples, broken = scan_triples(tmp_path / "a.csv")
    assert [example.text for example in examples] == ["甲"]
    assert broken[0].startswith("a.csv, line 3: ")


def test_what_cannot_be_learned_is_left_out(tmp_path):
    absent = {"subject": "某书", "predicate": "作者", "object": "林逸"}
    triple = {"subject": "邪少兵王", "predicate": "主角", "object": "林逸"}
    records = [
        {"text": TEXT, "spo_list": [triple, absent, triple]},
        {"text": TEXT, "spo_list": []},
        {"text": " ", "spo_list": []},
    ]
    path = write(tmp_path / "a.jsonl", records)
    kept = list(clean_triples(scan_triples(path)[0]))
    assert [example.triples for example in kept] == [[Triple("邪少兵王", "主角", "林逸")]]
    again = read_triples(write(tmp_path / "b.jsonl", [triple_record(example) for example in kept]))
    assert again == kept

"""Schemas from examples and from files, and data that contradict one."""

import json

import pytest

from hf_kexue.data.triples.reading import Triple, TripleExample
from hf_kexue.data.triples.schemas import build_schema, check_schema, read_schema, subject_columns


def examples(*triples):
    return [TripleExample(f"e{number}", "文", [Triple(*triple)]) for number, triple in enumerate(triples)]


def entry(name, subject_types=(), object_types=()):
    return {"predicate": name, "subject_types": list(subject_types), "object_types": list(object_types)}


BOOKS = examples(
    ("甲", "主演", "乙", "影视", "人物"), ("甲", "作者", "乙", "书", "人物"), ("甲", "作者", "乙", "小说", "人物"),
    ("甲", "作者", "乙", "小说", ""), ("甲", "号", "乙", "", ""),
)  # fmt: skip


def test_the_most_frequent_first():
    wanted = [entry("作者", ["小说", "书"], ["人物"]), entry("主演", ["影视"], ["人物"]), entry("号")]
    assert build_schema(BOOKS) == wanted
    assert build_schema(BOOKS, min_count=2) == wanted[:1]
    with pytest.raises(ValueError, match=r"9 .* 5 "):
        build_schema(BOOKS, min_count=9)


DUIE = [
    {"object_type": "人物", "predicate": "作者", "subject_type": "图书作品"},
    {"object_type": "人物", "predicate": "作者", "subject_type": "影视作品"},
    {"object_type": {"inWork": "影视作品", "@value": "人物"}, "predicate": "饰演", "subject_type": "娱乐人物"},
]
DUIE_ENTRIES = [
    entry("作者", ["图书作品", "影视作品"], ["人物"]),
    entry("饰演_inWork", ["娱乐人物"], ["影视作品"]),
    entry("饰演", ["娱乐人物"], ["人物"]),
]


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize(
    ("items", "wanted"),
    [(DUIE, DUIE_ENTRIES), (DUIE_ENTRIES, DUIE_ENTRIES), (["作者", "号"], [entry("作者"), entry("号")])],
    ids=["DuIE", "entries", "names"],
)
def test_forms_of_a_file(tmp_path, items, wanted, lines):
    path = tmp_path / ("schema.jsonl" if lines else "schema.json")
    path.write_text("\n".join(map(json.dumps, items)) if lines else json.dumps(items))
    assert read_schema(path) == wanted
    assert read_schema(str(path)) == wanted


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (3, "not 3"),
        ({"name": "作者"}, "'predicate' is missing"),
        ({"predicate": " "}, "predicate is empty"),
        ({"predicate": "作者", "subject_types": "书"}, "subject_types is a string"),
        ({"predicate": "作者", "subject_types": [1]}, "subject_types is 1"),
        ({"predicate": "作者", "object_type": [1]}, "object_type is a list"),
    ],
)
def test_faults_are_named_with_their_place(tmp_path, item, message):
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(["作者", item]))
    with pytest.raises(ValueError, match=r"^schema.json, record 2: ") as caught:
        read_schema(path)
    assert message in str(caught.value)


def test_no_schema(tmp_path):
    (tmp_path / "empty.json").write_text("[]")
    with pytest.raises(ValueError, match="holds no record"):
        read_schema(tmp_path / "empty.json")
    with pytest.raises(FileNotFoundError):
        read_schema("作者")


def test_a_schema_from_the_data_contradicts_nothing_but_what_has_no_type():
    assert check_schema(build_schema(BOOKS), BOOKS) == [
        "1 subject(s) or object(s) have no type, though the schema names types for them."
    ]


def test_what_contradicts_a_schema():
    schema = [entry("作者", ["书"], ["人物"]), entry("主演", [], ["人物"]), entry("导演")]
    assert check_schema(schema, BOOKS) == [
        "The predicate '号' of 1 triple(s) is not in the schema (first: e4).",
        "2 subject(s) of the predicate '作者' have the type '小说' (first: e2); the schema allows '书'.",
        "1 subject(s) or object(s) have no type, though the schema names types for them.",
    ]
    unknown = check_schema([entry("作者们")], BOOKS[1:4])
    assert unknown == ["The predicate '作者' of 3 triple(s) is not in the schema (first: e1); near ones are '作者们'."]


def test_columns_of_subjects_without_a_type():
    assert subject_columns(entry("作者", ["书", "小说"]), ["人物", "小说", "书"]) == [1, 2]
    assert subject_columns(entry("号"), ["人物", "小说"]) == [0, 1]
    assert subject_columns(entry("作者", ["书"]), [""]) == [0]

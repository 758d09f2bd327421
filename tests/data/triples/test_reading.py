"""Reading triples in the forms of DuIE, what each fault is called, and triples said the other way round."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_kexue.data.triples.reading import (
    Triple,
    TripleExample,
    add_inverses,
    find_mentions,
    read_triples,
    scan_triples,
)

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"

BOOK = {
    "subject": "邪少兵王",
    "predicate": "作者",
    "object": "冰火未央",
    "subject_type": "图书作品",
    "object_type": "人物",
}
RECORD = {"text": "《邪少兵王》是冰火未央写的小说", "spo_list": [BOOK]}
PART = {
    "subject": "张智尧", "predicate": "饰演", "subject_type": "娱乐人物",
    "object": {"@value": "楚留香", "inWork": "楚留香新传"},
    "object_type": {"@value": "人物", "inWork": "影视作品"},
}  # fmt: skip


def write(path, *records):
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def read(tmp_path, *records, **kwargs):
    return read_triples(write(tmp_path / "a.jsonl", *records), **kwargs)


def test_a_record_of_duie(tmp_path):
    wanted = [
        TripleExample("a.jsonl, line 1", RECORD["text"], [Triple("邪少兵王", "作者", "冰火未央", "图书作品", "人物")])
    ]
    assert read(tmp_path, RECORD) == wanted


def test_an_object_of_several_parts_is_several_triples(tmp_path):
    (example,) = read(tmp_path, {"id": 7, "text": "张智尧在《楚留香新传》里饰演楚留香", "spo_list": [PART]})
    assert example.id == "7"
    assert example.triples == [
        Triple("张智尧", "饰演", "楚留香", "娱乐人物", "人物"),
        Triple("张智尧", "饰演_inWork", "楚留香新传", "娱乐人物", "影视作品"),
    ]


@pytest.mark.parametrize("empty", [None, "", " "])
def test_parts_that_are_empty_are_no_triples(tmp_path, empty):
    """`datasets` fills the parts that a record lacks with null."""
    part = {**PART, "object": {"@value": "楚留香", "inWork": empty, "inArea": None}}
    (example,) = read(tmp_path, {"text": "楚留香", "spo_list": [part]})
    assert [triple.predicate for triple in example.triples] == ["饰演"]


@pytest.mark.parametrize("types", [{}, {"subject_type": None, "object_type": None}, {"subject_type": ""}])
def test_types_may_be_missing(tmp_path, types):
    plain = {name: BOOK[name] for name in ("subject", "predicate", "object")}
    (example,) = read(tmp_path, {"text": "一", "spo_list": [{**plain, **types}]})
    assert example.triples == [Triple("邪少兵王", "作者", "冰火未央")]


def test_sources(tmp_path):
    """A list, gzip, a split of a folder; and a text without triples is one to learn from."""
    none = {"text": "天气很好", "spo_list": []}
    (tmp_path / "list.json").write_text(json.dumps([RECORD, none]))
    with gzip.open(tmp_path / "trial.jsonl.gz", "wt") as file:
        file.write(json.dumps(none))
    assert [len(example.triples) for example in read_triples(tmp_path / "list.json")] == [1, 0]
    assert [example.text for example in read_triples(tmp_path, split="trial")] == ["天气很好"]


def one(**changes):
    """A record whose triple is changed."""
    return {"text": "一", "spo_list": [{**BOOK, **changes}]}


FAULTS = {
    "no JSON": ('{"text": ', "JSON"),
    "no object": ([1], "an object, got a list"),
    "no text": ({"spo_list": []}, "'text' is missing; there are ['spo_list']"),
    "text of another type": ({"text": 3, "spo_list": []}, "text is 3"),
    "empty text": ({"text": " \n", "spo_list": []}, "the text is empty"),
    "half a character": ({"text": "\ud83d", "spo_list": []}, "U+D83D at 0"),
    "no triples": ({"text": "一"}, "'spo_list'"),
    "triples of another type": ({"text": "一", "spo_list": {}}, "spo_list is an object"),
    "a triple that is none": (
        {"text": "一", "spo_list": [BOOK, "作者"]},
        "in triple 2 expected an object, got a string",
    ),
    "no subject": ({"text": "一", "spo_list": [{"predicate": "a"}]}, "'subject'"),
    "no predicate": ({"text": "一", "spo_list": [{"subject": "a"}]}, "'predicate'"),
    "empty subject": (one(subject=" "), "in triple 1 subject is empty"),
    "empty object": (one(object=""), "in triple 1 object is empty"),
    "no part": (one(object={"@value": ""}), "in triple 1 object is empty"),
    "object of another type": (one(object=["b"]), "in triple 1 object is a list"),
    "part of another type": (one(object={"@value": 1}), "in triple 1 object is 1"),
    "type of another type": (one(subject_type=1), "in triple 1 subject_type is 1"),
    "id of another type": ({**RECORD, "id": [1]}, "id is a list"),
}


@pytest.mark.parametrize(("record", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_are_named_with_their_place(tmp_path, record, message):
    with pytest.raises(ValueError, match=r"^a\.jsonl, line 2: ") as caught:
        read(tmp_path, RECORD, record)
    assert message in str(caught.value)
    assert str(caught.value).endswith(".")


def test_broken_records_may_be_left_out(tmp_path):
    with pytest.warns(UserWarning, match=r"2 broken .*a\.jsonl, line 2: .*a\.jsonl, line 3: "):
        found = read(tmp_path, RECORD, {"text": "", "spo_list": []}, "[", RECORD, on_error="skip")
    assert [example.id for example in found] == ["a.jsonl, line 1", "a.jsonl, line 4"]
    with pytest.raises(ValueError, match=r"1 records .*a\.jsonl, line 1"):
        read(tmp_path, "[", on_error="skip")
    with pytest.raises(ValueError, match=r"on_error.*'ignore'"):
        read(tmp_path, RECORD, on_error="ignore")


def test_a_scan_stops_at_nothing(tmp_path):
    examples, broken = scan_triples(write(tmp_path / "a.jsonl", RECORD, "[", {"text": "", "spo_list": []}))
    assert [example.text for example in examples] == [RECORD["text"], ""]
    assert len(broken) == 1
    assert broken[0].startswith("a.jsonl, line 2: invalid JSON")


def test_mentions():
    assert find_mentions("cnn", "空洞CNN与ｃｎｎ") == [(2, 5), (6, 9)]
    assert find_mentions("天天", "天天天") == [(0, 2), (1, 3)]
    assert find_mentions("", "天") == []


# ---- the other way round


def example(*triples):
    return TripleExample("e", "文", [Triple(*triple) for triple in triples])


def told(examples):
    return [(t.subject, t.predicate, t.object) for t in examples[0].triples]


def test_inverses_and_symmetric_predicates():
    given_ = [
        example(("甲", "丈夫", "乙", "人", "男"), ("丙", "妻子", "丁"), ("戊", "合作", "己"), ("戊", "作者", "庚"))
    ]
    found = add_inverses(given_, {"丈夫": "妻子"}, ["合作"])
    assert told(found) == [*told(given_), ("乙", "妻子", "甲"), ("丁", "丈夫", "丙"), ("己", "合作", "戊")]
    assert found[0].triples[4] == Triple("乙", "妻子", "甲", "男", "人")
    assert len(given_[0].triples) == 4


def test_an_inverse_that_is_there_is_not_added():
    both = [example(("甲", "丈夫", "乙"), ("乙", "妻子", "甲"), ("戊", "合作", "戊"))]
    assert add_inverses(both, {"丈夫": "妻子"}, ["合作"]) == both


def test_an_inverse_may_be_a_new_predicate():
    assert told(add_inverses([example(("书", "作者", "人"))], {"作者": "著有"}))[1:] == [("人", "著有", "书")]


@given(st.lists(st.tuples(*[st.sampled_from("甲乙丙")] * 3), max_size=6))
def test_adding_twice_adds_nothing(triples):
    pairs = {"甲": "乙"}
    given_ = [example(*triples, ("甲", "甲", "甲"))]
    once = add_inverses(given_, pairs, ["丙"] if any(p == "丙" for _, p, _ in triples) else [])
    assert add_inverses(once, pairs) == once


@pytest.mark.parametrize(
    ("pairs", "symmetric", "message"),
    [
        ({"丈夫": "妻子"}, ["丈夫"], "'丈夫' is named twice"),
        ({"丈夫": "妻子", "老公": "妻子"}, [], "'妻子' is named twice"),
        ({"丈夫": "丈夫"}, [], "'丈夫' is named twice"),
        ({"老公": "老婆"}, [], "'老公' or '老婆'"),
        ({}, ["合作者"], "'合作者'; near ones are '合作'"),
    ],
)
def test_bad_inverses_raise(pairs, symmetric, message):
    with pytest.raises(ValueError, match="predicate") as caught:
        add_inverses([example(("甲", "丈夫", "乙"), ("甲", "合作", "乙"))], pairs, symmetric)
    assert message in str(caught.value)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data sets beside this checkout are not there")
@pytest.mark.parametrize(
    ("name", "texts", "triples"), [("duie2", 8398, 15832), ("duie1", 2450, 4949), ("plant-zh", 5578, 16912)]
)
def test_whole_data_sets(name, texts, triples):
    examples = read_triples(SHARED / name)
    assert (len(examples), sum(len(example.triples) for example in examples)) == (texts, triples)

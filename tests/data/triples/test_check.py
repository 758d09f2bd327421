"""Each finding of the report on data made for it; what the half pointer hides against its decoding."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hf_kexue import DGCNNTokenizer
from hf_kexue.data.triples.check import FINDINGS, check_triples
from hf_kexue.data.triples.reading import Triple, TripleExample, find_mentions, scan_triples
from hf_kexue.data.triples.schemas import build_schema
from hf_kexue.dgcnn.decoding_dgcnn_triples import decode_objects, decode_subjects

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
TEXT = "《甲乙》的作者是丙，演唱者是丁"
COMMON = [("甲乙", "作者", "丙")] * 5


def example(text=TEXT, *triples, key="e"):
    return TripleExample(key, text, [Triple(*triple) for triple in triples])


def common(number=5):
    """Different texts, so that a predicate is not rare and nothing else is found."""
    return [example(f"{n}{TEXT}", COMMON[0], key=f"c{n}") for n in range(number)]


def found(report):
    return {name: count for name, count in report.counts.items() if count}


TOKENIZER = DGCNNTokenizer.from_texts([TEXT], min_count=1, segmenter="none")


@pytest.mark.parametrize("tokenizer", [None, TOKENIZER], ids=["characters", "tokens"])
def test_nothing_to_find(tokenizer):
    report = check_triples(common(), tokenizer, build_schema(common()))
    assert found(report) == {}
    assert report.usable
    assert report.totals == {"records": 5, "texts": 5, "triples": 5, "known": 5, "predicates": 1}
    assert str(report).endswith("\n\nUsable.")
    assert str(report).startswith("5 texts, 5 triples, 1 predicates; pieces of 256 ")
    assert len(str(report).splitlines()) == len(FINDINGS) + 5


FOUND = {
    "empty text": (example(" "), {"empty_texts"}),
    "no triples": (example(), {"texts_without_triples"}),
    "the same text": (example(f"0{TEXT}", ("甲乙", "作者", "丁")), {"duplicated_texts"}),
    "the same triple": (example(TEXT, *COMMON[:2]), {"duplicated_triples"}),
    "of the same text": (example(f"0{TEXT}", COMMON[0]), {"duplicated_texts", "duplicated_triples"}),
    "the same id": (example(TEXT, COMMON[0], key="c0"), {"repeated_ids"}),
    "no such subject": (example(TEXT, ("丙丁", "作者", "丙")), {"absent_mentions"}),
    "no such object": (example(TEXT, ("丙", "作者", "丙丁")), {"absent_mentions"}),
    "in another width": (example("ｃＮＮ由丙", ("CNN", "作者", "丙")), set()),
    "long": (example("，" * 260 + TEXT, COMMON[0]), {"long_texts"}),
    "as long as is allowed": (example("，" * (256 - len(TEXT)) + TEXT, COMMON[0]), set()),
    "too far apart": (example("甲" + "，" * 255 + "丙", ("甲", "作者", "丙")), {"long_texts", "cut_triples"}),
    "just near enough": (example("甲甲" + "，" * 254 + "丙", ("甲", "作者", "丙")), {"long_texts"}),
    "near enough at another place": (example("丙" + "，" * 256 + "甲丙", ("甲", "作者", "丙")), {"long_texts"}),
    "hidden subject": (example("甲乙由丙", ("甲", "作者", "丙"), ("甲乙", "作者", "丙")), {"hidden_triples"}),
    "hidden object": (example("丙由甲乙", ("丙", "作者", "甲"), ("丙", "作者", "甲乙")), {"hidden_triples"}),
    "seen elsewhere": (example("甲乙由丙，甲", ("甲", "作者", "丙"), ("甲乙", "作者", "丙")), {"hidden_triples"}),
    "with the same end": (example("甲乙由丙", ("乙", "作者", "丙"), ("甲乙", "作者", "丙")), set()),
    "the same mention": (example(TEXT, ("丙", "作者", "丙")), {"equal_mentions"}),
    "equal but for case": (example("a由A", ("a", "作者", "A")), {"equal_mentions"}),
    "rare": (example(TEXT, *[("甲乙", "歌手", "丁")]), {"unknown_predicates", "rare_predicates"}),
}


@pytest.mark.parametrize("tokenizer", [None, TOKENIZER], ids=["characters", "tokens"])
@pytest.mark.parametrize(("one", "names"), FOUND.values(), ids=FOUND)
def test_findings(one, names, tokenizer):
    report = check_triples([*common(), one], tokenizer, [{"predicate": "作者"}])
    assert found(report) == dict.fromkeys(names, 1)
    for name in names:
        assert report.examples[name] == (["歌手"] if name == "rare_predicates" else [one.id])


def test_another_predicate_hides_nothing():
    pair = example("丙由甲乙", ("丙", "作者", "甲"), ("丙", "歌手", "甲乙"))
    assert check_triples([pair]).counts["hidden_triples"] == 0


def test_mentions_that_are_no_whole_tokens():
    backend = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    one = example(
        "甲乙 由 丙", ("甲乙", "作者", "丙"), ("甲", "作者", "丙"), ("乙", "作者", "丙"), ("甲乙 ", "作者", "丙")
    )
    assert check_triples([one], words).counts["split_mentions"] == 3
    assert check_triples([one]).counts["split_mentions"] == 0
    assert check_triples([one], words, max_length=3).counts["cut_triples"] == 0
    assert check_triples([one], words, max_length=2).counts["cut_triples"] == 1


def test_rare_predicates_of_a_schema_that_no_text_has():
    report = check_triples(common(), None, [{"predicate": "作者"}, {"predicate": "歌手"}])
    assert found(report) == {"rare_predicates": 1}
    assert report.totals["predicates"] == 2
    assert report.usable


@pytest.mark.parametrize(
    ("examples", "schema", "broken", "problems"),
    [
        (common(), None, ["a.jsonl, line 3: the text is 3."], ["1 broken records"]),
        ([*common(), example("", key="r")], None, [], ["1 empty texts"]),
        ([example()], None, [], ["there is no triple"]),
        ([], None, [], ["there is no triple"]),
        (common(), [{"predicate": "歌手"}], [], ["no triple has a predicate of the schema"]),
        ([*common(19), example(TEXT, ("戊", "作者", "丙"))], None, [], []),
        ([*common(18), example(TEXT, ("戊", "作者", "丙"))], None, [], ["1 of 19 triples cannot be learned"]),
        ([example("甲乙由丙", ("甲", "作者", "丙"), ("甲乙", "作者", "丙"))], None, [], []),
    ],
)
def test_what_is_not_usable(examples, schema, broken, problems):
    report = check_triples(examples, None, schema, broken=broken)
    assert report.problems == problems
    assert report.usable == (not problems)
    if problems:
        assert str(report).endswith(f"Not usable: {'; '.join(problems)}.")


def test_for_programs():
    schema = [{"predicate": "歌手", "subject_types": ["歌"]}, {"predicate": "作者", "subject_types": ["书"]}]
    one = example(TEXT, ("甲乙", "作者", "丙", "歌"), ("戊", "号", "己"))
    report = check_triples([one], None, schema, 99, ["a.jsonl, line 2: invalid JSON."])
    facts = json.loads(json.dumps(report.to_dict()))
    assert facts["settings"] == {"unit": "characters", "max_length": 99, "rare": 5}
    assert facts["findings"]["absent_mentions"] == {"count": 1, "of": 2, "examples": ["e"]}
    assert facts["findings"]["broken_records"] == {"count": 1, "of": 2, "examples": ["a.jsonl, line 2"]}
    assert facts["broken"] == ["a.jsonl, line 2: invalid JSON."]
    assert len(facts["schema"]) == 2
    assert "'号'" in facts["schema"][0]
    assert "'歌'" in facts["schema"][1]
    assert facts["usable"] is False


def test_settings():
    with pytest.raises(ValueError, match=r"max_length .*0"):
        check_triples(common(), max_length=0)
    with pytest.raises(ValueError, match="fast tokenizer"):
        check_triples(common(), tokenizer=lambda texts: texts)


@settings(deadline=None, max_examples=300)
@given(
    st.text("甲乙丙", min_size=1, max_size=8),
    st.lists(
        st.tuples(*[st.text("甲乙丙", min_size=1, max_size=2), st.sampled_from("pq")] * 2), min_size=1, max_size=4
    ),
)
def test_what_is_hidden_is_what_the_decoding_does_not_return(text, rows):
    """Labels of all triples as scores: a triple is hidden if it is not read from them."""
    one = example(text, *{(subject, predicate, found) for subject, predicate, found, _ in rows})
    there = [t for t in one.triples if find_mentions(t.subject, text) and find_mentions(t.object, text)]
    starts_ends = np.zeros((len(text), 2))
    for triple in there:
        for start, end in find_mentions(triple.subject, text):
            starts_ends[start, 0] = starts_ends[end - 1, 1] = 1
    returned = set()
    for subject in decode_subjects(starts_ends):
        span = (subject.first, subject.last + 1)
        table = np.zeros((len(text), 4))
        for triple in there:
            if span in find_mentions(triple.subject, text):
                for start, end in find_mentions(triple.object, text):
                    table[start, "pq".index(triple.predicate)] = table[end - 1, 2 + "pq".index(triple.predicate)] = 1
        for each in decode_objects(table):
            returned.add((text[slice(*span)], "pq"[each.predicate], text[each.first : each.last + 1]))
    hidden = [t for t in there if (t.subject, t.predicate, t.object) not in returned]
    report = check_triples([one])
    assert report.counts["hidden_triples"] == len(hidden)
    assert report.counts["absent_mentions"] == len(one.triples) - len(there)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data sets beside this checkout are not there")
def test_a_data_set_with_mentions_that_are_not_literal():
    examples, broken = scan_triples(SHARED / "plant-zh")
    report = check_triples(examples, broken=broken)
    assert report.usable
    assert report.counts["absent_mentions"] == 183  # one of them is "0-11月", of 10-11月: no number is cut

"""The scorer of WebQA: tags, units, votes, and each fuzzy rule by hand."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_kexue.metrics import WebQAFuzzyMatcher, webqa_chunks, webqa_metric, webqa_scores

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "webqa-sample" / "validation.jsonl.gz"

chunks = st.lists(st.sampled_from(["中国", "中 国", "美国", "A", "a", "no_answer"]), max_size=3)
evidence = st.fixed_dictionaries({"predictions": chunks, "golds": chunks})
questions = st.lists(st.lists(evidence, min_size=1, max_size=4), min_size=1, max_size=4)


def evidences(*pairs):
    return [{"predictions": predictions, "golds": golds} for predictions, golds in pairs]


def numbered(*questions):
    return [{"id": str(number), "evidences": question} for number, question in enumerate(questions)]


def counts(records, **kwargs):
    scores = webqa_scores(records, **kwargs)
    return scores["right"], scores["predicted"], scores["total"]


def is_right(predicted, *golds, matching="strict"):
    return counts(numbered(evidences(([predicted], list(golds)))), matching=matching)[0] == 1


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("OOOO", []),
        ("BIIO", ["甲 乙 丙"]),
        ("OBIO", ["乙 丙"]),
        ("BBIO", ["甲", "乙 丙"]),  # B closes and opens
        ("IIOO", ["甲 乙"]),  # I opens
        ("OIBI", ["乙", "丙 丁"]),
        ("BOIO", ["甲", "丙"]),  # O closes
        ("OOBI", ["丙 丁"]),  # the end closes
        ("BIIB", ["甲 乙 丙", "丁"]),
    ],
)
@pytest.mark.parametrize("outside", ["O", "O1", "O2"])
def test_chunks_of_tags(tags, expected, outside):
    assert webqa_chunks("甲乙丙丁", [outside if tag == "O" else tag for tag in tags]) == expected


@settings(deadline=None)  # the first call may import a library, and machines may be busy
@given(st.text("BIO", max_size=12))
def test_chunks_of_tags_against_splitting(tags):
    """A twin on strings: O separates, and so does the place before a B."""
    tokens = [str(number) for number in range(len(tags))]
    marked = "".join(f" | {i}" if tag == "B" else " |" if tag == "O" else f" {i}" for i, tag in enumerate(tags))
    assert webqa_chunks(tokens, list(tags)) == [part.strip() for part in marked.split("|") if part.strip()]


def test_tags_in_records():
    tagged = {"tokens": ["New", "York", "和", "Paris"], "tags": ["B", "I", "O1", "B"], "golds": ["new york"]}
    ready = {"predictions": ["New York", "Paris"], "golds": ["new york"]}
    assert webqa_scores(numbered([tagged])) == webqa_scores(numbered([ready]))
    assert counts(numbered([tagged])) == (1, 2, 1)


def test_figures_by_hand():
    records = numbered(
        evidences((["甲", "乙", "丙"], ["丙", "丁"]), ([], ["丙"])),  # any right chunk will do; each costs
        evidences((["甲", "甲"], ["甲"])),  # a chunk twice counts twice as predicted, once as right
        evidences((["乙"], ["甲"])),
    )
    assert webqa_scores(records) == {
        "f1": pytest.approx(2 * (2 / 6) * (2 / 4) / (2 / 6 + 2 / 4)),
        "precision": pytest.approx(2 / 6),
        "recall": pytest.approx(2 / 4),
        "total": 4,
        "predicted": 6,
        "right": 2,
    }


def test_nothing_predicted_or_nothing_right():
    zeros = {"f1": 0, "precision": 0, "recall": 0, "right": 0}
    assert webqa_scores(numbered(evidences(([], ["甲"])))) == zeros | {"total": 1, "predicted": 0}
    assert webqa_scores(numbered(evidences((["乙"], ["甲"])))) == zeros | {"total": 1, "predicted": 1}


def test_strict_matching():
    assert is_right("New\u3000 York", "newyork")
    assert is_right("乙", "甲", " 乙")
    assert not is_right("《茶馆》", "茶馆")
    assert is_right("No_Result", "no_answer")
    assert is_right("no_result", "no_answer", matching="fuzzy")
    assert not is_right("no_answer", "no_result")
    assert not is_right("no_result", "甲")
    assert not is_right("", "")  # an empty right answer is none
    assert not is_right("no_result")


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([["甲"], ["乙"], ["乙"]], ["乙"]),
        ([["甲", "乙"], ["乙", "甲"], ["丙"]], ["甲", "乙"]),  # all with the largest count
        ([["甲", "甲"], ["乙"]], ["甲"]),  # chunks count, not evidences
        ([["New York"], ["NewYork"], ["乙"]], ["NewYork"]),  # without whitespace
        ([["A", "甲"], ["a"]], ["A", "甲"]),  # but with case: each has one vote, the first evidence wins
        ([[], ["甲", "乙"], ["丙"]], ["甲", "乙"]),  # largest count 1: the first evidence that has any
        ([[], []], []),
    ],
)
def test_votes(votes, expected):
    def scores(gold):
        return counts(numbered(evidences(*((chunks, [gold]) for chunks in votes))), voting=True)

    for gold in ("甲", "乙", "丙", "NewYork", "A"):
        assert scores(gold) == (int(gold in expected), len(expected), 1)


def test_right_answers_of_a_vote():
    """The first evidence's that has any other than no_answer."""
    votes = (["乙"], ["No_Answer"]), (["乙"], []), (["乙"], ["甲"]), ([], ["乙"])
    assert counts(numbered(evidences(*votes)), voting=True) == (0, 1, 1)
    assert counts(numbered(evidences(*votes[:2], votes[3])), voting=True) == (1, 1, 1)
    none = (["no_result"], ["no_answer"]), ([], ["no_answer"])
    assert counts(numbered(evidences(*none)), voting=True) == (1, 1, 1)


@settings(deadline=None)
@given(questions)
def test_properties(questions):
    records = numbered(*questions)
    for voting in (False, True):
        strict = webqa_scores(records, voting=voting)
        fuzzy = webqa_scores(records, voting=voting, matching="fuzzy")
        assert strict["right"] <= fuzzy["right"] <= fuzzy["total"]
        assert strict["total"] == (len(questions) if voting else sum(map(len, questions)))
        denominator = strict["predicted"] + strict["total"]
        assert strict["f1"] == pytest.approx(2 * strict["right"] / denominator)  # the same figure, without P and R
    alone = numbered(*([item] for question in questions for item in question))
    assert counts(records) == counts(alone)


MATCHER = WebQAFuzzyMatcher(
    synonyms=[["中共", "中国共产党"], ["土豆", "马铃薯", "洋芋"], ["USA", "美国"]],
    measures=["个", "公里"],
    countries=["日本"],
    same_place=lambda gold, predicted: (gold, predicted) == ("北京", "北京市"),
)


@pytest.mark.parametrize(
    ("shorter", "longer"),
    [
        ("3", "3个"),
        ("3", "第3个"),
        ("十二", "十二公里"),
        ("3个", "第3个"),
        ("三", "三岁"),
        ("3个", "3个人"),
        ("3个", "3个月"),
        ("十一", "十一月份"),
        ("3月", "3月份"),
        ("221", "公元前221年"),
        ("221", "公元221"),
        ("221年", "公元221年"),
        ("3分", "3分钟"),
        ("30秒", "30秒钟"),
        ("茶馆", "《茶馆》"),
        ("茶馆", "<<茶馆>>"),
        ("茶馆》", "《茶馆》"),
        ("茶馆", "茶馆》"),
        ("狮子", "狮子座"),
        ("法国", "法国人"),
        ("日本", "日本人"),
        ("男", "男性"),
        ("香港", "香港地区"),
        ("回", "回族"),
        ("蒙古", "蒙古民族"),
        ("红", "红色"),
        ("南北", "南北朝"),
        ("宋", "宋朝"),
        ("正比", "成正比"),
        ("反比", "反比例"),
        ("氧", "氧元素"),
        ("镄", "镄元素"),
        ("中共", "中国共产党"),
        ("土豆", "洋芋"),
    ],
)
def test_fuzzy_rules_in_both_directions(shorter, longer):
    assert MATCHER(shorter, longer)
    assert MATCHER(longer, shorter)
    assert not is_right(shorter, longer)
    assert is_right(f" {longer}", shorter, matching=MATCHER)


@pytest.mark.parametrize(
    ("gold", "predicted"),
    [
        ("红色的", "红色"),
        ("鼠年", "鼠"),
        ("“和平”", "和平"),
        ("‘和平’", "和平"),
        ("'和平\"", "和平"),
        ("微软", "微软公司"),
        ("北京", "北京大学"),
        ("盗窃", "盗窃罪"),
        ("韩", "韩国"),
        ("北京", "北京市"),
    ],
)
def test_fuzzy_rules_in_one_direction(gold, predicted):
    assert MATCHER(gold, predicted)
    assert not MATCHER(predicted, gold)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("甲", "甲个"),
        ("3", "3斤"),
        ("3", "第3"),
        ("甲", "甲岁"),
        ("3", "3人"),
        ("13", "3月份"),
        ("百", "百月份"),
        ("221年", "前221年"),
        ("甲", "公元甲年"),
        ("1990", "1990年"),  # 年 alone is a measure, and not in the list
        ("甲分", "甲分钟"),
        ("茶馆", "【茶馆】"),
        ("茶馆", "《茶馆》甲"),
        ("水", "水座"),
        ("上海", "上海人"),
        ("人", "人性"),
        ("辽", "辽朝"),
        ("水", "水元素"),
        ("usa", "美国"),  # the list writes it in capitals, and answers are looked up in lower case
        ("土豆", "中共"),
        ("“和平", "和平"),
        ("人年", "人"),
        ("", "色"),
    ],
)
def test_fuzzy_rules_have_limits(first, second):
    assert not MATCHER(first, second)
    assert not MATCHER(second, first)


def test_fuzzy_without_lists():
    assert is_right("宋朝", "宋", matching="fuzzy")
    assert not is_right("3个", "3", matching="fuzzy")
    assert not is_right("日本人", "日本", matching="fuzzy")


@settings(deadline=None)
@given(st.text("3年第个《》<>国人的“”", max_size=5), st.text("3年第个《》<>国人的“”", max_size=5))
def test_fuzzy_properties(gold, predicted):
    assert MATCHER(gold, gold)
    if gold != predicted and MATCHER(gold, predicted):
        assert gold in predicted or predicted in gold


@pytest.mark.skipif(not SAMPLE.is_file(), reason="needs the sample of WebQA beside the project")
def test_sample_with_its_own_answers():
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    records = numbered(
        *(
            evidences(*((p["answer"][:1] or ["no_result"], p["answer"] or ["no_answer"]) for p in row["passages"]))
            for row in rows
        )
    )
    assert webqa_scores(records) == {
        "f1": 1, "precision": 1, "recall": 1, "total": 2000, "predicted": 2000, "right": 2000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("records", "error", "message"),
    [
        ([], ValueError, "records is empty"),
        (["甲"], TypeError, "Record 0 is a str"),
        ([{"id": "a"}], ValueError, "keys 'id' and 'evidences'"),
        ([{"id": "a", "evidences": []}], ValueError, "at least one evidence"),
        (numbered(evidences(([], []))) * 2, ValueError, "Record 1 .*'0'"),
        (numbered([{"golds": ["甲"]}]), ValueError, r"Record 0 .*evidence 0 .*'golds'"),
        (numbered(evidences(("甲", ["甲"]))), TypeError, "evidence 0: 'predictions' is '甲'"),
        (numbered(evidences((["甲"], [3]))), TypeError, "'golds' is .* list of strings"),
        (numbered([{"tokens": ["甲"], "tags": ["B", "I"], "golds": []}]), ValueError, "1 tokens and 2 tags"),
        (numbered([{"tokens": ["甲"], "tags": ["X"], "golds": []}]), ValueError, "tag 'X' is unknown"),
        (
            numbered([{"tokens": ["甲"], "tags": ["B"], "golds": [], "predictions": []}]),
            ValueError,
            "either 'predictions' or 'tokens'",
        ),
    ],
)
def test_bad_records(records, error, message):
    with pytest.raises(error, match=message):
        webqa_scores(records)


def test_bad_arguments():
    with pytest.raises(ValueError, match="matching is 'exact'"):
        webqa_scores(numbered(evidences(([], []))), matching="exact")
    with pytest.raises(TypeError, match="synonyms holds the string '土豆'"):
        WebQAFuzzyMatcher(synonyms=["土豆"])
    with pytest.raises(TypeError, match="is the string '个'"):
        WebQAFuzzyMatcher(measures="个")


def test_evaluate_metric_returns_what_the_function_returns(tmp_path):
    pytest.importorskip("evaluate", reason='needs pip install "hf-kexue[metrics]"')
    predictions = [[["甲", "乙"], []], [["宋朝"]], [["丙"], ["丙"], ["丁"]]]
    references = [[["甲"], ["甲"]], [["宋"]], [["丙"], ["丙"], ["丙"]]]
    records = numbered(*(evidences(*zip(found, golds)) for found, golds in zip(predictions, references)))
    for arguments in ({}, {"voting": True, "matching": "fuzzy"}):
        metric = webqa_metric(cache_dir=str(tmp_path))
        for part in (slice(0, 2), slice(2, 3)):
            metric.add_batch(predictions=predictions[part], references=references[part])
        assert metric.compute(**arguments) == webqa_scores(records, **arguments)
    metric = webqa_metric(cache_dir=str(tmp_path))
    with pytest.raises(ValueError, match=r"Question 0 .*1 .*2"):
        metric.compute(predictions=[[["甲"]]], references=[[["甲"], ["甲"]]])

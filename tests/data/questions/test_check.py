"""Each finding of the report on data made for it, and the windows against those of a real tokenizer."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hf_kexue.data.questions.check import FINDINGS, answer_length, check_qa
from hf_kexue.data.questions.reading import QAExample, scan_qa

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
PASSAGE = "多瑙河注入黑海，莱茵河注入北海。"


def character_tokenizer():
    """One token a character, none for whitespace; [SEP] after question and passage."""
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "[SEP]": 1, "河": 2}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    backend.post_processor = processors.TemplateProcessing(
        single="$A [SEP]", pair="$A [SEP] $B:1 [SEP]:1", special_tokens=[("[SEP]", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", sep_token="[SEP]")


TOKENIZER = character_tokenizer()


def example(key="q", question="注入哪个海？", passages=(PASSAGE,), answers=((("黑海", 5),),)):
    texts, starts = ([[pair[side] for pair in pairs] for pairs in answers] for side in (0, 1))
    return QAExample(key, question, list(passages), texts, starts)


def found(report):
    return {name: count for name, count in report.counts.items() if count}


def test_nothing_to_find():
    report = check_qa([example("q1"), example("q2", "哪条河？", answers=[[("莱茵河", 8), ("多瑙河", -1)]])])
    assert found(report) == {}
    assert report.usable
    assert report.totals == {"records": 2, "questions": 2, "passages": 2, "answers": 3, "answerable": 2}
    assert str(report).endswith("\n\nUsable.")


LONG = "海" * 100
FOUND = {
    "empty question": (example(question=" "), {"empty_questions"}),
    "empty passage": (example(passages=["\n"], answers=[[]]), {"empty_passages", "unanswerable_questions"}),
    "another text at the offset": (example(answers=[[("黑海", 4)]]), {"misplaced_answers", "lost_questions"}),
    "offset beyond the end": (example(answers=[[("黑海", 99)]]), {"misplaced_answers", "lost_questions"}),
    "offset below -1": (example(answers=[[("北海。", -3)]]), {"misplaced_answers", "lost_questions"}),
    "one of two misplaced": (example(answers=[[("黑海", 4), ("黑海", 5)]]), {"misplaced_answers"}),
    "not in the passage": (example(answers=[[("红海", -1)]]), {"absent_answers", "lost_questions"}),
    "in another passage": (
        example(passages=[PASSAGE, "在黑海"], answers=[[("在黑海", -1)], [("黑海", -1)]]),
        {"absent_answers"},
    ),
    "in another width": (example(passages=["ｃＮＮ"], answers=[[("CNN", -1)]]), set()),
    "too long, and learnable": (example(passages=[LONG], answers=[[(LONG[:31], 3)]]), {"long_answers"}),
    "as long as is allowed": (example(passages=[LONG], answers=[[(LONG[:30], 3)]]), set()),
    "letters count a half": (example(passages=["a" * 61], answers=[[("a" * 60, 0)]]), set()),
    "too many letters": (example(passages=["a" * 61], answers=[[("a" * 61, 0)]]), {"long_answers"}),
    "no answer": (example(answers=[[]]), {"unanswerable_questions"}),
    "no answer in any passage": (example(passages=["一", "二"], answers=[[], []]), {"unanswerable_questions"}),
    "question of 64": (example(question="河" * 64), set()),
    "question of 65": (example(question="河" * 65), {"long_questions"}),
}


@pytest.mark.parametrize("tokenizer", [None, TOKENIZER], ids=["characters", "tokens"])
@pytest.mark.parametrize(("one", "names"), FOUND.values(), ids=FOUND)
def test_findings(one, names, tokenizer):
    report = check_qa([one], tokenizer)
    assert found(report) == dict.fromkeys(names, 1)
    assert {name for name, ids in report.examples.items() if ids == ["q"]} == names


def test_questions_asked_twice_and_ids_used_twice():
    examples = [example("a"), example("b"), example("b", passages=["黑海" + PASSAGE], answers=[[]]), example("c")]
    report = check_qa(examples)
    assert found(report) == {"duplicated_questions": 2, "repeated_ids": 1, "unanswerable_questions": 1}
    assert report.examples["duplicated_questions"] == ["b", "c"]
    assert report.examples["repeated_ids"] == ["b"]


def test_a_question_is_one_example():
    report = check_qa([example(answers=[[("红海", -1), ("白海", -1)]])])
    assert report.counts["absent_answers"] == 2
    assert report.examples["absent_answers"] == ["q"]


def test_five_examples_at_most():
    report = check_qa([example(f"q{n}", question=f"{n}", answers=[[]]) for n in range(9)])
    assert report.counts["unanswerable_questions"] == 9
    assert report.examples["unanswerable_questions"] == ["q0", "q1", "q2", "q3", "q4"]


@pytest.mark.parametrize(
    ("examples", "broken", "problems"),
    [
        ([example()], ["a.jsonl, line 3: the question is empty."], ["1 broken records"]),
        ([example(), example("r", question="")], [], ["1 empty questions"]),
        ([example(), example("r", passages=[""], answers=[[]])], [], ["1 empty passages"]),
        ([example(answers=[[("黑海", 4), ("黑海", 5)]])], [], ["1 answers not at their offset"]),
        ([example(answers=[[]])], [], ["no question has an answer"]),
        ([], [], ["no question has an answer"]),
        ([example()] * 19 + [example(answers=[[("红海", -1)]])], [], []),
        (
            [example()] * 18 + [example(answers=[[("红海", -1)]])], [],
            ["1 of 19 answerable questions have no answer that can be learned"],
        ),
        ([example(passages=[LONG], answers=[[(LONG, 0)]])] * 3, [], []),
        ([example(), *[example(answers=[[]])] * 9], [], []),
    ],
    ids=[
        "broken", "empty question", "empty passage", "misplaced", "no answer", "no question", "5 % lost",
        "more than 5 % lost", "all too long", "many unanswerable",
    ],
)  # fmt: skip
def test_what_makes_data_unusable(examples, broken, problems):
    report = check_qa(examples, broken=broken)
    assert report.problems == problems
    assert report.usable == (not problems)
    assert str(report).splitlines()[-1] == (f"Not usable: {problems[0]}." if problems else "Usable.")


def test_broken_records_count():
    report = check_qa(
        [example()], broken=["a.jsonl, line 3: question is 3, not a string.", "a.jsonl, line 9: it: is."]
    )
    assert report.totals["records"] == 3
    assert report.totals["questions"] == 1
    assert report.examples["broken_records"] == ["a.jsonl, line 3", "a.jsonl, line 9"]
    assert report.broken[1] == "a.jsonl, line 9: it: is."


def windows_of(tokenizer, question, passage, max_length, stride):
    """For each window that the tokenizer itself makes the offsets of its passage tokens."""
    encoded = tokenizer(
        question, passage, truncation="only_second", max_length=max_length, stride=stride,
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    return [
        [offset for offset, part in zip(offsets, encoded.sequence_ids(number)) if part == 1]
        for number, offsets in enumerate(encoded["offset_mapping"])
    ]


@settings(deadline=None, database=None, max_examples=300)
@given(st.data())
def test_windows_are_those_of_the_tokenizer(data):
    passage = data.draw(st.text("河海a \n", min_size=1, max_size=40).filter(str.strip))
    question = data.draw(st.text("河 a", min_size=1, max_size=6).filter(str.strip))
    stride = data.draw(st.integers(0, 10))
    room = data.draw(st.integers(stride + 1, 25))  # less, and the tokenizer itself refuses
    max_length = room + len("".join(question.split())) + 2
    start = data.draw(st.integers(0, len(passage) - 1))
    end = data.draw(st.integers(start + 1, len(passage)))
    tokens = {i for i in range(start, end) if not passage[i].isspace()}
    windows = windows_of(TOKENIZER, question, passage, max_length, stride)
    held = bool(tokens) and any(tokens <= {first for first, _ in window} for window in windows)
    one = example(question=question, passages=[passage], answers=[[(passage[start:end], start)]])
    report = check_qa([one], TOKENIZER, max_length, stride)
    assert report.counts["cut_answers"] == report.counts["lost_questions"] == (not held)
    assert report.counts["long_passages"] == (len(windows) > 1)
    if not (passage + question).split()[1:] and passage == passage.strip() and question == question.strip():
        assert found(check_qa([one], None, max_length, stride)) == found(report)  # no blanks: tokens are characters


def test_one_place_that_is_whole_is_enough():
    """Windows of 10 characters, 8 apart: the first place of the answer lies across their ends, the second does not."""
    passage = "一二三四五六七黑的海。一二三四五六七黑的海。"
    settings = {"max_length": 15, "stride": 2}  # 3 of the question and 2 special ones leave 10
    cut = example(question="哪个海", passages=[passage], answers=[[("黑的海。", 7)]])
    assert found(check_qa([cut], **settings)) == {"cut_answers": 1, "lost_questions": 1, "long_passages": 1}
    whole = example(question="哪个海", passages=[passage], answers=[[("黑的海。", -1)]])
    assert found(check_qa([whole], **settings)) == {"long_passages": 1}


@pytest.mark.parametrize("tokenizer", [None, TOKENIZER], ids=["characters", "tokens"])
@pytest.mark.parametrize("length", [18, 19, 40])  # 10 tokens for the passage, all shared by the next window; 9; none
def test_a_question_that_leaves_no_room(tokenizer, length):
    report = check_qa([example(question="河" * length)], tokenizer, max_length=30, stride=10)
    assert found(report) == {"cut_answers": 1, "lost_questions": 1, "long_passages": 1}


def test_answers_without_a_token():
    one = example(passages=["黑\u3000海"], answers=[[("\u3000", 1)]])
    assert found(check_qa([one], TOKENIZER)) == {"cut_answers": 1, "lost_questions": 1}


@pytest.mark.parametrize(
    ("answer", "length"),
    [("黑海", 2), ("CNN", 1.5), ("1963年", 3), ("Ａ１，,", 4), ("黑 海\u3000\n", 2), ("é😀", 2), ("", 0)],
)
def test_answer_length(answer, length):
    assert answer_length(answer) == length


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stride": 512}, "stride 512"),
        ({"stride": -1}, "stride -1"),
        ({"max_answer_len": 0}, "max_answer_len 0"),
        ({"tokenizer": str.split}, "fast tokenizer"),
    ],
)
def test_settings_that_make_no_windows(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_qa([example()], **arguments)


def test_table():
    report = check_qa(
        [example("q1"), example("q2", "谁？", answers=[[("红海", -1)]])], TOKENIZER, max_length=20, stride=4
    )
    lines = str(report).splitlines()
    assert lines[0] == "2 questions, 2 passages, 2 answers; windows of 20 tokens, stride 4"
    assert lines[2].split() == ["finding", "count", "of", "share", "for", "example"]
    rows = lines[3 : 3 + len(FINDINGS)]
    assert rows[4].split()[-5:] == ["1", "2", "50.0", "%", "q2"]
    assert rows[0].split() == ["broken", "records", "0", "2", "0.0", "%"]
    assert len({row.index("%") for row in rows}) == 1  # columns stand below one another


def test_for_programs():
    report = check_qa([example("q1"), example("q2", answers=[[("红海", -1)]])], TOKENIZER, broken=["a, line 1: no."])
    facts = json.loads(json.dumps(report.to_dict()))
    assert facts["usable"] is False
    assert facts["settings"] == {
        "unit": "tokens", "max_length": 512, "stride": 128, "max_answer_len": 30, "max_question": 64,
    }  # fmt: skip
    assert facts["findings"]["absent_answers"] == {"count": 1, "of": 2, "examples": ["q2"]}
    assert facts["broken"] == ["a, line 1: no."]
    assert list(facts["findings"]) == list(FINDINGS)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data sets beside this checkout are not there")
def test_counts_of_published_data():
    """193 references of CMRC 2018's validation set are not literal, as the notes on the data say."""
    examples, broken = scan_qa(SHARED / "cmrc2018", "validation")
    report = check_qa(examples, broken=broken)
    assert report.totals["answers"] == 9657
    assert report.counts["absent_answers"] == 193
    assert report.usable
    report = check_qa(scan_qa(SHARED / "squad2-zh")[0])
    assert (report.totals["questions"], report.counts["unanswerable_questions"]) == (9936, 5945)

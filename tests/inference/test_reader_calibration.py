"""Questions for calibrating: what is asked of wrong passages."""

import pytest

from hf_kexue.data.questions.reading import QAExample
from hf_kexue.inference.reader_calibration import calibration_records

RADIUM, POLONIUM, BRIDGE = "居里夫妇发现了镭。", "居里夫妇发现了钋，没有发现铀。", "赵州桥在河北赵县的洨河上。"


def example(question, passages, answers):
    return QAExample("0", question, passages, answers, [[0] * len(some) for some in answers])


EXAMPLES = [
    example("居里夫妇发现了什么？", [RADIUM], [["镭"]]),
    example("谁发现了钋？", [POLONIUM], [["居里夫妇"]]),
    example("赵州桥在哪里？", [BRIDGE], [["河北赵县"]]),
]


def test_the_nearest_passage_without_an_answer_is_the_wrong_one():
    records = calibration_records(EXAMPLES)
    assert [(r["question"], r["context"], r["answers"]) for r in records[:3]] == [
        (e.question, e.passages[0], e.answers[0]) for e in EXAMPLES
    ]
    wrong = {record["question"]: record["context"] for record in records[3:]}
    assert wrong == {"居里夫妇发现了什么？": POLONIUM}  # 钋 is asked of no passage: the other one names 居里夫妇
    assert all(record["answers"] == [] for record in records[3:])


def test_data_with_unanswerable_questions_stay_as_they_are():
    mixed = [*EXAMPLES, example("谁建了赵州桥？", [BRIDGE], [[]])]
    assert len(calibration_records(mixed)) == 4
    assert len(calibration_records(mixed, wrong_passages=True)) == 5
    assert len(calibration_records(EXAMPLES, wrong_passages=False)) == 3


def test_every_passage_of_a_question_is_a_record():
    many = [example("谁发现了镭？", [RADIUM, BRIDGE], [["居里夫妇"], []])]
    assert [record["answers"] for record in calibration_records(many)] == [["居里夫妇"], []]


def test_no_question():
    with pytest.raises(ValueError, match="no question"):
        calibration_records([])

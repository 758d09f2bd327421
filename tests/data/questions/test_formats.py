"""Files of WebQA and tables of questions, and what is left of questions after cleaning."""

import json

import pytest
from typer.testing import CliRunner

from hf_kexue.cli.main import app
from hf_kexue.data.questions.clean import clean_questions, question_record
from hf_kexue.data.questions.reading import QAExample, read_qa, scan_qa

WEBQA = {
    "Q_TRN_1": {
        "question": "镭由谁发现？",
        "evidences": {
            "Q_TRN_1#00": {"answer": ["居里夫妇", "居里夫人"], "evidence": "1898年，居里夫妇发现了镭。"},
            "Q_TRN_1#01": {"answer": ["no_answer"], "evidence": "这里没有说。"},
        },
    },
    "Q_TRN_2": {"question": "首都？", "evidences": {"Q_TRN_2#00": {"answer": ["巴黎"], "evidence": "法国首都巴黎。"}}},
}


def test_a_file_of_webqa(tmp_path):
    path = tmp_path / "me_train.json"
    path.write_text(json.dumps(WEBQA, ensure_ascii=False), encoding="utf-8")
    first, second = read_qa(path)
    assert (first.id, first.question) == ("Q_TRN_1", "镭由谁发现？")
    assert first.passages == ["1898年，居里夫妇发现了镭。", "这里没有说。"]
    assert first.answers == [["居里夫妇", "居里夫人"], []]
    assert second.answers == [["巴黎"]]


@pytest.mark.parametrize(
    ("row", "answers", "starts"),
    [("谁？,李春修桥。,李春,0", ["李春"], [0]), ("谁？,李春修桥。,李春,", ["李春"], [-1]), ("谁？,没说。,,", [], [])],
)
def test_a_table_of_questions(tmp_path, row, answers, starts):
    (tmp_path / "train.csv").write_text(f"question,context,answer,answer_start\n{row}\n", encoding="utf-8-sig")
    (example,) = read_qa(tmp_path)
    assert (example.answers, example.answer_starts) == ([answers], [starts])


def test_a_table_with_a_wrong_offset_names_the_line(tmp_path):
    (tmp_path / "train.csv").write_text("question,context,answer,answer_start\n谁？,李春。,李春,x\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"train\.csv, line 2.*answer_start"):
        read_qa(tmp_path)


def test_what_cannot_be_learned_is_left_out():
    good = QAExample("1", "谁？", ["李春修桥。"], [["李春"]], [[0]])
    none = QAExample("2", "几时？", ["李春修桥。"], [[]], [[]])
    examples = [
        good, none, good,
        QAExample("3", "何处？", ["李春修桥。"], [["赵州"]], [[-1]]),  # its only answer is not there
        QAExample("4", "谁修？", ["李春修桥。", "别的。"], [["李春", "鲁班"], []], [[-1, -1], []]),
        QAExample("5", "谁造？", ["李春修桥。"], [["李春"]], [[2]]),
        QAExample("6", " ", ["李春修桥。"], [["李春"]], [[0]]),
    ]  # fmt: skip
    kept = list(clean_questions(examples))
    assert [example.id for example in kept] == ["1", "2", "4"]
    assert kept[2].answers == [["李春"], []]


def test_cleaned_questions_are_read_again(tmp_path):
    records = [
        {"id": "1", "question": "谁？", "context": "李春修桥。", "answers": {"text": ["李春"], "answer_start": [0]}},
        {
            "id": "2", "question": "谁？",
            "passages": [{"passage": "李春。", "answer": ["李春"]}, {"passage": "无", "answer": []}],
        },
        {"id": "3", "question": "谁？", "context": "", "answers": {"text": [], "answer_start": []}},
    ]  # fmt: skip
    path, clean = tmp_path / "a.jsonl", tmp_path / "out" / "clean.jsonl"
    path.write_text("\n".join(json.dumps(record, ensure_ascii=False) for record in records), encoding="utf-8")
    result = CliRunner().invoke(app, ["check-data", "qa", str(path), "--write-clean", str(clean)])
    assert result.exit_code == 1  # the data themselves are not usable
    assert read_qa(clean) == list(clean_questions(scan_qa(path)[0]))
    assert [question_record(example) for example in read_qa(clean)] == records[:2]


def test_another_suffix_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "甲", "spo_list": []}), encoding="utf-8")
    result = CliRunner().invoke(app, ["check-data", "triples", str(path), "--write-clean", str(tmp_path / "a.csv")])
    assert isinstance(result.exception, ValueError)
    assert not (tmp_path / "a.csv").exists()

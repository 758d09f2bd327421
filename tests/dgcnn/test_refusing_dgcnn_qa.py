"""The reader's "no answer", calibrated and not, and passages that come twice."""

import pytest
from tiny_models import save_reader

from hf_kexue.dgcnn import DGCNNForQuestionAnswering, DGCNNTokenizer, ReadingComprehensionPipeline

QUESTION, CONTEXT = "镭是谁发现的？", "居里夫妇发现了镭。"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    save_reader(folder)
    return folder


def load(folder):
    model = DGCNNForQuestionAnswering.from_pretrained(folder)
    return ReadingComprehensionPipeline(
        model=model, tokenizer=DGCNNTokenizer.from_pretrained(folder), device="cpu", progress=False
    )


@pytest.fixture
def reader(folder):
    return load(folder)


def records(reader):
    """Half of the questions have what the untrained reader finds as their answer, the others none."""
    contexts = [CONTEXT[shift:] + CONTEXT[:shift] for shift in range(8)]
    found = reader(question=[QUESTION] * 8, context=contexts)
    return [
        {"question": QUESTION, "context": context, "answers": [answer["answer"]] if number % 2 else []}
        for number, (context, answer) in enumerate(zip(contexts, found))
    ]


@pytest.mark.parametrize("threshold", [0.01, 0.3, 0.5, 0.99])
def test_no_answer_wins_below_the_threshold(reader, threshold):
    best = reader(question=QUESTION, context=CONTEXT)
    result = reader(
        question=QUESTION, context=CONTEXT, handle_impossible_answer=True, no_answer_threshold=threshold, top_k=99
    )
    assert (result[0]["answer"] == "") == (best["score"] < threshold)
    assert sum(answer["answer"] == "" for answer in result) == 1
    assert next(answer for answer in result if answer["answer"]) == best


def test_calibrating_changes_what_is_saved(reader, tmp_path):
    rows = records(reader)
    before = reader(question=QUESTION, context=CONTEXT)
    assert "probability" not in before
    fit = reader.calibrate(rows)
    assert (fit.questions, fit.unanswerable) == (8, 4)
    assert fit.right >= max(fit.right_before, fit.right_always, 0.5)
    reader.save_pretrained(tmp_path)
    again = load(tmp_path)
    assert again.model.config.no_answer_threshold == fit.threshold
    assert again.model.config.score_calibration == [fit.slope, fit.intercept]
    answers = again(question=QUESTION, context=CONTEXT, top_k=3, handle_impossible_answer=True)
    for answer in answers:
        assert (answer["probability"] is None) == (answer["answer"] == "")
        assert answer["answer"] == "" or 0 < answer["probability"] < 1
    spans = [answer for answer in answers if answer["answer"]]
    assert [spans[0][key] for key in before] == pytest.approx([*before.values()])
    asked = [{key: row[key] for key in ("question", "context")} for row in rows]
    told = again(asked, handle_impossible_answer=True)
    right = sum(one["answer"] in (row["answers"] or [""]) for one, row in zip(told, rows))
    assert right / 8 == fit.right  # what was promised is what happens
    assert "probability" not in again(question=QUESTION, passages=[CONTEXT])


@pytest.mark.parametrize(
    ("rows", "error", "fault"),
    [
        (["镭"], TypeError, "Record 0"),
        ([{"question": QUESTION, "context": CONTEXT}], ValueError, "Record 0"),
        ([{"question": QUESTION, "context": CONTEXT, "answers": "镭"}], ValueError, "Record 0"),
        ([{"question": QUESTION, "answers": ["镭"]}], ValueError, "Record 0"),
        ([], ValueError, "length"),
        ([{"question": QUESTION, "context": CONTEXT, "answers": []}], ValueError, "None"),
    ],
)
def test_records_that_cannot_calibrate(reader, rows, error, fault):
    with pytest.raises(error, match=fault):
        reader.calibrate(rows)
    assert reader.model.config.score_calibration is None
    assert reader.model.config.no_answer_threshold == 0.5


def test_equal_passages_have_one_vote(reader):
    other = "发现镭的是居里夫妇。"
    passages = [CONTEXT, other, CONTEXT, f"\n {CONTEXT} ", other]
    once = reader(question=QUESTION, passages=passages, top_k=4)
    assert once == reader(question=QUESTION, passages=passages, top_k=4, duplicates="once")
    expected = reader(question=QUESTION, passages=[CONTEXT, other], top_k=4, duplicates="each")
    # Match features count the passages that hold a word, so scores are those of five passages.
    assert [answer["answer"] for answer in once] == [answer["answer"] for answer in expected]
    assert {answer["passage"] for answer in once} <= {0, 1}
    each = reader(question=QUESTION, passages=passages, top_k=4, duplicates="each")
    assert each[0]["score"] > once[0]["score"]
    with pytest.raises(ValueError, match="duplicates"):
        reader(question=QUESTION, passages=passages, duplicates="never")

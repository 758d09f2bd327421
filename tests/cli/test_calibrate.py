"""`hf-kexue calibrate`, from a file of questions to a model that tells probabilities."""

import json

import pytest
from PIL import Image
from tiny_models import save_reader
from typer.testing import CliRunner

from hf_kexue.cli.main import app

QUESTION = "镭是谁发现的？"
SENTENCES = ["居里夫妇发现了镭。", "居里夫人发现了镭。", "镭是居里夫妇发现的。", "谁发现了居里夫人？"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    save_reader(folder)
    return folder


@pytest.fixture(scope="module")
def questions(tmp_path_factory, model):
    """Of the answers that the untrained reader finds, the two with the highest scores are right."""
    found = []
    for context in SENTENCES:
        asked = ["ask", str(model), "--question", QUESTION, "--context", context, "--json"]
        found += json.loads(CliRunner().invoke(app, asked).stdout.splitlines()[-1])
    least = sorted(answer["score"] for answer in found)[2]
    rows = []
    for number, (context, answer) in enumerate(zip(SENTENCES, found)):
        wrong = next(character for character in context if character != answer["answer"])
        text = answer["answer"] if answer["score"] >= least else wrong
        answers = {"text": [text], "answer_start": [context.index(text)]}
        rows.append({"id": str(number), "question": QUESTION, "context": context, "answers": answers})
    path = tmp_path_factory.mktemp("data") / "questions.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def calibrate(*arguments):
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


def test_a_model_is_written_and_tells_probabilities(model, questions, tmp_path):
    folder, plot = tmp_path / "calibrated", tmp_path / "pictures" / "plot.png"
    result = calibrate(model, questions, "--output", folder, "--plot", plot, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["unanswerable"] == found["questions"] - 4
    config = json.loads((folder / "config.json").read_text())
    assert config["score_calibration"] == [found["slope"], found["intercept"]]
    assert config["no_answer_threshold"] == found["threshold"]
    assert sum(row["questions"] for row in found["bins"]) == found["questions"]
    with Image.open(plot) as picture:
        assert picture.format == "PNG"
    asked = ["ask", str(folder), "--question", QUESTION, "--context", SENTENCES[0], "--json"]
    (answer,) = json.loads(CliRunner().invoke(app, asked).stdout.splitlines()[-1])
    assert 0 < answer["probability"] < 1


def test_without_an_output_nothing_is_written(model, questions):
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    result = calibrate(model, questions, "--no-wrong-passages")
    assert result.exit_code == 0, result.output
    assert "threshold" in result.stdout
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before


def test_what_cannot_be(model, questions, tmp_path):
    assert "another" in str(calibrate(model, questions, "--output", model).exception)
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    assert calibrate(model, empty).exit_code == 1
    assert isinstance(calibrate(model, tmp_path / "absent.jsonl").exception, OSError)

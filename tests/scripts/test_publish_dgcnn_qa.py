"""Publishing a reader: its folder, its figures and its card, from the folder of a run and results of benchmarks."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from whole_runs import TRAINING

pytest.importorskip("rjieba", reason="the extra hf-kexue[chinese] is not installed")
pytest.importorskip("jinja2", reason="the extra hf-kexue[train] is not installed")
if not TRAINING.is_dir():
    pytest.skip("training/ belongs to the repository, not to the package", allow_module_level=True)

import run_figures

from hf_kexue import DGCNNConfig, DGCNNForQuestionAnswering, DGCNNTokenizer

MODEL_CARDS = TRAINING.parent / "model_cards"

RESULTS = {
    "arguments": {
        "train": ["../far/away/cmrc2018", "/far/away/squad2-zh", "owner/name", "../far/drcd/dev.jsonl"],
        "validation": "./far/cmrc2018",
        "texts": [], "output_dir": "/far/away/final", "init_from": "/far/away/first/model", "cloze_share": 0.0,
        "seed": 3, "simplify": True, "max_characters": 256,
    },
    "parameters": 1234, "parameters_without_embeddings": 234, "questions": 60, "texts": 16,
    "validation_questions": 12, "precision": "no", "steps": 9, "questions_seen": 288, "seconds": 181.0,
    "cpu_seconds": 170.5, "validation/exact_match": 47.512, "validation/f1": 71.999,
    "environment": {
        "command": "train_dgcnn_qa.py --train ../far/away/cmrc2018 squad2-zh owner/name ../far/drcd/dev.jsonl "
        "--validation ./far/cmrc2018 "
        "--init_from model --max_train_steps 9 --output_dir final",
        "device": "A machine", "threads": 1, "torch": "2", "transformers": "5", "accelerate": "1",
    },
}  # fmt: skip
PASSAGES = {
    "questions": 99, "passages": 20, "environment": {"command": "reader_passages.py --data webqa-sample"},
    "rows": [
        {
            "vote": vote, "what": f"the {vote}", "accuracy": accuracy, "standard_error": 0.05, "f1": 0.5,
            "right_where_best_is_wrong": 7, "wrong_where_best_is_right": 2,
        }
        for vote, accuracy in (("article", 0.625), ("squares", 0.5), ("best", 0.375))
    ],
}  # fmt: skip
OF_BERT = {"model": "BERT", "exact_match": 12.34, "f1": 23.45, "pairs_per_second": 67.8, "over_small_bert": 1.75}
MEASURED = {
    "reader_passages": PASSAGES,
    "reader_speed": {
        "batch": 21, "question_characters": 17, "passage_characters": 243, "threads": 1, "precision": "bfloat16",
        "rows": [OF_BERT | {"over_rbt3": 17.5}], "environment": {"command": "reader_speed.py --threads 1"},
    },
    "reader_against_bert": {"rows": [OF_BERT], "environment": {"command": "reader_against_bert.py --model OLD"}},
    "reader_ablation": {
        "steps": [1717, 1818], "questions_per_step": 16, "environment": {"command": "reader_ablation.py --train A"},
        "rows": [{"what": "without words", "exact_match": 34.56, "f1": 45.67}],
    },
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """The output folder of a finished run."""
    run = tmp_path / "final"
    run.mkdir()
    (run / "results.json").write_text(json.dumps(RESULTS))
    torch.manual_seed(0)
    tokenizer = DGCNNTokenizer.from_texts(
        ["镭由谁发现？", "1898年12月，居里夫妇发现了镭。"],
        min_count=1,
        word_min_count=1,
        segmenter="rjieba",
        match_features=True,
    )
    config = DGCNNConfig(
        vocab_size=len(tokenizer), word_vocab_size=tokenizer.word_vocab_size, hidden_size=8, word_embedding_size=8,
        num_match_features=8, output="span",
    )  # fmt: skip
    DGCNNForQuestionAnswering(config).save_pretrained(run / "model")
    tokenizer.save_pretrained(run / "model")
    return run


@pytest.fixture
def cards(tmp_path):
    cards = tmp_path / "cards"
    (cards / "results").mkdir(parents=True)
    (cards / "texts").mkdir()
    shutil.copy(MODEL_CARDS / "_template.md", cards)
    shutil.copy(MODEL_CARDS / "texts" / "dgcnn-qa-zh.yaml", cards / "texts")
    return cards


@pytest.fixture
def measured(tmp_path):
    """What the benchmarks leave."""
    folder = tmp_path / "measured"
    folder.mkdir()
    for name, results in MEASURED.items():
        (folder / f"{name}.json").write_text(json.dumps(results))
    return folder


def test_publishing(script, run, cards, measured, tmp_path):
    """First without the benchmarks, then with them; the second time nothing of the first stays."""
    folder = script.publish("dgcnn-qa-zh", [run], tmp_path / "none", cards)
    assert folder == cards / "dgcnn-qa-zh"
    assert "WebQA" not in (folder / "README.md").read_text()
    (folder / "old.py").write_text("")
    script.publish("dgcnn-qa-zh", [run], measured, cards, max_answer_len=45)
    assert not (folder / "old.py").exists()
    assert DGCNNForQuestionAnswering.from_pretrained(folder).config.max_answer_len == 45
    card = (folder / "README.md").read_text()
    assert "| this model | 47.51 | 72.0 |" in card
    assert "| the article | 0.625 | 0.05 | 0.5 | 7 | 2 |" in card
    assert "python benchmarks/reader_passages.py --data webqa-sample\n" in card
    assert "投票为 0.625" in card
    assert "| question and passage of 17 and 243 characters, 21 at a time |" in card
    for row in ("| BERT | 67.8 | 1.75 | 17.5 |", "| BERT | 12.34 | 23.45 |", "| without words | 34.56 | 45.67 |"):
        assert row in card
    assert card.count("1717") == card.count("1818") == 2  # in English and Chinese
    assert "{" not in "".join(card.split("```")[::2]), "something between the blocks of code was not filled in"
    assert "far" not in card
    for key, value in load_file(run / "model" / "model.safetensors").items():
        torch.testing.assert_close(load_file(folder / "model.safetensors")[key], value, rtol=0, atol=0)


def test_tables_of_a_published_model(script, run, cards, measured, tmp_path):
    """Without runs the model stays as it is, and its card gets what has been measured since."""
    with pytest.raises(ValueError, match="--runs"):
        script.publish("dgcnn-qa-zh", [], measured, cards)
    folder, path = (
        script.publish("dgcnn-qa-zh", [run], tmp_path / "none", cards),
        cards / "results" / "dgcnn-qa-zh.json",
    )
    figures = json.loads(path.read_text())
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "README.md"}
    script.publish("dgcnn-qa-zh", [], measured, cards)
    added, card = json.loads(path.read_text()), (folder / "README.md").read_text()
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "README.md"} == before
    changed = {"measured", "passages", "tables"}
    assert {key: added[key] for key in added.keys() - changed} == {
        key: figures[key] for key in figures.keys() - changed
    }
    assert (len(figures["tables"]), len(added["tables"])) == (1, 5)
    assert "| this model | 47.51 | 72.0 |" in card
    assert "| without words | 34.56 | 45.67 |" in card
    script.publish("dgcnn-qa-zh", [], measured, cards)  # once more changes nothing
    assert json.loads(path.read_text()) == added
    passages = measured / "reader_passages.json"
    passages.write_text(json.dumps(MEASURED["reader_passages"] | {"model": "another-reader"}))
    script.publish("dgcnn-qa-zh", [], measured, cards)
    assert "WebQA" not in (folder / "README.md").read_text(), "the card quotes what was measured of another model"


@pytest.mark.parametrize("requested", [False, True])
def test_weights_stored_in_half_are_loaded_in_float32(script, run, cards, monkeypatch, requested):
    saved = load_file(run / "model" / "model.safetensors")
    if not requested:  # but large
        monkeypatch.setattr(run_figures, "LARGEST", 3 * sum(value.numel() for value in saved.values()))
    folder = script.publish("dgcnn-qa-zh", [run], cards / "none", cards, half=requested)
    stored = load_file(folder / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    model = DGCNNForQuestionAnswering.from_pretrained(folder)
    assert model.dtype == torch.float32
    for key, value in saved.items():
        torch.testing.assert_close(model.state_dict()[key], value.half().float(), rtol=0, atol=0)


def test_figures_of_a_run(script, run):
    found = script.figures([run], {})
    (stage,) = found["stages"]
    assert stage == {
        "what": "real questions", "questions_seen": 288, "steps": 9, "minutes": 3, "cpu_seconds": 170.5,
        "cloze_share": 0.0, "simplify": True, "max_characters": 256,
        "command": "accelerate launch training/train_dgcnn_qa.py --train data/cmrc2018 data/squad2-zh owner/name "
        "data/drcd/dev.jsonl --validation data/cmrc2018 --init_from outputs/first/model --max_train_steps 9 "
        "--output_dir outputs/final",
    }  # fmt: skip
    assert found["validation"] == {"exact_match": 47.51, "f1": 72.0, "questions": 12}
    assert [(row["metric"], row["value"]) for row in found["evaluation"]] == [("Exact match", 47.51), ("F1", 72.0)]
    assert (found["counted"], len(found["tables"])) == ("questions", 1)
    rows = {row["what"]: row["value"] for row in found["training"]}
    assert rows["device"] == "A machine, threads: 1"
    assert rows["precision"] == "float32"
    assert rows["seed"] == 3


def test_command_of_two_processes_with_a_teacher(script, run):
    words = "train_dgcnn_qa.py --train cmrc2018 --teacher some-reader --distillation 0.7 --init_from some-reader"
    results = RESULTS | {"processes": 2, "environment": RESULTS["environment"] | {"command": words}}
    results["arguments"] = RESULTS["arguments"] | dict.fromkeys(("teacher", "init_from"), "/away/some-reader")
    assert run_figures.command(run, results) == (
        "torchrun --nproc_per_node 2 training/train_dgcnn_qa.py --train data/cmrc2018 "
        "--teacher model_cards/some-reader --distillation 0.7 --init_from model_cards/some-reader"
    )


@pytest.mark.parametrize(
    ("share", "what"),
    [
        (1.0, "questions synthesised from plain text"),
        (0.25, "real questions, 25% of them synthesised from plain text"),
    ],
)
def test_what_a_stage_learned_from(script, run, share, what):
    changed = RESULTS | {"arguments": RESULTS["arguments"] | {"cloze_share": share}}
    (run / "results.json").write_text(json.dumps(changed))
    assert script.stage(run)["what"] == what


def test_what_is_not_published(script, run, cards, monkeypatch):
    with pytest.raises(ValueError, match=r"other\.yaml"):
        script.publish("other", [run], cards=cards)
    monkeypatch.setattr(run_figures, "LARGEST", 1000)
    with pytest.raises(ValueError, match="--max_words"):
        script.publish("dgcnn-qa-zh", [run], cards / "none", cards)
    monkeypatch.undo()
    unscored = {key: value for key, value in RESULTS.items() if not key.startswith("validation/")}
    (run / "results.json").write_text(json.dumps(unscored))
    with pytest.raises(ValueError, match="--validation"):
        script.publish("dgcnn-qa-zh", [run], cards / "none", cards)
    shutil.rmtree(run / "model")
    with pytest.raises(ValueError, match="no weights"):
        script.publish("dgcnn-qa-zh", [run], cards / "none", cards)
    assert sorted(path.name for path in cards.iterdir()) == ["_template.md", "results", "texts"]
    assert not list((cards / "results").iterdir())

"""Repositories: what `export_repository` leaves works without the package; what the publishing script makes of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, pipeline

pytest.importorskip("rjieba", reason="the extra hf-kexue[chinese] is not installed")

from hf_kexue import (
    DGCNNConfig,
    DGCNNForMaskedLM,
    DGCNNForQuestionAnswering,
    DGCNNForTripleExtraction,
    DGCNNTokenizer,
    ReadingComprehensionPipeline,
    TripleExtractionPipeline,
)
from hf_kexue.hub import export_repository

ROOT = Path(__file__).resolve().parents[2]
QUESTION, CONTEXT = "镭由谁发现？", "1898年12月，居里夫妇发现了镭。"
MADE_OF = {DGCNNConfig, DGCNNForMaskedLM, DGCNNForQuestionAnswering, DGCNNTokenizer}


def make_reader():
    torch.manual_seed(0)
    tokenizer = DGCNNTokenizer.from_texts(
        [QUESTION, CONTEXT],
        min_count=1,
        word_min_count=1,
        segmenter="rjieba",
        dictionary=["居里"],
        match_features=True,
    )
    config = DGCNNConfig(
        vocab_size=len(tokenizer), word_vocab_size=tokenizer.word_vocab_size, hidden_size=8, word_embedding_size=8,
        num_match_features=8, output="span",
    )  # fmt: skip
    return ReadingComprehensionPipeline(model=DGCNNForQuestionAnswering(config), tokenizer=tokenizer, device="cpu")


@pytest.fixture(scope="module")
def reader():
    return make_reader()


@pytest.fixture(scope="module")
def repository(reader, tmp_path_factory):
    return export_repository(reader, tmp_path_factory.mktemp("hub") / "tiny-reader")


ELSEWHERE = """
import json, sys
sys.modules["hf_kexue"] = None
from transformers import AutoConfig, AutoModelForQuestionAnswering, AutoTokenizer, pipeline
whole, model_alone, question, context = sys.argv[1:]
trust = {"trust_remote_code": True}
model = AutoModelForQuestionAnswering.from_pretrained(model_alone, **trust)
reader = pipeline("question-answering", model=whole, device="cpu", **trust)
print(json.dumps({
    "config": type(AutoConfig.from_pretrained(model_alone, **trust)).__name__,
    "models": [type(model).__module__, type(AutoModelForQuestionAnswering.from_pretrained(whole, **trust)).__module__],
    "sum": sum(p.double().sum().item() for p in model.parameters()),
    "ids": AutoTokenizer.from_pretrained(whole, **trust)(question, context)["word_input_ids"],
    "answers": reader(question=question, context=context, top_k=3),
}))
"""


def test_repositories_work_without_the_package(reader, repository, tmp_path, monkeypatch):
    """A pipeline, and a model alone, in a process that cannot import hf_kexue."""
    alone = export_repository(reader.model, tmp_path / "model")
    assert not list(alone.glob("tokeniz*"))
    assert not list(alone.glob("pipeline*"))
    assert "custom_pipelines" not in json.loads((alone / "config.json").read_text())
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    finished = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(repository), str(alone), QUESTION, CONTEXT],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout)
    assert found["config"] == "DGCNNConfig"
    assert all(module.startswith("transformers_modules.") for module in found["models"])
    assert found["sum"] == sum(p.double().sum().item() for p in reader.model.parameters())
    assert found["ids"] == reader.tokenizer(QUESTION, CONTEXT)["word_input_ids"]
    expected = reader(question=QUESTION, context=CONTEXT, top_k=3)
    assert found["answers"] == [{**a, "score": pytest.approx(a["score"], rel=1e-5)} for a in expected]


def test_what_lies_in_a_repository(repository):
    names = {path.name for path in repository.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert {path.suffix for path in repository.iterdir()} == {".json", ".safetensors", ".txt", ".py"}
    for copy in repository.glob("*.py"):
        assert copy.read_text() == (ROOT / "src" / "hf_kexue" / "dgcnn" / copy.name).read_text()
    text = "".join(path.read_text() for path in repository.glob("*.json"))
    assert str(repository.parent) not in text
    assert "local" not in (repository / "tokenizer_config.json").read_text()


def test_exporting_leaves_no_mark(reader, repository, tmp_path):
    """What is saved after an export is saved as before it: without code."""
    assert {part._auto_class for part in MADE_OF} == {None}
    reader.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert not {"auto_map", "custom_pipelines"} & config.keys()
    assert "auto_map" not in json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert not list(tmp_path.glob("*.py"))


def test_a_failed_export_leaves_no_mark_either(reader, tmp_path):
    (tmp_path / "model.safetensors").mkdir()  # cannot be written
    config = reader.model.config
    with pytest.raises(Exception, match=r"model\\.safetensors|directory"):
        export_repository(reader, tmp_path)
    assert {part._auto_class for part in MADE_OF} == {None}
    assert reader.model.config is config
    assert not hasattr(reader, "_registered_impl")


def test_the_package_loads_a_repository_with_its_own_classes(reader, repository):
    model = AutoModelForQuestionAnswering.from_pretrained(repository)
    assert type(model) is DGCNNForQuestionAnswering
    assert type(AutoTokenizer.from_pretrained(repository)) is DGCNNTokenizer
    for key, value in reader.model.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value, rtol=0, atol=0)
    named = pipeline("kexue-question-answering", model=str(repository), device="cpu")
    assert type(named) is ReadingComprehensionPipeline
    again = export_repository(named, repository.parent / "again")
    for name in ("config.json", "tokenizer_config.json", "model.safetensors"):
        assert (again / name).read_bytes() == (repository / name).read_bytes()


def test_the_class_decides_under_which_name_a_model_is_found(tmp_path):
    folder = export_repository(DGCNNForMaskedLM(DGCNNConfig(vocab_size=9, hidden_size=4)), tmp_path)
    auto_map = json.loads((folder / "config.json").read_text())["auto_map"]
    assert auto_map == {
        "AutoConfig": "configuration_dgcnn.DGCNNConfig", "AutoModelForMaskedLM": "modeling_dgcnn.DGCNNForMaskedLM",
    }  # fmt: skip


TRIPLES_ELSEWHERE = """
import json, sys
sys.modules["hf_kexue"] = None
from transformers import pipeline
extract = pipeline("triple-extraction", model=sys.argv[1], device="cpu", trust_remote_code=True)
page = extract.to_html(sys.argv[2], found := extract(sys.argv[2]))
print(json.dumps({"found": found, "module": type(extract.model).__module__, "page": page[:15]}))
"""


def test_triples_without_the_package(tmp_path, monkeypatch):
    torch.manual_seed(0)
    tokenizer = DGCNNTokenizer.from_texts([CONTEXT], 1, 1, triple_prior=[("居里夫妇", 0, "镭")])
    config = DGCNNConfig(
        vocab_size=len(tokenizer), word_vocab_size=tokenizer.word_vocab_size, hidden_size=8, word_embedding_size=8,
        triple_schema=[{"predicate": "发现", "subject_types": ["人物"], "object_types": []}], triple_prior=True,
        triple_thresholds=[0.4, 0.4, 0.4, 0.4],
    )  # fmt: skip
    extract = TripleExtractionPipeline(model=DGCNNForTripleExtraction(config), tokenizer=tokenizer, device="cpu")
    folder = export_repository(extract, tmp_path / "triples")
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    finished = subprocess.run(
        [sys.executable, "-c", TRIPLES_ELSEWHERE, str(folder), CONTEXT],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    elsewhere = json.loads(finished.stdout)
    assert elsewhere["module"].startswith("transformers_modules.")
    assert elsewhere["page"] == "<!DOCTYPE html>"
    expected = extract(CONTEXT)
    assert expected
    assert elsewhere["found"] == [{**t, "score": pytest.approx(t["score"], rel=1e-5)} for t in expected]
    named = pipeline("kexue-triple-extraction", model=str(folder), device="cpu")
    assert type(named) is TripleExtractionPipeline
    assert named(CONTEXT) == expected


class Unregistered(DGCNNForQuestionAnswering):
    pass


def test_mistakes(reader, tmp_path):
    with pytest.raises(TypeError, match="made of a pipeline or a model of transformers, got Linear"):
        export_repository(torch.nn.Linear(1, 1), tmp_path)
    with pytest.raises(ValueError, match="No Auto class of transformers knows Unregistered"):
        export_repository(Unregistered(reader.model.config), tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=r"A repository is a folder, and .*file is a file"):
        export_repository(reader, tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# ---- training/publish_dgcnn_qa.py

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
def script(monkeypatch):
    """The publishing script as a module."""
    if not (ROOT / "training" / "publish_dgcnn_qa.py").is_file():
        pytest.skip("training/ belongs to the repository, not to the package")
    pytest.importorskip("jinja2", reason="the extra hf-kexue[train] is not installed")
    monkeypatch.syspath_prepend(ROOT / "training")
    import publish_dgcnn_qa

    return publish_dgcnn_qa


@pytest.fixture
def run(reader, tmp_path):
    """The output folder of a finished run."""
    run = tmp_path / "final"
    run.mkdir()
    (run / "results.json").write_text(json.dumps(RESULTS))
    reader.model.save_pretrained(run / "model")
    reader.tokenizer.save_pretrained(run / "model")
    return run


@pytest.fixture
def cards(tmp_path):
    cards = tmp_path / "cards"
    (cards / "results").mkdir(parents=True)
    (cards / "texts").mkdir()
    shutil.copy(ROOT / "model_cards" / "_template.md", cards)
    shutil.copy(ROOT / "model_cards" / "texts" / "dgcnn-qa-zh.yaml", cards / "texts")
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
    with pytest.raises(ValueError, match="dgcnn-qa-zh is not published yet: give its --runs"):
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


@pytest.mark.parametrize("asked_for", [False, True])
def test_weights_stored_in_half_are_loaded_in_float32(script, run, cards, monkeypatch, asked_for):
    saved = load_file(run / "model" / "model.safetensors")
    if not asked_for:  # but large
        monkeypatch.setattr(script, "LARGEST", 3 * sum(value.numel() for value in saved.values()))
    folder = script.publish("dgcnn-qa-zh", [run], cards / "none", cards, half=asked_for)
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
    told = {row["what"]: row["value"] for row in found["training"]}
    assert told["device"] == "A machine, threads: 1"
    assert told["precision"] == "float32"
    assert told["seed"] == 3


def test_command_of_two_processes_with_a_teacher(script, run):
    words = "train_dgcnn_qa.py --train cmrc2018 --teacher some-reader --distillation 0.7 --init_from some-reader"
    results = RESULTS | {"processes": 2, "environment": RESULTS["environment"] | {"command": words}}
    results["arguments"] = RESULTS["arguments"] | dict.fromkeys(("teacher", "init_from"), "/away/some-reader")
    assert script.command(run, results) == (
        "torchrun --nproc_per_node 2 training/train_dgcnn_qa.py --train data/cmrc2018 "
        "--teacher model_cards/some-reader --distillation 0.7 --init_from model_cards/some-reader"
    )


@pytest.mark.parametrize(
    ("share", "what"),
    [(1.0, "questions made of plain text"), (0.25, "real questions, 25% of them made of plain text")],
)
def test_what_a_stage_learned_from(script, run, share, what):
    changed = RESULTS | {"arguments": RESULTS["arguments"] | {"cloze_share": share}}
    (run / "results.json").write_text(json.dumps(changed))
    assert script.stage(run)["what"] == what


def test_what_is_not_published(script, run, cards, monkeypatch):
    with pytest.raises(ValueError, match=r"There is no .*other\.yaml: write what the card of other says first"):
        script.publish("other", [run], cards=cards)
    monkeypatch.setattr(script, "LARGEST", 1000)
    with pytest.raises(ValueError, match=r"model holds .* MB of weights, as float16; at most 0 MB are .*--max_words"):
        script.publish("dgcnn-qa-zh", [run], cards / "none", cards)
    monkeypatch.undo()
    unscored = {key: value for key, value in RESULTS.items() if not key.startswith("validation/")}
    (run / "results.json").write_text(json.dumps(unscored))
    with pytest.raises(ValueError, match="final has no scores: run its training with --validation"):
        script.publish("dgcnn-qa-zh", [run], cards / "none", cards)
    shutil.rmtree(run / "model")
    with pytest.raises(ValueError, match=r"model holds no weights; the run has to come to its end"):
        script.publish("dgcnn-qa-zh", [run], cards / "none", cards)
    assert sorted(path.name for path in cards.iterdir()) == ["_template.md", "results", "texts"]
    assert not list((cards / "results").iterdir())

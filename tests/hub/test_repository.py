"""Repositories: what `export_repository` leaves works without the package."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
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
reader_folder, model_folder, question, context = sys.argv[1:]
trust = {"trust_remote_code": True}
model = AutoModelForQuestionAnswering.from_pretrained(model_folder, **trust)
reader = pipeline("question-answering", model=reader_folder, device="cpu", **trust)
print(json.dumps({
    "config": type(AutoConfig.from_pretrained(model_folder, **trust)).__name__,
    "models": [type(each).__module__ for each in (model, reader.model)],
    "sum": sum(p.double().sum().item() for p in model.parameters()),
    "ids": AutoTokenizer.from_pretrained(reader_folder, **trust)(question, context)["word_input_ids"],
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


def test_files_of_a_repository(repository):
    names = {path.name for path in repository.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert {path.suffix for path in repository.iterdir()} == {".json", ".safetensors", ".txt", ".py"}
    for copy in repository.glob("*.py"):
        assert copy.read_text() == (ROOT / "src" / "hf_kexue" / "dgcnn" / copy.name).read_text()
    text = "".join(path.read_text() for path in repository.glob("*.json"))
    assert str(repository.parent) not in text
    assert "local" not in (repository / "tokenizer_config.json").read_text()


def test_exporting_changes_no_class(reader, repository, tmp_path):
    """What is saved after an export is saved as before it: without code."""
    assert {part._auto_class for part in MADE_OF} == {None}
    reader.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert not {"auto_map", "custom_pipelines"} & config.keys()
    assert "auto_map" not in json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert not list(tmp_path.glob("*.py"))


def test_a_failed_export_changes_no_class(reader, tmp_path):
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


def test_the_auto_class_follows_the_class_of_the_model(tmp_path):
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


def test_what_cannot_be_exported_raises(reader, tmp_path):
    with pytest.raises(TypeError, match=r"source.*Linear"):
        export_repository(torch.nn.Linear(1, 1), tmp_path)
    with pytest.raises(ValueError, match="Unregistered"):
        export_repository(Unregistered(reader.model.config), tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=r"folder.*file"):
        export_repository(reader, tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

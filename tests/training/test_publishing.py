"""`--push_to_hub`: what is refused before a run begins, and its card. The rest: test_life_cycle.py."""

import re

import pytest

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("rjieba", reason="the extra hf-kexue[chinese] is not installed")

from hub_clients import tiny_gan, tiny_images, tiny_reader, tiny_triples
from huggingface_hub import ModelCard
from whole_runs import TRAINING, load_script, reset

from hf_kexue.hub.run_cards import run_card

SCRIPTS = ["train_simple_diffusion", "train_rsgan", "train_dgcnn_qa", "train_dgcnn_triples"]
ENVIRONMENT = {
    "command": "train.py --seed 3",
    "device": "A machine",
    "torch": "2",
    "diffusers": "0",
    "transformers": "5",
}
RESULTS = {
    "arguments": {"seed": 3, "hub_license": "apache-2.0", "dataset": "owner/pictures", "train": ["owner/questions"]},
    "environment": ENVIRONMENT | {"accelerate": "1"},
    "precision": "no",
    "steps": 7,
    "validation_questions": 12,
    "thresholds": [0.5],
}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.skipif(not TRAINING.is_dir(), reason="training/ belongs to the repository, not to the package")
def test_a_bad_repository_id_stops_a_run_before_it_starts(name, tmp_path):
    script = load_script(name)
    reset()
    train = (
        ["--train", "nothing.jsonl"]
        if "dgcnn" in name
        else ["--preset", "64"]
        if name == "train_simple_diffusion"
        else []
    )
    options = [*train, "--tracker", "none", "--mixed_precision", "no", "--output_dir", str(tmp_path / "run")]
    with pytest.raises(ValueError, match="Repo id must"):
        script.main([*options, "--push_to_hub", "no name!"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("make", "figures", "library", "task"),
    [
        (
            tiny_images,
            {"validation_loss": 0.25, "validation_loss/low": 0.5},
            "diffusers",
            "unconditional-image-generation",
        ),
        (
            tiny_gan,
            {"kid_efflite0": 0.5, "kid_efflite0_standard_error": 0.1},
            "diffusers",
            "unconditional-image-generation",
        ),
        (tiny_reader, {"validation/exact_match": 47.5, "validation/f1": 60.0}, "transformers", "question-answering"),
        (tiny_triples, {}, "transformers", "token-classification"),
    ],
    ids=["diffusion", "gan", "reader", "triples"],
)
def test_the_card_of_a_run(make, figures, library, task):
    results = RESULTS | figures | {"arguments": dict(RESULTS["arguments"])}
    del results["arguments"]["train" if library == "diffusers" else "dataset"]
    text = run_card(make(), "you/model", results)
    data = ModelCard(text).data
    assert (data.library_name, data.pipeline_tag, data.license) == (library, task, "apache-2.0")
    assert data.language == ("zh" if library == "transformers" else None)
    assert data.datasets == ["owner/pictures" if library == "diffusers" else "owner/questions"]
    headline = [key for key in figures if not key.endswith(("/low", "_error"))]
    assert [result.metric_value for result in data.eval_results or []] == [figures[key] for key in headline]
    assert data.metrics == (sorted(key.removeprefix("validation/") for key in headline) or None)
    for key, value in figures.items():
        assert f"| {key} | {value} |" in text
    assert "| steps | 7 |" in text
    assert "accelerate launch training/train.py --seed 3\n" in text
    for snippet in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        compile(snippet, "card", "exec")
        assert '"you/model"' in snippet


def test_a_card_without_optional_fields():
    """No licence is made up, and a local folder is no data set of the Hub."""
    results = RESULTS | {"arguments": {"seed": 0, "dataset": "embedded"}}
    data = ModelCard(run_card(tiny_gan(), "you/model", results)).data
    assert (data.license, data.datasets, data.metrics, data.eval_results) == (None, None, None, None)

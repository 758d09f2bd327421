"""training/publish_text_to_image.py: what the card says of a text encoder that another model was published with."""

import json

import pytest
from safetensors.torch import load_file
from whole_runs import TRAINING

pytest.importorskip("jinja2", reason="the extra hf-kexue[train] is not installed")
if not TRAINING.is_dir():
    pytest.skip("training/ belongs to the repository, not to the package", allow_module_level=True)

import publish_text_to_image as script

CARDS = TRAINING.parent / "model_cards"
NAME = "simple-diffusion-emoji-64"


def test_the_encoder_of_a_published_model():
    stage, parameters = script.encoder_figures(CARDS / "results" / f"{NAME}.json")
    assert "training/pretrain_text_encoder.py" in stage["command"]
    weights = load_file(CARDS / NAME / "text_encoder" / "model.safetensors")
    assert parameters == sum(weight.numel() for weight in weights.values())


def test_of_two_encoders_the_last_one_counts(tmp_path):
    kinds = ("the text encoder alone", "64 pixels") * 2
    stages = [{"what": kind, "command": f"command {number}"} for number, kind in enumerate(kinds)]
    training = [{"what": "parameters", "value": 3}, {"what": "of them the text encoder", "value": 2}]
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps({"stages": stages, "training": training}), encoding="utf-8")
    assert script.encoder_figures(figures) == (stages[2], 2)

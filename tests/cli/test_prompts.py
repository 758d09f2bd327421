"""`hf-kexue generate`, `evaluate` and `check-data` with words beside pictures."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from tiny_models import save_gan
from tiny_prompts import WORDS, save_prompt_pipeline
from typer.testing import CliRunner

pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")

import datasets

from hf_kexue.cli.main import app


def invoke(*argv):
    return CliRunner().invoke(app, [str(argument) for argument in argv])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_prompt_pipeline(folder)
    return folder


@pytest.fixture
def pictures(tmp_path):
    """Eight pictures with names."""
    generator, images = np.random.default_rng(0), []
    for _ in range(8):
        buffer = io.BytesIO()
        Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(buffer, "PNG")
        images.append({"bytes": buffer.getvalue(), "path": None})
    rows = {"image": images, "name": ["red apple", "猫"] * 4, "style": ["noto"] * 8}
    features = datasets.Features(
        {"image": datasets.Image(), "name": datasets.Value("string"), "style": datasets.Value("string")}
    )
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "data" / "train-0.parquet")
    return tmp_path


def test_a_row_of_pictures_for_each_prompt(model, tmp_path):
    prompts = ["--prompt", WORDS[0], "--prompt", WORDS[1]]
    quick = ["--steps", 2, "--per-class", 3]
    result = invoke("generate", model, "-o", tmp_path / "grid.png", *prompts, *quick)
    assert result.exit_code == 0, result.output
    assert "6 images" in result.stdout
    both = np.asarray(Image.open(tmp_path / "grid.png"))
    invoke("generate", model, "-o", tmp_path / "again.png", *prompts, *quick)
    assert np.array_equal(both, np.asarray(Image.open(tmp_path / "again.png")))
    invoke("generate", model, "-o", tmp_path / "away.png", *prompts, *quick, "--negative-prompt", WORDS[2])
    assert not np.array_equal(both, np.asarray(Image.open(tmp_path / "away.png")))


def test_no_prompt_draws_without_one(model, tmp_path):
    result = invoke("generate", model, "-o", tmp_path / "grid.png", "--steps", 2, "--per-class", 2)
    assert result.exit_code == 0, result.output
    assert "2 images" in result.stdout


def test_prompts_are_refused_by_other_models(model, tmp_path):
    save_gan(tmp_path / "gan")
    result = invoke("generate", tmp_path / "gan", "-o", tmp_path / "grid.png", "--prompt", "noto: cat")
    assert result.exit_code != 0
    assert "--classes" in str(result.exception)
    result = invoke("generate", model, "-o", tmp_path / "grid.png", "--classes", "cat")
    assert result.exit_code != 0
    assert not (tmp_path / "grid.png").exists()


def test_evaluate_draws_the_captions_of_the_data(model, pictures):
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra hf-kexue[metrics] is not installed")
    options = ["--split", "train", "--images", 4, "--steps", 1]
    result = invoke("evaluate", model, pictures, *options, "--caption-column", "name", "--caption-prefix", "style")
    assert result.exit_code == 0, result.output
    assert "kid_efflite0" in result.stdout
    result = invoke("evaluate", model, pictures, *options)
    assert "--caption-column" in str(result.exception)


def test_check_data_looks_at_captions(pictures):
    captions = ["--caption-column", "name", "--caption-prefix", "style", "--json"]
    report = json.loads(invoke("check-data", "images", pictures, *captions).stdout)
    assert report["totals"]["captions"] == 8
    assert report["findings"]["same_caption"]["count"] == 8
    assert report["usable"]
    result = invoke("check-data", "images", pictures, "--caption-prefix", "style")
    assert "--caption-column" in str(result.exception)

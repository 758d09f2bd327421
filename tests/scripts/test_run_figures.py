"""What the publishing scripts share: a command of a run as a checkout repeats it, rows and tables of a card."""

from pathlib import Path

import pytest
from whole_runs import TRAINING

if not TRAINING.is_dir():
    pytest.skip("training/ belongs to the repository, not to the package", allow_module_level=True)

import run_figures


@pytest.mark.parametrize(
    ("folder", "place"),
    [
        ("/far/away/first/model", "outputs/first/model"),
        ("../clothing-32/pipeline", "outputs/clothing-32/pipeline"),
        ("model_cards/dgcnn-qa-zh", "model_cards/dgcnn-qa-zh"),
        ("/far/away/dgcnn-qa-zh", "model_cards/dgcnn-qa-zh"),
    ],
)
def test_place_of_a_model(folder, place):
    assert run_figures.model_place(Path(folder)) == place


@pytest.mark.parametrize(
    ("words", "arguments", "processes", "expected"),
    [
        (
            "train_simple_diffusion.py --resolution 64 --init_from pipeline --output_dir clothing-64 --seed 3",
            {"init_from": "/far/clothing-32/pipeline"}, 1,
            "accelerate launch training/train_simple_diffusion.py --resolution 64 "
            "--init_from outputs/clothing-32/pipeline --output_dir outputs/run --seed 3",
        ),
        (
            "train_rsgan.py --dataset clothing-128 --output_dir outputs/run", {"dataset": "/far/clothing-128"}, 4,
            "torchrun --nproc_per_node 4 training/train_rsgan.py --dataset data/clothing-128 --output_dir outputs/run",
        ),
        (
            "train_rsgan.py --dataset owner/name", {"dataset": "owner/name"}, 1,
            "accelerate launch training/train_rsgan.py --dataset owner/name",
        ),
    ],
)  # fmt: skip
def test_command(words, arguments, processes, expected):
    results = {"environment": {"command": words}, "arguments": arguments, "processes": processes}
    assert run_figures.command(Path("/far/away/run"), results) == expected


@pytest.mark.parametrize(
    ("precision", "threads", "expected"),
    [("no", None, ["H", "float32"]), ("bf16", 2, ["H, threads: 2", "bf16"])],
)
def test_rows_of_the_training(precision, threads, expected):
    environment = {"device": "H", "threads": threads, "torch": "2", "diffusers": "0.4", "accelerate": "1"}
    results = {"environment": environment, "precision": precision, "arguments": {"seed": 7}}
    rows = run_figures.training_rows({"parameters": 12}, results, minutes=5, library="diffusers")
    values = {row["what"]: row["value"] for row in rows}
    assert list(values.values()) == [12, *expected, 5, 7, "torch 2, diffusers 0.4, accelerate 1"]


def test_results_that_are_missing(tmp_path):
    (tmp_path / "samplers.json").write_text("{}")
    assert run_figures.benchmark_results(tmp_path, ["samplers", "other"]) == {"samplers": {}}
    with pytest.raises(ValueError, match="benchmarks/other"):
        run_figures.benchmark_results(tmp_path, ["samplers", "other"], required=True)
    with pytest.raises(ValueError, match=r"results\.json"):
        run_figures.run_results(tmp_path)


def test_runs_that_went_on_from_a_published_model():
    """Its stages stand first; images and minutes of both count, all else is that of the new runs."""
    before = {"stages": [{"minutes": 3, "what": "first"}], "images_seen": 100, "training": [], "parameters": 5}
    rows = [{"what": "minutes in training steps", "value": 4}, {"what": "seed", "value": 1}]
    new = {"stages": [{"minutes": 4, "what": "second"}], "images_seen": 10, "training": rows, "parameters": 7}
    assert run_figures.gone_on(before, new) == {
        "stages": [{"minutes": 3, "what": "first"}, {"minutes": 4, "what": "second"}],
        "images_seen": 110,
        "training": [{"what": "minutes in training steps", "value": 7}, {"what": "seed", "value": 1}],
        "parameters": 7,
    }

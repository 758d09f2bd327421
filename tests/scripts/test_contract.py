"""What every training script does alike: it leaves results, resumes exactly, saves on Ctrl-C, and refuses what cannot
be a run before it begins.

Everything happens in this process, on the tiny runs of benchmarks/tiny_runs.py; what is a script's own stands in the
file of its name.
"""

import json
import os
import shutil
import signal

import pytest
from torch import nn

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("rjieba", reason="rjieba is not installed")
pytest.importorskip("nltk", reason="the extra hf-kexue[metrics] is not installed")

from whole_runs import TRAINING, InForward, load_script, reset

if not (TRAINING.parent / "benchmarks" / "tiny_runs.py").is_file():
    pytest.skip("training/ and benchmarks/ belong to the repository, not to the package", allow_module_level=True)

import tiny_runs as tiny

from hf_kexue import (
    DGCNNForMaskedLM,
    DGCNNForQuestionAnswering,
    DGCNNForTripleExtraction,
    RSGANDiscriminator,
    SimpleDiffusionUViT2DModel,
)
from hf_kexue.training.interruption import script_main

pytestmark = pytest.mark.usefixtures("own_cache")

STEPS, BATCH = 6, 8  # four batches of pictures an epoch, two of texts
NETWORKS = {
    "train_simple_diffusion": SimpleDiffusionUViT2DModel,
    "train_dgcnn_qa": DGCNNForQuestionAnswering,
    "train_dgcnn_triples": DGCNNForTripleExtraction,
    "pretrain_dgcnn": DGCNNForMaskedLM,
    "train_rsgan": RSGANDiscriminator,
    "distill_simple_diffusion": SimpleDiffusionUViT2DModel,
}
MODELS = {"train_simple_diffusion": "pipeline", "train_rsgan": "pipeline", "distill_simple_diffusion": "pipeline"}
SOURCES = {"train_dgcnn_qa": "--train", "train_dgcnn_triples": "--train", "pretrain_dgcnn": "--texts"}
every_script = pytest.mark.parametrize("name", tiny.SCRIPTS)
with_accumulation = pytest.mark.parametrize(
    "name", [script for script in tiny.SCRIPTS if script != "train_rsgan"]
)  # a GAN's step is one batch


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    tiny.write_data(folder)
    return folder


def arguments(name, data, output, *options):
    return [
        *tiny.arguments(name, data, output, BATCH, STEPS, 1),
        "--checkpoints_total_limit",
        "99",
        *map(str, options),
    ]


def train(name, data, output, *options):
    """One run of a script from a fresh state."""
    reset()
    return load_script(name).main(arguments(name, data, output, *options))


def as_program(name, data, output, *options):
    """The exit code of the same as a program; what it prints is captured."""
    reset()
    with pytest.raises(SystemExit) as stopped:
        script_main(lambda: load_script(name).main(arguments(name, data, output, *options)))
    return stopped.value.code


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A run of each script and its results, cached."""
    runs = {}

    def run(name):
        if name not in runs:
            output = tmp_path_factory.mktemp("finished") / name
            runs[name] = output, train(name, data, output)
        return runs[name]

    return run


def cut_off(output, target, step):
    """A copy of a run that died right after a checkpoint, but for lines of its history."""
    shutil.copytree(output, target)
    for checkpoint in (target / "checkpoints").iterdir():
        if int(checkpoint.name.partition("-")[2]) > step:
            shutil.rmtree(checkpoint)
    (target / "results.json").unlink()
    return target


# ---- what a run leaves


@every_script
def test_a_run_leaves_results_manifest_history_and_model(finished, name):
    output, results = finished(name)
    assert json.loads((output / "results.json").read_text(encoding="utf-8")) == json.loads(json.dumps(results))
    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    assert manifest.items() <= json.loads(json.dumps(results)).items()
    assert {"arguments", "parameters", "processes", "precision", "environment"} <= manifest.keys()
    assert results["steps"] == STEPS
    assert results["seconds"] > 0
    assert results["cpu_seconds"] > 0
    assert [line["step"] for line in tiny.history(output) if "gradient_norm" in line or "penalty" in line] == list(
        range(1, STEPS + 1)
    )
    assert any((output / MODELS.get(name, "model")).rglob("*.safetensors"))


@every_script
def test_the_seed_decides_all(data, finished, tmp_path, name):
    train(name, data, tmp_path / "again")
    assert tiny.compare_runs(tmp_path / "again", finished(name)[0]) == []
    train(name, data, tmp_path / "other", "--seed", 1, "--max_train_steps", 1)
    assert tiny.history(tmp_path / "other")[0] != tiny.history(finished(name)[0])[0]


@every_script
def test_a_dry_run_tries_two_steps_and_writes_nothing(data, finished, tmp_path, name):
    manifest = train(name, data, tmp_path / "dry", "--dry_run")
    assert manifest["parameters"] == finished(name)[1]["parameters"]
    assert manifest["estimated_minutes"] >= 0
    assert not (tmp_path / "dry").exists()


# ---- resuming


@every_script
@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_stopped_run_resumes_exactly(data, finished, tmp_path, name, step):
    """Networks, averages, optimizers, schedules, place, history and final model, bit for bit."""
    output = cut_off(finished(name)[0], tmp_path / "run", step)
    results = train(name, data, output)
    assert tiny.compare_runs(output, finished(name)[0]) == []
    assert results["steps"] == STEPS


@with_accumulation
def test_a_run_that_dies_within_a_step_resumes_exactly(data, tmp_path, name):
    """Half of the gradient of a step has been summed."""
    options = ["--gradient_accumulation_steps", 2, "--train_batch_size", 4, "--checkpointing_steps", 2]

    def die():
        raise OSError("no space left on device")

    train(name, data, tmp_path / "full", *options)
    with pytest.raises(OSError, match="no space"), InForward(6, die, NETWORKS[name]):
        train(name, data, tmp_path / "run", *options)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["checkpoint-2"]
    assert not (tmp_path / "run" / "results.json").exists()
    train(name, data, tmp_path / "run", *options)
    assert tiny.compare_runs(tmp_path / "run", tmp_path / "full") == []


@every_script
def test_control_c_saves_a_checkpoint_and_exits_with_one_line(data, finished, tmp_path, name, capsys):
    """The passes of a GAN's step are several: the third of its discriminator falls into the first or second step."""
    output = tmp_path / "run"
    with InForward(3, lambda: os.kill(os.getpid(), signal.SIGINT), NETWORKS[name]):
        assert as_program(name, data, output, "--checkpointing_steps", 99) == 130
    (saved,) = (output / "checkpoints").iterdir()
    assert str(saved) in capsys.readouterr().err.splitlines()[-1]
    assert not (output / "results.json").exists()
    train(name, data, output)
    assert tiny.compare_runs(output, finished(name)[0]) == []


@every_script
def test_the_folder_of_another_run_is_refused(data, finished, tmp_path, name):
    """With the arguments that differ, also by a dry run; what may change goes on."""
    output = shutil.copytree(finished(name)[0], tmp_path / "run")
    before = (output / "manifest.json").read_text(encoding="utf-8")
    for options in (["--seed", 1], ["--seed", 1, "--dry_run"]):
        with pytest.raises(ValueError, match=r"--seed 0 \(now 1\)"):
            train(name, data, output, *options)
    assert (output / "manifest.json").read_text(encoding="utf-8") == before
    assert train(name, data, output, "--max_train_steps", STEPS + 1)["steps"] == STEPS + 1


# ---- errors


@every_script
@pytest.mark.parametrize("options", [["--no_such_argument", "2"], ["--preset", "no_such_preset"]])
def test_unknown_names_are_usage_messages(data, tmp_path, name, options, capsys):
    with pytest.raises(SystemExit) as stopped:
        train(name, data, tmp_path / "run", *options)
    assert stopped.value.code == 2
    assert "no_such" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@every_script
@pytest.mark.parametrize("path", ["./nowhere", "no/where/at/all"])
def test_missing_data_raise_without_a_lookup(data, tmp_path, name, path, capsys):
    argument = SOURCES.get(name, "--dataset")
    assert as_program(name, data, tmp_path / "run", argument, path) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert path in line
    assert argument in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "file", "counted"),
    [("train_dgcnn_qa", "questions", "questions"), ("train_dgcnn_triples", "sentences", "sentences")],
)
def test_broken_records_end_the_run_or_are_left_out(data, tmp_path, name, file, counted):
    lines = (data / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()
    broken = tmp_path / "broken.jsonl"
    broken.write_text("\n".join([*lines[:9], "{}", *lines[9:]]), encoding="utf-8")
    options = ["--train", broken, "--dry_run"]
    with pytest.raises(ValueError, match="broken"):
        train(name, data, tmp_path / "run", *options)
    assert train(name, data, tmp_path / "run", *options, "--skip_broken", "True")[counted] == len(lines)


@every_script
@pytest.mark.parametrize("dry", ["False", "True"])
def test_too_little_data_for_a_batch(data, tmp_path, name, dry):
    with pytest.raises(ValueError, match="--train_batch_size"):
        train(name, data, tmp_path / "run", "--train_batch_size", 999, "--dry_run", dry)
    assert not (tmp_path / "run").exists()


@every_script
def test_a_negative_seed_or_time(data, tmp_path, name):
    for argument in ("--seed", "--max_seconds", "--max_cpu_seconds"):
        with pytest.raises(ValueError, match=rf"{argument}.*-1"):
            train(name, data, tmp_path / "run", argument, "-1")
    assert not (tmp_path / "run").exists()


@every_script
def test_a_loss_that_is_not_finite_stops_the_run(data, tmp_path, name):
    constant = [] if name == "train_rsgan" else ["--lr_scheduler", "constant", "--lr_warmup_steps", 0]
    with pytest.raises(FloatingPointError, match=r"step \d.*--learning_rate"):
        train(name, data, tmp_path, *constant, "--learning_rate", "1e30")
    assert not (tmp_path / MODELS.get(name, "model")).exists()


@pytest.mark.parametrize("name", SOURCES)
def test_broken_records_are_left_out_where_that_is_asked_for(data, finished, tmp_path, name):
    """The run is that of the others, to the last bit; else it does not begin, and names the place."""
    for path in data.iterdir():
        if path.is_file():
            lines = path.read_bytes().rstrip(b"\n").split(b"\n")
            (tmp_path / path.name).write_bytes(b"\n".join([*lines[:3], "\u597d".encode("gbk"), *lines[3:]]) + b"\n")
    with pytest.raises(ValueError, match="line 4"):
        train(name, tmp_path, tmp_path / "run")
    with pytest.warns(UserWarning, match=r"1 broken record\(s\).*line 4"):
        train(name, tmp_path, tmp_path / "run", "--skip_broken", "True")
    assert tiny.compare_runs(tmp_path / "run", finished(name)[0]) == []


def test_a_fault_of_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        script_main(lambda: 1 / 0)


def test_out_of_memory_exits_with_advice(capsys):
    def allocate():
        nn.Parameter(nn.Linear(1, 1).weight.new_empty(2**50))

    with pytest.raises(SystemExit) as stopped:
        script_main(allocate)
    assert stopped.value.code == 2
    assert "--train_batch_size" in capsys.readouterr().err

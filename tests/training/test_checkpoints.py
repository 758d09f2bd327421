"""Truncated, changed or incomplete checkpoints are set aside, and the one before is used."""

import json
import pickle
import zipfile

import pytest
import torch
from torch import nn

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")

from diffusers.training_utils import EMAModel

from hf_kexue.training.checkpoints import Checkpoints, checkpoint_fault
from hf_kexue.training.state import History, TrainingState


@pytest.fixture
def run(accelerator, tmp_path):
    """A network after two steps with a checkpoint after each: network, averaged weights, state, checkpoints."""
    torch.manual_seed(0)
    model = nn.Linear(2, 2)
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), 0.1))
    ema, state = EMAModel(model.parameters(), decay=0.5), TrainingState()
    checkpoints = Checkpoints(accelerator, tmp_path / "checkpoints", 2, {"ema": ema, "state": state})
    for number in (1, 2):
        model(torch.ones(1, 2)).square().sum().backward()
        optimizer.step()
        ema.step(model.parameters())
        state.step, state.seconds = number, number / 3
        checkpoints.save(number)
    return model, ema, state, checkpoints


FILES = ["model.safetensors", "optimizer.bin", "random_states_0.pkl", "run.json", "run.safetensors", "files.json"]


def test_all_comes_back(run):
    model, ema, state, checkpoints = run
    held = {key: value.clone() for key, value in model.state_dict().items()}
    averaged = [weight.clone() for weight in ema.shadow_params]
    with torch.no_grad():
        for weight in [*model.parameters(), *ema.shadow_params]:
            weight.zero_()
    ema.optimization_step, state.step, state.seconds = 0, 0, 0.0
    assert checkpoints.resume() == checkpoints.folder / "checkpoint-2"
    torch.testing.assert_close(dict(model.state_dict()), held, rtol=0, atol=0)
    torch.testing.assert_close(ema.shadow_params, averaged, rtol=0, atol=0)
    assert (ema.optimization_step, state.step, state.seconds) == (2, 2, 2 / 3)
    assert sorted(path.name for path in (checkpoints.folder / "checkpoint-2").iterdir()) == sorted(FILES)


@pytest.mark.parametrize("how", ["cut", "gone", "changed"])
@pytest.mark.parametrize("name", FILES)
def test_incomplete_checkpoints_are_set_aside(run, caplog, name, how):
    *_, state, checkpoints = run
    path = checkpoints.folder / "checkpoint-2" / name
    written = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(written[: len(written) // 2])
    else:
        path.write_bytes(written[:-9] + bytes([written[-9] ^ 1]) + written[-8:])
    assert name in checkpoint_fault(path.parent) or (name, how) == (
        "files.json",
        "changed",
    )  # then it blames what it lists
    assert checkpoints.resume() == checkpoints.folder / "checkpoint-1"
    assert state.step == 1
    assert "checkpoint-2 is not complete" in caplog.text
    assert sorted(found.name for found in checkpoints.folder.iterdir()) == ["broken-2", "checkpoint-1"]
    checkpoints.save(2)
    assert checkpoint_fault(checkpoints.folder / "checkpoint-2") is None


def test_without_a_complete_checkpoint_a_run_starts_anew(run):
    *_, state, checkpoints = run
    for path in checkpoints.all():
        (path / "optimizer.bin").unlink()
    state.step = 0
    assert checkpoints.resume() is None
    assert state.step == 0


def test_nothing_in_a_checkpoint_needs_more_than_weights_only(run):
    """What Accelerate writes as pickle holds numbers alone, and is read with `weights_only`; the rest is no pickle."""
    *_, checkpoints = run
    folder = checkpoints.folder / "checkpoint-2"
    torch.load(folder / "optimizer.bin", weights_only=True)
    pickled = {path.name for path in folder.iterdir() if zipfile.is_zipfile(path)}
    assert pickled == {"optimizer.bin", "random_states_0.pkl"}
    json.loads((folder / "run.json").read_text())


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("name", ["optimizer.bin", "random_states_0.pkl", "custom_checkpoint_0.pkl"])
def test_a_pickle_that_runs_something_does_not_run(run, tmp_path, name):
    """Whoever can write a checkpoint can write its list too, so that the list does not protect."""
    *_, checkpoints = run
    folder, trace = checkpoints.folder / "checkpoint-2", tmp_path / "trace"
    torch.save(Evil(str(trace)), folder / name)
    listed = json.loads((folder / "files.json").read_text())
    (folder / "files.json").write_text(json.dumps({key: value for key, value in listed.items() if key != name}))
    if name == "random_states_0.pkl":  # left out where it cannot be read: each step seeds its own
        checkpoints.resume()
    else:
        with pytest.raises((pickle.UnpicklingError, RuntimeError), match=r"(?i)weights.only|custom checkpoints"):
            checkpoints.resume()
    assert not trace.exists()


def test_batches_of_another_size_keep_the_place_in_the_epoch():
    state = TrainingState(batch=6)
    state.set_micro_batch(4)  # the first time: nothing to convert
    assert state.batch == 6
    state.set_micro_batch(8)
    assert (state.batch, state.micro_batch) == (3, 8)
    state.set_micro_batch(4)
    assert state.batch == 6
    state.set_micro_batch(5)
    assert state.batch == 4  # 20 of the 24 samples: four are seen again


def test_a_history_is_cut_in_one_piece(accelerator, tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps({"step": step, "loss": 0.5}) + "\n" for step in (1, 2, 3)) + '{"step": 4, "lo')
    History(accelerator, path, resumed_at=2)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]
    assert [found.name for found in tmp_path.glob("history*")] == ["history.jsonl"]

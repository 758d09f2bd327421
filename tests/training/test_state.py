"""State of a training run: atomic checkpoints, histories, EMA weights."""

import json
import math

import pytest
import torch
from torch import nn

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")

from diffusers.training_utils import EMAModel
from PIL import Image

from hf_kexue.inference.grids import class_sheet, image_grid
from hf_kexue.training.environment import PACKAGES, environment, fastest_precision, portable_command
from hf_kexue.training.state import Checkpoints, History, TrainingState, check_finite, ema_weights


@pytest.fixture
def run(accelerator, tmp_path):
    """Network, state and checkpoints of a run."""
    torch.manual_seed(0)
    model = nn.Linear(2, 2)
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), 0.1))
    state = TrainingState()
    checkpoints = Checkpoints(accelerator, tmp_path / "checkpoints", total_limit=2, states={"state": state})
    return model, optimizer, state, checkpoints


def step(model, optimizer, state):
    model(torch.ones(1, 2)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    state.step += 1


# ---- checkpoints


def test_nothing_to_resume(run):
    *_, state, checkpoints = run
    assert checkpoints.all() == []
    assert checkpoints.resume() is None
    assert state == TrainingState()


def test_a_checkpoint_restores_weights_optimizer_state_and_generators(run):
    model, optimizer, state, checkpoints = run
    step(model, optimizer, state)
    state.epoch, state.batch, state.seconds, state.samples = 2, 3, 4.5, 6
    saved = checkpoints.save(1)
    assert saved == checkpoints.folder / "checkpoint-1"
    expected = torch.rand(3)
    step(model, optimizer, state)
    weights, went_on = model.weight.detach().clone(), TrainingState(**state.state_dict())

    state.load_state_dict(TrainingState().state_dict())
    torch.manual_seed(99)
    assert checkpoints.resume() == saved
    assert state == TrainingState(1, 2, 3, 4.5, samples=6)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    step(model, optimizer, state)
    torch.testing.assert_close(model.weight.detach(), weights, rtol=0, atol=0)
    assert state == went_on


def test_only_the_newest_are_kept_in_the_order_of_their_steps(run):
    *_, checkpoints = run
    for number in (8, 9, 10, 100):
        checkpoints.save(number)
    assert [path.name for path in checkpoints.all()] == ["checkpoint-10", "checkpoint-100"]
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["checkpoint-10", "checkpoint-100"]


def test_saving_a_step_again_replaces_it(run):
    model, optimizer, state, checkpoints = run
    checkpoints.save(1)
    step(model, optimizer, state)
    checkpoints.save(1)
    weights = model.weight.detach().clone()
    step(model, optimizer, state)
    checkpoints.resume()
    torch.testing.assert_close(model.weight.detach(), weights, rtol=0, atol=0)


def test_an_unfinished_checkpoint_is_no_checkpoint(run):
    """What a run leaves that dies while it writes: the folder still bears its working name."""
    model, optimizer, state, checkpoints = run
    step(model, optimizer, state)
    good = checkpoints.save(1)
    cut_off = checkpoints.folder / "unfinished-2"
    cut_off.mkdir()
    (cut_off / "model.safetensors").write_bytes(b"half of it")
    (checkpoints.folder / "checkpoint-notes").mkdir()  # somebody's own
    assert checkpoints.all() == [good]
    assert checkpoints.resume() == good
    assert state.step == 1
    assert not cut_off.exists()
    assert (checkpoints.folder / "checkpoint-notes").is_dir()


def test_a_run_that_dies_while_writing_leaves_no_checkpoint(run):
    *_, checkpoints = run

    class Unsaveable:
        def state_dict(self):
            raise OSError("no space left on device")

        def load_state_dict(self, state):
            pass

    checkpoints.states["unsaveable"] = Unsaveable()
    with pytest.raises(OSError, match="no space left"):
        checkpoints.save(5)
    assert (checkpoints.folder / "unfinished-5").is_dir()
    assert checkpoints.all() == []
    assert checkpoints.resume() is None
    assert list(checkpoints.folder.iterdir()) == []


# ---- figures that are no numbers


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_check_finite_says_where_and_what_to_do(run, value):
    *_, checkpoints = run
    with pytest.raises(FloatingPointError) as caught:
        check_finite(value, "The loss", 7, checkpoints, "no", 1e-3)
    message = str(caught.value)
    assert "step 7" in message
    assert "checkpoint: none yet" in message
    assert "--learning_rate (now 0.001)" in message
    assert "fp16" not in message
    saved = checkpoints.save(5)
    with pytest.raises(FloatingPointError) as caught:
        check_finite(value, "The gradient", 7, checkpoints, "fp16", 1e-3)
    assert f"Last good checkpoint: {saved}." in str(caught.value)
    assert "--mixed_precision bf16" in str(caught.value)


@pytest.mark.parametrize("value", [0.0, -1.5, 3.4e38])
def test_check_finite_lets_numbers_pass(run, value):
    check_finite(value, "The loss", 7, run[-1], "no", 1e-3)


# ---- history


def test_history_is_one_object_a_line(accelerator, tmp_path):
    history = History(accelerator, tmp_path / "history.jsonl")
    history.log(1, loss=0.5, images=32)
    history.log(2, loss=0.25, images=64)
    History(accelerator, tmp_path / "history.jsonl").log(3, validation_loss=0.125)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": 1, "loss": 0.5, "images": 32},
        {"step": 2, "loss": 0.25, "images": 64},
        {"step": 3, "validation_loss": 0.125},
    ]


def test_history_forgets_what_came_after_the_checkpoint(accelerator, tmp_path):
    """A run that is cut off has logged steps that the resumed one repeats; its last line may be half a line."""
    path = tmp_path / "history.jsonl"
    path.write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n{"step": 3, "loss": 0.3}\n{"step": 4, "lo')
    History(accelerator, path, resumed_at=2).log(3, loss=0.25)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.4}, {"step": 3, "loss": 0.25}
    ]  # fmt: skip


# ---- EMA weights


@pytest.fixture
def averaged():
    """A model at 5 with an average at 2."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    ema = EMAModel(model.parameters(), decay=0.9)
    nn.init.constant_(model.weight, 5.0)
    return model, ema


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_ema_weights_are_swapped_in_and_out(averaged, training):
    model, ema = averaged
    model.train(training)
    with ema_weights(ema, model) as lent:
        assert lent is model
        assert float(model.weight) == 2.0
        assert not model.training
    assert float(model.weight) == 5.0
    assert model.training == training


def test_ema_weights_come_back_after_an_exception(averaged):
    model, ema = averaged
    with pytest.raises(KeyboardInterrupt), ema_weights(ema, model):
        raise KeyboardInterrupt
    assert float(model.weight) == 5.0
    assert model.training
    with ema_weights(ema, model):  # and can be lent again
        assert float(model.weight) == 2.0
    assert float(ema.shadow_params[0]) == 2.0


# ---- device and pictures


def test_fastest_precision_is_measured():
    assert fastest_precision(torch.device("cpu")) in {"bf16", "no"}
    assert fastest_precision() in {"bf16", "no"}


def test_environment_can_be_read_again():
    facts = json.loads(json.dumps(environment(torch.device("cpu"))))
    assert set(PACKAGES) <= facts.keys()
    assert facts["torch"].startswith(torch.__version__.split("+")[0])
    assert facts["threads"] == torch.get_num_threads()
    assert facts["device"]
    assert not facts["command"].startswith("/")


def test_command_names_no_folder_outside():
    """Hub ids and what lies in the working folder stay as they are."""
    words = [
        "/home/me/hf_kexue/training/train.py",
        "--train",
        "/data/a.jsonl",
        "../sets/b",
        "owner/name",
        "--output_dir",
    ]
    assert portable_command([*words, "outputs/x"]) == "train.py --train a.jsonl b owner/name --output_dir outputs/x"
    assert portable_command(["a.py", "--rows", "two words", "one"]) == "a.py --rows 'two words' one"


def test_image_grid_places_pictures_row_by_row():
    colours = ["red", "lime", "blue", "yellow", "cyan"]
    grid = image_grid([Image.new("RGB", (2, 3), colour) for colour in colours], columns=2)
    assert grid.size == (4, 9)
    expected = [["red", "lime"], ["blue", "yellow"], ["cyan", "white"]]
    for row, names in enumerate(expected):
        for column, name in enumerate(names):
            cell = grid.crop((2 * column, 3 * row, 2 * column + 2, 3 * row + 3))
            assert cell.tobytes() == Image.new("RGB", (2, 3), name).tobytes()


def test_class_sheet_has_two_blocks():
    """Three classes of two pictures: two rows at the left, 16 pixels, one row at the right."""
    colours = ["red", "lime", "blue", "yellow", "cyan", "black"]
    sheet = class_sheet([Image.new("RGB", (2, 3), colour) for colour in colours], per_class=2)
    assert sheet.size == (4 + 16 + 4, 6)
    places = [(0, 0), (2, 0), (0, 3), (2, 3), (20, 0), (22, 0)]
    pictures = [Image.new("RGB", (1, 1), colour).getpixel((0, 0)) for colour in colours]
    assert [sheet.getpixel(place) for place in places] == pictures
    assert sheet.getpixel((4, 0)) == sheet.getpixel((20, 3)) == (255, 255, 255)


@pytest.mark.parametrize(("count", "columns"), [(0, 2), (3, 0)])
def test_a_grid_without_images_raises(count, columns):
    with pytest.raises(ValueError, match=f"{count} and {columns}"):
        image_grid([Image.new("RGB", (2, 2))] * count, columns)

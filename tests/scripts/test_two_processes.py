"""The training scripts on two processes (torchrun, gloo, CPU): they do what one does with batches of twice the size,
resume, change to one process and back, and share out streams.

One launch does all that needs two processes; the tests look at what it leaves.
"""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("rjieba", reason="rjieba is not installed")
pytest.importorskip("nltk", reason="the extra hf-kexue[metrics] is not installed")

import datasets
from whole_runs import TRAINING, load_script, reset

from hf_kexue.training.checkpoints import checkpoint_fault

BENCHMARKS = TRAINING.parent / "benchmarks"
if not (BENCHMARKS / "tiny_runs.py").is_file():
    pytest.skip("training/ and benchmarks/ belong to the repository, not to the package", allow_module_level=True)
import tiny_runs as tiny  # noqa: E402

pytestmark = [pytest.mark.usefixtures("own_cache"), pytest.mark.slow]

STEPS, SAVE_EVERY, STOP = 6, 2, 4
RESUMED = ("train_simple_diffusion", "train_dgcnn_triples", "train_rsgan")  # one of each loop
SPLIT = ("pretrain_dgcnn", "train_simple_diffusion")  # one of each loop that knows FSDP2
FSDP = {
    "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_AUTO_WRAP_POLICY": "NO_WRAP", "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
}  # fmt: skip
LORA = ["--lora_rank", "2", "--sample_steps", "0"]
GREYS = list(range(0, 250, 10))


def command(script, data, output, batch):
    measure = ["--distance_steps", "3", "--distance_images", "4"] if script == "train_rsgan" else []
    argv = tiny.arguments(script, data, output, batch, STEPS, SAVE_EVERY)
    return [*argv, *measure, *tiny.WITHOUT_CHANCE_INSIDE[script]]


def grey_png(grey):
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), grey, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def write_parquet(folder):
    """25 pictures, each of a grey of its own, in a shard of 20 and one of 5."""
    folder.mkdir()
    for number, greys in enumerate((GREYS[:20], GREYS[20:])):
        rows = datasets.Dataset.from_dict({"image": [{"bytes": grey_png(grey), "path": None} for grey in greys]})
        rows.cast_column("image", datasets.Image()).to_parquet(folder / f"train-{number:05}-of-00002.parquet")
    return folder


def write_webdataset(folder):
    """The same in three tar files, which two processes cannot share out whole."""
    folder.mkdir()
    for number in range(3):
        with tarfile.open(folder / f"train-{number:05}.tar", "w") as shard:
            for place, grey in enumerate(GREYS[number::3]):
                info, data = tarfile.TarInfo(f"{number}-{place:05}.png"), grey_png(grey)
                info.size = len(data)
                shard.addfile(info, io.BytesIO(data))
    return folder


def cut_off(output, target):
    """A copy of a run that stopped right after the checkpoint of step STOP."""
    shutil.copytree(output, target)
    shutil.rmtree(target / "checkpoints" / f"checkpoint-{STEPS}")
    (target / "results.json").unlink()
    return target


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, own_cache):
    """Runs of all kinds: `one-<script>` in this process, the others on two."""
    folder = tmp_path_factory.mktemp("runs")
    tiny.write_data(folder)
    for script in tiny.SCRIPTS:
        reset()
        load_script(script).main(command(script, folder, folder / f"one-{script}", 8))
    jobs = [
        {"script": script, "argv": command(script, folder, folder / f"two-{script}", 4)} for script in tiny.SCRIPTS
    ]
    if find_spec("peft"):
        lora = [*LORA, "--init_from", str(folder / "one-train_simple_diffusion" / "pipeline")]
        reset()
        load_script(RESUMED[0]).main([*command(RESUMED[0], folder, folder / "one-lora", 8), *lora])
        jobs.append({"script": RESUMED[0], "argv": [*command(RESUMED[0], folder, folder / "two-lora", 4), *lora]})
    for script in RESUMED:
        cut_off(folder / f"one-{script}", folder / f"one-two-{script}")
        jobs.append({"script": script, "argv": command(script, folder, folder / f"one-two-{script}", 4)})
    dropout = [*command(RESUMED[0], folder, folder / "two-dropout", 4), "--dropout", "0.2"]
    jobs.append({"script": RESUMED[0], "argv": dropout})
    again = [*command(RESUMED[0], folder, folder / "two-two-dropout", 4), "--dropout", "0.2"]
    jobs.append({"script": RESUMED[0], "argv": again, "cut_off": ["two-dropout", "two-two-dropout", STEPS]})
    for script in SPLIT:
        jobs.append({"script": script, "argv": command(script, folder, folder / f"fsdp-{script}", 4), "fsdp": FSDP})
    argv = command(SPLIT[0], folder, folder / "fsdp-again", 4)
    jobs.append({"script": SPLIT[0], "argv": argv, "fsdp": FSDP, "cut_off": [f"fsdp-{SPLIT[0]}", "fsdp-again", STEPS]})
    parquet = write_parquet(folder / "parquet")
    streamed = [
        *tiny.arguments(RESUMED[0], folder, folder / "streamed", 4, STEPS, SAVE_EVERY),
        "--dataset",
        str(parquet),
    ]
    jobs.append({"script": RESUMED[0], "argv": [*streamed, "--streaming", "True", "--validation_split", "none"]})
    jobs.append({"stream": str(parquet), "epochs": 3})
    jobs.append({"stream": str(write_webdataset(folder / "webdataset")), "epochs": 3})
    (folder / "jobs.json").write_text(json.dumps([job | {"port": free_port()} for job in jobs]))
    launched = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
         str(Path(__file__).with_name("two_processes.py")), str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert launched.returncode == 0, launched.stderr[-5000:]
    return folder


# ---- figures


def assert_alike(one, other):
    """Losses to 1e-5; the rest, where small numbers of large ones are left or squared, to 1e-3."""
    lines, others = tiny.history(one), tiny.history(other)
    assert [line.keys() for line in lines] == [line.keys() for line in others]
    for line, other_line in zip(lines, others, strict=True):
        for key in line:
            tolerance = 1e-5 if "loss" in key else 1e-3
            assert other_line[key] == pytest.approx(line[key], rel=tolerance, abs=tolerance), (line["step"], key)


@pytest.mark.parametrize("script", tiny.SCRIPTS)
def test_two_processes_do_what_one_does_with_twice_the_batch(runs, script):
    """Every line: losses, gradients, rates, samples, validation, kernel distance; and the averaged weights."""
    one, two = runs / f"one-{script}", runs / f"two-{script}"
    assert_alike(one, two)
    results = json.loads((two / "results.json").read_text())
    assert (results["processes"], results["steps"]) == (2, STEPS)
    assert results.keys() == json.loads((one / "results.json").read_text()).keys()
    averaged, others = (tiny.saved_state(tiny.last_checkpoint(run))["run.safetensors"] for run in (one, two))
    apart = max(float((averaged[key] - others[key]).abs().max()) for key in averaged)
    # Adam divides a gradient by its own size: one that is zero but for rounding moves a weight by the whole rate.
    rate = 1e-4 if script == "train_rsgan" else 1e-2
    assert apart <= 2 * rate
    assert len({float(value.abs().sum()) for value in averaged.values()}) > 1


@pytest.mark.skipif(find_spec("peft") is None, reason="the extra hf-kexue[lora] is not installed")
def test_adapters_on_two_processes(runs):
    assert_alike(runs / "one-lora", runs / "two-lora")
    files = ("lora/adapter_model.safetensors", "pipeline/unet/diffusion_pytorch_model.safetensors")
    for file in files:
        one, two = (load_file(runs / name / file) for name in ("one-lora", "two-lora"))
        torch.testing.assert_close(two, one, rtol=1e-3, atol=2e-2)  # twice the rate, as above


def test_control_c_saves_one_checkpoint_of_two_processes(tmp_path):
    """Long before the next line of the history; the launcher hands the signal on and adds a traceback of its own."""
    tiny.write_data(tmp_path)
    argv = tiny.arguments("train_dgcnn_triples", tmp_path, tmp_path / "run", 4, 10**6, 10**6)
    argv += ["--logging_steps", "100000", "--validation_steps", "1000000"]
    with (tmp_path / "errors").open("w") as errors:
        launched = subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
             str(TRAINING / "train_dgcnn_triples.py"), *argv],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=errors, stderr=errors, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 240
        while launched.poll() is None and not re.search(r" [1-9]\d*/1000000 ", (tmp_path / "errors").read_text()):
            assert time.monotonic() < deadline, "no step was taken"
            time.sleep(0.2)
        os.killpg(launched.pid, signal.SIGINT)
        assert launched.wait(60)
    (saved,) = (tmp_path / "run" / "checkpoints").iterdir()
    assert (tmp_path / "errors").read_text().count(f"saved {saved}") == 1
    assert checkpoint_fault(saved) is None


@pytest.mark.parametrize("script", RESUMED)
def test_a_run_of_one_process_goes_on_on_two(runs, script):
    assert_alike(runs / f"one-{script}", runs / f"one-two-{script}")


@pytest.mark.parametrize("script", RESUMED)
def test_a_run_of_two_processes_goes_on_on_one(runs, script, tmp_path):
    output = cut_off(runs / f"two-{script}", tmp_path / "run")
    load_script(script).main(command(script, runs, output, 8))
    assert_alike(runs / f"two-{script}", output)


def test_two_processes_resume_to_the_bit(runs):
    """With dropout, which each process draws for itself."""
    assert tiny.compare_runs(runs / "two-dropout", runs / "two-two-dropout") == []
    assert tiny.history(runs / "two-dropout") != tiny.history(runs / "two-train_simple_diffusion")


@pytest.mark.parametrize("script", SPLIT)
def test_weights_split_by_fsdp2_are_the_same_run(runs, script):
    """On CPUs made up as GPUs for Accelerate: the sharding is real, gloo carries it."""
    assert_alike(runs / f"one-{script}", runs / f"fsdp-{script}")
    place = "pipeline/unet/diffusion_pytorch_model" if script == "train_simple_diffusion" else "model/model"
    saved, split = (load_file(runs / f"{kind}-{script}" / f"{place}.safetensors") for kind in ("two", "fsdp"))
    assert saved.keys() == split.keys()
    assert all(saved[key].shape == split[key].shape for key in saved)


def test_a_run_split_by_fsdp2_resumes(runs):
    assert tiny.history(runs / "fsdp-again") == tiny.history(runs / f"fsdp-{SPLIT[0]}")


# ---- streams


def test_a_training_from_a_stream_does_not_wait(runs):
    """Two batches an epoch on one process, five on the other, over three epochs."""
    results = json.loads((runs / "streamed" / "results.json").read_text())
    assert (results["steps"], results["processes"]) == (STEPS, 2)
    state = tiny.saved_state(tiny.last_checkpoint(runs / "streamed"))["run.json"]["state"]
    assert (state["epoch"], state["batch"]) == (2, 2)


@pytest.mark.parametrize(("kind", "from_the_end"), [("parquet", 2), ("webdataset", 1)])
def test_a_stream_is_shared_out(runs, kind, from_the_end):
    """Nobody is given what another has, nor more batches than another, however unequal the shares."""
    number = len(json.loads((runs / "jobs.json").read_text())) - from_the_end
    first, second = (json.loads((runs / f"seen-{number}-{rank}.json").read_text()) for rank in range(2))
    ever = set()
    for mine, others in zip(first, second, strict=True):
        assert len(mine) == len(others) > 0
        seen = [grey for batch in mine + others for grey in batch]
        assert len(seen) == len(set(seen))
        assert set(seen) <= set(GREYS)
        ever |= set(seen)
        if kind == "webdataset":  # shares that differ by one picture at most
            assert len(seen) >= len(GREYS) - 1
    assert len(first) == 3
    assert len({str(epoch) for epoch in first}) == 3  # another order each time
    assert len(ever) >= (len(GREYS) - 1 if kind == "webdataset" else 10)

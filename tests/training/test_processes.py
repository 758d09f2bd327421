"""Warnings and errors if fewer processes run than requested, or without sharding."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")

from accelerate import Accelerator
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.state import AcceleratorState, GradientState

from hf_kexue.training import processes
from hf_kexue.training.processes import broadcast_from_main, gather, mean_over_processes, synchronized

CONFIGS = Path(__file__).resolve().parents[2] / "training" / "accelerate_configs"
LAUNCHED = {"ACCELERATE_MIXED_PRECISION": "no"}
SIMPLE = LAUNCHED | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}  # of `accelerate launch --num_processes 2`
NAMES = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK", "ACCELERATE_MIXED_PRECISION",
         "ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")  # fmt: skip


@pytest.fixture
def accelerator(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    yield Accelerator(cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, None),
        (LAUNCHED, None),
        ({"MASTER_ADDR": "127.0.0.1"}, None),  # set by the user
        (SIMPLE, "--multi_gpu"),
        (LAUNCHED | {"ACCELERATE_USE_FSDP": "true"}, "FSDP"),
        (LAUNCHED | {"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed"),
    ],
    ids=["alone", "launched alone", "an address", "two requested", "FSDP", "DeepSpeed"],
)
def test_fewer_processes_than_requested_are_reported(accelerator, monkeypatch, environment, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    warning = processes.check(accelerator)
    assert warning is None if message is None else message in warning


def test_processes_without_a_group_raise(accelerator, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match=r"2 processes .*cpu"):
        processes.check(accelerator)


def test_one_process_needs_no_group(accelerator):
    assert mean_over_processes(accelerator, [0.1, 0.2]) == [0.1, 0.2]
    assert broadcast_from_main(accelerator, {"a": 1}) == {"a": 1}
    assert list(synchronized(accelerator, iter("abc"))) == ["a", "b", "c"]
    values = torch.ones(3)
    assert gather(accelerator, values) is values


@pytest.mark.skipif(not CONFIGS.is_dir(), reason="training/ belongs to the repository, not to the package")
@pytest.mark.parametrize("name", ["ddp", "fsdp2", "deepspeed_zero2"])
def test_the_launcher_reads_our_configurations(name):
    path = CONFIGS / f"{name}.yaml"
    found = load_config_from_file(str(path))
    assert found.num_processes == 2
    assert found.distributed_type == {"ddp": "MULTI_GPU", "fsdp2": "FSDP", "deepspeed_zero2": "DEEPSPEED"}[name]
    assert not found.use_cpu  # with it accelerate launch starts one process
    assert "Not tried" in path.read_text()
    assert {path.stem for path in CONFIGS.iterdir()} == {"ddp", "fsdp2", "deepspeed_zero2"}

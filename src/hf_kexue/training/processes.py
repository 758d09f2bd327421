"""Distributed runs: join the processes, draw as one process would, stop together.

    accelerator = start(args)                          # of training.setup: calls `options` and `check`
    mean_over_processes(accelerator, [0.5, 2.0])       # means over all processes, for logging
    for batch in synchronized(accelerator, stream):    # the same number of batches on every process

Two processes with B samples each are equivalent to one with 2 B: Accelerate shards the loader so that the samples of a
step are the same, and every rank draws the noise of the global batch and keeps its slice. Only dropout inside a
network is drawn per process.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import torch

TIMEOUT = timedelta(hours=2)  # for processes that wait while the main one draws and scores samples


def options() -> dict[str, Any]:
    """Keyword arguments of `Accelerator` for distributed runs."""
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    return {
        # Without a GPU Accelerate forms a process group only with cpu=True; else each process would train alone.
        "cpu": _world_size() > 1 and not torch.accelerator.is_available(),
        # Schedules count optimizer steps, independent of the number of processes.
        "step_scheduler_with_optimizer": False,
        # Buffers are functions of the weights (spectral norm), so they need no broadcast.
        "kwargs_handlers": [
            InitProcessGroupKwargs(timeout=TIMEOUT), DistributedDataParallelKwargs(broadcast_buffers=False),
        ],
    }  # fmt: skip


def check(accelerator: Any) -> str | None:
    """A warning if fewer processes run than requested, or without FSDP or DeepSpeed.

    On a machine without GPUs `accelerate launch --num_processes 2` silently starts one process, and ignores FSDP and
    DeepSpeed; only the environment variables of the rendezvous remain.

    Raises:
        RuntimeError: if there are several processes without a process group.
    """
    for name in ("FSDP", "DeepSpeed"):
        requested = os.environ.get(f"ACCELERATE_USE_{name.upper()}", "false").lower() == "true"
        if requested and name.upper() not in str(accelerator.distributed_type):
            return f"{name} was requested, but Accelerate ignores it on {accelerator.device.type}."
    if accelerator.num_processes > 1:
        return None
    if _world_size() > 1:
        raise RuntimeError(
            f"{_world_size()} processes were started, but on {accelerator.device} Accelerate cannot form a group, and "
            "each would train alone into the same folder. Start one."
        )
    if {"MASTER_ADDR", "ACCELERATE_MIXED_PRECISION"} <= os.environ.keys() and "LOCAL_RANK" not in os.environ:
        return (
            "accelerate launch was asked for several processes, but started one: without GPUs it also needs "
            "--multi_gpu, or training/accelerate_configs/ddp.yaml. This run continues with one."
        )
    return None


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def mean_over_processes(accelerator: Any, values: list[float]) -> list[float]:
    """The mean of each value over the processes; a collective."""
    if accelerator.num_processes == 1 or not values:
        return values
    return accelerator.reduce(torch.tensor(values, dtype=torch.float64, device=accelerator.device), "mean").tolist()


def broadcast_from_main(accelerator: Any, value: Any) -> Any:
    """Broadcast the value of the main process, so that all processes decide on exactly the same value."""
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0] if accelerator.num_processes > 1 else value


def gather(accelerator: Any, values: torch.Tensor) -> torch.Tensor:
    """Concatenate the values (n,) of all processes; n may differ."""
    from accelerate.utils import gather_object

    return torch.cat(gather_object([values])) if accelerator.num_processes > 1 else values


def synchronized(accelerator: Any, batches: Iterable[Any]) -> Iterator[Any]:
    """The batches of this process until any process runs out: shards of a stream may be unequal, and the larger ones
    would wait for a gradient forever. Their remaining batches are dropped."""
    if accelerator.num_processes == 1:
        yield from batches
        return
    iterator = iter(batches)
    while True:
        batch = next(iterator, None)
        if mean_over_processes(accelerator, [float(batch is not None)]) != [1.0]:
            return
        yield batch


def finish(accelerator: Any) -> None:
    """End a run on all processes together, since the main one may still be saving.

    A gloo group is never destroyed: its destructor in torch joins a thread that may wait for the interpreter lock,
    which the destructor holds. A leaked reference keeps the group until the process ends.
    """
    accelerator.wait_for_everyone()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(torch.distributed.group.WORLD))
    accelerator.end_training()

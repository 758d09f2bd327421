"""A run on several processes: that they find each other, draw as one process would, and stop together.

    accelerator = start(args)                          # of training.setup: calls `options` and `check`
    mean_over_processes(accelerator, [0.5, 2.0])       # what the run as a whole logs
    for batch in synchronized(accelerator, stream):    # as many batches on every process

Two processes with B samples each do what one does with 2 B: random access is dealt out by Accelerate so that the
samples of a step are the same, and every rank draws the noise of the global batch and keeps its slice. Dropout inside
a network is drawn by each process on its own.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import torch

TIMEOUT = timedelta(hours=2)  # of processes that wait while the first one draws samples and measures them


def options() -> dict[str, Any]:
    """Keyword arguments of an `Accelerator` that concern processes."""
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    return {
        # Without a GPU Accelerate forms a group only when told to use the CPU; else each process would train alone.
        "cpu": _world_size() > 1 and not torch.accelerator.is_available(),
        # The schedules count optimizer steps, whatever the number of processes.
        "step_scheduler_with_optimizer": False,
        # Buffers follow from the weights (spectral norm), so they need not be sent.
        "kwargs_handlers": [
            InitProcessGroupKwargs(timeout=TIMEOUT), DistributedDataParallelKwargs(broadcast_buffers=False),
        ],
    }  # fmt: skip


def check(accelerator: Any) -> str | None:
    """A warning if a launcher was asked for more than there is.

    `accelerate launch --num_processes 2` starts one process on a machine without GPUs and says nothing; all that is
    left of the 2 is an address to meet at. FSDP and DeepSpeed it leaves out there.

    Raises:
        RuntimeError: if there are several processes that know nothing of each other.
    """
    for name in ("FSDP", "DeepSpeed"):
        requested = os.environ.get(f"ACCELERATE_USE_{name.upper()}", "false").lower() == "true"
        if requested and name.upper() not in str(accelerator.distributed_type):
            return f"accelerate launch was asked for {name}, which Accelerate leaves out on {accelerator.device.type}."
    if accelerator.num_processes > 1:
        return None
    if _world_size() > 1:
        raise RuntimeError(
            f"A launcher has started {_world_size()} processes, but on {accelerator.device} Accelerate cannot join "
            "them, and each would train alone into the same folder. Start one."
        )
    if {"MASTER_ADDR", "ACCELERATE_MIXED_PRECISION"} <= os.environ.keys() and "LOCAL_RANK" not in os.environ:
        return (
            "accelerate launch was asked for several processes, but has started one: without GPUs it wants "
            "--multi_gpu too, or training/accelerate_configs/ddp.yaml. This run goes on with one."
        )
    return None


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def mean_over_processes(accelerator: Any, values: list[float]) -> list[float]:
    """The mean of each value over the processes, all of which must call this."""
    if accelerator.num_processes == 1 or not values:
        return values
    return accelerator.reduce(torch.tensor(values, dtype=torch.float64, device=accelerator.device), "mean").tolist()


def broadcast_from_main(accelerator: Any, value: Any) -> Any:
    """The value of the main process, on all of them; so that what they decide on is the same to the last bit."""
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0] if accelerator.num_processes > 1 else value


def gather(accelerator: Any, values: torch.Tensor) -> torch.Tensor:
    """The values (n,) of all processes, which may have different numbers of them, one after the other."""
    from accelerate.utils import gather_object

    return torch.cat(gather_object([values])) if accelerator.num_processes > 1 else values


def synchronized(accelerator: Any, batches: Iterable[Any]) -> Iterator[Any]:
    """The batches of this process for as long as every process has one: shares of a stream may be unequal, and the
    larger ones must not wait for a gradient that never comes. What is left over of them is dropped."""
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
    """End a run on all processes at once.

    Not each by itself: the first one still saves what has been trained. The group of a run on CPUs is never destroyed:
    torch's destructor of a gloo group waits for a thread that may wait for the interpreter, which waits for the
    destructor. One more reference, which nobody returns, keeps it until the process ends.
    """
    accelerator.wait_for_everyone()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(torch.distributed.group.WORLD))
    accelerator.end_training()

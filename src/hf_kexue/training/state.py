"""State of a training run: progress, seeds of a step, history, EMA weights."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from diffusers.training_utils import EMAModel
from PIL import Image
from torch import nn

from ..data.whole_files import write_whole
from .checkpoints import Checkpoints
from .processes import mean_over_processes


def step_seed(seed: int, epoch: int, batch: int, process: int | None = None) -> int:
    """The seed of a step, from its place in the run, so that resuming repeats its draws.

    Args:
        seed: of the run, at least 0.
        epoch: from 0.
        batch: of the epoch, from 0.
        process: for draws that differ by process; None: for draws that all share.

    Returns:
        In [0, 2**63), unrelated for neighbouring places (numpy's `SeedSequence`).
    """
    place = [seed, epoch, batch, 0 if process is None else process + 1]
    return int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]) >> 1


@dataclass
class TrainingState:
    """Progress of a run; saved with each checkpoint.

    Args:
        step: optimizer steps done.
        epoch: epochs begun.
        batch: micro batches of this epoch done.
        seconds: time spent in training steps so far, over all sessions.
        cpu_seconds: the same, as the processor time of all threads of the main process; limited by
            `--max_cpu_seconds`.
        samples: images or questions seen, over all processes.
        wall_seconds: since the first batch, over all sessions, including data loading and validation; limited by
            `--max_seconds`.
        micro_batch: samples of a micro batch, over all processes; 0 before the first.
        running: figures of the batches since the last line of the history, by name.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    samples: int = 0
    wall_seconds: float = 0.0
    micro_batch: int = 0
    running: list[dict[str, float]] = field(default_factory=list)

    def settle(self, accelerator: Any) -> None:
        """Average the running figures over the processes, since a checkpoint holds those of one."""
        means = iter(mean_over_processes(accelerator, [value for row in self.running for value in row.values()]))
        self.running = [{key: next(means) for key in row} for row in self.running]

    def set_micro_batch(self, samples: int) -> None:
        """Set the samples of a micro batch, which differ from those of the checkpoint after a change of the number of
        processes or of --train_batch_size; the place in the epoch is kept."""
        if self.micro_batch:
            self.batch = self.batch * self.micro_batch // samples
        self.micro_batch = samples

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for key, value in state.items():
            setattr(self, key, value)


class History:
    """Log figures of a run by step, to the trackers of the `Accelerator` and as JSON lines to `history.jsonl`.

    Args:
        accelerator: the run's `Accelerator`.
        path: of `history.jsonl`; lines are appended.
        resumed_at: step of the checkpoint that the run resumes from. Lines of later steps, of an interrupted session,
            are removed, since they will be written again.
        read_only: write nothing.
    """

    def __init__(self, accelerator: Any, path: Path, resumed_at: int | None = None, read_only: bool = False) -> None:
        self.accelerator = accelerator
        self.path = path
        self.read_only = read_only
        if read_only:
            return
        if resumed_at is not None and accelerator.is_main_process and path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            complete = [line for line in lines if line.endswith("}\n")]  # the last line may be truncated
            kept = [line for line in complete if json.loads(line)["step"] <= resumed_at]
            write_whole(path, "".join(kept))

    def mean(self, values: list[float]) -> float:
        """The mean over values and processes; a collective."""
        return mean_over_processes(self.accelerator, [sum(values) / len(values)])[0]

    def log(self, step: int, **figures: float) -> None:
        """Append figures of a step; every process may call it, the main one writes."""
        if self.read_only:
            return
        self.accelerator.log(figures, step=step)
        if self.accelerator.is_main_process:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **figures}) + "\n")

    def log_image(self, step: int, name: str, image: Image.Image) -> None:
        """Log a picture to TensorBoard; other trackers get none."""
        for tracker in self.accelerator.trackers if not self.read_only else ():
            if tracker.name == "tensorboard":
                pixels = np.asarray(image.convert("RGB"))[None]  # (1, H, W, 3)
                tracker.log_images({name: pixels}, step=step, dataformats="NHWC")


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that require a gradient: the others are neither averaged nor kept as the best."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@contextmanager
def ema_weights(ema: EMAModel, model: nn.Module) -> Iterator[nn.Module]:
    """Context manager: the model in evaluation mode with its EMA weights; weights and mode are restored at the end."""
    was_training = model.training
    parameters = trainable(model)
    ema.store(parameters)
    ema.copy_to(parameters)
    model.eval()
    try:
        yield model
    finally:
        model.train(was_training)
        ema.restore(parameters)


def set_learning_rate(optimizer: Any, lr_scheduler: Any, rate: float) -> None:
    """Set the peak of the schedule from the next step on: after resuming, the argument overrides the checkpoint.

    Args:
        optimizer: prepared by Accelerate.
        lr_scheduler: prepared by Accelerate.
        rate: above 0.
    """
    shares = [group.get("share", 1.0) for group in optimizer.param_groups]
    lr_scheduler.scheduler.base_lrs = [rate * share for share in shares]
    for group, share in zip(optimizer.param_groups, shares):
        group["lr"] *= rate * share / group["initial_lr"]
        group["initial_lr"] = rate * share


def check_finite(
    value: float, what: str, step: int, checkpoints: Checkpoints, precision: str, learning_rate: float
) -> None:
    """Raise if a loss or gradient is not finite, with advice.

    Raises:
        FloatingPointError: if `value` is not finite; naming the step, the last good checkpoint and the likely cause.
    """
    if math.isfinite(value):
        return
    last = checkpoints.all()[-1:]
    cause = "a learning rate too high for this network, or an invalid value in the data"
    if precision == "fp16":
        cause = "fp16, which overflows above 65504: use --mixed_precision bf16 or no"
    raise FloatingPointError(
        f"{what} is not finite at step {step}. Last good checkpoint: {last[0] if last else 'none yet'}. "
        f"Likely cause: {cause}. Lower --learning_rate (now {learning_rate:g}) and run again: it resumes there."
    )

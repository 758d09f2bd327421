"""What every training run needs around its step: where it stands, a history, EMA weights on loan, a manifest."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from PIL import Image
from torch import nn

from .training_checkpoints import Checkpoints
from .training_processes import mean_over_processes

PACKAGES = ("hf-kexue", "torch", "transformers", "diffusers", "accelerate", "datasets")


@dataclass
class TrainingState:
    """Where a run stands; saved with each checkpoint.

    Args:
        step: optimizer steps done.
        epoch: epochs begun.
        batch: micro batches of this epoch done.
        seconds: time spent in training steps so far, over all sessions.
        cpu_seconds: the same, as the processor time of all threads of the main process.
        samples: images or questions seen, over all processes.
        wall_seconds: since the first batch, over all sessions, waiting for data and validation among them; what
            `--max_seconds` counts.
        micro_batch: samples of a micro batch, over all processes; 0 before the first.
        running: figures of the steps since the last line of the history: numbers, or dictionaries of them.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    samples: int = 0
    wall_seconds: float = 0.0
    micro_batch: int = 0
    running: list[Any] = field(default_factory=list)

    def settle(self, accelerator: Any) -> None:
        """Make the running figures alike on all processes, since a checkpoint holds those of one."""
        rows = [list(row.values()) if isinstance(row, dict) else [row] for row in self.running]
        means = iter(mean_over_processes(accelerator, [value for row in rows for value in row]))
        self.running = [
            {key: next(means) for key in row} if isinstance(row, dict) else next(means) for row in self.running
        ]

    def count_in(self, samples: int) -> None:
        """Count micro batches of so many samples from now on: those of a checkpoint were others if it comes from
        another number of processes or another --train_batch_size. The place in the epoch stays."""
        if self.micro_batch:
            self.batch = self.batch * self.micro_batch // samples
        self.micro_batch = samples

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for key, value in state.items():
            setattr(self, key, value)


class History:
    """Figures of a run by step: to the trackers of the `Accelerator`, and one JSON object a line to `history.jsonl`.

    Args:
        accelerator: the run's `Accelerator`.
        path: of `history.jsonl`; lines are added to what is there.
        resumed_at: step of the checkpoint that the run goes on from. Lines of later steps go: the session that wrote
            them was cut off, and they come again.
    """

    def __init__(self, accelerator: Any, path: Path, resumed_at: int | None = None) -> None:
        self.accelerator = accelerator
        self.path = path
        if resumed_at is not None and accelerator.is_main_process and path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("}\n")]  # the last one may have been cut off too
            kept = [line for line in whole if json.loads(line)["step"] <= resumed_at]
            shorter = path.with_suffix(".shorter")
            shorter.write_text("".join(kept), encoding="utf-8")
            os.replace(shorter, path)  # killed here, a run has either its old lines or the new ones

    def mean(self, values: list[float]) -> float:
        """Over the values and the processes, all of which must call it."""
        return mean_over_processes(self.accelerator, [sum(values) / len(values)])[0]

    def log(self, step: int, **figures: float) -> None:
        """Add figures of a step; every process may call it, the main one writes."""
        self.accelerator.log(figures, step=step)
        if self.accelerator.is_main_process:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **figures}) + "\n")


@contextmanager
def ema_weights(ema: EMAModel, model: nn.Module) -> Iterator[nn.Module]:
    """The model in evaluation mode with its averaged weights; its own weights and mode come back at the end."""
    was_training = model.training
    ema.store(model.parameters())
    ema.copy_to(model.parameters())
    model.eval()
    try:
        yield model
    finally:
        model.train(was_training)
        ema.restore(model.parameters())


def set_learning_rate(optimizer: Any, lr_scheduler: Any, rate: float) -> None:
    """A new peak for the schedule, from the next step on. A checkpoint brings its own; what counts after resuming
    is the one asked for now.

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
    """Stop a run whose loss or gradient has left the numbers, and say what to do.

    Raises:
        FloatingPointError: if `value` is not finite; names the step, the last good checkpoint and the likely cause.
    """
    if math.isfinite(value):
        return
    last = checkpoints.all()[-1:]
    cause = "a learning rate too high for this network, or a broken value in the data"
    if precision == "fp16":
        cause = "fp16, which overflows above 65504: use --mixed_precision bf16 or no"
    raise FloatingPointError(
        f"{what} is not finite at step {step}. Last good checkpoint: {last[0] if last else 'none yet'}. "
        f"Likely cause: {cause}. Lower --learning_rate (now {learning_rate:g}) and run again: it resumes there."
    )


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, device and command of this process, for manifests and results."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor_name() or platform.machine()
    return {
        "command": portable_command(sys.argv),
        "device": name,
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
    }


def _version(package: str) -> str | None:
    """None for one that is not installed: a checkout runs from its sources, text alone needs no datasets."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def portable_command(arguments: list[str]) -> str:
    """A command line without the folders of this machine: the script and paths that lead out of the working folder
    keep their last name."""
    script, *rest = arguments
    outside = {word for word in rest if Path(word).is_absolute() or Path(word).parts[:1] == ("..",)}
    return shlex.join([Path(script).name, *(Path(word).name if word in outside else word for word in rest)])


def _processor_name() -> str:
    info = Path("/proc/cpuinfo")
    match = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else None
    return match[1] if match else platform.processor()


def fastest_precision(device: torch.device | None = None) -> str:
    """`"bf16"` where a bf16 matrix product on this device takes less time than a float32 one, else `"no"`.

    The default device is the one that Accelerate would take.

    CPUs without bf16 units compute bf16 convolutions several times slower than float32 ones; with them, several times
    faster.
    """
    device = device or torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(512, 512, dtype=dtype, device=device)
        best = math.inf
        for _ in range(4):
            start = time.perf_counter()
            matrix @ matrix
            best = min(best, time.perf_counter() - start)
        seconds[dtype] = best
    return "bf16" if seconds[torch.bfloat16] < seconds[torch.float32] else "no"


def image_grid(images: list[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size in rows of `columns`, without gaps."""
    if not images or columns < 1:
        raise ValueError(f"A grid needs pictures and at least one column, got {len(images)} and {columns}.")
    width, height = images[0].size
    grid = Image.new("RGB", (columns * width, -(-len(images) // columns) * height), "white")
    for index, image in enumerate(images):
        grid.paste(image, ((index % columns) * width, (index // columns) * height))
    return grid


def class_sheet(images: list[Image.Image], per_class: int) -> Image.Image:
    """Rows of `per_class` pictures, a class each, in two blocks side by side."""
    half = -(-len(images) // per_class // 2) * per_class
    blocks = [image_grid(part, per_class) for part in (images[:half], images[half:]) if part]
    sheet = Image.new("RGB", (sum(block.width + 16 for block in blocks) - 16, blocks[0].height), "white")
    for number, block in enumerate(blocks):
        sheet.paste(block, (number * (block.width + 16), 0))
    return sheet

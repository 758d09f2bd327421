"""Paths of a diffusion pipeline from noise to image, recorded once for a student that follows them in fewer steps.

    settings = PathSettings(teacher_steps=8, student_steps=4, guidance_scales=(5.0,), seed=0)
    record_shards(teacher, settings, range(64), folder, labels_of)     # goes on where it stopped
    paths = load_shards(folder, settings, range(64))

A shard is a batch: one file with the states at the student's times, the classes and the scale. Its noise depends on
(seed, shard) alone, so that shards can be recorded in any order and by any process.

Shapes: N paths, S student steps, C channels, H W rows and columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..data.whole_files import whole_file
from ..simple_diffusion.distillation_simple_diffusion import implied_sample
from ..simple_diffusion.samplers import with_sampler
from ..simple_diffusion.schedulers_simple_diffusion import logsnr_of

LabelsOf = Callable[[int, int], list[int]]  # (count, seed) -> class indices


@dataclass(frozen=True)
class PathSettings:
    """How paths are recorded; stored with each shard.

    Args:
        teacher_steps: of second-order DPM-Solver++, a multiple of `student_steps`.
        student_steps: S.
        guidance_scales: of the shards in turn.
        shard_size: paths of a shard.
        seed: of noise and classes.
        teacher: name of the teacher, to tell recordings apart.

    Raises:
        ValueError: for numbers that are not positive or do not divide, or no scale.
    """

    teacher_steps: int = 8
    student_steps: int = 4
    guidance_scales: tuple[float, ...] = (1.0,)
    shard_size: int = 16
    seed: int = 0
    teacher: str = ""

    def __post_init__(self) -> None:
        if self.student_steps < 1 or self.teacher_steps < 1 or self.teacher_steps % self.student_steps:
            raise ValueError(
                f"teacher_steps must be a multiple of student_steps, both positive; got {self.teacher_steps} and "
                f"{self.student_steps}."
            )
        if self.shard_size < 1 or not self.guidance_scales:
            raise ValueError(
                f"shard_size must be positive and guidance_scales not empty; got {self.shard_size} and "
                f"{self.guidance_scales}."
            )

    def shard_seed(self, shard: int) -> int:
        """Of the noise and the classes of a shard."""
        return int(np.random.SeedSequence([self.seed, shard]).generate_state(1, np.uint64)[0]) >> 1


@dataclass
class Paths:
    """Recorded paths.

    Args:
        states: (N, S + 1, C, H, W) float16, noise first and the image, within [-1, 1], last.
        guidance_scales: (N,), or None for a student with one scale built in.
        class_labels: (N,) int64, or None.
    """

    states: Tensor
    guidance_scales: Tensor | None
    class_labels: Tensor | None

    def __len__(self) -> int:
        return len(self.states)

    def targets(
        self, logsnr: Tensor, rows: Tensor, marks: Tensor, flip: Tensor | None = None, device: Any = "cpu"
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
        """Single steps to learn from.

        Args:
            logsnr: of `path_logsnr`, (S + 1,).
            rows, marks: which path, and which of its steps from 0, (B,).
            flip: which are mirrored, (B,).
            device: of what is returned.

        Returns:
            x_t and the clean sample that one step to the next mark implies, (B, C, H, W) float32; logSNR, scale and
            class of each, (B,).
        """
        x_t, x_s = (self.states[rows, marks + later].float() for later in (0, 1))
        if flip is not None:
            x_t, x_s = (torch.where(flip.view(-1, 1, 1, 1), x.flip(-1), x) for x in (x_t, x_s))
        x_0 = implied_sample(x_t, x_s, logsnr[marks], logsnr[marks + 1])
        scales, labels = (
            None if part is None else part[rows].to(device) for part in (self.guidance_scales, self.class_labels)
        )
        return x_t.to(device), x_0.to(device), logsnr[marks].to(device), scales, labels


def path_logsnr(teacher: Any, settings: PathSettings) -> Tensor:
    """logSNR at the student's times and, infinite, at the clean end: (S + 1,)."""
    solver, _ = with_sampler(teacher, "dpm")
    solver.scheduler.set_timesteps(settings.teacher_steps)
    times = solver.scheduler.timesteps[:: settings.teacher_steps // settings.student_steps]
    return torch.stack([*(logsnr_of(solver.scheduler, time) for time in times), torch.tensor(torch.inf)])


def record_paths(
    teacher: Any, settings: PathSettings, shard: int, labels_of: LabelsOf | None, scales: bool = True
) -> Paths:
    """Record the paths of one shard.

    Args:
        teacher: `SimpleDiffusionPipeline`, guided as it is saved but for the scale.
        settings: of the recording.
        shard: its number.
        labels_of: draws the classes; None for a teacher without.
        scales: whether they are kept.
    """
    seed, size = settings.shard_seed(shard), settings.shard_size
    config, stride = teacher.unet.config, settings.teacher_steps // settings.student_steps
    shape = (size, config.in_channels, config.sample_size, config.sample_size)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    labels = None if labels_of is None else torch.tensor(labels_of(size, seed))
    scale, states = settings.guidance_scales[shard % len(settings.guidance_scales)], [noise]

    def keep(_: Any, step: int, __: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        if (step + 1) % stride == 0:
            states.append(tensors["latents"].cpu())
        return {}

    solver, _ = with_sampler(teacher, "dpm")
    solver.set_progress_bar_config(disable=True)
    solver(
        class_labels=labels, latents=noise, guidance_scale=scale, num_inference_steps=settings.teacher_steps,
        callback_on_step_end=keep, output_type="pt",
    )  # fmt: skip
    states[-1] = states[-1].clamp(-1, 1)
    kept = torch.full((size,), scale) if scales else None
    return Paths(torch.stack([state.contiguous() for state in states], 1).half(), kept, labels)


def record_shards(
    teacher: Any, settings: PathSettings, shards: Iterable[int], folder: Path, labels_of: LabelsOf | None,
) -> None:  # fmt: skip
    """Record the shards that the folder lacks; those that it has must come from the same settings.

    Args:
        teacher, settings, labels_of: as of `record_paths`.
        shards: their numbers.
        folder: made if it is missing.

    Raises:
        ValueError: for a shard of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for shard in shards:
        path = _file(folder, shard)
        if path.is_file():
            _check(path, settings)
            continue
        paths = record_paths(teacher, settings, shard, labels_of)
        tensors = {key: value for key, value in vars(paths).items() if value is not None}
        with whole_file(path) as unfinished:
            save_file(tensors, unfinished, metadata={"settings": _text(settings)})


def load_shards(folder: Path, settings: PathSettings, shards: Iterable[int], scales: bool = True) -> Paths:
    """The paths of recorded shards, in order, with their scales or without.

    Raises:
        ValueError: for a shard of other settings.
        OSError: for one that is missing.
    """
    parts: dict[str, list[Tensor]] = {}
    for shard in shards:
        _check(_file(folder, shard), settings)
        with safe_open(_file(folder, shard), "pt") as file:
            for key in file.keys():  # noqa: SIM118 - no mapping
                parts.setdefault(key, []).append(file.get_tensor(key))
    whole = {key: torch.cat(values) for key, values in parts.items()}
    return Paths(whole["states"], whole["guidance_scales"] if scales else None, whole.get("class_labels"))


def _file(folder: Path, shard: int) -> Path:
    return folder / f"{shard:05d}.safetensors"


def _text(settings: PathSettings) -> str:
    return json.dumps(asdict(settings), sort_keys=True)


def _check(path: Path, settings: PathSettings) -> None:
    with safe_open(path, "pt") as file:
        before = file.metadata()["settings"]
    if before != _text(settings):
        raise ValueError(f"{path} was recorded with {before}, not {_text(settings)}: use another folder.")

"""The resolution shift of any scheduler config, in nats of logSNR and as a pair of image sizes.

Five things in the field lower logSNR by the same amount at every time; k is how many times larger the image is.

    what                                    who                                  nats
    base_size / sample_size = 1 / k         ShiftedCosine-, ShiftedFlowScheduler 2 log(base_size / sample_size)
    shift, flow_shift = k                   flow matching in diffusers           -2 log(shift)
    noise_scale = k                         JiT, PRXPixel                        -2 log(noise_scale)
    timeshift = k                           PixelDiT, PixNerd                    -2 log(timeshift)
    mu + log(pixels / 512**2) / 2           Ideogram 4                           -2 mu - log(pixels / 512**2)

All are -2 log k. Where a repository has two of them (the noise of PRXPixel, and the shift of its scheduler), they add.

Sources: archives/10047; arXiv 2403.03206 (shift); arXiv 2511.13720 (noise_scale); diffusers 0.42.1, the pipelines of
PRXPixel and Ideogram 4.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .checks_simple_diffusion import require, require_positive
from .configs_flow import REFUSED, flow_shift_of
from .scheduling_shifted_cosine import ShiftedCosineScheduler
from .scheduling_shifted_flow import ShiftedFlowScheduler

KNOWN = (
    "sample_size and base_size (ShiftedCosineScheduler, ShiftedFlowScheduler)",
    "shift or use_flow_sigmas with flow_shift (flow matching of diffusers)",
    "noise_scale (JiT, PRXPixel)",
    "timeshift (PixelDiT)",
    "mu with height and width (Ideogram 4)",
)
IDEOGRAM_PIXELS = 512**2  # where its schedule is not shifted


@dataclass(frozen=True)
class ResolutionShift:
    """How far a model's schedule is shifted.

    Args:
        kind: names of the config entries that say so, joined by "+".
        nats: added to logSNR at every time, -2 log(sample_size / base_size).
        base_size: image side at which the schedule would not be shifted.
        sample_size: image side that it is made for. Where a config says neither size, one of them is the caller's.
    """

    kind: str
    nats: float
    base_size: float
    sample_size: float

    def flow_scheduler(self, **options: Any) -> ShiftedFlowScheduler:
        """A flow with this shift; further arguments go to `ShiftedFlowScheduler`."""
        return ShiftedFlowScheduler(sample_size=self.sample_size, base_size=self.base_size, **options)

    def cosine_scheduler(self, **options: Any) -> ShiftedCosineScheduler:
        """A cosine with this shift; further arguments go to `ShiftedCosineScheduler`."""
        return ShiftedCosineScheduler(sample_size=self.sample_size, base_size=self.base_size, **options)


def resolution_shift_of(
    config: Any, *, height: int | None = None, width: int | None = None, base_size: float | None = None
) -> ResolutionShift:
    """Read the shift of a scheduler or of a model repository.

    Args:
        config: a scheduler or pipeline of diffusers; a config as a mapping, nested or not (arguments of JiT's
            training, a YAML of PixelDiT); a JSON file; or the folder of a repository, of which `model_index.json` and
            the scheduler's config are read.
        height, width: pixels of the image, where the config does not say; Ideogram 4 shifts by them.
        base_size: image side without shift, where neither the config nor height and width say: default 64.

    Raises:
        ValueError: for a config of no known kind, a shift that is not positive or that is decided at each call.
        OSError: where there is no such file.
    """
    entries = _entries(config)
    require(
        "use_dynamic_shifting" not in entries or not entries["use_dynamic_shifting"] or "mu" in entries, _dynamic()
    )
    for key in ("invert_sigmas", "shift_terminal"):
        require(not entries.get(key), f"{key} is {entries.get(key)!r}: {REFUSED[key]}.")
    size = _side(entries, height, width)
    factors: dict[str, float] = {}
    if entries.get("sample_size") is not None and entries.get("base_size") is not None:
        base: Any = entries["base_size"]
        pair = base if isinstance(base, list | tuple) else [base]
        require_positive("base_size", *pair)
        require_positive("sample_size", entries["sample_size"])
        require(len(set(pair)) == 1, f"base_size is {base}: it shifts the two ends of the schedule differently.")
        size = float(entries["sample_size"])
        factors["sample_size"] = size / pair[0]
    elif (shift := flow_shift_of(entries)) is not None:
        factors["shift"] = shift
    for key in ("noise_scale", "timeshift"):
        if key in entries:
            require_positive(key, entries[key])
            factors[key] = float(entries[key])
    if "mu" in entries or entries.get("_class_name") == "Ideogram4Pipeline":
        require(size is not None, "Ideogram 4 shifts by the number of pixels: give height and width.")
        factors["mu"] = math.exp(entries.get("mu", 0.0)) * float(size or 0.0) / math.sqrt(IDEOGRAM_PIXELS)
    name = entries.get("_class_name", "the config")
    require(bool(factors), f"No shift was found in {name}. Known are: {'; '.join(KNOWN)}.")
    k = math.prod(factors.values())
    if size is None:
        base_size = 64.0 if base_size is None else base_size
        size = base_size * k
    return ResolutionShift("+".join(factors), -2.0 * math.log(k), size / k, size)


def _dynamic() -> str:
    return f"use_dynamic_shifting is True: {REFUSED['use_dynamic_shifting']}. Give mu, height and width as entries."


def _entries(config: Any) -> dict[str, Any]:
    """All entries of a config, those of nested mappings too; of a repository, of its pipeline and its scheduler."""
    if isinstance(config, str | Path):
        path = Path(config)
        if path.is_dir():
            files = [path / "model_index.json", path / "scheduler" / "scheduler_config.json"]
            files = [file for file in [*files, path / "scheduler_config.json", path / "config.json"] if file.is_file()]
            require(bool(files), f"{path} holds no model_index.json, scheduler_config.json or config.json.")
            parts = [json.loads(file.read_text(encoding="utf-8")) for file in files]
            return {key: value for part in reversed(parts) for key, value in _flat(part).items()}
        return _flat(json.loads(path.read_text(encoding="utf-8")))
    if not isinstance(config, Mapping) and hasattr(config, "config"):
        scheduler = getattr(config, "scheduler", None)
        return ({} if scheduler is None else _flat(scheduler.config)) | _flat(config.config)
    kind = f"a config is a mapping, a path, or an object with .config; {type(config).__name__} was given."
    require(isinstance(config, Mapping), kind)
    return _flat(config)


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of nested mappings, the outer ones before those within."""
    found: dict[str, Any] = {}
    for value in config.values():
        if isinstance(value, Mapping):
            found |= _flat(value)
    return found | {key: value for key, value in config.items() if not isinstance(value, Mapping)}


def _side(entries: dict[str, Any], height: int | None, width: int | None) -> float | None:
    """Side of the square image with as many pixels, None if nothing says."""
    for key in ("img_size", "image_size", "resolution"):
        if height is None and isinstance(entries.get(key), int | float):
            height = entries[key]
    height = entries.get("height") if height is None else height
    width = width or entries.get("width") or height
    if height is None or width is None:
        return None
    require_positive("height and width", height, width)
    return math.sqrt(height * width)

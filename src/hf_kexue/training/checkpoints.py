"""Checkpoints that are complete or are not used, without pickle where Accelerate leaves a choice.

A folder `checkpoint-<step>` holds what `Accelerator.save_state` writes (weights as safetensors; `optimizer.bin`,
`scheduler.bin`, `random_states_*.pkl`, which it reads with `weights_only`), what the run adds (`run.json`, and
tensors in `run.safetensors`), and last of all `files.json`, the size and SHA-256 of every file. It gets its name only
when all of it is on the disk. Whatever does not agree with its list is set aside, and the checkpoint before it used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from .processes import broadcast_from_main

logger = logging.getLogger(__name__)
LIST, RUN, TENSORS = "files.json", "run.json", "run.safetensors"


class Checkpoints:
    """The folders `checkpoint-<step>` of a run. A folder appears under its name only when all of it has been written.

    Args:
        accelerator: the run's `Accelerator`; every process must call `save` and `resume`.
        folder: where they lie.
        total_limit: how many are kept.
        states: what is saved beside networks, optimizers and schedules, by name: objects with `state_dict()` of plain
            values, tensors and lists of tensors, the same on every process, and `load_state_dict(state)`.
    """

    def __init__(self, accelerator: Any, folder: Path, total_limit: int, states: Mapping[str, Any]) -> None:
        self.accelerator = accelerator
        self.folder = folder
        self.total_limit = total_limit
        self.states = states

    def all(self) -> list[Path]:
        """All of them, oldest first."""
        found = (re.fullmatch(r"checkpoint-(\d+)", path.name) for path in self.folder.glob("checkpoint-*"))
        steps = sorted(int(match[1]) for match in found if match)
        return [self.folder / f"checkpoint-{step}" for step in steps]

    def save(self, step: int) -> Path:
        """Write a checkpoint and delete the ones beyond the limit."""
        target = self.folder / f"checkpoint-{step}"
        unfinished = self.folder / f"unfinished-{step}"
        self.accelerator.save_state(str(unfinished))
        plain, tensors = _split({name: held.state_dict() for name, held in self.states.items()})
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            (unfinished / RUN).write_text(json.dumps(plain))
            save_file(tensors, unfinished / TENSORS)
            seal(unfinished)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(unfinished, target)
            _to_disk(self.folder)
            for old in self.all()[: -self.total_limit]:
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()
        return target

    def resume(self, read_only: bool = False) -> Path | None:
        """Load the newest complete checkpoint, if there is one.

        Args:
            read_only: leave unfinished and broken ones where they are.
        """
        newest = None
        if self.accelerator.is_main_process:
            for leftover in () if read_only else self.folder.glob("unfinished-*"):
                shutil.rmtree(leftover)
            newest = self._newest_complete(read_only)
        newest = broadcast_from_main(self.accelerator, newest)
        if newest is not None:
            self.accelerator.load_state(str(newest))
            plain, tensors = json.loads((newest / RUN).read_text()), load_file(newest / TENSORS)
            for name, held in self.states.items():
                held.load_state_dict(_joined(name, plain[name], tensors))
        return newest

    def _newest_complete(self, read_only: bool) -> Path | None:
        for path in reversed(self.all()):
            if (fault := fault_of(path)) is None:
                return path
            if read_only:
                logger.warning("%s is not complete: %s.", path, fault)
                continue
            aside = path.with_name(path.name.replace("checkpoint", "broken"))
            logger.warning("%s is not complete: %s. It is set aside as %s.", path, fault, aside.name)
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(path, aside)
        return None


def seal(folder: Path) -> None:
    """Write the list of the files in a folder and its subfolders, after all of them are on the disk."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = {str(path.relative_to(folder)): [path.stat().st_size, _digest(path)] for path in files}
    for path in files:
        _to_disk(path)
    (folder / LIST).write_text(json.dumps(listed, indent=1))
    _to_disk(folder / LIST)
    _to_disk(folder)


def fault_of(folder: Path) -> str | None:
    """What is wrong with a sealed folder; None if it is whole."""
    try:
        listed = json.loads((folder / LIST).read_text())
    except FileNotFoundError:
        return f"it has no {LIST}"
    except ValueError:
        return f"{LIST} is cut off"
    for name, (size, digest) in listed.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes instead of {size}"
        if _digest(path) != digest:
            return f"{name} has other contents than were written"
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def full_copy(tensor: Tensor) -> Tensor:
    """On the CPU, with a storage of its own; of a tensor split over processes all parts, for which all must call."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).cpu().clone().contiguous()


def _split(states: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Plain values by state and key, with the length in the place of a list of tensors; tensors by path."""
    plain: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    for name, state in states.items():
        plain[name] = {}
        for key, value in state.items():
            if isinstance(value, list) and value and all(isinstance(each, Tensor) for each in value):
                tensors |= {f"{name}.{key}.{place}": full_copy(each) for place, each in enumerate(value)}
                plain[name][key] = {"tensors": len(value)}
            else:
                plain[name][key] = value
    return plain, tensors


def _joined(name: str, plain: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The state of one object again."""
    return {
        key: [tensors[f"{name}.{key}.{place}"] for place in range(value["tensors"])]
        if isinstance(value, dict) and value.keys() == {"tensors"}
        else value
        for key, value in plain.items()
    }

"""Atomic, verified checkpoints, without pickle where Accelerate allows it.

A folder `checkpoint-<step>` holds what `Accelerator.save_state` writes (weights as safetensors; `optimizer.bin`,
`scheduler.bin`, `random_states_*.pkl`, which it reads with `weights_only`), what the run adds (`run.json`, and
tensors in `run.safetensors`), and last of all `files.json`, the size and SHA-256 of every file. It is
renamed to its final name only after all files are on disk. A checkpoint that does not match its list is set aside, and
the one before it is used.
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
    """Saves and loads the folders `checkpoint-<step>` of a run.

    Args:
        accelerator: the run's `Accelerator`; every process must call `save` and `resume`.
        folder: of the checkpoints.
        total_limit: number of checkpoints to keep.
        states: further objects to save, by name, with `state_dict()` of plain values, tensors and lists of tensors,
            the same on every process, and `load_state_dict(state)`.
    """

    def __init__(self, accelerator: Any, folder: Path, total_limit: int, states: Mapping[str, Any]) -> None:
        self.accelerator = accelerator
        self.folder = folder
        self.total_limit = total_limit
        self.states = states

    def all(self) -> list[Path]:
        """All checkpoints, oldest first."""
        matches = (re.fullmatch(r"checkpoint-(\d+)", path.name) for path in self.folder.glob("checkpoint-*"))
        steps = sorted(int(match[1]) for match in matches if match)
        return [self.folder / f"checkpoint-{step}" for step in steps]

    def save(self, step: int) -> Path:
        """Write a checkpoint and delete the oldest beyond the limit."""
        target = self.folder / f"checkpoint-{step}"
        unfinished = self.folder / f"unfinished-{step}"
        self.accelerator.save_state(str(unfinished))
        plain, tensors = _split({name: state.state_dict() for name, state in self.states.items()})
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            (unfinished / RUN).write_text(json.dumps(plain))
            save_file(tensors, unfinished / TENSORS)
            write_file_list(unfinished)
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
            read_only: do not remove unfinished or set aside broken ones.
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
            for name, state in self.states.items():
                state.load_state_dict(_joined(name, plain[name], tensors))
        return newest

    def _newest_complete(self, read_only: bool) -> Path | None:
        for path in reversed(self.all()):
            if (fault := checkpoint_fault(path)) is None:
                return path
            if read_only:
                logger.warning("%s is not complete: %s.", path, fault)
                continue
            aside = path.with_name(path.name.replace("checkpoint", "broken"))
            logger.warning("%s is not complete: %s. It is set aside as %s.", path, fault, aside.name)
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(path, aside)
        return None


def write_file_list(folder: Path) -> None:
    """Write the list of files with their sizes and digests, after all of them are on disk."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = {str(path.relative_to(folder)): [path.stat().st_size, _digest(path)] for path in files}
    for path in files:
        _to_disk(path)
    (folder / LIST).write_text(json.dumps(listed, indent=1))
    _to_disk(folder / LIST)
    _to_disk(folder)


def checkpoint_fault(folder: Path) -> str | None:
    """The fault of a checkpoint folder, or None if it matches its list."""
    try:
        listed = json.loads((folder / LIST).read_text())
    except FileNotFoundError:
        return f"it has no {LIST}"
    except ValueError:
        return f"{LIST} is truncated"
    for name, (size, digest) in listed.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes instead of {size}"
        if _digest(path) != digest:
            return f"{name} has a wrong digest"
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
    """A full copy on the CPU; for a sharded tensor a collective, which all processes must call."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).cpu().clone().contiguous()


def _split(states: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Separate states into JSON values, with the length in place of a list of tensors, and tensors by path."""
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
    """Inverse of `_split` for one object."""
    return {
        key: [tensors[f"{name}.{key}.{place}"] for place in range(value["tensors"])]
        if isinstance(value, dict) and value.keys() == {"tensors"}
        else value
        for key, value in plain.items()
    }

"""Environment of a run: versions, device, command, and the fastest precision."""

from __future__ import annotations

import importlib.metadata
import math
import platform
import re
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("hf-kexue", "torch", "transformers", "diffusers", "accelerate", "datasets")


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
    """None if not installed: a checkout runs without installing, and text needs no datasets."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def portable_command(arguments: list[str]) -> str:
    """A command line without local folders: the script and paths outside the working folder are reduced to their
    names."""
    script, *rest = arguments
    outside = {word for word in rest if Path(word).is_absolute() or Path(word).parts[:1] == ("..",)}
    return shlex.join([Path(script).name, *(Path(word).name if word in outside else word for word in rest)])


def _processor_name() -> str:
    info = Path("/proc/cpuinfo")
    match = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else None
    return match[1] if match else platform.processor()


def fastest_precision(device: torch.device | None = None) -> str:
    """`"bf16"` if a bf16 matrix product on this device is faster than a float32 one, else `"no"`.

    The default device is that of Accelerate.

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

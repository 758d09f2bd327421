"""Training scripts for benchmarks: as modules, to measure their training step, and as separate runs.

load_script("train_rsgan").build_models(preset_arguments("train_rsgan", "--preset", "r3"), 17)
run_script("train_dgcnn_qa", Path("outputs/row"), ["--train", "cmrc2018"], steps=1000)["validation/f1"]
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from results import REPOSITORY

from hf_kexue.training.arguments import parse_arguments

TRAINING = REPOSITORY / "training"
PRESETS = TRAINING / "presets"


def load_script(name: str) -> ModuleType:
    """A training script as a module, loaded once from its file.

    Raises:
        ValueError: if there is no such script.
    """
    if name in sys.modules:
        return sys.modules[name]
    path = TRAINING / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ValueError(f"There is no training script {path}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module


def preset_arguments(script: str, *argv: str) -> Any:
    """The arguments of a training script, its presets included, for a command line."""
    return parse_arguments(load_script(script).Arguments, PRESETS, list(argv))


def run_script(script: str, folder: Path, options: list[str], steps: int, *launcher: str) -> dict[str, Any]:
    """Train in a separate process, with one checkpoint at the end and no tracker; returns the results of the run.

    Args:
        script: name of a training script.
        folder: for the output.
        options: further arguments; the last of repeated ones wins.
        steps: of the optimizer.
        launcher: arguments of the interpreter that come before the script, such as "-m", "accelerate...".
    """
    command = [
        sys.executable, *launcher, str(TRAINING / f"{script}.py"), "--output_dir", str(folder),
        "--max_train_steps", str(steps), "--checkpointing_steps", str(steps), "--tracker", "none", *options,
    ]  # fmt: skip
    subprocess.run(command, check=True)
    results: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return results

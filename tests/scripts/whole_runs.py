"""What the tests of all training scripts do alike: call `main(argv)` in this process, and read what a run leaves."""

import importlib
import json
import shutil
import sys
from pathlib import Path

from accelerate.state import AcceleratorState, GradientState
from safetensors.torch import load_file, save_file

TRAINING = Path(__file__).resolve().parents[2] / "training"


def load_script(name):
    """A training script as a module."""
    sys.path.insert(0, str(TRAINING))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(TRAINING))


def reset():
    """Accelerate keeps its state in singletons, which would carry over into the next run of this process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def history(output):
    """Lines of a run's history without what a clock says."""
    lines = [json.loads(line) for line in (output / "history.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def copy_as_float16(model, copy):
    """A saved model whose weights are stored as those of large published ones are."""
    shutil.copytree(model, copy)
    path = copy / "model.safetensors"
    save_file({key: value.half() for key, value in load_file(path).items()}, path, metadata={"format": "pt"})

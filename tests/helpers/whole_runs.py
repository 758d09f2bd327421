"""What the tests of all training scripts do alike: call `main(argv)` in this process, and read what a run leaves."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import torch
from accelerate.state import AcceleratorState, GradientState
from safetensors.torch import load_file, save_file

TRAINING = Path(__file__).resolve().parents[2] / "training"


def load_script(name):
    """A training script as a module, the same one each time."""
    if name not in sys.modules:
        specification = importlib.util.spec_from_file_location(name, TRAINING / f"{name}.py")
        module = sys.modules[name] = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
    return sys.modules[name]


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


class InForward:
    """Calls a function in a forward pass of a network in training mode, as a context.

    Args:
        at: number of that pass, from 1; passes of modules within others count only as one.
        act: what is called.
        kind: class of the network.
    """

    def __init__(self, at, act, kind):
        self.left, self.act, self.kind = at, act, kind

    def __call__(self, module, *_):
        if isinstance(module, self.kind) and module.training:
            self.left -= 1
            if not self.left:
                self.act()

    def __enter__(self):
        self.handle = torch.nn.modules.module.register_module_forward_pre_hook(self)

    def __exit__(self, *_):
        self.handle.remove()

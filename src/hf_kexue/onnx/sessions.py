"""What the runtimes read from a folder: its configuration and the networks in `onnx/`.

Imports only onnxruntime, at first use.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

FOLDER = "onnx"
INSTALL = 'pip install "hf-kexue[onnx]"'


def library(name: str) -> Any:
    """A library of the extra `onnx`.

    Raises:
        ImportError: where it is not installed, saying what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{name.partition('.')[0]} is not installed or cannot be loaded: {INSTALL}. ({error})"
        ) from error


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A configuration of a saved model.

    Raises:
        FileNotFoundError, ValueError: if it is missing or no JSON object.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no folder {folder}. The ONNX runtimes read local folders: write one with `hf-kexue "
            "export-onnx`, or download a repository with `hf download`."
        )
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"{name} is missing in {folder}: export the model with `hf-kexue export-onnx`.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is broken: {error}.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is broken: it is not a JSON object.")
    return found


def read_config(folder: Path, class_name: str) -> SimpleNamespace:
    """The fields of config.json as attributes.

    Raises:
        FileNotFoundError, ValueError: as of `read_json`; and for the configuration of another class.
    """
    found = read_json(folder, "config.json")
    architectures = found.get("architectures") or ["no model"]
    if architectures != [class_name]:
        raise ValueError(f"{folder} holds {', '.join(architectures)}, not {class_name}.")
    return SimpleNamespace(**found)


class Network:
    """A network in `onnx/` of a folder.

    Args:
        folder: of the model.
        name: of the file without its endings, such as "model".
        int8: the int8 file or the float32 one; None: float32 where it is there, else int8.
        threads: of one call; None: as many as onnxruntime takes.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: without onnxruntime.
        ValueError: if onnxruntime cannot read it.
    """

    def __init__(self, folder: Path, name: str, int8: bool | None = None, threads: int | None = None) -> None:
        choice = {False: (f"{name}.onnx",), True: (f"{name}.int8.onnx",), None: (f"{name}.onnx", f"{name}.int8.onnx")}
        files = [folder / FOLDER / file for file in choice[int8]]
        self.path = next((file for file in files if file.is_file()), None)
        if self.path is None:
            raise FileNotFoundError(
                f"{' or '.join(str(file.relative_to(folder)) for file in files)} is missing in {folder}: "
                f"`hf-kexue export-onnx` writes it{', with --int8' if int8 else ''}."
            )
        self.int8 = self.path.name.endswith(".int8.onnx")
        runtime = library("onnxruntime")
        options = runtime.SessionOptions()
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = runtime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # Its exceptions share no base class.
            raise ValueError(f"onnxruntime cannot load {self.path}: {str(error).splitlines()[0]}") from error
        self.inputs = [node.name for node in self._session.get_inputs()]
        self.outputs = [node.name for node in self._session.get_outputs()]

    def __call__(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name; inputs that the network does not have are left out."""
        wanted = {name: inputs[name] for name in self.inputs}
        return dict(zip(self.outputs, self._session.run(self.outputs, wanted)))


class Progress:
    """A line on stderr that says how far a call is; nothing where it is not to be shown."""

    def __init__(self, total: int, show: bool) -> None:
        self.total, self.show, self.count, self.shown = total, show, 0, -1

    def __enter__(self) -> Self:
        return self

    def update(self, count: int) -> None:
        """So many characters more."""
        self.count += count
        percent = 100 * self.count // max(self.total, 1)
        if self.show and percent > self.shown:
            self.shown = percent
            print(f"\r{percent:3d} % of {self.total:,} characters", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.show:
            print(file=sys.stderr)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)) in float32, without overflow."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)

"""Export to ONNX, checked against torch.

    out/onnx/model.onnx        reader; triples, first stage; a model of images
    out/onnx/objects.onnx      triples, second stage
    out/onnx/model.int8.onnx   and objects.int8.onnx, with int8 weights
    out/onnx/unet.onnx, ...    of a diffusers pipeline, by component
    out/*.json, *.txt          configuration and tokenizer, which the runtimes read

Each file holds its weights. Batches and lengths are free, of the U-ViT height and width too.
"""

from __future__ import annotations

import copy
import logging
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .int8 import quantize
from .operators import accurate_operators
from .sessions import FOLDER, library

TOLERANCE = 1e-4  # absolute, and relative to what is larger than 1
OPSET = 20


def export_onnx(model: Any, output: str | Path, *, int8: bool = False) -> list[Path]:
    """Export a model to ONNX.

    Every written float32 file is run by onnxruntime at two other sizes than those it was traced with and compared with
    torch. An export that fails writes nothing.

    Args:
        model: folder or repository id of a saved model; or a pipeline or model of the package: reader, triples, U-ViT
            or generator. It is not changed.
        output: folder, created if needed; networks of an earlier export are removed, other files stay. It may be the
            folder of the model, where networks of other names stay, too.
        int8: write int8 files too, with weights as 8-bit integers; for the models of texts.

    Returns:
        The ONNX files.

    Raises:
        ImportError: without the extra `onnx`.
        TypeError: for another model.
        ValueError: if there is no such model, `output` is a file or the folder of another saved model, or int8 is
            asked of a model of images.
        RuntimeError: if onnxruntime computes anything else than torch.
    """
    from .networks import networks_of

    for name in ("onnx", "onnxscript", "onnxruntime"):
        library(name)
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise ValueError(f"output must be a folder, and {output} is a file.")
    in_place = isinstance(model, str | Path) and Path(model).exists() and output.exists() and output.samefile(model)
    if not in_place and any(output.rglob("*.safetensors")):
        raise ValueError(
            f"{output} holds a saved model, whose configuration would be replaced: choose another folder."
        )
    pipeline = _loaded(model) if isinstance(model, str | Path) else model
    parts = _networks_in(pipeline)
    networks = [network for name, part in parts.items() for network in networks_of(_prepared(part), name)]
    if int8 and any(not hasattr(part.config, "word_vocab_size") for part in parts.values()):
        raise ValueError("int8 is for models of texts; pictures would suffer, and nothing here measures how much.")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".onnx-", dir=output) as beside:
        written = Path(beside)
        for network in networks:
            path = written / f"{network.name}.onnx"
            _export(network, path)
            check(network, path)
            if int8:
                quantize(path, written / f"{network.name}.int8.onnx")
        (output / FOLDER).mkdir(exist_ok=True)
        files = sorted(written.glob("*.onnx"))
        if not in_place:
            for path in (output / FOLDER).glob("*.onnx"):
                path.unlink()
        for path in files:
            os.replace(path, output / FOLDER / path.name)
    if not in_place:
        _save_beside(pipeline, parts, output)
    return [output / FOLDER / path.name for path in files]


def check(network: Any, path: Path, tolerance: float = TOLERANCE) -> float:
    """Compare an exported network with torch at sizes that it was not traced with.

    Args:
        network: `networks.Network`.
        path: of the ONNX file.
        tolerance: of each value, absolute, and relative where it is larger than 1.

    Returns:
        The largest difference found.

    Raises:
        RuntimeError: if a difference is larger, or a shape another one.
    """
    import torch

    from .networks import CHECKED

    session = library("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    for sizes in CHECKED:
        sizes = {name: min(size, network.longest.get(name, size)) for name, size in sizes.items()}
        inputs = network.inputs(sizes)
        with torch.no_grad():
            expected: Any = network.module(**inputs)
        expected = expected if isinstance(expected, tuple) else (expected,)
        found = session.run(network.outputs, {name: value.numpy() for name, value in inputs.items()})
        for name, one, other in zip(network.outputs, found, expected):
            reference = other.numpy()
            if one.shape != reference.shape:
                raise RuntimeError(f"{path.name}: {name} has the shape {one.shape}, in torch {reference.shape}.")
            difference = np.abs(one - reference) / np.maximum(np.abs(reference), 1)
            largest = float(difference.max(initial=0.0))
            if not largest <= tolerance:  # NaN too
                raise RuntimeError(
                    f"{path.name}: {name} differs from torch by {largest:.2g} at {sizes}, allowed is {tolerance}. "
                    "Nothing was written."
                )
            worst = max(worst, largest)
    return worst


def _loaded(model: str | Path) -> Any:
    from ..inference.saved_models import load_pipeline

    return load_pipeline(str(model), device="cpu")


def _networks_in(pipeline: Any) -> dict[str, Any]:
    """The models to export by the names of their files."""
    from torch import nn

    if isinstance(pipeline, nn.Module):
        return {"model": pipeline}
    components = getattr(pipeline, "components", None)
    if isinstance(components, dict):
        return {name: part for name, part in components.items() if isinstance(part, nn.Module)}
    if isinstance(getattr(pipeline, "model", None), nn.Module):
        return {"model": pipeline.model}
    raise TypeError(f"model must be a folder, a repository id, a pipeline or a model; got {type(pipeline).__name__}.")


def _prepared(model: Any) -> Any:
    """A copy in float32 and evaluation mode, on the CPU."""
    import torch

    from .products import with_products

    copied = copy.deepcopy(model).eval().requires_grad_(False)
    return with_products(torch.nn.Module.to(copied, device="cpu", dtype=torch.float32))  # that of diffusers warns


def _export(network: Any, path: Path) -> None:
    import torch

    from .networks import TRACED

    inputs, free = network.inputs(TRACED), network.dynamic_shapes()
    shapes = {name: free.get(name, {}) for name in inputs}
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # it reports that torchvision is not installed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own parts about each other
            torch.onnx.export(
                network.module.eval(), (), path, kwargs=inputs, input_names=list(inputs), output_names=network.outputs,
                dynamic_shapes=shapes, opset_version=OPSET, dynamo=True, external_data=False,
                verbose=False, custom_translation_table=accurate_operators(),
            )  # fmt: skip
    finally:
        log.setLevel(level)


def _save_beside(pipeline: Any, parts: dict[str, Any], output: Path) -> None:
    """What the runtimes read beside the networks."""
    if list(parts) == ["model"]:
        (model,) = parts.values()
        save = getattr(model.config, "save_pretrained", None) or model.save_config
        save(output)
        tokenizer = getattr(pipeline, "tokenizer", None)
        if tokenizer is not None:
            tokenizer.save_pretrained(output)

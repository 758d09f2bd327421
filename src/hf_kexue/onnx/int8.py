"""Weights as 8-bit integers; activations are quantized while the network runs ("dynamic")."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from .sessions import library


def quantize(path: Path, output: Path) -> None:
    """Write a float32 network with int8 weights.

    Args:
        path: of the network.
        output: of the int8 one.

    Raises:
        ImportError: without onnx or onnxruntime.
    """
    quantization = library("onnxruntime.quantization")
    preprocess = library("onnxruntime.quantization.shape_inference").quant_pre_process
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it advises to pre-process, which has been done
    try:
        with tempfile.TemporaryDirectory(prefix=".int8-", dir=output.parent) as beside:
            prepared = Path(beside) / path.name
            # Without it weights behind a reshape are no initializers, and quantization refuses them.
            preprocess(path, prepared, skip_symbolic_shape=True)
            quantization.quantize_dynamic(prepared, output, weight_type=quantization.QuantType.QInt8, per_channel=True)
    finally:
        logging.getLogger().setLevel(level)

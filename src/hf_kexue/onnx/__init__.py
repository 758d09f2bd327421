"""The models without torch: export to ONNX, and runtimes that import only onnxruntime, numpy, tokenizers and rjieba.

    export_onnx("model_cards/dgcnn-qa-zh", "reader")
    OnnxReader("reader")(question="谁发现了镭？", context="居里夫妇发现了镭。")

`export_onnx` needs torch, transformers and `pip install "hf-kexue[onnx]"`; the runtimes need what they import. This
module itself needs neither.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .export import export_onnx
    from .reader import OnnxReader
    from .triples import OnnxTripleExtractor

__all__ = ["OnnxReader", "OnnxTripleExtractor", "export_onnx"]

_MODULE_OF = {"OnnxReader": "reader", "OnnxTripleExtractor": "triples", "export_onnx": "export"}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'hf_kexue.onnx' has no attribute {name!r}")
        return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)

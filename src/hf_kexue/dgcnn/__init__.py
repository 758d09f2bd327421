"""Dilated gated CNN (DGCNN): one light trunk; heads for masked characters, reading comprehension and triples.

Names load when they are first used: `registration` needs the configuration at a time when transformers has not loaded
all that the pipeline needs.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULE_OF = {
    "DGCNNConfig": "configuration_dgcnn",
    "DGCNNForMaskedLM": "modeling_dgcnn",
    "DGCNNForQuestionAnswering": "modeling_dgcnn",
    "DGCNNForTripleExtraction": "modeling_dgcnn_triples",
    "DGCNNModel": "modeling_dgcnn",
    "DGCNNTokenizer": "tokenization_dgcnn",
    "ReadingComprehensionPipeline": "pipeline_dgcnn_qa",
    "TripleExtractionPipeline": "pipeline_dgcnn_triples",
    "TriplePrior": "prior_dgcnn",
    "to_html": "view_dgcnn_triples",
    "to_networkx": "view_dgcnn_triples",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'hf_kexue.dgcnn' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)

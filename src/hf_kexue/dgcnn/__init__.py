"""Dilated gated CNN (DGCNN): one light trunk; heads for masked characters, reading comprehension and triples.

Names load when they are first used: `registration` needs the configuration at a time when transformers has not loaded
all that the pipeline needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .configuration_dgcnn import DGCNNConfig
    from .modeling_dgcnn import DGCNNForMaskedLM, DGCNNForQuestionAnswering, DGCNNModel
    from .modeling_dgcnn_triples import DGCNNForTripleExtraction
    from .pipeline_dgcnn_qa import ReadingComprehensionPipeline
    from .pipeline_dgcnn_triples import TripleExtractionPipeline
    from .prior_dgcnn import TriplePrior
    from .tokenization_dgcnn import DGCNNTokenizer
    from .view_dgcnn_triples import to_html, to_networkx

__all__ = [
    "DGCNNConfig",
    "DGCNNForMaskedLM",
    "DGCNNForQuestionAnswering",
    "DGCNNForTripleExtraction",
    "DGCNNModel",
    "DGCNNTokenizer",
    "ReadingComprehensionPipeline",
    "TripleExtractionPipeline",
    "TriplePrior",
    "to_html",
    "to_networkx",
]

_PUBLIC = {
    "configuration_dgcnn": ["DGCNNConfig"],
    "modeling_dgcnn": ["DGCNNForMaskedLM", "DGCNNForQuestionAnswering", "DGCNNModel"],
    "modeling_dgcnn_triples": ["DGCNNForTripleExtraction"],
    "pipeline_dgcnn_qa": ["ReadingComprehensionPipeline"],
    "pipeline_dgcnn_triples": ["TripleExtractionPipeline"],
    "prior_dgcnn": ["TriplePrior"],
    "tokenization_dgcnn": ["DGCNNTokenizer"],
    "view_dgcnn_triples": ["to_html", "to_networkx"],
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'hf_kexue.dgcnn' has no attribute {name!r}")
        return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)

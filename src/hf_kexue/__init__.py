"""The articles of kexue.fm as models of the Hugging Face ecosystem.

Public names load when they are first used: `import hf_kexue` itself costs nothing and prints nothing. It makes the
`Auto*` classes and `pipeline` of transformers know its models (`registration`).
"""

from __future__ import annotations

import importlib
from typing import Any

from .registration import register_when_loaded

__version__ = "0.1.0"

_PUBLIC = {
    "hf_kexue.dgcnn": [
        "DGCNNConfig",
        "DGCNNForMaskedLM",
        "DGCNNForQuestionAnswering",
        "DGCNNForTripleExtraction",
        "DGCNNModel",
        "DGCNNTokenizer",
        "ReadingComprehensionPipeline",
        "TripleExtractionPipeline",
        "TriplePrior",
    ],
    "hf_kexue.rsgan": [
        "RSGANDiscriminator",
        "RSGANGenerator",
        "RSGANPipeline",
        "gradient_penalty_finite_difference",
        "relativistic_loss",
        "wgan_gradient_penalty",
        "zero_centered_gradient_penalty",
    ],
    "hf_kexue.simple_diffusion": [
        "ShiftedCosineScheduler",
        "SimpleDiffusionPipeline",
        "SimpleDiffusionUViT2DModel",
        "simple_diffusion_loss",
    ],
    "hf_kexue.metrics": [
        "cmrc2018_scores",
        "frechet_distance",
        "kernel_distance",
        "sogouqa_scores",
        "webqa_scores",
    ],
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'hf_kexue' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


register_when_loaded()

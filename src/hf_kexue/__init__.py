"""The articles of kexue.fm as models of the Hugging Face ecosystem.

Public names load when they are first used: `import hf_kexue` itself costs nothing and prints nothing. It makes the
`Auto*` classes and `pipeline` of transformers know its models (`registration`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .registration import register_when_loaded

if TYPE_CHECKING:
    from .collections import PassageCollection
    from .dgcnn import (
        DGCNNConfig,
        DGCNNForMaskedLM,
        DGCNNForQuestionAnswering,
        DGCNNForTripleExtraction,
        DGCNNModel,
        DGCNNTokenizer,
        ReadingComprehensionPipeline,
        TripleExtractionPipeline,
        TriplePrior,
    )
    from .metrics import (
        cmrc2018_scores,
        frechet_distance,
        kernel_distance,
        sogouqa_scores,
        triple_scores,
        webqa_scores,
    )
    from .rsgan import (
        RSGANDiscriminator,
        RSGANGenerator,
        RSGANPipeline,
        gradient_penalty_finite_difference,
        relativistic_loss,
        wgan_gradient_penalty,
        zero_centered_gradient_penalty,
    )
    from .simple_diffusion import (
        ShiftedCosineScheduler,
        ShiftedFlowScheduler,
        SimpleDiffusionImageToImagePipeline,
        SimpleDiffusionInpaintPipeline,
        SimpleDiffusionPipeline,
        SimpleDiffusionTextToImagePipeline,
        SimpleDiffusionUpscalePipeline,
        SimpleDiffusionUViT2DModel,
        resolution_shift_of,
        simple_diffusion_loss,
    )

__version__ = "0.1.0"

__all__ = [
    "DGCNNConfig",
    "DGCNNForMaskedLM",
    "DGCNNForQuestionAnswering",
    "DGCNNForTripleExtraction",
    "DGCNNModel",
    "DGCNNTokenizer",
    "PassageCollection",
    "RSGANDiscriminator",
    "RSGANGenerator",
    "RSGANPipeline",
    "ReadingComprehensionPipeline",
    "ShiftedCosineScheduler",
    "ShiftedFlowScheduler",
    "SimpleDiffusionImageToImagePipeline",
    "SimpleDiffusionInpaintPipeline",
    "SimpleDiffusionPipeline",
    "SimpleDiffusionTextToImagePipeline",
    "SimpleDiffusionUViT2DModel",
    "SimpleDiffusionUpscalePipeline",
    "TripleExtractionPipeline",
    "TriplePrior",
    "__version__",
    "cmrc2018_scores",
    "frechet_distance",
    "gradient_penalty_finite_difference",
    "kernel_distance",
    "relativistic_loss",
    "resolution_shift_of",
    "simple_diffusion_loss",
    "sogouqa_scores",
    "triple_scores",
    "webqa_scores",
    "wgan_gradient_penalty",
    "zero_centered_gradient_penalty",
]

# What type checkers and editors read above happens here, name by name; a test compares the two.
_PUBLIC = {
    "collections": ["PassageCollection"],
    "dgcnn": [
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
    "metrics": [
        "cmrc2018_scores",
        "frechet_distance",
        "kernel_distance",
        "sogouqa_scores",
        "triple_scores",
        "webqa_scores",
    ],
    "rsgan": [
        "RSGANDiscriminator",
        "RSGANGenerator",
        "RSGANPipeline",
        "gradient_penalty_finite_difference",
        "relativistic_loss",
        "wgan_gradient_penalty",
        "zero_centered_gradient_penalty",
    ],
    "simple_diffusion": [
        "ShiftedCosineScheduler",
        "ShiftedFlowScheduler",
        "SimpleDiffusionImageToImagePipeline",
        "SimpleDiffusionInpaintPipeline",
        "SimpleDiffusionPipeline",
        "SimpleDiffusionTextToImagePipeline",
        "SimpleDiffusionUViT2DModel",
        "SimpleDiffusionUpscalePipeline",
        "resolution_shift_of",
        "simple_diffusion_loss",
    ],
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}


# Not for type checkers: they would take any misspelt name for something.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'hf_kexue' has no attribute {name!r}")
        return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)


register_when_loaded()

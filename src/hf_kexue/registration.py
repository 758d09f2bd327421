"""Register the models of this package with the `Auto*` classes and `pipeline(task)` of transformers.

Registering needs the classes, which import torch and transformers and take seconds. So `import hf_kexue` only installs
an import hook: as soon as transformers loads its `Auto` classes or its pipelines, ours are added to them. If
transformers has loaded them already, they are added at once.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def _configurations(auto: Any) -> None:
    from .dgcnn.configuration_dgcnn import DGCNNConfig

    auto.AutoConfig.register("dgcnn", DGCNNConfig, exist_ok=True)


def _models(auto: Any) -> None:
    from .dgcnn import modeling_dgcnn as dgcnn
    from .dgcnn.modeling_dgcnn_triples import DGCNNForTripleExtraction

    for auto_class, model in (
        (auto.AutoModel, dgcnn.DGCNNModel),
        (auto.AutoModelForMaskedLM, dgcnn.DGCNNForMaskedLM),
        (auto.AutoModelForQuestionAnswering, dgcnn.DGCNNForQuestionAnswering),
        (auto.AutoModelForTokenClassification, DGCNNForTripleExtraction),
    ):
        auto_class.register(dgcnn.DGCNNConfig, model, exist_ok=True)


def _tokenizers(auto: Any) -> None:
    from .dgcnn.configuration_dgcnn import DGCNNConfig
    from .dgcnn.tokenization_dgcnn import DGCNNTokenizer

    auto.AutoTokenizer.register(DGCNNConfig, tokenizer_class=DGCNNTokenizer, exist_ok=True)


def _pipelines(pipelines: Any) -> None:
    from transformers import AutoModelForQuestionAnswering, AutoModelForTokenClassification

    from .dgcnn.pipeline_dgcnn_qa import ReadingComprehensionPipeline
    from .dgcnn.pipeline_dgcnn_triples import TripleExtractionPipeline

    for task, pipeline, auto_model in (
        ("kexue-question-answering", ReadingComprehensionPipeline, AutoModelForQuestionAnswering),
        ("kexue-triple-extraction", TripleExtractionPipeline, AutoModelForTokenClassification),
    ):
        pipelines.PIPELINE_REGISTRY.register_pipeline(task, pipeline, pt_model=auto_model, type="text")
        # Left on the class, it would make every save_pretrained write the pipeline's code files too.
        del pipeline._registered_impl


STEPS: dict[str, Callable[[Any], None]] = {
    "transformers.models.auto.configuration_auto": _configurations,
    "transformers.models.auto.modeling_auto": _models,
    "transformers.models.auto.tokenization_auto": _tokenizers,
    "transformers.pipelines": _pipelines,
}
FAMILIES = ("hf_kexue.dgcnn.",)


class _Registrar(MetaPathFinder):
    """Run a registration step once its module of transformers has been imported, but never while a module of ours is
    being imported: that module may have triggered the import, and the step may need it. Modules are located by the
    usual finders."""

    def __init__(self) -> None:
        self.steps = dict(STEPS)
        self.loaded = {name for name in STEPS if name in sys.modules}
        self.resolving: set[str] = set()
        self.running = 0

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        ours = fullname.startswith(FAMILIES)
        if not (ours or fullname in STEPS) or fullname in self.resolving:
            return None
        self.resolving.add(fullname)  # find_spec calls this method again
        spec = importlib.util.find_spec(fullname)
        self.resolving.discard(fullname)
        if spec is None or spec.loader is None:
            return spec
        run = spec.loader.exec_module

        def run_and_register(module: ModuleType) -> None:
            self.running += ours
            try:
                run(module)
            finally:
                self.running -= ours
            if not ours:
                self.loaded.add(fullname)
            try:
                self.register()
            except BaseException:
                self.loaded.discard(fullname)  # its import fails and may be retried
                raise

        spec.loader.exec_module = run_and_register  # type: ignore[method-assign]
        return spec

    def register(self) -> None:
        """Run the steps whose modules are loaded. A step imports modules and so may call this method again."""
        for name in list(self.steps):
            if name in self.loaded and name in self.steps and not self.running:
                step = self.steps.pop(name)
                try:
                    step(sys.modules[name])
                except BaseException:
                    self.steps[name] = step  # retried at the next import
                    raise


def register_when_loaded() -> None:
    """Register with the modules that transformers has loaded, and with the others once it loads them."""
    registrar = _Registrar()
    sys.meta_path.insert(0, registrar)
    registrar.register()

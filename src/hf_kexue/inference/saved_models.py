"""Saved models of all families: which one a folder or a repository of the Hub holds, and the pipeline that uses it.

    load_pipeline("model_cards/dgcnn-qa-zh")                 # ReadingComprehensionPipeline
    load_pipeline("user/name", "SimpleDiffusionPipeline", "RSGANPipeline")

Looking at a folder imports nothing heavy; a repository is looked at through diffusers and transformers.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

IMAGES = {"SimpleDiffusionPipeline": "a pipeline of simple diffusion", "RSGANPipeline": "a pipeline of a GAN"}
TEXTS = {"DGCNNForQuestionAnswering": "a reader", "DGCNNForTripleExtraction": "a model for triples"}
KINDS = IMAGES | TEXTS
"""Class that a saved model names -> what it is called in a sentence."""

_REPOSITORY = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def saved_class(model: str, *expected: str) -> str:
    """The class of a saved model.

    Args:
        model: folder, or repository id.
        expected: names of `KINDS`; none given: any of them.

    Raises:
        ValueError: if it is none of the expected ones, or nothing is there; saying what is.
    """
    names = expected or tuple(KINDS)
    what = " or ".join(KINDS[name] for name in names)
    config = _config(model, names, what)
    found = config.get("_class_name") or (config.get("architectures") or ["no model"])[0]
    found = found[-1] if isinstance(found, list) else found  # ["file", "class"] where the code is in the repository
    if found not in names:
        raise ValueError(f"{model} holds {found}, not {what} ({', '.join(names)}).")
    return found


def load_pipeline(model: str, *expected: str) -> Any:
    """What a model is used through: `SimpleDiffusionPipeline`, `RSGANPipeline`, `ReadingComprehensionPipeline` or
    `TripleExtractionPipeline`.

    Args:
        model: folder, or repository id.
        expected: as of `saved_class`.

    Raises:
        ValueError: as `saved_class`.
        OSError: for files that are missing or broken.
    """
    name = saved_class(model, *expected)
    if name == "SimpleDiffusionPipeline":
        from ..simple_diffusion import SimpleDiffusionPipeline

        return SimpleDiffusionPipeline.from_pretrained(model)
    if name == "RSGANPipeline":
        from ..rsgan import RSGANPipeline

        return RSGANPipeline.from_pretrained(model)
    from .. import dgcnn

    pipeline = {
        "DGCNNForQuestionAnswering": dgcnn.ReadingComprehensionPipeline,
        "DGCNNForTripleExtraction": dgcnn.TripleExtractionPipeline,
    }[name]
    tokenizer = dgcnn.DGCNNTokenizer.from_pretrained(model)
    return pipeline(model=getattr(dgcnn, name).from_pretrained(model), tokenizer=tokenizer)


def _config(model: str, names: tuple[str, ...], what: str) -> dict[str, Any]:
    """Contents of model_index.json or config.json, whichever models of these names have."""
    files = [file for file, kinds in (("model_index.json", IMAGES), ("config.json", TEXTS)) if kinds.keys() & names]
    if not Path(model).is_dir() and _REPOSITORY.fullmatch(model):
        return _config_of_repository(model, files)
    for file in ("model_index.json", "config.json"):  # the other one may say what the folder holds in fact
        path = Path(model) / file
        if path.is_file():
            return _read(path)
    raise ValueError(f"{model} is not the folder of {what}: it has no {' or '.join(files)}.")


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is broken: {error}.") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} is broken: it holds no object.")
    return config


def _config_of_repository(model: str, files: list[str]) -> dict[str, Any]:
    from diffusers import DiffusionPipeline
    from transformers import PreTrainedConfig

    readers = {"model_index.json": DiffusionPipeline.load_config, "config.json": PreTrainedConfig.get_config_dict}
    for file in files:
        try:
            found: Any = readers[file](model)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split()).split(". ")[0].rstrip(".")
        else:
            return found[0] if isinstance(found, tuple) else found
    raise ValueError(
        f"There is no folder {model}, and {' or '.join(files)} of a repository of that name did not come from the "
        f"Hub: {reason}."
    )

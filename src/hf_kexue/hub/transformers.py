"""A pipeline or a model of transformers as a repository with its code."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

TASK = {  # transformers has dropped its pipeline for the first and never had one for the second
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForTokenClassification": "triple-extraction",
}
LEFT_BY_LOADING = ("is_local", "local_files_only")  # how a tokenizer was loaded; transformers saves that too


def save_with_code(source: Any, folder: Path) -> None:
    """Save a pipeline or a model, and the modules of its classes with the siblings that they import.

    The classes are marked as remote code only while saving, so later calls of `save_pretrained` write no code.

    Args:
        source: `transformers.Pipeline` with a model of this package, or a `PreTrainedModel` of this package.
        folder: target.

    Raises:
        ValueError: for a model class that is not registered with an `Auto` class, or a pipeline whose model has no
            task.
    """
    from transformers import Pipeline

    is_pipeline = isinstance(source, Pipeline)
    model = source.model if is_pipeline else source
    auto_class = auto_class_of(model)
    if is_pipeline and auto_class.__name__ not in TASK:
        raise ValueError(f"The model of a pipeline must be one of {sorted(TASK)}, got {auto_class.__name__}.")
    marks = {type(model.config): "AutoConfig", type(model): auto_class.__name__}
    if is_pipeline and source.tokenizer is not None:
        marks[type(source.tokenizer)] = "AutoTokenizer"
    unmarked: dict[Any, str | None] = {part: part._auto_class for part in marks}
    config = model.config
    model.config = copy.deepcopy(config)  # saving changes it
    try:
        for part, name in marks.items():
            part.register_for_auto_class(name)
        if is_pipeline:
            task = {"impl": type(source), "pt": (auto_class,), "type": "text"}
            source._registered_impl = {TASK[auto_class.__name__]: task}
        source.save_pretrained(folder)
    finally:
        model.config = config
        for part, previous in unmarked.items():
            part._auto_class = previous
        if is_pipeline:
            vars(source).pop("_registered_impl", None)
    path = folder / "tokenizer_config.json"
    if path.is_file():
        saved = json.loads(path.read_text(encoding="utf-8"))
        kept = {key: value for key, value in saved.items() if key not in LEFT_BY_LOADING}
        path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def auto_class_of(model: Any) -> Any:
    """The `AutoModel` or `AutoModelFor...` that the class of a model is registered with."""
    from transformers.models.auto import modeling_auto

    for name, auto_class in vars(modeling_auto).items():
        mapping = getattr(auto_class, "_model_mapping", None) if name.startswith("AutoModel") else None
        if mapping is not None and type(model.config) in mapping and mapping[type(model.config)] is type(model):
            return auto_class
    raise ValueError(
        f"{type(model).__name__} is not registered with an Auto class of transformers, as the models of hf_kexue are."
    )

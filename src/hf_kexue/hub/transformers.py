"""A pipeline or a model of transformers as a repository with its code."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

TASK = {  # transformers itself has a pipeline for the first no more, and never had one for the second
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForTokenClassification": "triple-extraction",
}
LEFT_BY_LOADING = ("is_local", "local_files_only")  # how a tokenizer was loaded here; transformers saves it with it


def save_with_code(source: Any, folder: Path) -> None:
    """Save a pipeline or a model, and the modules of its classes with the siblings that they import.

    The classes are marked as remote code for the time of saving only; what is saved later is saved as ever.

    Args:
        source: `transformers.Pipeline` with a model of this package, or a `PreTrainedModel` of this package.
        folder: where to.

    Raises:
        ValueError: for a model of a class that no `Auto` class of transformers knows, or a pipeline around a model
            without a task.
    """
    from transformers import Pipeline

    is_pipeline = isinstance(source, Pipeline)
    model = source.model if is_pipeline else source
    auto_class = auto_class_of(model)
    if is_pipeline and auto_class.__name__ not in TASK:
        raise ValueError(f"A pipeline needs one of {sorted(TASK)} to be exported, got {auto_class.__name__}.")
    marks = {type(model.config): "AutoConfig", type(model): auto_class.__name__}
    if is_pipeline and source.tokenizer is not None:
        marks[type(source.tokenizer)] = "AutoTokenizer"
    unmarked: dict[Any, str | None] = {part: part._auto_class for part in marks}
    config = model.config
    model.config = copy.deepcopy(config)  # saving writes into it
    try:
        for part, name in marks.items():
            part.register_for_auto_class(name)
        if is_pipeline:
            own = {"impl": type(source), "pt": (auto_class,), "type": "text"}
            source._registered_impl = {TASK[auto_class.__name__]: own}
        source.save_pretrained(folder)
    finally:
        model.config = config
        for part, was in unmarked.items():
            part._auto_class = was
        if is_pipeline:
            vars(source).pop("_registered_impl", None)
    _forget_loading(folder / "tokenizer_config.json")


def auto_class_of(model: Any) -> Any:
    """The `AutoModel` or `AutoModelFor...` that this very class is registered with."""
    from transformers.models.auto import modeling_auto

    for name, found in vars(modeling_auto).items():
        mapping = getattr(found, "_model_mapping", None) if name.startswith("AutoModel") else None
        if mapping is not None and type(model.config) in mapping and mapping[type(model.config)] is type(model):
            return found
    raise ValueError(
        f"No Auto class of transformers knows {type(model).__name__}; a repository can hold a model that is "
        "registered with one, as those of hf_kexue are."
    )


def _forget_loading(path: Path) -> None:
    if path.is_file():
        config = json.loads(path.read_text(encoding="utf-8"))
        kept = {key: value for key, value in config.items() if key not in LEFT_BY_LOADING}
        path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

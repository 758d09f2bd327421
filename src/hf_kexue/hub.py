"""A model as a Hub repository: a folder that works with the package and without it.

    export_repository(ReadingComprehensionPipeline(model=model, tokenizer=tokenizer), "my-reader")

    config.json               configuration; which class in which file stands behind `Auto*` and `pipeline`
    model.safetensors         weights
    tokenizer.json, ...       of a pipeline: its tokenizer
    *.py                      the modules of the classes, and the siblings that they import

With `import hf_kexue` its own classes load such a folder, and the code in it is not looked at. Elsewhere
`from_pretrained` and `pipeline` take the code in the folder, if `trust_remote_code=True` allows it.

Knows models of transformers; a pipeline of diffusers is a repository as its `save_pretrained` leaves it.
"""

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


def export_repository(source: Any, folder: str | Path) -> Path:
    """Write a pipeline or a model as a Hub repository, with the code that loads it where the package is not installed.

    A pipeline is found there under the name of its task: `pipeline("question-answering", model=folder,
    trust_remote_code=True)` for a reader, `"triple-extraction"` for a model that extracts triples.
    The classes are marked as remote code for the time of saving only; what is saved later is saved as ever.

    Args:
        source: `transformers.Pipeline` with a model of this package, or a `PreTrainedModel` of this package.
        folder: where to; made if it is not there. Files of the same names are overwritten, others stay.

    Returns:
        The folder.

    Raises:
        TypeError: for anything else.
        ValueError: for a model of a class that no `Auto` class of transformers knows, a pipeline around a model
            without a task, or a folder that is a file.
    """
    from transformers import Pipeline, PreTrainedModel

    is_pipeline = isinstance(source, Pipeline)
    model = source.model if is_pipeline else source
    if not isinstance(model, PreTrainedModel):
        raise TypeError(f"A repository is made of a pipeline or a model of transformers, got {type(source).__name__}.")
    folder = Path(folder)
    if folder.is_file():
        raise ValueError(f"A repository is a folder, and {folder} is a file.")
    auto_class = _auto_class(model)
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
    return folder


def _auto_class(model: Any) -> Any:
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

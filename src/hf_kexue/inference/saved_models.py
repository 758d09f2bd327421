"""Find the kind of a saved model in a folder or a repository of the Hub, and load it.

    saved_kind("model_cards/dgcnn-qa-zh")                       # READER of `kinds`
    load_pipeline("user/name", SIMPLE_DIFFUSION, GAN)           # a pipeline of one of these kinds

For a folder nothing heavy is imported; the configuration of a repository is read by diffusers or transformers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .kinds import KINDS, Kind

REPOSITORY = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
FILES = ("model_index.json", "config.json")  # of diffusers, of transformers


def saved_kind(model: str, *expected: Kind) -> Kind:
    """The kind of a saved model.

    Args:
        model: folder, or repository id.
        expected: allowed kinds; default: any.

    Raises:
        ValueError: for another kind, naming it, or if there is no model.
    """
    kinds = expected or tuple(KINDS)
    words = " or ".join(kind.words for kind in kinds)
    files = [file for file in FILES if any(kind.file == file for kind in kinds)]
    if not Path(model).is_dir() and REPOSITORY.fullmatch(model):
        config = _config_of_repository(model, files)
    else:  # the configuration of the other library names the actual class
        path = next((path for path in (Path(model) / file for file in FILES) if path.is_file()), None)
        if path is None:
            raise ValueError(f"{model} is not the folder of {words}: it has no {' or '.join(files)}.")
        config = _read(path)
    class_name = config.get("_class_name") or (config.get("architectures") or ["no model"])[0]
    class_name = (
        class_name[-1] if isinstance(class_name, list) else class_name
    )  # ["file", "class"] where the code is in the repository
    parts = [key for key, value in config.items() if isinstance(value, list | tuple) and any(value)]
    for kind in kinds:
        if kind.holds([class_name], parts):
            return kind
    raise ValueError(f"{model} holds {class_name}, not {words} ({', '.join(kind.class_name for kind in kinds)}).")


def load_pipeline(model: str, *expected: Kind, device: str | None = None, dtype: str | None = None) -> Any:
    """Load the pipeline of a saved model.

    Args:
        model: folder, or repository id.
        expected: as of `saved_kind`.
        device, dtype: as of `Kind.load`.

    Raises:
        ValueError: as `saved_kind` and `Kind.load`.
        OSError: for missing or broken files.
    """
    return saved_kind(model, *expected).load(model, device, dtype)


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is broken: {error}.") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} is broken: it is not a JSON object.")
    return config


def _config_of_repository(model: str, files: Sequence[str]) -> dict[str, Any]:
    from diffusers import DiffusionPipeline
    from transformers import PreTrainedConfig

    readers = {"model_index.json": DiffusionPipeline.load_config, "config.json": PreTrainedConfig.get_config_dict}
    for file in files:
        try:
            config: Any = readers[file](model)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split()).split(". ")[0].rstrip(".")
        else:
            return config[0] if isinstance(config, tuple) else config
    raise ValueError(
        f"There is no folder {model}, and {' or '.join(files)} of the repository {model} could not be loaded from the "
        f"Hub: {reason}."
    )

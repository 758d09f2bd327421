"""What a folder must be to become a Hub repository: whole, readable, and nothing in it runs when weights are read."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
from collections.abc import Container
from pathlib import Path, PurePosixPath
from typing import Any

from .remote_code import code_of, diffusers_classes, is_saved_model, transformers_classes

PICKLED = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
CONFIGURATIONS = ("config.json", "model_index.json", "tokenizer_config.json")
PASSED_OVER = {"__pycache__", ".git", ".cache"}


def check_repository(folder: str | Path) -> list[Path]:
    """Look a folder through before it is published.

    Args:
        folder: of a model, a pipeline or a tokenizer.

    Returns:
        Its files, relative to it and sorted, without hidden ones and Python's caches.

    Raises:
        ValueError: for a folder without a configuration, a pickled file, a link that leads outside, a name that no
            system takes, JSON that cannot be read, safetensors that are cut off or damaged, and a configuration that
            names what the folder does not hold. Code of this package may be missing: `publish` adds it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"A repository is a folder, and {folder} is none.")
    paths = _files(folder)
    if not is_saved_model(folder):
        raise ValueError(f"{folder} holds none of {', '.join(CONFIGURATIONS)}: it is no saved model.")
    for path in paths:
        if path.suffix.lower() in PICKLED:
            raise ValueError(
                f"{path} may be a pickled file, which can run code when read: save_pretrained writes safetensors."
            )
        if path.suffix == ".safetensors":
            _check_weights(folder, path)
    contents = {path: _read(folder, path) for path in paths if path.suffix == ".json"}
    for path, content in contents.items():
        if path.name in CONFIGURATIONS and not isinstance(content, dict):
            raise ValueError(f"{path} must be an object of fields, got {type(content).__name__}.")
    added = code_of(folder)
    for path, content in contents.items():
        if isinstance(content, dict):
            _check_names(folder, path, content, added)
    return paths


def _files(folder: Path) -> list[Path]:
    """Every file that is to be published; links inside the folder are followed."""
    inside, found = folder.resolve(), []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in PASSED_OVER)
        for name in [*folders, *names]:
            whole = Path(parent) / name
            path = whole.relative_to(folder)
            if whole.is_symlink() and (not whole.resolve().is_relative_to(inside) or name in folders):
                raise ValueError(
                    f"{path} is a link to {os.readlink(whole)}: links to folders, or out of {folder}, stay here."
                )
            if not name.isprintable() or set(name) & set('\\:*?"<>|'):
                raise ValueError(f"{str(path)!r} is a name that not every system takes.")
            if name in names and not name.startswith("."):
                if not whole.exists() or not stat.S_ISREG(whole.stat().st_mode):
                    raise ValueError(f"{path} is no file that can be read.")
                found.append(path)
    return sorted(found)


def _read(folder: Path, path: Path) -> Any:
    try:
        return json.loads((folder / path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no JSON: {error}.") from error


def _check_weights(folder: Path, path: Path) -> None:
    """The header says where each tensor lies; the file must end where the last one does."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise ValueError(f"{path} is cut off or damaged ({error}): save it again.") from error


def _check_names(folder: Path, path: Path, content: dict[str, Any], added: Container[Path]) -> None:
    """What a configuration says the repository holds is there or will be added, and within it."""
    named: list[str] = []
    code: list[str] = []
    if path.name.endswith(".safetensors.index.json"):
        named = sorted({str(name) for name in content.get("weight_map", {}).values()})
    elif path.name == "model_index.json":
        own = {key: value for key, value in content.items() if isinstance(value, list) and not key.startswith("_")}
        named = [key for key, value in own.items() if value and value[0] is not None]
        classes = [(place, module) for place, module, _ in diffusers_classes(content)]
        code = [
            f"{place}/{module}.py".lstrip("/") for place, module in classes if not place or not _is_library(module)
        ]
    elif path.name in CONFIGURATIONS:
        code = sorted({f"{module}.py" for module, _ in transformers_classes(content)})
    for name in [*named, *code]:
        parts = PurePosixPath(name).parts
        if ".." in parts or PurePosixPath(name).is_absolute():
            raise ValueError(f"{path} names {name!r}, which the folder does not hold.")
        if not (folder / path.parent / name).exists() and not (name in code and path.parent / name in added):
            raise ValueError(f"{path} names {name!r}, which the folder does not hold.")


def _is_library(module: str) -> bool:
    """Whether diffusers finds a component's class in an installed module, or among its own pipelines."""
    if "." in module or importlib.util.find_spec(module) is not None:
        return True
    diffusers = importlib.util.find_spec("diffusers")
    return bool(diffusers and diffusers.origin and (Path(diffusers.origin).parent / "pipelines" / module).is_dir())

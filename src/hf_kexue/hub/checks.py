"""Checks of a folder before it is published: complete, readable, and without pickled files."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
from collections.abc import Container
from pathlib import Path, PurePosixPath
from typing import Any

from .remote_code import code_of, diffusers_classes, is_saved_model, source_of, transformers_classes

PICKLED = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
CONFIGURATIONS = ("config.json", "model_index.json", "tokenizer_config.json")
PASSED_OVER = {"__pycache__", ".git", ".cache"}


def check_repository(folder: str | Path) -> list[Path]:
    """Check a folder before it is published.

    Args:
        folder: of a model, a pipeline or a tokenizer.

    Returns:
        Its files as sorted relative paths, without hidden ones and Python's caches.

    Raises:
        ValueError: for a missing configuration, a pickled file, a link out of the folder, a file name that is not
            portable, invalid JSON, truncated or damaged safetensors, and a configuration that names a file missing
            from the folder. Code of this package may be missing: `publish` adds it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder} to publish.")
    paths = _files(folder)
    if not is_saved_model(folder):
        raise ValueError(f"{folder} holds none of {', '.join(CONFIGURATIONS)}: it is not a saved model.")
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
    """All files to publish; links inside the folder are followed."""
    root, files = folder.resolve(), []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in PASSED_OVER)
        for name in [*folders, *names]:
            full = Path(parent) / name
            path = full.relative_to(folder)
            if full.is_symlink() and (not full.resolve().is_relative_to(root) or name in folders):
                raise ValueError(
                    f"{path} is a link to {os.readlink(full)}: links to folders or out of {folder} are not published."
                )
            if not name.isprintable() or set(name) & set('\\:*?"<>|'):
                raise ValueError(f"{str(path)!r} is not a portable file name.")
            if name in names and not name.startswith("."):
                if not full.exists() or not stat.S_ISREG(full.stat().st_mode):
                    raise ValueError(f"{path} is not a regular file.")
                files.append(path)
    return sorted(files)


def _read(folder: Path, path: Path) -> Any:
    try:
        return json.loads((folder / path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}.") from error


def _check_weights(folder: Path, path: Path) -> None:
    """Raise unless the file ends where its header says that the last tensor does."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or damaged ({error}): save it again.") from error


def _check_names(folder: Path, path: Path, content: dict[str, Any], added: Container[Path]) -> None:
    """Raise unless every file that a configuration names is in the folder or will be added."""
    named: list[str] = []
    code: list[str] = []
    unknown: set[str] = set()  # files with a class that this package does not define
    if path.name.endswith(".safetensors.index.json"):
        named = sorted({str(name) for name in content.get("weight_map", {}).values()})
    elif path.name == "model_index.json":
        listed = {key: value for key, value in content.items() if isinstance(value, list) and not key.startswith("_")}
        named = [key for key, value in listed.items() if value and value[0] is not None]
        classes = [(place, module) for place, module, _ in diffusers_classes(content)]
        code = [
            f"{place}/{module}.py".lstrip("/") for place, module in classes if not place or not _is_library(module)
        ]
    elif path.name in CONFIGURATIONS:
        code = sorted({f"{module}.py" for module, _ in transformers_classes(content)})
        unknown = {f"{module}.py" for module, name in transformers_classes(content) if not source_of(module, name)}
    for name in [*named, *code]:
        parts = PurePosixPath(name).parts
        if ".." in parts or PurePosixPath(name).is_absolute():
            raise ValueError(f"{path} names {name!r}, which the folder does not hold.")
        will_be_added = name in code and name not in unknown and path.parent / name in added
        if not (folder / path.parent / name).exists() and not will_be_added:
            raise ValueError(f"{path} names {name!r}, which the folder does not hold.")


def _is_library(module: str) -> bool:
    """Whether diffusers can import a component's class from an installed module or one of its own pipelines."""
    if "." in module or importlib.util.find_spec(module) is not None:
        return True
    diffusers = importlib.util.find_spec("diffusers")
    return bool(diffusers and diffusers.origin and (Path(diffusers.origin).parent / "pipelines" / module).is_dir())

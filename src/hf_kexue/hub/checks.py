"""What a folder must be to become a Hub repository: whole, readable, and nothing in it runs when weights are read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path, PurePosixPath
from typing import Any

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
        ValueError: with one sentence, for a folder without a configuration, a pickled file, a link that leads outside,
            a name that no system takes, JSON that cannot be read, safetensors that are cut off or damaged, and a
            configuration that names what the folder does not hold.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"A repository is a folder, and {folder} is none.")
    paths = _files(folder)
    if not any(str(path) in CONFIGURATIONS for path in paths):
        raise ValueError(f"{folder} holds none of {', '.join(CONFIGURATIONS)}: it is no saved model.")
    for path in paths:
        if path.suffix.lower() in PICKLED:
            raise ValueError(
                f"{path} may be a pickled file, which can run code when read: save_pretrained writes safetensors."
            )
        if path.suffix == ".safetensors":
            _check_weights(folder, path)
        if path.suffix == ".json":
            _check_names(folder, path, _read(folder, path))
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


def _check_names(folder: Path, path: Path, content: Any) -> None:
    """What a configuration says the repository holds is there, and within it."""
    if not isinstance(content, dict):
        if path.name in CONFIGURATIONS:
            raise ValueError(f"{path} must be an object of fields, got {type(content).__name__}.")
        return
    named: list[str] = []
    if path.name.endswith(".safetensors.index.json"):
        named = sorted({str(name) for name in content.get("weight_map", {}).values()})
    elif path.name == "model_index.json":
        own = {key: value for key, value in content.items() if isinstance(value, list) and not key.startswith("_")}
        named = [key for key, value in own.items() if value and value[0] is not None]
    elif path.name in CONFIGURATIONS:
        classes = [name for value in dict(content.get("auto_map") or {}).values() for name in _listed(value) if name]
        classes += [str(entry.get("impl")) for entry in dict(content.get("custom_pipelines") or {}).values()]
        named = sorted({f"{name.split('.')[0]}.py" for name in classes if "--" not in name})
    for name in named:
        parts = PurePosixPath(name).parts
        if ".." in parts or PurePosixPath(name).is_absolute() or not (folder / path.parent / name).exists():
            raise ValueError(f"{path} names {name!r}, which the folder does not hold.")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

"""The code that a saved model names: its configurations say which classes in which files, the package has the files.

    config.json, tokenizer_config.json    auto_map and custom_pipelines: "modeling_dgcnn.DGCNNModel"
    model_index.json                      ["modeling_uvit", "SimpleDiffusionUViT2DModel"]

A checkout holds weights and configurations alone; `publish` and `build_repository` of `repository` add these files.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .diffusers import one_file, with_siblings

PACKAGE = Path(__file__).resolve().parents[1]
MODULE = re.compile(r"[a-z_][a-z0-9_]*")


def code_of(folder: Path) -> dict[Path, str]:
    """The code of those classes in the configurations of a saved model that are of this package.

    Args:
        folder: of a model, a pipeline or a tokenizer. Only its configurations are read.

    Returns:
        Path relative to the folder -> source. Files that the configurations do not name as code, or with classes that
        the package does not have, are left out.
    """
    found: dict[Path, str] = {}
    for name in ("config.json", "tokenizer_config.json"):
        for module, class_name in transformers_classes(_object(folder / name)):
            if source := _source(module, class_name):
                found |= {Path(part.name): part.read_text(encoding="utf-8") for part in with_siblings(source)}
    for place, module, class_name in diffusers_classes(_object(folder / "model_index.json")):
        if source := _source(module, class_name):
            found[Path(place, source.name)] = one_file(source)
    return dict(sorted(found.items()))


def missing_code(folder: Path) -> dict[Path, str]:
    """What `code_of` gives and the folder does not hold. A file that it does hold stays what it is."""
    return {path: source for path, source in code_of(folder).items() if not (folder / path).exists()}


def transformers_classes(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Module and class of every entry that a configuration of transformers gives to remote code in its own folder."""
    values = [entry.get("impl") for entry in (config.get("custom_pipelines") or {}).values()]
    for value in (config.get("auto_map") or {}).values():
        values += value if isinstance(value, list) else [value]
    for value in values:
        if value and "--" not in str(value):  # "user/name--module.Class" lies in another repository
            module, _, class_name = str(value).partition(".")
            yield module, class_name


def diffusers_classes(index: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Folder ("" for the pipeline itself), module and class of every entry that a model_index.json names by two."""
    for key, value in index.items():
        is_part = isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)
        if is_part and (key == "_class_name" or not key.startswith("_")):
            yield "" if key == "_class_name" else key, *value


def refresh_code(folder: str | Path) -> list[Path]:
    """Write the code that a saved model names into its folder, over what lies there; all else stays.

    Args:
        folder: of a model, a pipeline or a tokenizer; one that names no code stays as it is.

    Returns:
        The code files.
    """
    written = {Path(folder) / path: source for path, source in code_of(Path(folder)).items()}
    for path, source in written.items():
        path.write_text(source, encoding="utf-8")
    return list(written)


def is_saved_model(folder: Path) -> bool:
    """Whether it holds a configuration that the libraries look for."""
    return any((folder / name).is_file() for name in ("config.json", "model_index.json", "tokenizer_config.json"))


def _object(path: Path) -> dict[str, Any]:
    """Content of a configuration; empty where there is none. `checks` tells what is wrong with one."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content if isinstance(content, dict) else {}


def _source(module: str, class_name: str) -> Path | None:
    """The file of a family that defines a class under this name of a module."""
    if not MODULE.fullmatch(module):
        return None
    for path in sorted(PACKAGE.glob(f"*/{module}.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.ClassDef) and node.name == class_name for node in tree.body):
            return path
    return None

"""The remote code of a saved model: its configurations name classes and files, this package holds those files.

    config.json, tokenizer_config.json    auto_map and custom_pipelines: "modeling_dgcnn.DGCNNModel"
    model_index.json                      ["modeling_uvit", "SimpleDiffusionUViT2DModel"]

A checkout holds only weights and configurations; `publish` and `build_repository` of `repository` add these files.
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
    """The code of all classes of this package that the configurations of a saved model name.

    Args:
        folder: of a model, a pipeline or a tokenizer. Only its configurations are read.

    Returns:
        Path relative to the folder -> source; nothing for classes that this package does not define.
    """
    code: dict[Path, str] = {}
    for name in ("config.json", "tokenizer_config.json"):
        for module, class_name in transformers_classes(_object(folder / name)):
            if source := source_of(module, class_name):
                code |= {Path(part.name): part.read_text(encoding="utf-8") for part in with_siblings(source)}
    for place, module, class_name in diffusers_classes(_object(folder / "model_index.json")):
        if source := source_of(module, class_name):
            code[Path(place, source.name)] = one_file(source)
    return dict(sorted(code.items()))


def missing_code(folder: Path) -> dict[Path, str]:
    """Files of `code_of` that the folder lacks; files that exist are never replaced."""
    return {path: source for path, source in code_of(folder).items() if not (folder / path).exists()}


def transformers_classes(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Module and class of every entry of a transformers configuration whose code lies in the same folder."""
    values = [entry.get("impl") for entry in (config.get("custom_pipelines") or {}).values()]
    for value in (config.get("auto_map") or {}).values():
        values += value if isinstance(value, list) else [value]
    for value in values:
        if value and "--" not in str(value):  # "user/name--module.Class" lies in another repository
            module, _, class_name = str(value).partition(".")
            yield module, class_name


def diffusers_classes(index: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Folder ("" for the pipeline itself), module and class of every entry of a model_index.json."""
    for key, value in index.items():
        is_part = isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)
        if is_part and (key == "_class_name" or not key.startswith("_")):
            yield "" if key == "_class_name" else key, *value


def refresh_code(folder: str | Path) -> list[Path]:
    """Write the code that a saved model names into its folder; older code files are replaced, other files stay.

    Args:
        folder: of a model, a pipeline or a tokenizer.

    Returns:
        The code files.
    """
    written = {Path(folder) / path: source for path, source in code_of(Path(folder)).items()}
    for path, source in written.items():
        path.write_text(source, encoding="utf-8")
    return list(written)


def is_saved_model(folder: Path) -> bool:
    """Whether a folder holds a configuration of transformers or diffusers."""
    return any((folder / name).is_file() for name in ("config.json", "model_index.json", "tokenizer_config.json"))


def _object(path: Path) -> dict[str, Any]:
    """Content of a configuration, empty if it is missing or not an object; `checks` reports those."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content if isinstance(content, dict) else {}


def source_of(module: str, class_name: str) -> Path | None:
    """The file of a family that defines a class in a module of this name."""
    if not MODULE.fullmatch(module):
        return None
    for path in sorted(PACKAGE.glob(f"*/{module}.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.ClassDef) and node.name == class_name for node in tree.body):
            return path
    return None

"""A pipeline of diffusers as a repository with its code.

diffusers fetches one file for the pipeline and one for each component, and not always what those import. So each
module is merged with its siblings into one self-contained file.

    model_index.json                 names these files instead of modules of the package
    pipeline_simple_diffusion.py
    unet/modeling_uvit.py            next to unet/config.json and its weights
    scheduler/scheduling_shifted_cosine.py
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

PACKAGE = __name__.partition(".")[0]
WIDTH = 119  # of a line of merged code


def save_with_code(source: Any, folder: Path) -> None:
    """Save a pipeline with the code of its class and of those components that this package defines.

    Args:
        source: `DiffusionPipeline` of this package; it may have components of diffusers itself.
        folder: target.

    Raises:
        ValueError: for a pipeline of another package.
    """
    if not _is_ours(type(source).__module__):
        raise ValueError(f"{type(source).__name__} is not a pipeline of {PACKAGE}: use its save_pretrained.")
    source.save_pretrained(folder)
    path = folder / "model_index.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    for name, value in index.items():
        if isinstance(value, list) and _is_ours(value[0]):
            index[name] = [_write(value[0], folder / name), value[1]]
    index["_class_name"] = [_write(type(source).__module__, folder), type(source).__name__]
    path.write_text(json.dumps(index, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in folder.rglob("*.json"):  # remove the local path that a part was loaded from
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.pop("_name_or_path", None):
            path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def one_file(path: Path) -> str:
    """Merge a module and all siblings that it imports into one source, the siblings first.

    Args:
        path: of the module; it and its siblings import each other by `from .sibling import name`.

    Raises:
        ValueError: if two files define one name differently, or import each other in another form.
    """
    bodies: list[str] = []
    modules: set[str] = set()
    members: dict[str, set[str]] = {}
    names: dict[str, str] = {}
    postponed = False  # transformers reads annotations of its models, so they become strings only where they were
    for part in with_siblings(path):
        source = part.read_text(encoding="utf-8")
        lines, tree = source.splitlines(), ast.parse(source)
        left_out: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                renamed = any(alias.asname for alias in node.names)
                alone = any(getattr(scope, "body", None) == [node] for scope in ast.walk(tree) if scope is not tree)
                if node.level > 1 or not node.module or renamed or alone:
                    raise ValueError(f"{part.name}:{node.lineno} is not of the form `from .sibling import name`.")
                if node.col_offset:  # within a function, which finds the name in the merged file
                    left_out.update(range(node.lineno - 1, node.end_lineno or node.lineno))
        for position, node in enumerate(tree.body):
            span = range(node.lineno - 1, node.end_lineno or node.lineno)
            if position == 0 and isinstance(node, ast.Expr):  # the docstring
                left_out.update(span)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                left_out.update(span)
                postponed |= part == path and getattr(node, "module", "") == "__future__"
                if not getattr(node, "level", 0) and getattr(node, "module", "") != "__future__":
                    for alias in node.names:
                        origin = f"{getattr(node, 'module', '')}.{alias.name}"
                        _add_name(names, alias.asname or alias.name, origin, part)
                        if isinstance(node, ast.ImportFrom):
                            members.setdefault(str(node.module), set()).add(ast.unparse(alias))
                        else:
                            modules.add(f"import {ast.unparse(alias)}")
            if _defined(node) == ["__all__"]:  # of one file, and nothing imports all of the merged one
                left_out.update(span)
                continue
            for name in _defined(node):
                constant = isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
                _add_name(names, name, ast.unparse(node) if constant else f"{part.stem}.{name}", part)
        body = "\n".join(line for number, line in enumerate(lines) if number not in left_out).strip()
        bodies.append(f"# ---- {part.name}\n\n{body}")
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False)
    docstring = f'"""{docstring}\nMerged from several files of {PACKAGE} for the Hub.\n"""'
    imports = [_import_line(module, sorted(members[module])) for module in sorted(members)]
    head = ["from __future__ import annotations", ""] if postponed else []
    head += [*sorted(modules), *imports]
    return "\n".join([docstring, "", *head, "", "", "\n\n\n".join(bodies), ""])


def _import_line(module: str, names: list[str]) -> str:
    """An import, in brackets where it is long."""
    line = f"from {module} import {', '.join(names)}"
    return (
        line
        if len(line) <= WIDTH
        else "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])
    )


def with_siblings(path: Path, before: list[Path] | None = None) -> list[Path]:
    """A module and the siblings that it imports, in import order."""
    files = [] if before is None else before
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            sibling = path.with_name(f"{node.module}.py")
            if sibling not in files:
                with_siblings(sibling, files)
    files.append(path)
    return files


def _is_ours(module: Any) -> bool:
    return isinstance(module, str) and module.startswith(f"{PACKAGE}.")


def _write(module: str, folder: Path) -> str:
    """Write the merged file of a module into a folder; return its name without `.py`."""
    source = Path(str(sys.modules[module].__file__))
    (folder / source.name).write_text(one_file(source), encoding="utf-8")
    return source.stem


def _defined(node: ast.stmt) -> list[str]:
    """Names that a top-level statement defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = (
        node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    )
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def _add_name(names: dict[str, str], name: str, meaning: str, part: Path) -> None:
    if names.setdefault(name, meaning) != meaning:
        raise ValueError(f"{name} of {part.name} is {names[name]} in another file: they cannot be merged.")

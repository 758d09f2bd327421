"""Write the figures of benchmarks to `benchmarks/results/<name>.json`, with machine and versions.

`tables.render_results(path: Path, level: int = 2) -> str` renders such a file as a Markdown section, and
`tables.render_all(folder: Path = RESULTS, level: int = 2) -> str` all of them; `python benchmarks/tables.py` prints
them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from hf_kexue.data.whole_files import write_whole
from hf_kexue.training.environment import environment

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = Path(__file__).resolve().parent / "results"


def rows_before(name: str, setting: dict[str, Any], key: str = "rows") -> list[dict[str, Any]]:
    """The existing rows of a benchmark if they have the same setting, else none; `key` names another list of it."""
    path = FOLDER / f"{name}.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    rows: list[dict[str, Any]] = before[key] if {key: before.get(key) for key in setting} == setting else []
    return rows


def write_results(name: str, figures: dict[str, Any], device: str = "cpu") -> None:
    """Print the rows of a benchmark, and write all its figures, measured on `device`."""
    print(*figures.get("rows", []), sep="\n")
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    write_whole(path, json.dumps({**figures, "environment": environment(torch.device(device))}, indent=1) + "\n")
    print(f"written to {path.relative_to(REPOSITORY)}")

"""Where benchmarks leave their figures: `benchmarks/results/<name>.json`, with the machine and the versions they were
taken on.

`tables.render_results(path: Path, level: int = 2) -> str` renders such a file as a Markdown section, and
`tables.render_all(folder: Path = RESULTS, level: int = 2) -> str` all of them; `python benchmarks/tables.py` prints
them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from hf_kexue.training.environment import environment

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = Path(__file__).resolve().parent / "results"


def write_results(name: str, figures: dict[str, Any], device: str = "cpu") -> None:
    """Write the figures of a benchmark, taken on `device`, beside those of the others."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps({**figures, "environment": environment(torch.device(device))}, indent=1) + "\n")
    print(f"written to {path.relative_to(REPOSITORY)}")

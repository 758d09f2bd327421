"""Print the lowest versions that pyproject.toml admits, as constraints for pip.

    python dev/lowest_versions.py > versions.txt

Libraries that CONTRIBUTING.md names as not checked at their floor are left out where another one needs more: pip takes
what fits.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Others need a newer one: transformers 5.17 and diffusers 0.38 do not take huggingface_hub 1.0.
RAISED = {"huggingface_hub"}
EXTRAS = ("train", "metrics", "chinese")


def lowest(requirements: list[str]) -> dict[str, str]:
    """Name -> lowest version, of the requirements that state one."""
    stated = (re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement) for requirement in requirements)
    return {found[1]: found[2] for found in stated if found and found[1] not in RAISED}


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for name, version in sorted(lowest([*project["dependencies"], *(r for e in EXTRAS for r in extras[e])]).items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()

"""Print the lowest versions that pyproject.toml admits, as constraints for pip.

    python dev/lowest_versions.py > versions.txt

Together they are an environment that pip can make: where a library asks for more of another one than this project
does, that is the floor here, too.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("train", "lora", "metrics", "chinese", "collections", "serve", "onnx")


def lowest(requirements: list[str]) -> dict[str, str]:
    """Name -> lowest version, of the requirements that state one."""
    stated = (re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement) for requirement in requirements)
    return {found[1]: found[2] for found in stated if found}


def stated_lowest() -> dict[str, str]:
    """Those of the package and of `EXTRAS`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return lowest([*project["dependencies"], *(requirement for extra in EXTRAS for requirement in extras[extra])])


def main() -> None:
    for name, version in sorted(stated_lowest().items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()

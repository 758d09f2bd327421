"""An environment for a peer: its packages, without what they would bring, over those of this environment.

python = peer_environment("geomstats", ["geomstats==2.8.0", "numpy==2.0.0"])    # outputs/peers/geomstats
run_in(python, "peers/curvature_geomstats.py", "--points", "200")               # the last line of its output, read
"""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path
from typing import Any

from results import REPOSITORY

FOLDER = REPOSITORY / "outputs" / "peers"


def peer_environment(name: str, requirements: list[str]) -> Path:
    """The interpreter of an environment; it is made where it is missing or holds other requirements.

    Packages of the running environment are found after its own: torch is not installed once more, and a peer that
    asks for torchvision, which would break diffusers, does not get it.

    Args:
        name: of the folder in outputs/peers.
        requirements: pinned, installed without their dependencies.
    """
    folder = FOLDER / name
    python, stamp = folder / "bin" / "python", folder / "requirements.txt"
    wanted = "".join(f"{line}\n" for line in requirements)
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    (own,) = folder.glob("lib/python*/site-packages")
    lines = [f"import site; site.addsitedir({place!r})" for place in site.getsitepackages()]
    (own / "underlying.pth").write_text("\n".join(lines) + "\n")
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    # Without --ignore-installed pip would take what shows through for installed here.
    subprocess.run([*pip, "--ignore-installed", *requirements], check=True)
    stamp.write_text(wanted)
    return python


def run_in(python: Path, script: str, *options: str) -> Any:
    """Run a script of this folder, which finds its helpers here, and read the JSON in its last line of output."""
    here = Path(__file__).resolve().parent
    paths = os.pathsep.join(filter(None, [str(here), os.environ.get("PYTHONPATH")]))
    shown = subprocess.run(
        [str(python), str(here / script), *options], env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE,
        text=True, check=True,
    ).stdout  # fmt: skip
    return json.loads(shown.splitlines()[-1])

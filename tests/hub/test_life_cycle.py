"""The example of the full life cycle, with all four training scripts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

for module in ("accelerate", "datasets", "yaml", "rjieba"):
    pytest.importorskip(module, reason="the extras hf-kexue[train,chinese] are not installed")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "life_cycle.py"
if not EXAMPLE.is_file():
    pytest.skip("examples/ belongs to the repository, not to the package", allow_module_level=True)


def test_train_publish_load_use_compare():
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()[3:]
    assert [line.partition(":")[0] for line in lines] == ["diffusion", "gan", "reader", "triples"]
    for line in lines:
        assert " 0 values compared" not in line
        assert line.endswith("equal with the package: True, without it: True")

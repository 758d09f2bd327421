"""benchmarks/kill_and_resume.py in its short form: each script killed once with SIGKILL, and one file cut."""

import ast
import os
import subprocess
import sys

import pytest

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("rjieba", reason="rjieba is not installed")
pytest.importorskip("nltk", reason="the extra hf-kexue[metrics] is not installed")

from whole_runs import TRAINING

pytestmark = pytest.mark.slow

COMMAND = TRAINING.parent / "benchmarks" / "kill_and_resume.py"
if not COMMAND.is_file():
    pytest.skip("benchmarks/ belongs to the repository, not to the package", allow_module_level=True)
if not hasattr(os, "fork"):
    pytest.skip("the command forks its runs", allow_module_level=True)


def test_killed_runs_end_as_if_nothing_had_happened():
    ended = subprocess.run(
        [sys.executable, str(COMMAND), "--kills", "1", "--cuts", "1", "--results", ""],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr[-5000:]
    rows = [ast.literal_eval(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    scripts = {path.stem for path in TRAINING.glob("train_*.py")} | {"pretrain_dgcnn"}
    assert {row["script"] for row in rows} == scripts
    for row in rows:
        assert (row["kills"], row["different"], row["files_cut"], row["cuts_not_noticed"]) == (1, [], 1, [])

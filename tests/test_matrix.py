"""The table of versions in CONTRIBUTING.md is what `make matrix` measured, and the workflow runs what it promises."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "dev" / "matrix.py").is_file():
    pytest.skip("dev/ belongs to the repository, not to the package", allow_module_level=True)
yaml = pytest.importorskip("yaml", reason="the extra hf-kexue[train] is not installed")


@pytest.fixture(scope="module")
def matrix():
    sys.path.insert(0, str(ROOT / "dev"))  # it imports its neighbour, as a script does
    try:
        spec = importlib.util.spec_from_file_location("matrix", ROOT / "dev" / "matrix.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["matrix"] = module  # where its dataclass looks up annotations
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(ROOT / "dev"))


def test_the_table_is_the_generated_one(matrix):
    text = matrix.DOCUMENT.read_text(encoding="utf-8")
    written = text.partition(matrix.BEGIN)[2].partition(matrix.END)[0]
    assert written.strip() == matrix.table(matrix.load())


def test_what_the_workflow_promises_is_run_there(matrix):
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    promised = [row for row in matrix.ROWS if row.job]
    assert promised
    for row in promised:
        job = jobs[row.job]
        steps = " ".join(str(step.get("run", "")) for step in job["steps"])
        if row.versions == "constraints":
            assert row.python in job["strategy"]["matrix"]["python"]
            assert "make test" in steps
        else:
            assert row.versions in job["strategy"]["matrix"]["which"]
            assert "dev/lowest_versions.py" in steps
            assert "-m pytest" in steps


def test_rows_have_the_floors_of_the_project(matrix):
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (lowest,) = [row for row in matrix.ROWS if row.name == "lowest"]
    pins = dict(pin.split("==") for pin in matrix.pins(lowest))
    assert {"transformers", "diffusers", "accelerate", "datasets", "huggingface_hub"} <= pins.keys()
    assert "torch" not in pins  # installed before, alone
    for name, version in pins.items():
        assert f'"{name}>={version}"' in project
    (both,) = [row for row in matrix.ROWS if row.torch == "torch==2.6"]
    assert '"torch>=2.6"' in project
    assert both.versions == "lowest"


def test_the_page_has_both_ends_of_gradio(matrix):
    ends = {row.name: dict(p.split("==") for p in matrix.pins(row)) for row in matrix.ROWS if row.versions == "page"}
    (floor,) = re.findall(r'"gradio>=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {pins["gradio"] for pins in ends.values()} == {floor, *re.findall(
        r"^gradio==(.+)$", (ROOT / "constraints-page.txt").read_text(encoding="utf-8"), flags=re.M
    )}  # fmt: skip
    assert all(len([name for name in pins if name == "pillow"]) == 1 for pins in ends.values())

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
    ends = {
        row.name: dict(re.split("==|(?=<)", pin) for pin in matrix.pins(row))
        for row in matrix.ROWS
        if row.versions == "page"
    }
    (floor,) = re.findall(r'"gradio>=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {pins["gradio"] for pins in ends.values()} == {floor, *re.findall(
        r"^gradio==(.+)$", (ROOT / "constraints-page.txt").read_text(encoding="utf-8"), flags=re.M
    )}  # fmt: skip
    assert all(len([name for name in pins if name == "pillow"]) == 1 for pins in ends.values())


def test_a_run_that_is_not_whole_is_no_result(matrix, tmp_path):
    good = "def test_good(): pass\ndef test_bad(): assert 0\n"
    cases = {
        "mixed": f"import pytest\n{good}@pytest.mark.skip\ndef test_left_out(): pass\n",
        "stopped": f"{good}def test_stopped(): raise KeyboardInterrupt\n",
        "broken": "import no_such_module\n",
    }
    for name, text in cases.items():
        (tmp_path / f"test_{name}.py").write_text(text, encoding="utf-8")

    def run(name):
        return matrix.run_tests(Path(sys.executable), [str(tmp_path / f"test_{name}.py")], 1, tmp_path / f"{name}.log")

    counts = run("mixed")
    assert (counts["passed"], counts["skipped"], counts["failed"]) == (1, 1, 1)
    assert counts["failing"][0].endswith("test_bad")
    for name in ("stopped", "broken"):
        with pytest.raises(RuntimeError, match="exit code 2"):
            run(name)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_loses_no_result(matrix, tmp_path):
    path = tmp_path / "matrix.json"
    matrix._write(path, "{}\n")
    (tmp_path / ".matrix.json.unfinished").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space"):
        matrix._write(path, "[]\n")
    assert path.read_text() == "{}\n"
    assert [file.name for file in tmp_path.iterdir()] == ["matrix.json"]


def test_parts_of_a_row_are_kept_one_by_one(matrix, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix, "RESULTS", tmp_path / "matrix.json")
    monkeypatch.setattr(matrix, "DOCUMENT", tmp_path / "document.md")
    matrix.DOCUMENT.write_text(f"before {matrix.BEGIN}{matrix.END} after", encoding="utf-8")
    (row,) = [row for row in matrix.ROWS if row.name == "page"]
    first, second = matrix.parts(row)
    counts = {"passed": 3, "skipped": 1, "failed": 0, "failing": []}
    matrix.keep(row, {"python": "3.11.0"}, first, counts)
    told = matrix.summary(row, matrix.load()["page"])
    assert told.startswith("3 passed, 1 skipped, 20")
    assert told.endswith(f", not run: {second}")
    matrix.keep(row, {"python": "3.11.0"}, second, counts | {"failed": 2})
    told = matrix.summary(row, matrix.load()["page"])
    assert told.startswith("6 passed, 2 failed, 2 skipped, 20")
    assert "not run" not in told
    assert told in matrix.DOCUMENT.read_text(encoding="utf-8")
    assert matrix.kept_parts(row, {"python": "3.11.1"}) == {}
    matrix.keep(row, {"python": "3.11.1"}, second, counts)
    assert matrix.summary(row, matrix.load()["page"]).endswith(f", not run: {first}")
    other = matrix.Row("page", "page", "torch", tests=(second, "tests/new"))  # as the folders are a week later
    assert matrix.summary(other, matrix.load()["page"]).endswith(", not run: tests/new")
    other = matrix.Row("page", "page", "torch", tests=("tests/new",))
    assert matrix.summary(other, matrix.load()["page"]) == "not run: tests/new"


def test_the_parts_of_the_suite_are_all_of_it(matrix):
    (row,) = [row for row in matrix.ROWS if row.name == "newest"]
    paths = [ROOT / word for words in matrix.parts(row).values() for word in words if word.startswith("tests/")]
    covered = {file for path in paths for file in ([path] if path.is_file() else path.rglob("test_*.py"))}
    assert covered == set((ROOT / "tests").rglob("test_*.py"))

"""Every benchmark is found, says which data it needs, and imports what exists."""

import ast
import importlib
import sys

import pytest

run_all = pytest.importorskip("run_all", reason="benchmarks/ belongs to the repository, not to the package")
BENCHMARKS = run_all.find_benchmarks()
HELPERS = {
    "bert_cascade",
    "gan_toys",
    "gliner2_triples",
    "metrics_by_formula",
    "peer_environments",
    "qanet",
    "results",
    "rows_of_a_build",
    "run_all",
    "scripts",
    "tables",
    "timed_training",
    "timing",
    "tiny_runs",
}


def test_every_script_is_a_benchmark_or_a_helper():
    assert {path.stem for path in run_all.HERE.glob("*.py")} == BENCHMARKS.keys() | HELPERS
    assert not BENCHMARKS.keys() & HELPERS


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_declared_options_are_those_that_the_script_requires(name):
    benchmark, required, known = BENCHMARKS[name], set(), set()
    for node in ast.walk(ast.parse(benchmark.path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            known.add(node.args[0].value)
            positional = not node.args[0].value.startswith("-")
            if positional or any(keyword.arg == "required" and keyword.value.value for keyword in node.keywords):
                required.add(node.args[0].value)
    assert benchmark.needed.keys() == required
    assert benchmark.optional.keys() <= known - required


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_what_a_benchmark_imports_exists(name):
    pytest.importorskip("sklearn", reason="the extra hf-kexue[test] is not installed")
    pytest.importorskip("matplotlib", reason="the extra hf-kexue[train] is not installed")
    before = list(sys.path)
    assert callable(importlib.import_module(name).main)
    assert sys.path == before


def test_data_decide_what_runs(tmp_path, capsys, monkeypatch):
    """Scripts of a folder: one runs with its data, one without any, one is left out, one fails."""
    body = "import sys\nfrom results import write_results\n{}\nopen({!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
    (tmp_path / "results.py").write_text("write_results = None")
    log = str(tmp_path / "log")
    for name, data in {
        "a": "DATA = {'data': 'duie2', '--validation': 'duie2'}", "b": "DATA: dict[str, str] = {}",
        "c": "DATA = {'--data': 'webqa'}\nOPTIONAL_DATA = {'--peer': 'peer'}",
    }.items():  # fmt: skip
        (tmp_path / f"{name}.py").write_text(body.format(data, log))
    (tmp_path / "d.py").write_text("from results import write_results\nDATA = {}\nraise SystemExit(3)\n")
    found = run_all.find_benchmarks(tmp_path)
    monkeypatch.setattr(run_all, "find_benchmarks", lambda: found)
    with pytest.raises(SystemExit, match="d"):
        run_all.main(["--data", "duie2=owner/duie2"])
    assert (tmp_path / "log").read_text() == "owner/duie2 --validation owner/duie2\n\n"
    assert "c left out" in capsys.readouterr().out
    run_all.main(["--only", "c", "--data", "webqa=here", "peer=file.py"])
    assert (tmp_path / "log").read_text().endswith("\n--data here --peer file.py\n")
    run_all.main(["--list", "--only", "b", "d"])
    assert len((tmp_path / "log").read_text().splitlines()) == 3


@pytest.mark.parametrize("pair", ["webqa", "webqa=", "other=folder"])
def test_data_of_another_form(pair, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_all.main(["--list", "--data", pair])
    assert stopped.value.code == 2
    assert pair in capsys.readouterr().err


@pytest.mark.parametrize(("declared", "named"), [("", "DATA"), ("DATA = {'--x': 'nothing'}", "nothing")])
def test_a_benchmark_without_a_declaration(tmp_path, declared, named):
    (tmp_path / "new.py").write_text(f"from results import write_results\n{declared}\n")
    with pytest.raises(ValueError, match=named):
        run_all.find_benchmarks(tmp_path)

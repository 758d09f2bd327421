"""The scripts of the leaderboard: their commands parse, and they leave what the table reads."""

import json
import os
import shlex
from pathlib import Path

import pytest
from documented import write_data
from documents import ROOT, command_at
from whole_runs import load_script

from hf_kexue.training.arguments import parse_arguments

leaderboard = pytest.importorskip("leaderboard", reason="benchmarks/ belongs to the repository, not to the package")

SCRIPTS = sorted(leaderboard.SCRIPTS.glob("*.sh"))
names = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)


def commands(path: Path) -> list[list[str]]:
    """Words of the training and of the evaluation, variables at their defaults."""
    text = path.read_text(encoding="utf-8")
    defaults = {'"${CPU_SECONDS:-1800}"': "1800", '"${IMAGES:-200}"': "200", "$output": "out", "$data": "data"}
    for name, value in defaults.items():
        text = text.replace(name, value)
    return [shlex.split(line) for line in text.splitlines() if line.startswith(("python ", "hf-kexue "))]


def test_every_script_has_a_row_and_every_row_a_script():
    assert {path.stem for path in SCRIPTS} == set(leaderboard.TASKS)


@names
def test_one_training_and_its_evaluation_parse(path):
    (program, script, *options), (command, *words) = commands(path)
    assert (program, command) == ("python", "hf-kexue")
    arguments = parse_arguments(load_script(Path(script).stem).Arguments, ROOT / "training" / "presets", options)
    assert {"seed", "max_cpu_seconds", "output_dir"} <= arguments.explicit
    assert arguments.max_cpu_seconds == leaderboard.CPU_SECONDS
    assert not arguments.max_seconds
    assert not getattr(arguments, "init_from", None)
    assert (getattr(arguments, "train", None) == ["data"]) == (leaderboard.TASKS[path.stem].data is not None)
    words = words[: words.index(">")]
    parser, rest = command_at(words)
    parsed = parser.make_context("evaluate", rest).params
    assert words[0] == "evaluate"
    assert Path(parsed["model"]).parent == Path(arguments.output_dir)
    assert parsed["as_json"]


def test_without_data_only_pictures_are_run(monkeypatch, capsys):
    monkeypatch.setattr(leaderboard, "TASKS", {k: v for k, v in leaderboard.TASKS.items() if v.data})
    leaderboard.main(["--runs", *leaderboard.TASKS])
    assert capsys.readouterr().out.splitlines() == [
        "reader left out: it needs --questions", "triples left out: it needs --sentences"
    ]  # fmt: skip


def test_another_script_or_time_goes_on_with_no_run_of_before(monkeypatch, tmp_path):
    """Else a better command would be scored by the network of the one before."""
    monkeypatch.setattr(leaderboard, "SCRIPTS", tmp_path)
    folders = []
    for text, data, seconds in (
        ("a", None, 60),
        ("a", None, 60.0),
        ("b", None, 60),
        ("a", "x", 60),
        ("a", None, 1800),
    ):
        (tmp_path / "gan-64.sh").write_text(text, encoding="utf-8")
        folders.append(leaderboard.folder_of("gan-64", data, seconds))
    assert folders[0] == folders[1]
    assert len(set(folders)) == 4
    assert all(folder.startswith("gan-64-") for folder in folders)


@pytest.mark.slow
@names
def test_a_script_leaves_a_row(path, tmp_path, monkeypatch, capfd):
    """Two seconds of training; nothing is written, since that is not what the table promises."""
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra hf-kexue[metrics] is not installed")
    pytest.importorskip("rjieba", reason="rjieba is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    kind = {"questions": "questions", "sentences": "triples"}.get(leaderboard.TASKS[path.stem].data)
    options = []
    if kind:
        write_data(tmp_path / "data", kind)
        options = [f"--{leaderboard.TASKS[path.stem].data}", str(tmp_path / "data" / "folder")]
    written = ROOT / "benchmarks" / "results" / "leaderboard.json"
    before = written.read_bytes() if written.is_file() else None
    options += ["--cpu_seconds", "2", "--images", "8", "--output_dir", str(tmp_path)]
    leaderboard.main(["--runs", path.stem, *options])
    (folder,) = tmp_path.glob(f"{path.stem}-*")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    score = json.loads((folder / "score.json").read_text(encoding="utf-8"))
    assert results["arguments"]["max_cpu_seconds"] == 2
    assert results["steps"] >= 1
    task = leaderboard.TASKS[path.stem]
    assert f"'score': {round(score[task.key], task.digits)}" in capfd.readouterr().out
    assert (written.read_bytes() if written.is_file() else None) == before

"""The Markdown of results: every figure of every file stands in it, and the reader of a table finds it in its cell."""

import json
from pathlib import Path

import pytest

tables = pytest.importorskip("tables", reason="benchmarks/ belongs to the repository, not to the package")
FILES = sorted(tables.RESULTS.glob("*.json"))


def cells(text: str) -> list[list[list[str]]]:
    """Rows of cells of each table, the line below the head left out."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("| "):
            found[-1].append(line[2:-2].split(" | "))
        elif found[-1]:
            found.append([])
    return [[rows[0], *rows[2:]] for rows in found if rows]


def leaves(value) -> list[str]:
    """Every value inside figures, as JSON spells it."""
    if isinstance(value, dict):
        return [leaf for child in value.values() for leaf in leaves(child)]
    if isinstance(value, list):
        return [leaf for child in value for leaf in leaves(child)]
    return [value if isinstance(value, str) else json.dumps(value)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_is_left_out(path):
    text = tables.render_results(path)
    assert text == tables.render_results(path)
    figures = json.loads(path.read_text(encoding="utf-8"))
    environment = figures.pop("environment")
    assert f"\npython benchmarks/{environment['command']}\n" in text
    assert environment["device"] in text
    assert f"torch {environment['torch']}" in text
    told = [value for rows in cells(text) for row in rows[1:] for cell in row for value in (cell, *cell.split(", "))]
    marks = {"null": "–", "true": "yes", "false": "no"}
    missing = [leaf for leaf in leaves(figures) if marks.get(leaf, leaf.replace("|", "\\|")) not in told]
    assert not missing
    assert all(len({len(row) for row in rows}) == 1 for rows in cells(text))


def test_a_known_cell(tmp_path):
    path = tmp_path / "of_this.json"
    figures = {
        "rows": [{"model": "a|b", "f1": 0.5}, {"model": "c", "f1": 1, "extra": [1, 2]}],
        "means": {"one": {"x": 1.0}, "two": {"x": None}},
        "deep": {"inner": {"part": {"rows": [{"y": 2}]}}, "number": 3},
        "threads": 2,
        "environment": {"command": "reader_speed.py --threads 2", "device": "CPU", "threads": 2, "torch": "2.13.0"},
    }
    path.write_text(json.dumps(figures), encoding="utf-8")
    text = tables.render_results(path, level=3)
    assert text.startswith("### of_this\n\n")
    assert "\nCPU, 2 threads; torch 2.13.0.\n" in text
    assert cells(text) == [
        [["", "value"], ["threads", "2"]],
        [["model", "f1", "extra"], ["a\\|b", "0.5", "–"], ["c", "1", "1, 2"]],
        [["", "x"], ["one", "1.0"], ["two", "–"]],
        [["", "value"], ["number", "3"]],
        [["y"], ["2"]],
    ]
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["### of_this", "#### means", "#### deep", "##### inner", "###### part"]


def test_all_files_in_order_and_none_without_environment(tmp_path):
    text = tables.render_all()
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [path.stem for path in FILES]
    (tmp_path / "bare.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="environment"):
        tables.render_results(Path(tmp_path / "bare.json"))


def test_a_script_that_was_not_run_says_so(tmp_path):
    for name, what in (("a", "Pictures."), ("b", "Answers | scores.")):
        (tmp_path / f"{name}.sh").write_text(f"#!/usr/bin/env bash\n# {what}\ntrue\n", encoding="utf-8")
    results = tmp_path / "results.json"
    columns = ["script", "what", "measure", "score"]
    empty = [["`a.sh`", "Pictures.", "–", "not run yet"], ["`b.sh`", "Answers \\| scores.", "–", "not run yet"]]
    assert cells(tables.leaderboard(tmp_path, results)) == [[columns, *empty]]
    rows = [{"run": "b", "measure": "F1", "score": 0.5, "steps": 7}]
    results.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    (filled,) = cells(tables.leaderboard(tmp_path, results))
    assert filled[0] == [*columns, "steps"]
    assert filled[1] == [*empty[0], "–"]
    assert filled[2] == ["`b.sh`", "Answers \\| scores.", "F1", "0.5", "7"]


def test_the_leaderboard_of_the_page_has_all_scripts():
    (rows,) = cells(tables.leaderboard())
    assert [row[0] for row in rows[1:]] == [f"`{path.name}`" for path in sorted(tables.RUNS.glob("*.sh"))]
    assert len(rows) > 4

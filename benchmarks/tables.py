"""The figures of benchmarks/results as Markdown: a section for each file, with its command, device and versions.

    python benchmarks/tables.py                       # all of them
    python benchmarks/tables.py samplers gan_losses   # some

    from tables import render_all, render_results
    render_results(Path("benchmarks/results/samplers.json"), level=2)    # one section, its heading of that level

Nothing is rounded or left out, and the same files give the same text. Imports no library of models.
"""

from __future__ import annotations

import argparse
import ast
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
RUNS = HERE / "runs"
NO_VERSIONS = ("command", "device", "threads")


def render_all(folder: Path = RESULTS, level: int = 2) -> str:
    """The sections of all results files of a folder, by name."""
    return "\n".join(render_results(path, level) for path in sorted(folder.glob("*.json")))


def render_results(path: Path, level: int = 2) -> str:
    """The section of one results file, with a newline at its end.

    Args:
        path: of the file, as `results.write_results` writes it.
        level: of the section's heading, 1 to 5; parts of the figures have headings one level below.

    Raises:
        ValueError: if the file has no `environment`, which names its command.
    """
    figures = json.loads(path.read_text(encoding="utf-8"))
    if "environment" not in figures:
        raise ValueError(f"{path} has no `environment`: it is no file that a benchmark wrote.")
    environment = figures.pop("environment")
    script = environment["command"].split(" ")[0]
    threads = environment.get("threads")
    device = environment["device"] + (f", {threads} thread{'s' if threads > 1 else ''}" if threads else "")
    versions = ", ".join(f"{key} {value}" for key, value in environment.items() if key not in NO_VERSIONS and value)
    parts = [
        f"{'#' * level} {path.stem}",
        first_line(HERE / script),
        f"```bash\npython benchmarks/{environment['command']}\n```",
        f"{device}; {versions}.",
        *blocks(figures, level + 1),
    ]
    return "\n\n".join(parts) + "\n"


def first_line(script: Path) -> str:
    """The first paragraph of a script's docstring, on one line."""
    docstring = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split())


def blocks(figures: dict[str, Any], level: int) -> list[str]:
    """Tables of nested figures: single values first, then lists of rows, then what has parts of its own."""
    single = {key: value for key, value in figures.items() if not has_parts(value)}
    found = [table(["", "value"], [[words(key), value] for key, value in single.items()])] if single else []
    for key, value in figures.items():
        if not has_parts(value):
            continue
        if key != "rows" or any(part.startswith("#") for part in found):
            found.append(f"{'#' * level} {words(key)}")
        if isinstance(value, list):
            found.append(rows_table(value))
        elif all(isinstance(child, dict) and not any(map(has_parts, child.values())) for child in value.values()):
            found.append(rows_table([{"": name, **child} for name, child in value.items()]))
        else:
            found += blocks(value, level + 1)
    return found


def has_parts(value: Any) -> bool:
    """Whether a figure is a mapping or a list of mappings."""
    return bool(value) and (isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict)))


def rows_table(rows: list[dict[str, Any]]) -> str:
    """A table with a column for each key that any of the rows has, in the order of their first appearance."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return table([words(key) for key in keys], [[row.get(key) for key in keys] for row in rows])


def leaderboard(runs: Path = RUNS, results: Path = RESULTS / "leaderboard.json") -> str:
    """The scripts of a folder with what their first comment says, and the rows of `leaderboard.py`.

    A script without a row has "not run yet" in its place.
    """
    rows = json.loads(results.read_text(encoding="utf-8"))["rows"] if results.is_file() else []
    found = {row["run"]: row for row in rows}
    shown = []
    for path in sorted(runs.glob("*.sh")):
        what = path.read_text(encoding="utf-8").splitlines()[1].removeprefix("# ")
        figures = found.get(path.stem, {"measure": None, "score": "not run yet"})
        shown.append({"script": f"`{path.name}`", "what": what, **{k: v for k, v in figures.items() if k != "run"}})
    return rows_table(shown)


def table(columns: list[str], rows: list[list[Any]]) -> str:
    """Markdown; numbers to the right where a whole column has them."""
    numeric = [all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(columns))]
    lines = [
        columns,
        ["---:" if right else "---" for right in numeric],
        *([cell(value) for value in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any) -> str:
    """A value as text: numbers as they stand in the file."""
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(cell(child) for child in value)
    return value.replace("|", "\\|").replace("\n", " ") if isinstance(value, str) else json.dumps(value)


def words(key: str) -> str:
    return key.replace("_", " ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of results files without their ending; default: all")
    names = parser.parse_args().names
    print("\n".join(render_results(RESULTS / f"{name}.json") for name in names) if names else render_all(), end="")


if __name__ == "__main__":
    main()

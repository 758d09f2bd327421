"""Run the suite with other versions of what it stands on: one environment for each row, deleted after its run.

    python dev/matrix.py                                    # or: make matrix; every row whose interpreter is here
    python dev/matrix.py --rows lowest --keep               # stopped and started again, it goes on where it was
    python dev/matrix.py --rows lowest --tests tests/dgcnn  # to look at; nothing is written
    python dev/matrix.py --table                            # only the table of CONTRIBUTING.md anew

Rows are combinations that promise something, not the product: the lowest versions that pyproject.toml admits, those of
constraints.txt, the newest ones, and both ends of Gradio with the page's tests. Each folder of tests/ is a run of its
own, whose result is kept at once in dev/matrix.json and in the table of CONTRIBUTING.md, which tests/test_matrix.py
compares; a row that lacks some names them. Results with other versions than those installed now are dropped. A row
whose interpreter or build of torch is not to be had here is run by a job of .github/workflows/ci.yml, and the table
says so.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lowest_versions import ROOT, stated_lowest

RESULTS = ROOT / "dev" / "matrix.json"
DOCUMENT = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- written by dev/matrix.py -->", "<!-- end -->"
SHOWN = ("torch", "transformers", "diffusers", "accelerate", "datasets", "huggingface_hub", "gradio")
FAST = ("-m", "not slow and not fuzz")


@dataclass(frozen=True)
class Row:
    """An environment of the table.

    Args:
        name: in the table and for --rows.
        versions: "lowest", "constraints" or "newest".
        torch: what pip is given for it; "torch" alone is the newest.
        python: of the interpreter.
        extra: of the package, which is installed.
        tests: folders that are run, slow tests too; () is the whole suite without them.
        raised: versions in place of those of `versions`.
        job: of the CI workflow that runs this row, where it is not run by hand.
    """

    name: str
    versions: str
    torch: str
    python: str = "3.11"
    extra: str = "test"
    tests: tuple[str, ...] = ()
    raised: tuple[str, ...] = ()
    job: str = ""


def stated_torch() -> str:
    """The requirement of constraints.txt."""
    return next(line for line in _lines("constraints.txt") if line.startswith("torch=="))


def _lines(name: str) -> list[str]:
    return (ROOT / name).read_text(encoding="utf-8").splitlines()


PAGE = ("tests/demo", "tests/web")
ROWS = (
    Row("lowest", "lowest", stated_torch()),
    Row("lowest, torch too", "lowest", "torch==2.6", job="versions"),
    Row("constraints", "constraints", stated_torch()),
    Row("newest", "newest", "torch"),
    Row("Python 3.12", "constraints", stated_torch(), python="3.12", job="test"),
    Row("Python 3.13", "constraints", stated_torch(), python="3.13", job="test"),
    Row(
        "page, lowest",
        "page",
        stated_torch(),
        extra="test-page",
        tests=PAGE,
        raised=("gradio==6.29", "huggingface_hub<2"),  # which its client asks for
    ),
    Row("page", "page", stated_torch(), extra="test-page", tests=PAGE),
)


def parts(row: Row) -> dict[str, list[str]]:
    """What a row runs at a time, by name: arguments of pytest."""
    if row.tests:
        return {name: [name] for name in row.tests}
    tests = ROOT / "tests"
    folders = sorted({path.relative_to(tests).parts[0] for path in tests.glob("*/**/test_*.py")})
    files = sorted(f"tests/{path.name}" for path in tests.glob("test_*.py"))
    return {**{f"tests/{name}": [f"tests/{name}", *FAST] for name in folders}, "tests/*.py": [*files, *FAST]}


def pins(row: Row) -> list[str]:
    """Constraints of pip for a row, without torch, which is installed before and alone."""
    if row.versions == "lowest":
        stated = [f"{name}=={version}" for name, version in stated_lowest().items()]
    elif row.versions == "newest":
        stated = []
    else:
        stated = [line for line in _lines("constraints.txt") if not line.startswith("#")]
        if row.versions == "page":
            stated = [line for line in stated if not line.startswith("pillow==")]
            stated += [line for line in _lines("constraints-page.txt") if not line.startswith("#")]
    other = {_name(line) for line in row.raised} | {"torch"}
    if "gradio" in other:
        other |= {"gradio-client", "hf-gradio"}  # each Gradio asks for one of them
    return [line for line in stated if _name(line) not in other] + list(row.raised)


def _name(requirement: str) -> str:
    return re.split(r"[=<>]", requirement)[0].lower().replace("_", "-")


def interpreter(version: str) -> str | None:
    """Path of a Python, if it is here."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    return shutil.which(f"python{version}")


def make_environment(row: Row, folder: Path, torch: str) -> Path:
    """The environment of a row in a folder; returns its interpreter. torch first, so that nothing pulls in another."""
    subprocess.run([interpreter(row.python) or "python3", "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    (folder / "versions.txt").write_text("\n".join(pins(row)) + "\n")
    pip = [
        str(python),
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "-c",
        str(folder / "versions.txt"),
    ]
    subprocess.run([*pip, *torch.split()], cwd=ROOT, check=True)
    subprocess.run([*pip, "-e", f".[{row.extra}]"], cwd=ROOT, check=True)
    return python


def installed(python: Path) -> dict[str, str]:
    """Versions of `SHOWN` and of the interpreter in an environment."""
    code = (
        "import importlib.metadata as m, json, platform, sys\n"
        "found = {d.name.lower().replace('_', '-'): d.version for d in m.distributions()}\n"
        "print(json.dumps({'python': platform.python_version(), "
        "**{n: found.get(n.replace('_', '-'), '') for n in sys.argv[1:]}}))"
    )
    shown = subprocess.run([str(python), "-c", code, *SHOWN], capture_output=True, text=True, check=True).stdout
    return {name: version for name, version in json.loads(shown).items() if version}


def run_tests(python: Path, tests: list[str], processes: int, log: Path) -> dict[str, Any]:
    """Counts of a run of pytest, and the names of what failed.

    Raises:
        RuntimeError: if not all of it ran: it was interrupted, or a file could not be collected.
    """
    report = log.with_suffix(".xml")
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
    if processes > 1:
        command += ["-n", str(processes)]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    with log.open("w") as output:
        finished = subprocess.run(
            command, cwd=ROOT, env=os.environ | offline, stdout=output, stderr=output, check=False
        )
    if finished.returncode not in (0, 1, 5):  # all passed, some failed, none was there
        raise RuntimeError(f"pytest ended with exit code {finished.returncode}; its output is in {log}.")
    counts = {"passed": 0, "skipped": 0, "failed": 0}
    failed = []
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        kind = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        counts[kind] += 1
        failed += [f"{case.get('classname')}::{case.get('name')}"] if kind == "failed" else []
    return {**counts, "failing": failed}


def load() -> dict[str, Any]:
    """Results by the name of their row."""
    return dict(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.is_file() else {}


def table(results: dict[str, Any]) -> str:
    """The rows as Markdown."""
    head = ["row", "Python", *SHOWN, "result"]
    lines = [head, ["---"] * len(head)]
    for row in ROWS:
        found = results.get(row.name)
        if found:
            cells = [found["versions"].get(name, "") for name in ("python", *SHOWN)]
            lines.append([row.name, *cells, summary(row, found)])
        else:
            versions = {_name(pin): pin.partition("==")[2] for pin in pins(row)}
            versions["torch"] = row.torch.partition("==")[2]
            if row.extra != "test-page":
                versions.pop("gradio", None)
            told = f"`workflow only`: {row.job}" if row.job else "not run"
            lines.append([row.name, row.python, *(versions.get(_name(name), "") for name in SHOWN), told])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def summary(row: Row, found: dict[str, Any]) -> str:
    """The counts of the parts that a row has now, the day of the last one, and what is left."""
    now = parts(row)
    done = [counts for name, counts in found["parts"].items() if name in now]
    left = [name for name in now if name not in found["parts"]]
    if not done:
        return f"not run: {', '.join(left)}"
    counts = {key: sum(part[key] for part in done) for key in ("passed", "failed", "skipped")}
    text = ", ".join(f"{count} {key}" for key, count in counts.items() if count or key == "passed")
    text += f", {max(part['date'] for part in done)}"
    return text + (f", not run: {', '.join(left)}" if left else "")


def keep(row: Row, versions: dict[str, str], name: str, counts: dict[str, Any]) -> None:
    """Add the result of a part to dev/matrix.json and write the table."""
    results = load()
    done = kept_parts(row, versions) | {name: {"date": datetime.date.today().isoformat(), **counts}}
    results[row.name] = {"versions": versions, "parts": done}
    _write(RESULTS, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    write_table(results)


def kept_parts(row: Row, versions: dict[str, str]) -> dict[str, Any]:
    """Results of a row by part, if they are of these versions."""
    found = load().get(row.name)
    return dict(found["parts"]) if found and found["versions"] == versions else {}


def write_table(results: dict[str, Any]) -> None:
    """Replace the table of CONTRIBUTING.md."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    _write(DOCUMENT, f"{before}{BEGIN}\n{table(results)}\n{END}{after}")


def _write(path: Path, text: str) -> None:
    """Replace a file by a whole one, though environments may have filled the disk."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=[row.name for row in ROWS], metavar="ROW", help="default: all")
    parser.add_argument("--tests", nargs="+", help="for pytest in place of the suite; nothing is written")
    parser.add_argument("--parts", nargs="+", help="folders of tests/, as in the table, for some of a row")
    parser.add_argument("--again", action="store_true", help="also run what has a result with these versions")
    parser.add_argument("--torch", help="requirement, and options of pip, in place of the row's")
    parser.add_argument("--processes", type=int, default=1, help="of pytest")
    parser.add_argument("--folder", type=Path, help="for environments and logs; default: a temporary one")
    parser.add_argument("--keep", action="store_true", help="keep the environments, and use those that are there")
    parser.add_argument("--table", action="store_true", help="only write the table anew")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="matrix-"))
    folder.mkdir(parents=True, exist_ok=True)
    failed = []
    for row in () if args.table else ROWS:
        if args.rows and row.name not in args.rows:
            continue
        if interpreter(row.python) is None or (row.job and not args.rows):
            print(f"==> {row.name}: workflow only, job {row.job}", flush=True)
            continue
        place = folder / re.sub(r"\W+", "-", row.name)
        print(f"==> {row.name} in {place}", flush=True)
        python = place / "bin" / "python"
        if not (args.keep and python.is_file()):
            python = make_environment(row, place, args.torch or row.torch)
        versions = installed(python)
        print(json.dumps(versions), flush=True)
        before = {} if args.again or args.tests else kept_parts(row, versions)
        wanted = {"tests": [*args.tests, *FAST]} if args.tests else parts(row)
        for name, tests in wanted.items():
            if name in before or (args.parts and name not in args.parts):
                continue
            log = folder / f"{place.name}-{re.sub(r'[^a-z]+', '-', name).strip('-')}.log"
            counts = run_tests(python, tests, args.processes, log)
            print(name, json.dumps(counts, indent=1), flush=True)
            failed += [f"{row.name}: {name}"] if counts["failed"] else []
            if not args.tests:
                keep(row, versions, name, counts)
        if not args.keep:
            shutil.rmtree(place)
    write_table(load())
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

"""Best in 30 CPU minutes: one command trains a network from random weights, another one scores it.

    python benchmarks/leaderboard.py --runs diffusion-64 gan-64              # on the embedded photographs
    python benchmarks/leaderboard.py --questions CMRC2018 --sentences DUIE2  # all; without them those two
    python benchmarks/leaderboard.py --runs gan-64 --cpu_seconds 60          # a try: printed, not written

Each file of benchmarks/runs/ is such a pair of commands, and can be run by itself. What counts is processor time in
training steps, of all threads, without the making of batches and the score. Who knows a better command changes the
script, and its row is replaced. Seeds are fixed, but the clock ends a run, so that a second one differs. A run
that was interrupted goes on with the same command; another script, time or data begins anew, in a folder of its own.
Writes benchmarks/results/leaderboard.json.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from results import REPOSITORY, rows_before, write_results

DATA: dict[str, str] = {}  # the embedded photographs serve
OPTIONAL_DATA = {"--questions": "cmrc2018", "--sentences": "duie2"}
SCRIPTS = Path(__file__).resolve().parent / "runs"
CPU_SECONDS, IMAGES = 1800, 200


class Task(NamedTuple):
    """What a script of runs/ is scored by.

    Args:
        measure: in words.
        key: of the score in what `hf-kexue evaluate --json` prints.
        digits: that are kept of it.
        samples: what a training counts, in its results as `<samples>_seen`.
        data: option of this script that its data come from; None: embedded.
    """

    measure: str
    key: str
    digits: int
    samples: str
    data: str | None = None


PICTURES = Task("KID-EffLite0, smaller is better", "kid_efflite0", 4, "images")
TASKS = {
    "diffusion-64": PICTURES,
    "gan-64": PICTURES,
    "reader": Task("F1 on CMRC 2018, percent", "f1", 2, "questions", "questions"),
    "triples": Task("F1 on DuIE 2.0", "f1", 4, "sentences", "sentences"),
}


def folder_of(name: str, data: str | None, seconds: float) -> str:
    """Name of the output folder of a script: another one for another text of it, other data and another time, since a
    training goes on with what it finds in its folder."""
    text = (SCRIPTS / f"{name}.sh").read_text(encoding="utf-8")
    return f"{name}-{hashlib.sha256(f'{seconds:g} {data} {text}'.encode()).hexdigest()[:8]}"


def run(name: str, folder: Path, data: str | None, seconds: float, images: int) -> dict[str, Any]:
    """Run a script in the repository's root and read what it leaves; a row of the table.

    Args:
        name: of the script.
        folder: for its output.
        data: folder or Hub id, for those that need one.
        seconds: of processor time in training steps.
        images: samples of an image model that are scored.
    """
    # The programs of this environment, though it may not be activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    settings = {"PATH": path, "OUTPUT": str(folder), "CPU_SECONDS": str(seconds), "IMAGES": str(images)}
    if data is not None:
        settings["DATA"] = str(Path(data).resolve()) if Path(data).exists() else data
    subprocess.run(["bash", str(SCRIPTS / f"{name}.sh")], env=os.environ | settings, check=True)
    trained, scored = (
        json.loads((folder / f"{part}.json").read_text(encoding="utf-8")) for part in ("results", "score")
    )
    task = TASKS[name]
    return {
        "run": name, "measure": task.measure, "score": round(scored[task.key], task.digits),
        "cpu_minutes": round(trained["cpu_seconds"] / 60, 1), "steps": trained["steps"],
        "samples_seen": trained[f"{task.samples}_seen"], "parameters": trained["parameters"],
        "date": datetime.date.today().isoformat(),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--questions", help="CMRC 2018: folder or Hub id")
    parser.add_argument("--sentences", help="DuIE 2.0: folder or Hub id")
    parser.add_argument("--cpu_seconds", type=float, default=CPU_SECONDS, help="another number: nothing is written")
    parser.add_argument("--images", type=int, default=IMAGES, help="likewise")
    parser.add_argument("--output_dir", type=Path, default=REPOSITORY / "outputs" / "runs")
    args = parser.parse_args(argv)
    setting = {"cpu_minutes_allowed": CPU_SECONDS // 60, "images_scored": IMAGES}
    for name in args.runs:
        option = TASKS[name].data
        data = getattr(args, option) if option else None
        if option and data is None:
            print(f"{name} left out: it needs --{option}", flush=True)
            continue
        folder = args.output_dir.resolve() / folder_of(name, data, args.cpu_seconds)
        row = run(name, folder, data, args.cpu_seconds, args.images)
        print(row, flush=True)
        if (args.cpu_seconds, args.images) == (CPU_SECONDS, IMAGES):
            rows = {before["run"]: before for before in rows_before("leaderboard", setting)} | {name: row}
            write_results("leaderboard", {**setting, "rows": [rows[known] for known in TASKS if known in rows]})


if __name__ == "__main__":
    main()

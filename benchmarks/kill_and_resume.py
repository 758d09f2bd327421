"""Kill -9 a training run repeatedly and compare its result with an uninterrupted run.

    python benchmarks/kill_and_resume.py --kills 20 --script all

For each script one run is uninterrupted. Another with the same command is killed at random times, within a step or a
checkpoint, and restarted, for the given number of kills. Both results must be equal bit for bit: networks, EMA
weights, optimizers, schedules, history. Checkpoints are written every second step, so that many kills interrupt one.
Finally each file of the newest checkpoint of the finished run is truncated in turn: the run must set the checkpoint
aside and resume from the one before. Writes benchmarks/results/kill_and_resume.json; exits with 1 if anything differs.

Runs are children that are forked after the imports, which would take longer than they do; SIGKILL leaves them no time
to tidy up.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import datasets
import torch
from results import write_results
from scripts import load_script
from tiny_runs import SCRIPTS, arguments, compare_runs, last_checkpoint, write_data

DATA: dict[str, str] = {}  # needs none from outside the checkout
SAVE_EVERY = 2
LOGGING = ["--logging_steps", "3"]  # so that a run is killed between the steps that a line of the history sums up


def start(script: str, argv: list[str], log: Path) -> int:
    """Start a run of a script in a separate process, with its output in a file; returns the process id."""
    if child := os.fork():
        return child
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        torch.set_num_threads(1)
        load_script(script).main(argv)
        code = 0
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def finish(child: int, log: Path) -> None:
    """Wait for a run.

    Raises:
        RuntimeError: with the end of its output, if it failed.
    """
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"a run ended with status {status}:\n{log.read_text(errors='replace')[-3000:]}")


def steps_done(output: Path) -> int:
    """The step of the last line of the history."""
    path = output / "history.jsonl"
    found = re.findall(r'"step": (\d+),', path.read_text(encoding="utf-8")) if path.is_file() else []
    return int(found[-1]) if found else 0


def kill_at_random(child: int, output: Path, random_source: random.Random, step_seconds: float) -> bool:
    """SIGKILL a run 0 to 3 steps from where it stood, somewhere within a step; False if it had already ended."""
    goal = steps_done(output) + random_source.randint(0, 2)
    while steps_done(output) < goal:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(step_seconds / 20)
    time.sleep(random_source.uniform(0, 1.5 * step_seconds))
    if os.waitpid(child, os.WNOHANG)[0]:
        return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def survive(script: str, kills: int, cuts: int, folder: Path, seed: int) -> dict[str, Any]:
    """The figures of one script."""
    random_source = random.Random(f"{seed} {script}")
    steps, log, unbroken, killed = 6 * kills + 6, folder / f"{script}.log", folder / "unbroken", folder / "killed"
    began = time.perf_counter()
    finish(start(script, [*arguments(script, folder, unbroken, 4, steps, SAVE_EVERY), *LOGGING], log), log)
    seconds = time.perf_counter() - began
    argv = [*arguments(script, folder, killed, 4, steps, SAVE_EVERY), *LOGGING]
    survived, while_writing, places = 0, 0, []
    while survived < kills:
        if not kill_at_random(start(script, argv, log), killed, random_source, seconds / steps):
            break
        survived += 1
        places.append(steps_done(killed))
        while_writing += any((killed / "checkpoints").glob("unfinished-*"))
    finish(start(script, argv, log), log)
    different = compare_runs(killed, unbroken)
    cut, unnoticed = cut_checkpoints(script, argv, killed, unbroken, log, cuts)
    return {
        "script": script, "steps": steps, "kills": survived, "killed_while_writing_a_checkpoint": while_writing,
        "killed_at_steps": places, "different": different, "files_cut": cut, "cuts_not_noticed": unnoticed,
    }  # fmt: skip


def cut_checkpoints(
    script: str, argv: list[str], output: Path, unbroken: Path, log: Path, cuts: int
) -> tuple[int, list[str]]:
    """Cut each file of the newest checkpoint in half, or the first `cuts` of them, and let the run go on: how many
    files, and which made a difference or went unnoticed."""
    names = sorted(path.name for path in last_checkpoint(output).iterdir())[:cuts]
    pristine, wrong = output.with_name("pristine"), []
    shutil.copytree(output, pristine)
    for name in names:
        shutil.rmtree(output)
        shutil.copytree(pristine, output)
        path = last_checkpoint(output) / name
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
        finish(start(script, argv, log), log)
        if compare_runs(output, unbroken) or not any((output / "checkpoints").glob("broken-*")):
            wrong.append(name)
    return len(names), wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--cuts", type=int, default=99, help="files of the newest checkpoint that are cut")
    parser.add_argument("--script", choices=[*SCRIPTS, "all"], default="all")
    parser.add_argument("--seed", type=int, default=0, help="of when it is killed")
    parser.add_argument("--results", default="kill_and_resume", help="name of the file in benchmarks/results, or ''")
    args = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    scripts = list(SCRIPTS) if args.script == "all" else [args.script]
    for script in scripts:
        load_script(script)
    rows = []
    for script in scripts:
        with tempfile.TemporaryDirectory() as temporary:
            datasets.config.HF_DATASETS_CACHE = f"{temporary}/cache"
            write_data(Path(temporary))
            rows.append(survive(script, args.kills, args.cuts, Path(temporary), args.seed))
        print({key: value for key, value in rows[-1].items() if key != "killed_at_steps"}, flush=True)
    if args.results:
        write_results(args.results, {"rows": rows})
    if any(row["different"] or row["cuts_not_noticed"] or row["kills"] < args.kills for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

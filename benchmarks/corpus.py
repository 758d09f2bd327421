"""Triples of a corpus from the command line: sentences a second against one by one, and peak memory by length.

    python benchmarks/corpus.py --train DUIE2
    python benchmarks/corpus.py --train DUIE2 --sentences 1000 --rounds 3

Speed: `hf-kexue extract --output json` with one sentence in a batch and with its own batches, for which it reads 256
lines at a time, and the same sentences with `--to`, in one process, in one for each core, and in one with `--dtype
auto`, which is bf16 where the processor has units for it; alternating. Counted is processor time, which other load on
the machine hardly changes, less that of the same command over a few sentences; of each way the cheapest round. Memory:
the peak of `hf-kexue extract --to` in one process over short lines of the same sentences, with an untrained model 16
wide, since what grows with a corpus is not the model; and with the published one over fewer lines. Rows of memory that
are there already for the same lines are kept. Writes
benchmarks/results/corpus.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from results import REPOSITORY, rows_before, write_results

from hf_kexue import DGCNNConfig, DGCNNForTripleExtraction, DGCNNTokenizer
from hf_kexue.data.triples.reading import read_triples

DATA = {"--train": "duie2"}
SHORT = 12  # characters of a line where memory is measured


class Cost(NamedTuple):
    """Of a command: seconds of all its processes on processors, seconds on the clock, peak MiB of one process."""

    processor: float
    seconds: float
    mib: float


def run(*arguments: Any) -> Cost:
    """Run a command of `hf-kexue`.

    Raises:
        RuntimeError: if it fails.
    """
    started = time.perf_counter()
    command = [sys.executable, "-m", "hf_kexue", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}.")
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss / 1024)


def save_small(folder: Path, texts: list[str]) -> None:
    """An untrained model for the triples of one predicate."""
    torch.manual_seed(0)
    tokenizer = DGCNNTokenizer.from_texts(texts, min_count=1, segmenter="none")
    tokenizer.save_pretrained(folder)
    schema = [{"predicate": "x", "subject_types": [], "object_types": []}]
    DGCNNForTripleExtraction(
        DGCNNConfig(vocab_size=len(tokenizer), hidden_size=16, triple_schema=schema)
    ).save_pretrained(folder)


def write_lines(path: Path, texts: list[str], count: int) -> Path:
    """A file of `count` lines, the texts again and again."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in islice(cycle(texts), count))
    return path


def speeds(model: str, texts: list[str], rounds: int, place: Path) -> list[dict[str, Any]]:
    """Sentences a second of each way, without the start of the command: that of a run over a few sentences."""
    cores = len(os.sched_getaffinity(0))
    few = 2 * cores
    costs: dict[str, list[tuple[Cost, Cost]]] = {}
    for number in range(rounds):
        for name in ("one by one", "256 lines at a time", "--to", f"--to, {cores} processes", "--to, dtype auto"):
            pair = []
            for count in (few, len(texts)):
                command = ["extract", "--model", model]
                command += ["--input", str(write_lines(place / f"{count}.jsonl", texts, count))]
                command += {"one by one": ["--output", "json", "--batch-size", "1"],
                            "256 lines at a time": ["--output", "json"]}.get(
                    name, ["--to", str(place / f"speed-{number}-{count}-{name.replace(' ', '')}")]
                )  # fmt: skip
                if "auto" in name:
                    command += ["--dtype", "auto"]
                if "processes" in name:
                    command += ["--workers", str(cores), "--part-rows", str(count // few)]
                pair.append(run(*command))
            costs.setdefault(name, []).append((pair[0], pair[1]))
            print(name, pair, flush=True)
    best = {name: min(pairs, key=lambda pair: pair[1].processor - pair[0].processor) for name, pairs in costs.items()}
    seconds = {name: many.processor - start.processor for name, (start, many) in best.items()}
    return [
        {
            "way": name, "sentences_per_second_of_a_core": round((len(texts) - few) / seconds[name], 1),
            "over_one_by_one": round(seconds["one by one"] / seconds[name], 2),
            "seconds_of_a_core_to_start": round(start.processor, 1), "seconds_on_the_clock": round(many.seconds, 1),
        }
        for name, (start, many) in best.items()
    ]  # fmt: skip


def memory(name: str, model: str, texts: list[str], counts: list[int], place: Path) -> list[dict[str, Any]]:
    """Peak of a run for each number of lines."""
    rows: list[dict[str, Any]] = []
    for count in counts:
        path = write_lines(place / f"{name}-{count}.jsonl", [text[:SHORT] for text in texts], count)
        cost = run("extract", "--model", model, "--input", path, "--to", place / f"memory-{name}-{count}")
        rows.append(
            {
                "model": name, "lines": count, "peak_mib": round(cost.mib),
                "over_fewest": round(cost.mib / (rows[0]["peak_mib"] if rows else cost.mib), 3),
                "lines_per_second": round(count / cost.seconds, 1),
            }
        )  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="file, folder or Hub id with sentences")
    parser.add_argument(
        "--model", default=str(REPOSITORY / "model_cards" / "dgcnn-triples-zh"), help="folder or Hub id"
    )
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--lines", type=int, nargs="+", default=[2_000, 20_000, 200_000], help="with the small model")
    parser.add_argument(
        "--lines_of_model", type=int, nargs="+", default=[2_000, 20_000], help="with the published one"
    )
    args = parser.parse_args()
    texts = [example.text for example in read_triples(args.train, split="train")]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = rows_before("corpus", {"model": Path(args.model).name}, "memory")
        if [row["lines"] for row in rows] != args.lines + args.lines_of_model:
            save_small(place / "small", texts[:1000])
            rows = memory("untrained, 16 wide", str(place / "small"), texts, args.lines, place)
            rows += memory(Path(args.model).name, args.model, texts, args.lines_of_model, place)
        ways = speeds(args.model, texts[: args.sentences], args.rounds, place)
    figures = {
        "model": Path(args.model).name, "sentences": args.sentences, "rounds": args.rounds,
        "cores": len(os.sched_getaffinity(0)), "rows": ways, "memory": rows,
    }  # fmt: skip
    write_results("corpus", figures)


if __name__ == "__main__":
    main()

"""Triples of a corpus from the command line: sentences a second against line by line, and peak memory by length.

    python benchmarks/corpus.py --train DUIE2
    python benchmarks/corpus.py --train DUIE2 --sentences 1000 --rounds 3

Speed: `hf-kexue extract --lines --output json`, which reads 256 lines at a time, and the same sentences with `--to`,
in one process and in one for each core; whole commands with their start, alternating, the best round of each. Memory:
the peak of `hf-kexue extract --to` in one process over short lines of the same sentences, with an untrained model 16
wide, since what grows with a corpus is not the model; and with the published one over fewer lines. Writes
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
from typing import Any

import torch
from results import REPOSITORY, write_results

from hf_kexue import DGCNNConfig, DGCNNForTripleExtraction, DGCNNTokenizer
from hf_kexue.data.triples.reading import read_triples

DATA = {"--train": "duie2"}
SHORT = 12  # characters of a line where memory is measured


def run(*arguments: Any) -> tuple[float, float]:
    """Seconds and peak MiB of a command of `hf-kexue`.

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
    return time.perf_counter() - started, usage.ru_maxrss / 1024


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
    """Sentences a second of each way, start of the command included."""
    path = write_lines(place / "sentences.jsonl", texts, len(texts))
    cores = len(os.sched_getaffinity(0))
    line = ["extract", "--model", model, "--input", path]
    ways = {"line by line": [*line, "--output", "json"], "--to": [*line, "--to", "OUT"]}
    ways |= {f"--to, {cores} processes": [*ways["--to"], "--workers", cores, "--part-rows", len(texts) // (2 * cores)]}
    best = dict.fromkeys(ways, float("inf"))
    for number in range(rounds):
        for name, command in ways.items():
            out = place / f"speed-{number}-{name.replace(' ', '')}"
            best[name] = min(best[name], run(*(out if word == "OUT" else word for word in command))[0])
            print(name, round(len(texts) / best[name], 1), "sentences a second", flush=True)
    return [
        {
            "way": name, "sentences_per_second": round(len(texts) / seconds, 1),
            "over_line_by_line": round(best["line by line"] / seconds, 2),
        }
        for name, seconds in best.items()
    ]  # fmt: skip


def memory(name: str, model: str, texts: list[str], counts: list[int], place: Path) -> list[dict[str, Any]]:
    """Peak of a run for each number of lines."""
    rows: list[dict[str, Any]] = []
    for count in counts:
        path = write_lines(place / f"{name}-{count}.jsonl", [text[:SHORT] for text in texts], count)
        seconds, peak = run("extract", "--model", model, "--input", path, "--to", place / f"memory-{name}-{count}")
        rows.append(
            {
                "model": name, "lines": count, "peak_mib": round(peak),
                "over_fewest": round(peak / (rows[0]["peak_mib"] if rows else peak), 3),
                "lines_per_second": round(count / seconds, 1),
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

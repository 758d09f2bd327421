"""Triples of a corpus on Ray: rows a second with one actor and with two, beside the command line in as many processes.

    pip install "hf-kexue[ray]"
    python benchmarks/ray_corpus.py --train DUIE2
    python benchmarks/ray_corpus.py --train DUIE2 --sentences 4000 --actors 1 2 4

Both ways run alternately over the same parquet file with the published model, every worker with one thread; the best
round of each counts. Ray is running before the clock starts; the actors with their model are not, and neither are the
processes of the command line, so that loading counts in both. The parts of all runs must be equal byte for byte.
Writes benchmarks/results/ray_corpus.json.
"""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import torch
from results import REPOSITORY, write_results

from hf_kexue.data.triples.reading import read_triples
from hf_kexue.inference.corpus import run_corpus
from hf_kexue.ray import ExtractTask, run_corpus_on_ray

DATA = {"--train": "duie2"}
PARTS = 4  # for each worker, of the largest number of workers


def parts(folder: Path) -> dict[str, bytes]:
    """Contents of the parts of a run."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*"))}


def timed(
    way: str, workers: int, task: ExtractTask, source: Path, folder: Path, part_rows: int
) -> tuple[float, dict[str, bytes]]:
    """Seconds of a run, and what it wrote."""
    settings: dict[str, Any] = {"formats": ["parquet"], "part_rows": part_rows, "progress": False}
    started = time.perf_counter()
    if way == "ray":
        run_corpus_on_ray(task, source, folder, actors=workers, **settings)
    else:
        run_corpus(task, source, folder, workers=workers, **settings)
    return time.perf_counter() - started, parts(folder)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="file, folder or Hub id with sentences")
    parser.add_argument(
        "--model", default=str(REPOSITORY / "model_cards" / "dgcnn-triples-zh"), help="folder or Hub id"
    )
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2], help="numbers of workers")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args(argv)
    ray = importlib.import_module("ray")
    ray.init(num_cpus=max(args.actors), include_dashboard=False, log_to_driver=False)
    torch.set_num_threads(1)  # of the command line in one process
    texts = [example.text for example in read_triples(args.train, split="train")[: args.sentences]]
    part_rows = max(1, len(texts) // (PARTS * max(args.actors)))
    ways = [(way, workers) for workers in args.actors for way in ("ray", "command line")]
    best = dict.fromkeys(ways, float("inf"))
    written: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "sentences.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"text": texts}), source, row_group_size=part_rows)
        for number in range(args.rounds):
            for way, workers in ways:
                folder = Path(place) / f"{way.replace(' ', '-')}-{workers}-{number}"
                seconds, found = timed(way, workers, ExtractTask(args.model), source, folder, part_rows)
                best[way, workers] = min(best[way, workers], seconds)
                print(way, workers, round(len(texts) / seconds, 1), "sentences a second", flush=True)
                if written and found != written:
                    raise RuntimeError(f"The parts of {way} with {workers} workers are others.")
                written = found
    rows = [
        {
            "way": way, "workers": workers, "sentences_per_second": round(len(texts) / seconds, 1),
            "over_command_line": round(best["command line", workers] / seconds, 2),
            "over_fewest_workers": round(best[way, args.actors[0]] / seconds, 2),
        }
        for (way, workers), seconds in best.items()
    ]  # fmt: skip
    figures = {
        "model": Path(args.model).name, "sentences": len(texts), "rounds": args.rounds, "ray": ray.__version__,
        "cores": len(os.sched_getaffinity(0)), "load_average": round(os.getloadavg()[0], 1), "rows": rows,
    }  # fmt: skip
    write_results("ray_corpus", figures)


if __name__ == "__main__":
    main()

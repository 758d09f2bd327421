"""Training, drawing and both text pipelines of this build against another one, interleaved: time and peak memory.

    git worktree add ../other 119e111
    python benchmarks/against_a_build.py ../other --questions CMRC2018 --sentences DUIE2
    python benchmarks/against_a_build.py ../other --rows drawing     # rows whose names contain this

Each build computes in a child process of its own, with its `src` first on the path and the same environment, weights
and inputs. The two take turns in short slices, so that other load on the machine affects both; ratios are those of the
shortest times. A row's `difference` is the largest one between the outputs (gradients, for a training step) of the
builds, over the largest magnitude; for pipelines the share of texts whose result differs. Rows "bf16 for float32" have
this build in bf16, as `--dtype auto` chooses it, and the other one in float32. Peak memory is that of the
whole process. Where more runs than there are cores, the ratio of CPU seconds is the one to read. Rows of earlier runs
with the same setting are kept. Writes benchmarks/results/against_a_build.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from results import REPOSITORY, rows_before, write_results
from rows_of_a_build import ROWS
from scripts import load_script, preset_arguments

from hf_kexue import DGCNNForTripleExtraction, DGCNNTokenizer, TriplePrior
from hf_kexue.data.questions.reading import read_qa
from hf_kexue.data.questions.samples import ReadingCollator, ReadingDataset
from hf_kexue.data.triples.reading import read_triples
from hf_kexue.data.triples.samples import TripleCollator, TripleDataset

DATA = {"checkout": "other-build"}
OPTIONAL_DATA = {"--questions": "cmrc2018", "--sentences": "duie2"}
PUBLISHED = REPOSITORY / "model_cards"
HERE = Path(__file__).resolve().parent


NEWER_FIELDS = ("no_answer_threshold", "score_calibration")
"""Of the configuration of readers, unknown to builds before them; neither an answer nor its score depends on them."""


def write_images(folder: Path) -> None:
    """The published U-ViT; the networks of preset r3, whose zeros of the start are made small numbers."""
    shutil.copytree(PUBLISHED / "simple-diffusion-clothing-64" / "unet", folder / "unet")
    torch.manual_seed(0)
    networks = load_script("train_rsgan").build_models(preset_arguments("train_rsgan", "--preset", "r3"), 17)
    for name, network in zip(("generator", "discriminator"), networks):
        for parameter in network.parameters():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.02)
        network.save_pretrained(folder / name)


def write_questions(folder: Path, source: str) -> None:
    """The published reader, a training batch, and every so many-th question of the validation data."""
    shutil.copytree(PUBLISHED / "dgcnn-qa-zh", folder / "dgcnn-qa-zh")
    saved = folder / "dgcnn-qa-zh" / "config.json"
    fields = json.loads(saved.read_text(encoding="utf-8"))
    kept = {name: value for name, value in fields.items() if name not in NEWER_FIELDS}
    saved.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
    _, _, _, count = ROWS["reading pipeline, float32"]
    held_out = read_qa(source, split="validation")
    chosen = held_out[:: len(held_out) // count][:count]
    records = [{"question": example.question, "context": example.passages[0]} for example in chosen]
    (folder / "questions.json").write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    _, _, _, batch = ROWS["training step, reader-fast, float32"]
    dataset = ReadingDataset(read_qa(source, split="train")[:batch])
    tokenizer = DGCNNTokenizer.from_pretrained(folder / "dgcnn-qa-zh")
    torch.save(ReadingCollator(tokenizer)([dataset[number] for number in range(batch)]), folder / "qa.pt")


def write_sentences(folder: Path, source: str) -> None:
    """The published triples model, a training batch of like lengths, as the training script makes them, and sentences
    of the validation data."""
    shutil.copytree(PUBLISHED / "dgcnn-triples-zh", folder / "dgcnn-triples-zh")
    _, _, _, count = ROWS["triples pipeline, float32"]
    held_out = read_triples(source, split="validation")
    texts = [example.text for example in held_out[:: len(held_out) // count][:count]]
    (folder / "sentences.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
    _, _, _, batch = ROWS["training step, triples-wide, float32"]
    model = DGCNNForTripleExtraction.from_pretrained(folder / "dgcnn-triples-zh")
    tokenizer = DGCNNTokenizer.from_pretrained(folder / "dgcnn-triples-zh")
    prior = TriplePrior(tokenizer.triple_prior or [], len(model.schema)) if model.config.triple_prior else None
    by_length = sorted(read_triples(source, split="train")[: 32 * batch], key=lambda example: len(example.text))
    dataset = TripleDataset(by_length[16 * batch : 17 * batch], model.schema)
    collator = TripleCollator(tokenizer, model.schema, model.subject_types, sampling="all", prior=prior)
    torch.save(collator([dataset[number] for number in range(batch)]), folder / "triples.pt")


class Build:
    """A row in the child process of a build."""

    def __init__(self, checkout: Path, inputs: Path, row: str, threads: int) -> None:
        environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, str(HERE / "rows_of_a_build.py"), str(checkout), str(inputs), row]
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        package = Path(self._reply()["package"])
        if checkout / "src" not in package.parents:
            raise SystemExit(f"the child of {checkout} imported {package}")
        self.outputs = torch.load(inputs / f"outputs-{checkout.name}.pt", weights_only=True)

    def _reply(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the child process ended with status {self.process.wait()}: {self.process.args!r}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def slice(self, calls: int) -> None:
        """Measure some calls."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{calls}\n")
        self.process.stdin.flush()
        reply = self._reply()
        self.seconds += reply["seconds"]
        self.cpu_seconds += reply["cpu_seconds"]

    def close(self) -> float:
        """Peak memory of the process in MiB."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        peak: float = self._reply()["peak_mib"]
        self.process.wait()
        return peak


def difference(here: Any, there: Any) -> float:
    """Of two outputs; see the top of this file."""
    if isinstance(here, list):
        return sum(one != other for one, other in zip(here, there, strict=True)) / len(here)
    return float((here.float() - there.float()).abs().max() / there.float().abs().max())


def measure(row: str, checkouts: tuple[Path, Path], inputs: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One row: both builds in turns for about `--seconds` each."""
    here, there = (Build(checkout, inputs, row, args.threads) for checkout in checkouts)
    for build in (here, there):
        build.slice(1)
    calls = max(1, round(args.slice_seconds / max(here.seconds[0], there.seconds[0])))
    for build in (here, there):
        build.seconds.clear()
        build.cpu_seconds.clear()
    rounds = 0
    while rounds < args.rounds or (sum(there.seconds) < args.seconds and rounds < 40):
        for build in (here, there) if rounds % 2 else (there, here):
            build.slice(calls)
        rounds += 1
    unit, count = ROWS[row][2:]
    peaks = here.close(), there.close()
    rate = [round(count / min(build.cpu_seconds), 2) for build in (here, there)]
    return {
        "row": row, "unit": f"{unit} per CPU second", "commit": commit(checkouts[0]),
        "here": rate[0], "there": rate[1],
        "ratio_of_cpu_seconds": round(min(there.cpu_seconds) / min(here.cpu_seconds), 2),
        "ratio_of_median_cpu_seconds": round(
            statistics.median(there.cpu_seconds) / statistics.median(here.cpu_seconds), 2
        ),
        "ratio_of_seconds": round(min(there.seconds) / min(here.seconds), 2),
        "peak_mib_here": round(peaks[0]), "peak_mib_there": round(peaks[1]),
        "difference": float(f"{difference(here.outputs, there.outputs):.2g}"), "calls": len(here.seconds),
    }  # fmt: skip


def commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="folder with another build")
    parser.add_argument("--questions", help="questions with splits train and validation; without: no rows of readers")
    parser.add_argument("--sentences", help="sentences with triples, likewise")
    parser.add_argument("--rows", nargs="+", default=[""], help="parts of the names of the rows to measure")
    parser.add_argument("--rounds", type=int, default=5, help="slices of each build at least")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each build and row at least, in 40 slices")
    parser.add_argument("--slice_seconds", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args(argv)
    other = args.checkout.resolve()
    if not (other / "src" / "hf_kexue").is_dir() or other == REPOSITORY:
        parser.error(f"{args.checkout} must be a checkout of another build, with src/hf_kexue.")
    names = [name for name in ROWS if any(part in name for part in args.rows)]
    if args.questions is None:
        names = [name for name in names if "read" not in name]
    if args.sentences is None:
        names = [name for name in names if "triples" not in name]
    if not names:
        parser.error(f"--rows {' '.join(args.rows)} names none for which there are data; known are {', '.join(ROWS)}.")
    setting = {"there": commit(other), "threads": args.threads}
    rows = {row["row"]: row for row in rows_before("against_a_build", setting)}
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder)
        write_images(inputs)
        if args.questions is not None:
            write_questions(inputs, args.questions)
        if args.sentences is not None:
            write_sentences(inputs, args.sentences)
        for name in names:
            rows[name] = measure(name, (REPOSITORY, other), inputs, args)
            ordered = [rows[name] for name in ROWS if name in rows]
            write_results("against_a_build", {**setting, "rows": ordered})  # after each: a run may be cut off


if __name__ == "__main__":
    main()

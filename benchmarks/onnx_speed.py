"""The published text models in torch and in ONNX Runtime, float32 and int8: accuracy, and time of calls on one thread.

    python benchmarks/onnx_speed.py --questions owner/cmrc2018 --triples owner/duie2

Accuracy over the first rows of both validation sets and over all of them. Times are of complete calls of the
pipelines and runtimes, texts in, answers out: processor time on one thread, which is what a call takes where nothing
else runs. The three alternate in one process, and the best round counts. The float32 networks are exported first; the
int8 ones lie in the repository. Writes benchmarks/results/onnx_speed.json after the first rows, and again at the end.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from results import REPOSITORY, write_results

from hf_kexue.data.questions.reading import read_qa
from hf_kexue.data.triples.reading import read_triples
from hf_kexue.inference.evaluation import evaluate_reader, evaluate_triples
from hf_kexue.inference.saved_models import load_pipeline
from hf_kexue.onnx import OnnxReader, OnnxTripleExtractor, export_onnx

DATA = {"--questions": "cmrc2018", "--triples": "duie2"}
READER, TRIPLES = (REPOSITORY / "model_cards" / name for name in ("dgcnn-qa-zh", "dgcnn-triples-zh"))
ENGINES = ("torch", "onnx float32", "onnx int8")
KEPT = ("questions", "texts", "exact_match", "precision", "recall", "f1")


def engines(folder: Path, exported: Path, runtime: type) -> dict[str, Any]:
    """A published model three times: in torch, exported, and its int8 networks."""
    if not list(exported.glob("onnx/*.onnx")):
        export_onnx(folder, exported, int8=True)
    found = (
        load_pipeline(str(folder), device="cpu"),
        runtime(exported, threads=1),
        runtime(folder, int8=True, threads=1),
    )
    return dict(zip(ENGINES, found))


def reader_calls(examples: list[Any]) -> dict[str, Callable[[Any], Any]]:
    """What a reader is asked, by name."""
    passages = sorted((example.passages[0] for example in examples), key=len)
    middle, question = passages[len(passages) // 2], examples[0].question
    some = [example.passages[0][:240] for example in examples[:16]]
    return {
        "a question over 40 characters": lambda reader: reader(question=question, context=middle[:40]),
        f"a question over {len(middle)} characters": lambda reader: reader(question=question, context=middle),
        "16 questions over 240 characters each": lambda reader: reader(
            question=[example.question for example in examples[:16]], context=some, batch_size=16
        ),
    }


def triples_calls(texts: list[str]) -> dict[str, Callable[[Any], Any]]:
    """What a model for triples is given, by name."""
    middle = sorted(texts, key=len)[len(texts) // 2]
    return {
        f"a sentence of {len(middle)} characters": lambda extract: extract(middle),
        "64 sentences": lambda extract: extract(texts[:64], batch_size=32),
    }


def times(found: dict[str, Any], calls: dict[str, Callable[[Any], Any]], rounds: int) -> list[dict[str, Any]]:
    """Milliseconds of each call with each engine."""
    rows = []
    for name, call in calls.items():
        best = dict.fromkeys(found, float("inf"))
        for number in range(rounds + 1):
            for engine, one in found.items():
                started = time.process_time()
                call(one)
                if number:  # the first warms up
                    best[engine] = min(best[engine], time.process_time() - started)
        rows.append({"call": name, **{f"{engine} ms": round(1e3 * seconds, 2) for engine, seconds in best.items()}})
        print(rows[-1], flush=True)
    return rows


def accuracy(
    found: dict[str, Any], evaluate: Callable[..., dict[str, Any]], examples: list[Any], limit: int | None
) -> list[dict[str, Any]]:
    """Scores of each engine over the first rows, all for None."""
    rows = []
    for engine, one in found.items():
        scores = evaluate(one, examples, limit=limit)
        kept = {key: scores[key] for key in KEPT if key in scores}
        rows.append({"engine": engine, "rows": "all" if limit is None else f"the first {limit}", **kept})
        print(rows[-1], flush=True)
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", required=True, help="CMRC 2018, folder or Hub id")
    parser.add_argument("--triples", required=True, help="DuIE 2.0, folder or Hub id")
    parser.add_argument(
        "--exported", type=Path, help="folder for the float32 networks; what is there is not made again"
    )
    parser.add_argument("--subset", type=int, default=500, help="rows of the first accuracy")
    parser.add_argument("--rounds", type=int, default=10, help="calls of each engine")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    questions, triples = read_qa(args.questions, split="validation"), read_triples(args.triples, split="validation")
    texts = [example.text for example in triples]
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.exported or Path(temporary)
        readers = engines(READER, folder / READER.name, OnnxReader)
        extractors = engines(TRIPLES, folder / TRIPLES.name, OnnxTripleExtractor)
        figures: dict[str, Any] = {
            "megabytes": {file.relative_to(folder).as_posix(): round(file.stat().st_size / 1e6, 1)
                          for file in sorted(folder.glob("dgcnn-*/onnx/*.onnx"))},
            "reader_times": times(readers, reader_calls(questions), args.rounds),
            "triples_times": times(extractors, triples_calls(texts), args.rounds),
            "reader_accuracy": [], "triples_accuracy": [],
        }  # fmt: skip
        for limit in (args.subset, None):
            figures["reader_accuracy"] += accuracy(readers, evaluate_reader, questions, limit)
            figures["triples_accuracy"] += accuracy(extractors, evaluate_triples, triples, limit)
            write_results("onnx_speed", figures)


if __name__ == "__main__":
    main()

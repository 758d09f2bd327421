"""When a reader should not answer, and how sure it is: fitted on the questions of every other passage, measured on the
others.

    python benchmarks/refusing.py --validation CMRC2018

Each question is asked of its own passage and of a wrong one, the nearest by search that holds none of its answers, see
inference/reader_calibration.py. Of both thresholds, 0.5 and the fitted one: precision and recall of refusing, and the
share of right decisions. Of probabilities: the expected error, of scores and of fitted ones. Writes
benchmarks/results/refusing.json and benchmarks/results/refusing.png. `--output` keeps the calibrated model.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from results import FOLDER, REPOSITORY, write_results

from hf_kexue import DGCNNForQuestionAnswering, DGCNNTokenizer, ReadingComprehensionPipeline
from hf_kexue.data.questions.reading import read_qa
from hf_kexue.dgcnn.calibration_dgcnn_qa import expected_error, is_right, probability, reliability
from hf_kexue.inference.reader_calibration import calibration_records, reliability_plot

DATA = {"--validation": "cmrc2018"}


def row(what: str, scores: np.ndarray, right: np.ndarray, has: np.ndarray, threshold: float) -> dict[str, Any]:
    """Figures of refusing below a threshold."""
    refused = scores < threshold
    return {
        "what": what, "threshold": round(threshold, 4),
        "precision": round(float((refused & ~has).sum() / refused.sum()), 4),
        "recall": round(float((refused & ~has).sum() / (~has).sum()), 4),
        "answerable_refused": round(float((refused & has).sum() / has.sum()), 4),
        "right_decisions": round(float(np.where(refused, ~has, right).mean()), 4),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validation", required=True, help="questions with their passages: file, folder or Hub id")
    parser.add_argument("--model", default=str(REPOSITORY / "model_cards" / "dgcnn-qa-zh"), help="folder or Hub id")
    parser.add_argument("--limit", type=int, help="use only the first questions")
    parser.add_argument("--output", type=Path, help="folder for the calibrated model")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    reader = ReadingComprehensionPipeline(
        model=DGCNNForQuestionAnswering.from_pretrained(args.model),
        tokenizer=DGCNNTokenizer.from_pretrained(args.model),
    )
    examples = read_qa(args.validation, "validation")[: args.limit]
    numbers = {passage: number for number, passage in enumerate(dict.fromkeys(e.passages[0] for e in examples))}
    halves = [[e for e in examples if numbers[e.passages[0]] % 2 == part] for part in (0, 1)]
    fit = reader.calibrate(calibration_records(halves[0], wrong_passages=True))
    print(fit, flush=True)
    if args.output:
        reader.save_pretrained(args.output)
    records = calibration_records(halves[1], wrong_passages=True)
    asked = [{key: record[key] for key in ("question", "context")} for record in records]
    found = reader(asked, batch_size=32)
    scores = np.array([answer["score"] for answer in found])
    right = np.array([is_right(answer["answer"], record["answers"]) for answer, record in zip(found, records)])
    has = np.array([bool(record["answers"]) for record in records])
    told = probability(scores, fit.slope, fit.intercept)
    bins = reliability(told, right)
    figures = {
        "model": Path(args.model).name, "fitted_on": fit.questions, "measured_on": len(records),
        "unanswerable": int((~has).sum()), "slope": round(fit.slope, 4), "intercept": round(fit.intercept, 4),
        "expected_error": round(expected_error(bins), 4),
        "expected_error_of_scores": round(expected_error(reliability(scores, right)), 4),
        "right_without_refusing": round(float(right.mean()), 4),
        "rows": [row("score below 0.5", scores, right, has, 0.5),
                 row("score below the fitted threshold", scores, right, has, fit.threshold)],
        "bins": [{name: round(value, 4) for name, value in one._asdict().items()} for one in bins],
    }  # fmt: skip
    write_results("refusing", figures)
    measured = fit._replace(bins=bins, expected_error=expected_error(bins))
    reliability_plot(measured, FOLDER / "refusing.png", f"{figures['model']} on {len(records)} questions")


if __name__ == "__main__":
    main()

"""Turn the finished runs of a reader into a published model: its Hub folder, its figures, its card.

    python training/publish_dgcnn_qa.py --name dgcnn-qa-zh --runs outputs/reader-cloze outputs/reader
    python benchmarks/reader_passages.py --data WEBQA_SAMPLE     # and the other benchmarks/reader_*.py
    python training/publish_dgcnn_qa.py --name dgcnn-qa-zh

`--runs` are the output folders of the training stages in order; the model of the last one is published. The first
call writes the model for the benchmarks; without `--runs` the model is unchanged, and its card gets the tables of
benchmarks/results. With `--validation DATA` the scores are measured now on the published model, instead of those of
the last run.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import run_figures

from hf_kexue import DGCNNForQuestionAnswering, DGCNNTokenizer, ReadingComprehensionPipeline
from hf_kexue.data.questions.reading import read_qa
from hf_kexue.hub import export_repository
from hf_kexue.hub.repository import store_as_float16
from hf_kexue.inference.evaluation import evaluate_reader

PASSAGES_KEYS = ("what", "accuracy", "standard_error", "f1", "right_where_best_is_wrong", "wrong_where_best_is_right")
SHAPES = {  # benchmark: title of its table, keys of its rows, their column names
    "reader_passages": (
        "WebQA sample: {questions} questions, {passages} passages each", PASSAGES_KEYS,
        ("accuracy", "standard error", "F1", "right where the best passage is wrong", "the reverse"),
    ),
    "reader_speed": (
        "question and passage of {question_characters} and {passage_characters} characters, {batch} at a time",
        ("model", "pairs_per_second", "over_small_bert", "over_rbt3"),
        ("pairs a second", "times the BERT of 4 layers", "times the BERT of 3 layers"),
    ),
    "reader_against_bert": (
        "the same data and CPU time: CMRC 2018, validation", ("model", "exact_match", "f1"), ("EM", "F1"),
    ),
    "refusing": (
        "{measured_on} questions, half of them asked of a wrong passage",
        ("what", "precision", "recall", "answerable_refused", "right_decisions"),
        ("precision", "recall", "answerable ones refused", "right decisions"),
    ),
    "reader_ablation": (
        "one part changed, short training: CMRC 2018, validation", ("what", "exact_match", "f1"), ("EM", "F1"),
    ),
}  # fmt: skip


def stage(run: Path) -> dict[str, Any]:
    """One run as a stage of the training."""
    results = run_figures.run_results(run, "questions")
    arguments, share = results["arguments"], results["arguments"]["cloze_share"]
    synthetic = "synthesised from plain text" + (" and triples" if arguments.get("triples") else "")
    mixed = f"real questions, {share:.0%} of them {synthetic}" if share else "real questions"
    return run_figures.stage_figures(run, results, f"questions {synthetic}" if share == 1 else mixed, "questions") | {
        "cpu_seconds": results["cpu_seconds"],
        "cloze_share": share,
        "max_characters": arguments["max_characters"],
        "simplify": arguments.get("simplify", False),
    }


def with_benchmarks(figures: dict[str, Any], folder: Path, model: str) -> dict[str, Any]:
    """Add the benchmark results of a folder to the figures of a card, unless they are of another model."""
    measured = run_figures.benchmark_results(folder, SHAPES)
    measured = {name: results for name, results in measured.items() if results.get("model", model) == model}
    tables = figures["tables"][:1]  # the scores of the model itself
    for name, results in measured.items():
        what, keys, names = SHAPES[name]
        tables.append(run_figures.benchmark_table(results, keys, [what.format(**results), *names]))
    passages = measured.get("reader_passages")
    votes = passages and {row["vote"]: row["accuracy"] for row in passages["rows"]}
    return figures | {"passages": votes, "measured": measured, "tables": tables}


def figures(runs: list[Path], scores_now: dict[str, Any]) -> dict[str, Any]:
    """Figures of the card about the model itself; `scores_now` overrides the scores of the last run."""
    last = run_figures.run_results(runs[-1], "questions") | scores_now
    if "validation/f1" not in last:
        raise ValueError(f"{runs[-1]} has no scores: run its training with --validation.")
    stages = [stage(run) for run in runs]
    scores = {key: round(last[f"validation/{key}"], 2) for key in ("exact_match", "f1")}
    counts = {
        "parameters": last["parameters"],
        "of them not in embeddings": last["parameters_without_embeddings"],
        "questions": last["questions"],
        "passages": last["texts"],
    }
    quoted = {"Exact match": scores["exact_match"], "F1": scores["f1"]}
    columns = [f"CMRC 2018, validation: {last['validation_questions']} questions", "EM", "F1"]
    return {
        **{key: last[key] for key in ("parameters", "parameters_without_embeddings", "questions")},
        "training": run_figures.training_rows(counts, last, sum(row["minutes"] for row in stages), "transformers"),
        "counted": "questions",
        "stages": stages,
        "validation": {**scores, "questions": last["validation_questions"]},
        "evaluation": run_figures.evaluation_rows(quoted, "cmrc2018"),
        "tables": [run_figures.table(columns, [["this model", *scores.values()]])],
    }


def scores_of(reader: ReadingComprehensionPipeline, validation: str | None) -> dict[str, Any]:
    """Validation scores of a reader, as in `results.json`; empty without --validation."""
    if not validation:
        return {}
    scores = evaluate_reader(reader, read_qa(validation, "validation"), scorer="cmrc2018")
    return {f"validation/{key}": scores[key] for key in ("exact_match", "f1")} | {
        "validation_questions": scores["questions"]
    }


def calibration_of(folder: Path) -> dict[str, Any]:
    """What `calibrate` saved in the configuration of a folder; empty if there is none."""
    path = folder / "config.json"
    saved = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {name: saved[name] for name in ("no_answer_threshold", "score_calibration") if saved.get(name) is not None}


def publish(
    name: str,
    runs: list[Path],
    measured: Path = run_figures.MEASURED,
    cards: Path = run_figures.CARDS,
    validation: str | None = None,
    half: bool = False,
    max_answer_len: float | None = None,
    calibrated: Path | None = None,
) -> Path:
    """Write folder, figures and card of a model.

    Args:
        name: of the model; `texts/<name>.yaml` of the cards must be there.
        runs: output folders of the training in their order; none: the published model stays as it is.
        measured: folder with the results of the benchmarks; those that are not there are left out.
        cards: the folder of all cards.
        validation: file, folder or Hub id with questions to score the published model on; None: the last run's scores.
        half: store the weights as float16 though they are below 25 MB.
        max_answer_len: saved with the model; None: what it was trained with.
        calibrated: folder of the same model with the calibration to publish; None: that of the published model stays.

    Returns:
        The model's folder.

    Raises:
        ValueError: no text for the card, no weights or more than 25 MB, a last run without scores, no runs and no
            published model; nothing has been written then.
    """
    folder = cards / name
    run_figures.require_text(cards, name)
    fitted = calibration_of(folder if calibrated is None else calibrated)
    if not runs:
        before = run_figures.published_figures(cards, name)
        if calibrated is not None:
            path = folder / "config.json"
            config = json.loads(path.read_text(encoding="utf-8")) | fitted
            path.write_text(json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        run_figures.write_card(cards, name, with_benchmarks(before, measured, name))
        return folder
    saved = runs[-1] / "model"
    model, half = run_figures.load_model(DGCNNForQuestionAnswering, saved, half)
    model.config.update(fitted | ({} if max_answer_len is None else {"max_answer_len": max_answer_len}))
    reader = ReadingComprehensionPipeline(model=model, tokenizer=DGCNNTokenizer.from_pretrained(saved))
    card = with_benchmarks(figures(runs, scores_of(reader, validation)), measured, name)
    shutil.rmtree(folder, ignore_errors=True)  # remove files of older versions
    export_repository(reader, folder, with_code=False)
    if half:
        store_as_float16(folder)
    run_figures.write_card(cards, name, card)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--runs", nargs="+", type=Path, default=[])
    parser.add_argument("--validation", help="questions to score the published model on")
    parser.add_argument("--float16", action="store_true", help="store weights as float16 even below 25 MB")
    parser.add_argument("--max_answer_len", type=float, help="longest answer, saved with the model")
    parser.add_argument("--calibrated", type=Path, help="the model as `hf-kexue calibrate` wrote it")
    args = parser.parse_args()
    publish(
        args.name, args.runs, validation=args.validation, half=args.float16, max_answer_len=args.max_answer_len,
        calibrated=args.calibrated,
    )  # fmt: skip


if __name__ == "__main__":
    main()

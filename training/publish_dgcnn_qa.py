"""Turn the finished runs of a reader into a published model: its Hub folder, its figures, its card.

    python training/publish_dgcnn_qa.py --name dgcnn-qa-zh --runs outputs/reader-cloze outputs/reader
    python benchmarks/reader_passages.py --data WEBQA_SAMPLE     # and the other benchmarks/reader_*.py
    python training/publish_dgcnn_qa.py --name dgcnn-qa-zh

With `--validation DATA` the scores are those of the published model, measured now, in place of those that the last
run left. `--runs` are the output folders of the training in their order; the last one's model is published. The first
call gives the benchmarks a model to measure; without `--runs` the model stays as it is, and its card gets the tables
of what they left in benchmarks/results. `data/NAME` in the card's commands stands for a folder with a data set; where
it lay is nobody's business.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import torch
import train_dgcnn_qa

from hf_kexue import DGCNNForQuestionAnswering, DGCNNTokenizer, ReadingComprehensionPipeline
from hf_kexue.data.questions.reading import read_qa
from hf_kexue.hub import export_repository
from hf_kexue.hub.cards import write_cards
from hf_kexue.hub.repository import store_as_float16

HERE = Path(__file__).resolve().parent
CARDS = HERE.parent / "model_cards"
MEASURED = HERE.parent / "benchmarks" / "results"
LARGEST = 25_000_000  # bytes of weights


def model_place(folder: Path) -> str:
    """Where a checkout has a model that a run began with or learned from: the folder of a run, or a published one."""
    return f"outputs/{folder.parent.name}/model" if folder.name == "model" else f"model_cards/{folder.name}"


def command(run: Path, results: dict[str, Any]) -> str:
    """The command line of a run, with the places that it named told as they are in a checkout."""
    arguments = results["arguments"]
    processes = results.get("processes", 1)
    launcher = ["accelerate", "launch"] if processes == 1 else ["torchrun", "--nproc_per_node", str(processes)]
    script, *words = shlex.split(results["environment"]["command"])
    option, told = "", []
    for word in words:
        if word.startswith("--"):
            option = word.removeprefix("--")
        elif option == "output_dir":
            word = f"outputs/{run.name}"
        elif option in ("init_from", "teacher"):
            word = model_place(Path(arguments[option]))
        elif option in ("train", "validation", "texts", "triples", "word_vectors"):
            given = arguments[option] if isinstance(arguments[option], list) else [arguments[option]]
            places = [Path(place) for place in given if place.startswith((".", "/"))]  # a Hub id stays as it is
            if place := next((place for place in places if place.name == Path(word).name), None):
                word = f"data/{place.parent.name}/{place.name}" if place.suffix else f"data/{place.name}"
        told.append(word)
    return shlex.join([*launcher, f"training/{script}", *told])


def stage(run: Path) -> dict[str, Any]:
    """What the card tells of one run."""
    results = json.loads((run / "results.json").read_text())
    share = results["arguments"]["cloze_share"]
    made_up = "made of plain text" + (" and triples" if results["arguments"].get("triples") else "")
    mixed = f"real questions, {share:.0%} of them {made_up}" if share else "real questions"
    return {
        "what": f"questions {made_up}" if share == 1 else mixed,
        "command": command(run, results),
        "questions_seen": results["questions_seen"],
        "steps": results["steps"],
        "minutes": round(results["seconds"] / 60),
        "cpu_seconds": results["cpu_seconds"],
        "cloze_share": share,
        "max_characters": results["arguments"]["max_characters"],
        "simplify": results["arguments"].get("simplify", False),
    }


PASSAGES_KEYS = ("what", "accuracy", "standard_error", "f1", "right_where_best_is_wrong", "wrong_where_best_is_right")
SHAPES = {  # benchmark: what its table says first, keys of its rows, their names where those do not speak
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
    "reader_ablation": (
        "one part changed, short training: CMRC 2018, validation", ("what", "exact_match", "f1"), ("EM", "F1"),
    ),
}  # fmt: skip


def with_benchmarks(found: dict[str, Any], folder: Path, model: str) -> dict[str, Any]:
    """Figures of a model's card with those of the benchmarks in a folder, where they are there and not of another."""
    paths = {name: folder / f"{name}.json" for name in SHAPES}
    measured = {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}
    measured = {name: results for name, results in measured.items() if results.get("model", model) == model}
    tables = found["tables"][:1]  # the scores of the model itself
    for name, results in measured.items():
        what, keys, names = SHAPES[name]
        told = f"python benchmarks/{results['environment']['command']}"
        rows = [[row[key] for key in keys] for row in results["rows"]]
        tables.append({"columns": [what.format(**results), *names], "rows": rows, "command": told})
    passages = measured.get("reader_passages")
    votes = passages and {row["vote"]: row["accuracy"] for row in passages["rows"]}
    return found | {"passages": votes, "measured": measured, "tables": tables}


def figures(runs: list[Path], scores_now: dict[str, Any]) -> dict[str, Any]:
    """What the card quotes of the model itself; `scores_now` in place of the last run's where there are any."""
    last = json.loads((runs[-1] / "results.json").read_text()) | scores_now
    if "validation/f1" not in last:
        raise ValueError(f"{runs[-1]} has no scores: run its training with --validation.")
    stages = [stage(run) for run in runs]
    environment, threads = last["environment"], last["environment"]["threads"]
    scores = {key: round(last[f"validation/{key}"], 2) for key in ("exact_match", "f1")}
    versions = ", ".join(f"{name} {environment[name]}" for name in ("torch", "transformers", "accelerate"))
    validation: dict[str, Any] = {
        "columns": [f"CMRC 2018, validation: {last['validation_questions']} questions", "EM", "F1"],
        "rows": [["this model", *scores.values()]],
        "command": None,
    }
    dataset = {"dataset": "cmrc2018", "split": "validation"}
    return {
        "parameters": last["parameters"],
        "parameters_without_embeddings": last["parameters_without_embeddings"],
        "questions": last["questions"],
        "training": [
            {"what": "parameters", "value": last["parameters"]},
            {"what": "of them not in embeddings", "value": last["parameters_without_embeddings"]},
            {"what": "questions", "value": last["questions"]},
            {"what": "passages", "value": last["texts"]},
            {"what": "device", "value": environment["device"] + (f", threads: {threads}" if threads else "")},
            {"what": "precision", "value": "float32" if last["precision"] == "no" else last["precision"]},
            {"what": "minutes in training steps", "value": sum(row["minutes"] for row in stages)},
            {"what": "seed", "value": last["arguments"]["seed"]},
            {"what": "versions", "value": versions},
        ],
        "counted": "questions",
        "stages": stages,
        "validation": {**scores, "questions": last["validation_questions"]},
        "evaluation": [
            {"metric": "Exact match", "value": scores["exact_match"], **dataset},
            {"metric": "F1", "value": scores["f1"], **dataset},
        ],
        "tables": [validation],
    }


def load(model_class: Any, folder: Path, half: bool = False) -> tuple[Any, bool]:
    """The model of a run in float32, and whether its weights are to be stored as float16, because `half` says so or
    to stay below 25 MB; then they are rounded to it already.

    Raises:
        ValueError: for a folder without weights, or with more than the project's own repository should hold.
    """
    if not list(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} holds no weights; the run has to come to its end before it is published.")
    model = model_class.from_pretrained(folder, dtype=torch.float32)
    numbers = sum(tensor.numel() for tensor in model.state_dict().values())
    if 2 * numbers > LARGEST:
        raise ValueError(
            f"{folder} holds {2 * numbers / 1e6:.1f} MB of weights, as float16; at most {LARGEST / 1e6:.0f} MB are "
            "published. Train with fewer words (--max_words) or a smaller --hidden_size."
        )
    half = half or 4 * numbers > LARGEST
    return (model.half().float() if half else model), half


def scores_of(reader: ReadingComprehensionPipeline, validation: str | None) -> dict[str, Any]:
    """What `results.json` of a run with --validation holds, of a reader as it is; nothing without questions."""
    if not validation:
        return {}
    examples = [example for example in read_qa(validation, "validation") if any(example.answers)]
    scores = train_dgcnn_qa.score(reader, examples)
    return {f"validation/{key}": scores[key] for key in ("exact_match", "f1")} | {
        "validation_questions": len(examples)
    }


def publish(
    name: str,
    runs: list[Path],
    measured: Path = MEASURED,
    cards: Path = CARDS,
    validation: str | None = None,
    half: bool = False,
    max_answer_len: float | None = None,
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

    Returns:
        The model's folder.

    Raises:
        ValueError: no text for the card, no weights or more than 25 MB, a last run without scores, no runs and no
            published model; nothing has been written then.
    """
    folder, results = cards / name, cards / "results" / f"{name}.json"
    if not (text := cards / "texts" / f"{name}.yaml").is_file():
        raise ValueError(f"There is no {text}: write what the card of {name} says first.")
    if runs:
        saved = runs[-1] / "model"
        model, half = load(DGCNNForQuestionAnswering, saved, half)
        if max_answer_len is not None:
            model.config.update({"max_answer_len": max_answer_len})
        reader = ReadingComprehensionPipeline(model=model, tokenizer=DGCNNTokenizer.from_pretrained(saved))
        found = with_benchmarks(figures(runs, scores_of(reader, validation)), measured, name)
        shutil.rmtree(folder, ignore_errors=True)  # no file of an older version stays
        export_repository(reader, folder, with_code=False)
        if half:
            store_as_float16(folder)
    elif results.is_file():
        found = with_benchmarks(json.loads(results.read_text(encoding="utf-8")), measured, name)
    else:
        raise ValueError(f"{name} is not published yet: give its --runs.")
    results.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(*write_cards(cards), sep="\n")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--runs", nargs="+", type=Path, default=[])
    parser.add_argument("--validation", help="questions to score the published model on")
    parser.add_argument("--float16", action="store_true", help="store weights so though they are below 25 MB")
    parser.add_argument("--max_answer_len", type=float, help="longest answer, saved with the model")
    args = parser.parse_args()
    publish(args.name, args.runs, validation=args.validation, half=args.float16, max_answer_len=args.max_answer_len)


if __name__ == "__main__":
    main()

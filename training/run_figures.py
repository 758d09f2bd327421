"""Figures of finished runs and of benchmarks, in the form that `hf_kexue.hub.cards` renders. For the publish_*.py.

    results = run_results(Path("outputs/reader"))
    stage_figures(run, results, "real questions", counted="questions")    # command, steps, minutes of one run
    training_rows({"questions": 60}, results, minutes=3, library="transformers")
    write_card(CARDS, "dgcnn-qa-zh", figures)                             # results/<name>.json, then all cards

`data/NAME` in a command stands for a folder with a data set, wherever the run found it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from hf_kexue.hub.cards import write_cards

REPOSITORY = Path(__file__).resolve().parent.parent
CARDS = REPOSITORY / "model_cards"
MEASURED = REPOSITORY / "benchmarks" / "results"
LARGEST = 25_000_000  # bytes of weights
DATA_OPTIONS = ("dataset", "train", "validation", "texts", "triples", "word_vectors")


def run_results(run: Path, counted: str | None = None) -> dict[str, Any]:
    """What a finished run left in results.json.

    Args:
        run: its output folder.
        counted: what it counts, such as "images"; None: not checked.

    Raises:
        ValueError: if the run has not come to its end, or counts something else.
    """
    path = run / "results.json"
    if not path.is_file():
        raise ValueError(f"{run} holds no results.json: it is the folder of no finished run.")
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if counted and f"{counted}_seen" not in results:
        raise ValueError(f"{run} is no run of a script that learns from {counted}.")
    return results


def model_place(folder: Path) -> str:
    """Where a checkout has a model that a run started from or learned from: in the folder of a run, or published."""
    of_a_run = folder.name in ("model", "pipeline")
    return f"outputs/{folder.parent.name}/{folder.name}" if of_a_run else f"model_cards/{folder.name}"


def command(run: Path, results: dict[str, Any]) -> str:
    """The command line of a run, its paths as they are in a checkout."""
    arguments = results["arguments"]
    processes = results.get("processes", 1)
    launcher = ["accelerate", "launch"] if processes == 1 else ["torchrun", "--nproc_per_node", str(processes)]
    script, *words = shlex.split(results["environment"]["command"])
    option, line = "", [*launcher, f"training/{script}"]
    for word in words:
        if word.startswith("--"):
            option = word.removeprefix("--")
        elif option == "output_dir":
            word = f"outputs/{run.name}"
        elif option in ("init_from", "teacher"):
            word = model_place(Path(arguments[option]))
        elif option in DATA_OPTIONS:
            given = arguments[option] if isinstance(arguments[option], list) else [arguments[option]]
            places = [Path(place) for place in given if place.startswith((".", "/"))]  # a Hub id stays as it is
            if place := next((place for place in places if place.name == Path(word).name), None):
                word = f"data/{place.parent.name}/{place.name}" if place.suffix else f"data/{place.name}"
        line.append(word)
    return shlex.join(line)


def stage_figures(run: Path, results: dict[str, Any], what: str, counted: str) -> dict[str, Any]:
    """One run as a stage of the training: what it learned from, its command, samples seen, steps, minutes."""
    return {
        "what": what,
        "command": command(run, results),
        f"{counted}_seen": results[f"{counted}_seen"],
        "steps": results["steps"],
        "minutes": round(results["seconds"] / 60),
    }


def training_rows(counts: dict[str, Any], results: dict[str, Any], minutes: int, library: str) -> list[dict[str, Any]]:
    """Rows of the card's table on the training: sizes and counts, then device, precision, time, seed, versions.

    Args:
        counts: first rows.
        results: of the last run.
        minutes: of all runs together.
        library: whose version stands beside those of torch and accelerate, "diffusers" or "transformers".
    """
    environment = results["environment"]
    threads = f", threads: {environment['threads']}" if environment["threads"] else ""
    rows = counts | {
        "device": environment["device"] + threads,
        "precision": "float32" if results["precision"] == "no" else results["precision"],
        "minutes in training steps": minutes,
        "seed": results["arguments"]["seed"],
        "versions": ", ".join(f"{name} {environment[name]}" for name in ("torch", library, "accelerate")),
    }
    return [{"what": what, "value": value} for what, value in rows.items()]


def evaluation_rows(scores: dict[str, float], dataset: str) -> list[dict[str, Any]]:
    """Scores on the validation split of a data set, for the metadata of the card."""
    return [
        {"metric": metric, "value": value, "dataset": dataset, "split": "validation"}
        for metric, value in scores.items()
    ]


def benchmark_results(folder: Path, names: Iterable[str], required: bool = False) -> dict[str, dict[str, Any]]:
    """What benchmarks left in a folder, by name; those that have not been run are left out.

    Raises:
        ValueError: if one of them is `required` and has not been run.
    """
    paths = {name: folder / f"{name}.json" for name in names}
    if required and (missing := [name for name, path in paths.items() if not path.is_file()]):
        raise ValueError(f"{folder} has no results of {', '.join(f'benchmarks/{name}.py' for name in missing)}.")
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.is_file()}


def table(columns: list[str], rows: list[list[Any]], results: dict[str, Any] | None = None) -> dict[str, Any]:
    """A table of the card, with the command of the benchmark whose results are given."""
    benchmark = results and f"python benchmarks/{results['environment']['command']}"
    return {"columns": columns, "rows": rows, "command": benchmark}


def benchmark_table(results: dict[str, Any], keys: Iterable[str], columns: list[str]) -> dict[str, Any]:
    """A table with a row for each row of a benchmark's results, and a column for each of some keys."""
    return table(columns, [[row[key] for key in keys] for row in results["rows"]], results)


def recognition_table(results: dict[str, Any], model: str) -> dict[str, Any]:
    """Of benchmarks/class_recognition.py: for each class the training photographs, and which share of those held out
    and of a model's samples a classifier recognises."""
    keys = ("photographs held out", model, f"{model}, among three guesses")
    mean = [results["means"][key]["as_photographs_are_distributed"] for key in keys]
    columns = [
        "share recognised", "training photographs", "photographs held out", "samples", "samples, among three guesses",
    ]  # fmt: skip
    rows = [[row["class"], row["training_photographs"], *(row[key] for key in keys)] for row in results["rows"]]
    return table(columns, [*rows, ["all, as frequent as in training", "", *mean]], results)


def loss_tables(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Of benchmarks/gan_losses.py: for each task the losses, and the means over seeds of what was measured."""
    tables = []
    for task, part in results.items():
        if task == "environment":
            continue
        measures = [key for key in part["losses"][0] if key not in ("loss", "cpu_seconds")]
        seeds = len({row["seed"] for row in part["rows"]})
        what, line = task, f"gan_losses.py --task {task}"
        if task == "cifar10":
            setting, line = part["setting"], results["environment"]["command"]
            what = f"{task}, network {setting['network']}, {setting['steps']} steps of {setting['batch_size']}"
        tables.append({
            "columns": [f"{what}, {seeds} seeds: loss", *(key.replace("_", " ") for key in measures)],
            "rows": [[row["loss"], *(row[key] for key in measures)] for row in part["losses"]],
            "command": f"python benchmarks/{line}",
        })  # fmt: skip
    return tables


def load_model(model_class: Any, folder: Path, half: bool = False) -> tuple[Any, bool]:
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


def require_text(cards: Path, name: str) -> None:
    """Raises: ValueError if nobody has written yet what the card of a model says."""
    if not (text := cards / "texts" / f"{name}.yaml").is_file():
        raise ValueError(f"There is no {text}: write what the card of {name} says first.")


def published_figures(cards: Path, name: str) -> dict[str, Any]:
    """The figures of a card.

    Raises:
        ValueError: if the model is not published yet.
    """
    path = cards / "results" / f"{name}.json"
    if not path.is_file():
        raise ValueError(f"{name} is not published yet: give its --runs.")
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return figures


def write_figures(cards: Path, name: str, figures: dict[str, Any]) -> None:
    """Write the figures of a card, not yet the card."""
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    (cards / "results" / f"{name}.json").write_text(text, encoding="utf-8")


def write_card(cards: Path, name: str, figures: dict[str, Any]) -> None:
    """Write the figures of a card and render all cards."""
    write_figures(cards, name, figures)
    print(*write_cards(cards), sep="\n")

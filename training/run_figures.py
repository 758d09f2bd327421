"""Figures of finished runs and of benchmarks for model cards (`hf_kexue.hub.cards`), used by publish_*.py.

    results = run_results(Path("outputs/reader"))
    stage_figures(run, results, "real questions", counted="questions")    # command, steps, minutes of one run
    training_rows({"questions": 60}, results, minutes=3, library="transformers")
    write_card(CARDS, "dgcnn-qa-zh", figures)                             # results/<name>.json, then all cards

In a command `data/NAME` replaces the path of a data set.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from hf_kexue.data.whole_files import write_whole
from hf_kexue.hub.cards import write_cards

REPOSITORY = Path(__file__).resolve().parent.parent
CARDS = REPOSITORY / "model_cards"
MEASURED = REPOSITORY / "benchmarks" / "results"
LARGEST = 25_000_000  # bytes of weights
DATA_OPTIONS = ("dataset", "train", "validation", "texts", "triples", "word_vectors")


def run_results(run: Path, counted: str | None = None) -> dict[str, Any]:
    """Read results.json of a finished run.

    Args:
        run: its output folder.
        counted: expected unit, such as "images"; None: not checked.

    Raises:
        ValueError: if the run has not finished, or counts another unit.
    """
    path = run / "results.json"
    if not path.is_file():
        raise ValueError(f"{run} has no results.json: the run has not finished.")
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if counted and f"{counted}_seen" not in results:
        raise ValueError(f"{run} has no {counted}_seen: it is not a run on {counted}.")
    return results


def model_place(folder: Path) -> str:
    """The path of a donor or teacher in a checkout: in the folder of a run, or published."""
    is_run = folder.name in ("model", "pipeline")
    return f"outputs/{folder.parent.name}/{folder.name}" if is_run else f"model_cards/{folder.name}"


def command(run: Path, results: dict[str, Any]) -> str:
    """The command line of a run, with paths relative to a checkout."""
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
        elif option in ("init_from", "teacher") or (option == "text_encoder" and word != "new"):
            word = model_place(Path(arguments[option]))
        elif option in DATA_OPTIONS:
            sources = arguments[option] if isinstance(arguments[option], list) else [arguments[option]]
            places = [Path(place) for place in sources if place.startswith((".", "/"))]  # Hub ids are unchanged
            if place := next((place for place in places if place.name == Path(word).name), None):
                word = f"data/{place.parent.name}/{place.name}" if place.suffix else f"data/{place.name}"
        line.append(word)
    return shlex.join(line)


def stage_figures(run: Path, results: dict[str, Any], what: str, counted: str) -> dict[str, Any]:
    """One run as a stage of the training: data, command, samples seen, steps, minutes."""
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
        minutes: of all runs.
        library: listed with its version beside torch and accelerate, "diffusers" or "transformers".
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
    """Benchmark results of a folder by name; missing ones are skipped.

    Raises:
        ValueError: if one is missing and `required`.
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
    """A table of benchmark results with one column for each key."""
    return table(columns, [[row[key] for key in keys] for row in results["rows"]], results)


def recognition_table(results: dict[str, Any], model: str) -> dict[str, Any]:
    """The table of benchmarks/class_recognition.py: number of training photographs by class, and the share of held-out
    photographs and of samples that a classifier recognises."""
    keys = ("photographs held out", model, f"{model}, among three guesses")
    mean = [results["means"][key]["as_photographs_are_distributed"] for key in keys]
    columns = [
        "share recognised", "training photographs", "photographs held out", "samples", "samples, among three guesses",
    ]  # fmt: skip
    rows = [[row["class"], row["training_photographs"], *(row[key] for key in keys)] for row in results["rows"]]
    return table(columns, [*rows, ["all, as frequent as in training", "", *mean]], results)


def loss_tables(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The tables of benchmarks/gan_losses.py: means over seeds by loss, one table a task."""
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
    """Load the model of a run in float32, and decide whether to store it as float16: if `half`, or to stay below
    25 MB. The weights are then already rounded.

    Raises:
        ValueError: for a folder without weights, or with more than 25 MB of them.
    """
    if not list(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} has no weights: the run has not finished.")
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
    """Raise a `ValueError` if the text of a card is missing."""
    if not (text := cards / "texts" / f"{name}.yaml").is_file():
        raise ValueError(f"There is no {text}: write the text of the card of {name} first.")


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


def gone_on(before: dict[str, Any], figures: dict[str, Any]) -> dict[str, Any]:
    """Figures of runs that went on from a published model: its stages stand first, and count.

    Args:
        before: the figures of its card.
        figures: of the runs, with "stages", "images_seen" and "training".
    """
    stages = [*before["stages"], *figures["stages"]]
    minutes = sum(stage["minutes"] for stage in stages)
    rows = [
        row | {"value": minutes} if row["what"] == "minutes in training steps" else row for row in figures["training"]
    ]
    seen = before["images_seen"] + figures["images_seen"]
    return figures | {"stages": stages, "images_seen": seen, "training": rows}


def write_figures(cards: Path, name: str, figures: dict[str, Any]) -> None:
    """Write the figures of a card without rendering it."""
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    write_whole(cards / "results" / f"{name}.json", text)


def write_card(cards: Path, name: str, figures: dict[str, Any]) -> None:
    """Write the figures of a card and render all cards."""
    write_figures(cards, name, figures)
    print(*write_cards(cards), sep="\n")

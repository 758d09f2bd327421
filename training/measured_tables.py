"""Tables of the cards of the image models, from the results that the benchmarks left.

    recognition_table(results, "rsgan-clothing-64")     # benchmarks/class_recognition.py
    loss_tables(results)                                # benchmarks/gan_losses.py

A table is what `hf_kexue.hub.cards` renders: columns, rows, and the command behind them.
"""

from __future__ import annotations

from typing import Any


def recognition_table(results: dict[str, Any], model: str) -> dict[str, Any]:
    """For each class the photographs, and how many of them and of a model's samples a classifier names right."""
    asked = ("photographs held out", model, f"{model}, among three guesses")
    mean = [results["means"][key]["as_photographs_are_distributed"] for key in asked]
    return {
        "columns": [
            "share recognised", "training photographs", "photographs held out", "samples",
            "samples, among three guesses",
        ],
        "rows": [
            *([row["class"], row["training_photographs"], *(row[key] for key in asked)] for row in results["rows"]),
            ["all, as frequent as in training", "", *mean],
        ],
        "command": f"python benchmarks/{results['environment']['command']}",
    }  # fmt: skip


def loss_tables(results: dict[str, Any]) -> list[dict[str, Any]]:
    """For each task the losses, and the means of what was measured over their seeds."""
    tables = []
    for task, part in results.items():
        if task == "environment":
            continue
        measures = [key for key in part["losses"][0] if key not in ("loss", "cpu_seconds")]
        seeds = len({row["seed"] for row in part["rows"]})
        what, command = task, f"gan_losses.py --task {task}"
        if task == "cifar10":
            setting, command = part["setting"], results["environment"]["command"]
            what = f"{task}, network {setting['network']}, {setting['steps']} steps of {setting['batch_size']}"
        tables.append({
            "columns": [f"{what}, {seeds} seeds: loss", *(key.replace("_", " ") for key in measures)],
            "rows": [[row["loss"], *(row[key] for key in measures)] for row in part["losses"]],
            "command": f"python benchmarks/{command}",
        })  # fmt: skip
    return tables

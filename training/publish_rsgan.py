"""Turn a finished run into a published model: its Hub folder, its pictures, its figures, its card.

    python training/publish_rsgan.py --name rsgan-clothing-64 --run outputs/rsgan-clothing-64
    python training/publish_rsgan.py --name rsgan-clothing-64 --run outputs/rsgan-clothing-64 \\
        --ablation benchmarks/results/gan_losses.json benchmarks/results/gan_losses_dcgan.json

Folder and pictures are made in every call. The kernel distance is measured here, as benchmarks/sample_quality.py does
it, with the truncations asked for. `--ablation` adds what benchmarks/gan_losses.py found, a table for each task of
each file.
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import torch

from hf_kexue import RSGANPipeline
from hf_kexue.cards import write_cards
from hf_kexue.data.images import load_images
from hf_kexue.hub import export_repository
from hf_kexue.training_runs import class_sheet, image_grid, portable_command

from train_rsgan import EMBEDDED, Arguments, distance, held_out_features  # isort: skip

HERE = Path(__file__).resolve().parent
CARDS = HERE.parent / "model_cards"


def draw_samples(pipeline: RSGANPipeline, path: Path, per_class: int = 6) -> None:
    """Samples of every class from seed 0, nothing selected, in two blocks side by side."""
    labels = [name for name in pipeline.class_names for _ in range(per_class)]
    images = pipeline(class_labels=labels, generator=torch.Generator().manual_seed(0)).images
    class_sheet(images, per_class).save(path)


def draw_interpolation(pipeline: RSGANPipeline, path: Path, classes: list[str], steps: int = 10) -> None:
    """A row per class that leads from one latent to another, from seed 0."""
    chance, images = torch.Generator().manual_seed(0), []
    for name in classes:
        first, last = torch.randn(2, pipeline.generator.config.latent_dim, generator=chance)
        images += pipeline.interpolate(first, last, steps, class_labels=name).images
    image_grid(images, steps).save(path)


def measured(pipeline: RSGANPipeline, truncations: list[float], samples: int) -> list[list[Any]]:
    """Rows of truncation, KID-EffLite0 and its standard error, against the first validation photographs."""
    args = Arguments(distance_images=samples)
    held_out = held_out_features(args, load_images(str(EMBEDDED), split="validation"))
    source = load_images(str(EMBEDDED), label_column="auto")
    rows: list[list[Any]] = []
    for truncation in truncations:
        found = distance(args, pipeline, source, held_out, truncation)
        rows.append([f"samples, truncation {truncation:g}", *(round(value, 4) for value in found.values())])
        print(rows[-1])
    return rows


def loss_tables(path: Path) -> list[dict[str, Any]]:
    """For each task of benchmarks/gan_losses.py: the losses, and the means of what was measured over their seeds."""
    results = json.loads(path.read_text())
    environment, tables = results.pop("environment"), []
    for task, part in results.items():
        measures = [key for key in part["losses"][0] if key not in ("loss", "cpu_seconds")]
        seeds = len({row["seed"] for row in part["rows"]})
        what, command = task, f"gan_losses.py --task {task}"
        if task == "cifar10":
            setting, command = part["setting"], environment["command"]
            what = f"{task}, network {setting['network']}, {setting['steps']} steps of {setting['batch_size']}"
        tables.append({
            "columns": [f"{what}, {seeds} seeds: loss", *(key.replace("_", " ") for key in measures)],
            "rows": [[row["loss"], *(row[key] for key in measures)] for row in part["losses"]],
            "command": f"python benchmarks/{command}",
        })  # fmt: skip
    return tables


def figures(run: Path, rows: list[list[Any]], samples: int, losses: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything that the card quotes."""
    results = json.loads((run / "results.json").read_text())
    environment, arguments = results["environment"], results["arguments"]
    command = portable_command(shlex.split(environment["command"]))
    command = command.replace(f"--output_dir {run.name}", f"--output_dir outputs/{run.name}")
    device = environment["device"] + (f", {environment['threads']} threads" if environment["threads"] else "")
    versions = ", ".join(f"{name} {environment[name]}" for name in ("torch", "diffusers", "accelerate"))
    minutes = round(results["seconds"] / 60)
    return {
        "parameters": results["parameters"],
        "discriminator_parameters": results["discriminator_parameters"],
        "classes": results["classes"],
        "images_seen": results["images_seen"],
        "samples": samples,
        "training": [
            {"what": "parameters of the generator", "value": results["parameters"]},
            {"what": "parameters of the discriminator", "value": results["discriminator_parameters"]},
            {"what": "photographs", "value": results["images"]},
            {"what": "device", "value": device},
            {"what": "precision", "value": "float32" if results["precision"] == "no" else results["precision"]},
            {"what": "minutes in training steps", "value": minutes},
            {"what": "seed", "value": arguments["seed"]},
            {"what": "versions", "value": versions},
        ],
        "counted": "images",
        "stages": [
            {
                "what": f"{arguments['resolution']} pixels, preset {arguments['preset']}",
                "command": f"accelerate launch training/{command}",
                "images_seen": results["images_seen"],
                "steps": results["steps"],
                "minutes": minutes,
            }
        ],
        "evaluation": [
            {
                "metric": "KID-EffLite0",
                "value": min(row[1] for row in rows),
                "dataset": "clothing-64",
                "split": "validation",
            }
        ],
        "tables": [
            {
                "columns": ["", "KID-EffLite0", "standard error"],
                "rows": rows,
                "command": f"python training/publish_rsgan.py --name rsgan-clothing-64 --run outputs/{run.name}",
            },
            *losses,
        ],
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--run", required=True, type=Path, help="output folder of the training")
    parser.add_argument("--truncation", nargs="+", type=float, default=[1.0, 0.8], help="in (0, 1], each measured")
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--interpolate", nargs="+", default=["Dress", "Pants", "Shoes", "T-Shirt"], help="classes")
    parser.add_argument("--ablation", type=Path, nargs="+", default=[], help="results of benchmarks/gan_losses.py")
    parser.add_argument("--cards", type=Path, default=CARDS, help="folder of the cards")
    args = parser.parse_args(argv)
    if not (args.run / "results.json").is_file():
        raise ValueError(f"{args.run} holds no results.json: it is no finished run of training/train_rsgan.py.")
    folder = args.cards / args.name
    pipeline = RSGANPipeline.from_pretrained(args.run / "pipeline")
    export_repository(pipeline, folder)
    draw_samples(pipeline, folder / "samples.png")
    draw_interpolation(pipeline, folder / "interpolation.png", args.interpolate)
    tables = [table for path in args.ablation for table in loss_tables(path)]
    found = figures(args.run, measured(pipeline, args.truncation, args.samples), args.samples, tables)
    results = args.cards / "results" / f"{args.name}.json"
    results.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(*write_cards(args.cards), sep="\n")


if __name__ == "__main__":
    main()

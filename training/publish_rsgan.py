"""Turn a finished run into a published model: its Hub folder, its figures, its card.

    python training/publish_rsgan.py --name rsgan-clothing-64 --run outputs/rsgan-clothing-64
    python benchmarks/class_recognition.py
    python training/publish_rsgan.py --name rsgan-clothing-64

With `--run` the folder is made, and the kernel distance measured as benchmarks/sample_quality.py does it, with the
truncations asked for. The call without it leaves the weights as they are: it draws the pictures of the card anew and
adds what benchmarks/class_recognition.py measured on the published folder, and for each task of each network what
benchmarks/gan_losses.py found of the losses.
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import torch
from measured_tables import loss_tables, recognition_table

from hf_kexue import RSGANPipeline
from hf_kexue.data.images import load_images
from hf_kexue.hub import export_repository
from hf_kexue.hub.cards import write_cards
from hf_kexue.inference.grids import class_sheet, image_grid
from hf_kexue.training.environment import portable_command

from train_rsgan import EMBEDDED, Arguments, distance, held_out_features  # isort: skip

HERE = Path(__file__).resolve().parent
CARDS = HERE.parent / "model_cards"
MEASURED = HERE.parent / "benchmarks" / "results"


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


def kernel_distances(pipeline: RSGANPipeline, truncations: list[float], samples: int) -> list[list[Any]]:
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


def of_run(run: Path, rows: list[list[Any]], samples: int) -> dict[str, Any]:
    """What the card tells of how the model came about, and of the distances just measured."""
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
            }
        ],
    }


def of_benchmarks(name: str, distances: dict[str, Any], measured: Path) -> dict[str, Any]:
    """What the card tells beside the table of distances, from the results of the two benchmarks in a folder."""
    recognition = json.loads((measured / "class_recognition.json").read_text())
    losses = [json.loads(path.read_text()) for path in sorted(measured.glob("gan_losses*.json"))]
    tables = [distances, recognition_table(recognition, name)]
    for results in losses:
        tables += loss_tables(results)
    return {"recognition": recognition["setting"], "tables": tables}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--run", type=Path, help="output folder of the training")
    parser.add_argument("--truncation", nargs="+", type=float, default=[1.0, 0.8], help="in (0, 1], each measured")
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--interpolate", nargs="+", default=["Dress", "Pants", "Shoes", "T-Shirt"], help="classes")
    parser.add_argument("--cards", type=Path, default=CARDS, help="folder of the cards")
    parser.add_argument("--measured", type=Path, default=MEASURED, help="folder with the results of the benchmarks")
    args = parser.parse_args(argv)
    folder, path = args.cards / args.name, args.cards / "results" / f"{args.name}.json"
    if args.run:
        if not (args.run / "results.json").is_file():
            raise ValueError(f"{args.run} holds no results.json: it is no finished run of training/train_rsgan.py.")
        pipeline = RSGANPipeline.from_pretrained(args.run / "pipeline")
        export_repository(pipeline, folder, with_code=False)
        found = of_run(args.run, kernel_distances(pipeline, args.truncation, args.samples), args.samples)
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{folder}: now measure it, then call this script without --run.")
        return
    if not path.is_file():
        raise ValueError(f"{args.name} is not published yet: give its --run.")
    pipeline = RSGANPipeline.from_pretrained(folder)
    draw_samples(pipeline, folder / "samples.png")
    draw_interpolation(pipeline, folder / "interpolation.png", args.interpolate)
    before = json.loads(path.read_text(encoding="utf-8"))
    found = before | of_benchmarks(args.name, before["tables"][0], args.measured)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(*write_cards(args.cards), sep="\n")


if __name__ == "__main__":
    main()

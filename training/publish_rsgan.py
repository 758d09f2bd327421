"""Turn a finished run into a published model: its Hub folder, its figures, its card.

    python training/publish_rsgan.py --name rsgan-clothing-64 --run outputs/rsgan-clothing-64
    python benchmarks/class_recognition.py
    python training/publish_rsgan.py --name rsgan-clothing-64

With `--run` the folder is written, and the kernel distance measured as in benchmarks/sample_quality.py, for each
truncation. Without it the weights are unchanged: the pictures of the card are redrawn, and the results of
benchmarks/class_recognition.py and benchmarks/gan_losses.py are added.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import run_figures
import torch

from hf_kexue import RSGANPipeline
from hf_kexue.data.images import load_images
from hf_kexue.hub import export_repository
from hf_kexue.inference.drawing import draw_in_batches
from hf_kexue.inference.evaluation import class_mix, photographs, picture_distance, picture_features
from hf_kexue.inference.grids import class_sheet, image_grid

EMBEDDED = run_figures.REPOSITORY / "training" / "data" / "clothing-64"


def draw_samples(pipeline: RSGANPipeline, path: Path, per_class: int = 6) -> None:
    """Samples of every class from seed 0, nothing selected, in two blocks side by side."""
    labels = [name for name in pipeline.class_names for _ in range(per_class)]
    images = pipeline(class_labels=labels, generator=torch.Generator().manual_seed(0)).images
    class_sheet(images, per_class).save(path)


def draw_interpolation(pipeline: RSGANPipeline, path: Path, classes: list[str], steps: int = 10) -> None:
    """A row of interpolated samples per class, from seed 0."""
    generator, images = torch.Generator().manual_seed(0), []
    for name in classes:
        first, last = torch.randn(2, pipeline.generator.config.latent_dim, generator=generator)
        images += pipeline.interpolate(first, last, steps, class_labels=name).images
    image_grid(images, steps).save(path)


def kernel_distances(pipeline: RSGANPipeline, truncations: list[float], samples: int) -> list[list[Any]]:
    """Rows of truncation, KID-EffLite0 and its standard error, against the first validation photographs.

    Classes have the proportions of the training photographs; all truncations share classes and latents.
    """
    size = pipeline.generator.config.sample_size
    held_out = picture_features(photographs(load_images(str(EMBEDDED), split="validation"), size, samples).images)
    labels = class_mix(load_images(str(EMBEDDED), label_column="auto"), samples)
    rows: list[list[Any]] = []
    for truncation in truncations:
        generator = torch.Generator().manual_seed(0)
        options: dict[str, Any] = {"truncation": truncation, "output_type": "pt"}  # as published: not rounded to bytes
        images = draw_in_batches(pipeline, labels, 50, generator=generator, **options)
        rows.append([
            f"samples, truncation {truncation:g}",
            *(round(value, 4) for value in picture_distance(held_out, images).values()),
        ])  # fmt: skip
        print(rows[-1])
    return rows


def training_figures(name: str, run: Path, rows: list[list[Any]], samples: int) -> dict[str, Any]:
    """Figures of the card about the training and the measured distances."""
    results = run_figures.run_results(run, "images")
    arguments = results["arguments"]
    what = f"{arguments['resolution']} pixels, preset {arguments['preset']}"
    stage = run_figures.stage_figures(run, results, what, "images")
    counts = {
        "parameters of the generator": results["parameters"],
        "parameters of the discriminator": results["discriminator_parameters"],
        "photographs": results["images"],
    }
    distances = run_figures.table(["", "KID-EffLite0", "standard error"], rows)
    distances["command"] = f"python training/publish_rsgan.py --name {name} --run outputs/{run.name}"
    return {
        **{key: results[key] for key in ("parameters", "discriminator_parameters", "classes", "images_seen")},
        "samples": samples,
        "training": run_figures.training_rows(counts, results, stage["minutes"], "diffusers"),
        "counted": "images",
        "stages": [stage],
        "evaluation": run_figures.evaluation_rows({"KID-EffLite0": min(row[1] for row in rows)}, "clothing-64"),
        "tables": [distances],
    }


def measured_figures(name: str, distances: dict[str, Any], measured: Path) -> dict[str, Any]:
    """Further figures of the card, from the results of the two benchmarks in a folder."""
    recognition = run_figures.benchmark_results(measured, ["class_recognition"], required=True)["class_recognition"]
    losses = run_figures.benchmark_results(measured, sorted(path.stem for path in measured.glob("gan_losses*.json")))
    tables = [distances, run_figures.recognition_table(recognition, name)]
    for results in losses.values():
        tables += run_figures.loss_tables(results)
    return {"recognition": recognition["setting"], "tables": tables}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--run", type=Path, help="output folder of the training")
    parser.add_argument("--truncation", nargs="+", type=float, default=[1.0, 0.8], help="in (0, 1], each measured")
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--interpolate", nargs="+", default=["Dress", "Pants", "Shoes", "T-Shirt"], help="classes")
    parser.add_argument("--cards", type=Path, default=run_figures.CARDS, help="folder of the cards")
    parser.add_argument(
        "--measured", type=Path, default=run_figures.MEASURED, help="folder with the results of the benchmarks"
    )
    args = parser.parse_args(argv)
    folder = args.cards / args.name
    if args.run:
        run_figures.run_results(args.run, "images")  # before anything is written
        pipeline = RSGANPipeline.from_pretrained(args.run / "pipeline")
        export_repository(pipeline, folder, with_code=False)
        rows = kernel_distances(pipeline, args.truncation, args.samples)
        run_figures.write_figures(args.cards, args.name, training_figures(args.name, args.run, rows, args.samples))
        print(f"{folder}: now measure it, then call this script without --run.")
        return
    before = run_figures.published_figures(args.cards, args.name)
    pipeline = RSGANPipeline.from_pretrained(folder)
    draw_samples(pipeline, folder / "samples.png")
    draw_interpolation(pipeline, folder / "interpolation.png", args.interpolate)
    measured = measured_figures(args.name, before["tables"][0], args.measured)
    run_figures.write_card(args.cards, args.name, before | measured)


if __name__ == "__main__":
    main()

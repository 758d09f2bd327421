"""A distilled model by number of steps beside its teacher and the GAN: images a second, kernel distance, recognition.

    python benchmarks/distillation.py                                  # all rows that the results file lacks
    python benchmarks/distillation.py --rows student:4 --seeds 0       # some of them; the others are kept
    python benchmarks/distillation.py --speed                          # images a second anew, all models in turn

Measures: KID-EffLite0 against the first 400 validation photographs (as sample_quality.py), and the share of the same
samples that the classifier of class_recognition.py takes for their class; classes are drawn as often as they occur
among the training photographs. Each model draws as it was saved, but for the number of steps; the teacher by
DPM-Solver++. Means over seeds have their standard error. Writes benchmarks/results/<name>.json.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from class_recognition import fit_classifier, labelled_photographs
from results import REPOSITORY, rows_before, write_results
from sample_quality import EMBEDDED, class_mix, distance, features, photographs
from timing import best_seconds
from tqdm.auto import tqdm

from hf_kexue import RSGANPipeline, SimpleDiffusionPipeline
from hf_kexue.inference.drawing import draw_in_batches

CARDS = REPOSITORY / "model_cards"
DATA: dict[str, str] = {}  # the embedded photographs serve
ROWS = ("teacher:20", "student:1", "student:2", "student:4", "student:8", "gan:1")
TIMED = 4  # images of a timed batch


def load(args: argparse.Namespace, model: str) -> Any:
    """The pipeline of a row's model."""
    kind: Any = RSGANPipeline if model == "gan" else SimpleDiffusionPipeline
    return kind.from_pretrained(getattr(args, model))


def draw(pipeline: Any, model: str, steps: int, labels: list[int], seed: int) -> list[Any]:
    """One picture per label, in batches of 50."""
    options: dict[str, Any] = {} if model == "gan" else {"steps": steps}
    if model == "teacher":
        options["sampler"] = "dpm"
    generator = torch.Generator().manual_seed(seed)
    return list(draw_in_batches(pipeline, list(labels), 50, generator=generator, **options))


def calls_per_image(pipeline: Any, model: str, steps: int) -> int:
    """Calls of a network for one image, with the guidance as it was saved."""
    if model == "gan":
        return 1
    share, guided = pipeline.config.guidance_unet_share, pipeline.config.guidance_scale != 1
    if pipeline.unet.config.guidance_embedding or not guided:
        return steps
    return steps * (2 if pipeline.guidance_unet is None or share in (0, 1) else 3)


def images_per_second(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The best rate of each row's model, all of them in turn."""
    timed: dict[str, Callable[[], object]] = {}
    for row in args.rows:
        model, steps = row.split(":")
        pipeline = load(args, model)
        labels = [label % pipeline_classes(pipeline, model) for label in range(TIMED)]
        timed[row] = lambda p=pipeline, m=model, s=int(steps), labels=labels: draw(p, m, s, labels, 0)
    seconds = best_seconds(timed, args.rounds)
    return [{"row": row, "images_per_second": round(TIMED / value, 2)} for row, value in seconds.items()]


def pipeline_classes(pipeline: Any, model: str) -> int:
    """Number of its classes."""
    network = pipeline.generator if model == "gan" else pipeline.unet
    return int(network.config.num_class_embeds)


def summary(rows: list[dict[str, Any]], speed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the seeds of each row, with their standard error, and the rate."""
    rates, found = {line["row"]: line["images_per_second"] for line in speed}, []
    for row in dict.fromkeys(f"{line['model']}:{line['steps']}" for line in rows):
        parts = [line for line in rows if f"{line['model']}:{line['steps']}" == row]
        line = {"model": parts[0]["model"], "steps": parts[0]["steps"], "calls_per_image": parts[0]["calls_per_image"]}
        line |= {"images_per_second": rates.get(row), "seeds": len(parts)}
        for key in ("kid_efflite0", "recognised"):
            values = [part[key] for part in parts if part[key] is not None]
            error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else None
            line[key] = round(float(np.mean(values)), 4) if values else None
            line[f"{key}_standard_error"] = None if error is None else round(float(error), 4)
        found.append(line)
    return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", default=str(CARDS / "simple-diffusion-clothing-64-fast"))
    parser.add_argument("--teacher", default=str(CARDS / "simple-diffusion-clothing-64"))
    parser.add_argument("--gan", default=str(CARDS / "rsgan-clothing-64"))
    parser.add_argument("--rows", nargs="+", default=list(ROWS), help="model:steps, any number of them")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--no_recognition", action="store_true", help="leave the classifier out, which is slow to fit")
    parser.add_argument("--speed", action="store_true", help="measure the rates alone")
    parser.add_argument("--rounds", type=int, default=3, help="of the rates")
    parser.add_argument("--dataset", default=str(EMBEDDED), help="folder or Hub id with classes and both splits")
    parser.add_argument("--name", default="distillation", help="of the results file")
    args = parser.parse_args(argv)

    saved = load(args, "student").config.num_inference_steps
    setting = {"samples": args.samples, "saved": saved}
    rows = rows_before(args.name, setting)
    speed = rows_before(args.name, setting, "speed")

    def write() -> None:
        figures = {**setting, "summary": summary(rows, speed), "rows": rows, "speed": speed}
        write_results(args.name, figures)

    if args.speed:
        fresh = images_per_second(args)
        speed = [line for line in speed if line["row"] not in args.rows] + fresh
        write()
        return
    resolution = load(args, "student").unet.config.sample_size
    held_out = features(photographs(args.dataset, "validation", 400, resolution))
    labels, classifier = class_mix(args.dataset, args.samples), None
    if not args.no_recognition:
        images, truth, _ = labelled_photographs(args.dataset, "train", resolution)
        classifier = fit_classifier(features(tqdm(images, desc="training photographs")).numpy(), truth)
    for row in args.rows:
        model, steps = row.split(":")
        pipeline = load(args, model)
        for seed in args.seeds:
            place = {"model": model, "steps": int(steps), "seed": seed}
            before = next((line for line in rows if place.items() <= line.items()), None)
            if before and (before["recognised"] is not None or classifier is None):
                continue
            samples = draw(pipeline, model, int(steps), labels, seed)
            inputs = features(samples).numpy()
            hits = None if classifier is None else float((classifier.predict(inputs) == np.asarray(labels)).mean())
            line = {
                **place, "calls_per_image": calls_per_image(pipeline, model, int(steps)),
                "kid_efflite0": distance(held_out, samples)["kid_efflite0"],
                "recognised": None if hits is None else round(hits, 4),
            }  # fmt: skip
            rows = [other for other in rows if other is not before] + [line]
            write()


if __name__ == "__main__":
    main()

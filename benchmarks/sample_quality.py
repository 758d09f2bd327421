"""Kernel distance of a pipeline's samples to held-out photographs, beside what real and blurred photographs reach.

    python benchmarks/sample_quality.py                                    # the published model
    python benchmarks/sample_quality.py --guidance 2 5 7 --name guidance   # any settings
    python benchmarks/sample_quality.py --settings dpm:20 ancestral:256 --guidance 1 --samples 200 --name samplers

Measure: KID-EffLite0 (hf_kexue.metrics.feature_extractors), samples against the first 400 validation photographs.
Classes are drawn as often as they occur among the training photographs. Writes benchmarks/results/<name>.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageFilter
from results import REPOSITORY, write_results
from torch import Tensor

from hf_kexue.data.images import load_images
from hf_kexue.inference import evaluation
from hf_kexue.inference.drawing import draw_in_batches
from hf_kexue.simple_diffusion import SimpleDiffusionPipeline

PUBLISHED = REPOSITORY / "model_cards" / "simple-diffusion-clothing-64"
EMBEDDED = REPOSITORY / "training" / "data" / "clothing-64"
DATA: dict[str, str] = {}  # the embedded photographs serve


def photographs(dataset: str, split: str, count: int, resolution: int) -> list[Image.Image]:
    """The first `count` photographs of a split as the training script sees them."""
    return evaluation.photographs(load_images(dataset, split=split), resolution, count).images


def class_mix(dataset: str, count: int) -> list[int]:
    """Labels of `count` training photographs drawn at random from a fixed seed: classes in their own proportions."""
    return evaluation.class_mix(load_images(dataset, label_column="auto"), count)


def draw(
    pipeline: SimpleDiffusionPipeline, labels: Sequence[int | str], *, sampler: str, steps: int,
    guidance: float | None, interval: tuple[float, float] | None = None, seed: int = 0, batch_size: int = 50,
) -> list[Image.Image]:  # fmt: skip
    """One picture per label."""
    options: dict[str, Any] = {"sampler": sampler, "steps": steps, "guidance_scale": guidance}
    generator = torch.Generator().manual_seed(seed)
    return list(
        draw_in_batches(pipeline, list(labels), batch_size, generator=generator, guidance_interval=interval, **options)
    )


def features(images: Iterable[Image.Image], device: str = "cpu") -> Tensor:
    """EfficientNet-Lite0 features, (N, 1280)."""
    return evaluation.picture_features(images, device)


def distance(held_out: Tensor, images: Iterable[Image.Image], device: str = "cpu") -> dict[str, float]:
    """KID-EffLite0 of pictures to features of others, and its standard error, as results files hold them."""
    return {key: round(value, 4) for key, value in evaluation.picture_distance(held_out, images, device).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipeline", default=str(PUBLISHED), help="folder of a saved pipeline")
    parser.add_argument(
        "--dataset", default=str(EMBEDDED), help="folder or Hub id with the splits train and validation"
    )
    parser.add_argument("--settings", nargs="+", default=["dpm:20"], help="sampler:steps, any number of them")
    parser.add_argument("--guidance", nargs="+", type=float, help="scales; default: as the pipeline was saved")
    parser.add_argument("--interval", nargs=2, type=float, help="logSNR range of the guidance")
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name", default="sample_quality", help="of the results file")
    args = parser.parse_args()

    pipeline = SimpleDiffusionPipeline.from_pretrained(args.pipeline).to(args.device)
    resolution = pipeline.unet.config.sample_size
    held_out = features(photographs(args.dataset, "validation", 400, resolution))
    training = photographs(args.dataset, "train", 400, resolution)
    rows = []
    for label, radius in (("training photographs", 0), ("blurred by sigma 1 px", 1), ("blurred by sigma 2 px", 2)):
        photos = training if not radius else [photo.filter(ImageFilter.GaussianBlur(radius)) for photo in training]
        rows.append({"what": label, **distance(held_out, photos)})
        print(rows[-1])
    labels = class_mix(args.dataset, args.samples)
    for setting in args.settings:
        sampler, steps = setting.split(":")
        for guidance in args.guidance or [pipeline.config.guidance_scale]:
            started = time.perf_counter()
            images = draw(
                pipeline, labels, sampler=sampler, steps=int(steps), guidance=guidance,
                interval=tuple(args.interval) if args.interval else None,
            )  # fmt: skip
            seconds = time.perf_counter() - started
            rows.append({
                "what": "samples", "sampler": sampler, "steps": int(steps), "guidance_scale": guidance,
                "guidance_interval": args.interval, **distance(held_out, images), "seconds": round(seconds, 1),
            })  # fmt: skip
            print(rows[-1])
    figures = {"pipeline": Path(args.pipeline).name, "samples": args.samples, "rows": rows}
    write_results(args.name, figures, args.device)


if __name__ == "__main__":
    main()

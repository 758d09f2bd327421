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

import numpy as np
import torch
from PIL import Image, ImageFilter
from results import REPOSITORY, write_results
from torch import Tensor

from hf_kexue.data.images import ImageDataset, load_images
from hf_kexue.metrics import efficientnet_lite0_features, extract_features, kernel_distance
from hf_kexue.simple_diffusion import SimpleDiffusionPipeline
from hf_kexue.simple_diffusion.samplers import with_sampler

PUBLISHED = REPOSITORY / "model_cards" / "simple-diffusion-clothing-64"
EMBEDDED = REPOSITORY / "training" / "data" / "clothing-64"
DATA: dict[str, str] = {}  # the embedded photographs serve


def photographs(dataset: str, split: str, count: int, resolution: int) -> list[Image.Image]:
    """The first `count` photographs of a split as the training script sees them."""
    decoded = ImageDataset(load_images(dataset, split=split), resolution)
    pixels = (decoded[index]["pixel_values"] for index in range(min(count, len(decoded))))
    return [Image.fromarray(((p + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()) for p in pixels]


def class_mix(dataset: str, count: int) -> list[int]:
    """Labels of `count` training photographs drawn at random from a fixed seed: classes in their own proportions."""
    source = load_images(dataset, label_column="auto")
    labels = np.asarray(source.rows[source.label_column])
    return np.random.default_rng(0).choice(labels, size=count, replace=count > len(labels)).tolist()


def draw(
    pipeline: SimpleDiffusionPipeline, labels: Sequence[int | str], *, sampler: str, steps: int, guidance: float,
    interval: tuple[float, float] | None = None, seed: int = 0, batch_size: int = 50,
) -> list[Image.Image]:  # fmt: skip
    """One picture per label."""
    pipeline, options = with_sampler(pipeline, sampler)
    generator = torch.Generator().manual_seed(seed)
    images: list[Image.Image] = []
    for start in range(0, len(labels), batch_size):
        images += pipeline(
            class_labels=labels[start : start + batch_size], guidance_scale=guidance, guidance_interval=interval,
            num_inference_steps=steps, generator=generator, **options,
        ).images  # fmt: skip
    return images


def features(images: Iterable[Image.Image], device: str = "cpu") -> Tensor:
    """EfficientNet-Lite0 features, (N, 1280)."""
    return extract_features(efficientnet_lite0_features(), images, device=device, progress=False)


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
        rows.append({"what": label, **_figures(held_out, photos)})
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
                "guidance_interval": args.interval, **_figures(held_out, images), "seconds": round(seconds, 1),
            })  # fmt: skip
            print(rows[-1])
    figures = {"pipeline": Path(args.pipeline).name, "samples": args.samples, "rows": rows}
    write_results(args.name, figures, args.device)


def _figures(held_out: Tensor, images: list[Image.Image]) -> dict[str, float]:
    distance = kernel_distance(held_out, features(images))
    return {"kid_efflite0": round(distance.value, 4), "standard_error": round(distance.standard_error, 4)}


if __name__ == "__main__":
    main()

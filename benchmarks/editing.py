"""Editing with the published diffusion model: holes filled, pictures enlarged, pictures drawn anew from their noise.

    python benchmarks/editing.py
    python benchmarks/editing.py --pictures 16 --compared 100 --steps 12 --factors 4
    python benchmarks/editing.py --pipeline model_cards/simple-diffusion-emoji-64 --dataset outputs/emoji-128 \\
        --split unseen_pair --caption_column name_en --caption_prefix style --name editing_prompts

Held-out photographs with their classes, or pictures with their first captions as prompts. Measured, for each way to
keep what is known:

- kernel distance to other held-out photographs, KID-EffLite0, of the whole pictures and of the hole cut out;
- largest change outside the hole in levels of 255, which must be 0, and of the block means of enlarged pictures;
- the kink at the edge of the hole: mean of |(i1 - o1) - ((o1 - o2) + (i2 - i1)) / 2| in levels, for two pixels outside
  and two inside along the normal; of the photographs themselves it says what no edge has;
- root mean square distance to the photograph, in levels.

"pasted" is a picture that was drawn without regard to the photograph, cut to the hole. Writes
benchmarks/results/<name>.json after each row, and <name>.png, a row of pictures each.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from PIL import Image
from results import FOLDER, write_results
from sample_quality import EMBEDDED, PUBLISHED, distance, features
from tqdm.auto import tqdm

from hf_kexue.data.images import CaptionColumns, load_images
from hf_kexue.inference.evaluation import photographs
from hf_kexue.inference.grids import image_grid
from hf_kexue.inference.saved_models import load_pipeline
from hf_kexue.simple_diffusion import (
    SimpleDiffusionImageToImagePipeline,
    SimpleDiffusionInpaintPipeline,
    SimpleDiffusionUpscalePipeline,
)

DATA: dict[str, str] = {}  # the embedded photographs serve
SHOWN = 8  # pictures of a row
Pictures = list[Image.Image]

METHODS: dict[str, dict[str, Any]] = {
    "projection": {"method": "projection"},
    "gradient, 1 iteration": {"method": "gradient", "iterations": 1},
    "gradient, 3 iterations": {"method": "gradient", "iterations": 3},
    "replacement": {"method": "replacement"},
    "replacement, 4 times a step": {"method": "replacement", "resampling": 4},
}


def levels(pictures: Pictures) -> np.ndarray:
    """(N, H, W, 3) float64."""
    return np.stack([np.asarray(picture, dtype=np.float64) for picture in pictures])


def hole_of(side: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a hole of half the side, in the middle."""
    return side // 4, side // 4, 3 * side // 4, 3 * side // 4


def kink(pictures: Pictures, hole: tuple[int, int, int, int]) -> float:
    """See the docstring of the module; over the four edges of the hole, without its corners."""
    left, top, right, bottom = hole
    images = levels(pictures)
    rows, columns = images[:, :, left:right], images[:, top:bottom].swapaxes(1, 2)
    bends = []
    for lines, first, last in ((rows, top, bottom), (columns, left, right)):
        for o2, o1, i1, i2 in ((first - 2, first - 1, first, first + 1), (last + 1, last, last - 1, last - 2)):
            across = lines[:, i1] - lines[:, o1]
            beside = (lines[:, o1] - lines[:, o2] + lines[:, i2] - lines[:, i1]) / 2
            bends.append(np.abs(across - beside).mean())
    return float(np.mean(bends))


def block_means(pictures: Pictures, factor: int) -> np.ndarray:
    """(N, H / factor, W / factor, 3) in levels."""
    images = levels(pictures)
    number, height, width, channels = images.shape
    return images.reshape(number, height // factor, factor, width // factor, factor, channels).mean((2, 4))


def rms(first: Pictures, second: Pictures) -> float:
    return float(np.sqrt(((levels(first) - levels(second)) ** 2).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipeline", default=str(PUBLISHED), help="folder of a saved pipeline")
    parser.add_argument("--dataset", default=str(EMBEDDED), help="folder or Hub id")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--caption_column", nargs="+", default=[], help="of prompts, for a model that takes them")
    parser.add_argument("--caption_prefix", help="column of a text before each caption, such as a style")
    parser.add_argument("--pictures", type=int, default=64, help="to edit")
    parser.add_argument("--compared", type=int, default=400, help="other photographs to compare with")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--factors", nargs="+", type=int, default=[4, 2])
    parser.add_argument("--strengths", nargs="+", type=float, default=[0.3, 0.6, 0.9])
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name", default="editing", help="of the results file")
    args = parser.parse_args()

    drawing = load_pipeline(args.pipeline, device=args.device)
    side, count = drawing.unet.config.sample_size, args.pictures
    columns = CaptionColumns(tuple(args.caption_column), args.caption_prefix) if args.caption_column else None
    source = load_images(args.dataset, split=args.split, captions=columns, label_column=None if columns else "auto")
    found = photographs(source, side, count + args.compared)
    originals, others = found.images[:count], found.images[count:]
    told: dict[str, list[Any]] = {"class_labels": found.labels[:count]}
    if columns:
        rows_of_words = source.rows.select_columns(columns.names).select(range(count))
        told = {"prompt": [columns.all_of(row)[0] for row in rows_of_words]}
        if found.broken:
            raise ValueError(f"Captions would belong to other pictures: {found.broken} cannot be read.")
    hole = hole_of(side)
    real, real_holes = features(others, args.device), features([one.crop(hole) for one in others], args.device)
    mask = Image.new("L", (side, side), 0)
    mask.paste(255, hole)
    small = {factor: [one.reduce(factor) for one in originals] for factor in args.factors}
    rows: list[dict[str, Any]] = []
    shown: dict[str, Pictures] = {}

    def edited(pipeline: Any, *given: Any, **options: Any) -> tuple[Pictures, float]:
        """All pictures of a row, and the seconds they took; each of `given` is one value for all, or a list."""
        pipeline.set_progress_bar_config(disable=True)
        generator, images, started = torch.Generator().manual_seed(0), [], time.perf_counter()
        for first in tqdm(range(0, count, args.batch), desc=f"row {len(rows)}"):
            part = slice(first, first + args.batch)
            images += pipeline(
                *(one[part] if isinstance(one, list) else one for one in given),
                **{key: values[part] for key, values in told.items()}, num_inference_steps=args.steps,
                guidance_scale=args.guidance, generator=generator, **options,
            ).images  # fmt: skip
        return images, round(time.perf_counter() - started, 1)

    def record(task: str, what: str, images: Pictures, seconds: float, **measured: float) -> None:
        figures = {key: round(value, 3) for key, value in measured.items()}
        figures["rms_to_photograph"] = round(rms(images, originals), 2)
        rows.append({"task": task, "what": what, **distance(real, images, args.device), **figures, "seconds": seconds})
        shown[f"{task}: {what}"] = images[:SHOWN]
        setting = {
            "pictures": count,
            "compared_with": len(others),
            "steps": args.steps,
            "guidance_scale": args.guidance,
            "sampler": "as saved",
        }
        write_results(args.name, {"pipeline": drawing_name, **setting, "rows": rows}, args.device)
        flat = [one for row in shown.values() for one in row]
        image_grid(flat, min(SHOWN, count), list(shown)).save(FOLDER / f"{args.name}.png")

    def record_filled(what: str, images: Pictures, seconds: float) -> None:
        kept = np.asarray(mask) == 0
        record(
            "hole", what, images, seconds, outside=float(np.abs(levels(images) - levels(originals))[:, kept].max()),
            kink=kink(images, hole),
            hole_kid=distance(real_holes, [one.crop(hole) for one in images], args.device)["kid_efflite0"],
        )  # fmt: skip

    drawing_name = args.pipeline.rstrip("/").rpartition("/")[2]
    record_filled("photographs", originals, 0.0)
    drawn, seconds = edited(drawing)
    record_filled("pasted", [Image.composite(new, old, mask) for new, old in zip(drawn, originals)], seconds)
    inpaint = SimpleDiffusionInpaintPipeline.from_pipe(drawing)
    for what, options in METHODS.items():
        record_filled(what, *edited(inpaint, originals, mask, **options))
    again = SimpleDiffusionImageToImagePipeline.from_pipe(drawing)
    for strength in args.strengths:
        record("noise", f"strength {strength}", *edited(again, originals, strength=strength))
    upscale = SimpleDiffusionUpscalePipeline.from_pipe(drawing)
    for factor in args.factors:
        enlarged = [one.resize((side, side), Image.Resampling.BICUBIC) for one in small[factor]]
        for what in ("bicubic", "projection", "gradient, 1 iteration"):
            seconds = 0.0
            if what in METHODS:
                enlarged, seconds = edited(upscale, small[factor], factor=factor, **METHODS[what])
            error = float(np.abs(block_means(enlarged, factor) - levels(small[factor])).max())
            record(f"{factor} times", what, enlarged, seconds, means=error)


if __name__ == "__main__":
    main()

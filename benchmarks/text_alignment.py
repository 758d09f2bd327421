"""Whether drawn emoji are what their prompts name: the true picture among 99 others of its style.

    python benchmarks/text_alignment.py --dataset path/to/emoji-128 --model outputs/emoji-64/pipeline

For each row of a split that no training saw, one picture is drawn for the prompt `style: name`, in each language. It
is compared, by the cosine of EfficientNet-Lite0 features (hf_kexue.metrics), with the true picture and with 99 others
of the style, drawn from the training split by seed 0: top-1 is the share of rows whose true picture is the nearest of
the hundred, top-5 of those where it is among the five nearest. Chance is 0.01 and 0.05. `unseen_pair` holds emoji that
the training saw in other styles, `unseen_emoji` those that it saw in none. Beside the drawn ones stand two references:
the same emoji in another style, taken from the training split, and the mean of the others. Kernel distance is
KID-EffLite0 of the drawn pictures to the true ones. Seed 0, nothing selected.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from results import write_results
from torch import Tensor

from hf_kexue import SimpleDiffusionTextToImagePipeline
from hf_kexue.data.images import CaptionColumns, load_images
from hf_kexue.inference.evaluation import photographs, picture_distance, picture_features
from hf_kexue.simple_diffusion.samplers import with_sampler

DATA = {"--dataset": "emoji-128", "--model": "emoji-model"}  # training/data/emoji/build_emoji.py
LANGUAGES = ("name_en", "name_zh")
OTHERS = 99


def read_split(dataset: str, split: str, resolution: int) -> tuple[list[Image.Image], list[dict[str, Any]]]:
    """Pictures of a split as the training script sees them, and the words of each."""
    columns = CaptionColumns((*LANGUAGES, "hexcode"), "style")
    source = load_images(dataset, split=split, captions=columns)
    return photographs(source, resolution).images, list(source.rows.select_columns(columns.names))


def candidates(rows: list[dict[str, Any]], pool: list[dict[str, Any]], others: int, seed: int) -> np.ndarray:
    """For each row, places in the pool of others of its style and of no emoji of its own: (N, others). Rows of a style
    share a random order of its pictures, so that few pictures serve all rows."""
    chosen = []
    for row in rows:
        style = [place for place, one in enumerate(pool) if one["style"] == row["style"]]
        order = np.random.default_rng(seed).permutation(style)
        chosen.append([place for place in order if pool[place]["hexcode"] != row["hexcode"]][:others])
    return np.array(chosen)


def ranks(drawn: Tensor, true: Tensor, others: Tensor) -> Tensor:
    """How many others lie nearer than the true one, by the cosine: (N,) int64, 0 is the first place.

    Args:
        drawn, true: (N, D).
        others: (N, K, D).
    """
    drawn, true, others = (torch.nn.functional.normalize(x.double(), dim=-1) for x in (drawn, true, others))
    own = (drawn * true).sum(dim=-1)
    return (torch.einsum("nd,nkd->nk", drawn, others) >= own[:, None]).sum(dim=1)


def shares(places: Tensor) -> dict[str, float]:
    """top-1, top-5 and the standard errors of both."""
    figures = {}
    for first in (1, 5):
        share = float((places < first).double().mean())
        figures[f"top_{first}"] = round(share, 4)
        figures[f"top_{first}_standard_error"] = round(math.sqrt(share * (1 - share) / len(places)), 4)
    return figures


def draw(pipeline: Any, prompts: list[str], args: argparse.Namespace) -> list[Image.Image]:
    """One picture a prompt, by seed 0."""
    pipeline, options = with_sampler(pipeline, args.sampler)
    pipeline.set_progress_bar_config(disable=True)
    generator, images = torch.Generator().manual_seed(0), []
    for first in range(0, len(prompts), args.batch_size):
        images += pipeline(
            prompts[first : first + args.batch_size], guidance_scale=args.guidance, generator=generator,
            num_inference_steps=args.steps, **options,
        ).images  # fmt: skip
    return images


def references(
    rows: list[dict[str, Any]], pool: list[dict[str, Any]], pictures: list[Image.Image], others: Tensor
) -> list[tuple[str, Tensor, list[int]]]:
    """What drawn pictures are compared with: name, features (M, D), and the M rows that have one."""
    first: dict[str, int] = {}
    for place, row in enumerate(pool):
        first.setdefault(row["hexcode"], place)
    kept = [place for place, row in enumerate(rows) if row["hexcode"] in first]
    found = [("the mean of the others", others.mean(dim=1), list(range(len(rows))))]
    if kept:
        same = picture_features([pictures[first[rows[place]["hexcode"]]] for place in kept])
        found.append(("the same emoji in another style", same, kept))
    return found


def main(argv: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="folder with train, unseen_pair and unseen_emoji")
    parser.add_argument("--model", required=True, help="folder of a text-to-image pipeline")
    parser.add_argument("--splits", nargs="+", default=["unseen_pair", "unseen_emoji"])
    parser.add_argument("--guidance", type=float, help="default: as the pipeline was saved")
    parser.add_argument("--steps", type=int, default=20, help="of the sampler")
    parser.add_argument("--sampler", default="dpm")
    parser.add_argument("--batch_size", type=int, default=50)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"], help="of the networks")
    parser.add_argument("--limit", type=int, help="rows of each split")
    parser.add_argument("--name", default="text_alignment", help="of the results file")
    args = parser.parse_args(argv)

    pipeline = SimpleDiffusionTextToImagePipeline.from_pretrained(args.model).to(getattr(torch, args.dtype))
    if args.guidance is None:
        args.guidance = pipeline.config.guidance_scale
    resolution = pipeline.unet.config.sample_size
    pool_pictures, pool = read_split(args.dataset, "train", resolution)
    rows = []
    for split in args.splits:
        pictures, words = read_split(args.dataset, split, resolution)
        pictures, words = pictures[: args.limit], words[: args.limit]
        true = picture_features(pictures)
        places = candidates(words, pool, OTHERS, seed=0)
        used, inverse = np.unique(places, return_inverse=True)
        others = picture_features([pool_pictures[place] for place in used])[inverse.reshape(places.shape)]
        for what, drawn, kept in references(words, pool, pool_pictures, others):
            row = {"split": split, "what": what, "rows": len(kept)}
            rows.append({**row, **shares(ranks(drawn, true[kept], others[kept]))})
        for language in LANGUAGES:
            images = draw(pipeline, [f"{row['style']}: {row[language]}" for row in words], args)
            figures = shares(ranks(picture_features(images), true, others))
            distance = {key: round(value, 4) for key, value in picture_distance(true, images).items()}
            rows.append({"split": split, "what": f"drawn from {language}", "rows": len(words), **figures, **distance})
    setting = {key: getattr(args, key) for key in ("guidance", "steps", "sampler", "batch_size", "dtype", "limit")}
    results = {"model": Path(args.model).name, "others": OTHERS, "setting": setting, "rows": rows}
    write_results(args.name, results)
    return results


if __name__ == "__main__":
    main()

"""Does the schedule have to follow the size that is asked for? The published 64 px model at other sizes.

    python benchmarks/shift_at_other_sizes.py
    python benchmarks/shift_at_other_sizes.py --samples 400 --guidance 5

The same latents are sampled with `reshift="auto"` (logSNR lowered by 2 log(size / 64)) and with "off". Measure:
KID-EffLite0 to the held-out photographs enlarged to that size, whose standard error is large with few samples. Writes
benchmarks/results/shift_at_other_sizes.json and shift_at_other_sizes.png: a row of pictures for each setting.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from PIL import Image
from results import FOLDER, write_results
from sample_quality import EMBEDDED, PUBLISHED, class_mix, distance, features, photographs
from tqdm.auto import tqdm

from hf_kexue.inference.grids import image_grid
from hf_kexue.simple_diffusion import SimpleDiffusionPipeline
from hf_kexue.simple_diffusion.samplers import with_sampler

DATA: dict[str, str] = {}  # the embedded photographs serve
SHOWN = 8  # pictures of a row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[96, 128], help="pixels")
    parser.add_argument("--samples", type=int, default=100, help="of each setting")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sampler", default="dpm")
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=25)
    args = parser.parse_args()
    pipeline, options = with_sampler(SimpleDiffusionPipeline.from_pretrained(PUBLISHED), args.sampler)
    pipeline.set_progress_bar_config(disable=True)
    base = pipeline.unet.config.sample_size
    labels = class_mix(str(EMBEDDED), args.samples)
    rows: list[dict[str, Any]] = []
    shown: list[Image.Image] = []
    for size in args.sizes:
        small = photographs(str(EMBEDDED), "validation", 400, base)
        held_out = features([photo.resize((size, size), Image.Resampling.BICUBIC) for photo in small])
        for reshift in ("auto", "off"):
            generator, images, started = torch.Generator().manual_seed(0), [], time.perf_counter()
            for first in tqdm(range(0, args.samples, args.batch), desc=f"{size} px, {reshift}"):
                images += pipeline(
                    class_labels=labels[first : first + args.batch], height=size, width=size, reshift=reshift,
                    num_inference_steps=args.steps, guidance_scale=args.guidance, generator=generator, **options,
                ).images  # fmt: skip
            seconds = round(time.perf_counter() - started, 1)
            rows.append({"size": size, "reshift": reshift, **distance(held_out, images), "seconds": seconds})
            print(rows[-1])
            largest = max(args.sizes)
            shown += [image.resize((largest, largest), Image.Resampling.NEAREST) for image in images[:SHOWN]]
            image_grid(shown, min(SHOWN, args.samples)).save(FOLDER / "shift_at_other_sizes.png")
    setting = {"samples": args.samples, "sampler": args.sampler, "steps": args.steps, "guidance_scale": args.guidance}
    write_results("shift_at_other_sizes", {"pipeline": PUBLISHED.name, **setting, "rows": rows})


if __name__ == "__main__":
    main()

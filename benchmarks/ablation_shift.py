"""The article's question at 128 px: does the noise schedule have to be shifted, and does the multiscale loss help?

    python benchmarks/ablation_shift.py --dataset FOLDER_OR_HUB_ID_OF_128_PX_IMAGES
    python benchmarks/ablation_shift.py --dataset FOLDER --device cuda --steps 3000 --train_batch_size 256

Four runs of training/train_simple_diffusion.py that differ in nothing but --base_size (64: shifted by 2 log(64/128);
128: not shifted) and --multiscale. All start from the same weights, see the same images, noise and times, and are
sampled from the same seeds. Arguments that are not listed below go to the training script. A finished run is kept in
--output_dir and not trained again. Writes benchmarks/results/ablation_shift.json and ablation_shift.png.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from results import FOLDER, write_results
from sample_quality import class_mix, distance, draw, features, photographs
from scripts import run_script

from hf_kexue.inference.grids import image_grid
from hf_kexue.simple_diffusion import SimpleDiffusionPipeline
from hf_kexue.training.environment import portable_command

DATA = {"--dataset": "clothing-128"}
RUNS = {
    "not shifted": ["--base_size", "128"],
    "not shifted, multiscale": ["--base_size", "128", "--multiscale", "True"],
    "shifted": ["--base_size", "64"],
    "shifted, multiscale": ["--base_size", "64", "--multiscale", "True"],
}
SHOWN = ["Dress", "Hat", "Pants", "Shirt", "Shoes", "Shorts", "Skirt", "T-Shirt"]


def train(name: str, options: list[str], args: argparse.Namespace, further: list[str]) -> dict[str, Any]:
    """One run of the training script; finished runs are not repeated."""
    folder = Path(args.output_dir) / name.replace(", ", "-").replace(" ", "-")
    if (folder / "results.json").is_file():
        return {"folder": folder, **json.loads((folder / "results.json").read_text())}
    launcher = [
        "-m", "accelerate.commands.launch", "--num_processes", "1",
        "--num_cpu_threads_per_process", str(torch.get_num_threads()),
    ]  # fmt: skip
    fixed = ["--resolution", "128", "--dataset", args.dataset, "--validation_split", "none", "--sample_steps", "0"]
    options = [*fixed, *options, *further]
    return {"folder": folder, **run_script("train_simple_diffusion", folder, options, args.steps, *launcher)}


def labelled(image: Image.Image, text: str) -> Image.Image:
    """The picture with a line of text above it."""
    sheet = Image.new("RGB", (image.width, image.height + 16), "white")
    sheet.paste(image, (0, 16))
    ImageDraw.Draw(sheet).text((4, 2), text, fill="black")
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--dataset", required=True, help="with the splits train and validation and the 17 classes of clothing"
    )
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--device", default="cpu", help="to draw samples on; the training takes a GPU if there is one")
    parser.add_argument("--output_dir", default="outputs/ablation-shift")
    args, further = parser.parse_known_args()
    held_out = features(photographs(args.dataset, "validation", 400, 128))
    rows, strips = [], []
    for name, options in RUNS.items():
        run = train(name, options, args, further)
        pipeline = SimpleDiffusionPipeline.from_pretrained(run["folder"] / "pipeline").to(args.device)
        setting: dict[str, Any] = {"sampler": "dpm", "steps": 20, "guidance": 2.0}
        images = draw(pipeline, class_mix(args.dataset, args.samples), **setting)
        kid = distance(held_out, images)
        rows.append({
            "run": name, "base_size": int(options[1]), "multiscale": "--multiscale" in options,
            **kid,
            "images_seen": run["images_seen"], "seconds": run["seconds"],
        })  # fmt: skip
        print(rows[-1])
        shown = draw(pipeline, pipeline.label_ids(SHOWN).tolist(), seed=1, **setting)
        strips.append(labelled(image_grid(shown, len(shown)), f"{name}: KID-EffLite0 {kid['kid_efflite0']:.3f}"))
    image_grid(strips, 1).save(FOLDER / "ablation_shift.png")
    figures = {
        "steps": args.steps,
        "training": portable_command(["train_simple_diffusion.py", *further]),
        "samples": args.samples,
        "rows": rows,
    }
    write_results("ablation_shift", figures, args.device)


if __name__ == "__main__":
    main()

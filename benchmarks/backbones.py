"""A transformer without convolutions against the U-ViT, at equal CPU time, on photographs of clothing.

    python benchmarks/backbones.py --bf16                                        # the embedded photographs, 64 px
    python benchmarks/backbones.py --bf16 --photographs FOLDER_OR_HUB_ID         # and at 128 px
    python benchmarks/backbones.py --minutes 60 --samples 400 --photographs ...  # larger

Networks: presets 64 and 128 (U-ViT, v-prediction), jit-64 and jit-128 (ViT on patches of 8 and 16 pixels,
x-prediction), the latter also with a read-out head at half the size. Each is trained with its preset's schedule and
loss for --minutes of CPU time, with one optimizer and one curve of its rate (timed_training.py), and sampled with
classes, without guidance, by DPM-Solver++ on the flow. Measure: KID-EffLite0 of samples to held-out photographs.
Finished rows are kept, those of another setting are not. Writes benchmarks/results/backbones.json and
backbones.png: a row of samples for each network.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from ablation_shift import labelled
from PIL import Image
from results import FOLDER, rows_before, write_results
from sample_quality import EMBEDDED, class_mix, distance, draw, features, photographs
from scripts import load_script, preset_arguments
from timed_training import train_for_seconds
from torch import Tensor

from hf_kexue.data.images import image_loader, load_images
from hf_kexue.inference.grids import image_grid
from hf_kexue.simple_diffusion import SimpleDiffusionPipeline
from hf_kexue.simple_diffusion.complexity import count_flops, count_parameters

DATA: dict[str, str] = {}  # the embedded photographs serve
OPTIONAL_DATA = {"--photographs": "clothing-128"}
NETWORKS = {
    "U-ViT": ["--preset", "{size}"],
    "ViT": ["--preset", "jit-{size}"],
    "ViT with a read-out head": ["--preset", "jit-{size}", "--readout_sizes", "{half}"],
}
SHOWN = 12  # samples in a row


def endless(loader: Any) -> Iterator[dict[str, Tensor]]:
    """Batches of epoch after epoch."""
    while True:
        yield from loader


def train(
    name: str, size: int, dataset: str, args: argparse.Namespace
) -> tuple[SimpleDiffusionPipeline, dict[str, Any]]:
    """A network of `NETWORKS` after --minutes of CPU time, and what it took."""
    options = [word.format(size=size, half=size // 2) for word in NETWORKS[name]]
    script, source = load_script("train_simple_diffusion"), load_images(dataset, split="train", label_column="auto")
    arguments = preset_arguments("train_simple_diffusion", "--resolution", str(size), *options)
    classes = len(source.label_names)
    torch.manual_seed(0)
    network, scheduler = script.build_model(arguments, classes), script.build_scheduler(arguments)
    network.to(memory_format=torch.channels_last)
    loader = image_loader(source, size, args.batch, train=True, random_flip=True, memory=2**30)
    generator = torch.Generator().manual_seed(0)

    def loss_of(batch: dict[str, Tensor]) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            loss, _ = script.diffusion_loss(network, batch, scheduler, arguments, generator, 0.1, classes)
        return loss.mean()

    steps = train_for_seconds(network, loss_of, endless(loader), args.minutes * 60, args.learning_rate)
    facts = {
        "parameters": count_parameters(network), "gflops": round(count_flops(network) / 1e9, 3), "steps": steps,
        "images_seen": steps * args.batch,
    }  # fmt: skip
    pipeline = SimpleDiffusionPipeline(network, scheduler, dict(enumerate(source.label_names)))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", help="folder or Hub id with the splits train and validation, for 128 px")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--minutes", type=float, default=2.0, help="of CPU time for the training of each network")
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--steps", type=int, default=20, help="of the sampler")
    parser.add_argument("--bf16", action="store_true", help="train under bf16 autocast, for CPUs with units for it")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/backbones"), help="for the samples")
    args = parser.parse_args()
    setting = {
        "minutes": args.minutes, "learning_rate": args.learning_rate, "images_per_step": args.batch,
        "samples": args.samples, "sampler_steps": args.steps, "training": "bf16 autocast" if args.bf16 else "float32",
    }  # fmt: skip
    rows = rows_before("backbones", setting)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    sets = [(64, str(EMBEDDED))] + ([(128, args.photographs)] if args.photographs else [])
    strips: list[Image.Image] = []
    for size, dataset in sets:
        held_out = features(photographs(dataset, "validation", 400, size))
        for name in args.networks:
            strip = args.output_dir / f"{size}-{name.replace(' ', '-')}.png"
            known = [row for row in rows if (row["size"], row["network"]) == (size, name)]
            if not known or not strip.is_file():
                pipeline, facts = train(name, size, dataset, args)
                labels = class_mix(dataset, args.samples)
                images = draw(pipeline, labels, sampler="flow-dpm", steps=args.steps, guidance=1.0)
                image_grid(images[:SHOWN], SHOWN).save(strip)
                rows = [row for row in rows if row not in known]
                rows.append({"size": size, "network": name, **distance(held_out, images), **facts})
                write_results("backbones", {**setting, "rows": rows})
            row = next(row for row in rows if (row["size"], row["network"]) == (size, name))
            text = f"{name}, {size} px: KID-EffLite0 {row['kid_efflite0']:.3f} after {row['images_seen']} images"
            shown = Image.open(strip).resize((SHOWN * 96, 96), Image.Resampling.LANCZOS)
            strips.append(labelled(shown, text))
    image_grid(strips, 1).save(FOLDER / "backbones.png")


if __name__ == "__main__":
    main()

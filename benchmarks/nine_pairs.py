"""What to predict and in which space to measure the error: x, epsilon or v, each with x-, epsilon- and v-loss.

    python benchmarks/nine_pairs.py                                      # the embedded photographs at 64 px, patch 8
    python benchmarks/nine_pairs.py --emoji FOLDER_OR_HUB_ID --bf16      # and emoji at 128 px, patch 16

Nine trainings per data set with the loss of training/train_simple_diffusion.py that differ in nothing but
--prediction_type and --weighting: the straight path with logit-normal times (0.8, 0.8), v its velocity, one seed,
equal images. The network is a small U-ViT at 64 px and a small ViT at 128, and a token has more numbers (192 and 768)
than the network is wide (128). Measures: KID-EffLite0 of samples to held-out pictures, and the mean square of the
velocity error on held-out pictures by logSNR, the same for all pairs however they were trained. Finished pairs are
kept in --output_dir and not trained again. Writes benchmarks/results/nine_pairs.json, nine_pairs.png (the curves),
and nine_pairs_samples_64.png and _128.png (a row of samples for each pair).
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from pathlib import Path
from typing import Any

import torch
from ablation_shift import labelled
from diffusers.training_utils import EMAModel
from PIL import Image
from results import FOLDER, REPOSITORY, write_results
from sample_quality import distance, features, photographs
from scripts import load_script, preset_arguments
from torch import Tensor
from tqdm.auto import tqdm

from hf_kexue.data.images import ImageSource, image_loader, image_size, image_to_tensor, load_images
from hf_kexue.inference.grids import image_grid
from hf_kexue.simple_diffusion import SimpleDiffusionPipeline
from hf_kexue.simple_diffusion.guidance_simple_diffusion import predict_sample

DATA: dict[str, str] = {}  # the embedded photographs serve
OPTIONAL_DATA = {"--emoji": "emoji-128"}
PREDICTIONS = {"x": "sample", "epsilon": "epsilon", "v": "flow_prediction"}
LOSSES = {"x": "sample", "epsilon": "epsilon", "v": "flow"}
LEVELS = torch.arange(-9.0, 10.0, 1.5)  # logSNR at which the curves have points
UVIT = [
    "--block_out_channels", "64", "--layers_per_block", "2", "--hidden_size", "128", "--num_transformer_layers", "4",
    "--num_attention_heads", "4", "--embedding_dim", "128", "--preset", "64",
]  # fmt: skip
VIT = [
    "--network", "vit", "--preset", "jit-128", "--hidden_size", "128", "--num_transformer_layers", "4",
    "--num_attention_heads", "4", "--context_start", "1", "--base_size", "64",
]  # fmt: skip
SHOWN = 12  # samples in a row
RECIPE = [
    "--schedule", "flow", "--time_distribution", "logit_normal", "--time_mean", "0.8", "--time_std", "0.8",
    "--learning_rate", "1e-3", "--ema_decay", "0.99",
]  # fmt: skip


def train(folder: Path, options: list[str], steps: int, pictures: ImageSource, bf16: bool) -> SimpleDiffusionPipeline:
    """One of the pairs, in this process, with averaged weights; a finished one is loaded."""
    if (folder / "model_index.json").is_file():
        return SimpleDiffusionPipeline.from_pretrained(folder)
    script, args = load_script("train_simple_diffusion"), preset_arguments("train_simple_diffusion", *options)
    torch.manual_seed(args.seed)
    network, scheduler = script.build_model(args, None), script.build_scheduler(args)
    size = image_size(args.resolution)
    loader = image_loader(pictures, size, args.train_batch_size, train=True, random_flip=True, memory=2**30)
    optimizer = torch.optim.AdamW(network.parameters(), args.learning_rate, betas=(0.9, 0.99))
    averaged = EMAModel(network.parameters(), decay=args.ema_decay)
    generator = torch.Generator().manual_seed(args.seed)
    batches = (batch for _ in itertools.count() for batch in loader)
    for step, batch in zip(tqdm(range(steps), desc=folder.name, leave=False), batches):
        for group in optimizer.param_groups:  # warm-up, then half a cosine
            group["lr"] = args.learning_rate * min((step + 1) / 50, (1 + math.cos(math.pi * step / steps)) / 2)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss, _ = script.diffusion_loss(network, batch, scheduler, args, generator)
        loss.mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), args.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        averaged.step(network.parameters())
    averaged.copy_to(network.parameters())
    pipeline = SimpleDiffusionPipeline(network, scheduler)
    pipeline.save_pretrained(folder)
    return pipeline


@torch.no_grad()
def velocity_errors(pipeline: SimpleDiffusionPipeline, pictures: Tensor) -> list[float]:
    """Mean square of the error of noise - x_0 at each of LEVELS, on the same pictures (N, 3, H, W) and noise."""
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))
    kind, found = pipeline.scheduler.config.network_prediction_type, []
    for level in LEVELS:
        logsnr = level.expand(len(pictures))
        x_vp = torch.sigmoid(level).sqrt() * pictures + torch.sigmoid(-level).sqrt() * noise
        x_0 = predict_sample(pipeline.unet(x_vp, logsnr).sample, x_vp, logsnr, kind)
        # At equal x_t an error of x_0 is one of the velocity, 1 / t times as large.
        found.append(((x_0 - pictures).square().mean() / torch.sigmoid(-level / 2) ** 2).item())
    return found


def draw_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Velocity errors over logSNR: a panel for each data set, colours for predictions, line styles for losses."""
    import matplotlib.pyplot as plt

    sets = list(dict.fromkeys(row["data"] for row in rows))
    figure, axes = plt.subplots(1, len(sets), figsize=(6.5 * len(sets), 4.5), squeeze=False)
    colours, styles = dict(zip(PREDICTIONS, ("C0", "C3", "C2"))), dict(zip(LOSSES, ("-", "--", ":")))
    for axis, data in zip(axes[0], sets):
        for row in (row for row in rows if row["data"] == data):
            label = f"{row['prediction']} with {row['loss']}-loss, KID {row['kid_efflite0']:.3f}"
            style = {"color": colours[row["prediction"]], "linestyle": styles[row["loss"]], "label": label}
            axis.plot(LEVELS.tolist(), row["velocity_errors"], **style)
        axis.set(title=data, xlabel="logSNR", ylabel="mean square of the velocity error", yscale="log")
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def measure(
    pipeline: SimpleDiffusionPipeline, truth: Tensor, pictures: Tensor, samples: int, strip: Path
) -> dict[str, Any]:
    """Distance of samples, errors on held-out pictures (N, 3, H, W), and a picture of the first samples."""
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(batch_size=samples, num_inference_steps=20, generator=torch.Generator().manual_seed(0)).images
    image_grid(images[:SHOWN], SHOWN).save(strip)
    errors = velocity_errors(pipeline, pictures)
    return {
        **distance(truth, images), "velocity_error": round(sum(errors) / len(errors), 4),
        "velocity_errors": [round(error, 4) for error in errors],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emoji", help="folder or Hub id of pictures at 128 px, splits train and unseen_pair")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--emoji_steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--bf16", action="store_true", help="train under bf16 autocast, for CPUs with units for it")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/nine-pairs"))
    args = parser.parse_args()
    embedded = str(REPOSITORY / "training" / "data" / "clothing-64")
    sets = [("photographs, 64 px, patch 8", embedded, "validation", 64, 8, UVIT, args.steps)]
    if args.emoji:
        sets.append(("emoji, 128 px, patch 16", args.emoji, "unseen_pair", 128, 16, VIT, args.emoji_steps))
    setting = {
        "images_per_step": args.batch, "samples": args.samples,
        "training": "bf16 autocast" if args.bf16 else "float32",
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for data, dataset, split, size, patch, network, steps in sets:
        held_out, source = photographs(dataset, split, args.samples, size), load_images(dataset, split="train")
        truth, strips = features(held_out), []
        pictures = torch.stack([image_to_tensor(picture, size) for picture in held_out[:64]])
        fixed = [*network, *RECIPE, "--patch_size", str(patch), "--resolution", str(size)]
        fixed += ["--train_batch_size", str(args.batch)]
        for prediction, loss in tqdm(list(itertools.product(PREDICTIONS, LOSSES)), desc=data):
            folder = args.output_dir / f"{size}-{prediction}-{loss}-{steps}x{args.batch}"
            options = ["--prediction_type", PREDICTIONS[prediction], "--weighting", LOSSES[loss], *fixed]
            pipeline = train(folder, options, steps, source, args.bf16)
            kept, strip = folder / f"measured-{args.samples}.json", folder / "samples.png"
            if not kept.is_file():
                kept.write_text(json.dumps(measure(pipeline, truth, pictures, args.samples, strip)))
            rows.append(
                {"data": data, "steps": steps, "prediction": prediction, "loss": loss, **json.loads(kept.read_text())}
            )
            title = f"{data}: {prediction} with {loss}-loss, KID-EffLite0 {rows[-1]['kid_efflite0']:.3f}"
            strips.append(labelled(Image.open(strip).reduce(size // 64), title))
            draw_curves(rows, FOLDER / "nine_pairs.png")
            image_grid(strips, 1).save(FOLDER / f"nine_pairs_samples_{size}.png")
            write_results("nine_pairs", {**setting, "logsnr": LEVELS.tolist(), "rows": rows})


if __name__ == "__main__":
    main()

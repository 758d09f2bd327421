"""Five losses of GANs with equal networks, steps and seeds: how many modes their samples cover, how good they look.

    python benchmarks/gan_losses.py          # 25 Gaussians, then stacked digits
    python benchmarks/gan_losses.py --task cifar10 --dataset FOLDER_OR_HUB_ID --block_type r3 --name gan_losses_r3

SGAN is the non-saturating logistic loss, RSGAN (kexue.fm/archives/6110) its paired form, RaSGAN compares with the
other side's mean; WGAN-GP and the paired logistic loss with R1 + R2 have a penalty on the gradient beside. One step of
the discriminator and one of the generator in turn for all of them; samples come from the averaged generator. The
measures on toy data are described in `gan_toys.py`; on photographs, scaled to 32 px, KID-EffLite0 as in
`sample_quality.py`.

A finished pair of loss and seed is kept in --output_dir and not trained again. Writes benchmarks/results/<name>.json,
one part a task, and <name>_<task>.png.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

import torch
from gan_toys import TOYS, Setting, Task, digit_classifier
from PIL import Image, ImageDraw
from results import FOLDER, write_results
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from hf_kexue import relativistic_loss, wgan_gradient_penalty, zero_centered_gradient_penalty
from hf_kexue.inference.grids import image_grid
from hf_kexue.rsgan.double_backward_rsgan import double_backward_convolutions

DATA: dict[str, str] = {}  # the toys; `--task cifar10` wants a --dataset


@dataclass(frozen=True)
class Loss:
    """Arguments of `relativistic_loss`, and the penalty beside it: none, "wgan_gp" or "r1r2"."""

    pairing: Literal["paired", "average", "none"]
    kind: Literal["logistic", "least_squares", "hinge", "identity"] = "logistic"
    penalty: str = "none"


LOSSES = {
    "SGAN": Loss("none"),
    "RSGAN": Loss("paired"),
    "RaSGAN": Loss("average"),
    "WGAN-GP": Loss("none", "identity", "wgan_gp"),
    "RSGAN + R1 + R2": Loss("paired", penalty="r1r2"),
}


def discriminator_loss(loss: Loss, setting: Setting, discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Scalar, with the penalty of the loss."""
    with_gradients = loss.penalty == "r1r2"
    both = torch.cat([real, fake]).requires_grad_(with_gradients)
    with double_backward_convolutions() if with_gradients else nullcontext():
        logits = discriminator(both)
    value = relativistic_loss(logits[: len(real)], logits[len(real) :], pairing=loss.pairing, kind=loss.kind)
    if with_gradients:  # the mean over both halves is half the sum of R1 and R2
        value = value + setting.gamma * zero_centered_gradient_penalty(logits, both).mean()
    if loss.penalty == "wgan_gp":
        with double_backward_convolutions():
            value = value + setting.gradient_penalty * wgan_gradient_penalty(discriminator, real, fake).mean()
    return value


def train(loss: Loss, task: Task, seed: int, description: str = "", device: str = "cpu") -> Tensor:
    """Samples (N, ...) of the averaged generator after `setting.steps` steps of both networks."""
    setting = task.setting
    torch.manual_seed(seed)
    generator_of_data = torch.Generator().manual_seed(seed)
    generator, discriminator = (network.to(device) for network in task.networks())
    average = get_ema_multi_avg_fn(setting.ema_decay)
    averaged = AveragedModel(generator, multi_avg_fn=average, use_buffers=True).requires_grad_(False)
    optimizers = [
        torch.optim.Adam(network.parameters(), setting.learning_rate, setting.betas, fused=True)
        for network in (discriminator, generator)
    ]
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, setting.steps) for optimizer in optimizers]
    shape = (setting.batch_size, setting.latent_dim)
    for _ in tqdm(range(setting.steps), desc=description, unit="step", mininterval=1):
        real = task.draw(setting.batch_size, generator_of_data).to(device)
        with torch.no_grad():
            fake = generator(torch.randn(shape, device=device))
        optimizers[0].zero_grad()
        discriminator_loss(loss, setting, discriminator, real, fake).backward()
        optimizers[0].step()

        discriminator.requires_grad_(False)
        fake_logits = discriminator(generator(torch.randn(shape, device=device)))
        value = relativistic_loss(
            discriminator(real), fake_logits, pairing=loss.pairing, kind=loss.kind, side="generator"
        )
        optimizers[1].zero_grad()
        value.backward()
        optimizers[1].step()
        discriminator.requires_grad_(True)
        averaged.update_parameters(generator)
        for schedule in schedules:
            schedule.step()
    averaged.eval()
    latents = torch.randn(setting.samples, setting.latent_dim)
    with torch.no_grad():
        return torch.cat([averaged(some.to(device)).cpu() for some in latents.split(256)])


def measure(name: str, seed: int, task: Task, folder: Path, device: str = "cpu") -> dict[str, Any]:
    """The row of a loss and a seed: loaded from `folder` if it has the same setting, else trained."""
    setting = json.loads(json.dumps(asdict(task.setting)))
    stem = folder / f"{name.replace(' + ', '-')}-{seed}"
    kept = stem.with_suffix(".json")
    if kept.is_file() and (before := json.loads(kept.read_text()))["setting"] == setting:
        return before["row"]
    task.draw(1, torch.Generator())  # photographs are read at the first draw, which is no part of the training
    started = time.process_time()
    samples = train(LOSSES[name], task, seed, f"{folder.name}: {name}, seed {seed}", device)
    row = {"loss": name, "seed": seed, "cpu_seconds": round(time.process_time() - started, 1), **task.scores(samples)}
    folder.mkdir(parents=True, exist_ok=True)
    task.picture(samples).save(stem.with_suffix(".png"))
    kept.write_text(json.dumps({"setting": setting, "row": row}) + "\n")
    return row


def compare(task: Task, names: list[str], seeds: list[int], folder: Path, device: str = "cpu") -> dict[str, Any]:
    """All rows, and the mean of each loss over its seeds; the table is printed, pictures go to `folder`."""
    rows = []
    for seed in seeds:
        for name in names:
            rows.append(measure(name, seed, task, folder, device))
            print(rows[-1])
    measures = [key for key in rows[0] if key not in ("loss", "seed", "standard_error")]
    losses = []
    for name in names:
        found = {key: [row[key] for row in rows if row["loss"] == name] for key in measures}
        losses.append({"loss": name, **{key: round(mean(values), 4) for key, values in found.items()}})
        if "kid_efflite0" in found and len(seeds) > 1:
            losses[-1]["deviation_of_seeds"] = round(stdev(found["kid_efflite0"]), 4)
    print(f"{'mean of ' + str(len(seeds)) + ' seeds':18}" + "".join(f"{key:>26}" for key in measures))
    for line in losses:
        print(f"{line['loss']:18}" + "".join(f"{line[key]:26}" for key in measures))
    return {"setting": asdict(task.setting), "losses": losses, "rows": rows}


def sheet(names: list[str], seed: int, folder: Path) -> Image.Image:
    """The pictures of one seed from `measure`, side by side under the names of their losses."""
    labelled = []
    for name in names:
        picture = Image.open(folder / f"{name.replace(' + ', '-')}-{seed}.png")
        labelled.append(Image.new("RGB", (picture.width + 8, picture.height + 18), "white"))
        labelled[-1].paste(picture, (4, 18))
        ImageDraw.Draw(labelled[-1]).text((4, 3), name, fill="black")
    return image_grid(labelled, len(labelled))


class Unpacked(nn.Module):
    """A model of diffusers that returns its tensor alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x, return_dict=False)[0]


def photographs_task(
    dataset: str, held_out_split: str, setting: Setting, block_type: str, widths: list[int], device: str
) -> Task:
    """The photographs of a data set at 32 px; kernel distance to those of its `held_out_split`."""
    from sample_quality import distance, features, photographs

    from hf_kexue import RSGANDiscriminator, RSGANGenerator
    from hf_kexue.data.images import ImageDataset, load_images

    @cache
    def pixels() -> Tensor:
        """(N, 3, 32, 32) bytes on the device; not read where every run is finished already."""
        examples = ImageDataset(load_images(dataset), 32)
        bar = tqdm(range(len(examples)), desc="reading", unit="image")
        found = torch.stack([((examples[index]["pixel_values"] + 1) * 127.5).round().byte() for index in bar])
        return found.to(device)

    @cache
    def held_out() -> Tensor:
        return features(photographs(dataset, held_out_split, setting.samples, 32), device)

    def networks() -> tuple[nn.Module, nn.Module]:
        options: dict[str, Any] = {"sample_size": 32, "block_type": block_type, "block_out_channels": tuple(widths)}
        generator = RSGANGenerator(latent_dim=setting.latent_dim, **options)
        return Unpacked(generator), Unpacked(RSGANDiscriminator(**options))

    def draw(count: int, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(pixels()), (count,), generator=generator)
        return pixels()[chosen.to(device, non_blocking=True)] / 127.5 - 1

    def pictures(samples: Tensor) -> list[Image.Image]:
        channels_last = ((samples.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
        return [Image.fromarray(array) for array in channels_last.numpy()]

    def scores(samples: Tensor) -> dict[str, float]:
        return distance(held_out(), pictures(samples), device)

    return Task(setting, networks, draw, scores, lambda samples: image_grid(pictures(samples[:64]), 8))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--task", nargs="+", choices=["gaussians", "digits", "cifar10"], default=["gaussians", "digits"]
    )
    parser.add_argument("--losses", nargs="+", choices=list(LOSSES), default=list(LOSSES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="of each run, instead of the task's own number")
    parser.add_argument("--dataset", help="of the task cifar10: folder or Hub id with the split train")
    parser.add_argument("--held_out_split", default="test", help="of --dataset")
    parser.add_argument("--block_type", choices=["r3", "dcgan"], default="r3", help="of the networks of cifar10")
    parser.add_argument("--widths", nargs=4, type=int, default=[128, 96, 64, 32], help="channels from 4 to 32 px")
    parser.add_argument("--batch_size", type=int, default=64, help="of the task cifar10")
    parser.add_argument("--learning_rate", type=float, default=2e-4, help="of the task cifar10")
    parser.add_argument("--ema_decay", type=float, default=0.999, help="of the task cifar10")
    parser.add_argument("--samples", type=int, default=1000, help="of the task cifar10, and photographs held out")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/gan-losses"))
    parser.add_argument("--name", default="gan_losses", help="of the results file")
    args = parser.parse_args(argv)
    if "cifar10" in args.task and not args.dataset:
        parser.error("the task cifar10 needs --dataset")
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    path = FOLDER / f"{args.name}.json"
    figures = json.loads(path.read_text()) if path.is_file() else {}
    for name in args.task:
        if name == "cifar10":
            setting = Setting(
                10_000, args.batch_size, args.learning_rate, 64, args.samples, gamma=0.05, gradient_penalty=10.0,
                ema_decay=args.ema_decay, network="-".join(map(str, (args.block_type, *args.widths))),
            )  # fmt: skip
            task = photographs_task(
                args.dataset, args.held_out_split, setting, args.block_type, args.widths, args.device
            )
        else:
            task = TOYS[name]
        if args.steps:
            task = replace(task, setting=replace(task.setting, steps=args.steps))
        folder = args.output_dir / name
        figures[name] = compare(task, args.losses, args.seeds, folder, args.device)
        if name == "digits":
            figures[name]["classifier_accuracy"] = round(digit_classifier()[1], 4)
            print(f"accuracy of the classifier on digits held out: {digit_classifier()[1]:.4f}")
        write_results(args.name, figures, args.device)
        sheet(args.losses, args.seeds[0], folder).save(FOLDER / f"{args.name}_{name}.png")


if __name__ == "__main__":
    main()

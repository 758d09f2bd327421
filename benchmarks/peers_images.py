"""Quality for equal CPU time at 64 px: our U-ViT beside diffusers' unconditional example and the UViT of a peer.

    python benchmarks/peers_images.py --bf16                       # marks at 5, 10, 20 and 30 CPU minutes
    python benchmarks/peers_images.py --bf16 --marks 5 10          # fewer

The embedded photographs of clothing, without their classes. Each network is trained once, with the noise schedule and
the loss of its own example, batch, optimizer and average of the weights alike (timed_training.py), at a constant rate
after the warm-up; at each mark the averaged weights are sampled, which does not count as training. Peers run twice,
at the learning rate of their example and at ours, since those of the examples are meant for days.

- "hf_kexue U-ViT": preset 64-fast, which predicts the image from patches of 8 on the straight path, and preset 64,
  v-prediction, patches of 2, the shifted cosine schedule.
- "diffusers UNet2DModel": examples/unconditional_image_generation: six levels of 128 to 512 channels, 1,000 steps of
  the linear DDPM schedule, epsilon-prediction, 1e-4.
- "denoising-diffusion-pytorch UViT": 2.3.4, in an environment of its own, without torchvision; 64 channels, its own
  `GaussianDiffusion` (v-prediction, shifted cosine), 8e-5.

Sampling: in --steps steps, DPM-Solver++ for ours and diffusers', DDIM on its schedule for the peer. Measure:
KID-EffLite0 of --samples samples to held-out photographs. Finished rows are kept. Writes
benchmarks/results/peers_images.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peer_environments import peer_environment
from PIL import Image
from results import rows_before, write_results
from sample_quality import EMBEDDED, distance, features, photographs
from scripts import load_script, preset_arguments
from timed_training import train_with_marks
from torch import Tensor, nn

from hf_kexue.data.images import image_loader, load_images
from hf_kexue.inference.drawing import draw_in_batches

DATA: dict[str, str] = {}  # the embedded photographs serve
SIZE = 64
PEER = ["denoising-diffusion-pytorch==2.3.4"]  # einops is here


class Contestant(NamedTuple):
    """A network with its loss, images (B, 3, 64, 64) in -1..1 to a scalar, and its sampler: number
    and steps to pictures."""

    network: nn.Module
    loss: Callable[[Tensor], Tensor]
    sample: Callable[[int, int], list[Image.Image]]


def as_pictures(images: Tensor) -> list[Image.Image]:
    """Images in -1..1 as pictures."""
    levels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
    return [Image.fromarray(image.numpy()) for image in levels.contiguous()]


def ours(preset: str) -> Contestant:
    """A preset of train_simple_diffusion.py."""
    from hf_kexue.simple_diffusion import SimpleDiffusionPipeline

    script = load_script("train_simple_diffusion")
    arguments = preset_arguments("train_simple_diffusion", "--resolution", str(SIZE), "--preset", preset)
    network, scheduler = script.build_model(arguments, None), script.build_scheduler(arguments)
    network.to(memory_format=torch.channels_last)
    generator, sampling = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)

    def loss(images: Tensor) -> Tensor:
        values, _ = script.diffusion_loss(
            network, {"pixel_values": images}, scheduler, arguments, generator, 0.0, None
        )
        return values.mean()

    def sample(count: int, steps: int) -> list[Image.Image]:
        pipeline = SimpleDiffusionPipeline(network, scheduler)
        pipeline.set_progress_bar_config(disable=True)
        options: dict[str, Any] = {"sampler": "flow-dpm", "steps": steps}
        return list(draw_in_batches(pipeline, [None] * count, count, generator=sampling, **options))

    return Contestant(network, loss, sample)


def diffusers_example() -> Contestant:
    from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel

    network = UNet2DModel(
        sample_size=SIZE, in_channels=3, out_channels=3, layers_per_block=2,
        block_out_channels=(128, 128, 256, 256, 512, 512),
        down_block_types=(*("DownBlock2D",) * 4, "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", *("UpBlock2D",) * 4),
    )  # fmt: skip
    scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear", prediction_type="epsilon")
    generator, sampling = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)

    def loss(images: Tensor) -> Tensor:
        noise = torch.randn(images.shape, generator=generator)
        times = torch.randint(1000, (len(images),), generator=generator)
        return nn.functional.mse_loss(network(scheduler.add_noise(images, noise, times), times).sample.float(), noise)

    def sample(count: int, steps: int) -> list[Image.Image]:
        solver = DPMSolverMultistepScheduler.from_config(scheduler.config)
        solver.set_timesteps(steps)
        x = torch.randn(count, 3, SIZE, SIZE, generator=sampling)
        for t in solver.timesteps:
            x = solver.step(network(x, t).sample.float(), t, x).prev_sample
        return as_pictures(x)

    return Contestant(network, loss, sample)


def peer_uvit() -> Contestant:
    """Its file is loaded by itself: the package imports torchvision."""
    spec = importlib.util.find_spec("denoising_diffusion_pytorch")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "simple_diffusion.py"
    file = importlib.util.spec_from_file_location("peer_simple_diffusion", path)
    assert file is not None
    assert file.loader is not None
    module = importlib.util.module_from_spec(file)
    file.loader.exec_module(module)
    network = module.UViT(dim=64)
    diffusion, sampling = (
        module.GaussianDiffusion(network, image_size=SIZE, noise_d=64),
        torch.Generator().manual_seed(1),
    )

    def loss(images: Tensor) -> Tensor:
        return diffusion((images + 1) / 2)  # it maps 0..1 to -1..1 by itself

    def sample(count: int, steps: int) -> list[Image.Image]:
        x = torch.randn(count, 3, SIZE, SIZE, generator=sampling)
        levels = [diffusion.log_snr(place) for place in torch.linspace(1, 0, steps + 1)]
        for here, there in itertools.pairwise(levels):
            v = network(x, here.expand(count)).float()
            clean = (here.sigmoid().sqrt() * x - (-here).sigmoid().sqrt() * v).clamp(-1, 1)
            noise = (x - here.sigmoid().sqrt() * clean) / (-here).sigmoid().sqrt()
            x = there.sigmoid().sqrt() * clean + (-there).sigmoid().sqrt() * noise
        return as_pictures(x)

    return Contestant(network, loss, sample)


RATE = 1e-3
CONTESTANTS: dict[str, tuple[Callable[[], Contestant], float]] = {
    "hf_kexue U-ViT, preset 64-fast": (lambda: ours("64-fast"), RATE),
    "hf_kexue U-ViT, preset 64": (lambda: ours("64"), RATE),
    "diffusers UNet2DModel, its rate": (diffusers_example, 1e-4),
    "diffusers UNet2DModel, our rate": (diffusers_example, RATE),
    "denoising-diffusion-pytorch UViT, its rate": (peer_uvit, 8e-5),
    "denoising-diffusion-pytorch UViT, our rate": (peer_uvit, RATE),
}


def image_batches(batch: int) -> Iterator[dict[str, Tensor]]:
    """Batches of the training photographs, epoch after epoch."""
    loader = image_loader(load_images(str(EMBEDDED), split="train"), SIZE, batch, train=True, random_flip=True)
    while True:
        yield from loader


def measure(name: str, args: argparse.Namespace, held_out: Tensor) -> list[dict[str, Any]]:
    """A row for each mark."""
    make, rate = CONTESTANTS[name]
    torch.manual_seed(0)
    contestant, rows = make(), []

    def loss_of(batch: dict[str, Tensor]) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            return contestant.loss(batch["pixel_values"])

    @torch.no_grad()
    def at_mark(minutes: float, steps: int) -> None:
        contestant.network.eval()
        pictures: list[Image.Image] = []
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            while len(pictures) < args.samples:
                pictures += contestant.sample(min(50, args.samples - len(pictures)), args.steps)
        contestant.network.train()
        rows.append({
            "network": name, "cpu_minutes": minutes, **distance(held_out, pictures), "images_seen": steps * args.batch,
            "parameters": sum(weight.numel() for weight in contestant.network.parameters()), "learning_rate": rate,
        })  # fmt: skip
        print(rows[-1], flush=True)

    train_with_marks(contestant.network, loss_of, image_batches(args.batch), args.marks, rate, at_mark)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--marks", nargs="+", type=float, default=[5, 10, 20, 30], help="minutes of CPU time")
    parser.add_argument("--networks", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--steps", type=int, default=20, help="of the samplers")
    parser.add_argument("--bf16", action="store_true", help="bf16 autocast, for CPUs with units for it")
    args = parser.parse_args()
    python = peer_environment("denoising-diffusion-pytorch", PEER)
    if Path(sys.prefix) != python.parents[1]:
        os.execv(python, [str(python), *sys.argv])
    setting = {
        "images_per_step": args.batch, "samples": args.samples, "sampler_steps": args.steps,
        "training": "bf16 autocast" if args.bf16 else "float32", "marks": args.marks,
    }  # fmt: skip
    held_out = features(photographs(str(EMBEDDED), "validation", 400, SIZE))
    for name in args.networks:
        if not [row for row in rows_before("peers_images", setting) if row["network"] == name]:
            measured = measure(name, args, held_out)
            rows = rows_before("peers_images", setting) + measured  # read again: others may run at the same time
            rows.sort(key=lambda row: list(CONTESTANTS).index(row["network"]))
            write_results("peers_images", {**setting, "peers": ", ".join(PEER), "rows": rows})


if __name__ == "__main__":
    main()

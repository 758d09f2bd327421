"""Images per second of a training step of preset r3 at 64 px: bf16 against float32.

    python benchmarks/gan_training_speed.py                     # this machine's CPU
    python benchmarks/gan_training_speed.py --device cuda --batch 128 --name gan_training_speed_cuda

A step is what training/train_rsgan.py does: the discriminator's, with R1 and R2, and the generator's, each with Adam.
The precisions alternate, step by step, in one process; the best round counts, since other load only makes a step
slower. On a GPU float32 is measured twice: with PyTorch's default, TF32 in convolutions, and without.
Writes benchmarks/results/<name>.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from results import write_results
from scripts import load_script, preset_arguments
from timing import best_seconds
from torch import Tensor

from hf_kexue import relativistic_loss
from hf_kexue.rsgan.augmentation_rsgan import diff_augment

DATA: dict[str, str] = {}  # needs none from outside the checkout
CLASSES = 17


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether cuDNN may round the inputs of float32 convolutions to TF32."""
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def step_of(args: Any, device: str, precision: str) -> Callable[[], None]:
    """One training step of both networks as a function without arguments.

    Args:
        args: of the training script.
        device: where.
        precision: "bf16", "float32" or "float32 without TF32".
    """
    script = load_script("train_rsgan")
    torch.manual_seed(0)
    layout = {"memory_format": torch.channels_last}
    generator, discriminator = (model.to(device).to(**layout) for model in script.build_models(args, CLASSES))
    adams = [torch.optim.Adam(model.parameters(), 1e-4, fused=True) for model in (generator, discriminator)]
    real = torch.randn(args.train_batch_size, 3, 64, 64, device=device).contiguous(**layout)
    labels = torch.arange(len(real), device=device) % CLASSES
    generator_of_noise = torch.Generator()

    def cast(network: Any, *inputs: Any) -> Any:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            return network(*inputs)

    def changed(images: Tensor) -> Tensor:
        return diff_augment(images, args.augment, generator_of_noise, args.augment_probability)

    def fake() -> Tensor:
        latents = torch.randn(len(real), args.latent_dim, device=device)
        return cast(generator, latents, labels).sample.float()

    def step() -> None:
        with tf32(precision == "float32"):
            with torch.no_grad():
                images = changed(torch.cat([real, fake()]))
            network = lambda *inputs: cast(discriminator, *inputs)  # noqa: E731 - as the script hands it over
            _, loss, penalty = script.discriminator_loss(
                args, network, images, labels.repeat(2), generator_of_noise, penalise=True
            )
            (loss + args.gamma / 2 * penalty).backward()
            adams[1].step()
            adams[1].zero_grad()
            with torch.no_grad():
                real_logits = cast(discriminator, changed(real), labels).logits.float()
            fake_logits = cast(discriminator, changed(fake()), labels).logits.float()
            relativistic_loss(real_logits, fake_logits, pairing="paired", side="generator").backward()
            adams[0].step()
            adams[0].zero_grad()
            adams[1].zero_grad()

    return step


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--expansion", type=int, default=2)
    parser.add_argument("--group_size", type=int, default=16)
    parser.add_argument("--name", default="gan_training_speed", help="of the results file")
    options = parser.parse_args(argv)
    shape = ["--expansion", str(options.expansion), "--group_size", str(options.group_size)]
    size = ["--train_batch_size", str(options.batch), "--mixed_precision", "no"]
    args = preset_arguments("train_rsgan", "--preset", "r3", *shape, *size)
    precisions = ["bf16", "float32"] + ["float32 without TF32"] * (options.device == "cuda")
    steps = {precision: step_of(args, options.device, precision) for precision in precisions}
    best = best_seconds(steps, options.rounds, warm_up=2, device=options.device)
    rows = [
        {
            "precision": precision, "images_per_second": round(options.batch / best[precision], 1),
            "bf16_over_this": round(best[precision] / best["bf16"], 2),
        }
        for precision in precisions
    ]  # fmt: skip
    setting = {key: getattr(options, key) for key in ("batch", "expansion", "group_size")}
    write_results(options.name, setting | {"rows": rows}, options.device)


if __name__ == "__main__":
    main()

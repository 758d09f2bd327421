"""Train a relativistic GAN, with the paired loss of the article or a modern recipe.

Article   kexue.fm archives/6110 (preset `sn-dcgan`); arXiv 2501.05441 (preset `r3`: paired logistic, R1 and R2)
Data      a Hub data set id, a local folder (parquet or pictures in class folders), or the embedded photographs
Command   accelerate launch training/train_rsgan.py --preset r3
          (again resumes; training/README.md has the commands, hours and scores of the published models)
Traps     A step is a discriminator step. The losses are not informative: look at samples/, or use --distance_steps.
          EMA weights are saved and sampled, with a half-life of --ema_half_life thousand images. Schedules run over
          --annealing_steps, by default --max_train_steps: a resumed run keeps its curve only if those stay.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from hf_kexue import RSGANDiscriminator, RSGANGenerator, RSGANPipeline
from hf_kexue.data.images import ImageSource
from hf_kexue.data.whole_files import write_whole
from hf_kexue.inference.drawing import draw_in_batches
from hf_kexue.inference.evaluation import class_mix, photographs, picture_distance, picture_features
from hf_kexue.inference.grids import image_grid
from hf_kexue.rsgan.augmentation_rsgan import diff_augment
from hf_kexue.rsgan.batch_statistics_rsgan import estimate_batch_statistics
from hf_kexue.rsgan.collapse_rsgan import CollapseGuard
from hf_kexue.rsgan.double_backward_rsgan import double_backward_convolutions
from hf_kexue.rsgan.gradient_penalties_rsgan import (
    gradient_penalty_finite_difference,
    wgan_gradient_penalty,
    zero_centered_gradient_penalty,
)
from hf_kexue.rsgan.losses_rsgan import annealed, relativistic_loss
from hf_kexue.training.adversarial import AdversarialArguments, AdversarialRun
from hf_kexue.training.arguments import option, parse_arguments
from hf_kexue.training.image_data import ImageArguments, open_images, sheet_labels, training_images
from hf_kexue.training.interruption import script_main
from hf_kexue.training.processes import finish
from hf_kexue.training.publishing import PublishingArguments, push_to_hub
from hf_kexue.training.setup import run_manifest, start

HERE = Path(__file__).resolve().parent
EMBEDDED = HERE / "data" / "clothing-64"
logger = logging.getLogger("train_rsgan")


@dataclass
class Arguments(PublishingArguments, ImageArguments, AdversarialArguments):
    output_dir: str = option("outputs/rsgan", "Folder for checkpoints, samples and both networks.")
    preset: str = option("r3", "Name in training/presets or path of a YAML file.")
    resolution: int = option(64, "Side of the images in pixels, a power of two from 32 to 256.")
    # networks
    block_type: Literal["r3", "dcgan"] = option("r3", "Type of the blocks.")
    block_out_channels: list[int] = option([], "Channels from the 4 x 4 stage upwards; default: those of the model.")
    layers_per_block: int = option(1, "Residual blocks of a stage.")
    expansion: int = option(2, "Inner over outer channels of a residual block.")
    group_size: int = option(16, "Channels of a group of its 3 x 3 convolution.")
    latent_dim: int = option(64, "Width of the latent vector.")
    spectral_norm: bool = option(False, "On the discriminator's weights.")
    # losses
    pairing: Literal["paired", "average", "none"] = option("paired", "What a score is compared with.")
    kind: Literal["logistic", "least_squares", "hinge", "identity"] = option("logistic", "Function of the scores.")
    saturating: bool = option(False, "The generator maximises what the discriminator minimises.")
    penalty: Literal["r1r2", "r1", "finite_difference", "wgan_gp", "none"] = option(
        "r1r2", "On the discriminator's gradient; 'finite_difference': R1 + R2 without a second derivative."
    )
    gamma: float = option(1.0, "Weight of the penalty at the start: gamma / 2 times R1 and R2, gamma times WGAN-GP.")
    gamma_end: float = option(0.1, "The same after annealing.")
    penalty_interval: int = option(1, "Steps between penalties, which are multiplied by this number.")
    discriminator_steps: int = option(1, "Discriminator steps per turn, each with its own batch.")
    generator_steps: int = option(1, "Generator steps per turn.")
    augment: str = option("color,translation,cutout", "Augmentations of real and generated images, or ''.")
    augment_probability: float = option(0.3, "Probability of each augmentation at the start.")
    augment_probability_end: float = option(0.55, "The same after annealing.")
    # periodic actions
    sample_steps: int = option(1000, "Steps between sample pictures; 0 for none, not even at the end.")
    distance_steps: int = option(0, "Steps between kernel distances (extra hf-kexue[metrics]); 0 for none.")
    distance_images: int = option(400, "Samples, and validation images at most, of a kernel distance.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.penalty == "finite_difference":  # bf16 is too coarse for differences of scores
            if self.mixed_precision == "bf16":
                raise ValueError("--penalty finite_difference needs --mixed_precision no (or auto), got bf16.")
            self.mixed_precision = "no"
        self.at_least(1, "penalty_interval", "discriminator_steps", "generator_steps")
        self.at_least(4, "distance_images")


def build_models(args: Arguments, num_classes: int | None) -> tuple[RSGANGenerator, RSGANDiscriminator]:
    """Build generator and discriminator."""
    options: dict[str, Any] = {"sample_size": args.resolution, "num_class_embeds": num_classes}
    options["block_out_channels"] = tuple(args.block_out_channels) or None
    options |= {key: getattr(args, key) for key in ("block_type", "layers_per_block", "expansion", "group_size")}
    return (
        RSGANGenerator(latent_dim=args.latent_dim, **options),
        RSGANDiscriminator(spectral_norm=args.spectral_norm, **options),
    )


def discriminator_loss(
    args: Arguments, network: Callable[..., Any], images: Tensor, labels: Tensor | None,
    generator: torch.Generator, penalise: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Scores (2B,), loss, and penalty R, to be weighted by gamma / 2; all float32.

    Args:
        args: pairing, kind and penalty.
        network: the discriminator; one pass over all images, since they are independent.
        images: (2B, C, H, W), augmented, real ones first.
        labels: (2B,).
        generator: for penalties with random draws.
        penalise: whether this step has a penalty.
    """

    needs_double_backward = penalise and args.penalty in ("r1r2", "r1", "wgan_gp")

    def score(x: Tensor, classes: Tensor | None = labels) -> Tensor:
        with double_backward_convolutions() if needs_double_backward else nullcontext():
            return network(x, classes).logits.float()

    logits = score(images.requires_grad_(needs_double_backward))
    (real_logits, fake_logits), (real, fake) = logits.chunk(2), images.chunk(2)
    loss = relativistic_loss(real_logits, fake_logits, pairing=args.pairing, kind=args.kind, side="discriminator")
    penalty = torch.zeros_like(loss)
    if penalise and args.penalty == "r1r2":
        penalty = 2 * zero_centered_gradient_penalty(logits, images).mean()  # R1 + R2: the mean over each half
    elif penalise and args.penalty == "r1":
        penalty = zero_centered_gradient_penalty(logits, images)[: len(real)].mean()
    elif penalise and args.penalty == "finite_difference":
        penalty = 2 * gradient_penalty_finite_difference(score, images, logits, generator=generator).mean()
    elif penalise and args.penalty == "wgan_gp":
        first = None if labels is None else labels.chunk(2)[0]
        penalty = 2 * wgan_gradient_penalty(lambda x: score(x, first), real, fake, generator=generator).mean()
    return logits.detach(), loss, penalty


def held_out_features(args: Arguments, source: ImageSource, seed: int | None = None) -> Tensor:
    """Features of the validation images for the kernel distance: the first ones, or a random subset by `seed`."""
    images = photographs(source, args.resolution, args.distance_images, seed)
    if images.broken:
        logger.warning("%d validation image(s) cannot be decoded: %s", len(images.broken), ", ".join(images.broken))
    return picture_features(images.images)


def distance(
    args: Arguments, pipeline: RSGANPipeline, source: ImageSource, held_out: Tensor, truncation: float | None = None
) -> dict[str, float]:
    """KID-EffLite0 of samples with the class proportions of the training images; the same latents at each call."""
    labels = class_mix(source, args.distance_images) if source.label_column else [None] * args.distance_images
    samples = draw_in_batches(
        pipeline, labels, 50, generator=torch.Generator().manual_seed(args.seed), truncation=truncation,
        output_type="pt",
    )  # fmt: skip
    figures = picture_distance(held_out, (sample.cpu() for sample in samples))
    return {"kid_efflite0": figures["kid_efflite0"], "kid_efflite0_standard_error": figures["standard_error"]}


def save_pictures(pipeline: RSGANPipeline, seed: int, folder: Path, name: str, columns: int = 8) -> Image.Image:
    """Save a sheet with a row of samples per class (a subset of many classes, or four rows) and a sheet of
    interpolations, from a fixed seed. Returns the first sheet."""
    folder.mkdir(exist_ok=True)
    generator, images, strips = torch.Generator().manual_seed(seed), [], []
    num_classes = pipeline.generator.config.num_class_embeds or 0
    for labels in sheet_labels(num_classes, columns):
        classes = None if labels[0] is None else labels
        images += pipeline(len(labels), class_labels=classes, generator=generator).images
    interpolated: list[Any] = list(range(num_classes))[:8] or [None] * 4
    for label in interpolated:
        first, last = torch.randn(2, pipeline.generator.config.latent_dim, generator=generator)
        strips += pipeline.interpolate(first, last, columns, class_labels=label).images
    image_grid(strips, columns).save(folder / f"interpolation-{name}.png")
    sheet = image_grid(images, columns)
    sheet.save(folder / f"{name}.png")
    return sheet


def main(argv: list[str] | None = None) -> dict[str, Any]:
    # 1. Data, networks, manifest
    args = parse_arguments(Arguments, HERE / "presets", argv, pattern="[rs][3n]*")
    output_dir, accelerator = Path(args.output_dir), start(args, networks=2)
    # a generator of classes has no picture of none
    source, validation = open_images(args, EMBEDDED, held_out=bool(args.distance_steps), unlabelled="drop")
    if args.distance_steps and validation is None:
        raise ValueError("--distance_steps needs validation images: give --validation_split or --validation_share.")
    models = build_models(args, len(source.label_names) or None)
    manifest = run_manifest(
        args, accelerator, models[0], discriminator_parameters=models[1].num_parameters(),
        classes=source.label_names, images=len(source.rows),
    )  # fmt: skip

    # 2. Batches, guard and held-out features
    loader = training_images(args, source, accelerator)
    held_out = (
        held_out_features(args, validation, args.seed) if validation is not None and args.distance_steps else None
    )
    guard = CollapseGuard(args.collapse_margin, args.collapse_steps)

    # 3. Prepare and resume, with optimizers, rates and EMA
    run = AdversarialRun(args, accelerator, *models, loader, manifest, "rsgan", annealed, guard)
    pipeline = RSGANPipeline(run.generator_network, dict(enumerate(source.label_names)) or None)
    run.generator_network.train()  # the pipeline sets evaluation mode

    def evaluate(name: str, draw: bool, measure: bool) -> dict[str, float]:
        """Sample pictures and kernel distance with the EMA weights."""
        figures: dict[str, float] = {}
        if accelerator.is_main_process and (draw or measure):
            with run.averaged():
                estimate_batch_statistics(run.generator_network, seed=args.seed)
                if draw:
                    sheet = save_pictures(pipeline, args.seed, output_dir / "samples", name)
                    run.history.log_image(run.state.step, "samples", sheet)
                if measure and held_out is not None:
                    figures = distance(args, pipeline, source, held_out)
                    logger.info("step %d: %s", run.state.step, figures)
                    run.history.log(run.state.step, **figures)
        return figures

    # 4. The loop
    rank = (accelerator.process_index, accelerator.num_processes)
    for batch in run.batches():
        real, labels = batch["pixel_values"], batch.get("class_labels")
        both = None if labels is None else labels.repeat(2)
        probability = run.scheduled(args.augment_probability, args.augment_probability_end)
        gamma = run.scheduled(args.gamma, args.gamma_end) * args.penalty_interval

        def latents(count: int = len(real)) -> Tensor:
            return run.latents(count, args.latent_dim)

        def augmented(images: Tensor, probability: float = probability) -> Tensor:
            return diff_augment(images, args.augment, run.shared_generator, probability, rank)

        # ---- discriminator
        with torch.no_grad():
            images = torch.cat([augmented(real), augmented(run.generator_network(latents(), labels).sample)])
        penalise = run.state.step % args.penalty_interval == 0
        logits, loss, penalty = discriminator_loss(
            args, run.discriminator, images, both, run.local_generator, penalise
        )
        figures: dict[str, Any] = {"discriminator_loss": loss.detach()}
        norm = run.descend(loss + gamma / 2 * penalty, run.discriminator_network, run.discriminator_adam)
        real_logits, fake_logits = logits.chunk(2)
        figures |= {"margin": real_logits.mean() - fake_logits.mean(), "discriminator_gradient": norm}
        figures |= {"penalty": penalty.detach()} if penalise else {}

        # ---- generator
        if (run.state.step + 1) % args.discriminator_steps == 0:
            run.discriminator_network.requires_grad_(False)
            for _ in range(args.generator_steps):
                if args.pairing != "none":  # else the real scores are not needed
                    with torch.no_grad():
                        real_logits = run.discriminator_network(augmented(real), labels).logits.float()
                fake = augmented(run.generator(latents(), labels).sample)
                fake_logits = run.discriminator_network(fake, labels).logits.float()
                loss = relativistic_loss(
                    real_logits, fake_logits, pairing=args.pairing, kind=args.kind, side="generator",
                    saturating=args.saturating,
                )  # fmt: skip
                figures["generator_gradient"] = run.descend(loss, run.generator_network, run.generator_adam)
            figures["generator_loss"] = loss.detach()
            run.discriminator_network.requires_grad_(True)
        # ----

        run.after_step(len(real), figures)
        evaluate(f"step-{run.state.step}", run.due(args.sample_steps), run.due(args.distance_steps))

    if args.dry_run:
        return run.estimate()

    # 5. Final evaluation
    final = evaluate("final", bool(args.sample_steps), bool(args.distance_steps))
    results = manifest | run.costs() | final

    # 6. Save
    if accelerator.is_main_process:
        write_whole(output_dir / "results.json", json.dumps(results, indent=1, ensure_ascii=False))
        with run.averaged():
            estimate_batch_statistics(run.generator_network, seed=args.seed)
            pipeline.save_pretrained(output_dir / "pipeline")
            push_to_hub(args, pipeline, results)
        run.discriminator_network.save_pretrained(output_dir / "discriminator")
        logger.info("Saved %s", output_dir / "pipeline")
    finish(accelerator)
    return results


if __name__ == "__main__":
    script_main(main)

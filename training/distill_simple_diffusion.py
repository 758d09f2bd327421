"""Distil a guided simple-diffusion pipeline into a network of one call a step and few steps, with Accelerate.

Article   kexue.fm archives/10047 (the model) and archives/6110 (the paired loss of the last stage)
Papers    arXiv 2202.00512 (a step of the student follows several of the teacher), arXiv 2210.03142 (guided teachers,
          the scale as an input), arXiv 2501.05441 (paired loss with R1 and R2)
Data      pictures as for train_simple_diffusion.py: their classes are those that are drawn, and with
          --adversarial_weight they are what the last step is compared with
Command   accelerate launch training/distill_simple_diffusion.py --teacher model_cards/simple-diffusion-clothing-64
          (again resumes; training/README.md has the command, hours and scores of the published model)
Traps     The teacher's paths are recorded once, into --output_dir/paths, and cost its full price: 60 calls each for
          twenty steps with two guidances. A student at its best draws what the teacher draws in --teacher_steps: look
          at that first. With few paths the student learns them by heart: compare the validation loss. A student is
          right at its own --student_steps alone. With several --guidance_scales the scale is an input of the network,
          and the last one is saved as default; with one scale it is built in.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor
from tqdm.auto import tqdm

from hf_kexue import RSGANDiscriminator, SimpleDiffusionPipeline
from hf_kexue.data.whole_files import write_whole
from hf_kexue.inference.evaluation import class_mix
from hf_kexue.inference.grids import image_grid
from hf_kexue.inference.trajectories import Paths, PathSettings, load_shards, path_logsnr, record_paths, record_shards
from hf_kexue.rsgan.augmentation_rsgan import diff_augment
from hf_kexue.rsgan.gradient_penalties_rsgan import gradient_penalty_finite_difference
from hf_kexue.rsgan.losses_rsgan import relativistic_loss
from hf_kexue.simple_diffusion.distillation_simple_diffusion import deterministic_step
from hf_kexue.simple_diffusion.guidance_simple_diffusion import output_from_sample, predict_sample
from hf_kexue.simple_diffusion.pipeline_drawing import Network
from hf_kexue.training.arguments import RunArguments, option, parse_arguments
from hf_kexue.training.fine_tuning import fit_steps_to_data
from hf_kexue.training.image_data import ImageArguments, open_images, sheet_labels, training_images
from hf_kexue.training.interruption import script_main
from hf_kexue.training.loop import TrainingRun
from hf_kexue.training.processes import finish
from hf_kexue.training.publishing import PublishingArguments, push_to_hub
from hf_kexue.training.setup import run_manifest, start

HERE = Path(__file__).resolve().parent
EMBEDDED = HERE / "data" / "clothing-64"
logger = logging.getLogger("distill_simple_diffusion")


@dataclass
class Arguments(PublishingArguments, ImageArguments, RunArguments):
    output_dir: str = option("outputs/distilled", "Folder for paths, checkpoints, samples and the pipeline.")
    preset: str = option("distill", "Name in training/presets or path of a YAML file.")
    teacher: str = option("", "Folder or repository of the pipeline to distil.")
    init_from: str | None = option(None, "Folder of a student that this run starts from; default: the teacher.")
    resolution: int = option(0, "That of the teacher, whatever is given.")
    class_factor: float = option(
        1.0, "Start with classes this many times as far from the null class as the teacher's: a first guidance."
    )
    # paths of the teacher
    student_steps: int = option(4, "Steps of the student, saved as its default.")
    teacher_steps: int = option(
        20, "Steps of the teacher (DPM-Solver++), a multiple of --student_steps; no student is better than its images."
    )
    guidance_scales: list[float] = option([], "Of the recorded batches in turn; default: the teacher's saved one.")
    shards: int = option(64, "Recorded batches; the first is held out.")
    shard_size: int = option(16, "Paths of a recorded batch.")
    # adversarial loss on the last step
    adversarial_weight: float = option(0.0, "Of the relativistic loss against the pictures; 0: none.")
    adversarial_from: int = option(0, "Step from which on it counts.")
    discriminator_rate: float = option(2e-4, "Learning rate of the discriminator.")
    gamma: float = option(1.0, "Weight of its penalty: gamma / 2 times R1 and R2, by finite differences.")
    augment: str = option("color,translation,cutout", "Augmentations of what it sees, or ''.")
    augment_probability: float = option(0.3, "Probability of each of them.")
    # periodic actions
    sample_steps: int = option(1000, "Optimizer steps between sample grids; 0 for none, not even at the end.")

    def __post_init__(self) -> None:
        if self.shards < 2:
            raise ValueError(f"--shards must be at least 2, one of them held out; got {self.shards}.")
        if self.adversarial_weight:
            if self.mixed_precision not in ("no", "auto"):  # too coarse for differences of scores
                raise ValueError(f"--adversarial_weight needs --mixed_precision no, got {self.mixed_precision}.")
            self.mixed_precision = "no"


def student_of(teacher: SimpleDiffusionPipeline, args: Arguments) -> Network:
    """The network that starts as the teacher's, or as that of --init_from; with an input for several scales.

    Raises:
        ValueError: for a student of another shape.
    """
    network, options = teacher.unet, {"dropout": 0.0}
    if args.init_from:
        network = type(network).from_pretrained(args.init_from, subfolder="unet")
    if len(set(args.guidance_scales)) > 1:
        options["guidance_embedding"] = True
    student = type(network).from_config(network.config, **options)
    faults = student.load_state_dict(network.state_dict(), strict=False)
    if faults.unexpected_keys or any(not key.startswith("scale_embedding.") for key in faults.missing_keys):
        raise ValueError(f"--init_from {args.init_from} does not fit this run: {faults}.")
    if student.class_embedding is not None and not args.init_from:
        with torch.no_grad():
            table = student.class_embedding.weight
            table.copy_(torch.lerp(table[-1:], table, args.class_factor))  # the null class is the last
    return student


def class_ids(teacher: SimpleDiffusionPipeline, source: Any) -> Tensor | None:
    """The teacher's index of each class of the pictures; None for a teacher without classes.

    Raises:
        ValueError: for a class that the teacher does not know, or pictures without classes.
    """
    if teacher.unet.config.num_class_embeds is None:
        return None
    if source.label_column is None:
        raise ValueError("The teacher has classes, and the pictures have none: give --label_column.")
    return teacher.label_ids(source.label_names if teacher.class_names else range(len(source.label_names)))


def call(network: Any, x_t: Tensor, logsnr: Tensor, scales: Tensor | None, labels: Tensor | None) -> Tensor:
    """The student's prediction, float32 (B, C, H, W)."""
    x_t = x_t.contiguous(memory_format=torch.channels_last)
    return network(x_t, logsnr, labels, guidance_scale=scales).sample.float()


@torch.no_grad()
def validation_figures(network: Any, paths: Paths, logsnr: Tensor, kind: str) -> dict[str, float]:
    """On held-out paths: the mean square of each step's error in v, and of the last image that the student's own
    steps reach, against that of the teacher."""
    device, steps, figures = network.device, len(logsnr) - 1, {}
    everything = torch.arange(len(paths))
    x = paths.states[:, 0].float().to(device)
    for mark in range(steps):
        marks = torch.full_like(everything, mark)
        x_t, x_0, times, scales, labels = paths.targets(logsnr, everything, marks, device=device)
        sigma = torch.sigmoid(-times).sqrt().view(-1, 1, 1, 1)
        predicted = predict_sample(call(network, x_t, times, scales, labels), x_t, times, kind)
        figures[f"validation_loss/step_{mark + 1}"] = float(((predicted - x_0) / sigma).square().mean())
        own = predict_sample(call(network, x, times, scales, labels), x, times, kind)
        x = deterministic_step(own, x, times, logsnr[marks + 1].to(device))
    mean = sum(figures.values()) / steps
    error = (x.clamp(-1, 1) - paths.states[:, -1].to(x)).square().mean()
    return {"validation_loss": mean, "image_error": float(error), **figures}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    # 1. Teacher, data, student, manifest
    args = parse_arguments(Arguments, HERE / "presets", argv, pattern="distill*")
    if not args.teacher:
        raise ValueError("--teacher is missing: the folder or repository of the pipeline to distil.")
    accelerator = start(args, networks=2 if args.adversarial_weight else 1)
    output_dir, device = Path(args.output_dir), accelerator.device
    teacher = SimpleDiffusionPipeline.from_pretrained(args.teacher).to(device)
    args.resolution = teacher.unet.config.sample_size
    args.guidance_scales = args.guidance_scales or [teacher.config.guidance_scale]
    settings = PathSettings(
        args.teacher_steps, args.student_steps, tuple(args.guidance_scales), args.shard_size, args.seed,
        Path(args.teacher).name,
    )  # fmt: skip
    if teacher.unet.config.num_class_embeds is None:
        args.label_column = "none"
    source, _ = open_images(args, EMBEDDED, held_out=False, unlabelled="drop")
    ids = class_ids(teacher, source)
    draw_labels = None if ids is None else lambda count, seed: ids[class_mix(source, count, seed)].tolist()
    loader = training_images(args, source, accelerator)
    fit_steps_to_data(args, loader, accelerator.num_processes)
    student = student_of(teacher, args).to(memory_format=torch.channels_last)
    takes_scale, kind = student.config.guidance_embedding, teacher.scheduler.config.prediction_type
    manifest = run_manifest(
        args, accelerator, student, classes=source.label_names, images=len(source.rows),
        paths=args.shards * args.shard_size,
    )  # fmt: skip

    # 2. Discriminator and optimizers; what is prepared here is saved with the checkpoints of the run
    discriminator = adam = None
    if args.adversarial_weight:
        discriminator = RSGANDiscriminator(args.resolution, num_class_embeds=student.config.num_class_embeds)
        adam = torch.optim.Adam(discriminator.parameters(), args.discriminator_rate, betas=(0.0, 0.99))
        discriminator, adam = accelerator.prepare(discriminator, adam)
    optimizer = torch.optim.AdamW(student.parameters(), args.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)

    def validate() -> tuple[dict[str, float], float]:
        figures = validation_figures(run.network, held_out, logsnr, kind)
        return figures, 1 / (1 + figures["validation_loss"])

    run = TrainingRun(
        args, accelerator, student, loader, manifest, "distill_simple_diffusion", "images", validate, optimizer,
        first_score=True,
    )  # fmt: skip

    # 3. The teacher's paths, recorded once
    for network in (teacher.unet, teacher.guidance_unet):
        if network is not None:
            network.to(memory_format=torch.channels_last)
    logsnr = path_logsnr(teacher, settings)
    if args.dry_run:
        paths = held_out = record_paths(teacher, settings, 0, draw_labels, takes_scale)
    else:
        rank, everything = accelerator.process_index, range(args.shards)
        shards = tqdm(everything[rank :: accelerator.num_processes], "teacher's paths", disable=rank > 0)
        record_shards(teacher, settings, shards, output_dir / "paths", draw_labels)
        accelerator.wait_for_everyone()
        parts = (everything[:1], everything[1:])
        held_out, paths = (load_shards(output_dir / "paths", settings, part, takes_scale) for part in parts)

    # 4. The student as a pipeline, which steps as it was taught
    scheduler = DDIMScheduler.from_config(teacher.scheduler.config, clip_sample=False)
    pipeline = SimpleDiffusionPipeline(
        run.network, scheduler, dict(enumerate(teacher.class_names)) or None,
        guidance_scale=args.guidance_scales[-1] if takes_scale else 1.0, num_inference_steps=args.student_steps,
    )  # fmt: skip
    run.trained.train()  # the pipeline sets evaluation mode

    def draw(name: str) -> None:
        with run.averaged():
            if accelerator.is_main_process:
                generator, images = torch.Generator().manual_seed(args.seed), []
                pipeline.set_progress_bar_config(disable=True)
                for labels in sheet_labels(student.config.num_class_embeds or 0, columns=8):
                    classes = None if labels[0] is None else labels
                    images += pipeline(len(labels), class_labels=classes, generator=generator).images
                (output_dir / "samples").mkdir(exist_ok=True)
                grid = image_grid(images, 8)
                grid.save(output_dir / "samples" / f"{name}.png")
                run.history.log_image(run.state.step, "samples", grid)

    def adversarial_loss(fake: Tensor, real: Tensor, fake_labels: Tensor | None, real_labels: Tensor | None) -> Tensor:
        """A step of the discriminator, then the student's loss against it."""
        assert discriminator is not None
        assert adam is not None
        chance = torch.Generator().manual_seed(run.local_generator.initial_seed())
        labels = None if real_labels is None or fake_labels is None else torch.cat([real_labels, fake_labels])

        def changed(images: Tensor) -> Tensor:
            return diff_augment(images, args.augment, chance, args.augment_probability)

        images = torch.cat([changed(real), changed(fake.detach())])
        logits = discriminator(images, labels).logits
        penalty = gradient_penalty_finite_difference(
            lambda x: discriminator(x, labels).logits, images, logits, generator=chance
        )
        loss = relativistic_loss(logits[: len(real)], logits[len(real) :], side="discriminator")
        accelerator.backward(loss + args.gamma * penalty.mean())  # gamma / 2 times R1 + R2, the means over each half
        adam.step()
        adam.zero_grad()
        run.state.running.append({"discriminator_loss": loss.item(), "penalty": penalty.mean().item()})
        network = accelerator.unwrap_model(discriminator).requires_grad_(False)
        with torch.no_grad():
            real_logits = network(changed(real), real_labels).logits
        loss = relativistic_loss(real_logits, network(changed(fake), fake_labels).logits, side="generator")
        network.requires_grad_(True)
        return loss

    # 5. The loop
    for batch in run.batches():
        size, drawn = args.train_batch_size, {"generator": run.shared_generator, "device": device}
        total, first = size * accelerator.num_processes, size * accelerator.process_index
        local = slice(first, first + size)  # every rank draws for the global batch and keeps its slice
        rows = torch.randint(len(paths), (total,), **drawn).cpu()[local]
        marks = (torch.arange(total) + int(torch.randint(args.student_steps, (), **drawn)))[local] % args.student_steps
        flip = (torch.rand(total, **drawn).cpu()[local] < 0.5) & args.random_flip
        x_t, x_0, times, scales, labels = paths.targets(logsnr, rows, marks, flip, device)

        # ---- one training step
        with accelerator.accumulate(run.model):
            with accelerator.autocast():
                output = call(run.model, x_t, times, scales, labels)
            loss = (output - output_from_sample(x_0, x_t, times, kind)).square().mean()
            last = (marks == args.student_steps - 1).to(device)
            if args.adversarial_weight and run.state.step >= args.adversarial_from and bool(last.any()):
                fake = predict_sample(output, x_t, times, kind)[last]
                real = batch["pixel_values"][: len(fake)].to(fake)
                classes = None if ids is None else ids[batch["class_labels"][: len(real)].cpu()].to(device)
                mine = None if labels is None else labels[last][: len(real)]
                loss = loss + args.adversarial_weight * adversarial_loss(fake[: len(real)], real, mine, classes)
            run.descend(loss)
        # ----

        run.after_step(size)
        if run.due(args.sample_steps):
            draw(f"step-{run.state.step}")
    if args.dry_run:
        return run.estimate()

    # 6. Final evaluation, and save
    with run.averaged():
        figures, _ = validate()
    run.history.log(run.state.step, **figures)
    if args.sample_steps:
        draw("final")
    results = manifest | {"images_seen": run.state.samples, **run.costs(), **figures}
    if accelerator.is_main_process:
        write_whole(output_dir / "results.json", json.dumps(results, indent=1, ensure_ascii=False))
        with run.averaged():
            pipeline.save_pretrained(output_dir / "pipeline")
            push_to_hub(args, pipeline, results)
        logger.info("Saved %s", output_dir / "pipeline")
    finish(accelerator)
    return results


if __name__ == "__main__":
    script_main(main)

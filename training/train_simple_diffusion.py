"""Train a simple-diffusion U-ViT on images of any size, straight in pixel space, with Accelerate.

Article   kexue.fm archives/10047; arXiv 2301.11093 (schedule, U-ViT, losses); arXiv 2410.19324 (sigmoid weighting)
Data      a Hub data set id, a local folder (parquet or pictures in class folders), or the embedded photographs
Command   accelerate launch training/train_simple_diffusion.py --resolution 64
          (again resumes; training/README.md has the commands, hours and scores of the published models)
Traps     EMA weights are what is saved and sampled: below some thousand steps lower --ema_decay. A resumed run keeps
          its learning-rate curve only if --max_train_steps stays the same. bf16 is slower than float32 on CPUs without
          bf16 units; --mixed_precision auto measures it.

Longer than its siblings should be: seventy lines are the arguments, each with its help text.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from diffusers.optimization import get_scheduler
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from hf_kexue.data.images import BrokenImages, image_loader, load_images
from hf_kexue.inference.grids import image_grid  # fmt: skip
from hf_kexue.simple_diffusion import ShiftedCosineScheduler, SimpleDiffusionPipeline, SimpleDiffusionUViT2DModel
from hf_kexue.simple_diffusion.complexity import count_parameters
from hf_kexue.simple_diffusion.losses_simple_diffusion import mean_by_logsnr, simple_diffusion_loss
from hf_kexue.training.arguments import option, parse_arguments
from hf_kexue.training.checkpoints import Checkpoints
from hf_kexue.training.environment import environment
from hf_kexue.training.processes import finish, in_step, of_all, share
from hf_kexue.training.publishing import PublishingArguments, push_to_hub
from hf_kexue.training.setup import one_clock, press_into_time, start
from hf_kexue.training.sharding import AveragedWeights, Twin
from hf_kexue.training.state import History, TrainingState, check_finite, set_learning_rate

HERE = Path(__file__).resolve().parent
EMBEDDED = HERE / "data" / "clothing-64"
logger = logging.getLogger("train_simple_diffusion")


@dataclass
class Arguments(PublishingArguments):
    output_dir: str = option(
        "outputs/simple-diffusion", "Everything the run leaves: checkpoints, samples, the pipeline."
    )
    preset: str = option("", "Name in training/presets or path of a YAML file; default: the one of --resolution.")
    resolution: int = option(64, "Side of the training images in pixels; chooses preset, shift and sigmoid bias.")
    # data
    dataset: str = option("embedded", "Hub id, local folder, or 'embedded'.")
    dataset_config: str | None = option(None, "Configuration of a Hub data set that has several.")
    split: str = option("train", "Split to train on.")
    validation_split: str = option("validation", "Split for the validation loss; 'none' for none.")
    image_column: str | None = option(None, "Column of the images; default: the only one.")
    label_column: str = option("auto", "Column of class labels, 'auto', or 'none' for an unconditional model.")
    streaming: bool = option(False, "Read the data front to back: for sets larger than memory and disk.")
    random_flip: bool = option(True, "Mirror half of the images.")
    dataloader_num_workers: int = option(0, "Processes that decode images.")
    decoded_megabytes: int = option(1024, "Decoded images are kept in memory if all fit into this; 0: never.")
    # network
    patch_size: int = option(2, "Pixels folded into channels at the input.")
    input_transform: str = option("patch", "'patch' or 'dwt'.")
    block_out_channels: list[int] = option([48, 96], "Channels of the convolutional levels.")
    layers_per_block: list[int] = option([2, 2], "Residual blocks of each level, each way.")
    hidden_size: int = option(256, "Width of the transformer.")
    num_transformer_layers: int = option(6, "Blocks of the transformer.")
    num_attention_heads: int = option(4, "Heads of the transformer.")
    mlp_ratio: float = option(4.0, "Inner width of the transformer's MLP over its width.")
    dropout: float = option(0.0, "In the transformer only.")
    embedding_dim: int | None = option(None, "Width of the conditioning vector; default: hidden_size.")
    skip: str = option("residual", "'concat' or 'residual'.")
    init_from: str | None = option(None, "Folder of a saved pipeline whose network this run starts from.")
    # diffusion
    base_size: list[int] = option([64], "Resolution of the unshifted cosine; two numbers interpolate (u=0, u=1).")
    prediction_type: str = option("v_prediction", "'epsilon', 'sample' or 'v_prediction'.")
    weighting: str = option("sigmoid", "'epsilon', 'v', 'sigmoid' or 'min_snr'.")
    multiscale: bool = option(False, "Add the errors of mean-pooled scales down to 32 pixels.")
    class_dropout: float = option(0.1, "Share of labels replaced by the null class, for guidance.")
    # optimisation
    max_train_steps: int = option(10_000, "Optimizer steps.")
    max_seconds: float = option(
        0.0, "Stop after so much time too, with the schedule pressed into it; 0: steps decide."
    )
    train_batch_size: int = option(32, "Images per process and micro step.")
    gradient_accumulation_steps: int = option(1, "Micro steps per optimizer step.")
    learning_rate: float = option(1e-3, "Peak of the schedule.")
    lr_scheduler: str = option("cosine", "Name in diffusers.optimization.")
    lr_warmup_steps: int = option(200, "Optimizer steps.")
    adam_beta1: float = option(0.9, "Of AdamW.")
    adam_beta2: float = option(0.99, "Of AdamW.")
    adam_epsilon: float = option(1e-8, "Of AdamW.")
    weight_decay: float = option(0.01, "Of AdamW.")
    max_grad_norm: float = option(1.0, "Clip of the gradient norm.")
    ema_decay: float = option(0.9995, "Final decay; it ramps up as (1 + step) / (10 + step).")
    mixed_precision: str = option("auto", "'no', 'bf16', 'fp16', or 'auto': bf16 where this device is faster with it.")
    gradient_checkpointing: bool = option(False, "Trade a third more arithmetic for memory.")
    compile: bool = option(False, "torch.compile the blocks of the network: a minute at first, then faster on GPUs.")
    seed: int = option(0, "Of everything.")
    # once in a while
    checkpointing_steps: int = option(1000, "Optimizer steps between checkpoints.")
    checkpoints_total_limit: int = option(2, "Checkpoints kept.")
    validation_steps: int = option(1000, "Optimizer steps between validation losses.")
    sample_steps: int = option(2000, "Optimizer steps between sample grids; 0 for none, not even at the end.")
    sample_inference_steps: int = option(32, "Network evaluations per sampled image.")
    sample_guidance_scale: float = option(
        2.0, "Guidance of a class-conditional model: of the sample grids, and saved with it."
    )
    logging_steps: int = option(20, "Optimizer steps between log lines.")
    tracker: str = option("tensorboard", "Any tracker that Accelerate knows, or 'none'.")
    dry_run: bool = option(False, "Print the manifest and the size of the network, then stop.")


def build_scheduler(args: Arguments) -> ShiftedCosineScheduler:
    base_size = args.base_size[0] if len(args.base_size) == 1 else tuple(args.base_size)
    return ShiftedCosineScheduler(
        sample_size=args.resolution, base_size=base_size, prediction_type=args.prediction_type
    )


def build_model(args: Arguments, num_classes: int | None) -> SimpleDiffusionUViT2DModel:
    """The network of the arguments, with the weights of --init_from where that is given.

    A larger patch changes the shape of the first and the last convolution only; those two then start afresh.
    """
    keys = "patch_size input_transform hidden_size num_transformer_layers num_attention_heads mlp_ratio dropout"
    options: dict[str, Any] = {key: getattr(args, key) for key in [*keys.split(), "embedding_dim", "skip"]}
    options |= {key: tuple(getattr(args, key)) for key in ("block_out_channels", "layers_per_block")}
    model = SimpleDiffusionUViT2DModel(sample_size=args.resolution, num_class_embeds=num_classes, **options)
    if args.init_from:
        donor = SimpleDiffusionUViT2DModel.from_pretrained(args.init_from, subfolder="unet").state_dict()
        own = model.state_dict()
        fresh = sorted(key for key in own if key not in donor or donor[key].shape != own[key].shape)
        strange = [key for key in fresh if not key.startswith(("conv_in.", "conv_out."))]
        if strange := strange + sorted(donor.keys() - own.keys()):
            raise ValueError(f"--init_from {args.init_from} is another network; these weights do not fit: {strange}.")
        model.load_state_dict(own | {key: value for key, value in donor.items() if key not in fresh})
        logger.info("Started from %s%s", args.init_from, f", but {fresh} start afresh" if fresh else "")
    return model


def diffusion_loss(
    model: Callable[..., Any],
    batch: dict[str, Tensor],
    scheduler: ShiftedCosineScheduler,
    args: Arguments,
    generator: torch.Generator,
    class_dropout: float = 0.0,
    null_class: int = 0,
    rows: tuple[int, int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Loss and logSNR of each image of a batch, (B,) and (B,); all chance comes from the generator, on its device.

    Of several processes each draws for the images of all, which follow each other, and takes what is its own: together
    they do what one would. `rows` is the place of the first image of this process among all, and how many all are.
    """
    sample, labels = batch["pixel_values"], batch.get("class_labels")
    size, device = len(sample), sample.device
    first, total = rows or (0, size)
    own = slice(first, first + size)
    chance: dict[str, Any] = {"generator": generator, "device": generator.device}
    # Times spread evenly over [0, 1) from one random start vary less from batch to batch than independent ones.
    start = torch.rand((), dtype=torch.float64, **chance)
    places = torch.arange(total, dtype=torch.float64, device=start.device)[own] / total
    u = ((start + places) % 1).clamp(min=1e-5)
    logsnr, slope = (value.float().to(device) for value in (scheduler.logsnr(u), scheduler.logsnr_slope(u)))
    noise = torch.randn(total, *sample.shape[1:], **chance)[own].to(sample)
    if labels is not None and class_dropout:
        kept = torch.rand(total, **chance)[own].to(device) >= class_dropout
        labels = torch.where(kept, labels, null_class)
    alpha, sigma = (torch.sigmoid(sign * logsnr).sqrt()[:, None, None, None] for sign in (1, -1))
    x_t = (alpha * sample + sigma * noise).contiguous(memory_format=torch.channels_last)
    output = model(x_t, logsnr, labels).sample
    kinds: dict[str, Any] = {"prediction_type": args.prediction_type, "weighting": args.weighting}
    loss = simple_diffusion_loss(
        output, sample, noise, logsnr, multiscale=args.multiscale, logsnr_slope=slope, reduction="none", **kinds
    )
    return loss, logsnr


@torch.no_grad()
def validation_loss(
    model: SimpleDiffusionUViT2DModel,
    loader: DataLoader,
    scheduler: ShiftedCosineScheduler,
    args: Arguments,
    accelerator: Any,
) -> dict[str, float]:
    """Loss over the validation split, in all and by logSNR bin; the same noise and times at each call. Each process
    takes a part of each batch."""
    generator, (number, processes) = torch.Generator().manual_seed(args.seed), share(accelerator)
    found = [(torch.empty(0, device=model.device),) * 2]
    for batch in loader:
        size = len(batch["pixel_values"])
        own = slice(size * number // processes, size * (number + 1) // processes)
        part = {key: value[own].to(model.device) for key, value in batch.items() if isinstance(value, Tensor)}
        if own.start < own.stop:
            found.append(diffusion_loss(model, part, scheduler, args, generator, rows=(own.start, size)))
    loss, logsnr = (of_all(accelerator, torch.cat(column).cpu()) for column in zip(*found))
    by_bin = {f"validation_loss/{name}": value for name, value in mean_by_logsnr(loss, logsnr).items()}
    return {"validation_loss": float(loss.mean()), **by_bin}


def sample_grid(pipeline: SimpleDiffusionPipeline, args: Arguments, columns: int = 8) -> Image.Image:
    """A row of pictures per class (or four rows without classes), from a fixed seed."""
    labels = [c for c in range(pipeline.unet.config.num_class_embeds or 0) for _ in range(columns)] or None
    pipeline.set_progress_bar_config(desc="sampling", leave=False)
    images = pipeline(
        batch_size=4 * columns,
        class_labels=labels,
        num_inference_steps=args.sample_inference_steps,
        generator=torch.Generator().manual_seed(args.seed),
    ).images
    return image_grid(images, columns)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    # 1. Manifest
    args = parse_arguments(Arguments, HERE / "presets", argv, pattern="[0-9]*")
    output_dir = Path(args.output_dir)
    accelerator = start(args)
    torch.backends.cudnn.benchmark = True  # all batches have one shape
    dataset_name = str(EMBEDDED) if args.dataset == "embedded" else args.dataset
    find: dict[str, Any] = {"config_name": args.dataset_config, "image_column": args.image_column}
    find["streaming"] = args.streaming
    find["label_column"] = None if args.label_column == "none" else args.label_column
    source = load_images(dataset_name, split=args.split, **find)
    num_classes = len(source.label_names) or None
    model = build_model(args, num_classes).to(memory_format=torch.channels_last)
    scheduler = build_scheduler(args)
    manifest = {
        "arguments": asdict(args),
        "parameters": count_parameters(model),
        "classes": source.label_names,
        "images": None if args.streaming else len(source.rows),
        "processes": accelerator.num_processes,
        "precision": accelerator.mixed_precision,
        "environment": environment(accelerator.device),
    }
    logger.info(json.dumps(manifest, indent=1))
    if args.dry_run:
        return manifest

    # 2. Data, optimizer, schedule, EMA
    if accelerator.is_main_process:
        (output_dir / "samples").mkdir(parents=True, exist_ok=True)
        (output_dir / "manifest.json").write_text(json.dumps(manifest, indent=1))
    loader: Any = image_loader(
        source, args.resolution, args.train_batch_size, train=True, random_flip=args.random_flip, seed=args.seed,
        num_workers=args.dataloader_num_workers, memory=args.decoded_megabytes * 2**20,
        rank=accelerator.process_index, world_size=accelerator.num_processes,
    )  # fmt: skip
    validation = None
    if args.validation_split != "none":
        held_out = load_images(dataset_name, split=args.validation_split, **find)
        together = args.train_batch_size * accelerator.num_processes
        validation = image_loader(held_out, args.resolution, together, train=False)
    if args.gradient_checkpointing:
        model.enable_gradient_checkpointing()
    betas = (args.adam_beta1, args.adam_beta2)
    rates: dict[str, Any] = {"betas": betas, "eps": args.adam_epsilon, "weight_decay": args.weight_decay}
    optimizer = torch.optim.AdamW(model.parameters(), args.learning_rate, fused=True, **rates)
    lr_scheduler = get_scheduler(
        args.lr_scheduler, optimizer, num_warmup_steps=args.lr_warmup_steps, num_training_steps=args.max_train_steps
    )
    state = TrainingState()

    def time_spent() -> float:
        return state.wall_seconds / args.max_seconds if args.max_seconds else 0.0

    one_clock(args.max_seconds, accelerator.num_processes)
    if args.max_seconds:
        press_into_time(lr_scheduler, args.lr_warmup_steps, args.max_train_steps, time_spent)
    twin = Twin(accelerator, model)
    if accelerator.distributed_type in ("FSDP", "DEEPSPEED"):  # which split no other weights
        model.to(memory_format=torch.contiguous_format)

    # 3. Prepare and resume
    dataset = loader.dataset
    shared = [] if args.streaming else [loader]
    model, optimizer, lr_scheduler, *shared = accelerator.prepare(model, optimizer, lr_scheduler, *shared)
    loader = shared[0] if shared else loader
    trained = accelerator.unwrap_model(model)
    network: Any = twin.copy or trained  # what evaluates and is saved
    ema = AveragedWeights(trained.parameters(), args.ema_decay)
    states = {"ema": ema, "state": state}
    checkpoints = Checkpoints(accelerator, output_dir / "checkpoints", args.checkpoints_total_limit, states)
    if resumed := checkpoints.resume():
        logger.info("Resumed from %s", resumed)
        set_learning_rate(optimizer, lr_scheduler, args.learning_rate)
    state.count_in(args.train_batch_size * accelerator.num_processes)
    if args.tracker != "none":
        accelerator.init_trackers("simple_diffusion", {key: str(value) for key, value in asdict(args).items()})
    guidance_scale = args.sample_guidance_scale if num_classes else 1.0
    names = dict(enumerate(source.label_names)) or None
    pipeline = SimpleDiffusionPipeline(network, scheduler, names, guidance_scale=guidance_scale)
    network.train()  # the pipeline has put it into evaluation mode
    if args.compile:
        trained.compile_repeated_blocks(dynamic=False)
    history = History(accelerator, output_dir / "history.jsonl", resumed_at=state.step)
    broken = BrokenImages()

    def validate() -> dict[str, float]:
        with (
            twin.averaged(ema, trained, state.step),
            torch.compiler.set_stance("force_eager"),
        ):  # compiled for the training step alone
            return validation_loss(network, validation, scheduler, args, accelerator) if validation is not None else {}

    def draw(name: str) -> None:
        with twin.averaged(ema, trained, state.step), torch.compiler.set_stance("force_eager"):
            if accelerator.is_main_process and args.sample_steps:
                sample_grid(pipeline, args).save(output_dir / "samples" / name)

    # 4. The loop
    bar = tqdm(
        initial=state.step, total=args.max_train_steps, desc="training", disable=not accelerator.is_main_process
    )
    last, clock = state.step >= args.max_train_steps, time.perf_counter()
    while not last:
        dataset.set_epoch(state.epoch)
        if not args.streaming:
            loader.set_epoch(state.epoch)
        batches = accelerator.skip_first_batches(loader, state.batch) if state.batch else loader
        for batch in in_step(accelerator, batches) if args.streaming else batches:
            started = time.perf_counter()
            broken.update(batch)
            tensors = {k: v.to(accelerator.device) for k, v in batch.items() if isinstance(v, Tensor)}
            whole = len(tensors["pixel_values"])
            if not whole:  # all are broken: a grey picture of no weight, so that no other process waits in vain
                tensors["pixel_values"] = torch.zeros(1, 3, args.resolution, args.resolution).to(accelerator.device)
            size, (number, processes) = len(tensors["pixel_values"]), share(accelerator)
            place, rows = (args.seed, state.epoch, state.batch), (size * number, size * processes)
            generator = torch.Generator(accelerator.device).manual_seed(hash(place) % 2**63)
            set_seed(hash((accelerator.process_index, *place)) % 2**32)  # of dropout, which is each process's own

            # ---- one training step: what is drawn depends on the place in the run alone, so that resuming repeats it
            with accelerator.accumulate(model):
                with accelerator.autocast():
                    loss, _ = diffusion_loss(
                        model, tensors, scheduler, args, generator, args.class_dropout, num_classes or 0, rows
                    )
                loss = loss.mean() * bool(whole)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    norm = accelerator.clip_grad_norm_(model.parameters(), args.max_grad_norm)
                optimizer.step()
                if accelerator.sync_gradients and not optimizer.step_was_skipped:
                    lr_scheduler.step()
                optimizer.zero_grad()
            # ----

            state.batch += 1
            state.samples += whole * accelerator.num_processes
            now = time.perf_counter()
            state.seconds, state.wall_seconds, clock = (
                state.seconds + now - started,
                state.wall_seconds + now - clock,
                now,
            )
            state.running.append(loss.item())
            good = (checkpoints, accelerator.mixed_precision, args.learning_rate)
            check_finite(state.running[-1], "The loss", state.step + 1, *good)
            if not accelerator.sync_gradients:
                continue
            if not optimizer.step_was_skipped:
                check_finite(float(norm), "The gradient", state.step + 1, *good)
            ema.step(trained.parameters())
            state.step += 1
            bar.update()

            last = state.step >= args.max_train_steps or time_spent() >= 1
            if state.step % args.logging_steps == 0 or last:
                mean = history.mean(state.running)
                bar.set_postfix(loss=f"{mean:.4f}")
                history.log(
                    state.step, loss=mean, gradient_norm=float(norm), images=state.samples,
                    learning_rate=lr_scheduler.get_last_lr()[0], seconds=round(state.seconds, 2),
                )  # fmt: skip
                state.running.clear()
            if state.step % args.validation_steps == 0 and not last:
                history.log(state.step, **validate())
            if args.sample_steps and state.step % args.sample_steps == 0 and not last:
                draw(f"step-{state.step}.png")
            if state.step % args.checkpointing_steps == 0 or last:
                state.settle(accelerator)
                checkpoints.save(state.step)
            if last:
                break
        else:
            if not state.batch:
                images = manifest["images"]
                raise ValueError(f"{args.split!r} has {images} images, not one whole batch: lower --train_batch_size.")
            state.epoch, state.batch = state.epoch + 1, 0
    bar.close()

    # 5. Final evaluation
    figures = validate()
    history.log(state.step, **figures)
    draw("final.png")
    logger.info(broken.summary())
    results = manifest | {
        "steps": state.step,
        "images_seen": state.samples,
        "seconds": round(state.seconds, 1),
        **figures,
    }

    # 6. Save
    if accelerator.is_main_process:
        (output_dir / "results.json").write_text(json.dumps(results, indent=1))
        with twin.averaged(ema, trained, state.step):  # whole since the evaluation
            pipeline.save_pretrained(output_dir / "pipeline")
            push_to_hub(args, pipeline, results)
        logger.info("Saved %s", output_dir / "pipeline")
    finish(accelerator)
    return results


if __name__ == "__main__":
    main()

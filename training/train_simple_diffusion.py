"""Train a simple-diffusion network in pixel space, U-ViT or ViT, with Accelerate.

Article   kexue.fm archives/10047; arXiv 2301.11093 (schedule, U-ViT, losses); arXiv 2410.19324 (sigmoid weighting)
          captions: --caption_column and --text_encoder, the empty prompt is the null class of guidance
Data      a Hub data set id, a local folder (parquet or pictures in class folders), or the embedded photographs
Command   accelerate launch training/train_simple_diffusion.py --resolution 64
          (again resumes; training/README.md has the commands, hours and scores of the published models)
Traps     EMA weights are saved and sampled: for less than some thousand steps lower --ema_decay. A resumed run keeps
          its learning-rate curve only if --max_train_steps stays the same. bf16 is slower than float32 on CPUs without
          bf16 units; --mixed_precision auto measures it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from hf_kexue.data.images import image_loader, image_size
from hf_kexue.data.whole_files import write_whole
from hf_kexue.inference.grids import image_grid
from hf_kexue.simple_diffusion import SimpleDiffusionPipeline, SimpleDiffusionTextToImagePipeline
from hf_kexue.simple_diffusion.losses_simple_diffusion import mean_by_logsnr, readout_loss, sigmoid_bias
from hf_kexue.simple_diffusion.times_simple_diffusion import training_times
from hf_kexue.training.adapters import Adapters, check_adapter_arguments
from hf_kexue.training.arguments import RunArguments, option, parse_arguments
from hf_kexue.training.diffusion_networks import NetworkArguments, preset_of_network
from hf_kexue.training.diffusion_setup import build_model, build_scheduler, schedule_for
from hf_kexue.training.fine_tuning import IMAGE_FINE_TUNING_EPOCHS, copy_image_weights, fit_steps_to_data
from hf_kexue.training.image_data import (
    CaptionArguments,
    ImageArguments,
    all_captions,
    open_images,
    sheet_labels,
    sheet_prompts,
    training_images,
)
from hf_kexue.training.interruption import script_main
from hf_kexue.training.loop import TrainingRun
from hf_kexue.training.processes import finish, gather
from hf_kexue.training.publishing import PublishingArguments, push_to_hub
from hf_kexue.training.setup import run_manifest, start
from hf_kexue.training.state import trainable
from hf_kexue.training.text_conditioning import (
    PromptArguments,
    TextConditionedModel,
    TextEncoder,
    check_prompt_arguments,
    kept_captions,
    open_text_encoder,
)

HERE = Path(__file__).resolve().parent
EMBEDDED = HERE / "data" / "clothing-64"
logger = logging.getLogger("train_simple_diffusion")


@dataclass
class Arguments(
    PublishingArguments, PromptArguments, CaptionArguments, NetworkArguments, ImageArguments, RunArguments
):
    output_dir: str = option("outputs/simple-diffusion", "Folder for checkpoints, samples and the pipeline.")
    preset: str = option("", "Name in training/presets or path of a YAML file; default: the one of --resolution.")
    resolution: str = option(  # type: ignore[assignment]
        "64", "Side of the training images in pixels, or HEIGHTxWIDTH; chooses preset, shift and sigmoid bias."
    )
    buckets: list[str] = option([], "Sizes HEIGHTxWIDTH: each picture has the one of the nearest aspect ratio, each "
                                "batch one of them; shifted by its number of pixels.")  # fmt: skip
    streaming: bool = option(False, "Stream the data, for sets larger than memory and disk.")
    init_from: str | None = option(None, "Folder of a saved pipeline whose network this run starts from.")
    lora_rank: int = option(0, "Train low-rank adapters of --init_from alone (needs peft); 0: all weights.")
    lora_alpha: float | None = option(None, "Adapters count alpha / rank times; default: --lora_rank.")
    # diffusion
    base_size: list[int] = option([64], "Resolution of the unshifted cosine; two numbers interpolate (u=0, u=1).")
    schedule: str = option("cosine", "'cosine', or 'flow': the straight path of flow matching.")
    prediction_type: str = option("v_prediction", "'epsilon', 'sample' or 'v_prediction'; with 'flow' also "
                                  "'flow_prediction'.")  # fmt: skip
    weighting: str = option("sigmoid", "Loss: 'epsilon', 'sample' (x), 'v', 'flow', 'sigmoid' or 'min_snr'.")
    time_distribution: str = option("uniform", "Of the training times: 'uniform', 'logit_normal' or 'slope' (even in "
                                    "logSNR).")  # fmt: skip
    time_mean: float = option(0.0, "Of the logit of the noise's share, with 'logit_normal'; JiT: 0.8.")
    time_std: float = option(1.0, "Of the same logit; JiT: 0.8.")
    multiscale: bool = option(False, "Add the errors of mean-pooled scales down to 32 pixels.")
    class_dropout: float = option(0.1, "Share of labels replaced by the null class, for guidance.")
    # optimisation
    max_train_steps: int = option(10_000, "Optimizer steps.")
    lr_warmup_steps: int = option(200, "Optimizer steps.")
    adam_beta1: float = option(0.9, "Of AdamW.")
    adam_beta2: float = option(0.99, "Of AdamW.")
    adam_epsilon: float = option(1e-8, "Of AdamW.")
    ema_decay: float = option(0.9995, "Final decay; it ramps up as (1 + step) / (10 + step).")
    gradient_checkpointing: bool = option(False, "Save memory for a third more compute.")
    compile: bool = option(False, "torch.compile the blocks: takes a minute, then faster on GPUs.")
    # periodic actions
    checkpointing_steps: int = option(1000, "Optimizer steps between checkpoints.")
    validation_steps: int = option(1000, "Optimizer steps between validation losses.")
    sample_steps: int = option(2000, "Optimizer steps between sample grids; 0 for none, not even at the end.")
    sample_inference_steps: int = option(32, "Network evaluations per sampled image.")
    sample_guidance_scale: float = option(
        2.0, "Guidance of a model of classes or prompts: of the sample grids, and saved with it."
    )


def diffusion_loss(
    model: Callable[..., Any],
    batch: dict[str, Any],
    scheduler: Any,
    args: Arguments,
    generator: torch.Generator,
    class_dropout: float = 0.0,
    null_class: int = 0,
    rows: tuple[int, int] | None = None,
    caption_dropout: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Loss and logSNR of each image of a batch, (B,) and (B,); all noise is drawn from the generator, on its device.

    Every rank draws the noise of the global batch and keeps its slice. `rows` is the index of the first image of this
    process in the global batch, and its size.
    """
    sample, labels = batch["pixel_values"], batch.get("class_labels")
    scheduler = schedule_for(scheduler, *sample.shape[-2:]) if args.buckets else scheduler
    size, device = len(sample), sample.device
    first, total = rows or (0, size)
    local = slice(first, first + size)
    draw: dict[str, Any] = {"generator": generator, "device": generator.device}
    # Evenly spaced times from one random offset have less variance than independent ones.
    start = torch.rand((), dtype=torch.float64, **draw)
    places = torch.arange(total, dtype=torch.float64, device=start.device)[local] / total
    kind: Any = args.time_distribution
    u = training_times(scheduler, (start + places) % 1, kind, mean=args.time_mean, std=args.time_std)
    logsnr, slope = (value.float().to(device) for value in (scheduler.logsnr(u), scheduler.logsnr_slope(u)))
    noise = torch.randn(total, *sample.shape[1:], **draw)[local].to(sample)
    if labels is not None and class_dropout:
        kept = torch.rand(total, **draw)[local].to(device) >= class_dropout
        labels = torch.where(kept, labels, null_class)
    words = {}
    if (columns := batch.get("columns")) is not None:
        kept = torch.rand(total, **draw)[local].to(device) >= caption_dropout
        words["columns"] = kept_captions(columns, kept)
    alpha, sigma = (torch.sigmoid(sign * logsnr).sqrt()[:, None, None, None] for sign in (1, -1))
    x_t = (alpha * sample + sigma * noise).contiguous(memory_format=torch.channels_last)
    reads = {"return_readouts": True} if args.readout_sizes else {}
    outputs = model(
        x_t, logsnr, labels, return_dict=False, **reads, **words
    )  # the prediction, then those at lower sizes
    kinds: dict[str, Any] = {"prediction_type": args.prediction_type, "weighting": args.weighting}
    kinds["logsnr_slope"] = slope if kind == "uniform" else None  # other times have a density that stands for it
    bias = sigmoid_bias((sample.shape[-2] * sample.shape[-1]) ** 0.5)
    loss = readout_loss(
        outputs, sample, noise, logsnr, multiscale=args.multiscale, bias=bias, reduction="none", **kinds
    )
    return loss, logsnr


@torch.no_grad()
def validation_loss(
    model: Any,
    loader: DataLoader,
    scheduler: Any,
    args: Arguments,
    accelerator: Any,
    text: TextEncoder | None = None,
) -> dict[str, float]:
    """Validation loss, overall and by logSNR bin; the same noise and times at each call. Each process evaluates a
    slice of each batch."""
    rank, processes = accelerator.process_index, accelerator.num_processes
    generator, results = torch.Generator().manual_seed(args.seed), [(torch.empty(0, device=model.device),) * 2]
    for batch in loader:
        size = len(batch["pixel_values"])
        local = slice(size * rank // processes, size * (rank + 1) // processes)
        part: dict[str, Any] = {
            key: value[local].to(model.device) for key, value in batch.items() if isinstance(value, Tensor)
        }
        if text is not None:
            part["columns"] = text.columns([captions[0] for captions in batch["captions"][local]], model.device)
        if local.start < local.stop:
            results.append(diffusion_loss(model, part, scheduler, args, generator, rows=(local.start, size)))
    loss, logsnr = (gather(accelerator, torch.cat(column).cpu()) for column in zip(*results))
    by_bin = {f"validation_loss/{name}": value for name, value in mean_by_logsnr(loss, logsnr).items()}
    return {"validation_loss": float(loss.mean()), **by_bin}


def sample_grid(pipeline: Any, args: Arguments, prompts: Sequence[str] = (), columns: int = 8) -> Image.Image:
    """A grid from a fixed seed: one picture a prompt, or a row of samples per class (a subset of many classes), or
    four rows."""
    pipeline.set_progress_bar_config(desc="sampling", leave=False)
    generator, images = torch.Generator().manual_seed(args.seed), []
    height, width = image_size(args.resolution)
    options = {"height": height, "width": width, "num_inference_steps": args.sample_inference_steps}
    if prompts:
        return image_grid(pipeline(list(prompts), generator=generator, **options).images, columns)
    for labels in sheet_labels(pipeline.unet.config.num_class_embeds or 0, columns):
        classes = None if labels[0] is None else labels
        images += pipeline(batch_size=len(labels), class_labels=classes, generator=generator, **options).images
    return image_grid(images, columns)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    # 1. Data, network, manifest
    args = parse_arguments(Arguments, HERE / "presets", argv, preset_of_network, pattern="[0-9j]*")
    output_dir, accelerator = Path(args.output_dir), start(args)
    check_adapter_arguments(args, accelerator)
    check_prompt_arguments(args, accelerator)
    torch.backends.cudnn.benchmark = True  # all batches have one shape
    source, held_out = open_images(args, EMBEDDED)
    num_classes = len(source.label_names)
    loader = training_images(args, source, accelerator)
    fit_steps_to_data(args, loader, accelerator.num_processes, IMAGE_FINE_TUNING_EPOCHS if args.init_from else 0)
    text = open_text_encoder(args, lambda: [one for each in all_captions(source) for one in each])
    prompts = sheet_prompts(source) if text else []
    unet = build_model(args, num_classes or None, **(text.dimensions(args.cross_attention) if text else {}))
    fresh = copy_image_weights(unet, args.init_from, source.label_names) if args.init_from else []
    model: Any = unet
    if text is not None:
        model = TextConditionedModel(unet, text.encoder, args.train_text_encoder or args.text_encoder == "new")
    scheduler = build_scheduler(args)
    manifest = run_manifest(
        args, accelerator, model, classes=source.label_names, images=None if args.streaming else len(source.rows)
    )
    adapters = None
    if args.lora_rank:
        adapters = Adapters(unet, args.lora_rank, args.lora_alpha or args.lora_rank, fresh)
        manifest["trained_parameters"] = adapters.trained_parameters
    unet.to(memory_format=torch.channels_last)

    # 2. Validation and optimizer
    validation: Any = None
    if held_out is not None:
        global_batch_size = args.train_batch_size * accelerator.num_processes
        validation = image_loader(held_out, image_size(args.resolution), global_batch_size, train=False)

    def validate() -> tuple[dict[str, float], float]:
        with torch.compiler.set_stance("force_eager"):  # compiled for training only
            figures = validation_loss(run.network, validation, scheduler, args, accelerator, text)
        return figures, 1 / (1 + figures["validation_loss"])

    if args.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    optimizer = torch.optim.AdamW(
        trainable(model), args.learning_rate, fused=True, betas=(args.adam_beta1, args.adam_beta2),
        eps=args.adam_epsilon, weight_decay=args.weight_decay,
    )  # fmt: skip
    if accelerator.distributed_type in ("FSDP", "DEEPSPEED"):  # they cannot shard channels-last weights
        unet.to(memory_format=torch.contiguous_format)

    # 3. Prepare and resume, with schedule and EMA
    run = TrainingRun(
        args, accelerator, model, loader, manifest, "simple_diffusion", "images", validate if held_out else None,
        optimizer, first_score=bool(args.init_from),
    )  # fmt: skip
    guidance_scale = args.sample_guidance_scale if num_classes or text else 1.0
    names = dict(enumerate(source.label_names)) or None
    pipeline: Any
    if text is None:
        pipeline = SimpleDiffusionPipeline(run.network, scheduler, names, guidance_scale=guidance_scale)
    else:
        parts = (run.network.unet, scheduler, run.network.text_encoder, text.tokenizer)
        pipeline = SimpleDiffusionTextToImagePipeline(*parts, guidance_scale=guidance_scale)
    run.trained.train()  # the pipeline sets evaluation mode
    if args.compile:
        (run.trained if text is None else run.trained.unet).compile_repeated_blocks(dynamic=False)

    def draw(name: str) -> None:
        with run.averaged(), torch.compiler.set_stance("force_eager"):
            if accelerator.is_main_process:
                grid = sample_grid(pipeline, args, prompts)
                (output_dir / "samples").mkdir(exist_ok=True)
                grid.save(output_dir / "samples" / f"{name}.png")
                run.history.log_image(run.state.step, "samples", grid)

    # 4. The loop
    for batch in run.batches():
        images = len(batch["pixel_values"])
        if not images:  # all are broken: a grey picture of weight 0, so that the other processes do not hang
            batch = {"pixel_values": torch.zeros(1, 3, *image_size(args.resolution))}
        tensors: dict[str, Any] = {
            key: value.to(accelerator.device) for key, value in batch.items() if isinstance(value, Tensor)
        }
        if text is not None:
            captions = [drawn[0] for drawn in batch.get("captions", [[""]])]
            tensors["columns"] = text.columns(captions, accelerator.device)
        size = len(tensors["pixel_values"])
        rows = (size * accelerator.process_index, size * accelerator.num_processes)

        # ---- one training step: random draws depend only on (epoch, batch), so that resuming repeats them
        with accelerator.accumulate(run.model):
            with accelerator.autocast():
                loss, _ = diffusion_loss(
                    run.model, tensors, scheduler, args, run.shared_generator, args.class_dropout, num_classes, rows,
                    args.caption_dropout,
                )  # fmt: skip
            run.descend(loss.mean(), weight=images / args.train_batch_size)
        # ----

        run.after_step(images)
        if run.due(args.sample_steps):
            draw(f"step-{run.state.step}")
    if args.dry_run:
        return run.estimate()

    # 5. Final evaluation
    figures: dict[str, float] = {}
    if held_out is not None:
        with run.averaged():
            figures, _ = validate()
        run.history.log(run.state.step, **figures)
    if args.sample_steps:
        draw("final")
    results = manifest | {"images_seen": run.state.samples, **run.costs(), **figures}

    # 6. Save
    if accelerator.is_main_process:
        write_whole(output_dir / "results.json", json.dumps(results, indent=1, ensure_ascii=False))
        with run.averaged():
            if adapters is not None:
                adapters.save(output_dir / "lora")
                pipeline = SimpleDiffusionPipeline(adapters.merged(), scheduler, names, guidance_scale=guidance_scale)
            pipeline.save_pretrained(output_dir / "pipeline")
            push_to_hub(args, pipeline, results)
        logger.info("Saved %s", output_dir / "pipeline")
    finish(accelerator)
    return results


if __name__ == "__main__":
    script_main(main)

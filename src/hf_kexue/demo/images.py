"""Simple diffusion in the demonstration: the published model, its noise schedule, and a short real training."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch

from ..inference import kinds
from ..inference.drawing import draw_classes
from ..inference.saved_models import load_pipeline
from ..simple_diffusion import ShiftedCosineScheduler
from .html import Section, picture

PUBLISHED = Path("model_cards") / kinds.SIMPLE_DIFFUSION.published
FAST = PUBLISHED.with_name(f"{PUBLISHED.name}-fast")  # its student of few steps
SCRIPT = Path("training/train_simple_diffusion.py")


def published(repository: Path, output: Path) -> Section:
    """Samples of the published model, or of its fast student."""
    started = time.perf_counter()
    place = repository / (FAST if (repository / FAST).is_dir() else PUBLISHED)
    pipeline = load_pipeline(str(place), kinds.SIMPLE_DIFFUSION, dtype=kinds.SIMPLE_DIFFUSION.drawn_in)
    draw_classes(pipeline, output / "published.png", per_class=4, names=True)
    return (
        "The published model",
        f"{place.name}: {len(pipeline.class_names)} classes of clothing, 64 x 64 pixels, drawn here in "
        f"{time.perf_counter() - started:.0f} s. Rows: {', '.join(pipeline.class_names)}.",
        picture("published.png", "samples of each class"),
    )


def schedule(output: Path) -> Section:
    """The noise schedule at several resolutions."""
    _plot_schedule(output / "schedule.png")
    return (
        "The noise schedule depends on the resolution",
        "logSNR over time for images of 64 to 1024 pixels: the same noise hides less of a larger one, so its "
        "curve is shifted by 2 log(64 / size).",
        picture("schedule.png", "logSNR over time"),
    )


def short_training(repository: Path, run: Path, output: Path, steps: int) -> Section:
    """Train the published model for `steps` more steps, in a separate process."""
    shutil.rmtree(run, ignore_errors=True)
    _train(repository, run, steps)
    results = json.loads((run / "results.json").read_text())
    _plot_history(run / "history.jsonl", output / "loss.png")
    return (
        "A short training",
        f"It goes on from {PUBLISHED.name}: {steps} steps, {results['images_seen']} images in "
        f"{results['seconds']:.0f} seconds on {results['environment']['device']}; validation loss "
        f"{results['validation_loss']:.4f}. The command: "
        f"accelerate launch {results['environment']['command']}",
        picture("loss.png", "loss curve"),
    )


def trained(run: Path, output: Path) -> Section:
    """Samples of what the short training saved."""
    pipeline = load_pipeline(str(run / "pipeline"), kinds.SIMPLE_DIFFUSION, dtype=kinds.SIMPLE_DIFFUSION.drawn_in)
    draw_classes(pipeline, output / "trained.png", per_class=4, names=True)
    return (
        "Samples of the short training",
        "The saved pipeline, loaded again with from_pretrained. So few steps change little of what it began with.",
        picture("trained.png", "samples of the short training"),
    )


def _train(repository: Path, run: Path, steps: int) -> None:
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1",
        "--num_cpu_threads_per_process", str(torch.get_num_threads()),
        str(repository / SCRIPT), "--resolution", "64", "--init_from", str(repository / PUBLISHED),
        "--output_dir", str(run), "--max_train_steps", str(steps), "--learning_rate", "1e-4",
        "--train_batch_size", "16", "--lr_warmup_steps", "20", "--ema_decay", "0.98", "--sample_steps", "0",
        "--logging_steps", "5", "--validation_steps", str(max(1, steps // 3)), "--checkpointing_steps", str(steps),
        "--tracker", "none",
    ]  # fmt: skip
    finished = subprocess.run(command, check=False)
    if finished.returncode:
        raise RuntimeError(f"The training ended with exit code {finished.returncode}; see its message above.")


def _plot_history(history: Path, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [json.loads(line) for line in history.read_text().splitlines()]
    train = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    held_out = [(row["step"], row["validation_loss"]) for row in rows if "validation_loss" in row]
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    axes.plot(*zip(*train), label="training")
    if held_out:
        axes.plot(*zip(*held_out), "o--", label="validation (EMA weights)")
    axes.set(xlabel="step", ylabel="loss (sigmoid weighting)")
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _plot_schedule(path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    u = torch.linspace(0, 1, 400, dtype=torch.float64)
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for size in (64, 128, 256, 512, 1024):
        axes.plot(u, ShiftedCosineScheduler(sample_size=size).logsnr(u), label=f"{size} px")
    for pair, style in (((32, 256), "k--"), ((256, 32), "k:")):
        axes.plot(
            u,
            ShiftedCosineScheduler(sample_size=512, base_size=pair).logsnr(u),
            style,
            label=f"512 px, interpolated {pair}",
        )
    axes.set(xlabel="u (0 clean, 1 noise)", ylabel="logSNR (nats)")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)

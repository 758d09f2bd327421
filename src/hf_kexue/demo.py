"""The demonstration: published model, a short real training, and one page that shows both.

Needs a checkout, since the training script, its data and the published model live beside the package.
"""

from __future__ import annotations

import html
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch
from PIL import Image

from .simple_diffusion import ShiftedCosineScheduler, SimpleDiffusionPipeline
from .simple_diffusion.samplers import with_sampler
from .training_runs import image_grid

PUBLISHED = Path("model_cards/simple-diffusion-clothing-64")
SCRIPT = Path("training/train_simple_diffusion.py")
EXAMPLE = Path("examples/asymptotic_series.py")


def run_demo(repository: Path, output: Path, steps: int) -> Path:
    """Sample, train, reload, sample, and write the page.

    Args:
        repository: checkout of hf_kexue.
        output: folder for the page, its pictures and the trained pipeline.
        steps: optimizer steps of the training.

    Returns:
        Path of `index.html`.

    Raises:
        ValueError: if the repository lacks the published model or the training script.
        RuntimeError: if the training fails.
    """
    for needed in (PUBLISHED, SCRIPT, EXAMPLE):
        if not (repository / needed).exists():
            raise ValueError(
                f"{repository} has no {needed}: run the demo in a checkout of hf_kexue, or pass --repository."
            )
    output.mkdir(parents=True, exist_ok=True)
    sections: list[tuple[str, str, str]] = []

    print("1/5  sampling from the published model")
    started = time.perf_counter()
    published = SimpleDiffusionPipeline.from_pretrained(repository / PUBLISHED)
    draw_classes(published, output / "published.png", per_class=4)
    seconds = time.perf_counter() - started
    sections.append(
        (
            "The published model",
            f"{len(published.class_names)} classes of clothing, 64 x 64 pixels, drawn here in {seconds:.0f} s. Rows: "
            f"{', '.join(published.class_names)}.",
            "published.png",
        )
    )

    print("2/5  the noise schedule")
    _plot_schedule(output / "schedule.png")
    sections.append(
        (
            "The noise schedule knows the resolution",
            "logSNR over time for images of 64 to 1024 pixels: the same noise hides less of a larger one, so that "
            "its curve is moved by 2 log(64 / size).",
            "schedule.png",
        )
    )

    print(f"3/5  training a fresh model for {steps} steps")
    run = output / "training"
    shutil.rmtree(run, ignore_errors=True)
    _train(repository, run, steps)
    results = json.loads((run / "results.json").read_text())
    _plot_history(run / "history.jsonl", output / "loss.png")
    sections.append(
        (
            "A short training",
            f"{steps} steps, {results['images_seen']} images in {results['seconds']:.0f} seconds on "
            f"{results['environment']['device']}; validation loss {results['validation_loss']:.4f}. The command: "
            f"accelerate launch {results['environment']['command']}",
            "loss.png",
        )
    )

    print("4/5  sampling from what was saved")
    draw_classes(SimpleDiffusionPipeline.from_pretrained(run / "pipeline"), output / "trained.png", per_class=4)
    sections.append(
        (
            "What the short training can draw",
            "The saved pipeline, loaded again with from_pretrained. Minutes teach colours and outlines; the published "
            "model shows what patience adds.",
            "trained.png",
        )
    )
    print("5/5  the mathematics of the articles")
    picture = output / "asymptotic_series.png"
    subprocess.run([sys.executable, str(repository / EXAMPLE), "--output", str(picture)], check=True)
    sections.append(
        (
            "The mathematics of the articles",
            "A perturbation series that first converges and then does not, and which approximation of the quartic "
            "integral wins where. Other pictures: the scripts in examples/.",
            picture.name,
        )
    )
    page = output / "index.html"
    page.write_text(_page(sections), encoding="utf-8")
    return page


def draw_classes(pipeline: SimpleDiffusionPipeline, path: Path, per_class: int) -> None:
    """Write a picture with `per_class` samples of every class from seed 0, in two blocks side by side."""
    pipeline, options = with_sampler(pipeline, "dpm")
    labels = [name for name in pipeline.class_names for _ in range(per_class)]
    generator = torch.Generator().manual_seed(0)
    images = []
    for start in range(0, len(labels), 16):
        part = labels[start : start + 16]
        images += pipeline(
            class_labels=part, guidance_scale=2.0, num_inference_steps=20, generator=generator, **options
        ).images
    half = -(-len(pipeline.class_names) // 2) * per_class
    blocks = [image_grid(part, per_class) for part in (images[:half], images[half:]) if part]
    sheet = Image.new("RGB", (sum(b.width for b in blocks) + 16, max(b.height for b in blocks)), "white")
    left = 0
    for block in blocks:
        sheet.paste(block, (left, 0))
        left += block.width + 16
    sheet.save(path)


def _train(repository: Path, run: Path, steps: int) -> None:
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1",
        "--num_cpu_threads_per_process", str(torch.get_num_threads()),
        str(repository / SCRIPT), "--resolution", "64", "--output_dir", str(run), "--max_train_steps", str(steps),
        "--train_batch_size", "16", "--lr_warmup_steps", "20", "--ema_decay", "0.98", "--sample_steps", "0",
        "--logging_steps", "5", "--validation_steps", str(max(1, steps // 3)), "--checkpointing_steps", str(steps),
        "--tracker", "none",
    ]  # fmt: skip
    finished = subprocess.run(command, check=False)
    if finished.returncode:
        raise RuntimeError(f"The training ended with exit code {finished.returncode}; its own message stands above.")


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


def _page(sections: list[tuple[str, str, str]]) -> str:
    body = "\n".join(
        f"<section><h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>"
        f"<img src='{picture}' alt='{html.escape(title)}'></section>"
        for title, text, picture in sections
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>hf_kexue demonstration</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 900px; margin: 2rem auto; padding: 0 1rem; color: #222 }}
h1 {{ font-size: 1.6rem }} h2 {{ font-size: 1.2rem; margin-top: 2.5rem }}
img {{ max-width: 100%; image-rendering: pixelated }} p {{ overflow-wrap: anywhere }}
</style></head><body>
<h1>Simple diffusion, from the article to pictures</h1>
{body}
</body></html>
"""

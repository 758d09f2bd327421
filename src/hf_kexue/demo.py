"""The demonstration: published models, a short real training, and one page that shows them.

Needs a checkout, since the training script, its data and the published models live beside the package.
"""

from __future__ import annotations

import html
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from .demo_questions import answers_html
from .dgcnn import (
    DGCNNForQuestionAnswering,
    DGCNNForTripleExtraction,
    DGCNNTokenizer,
    ReadingComprehensionPipeline,
    TripleExtractionPipeline,
)
from .simple_diffusion import ShiftedCosineScheduler, SimpleDiffusionPipeline
from .simple_diffusion.samplers import with_sampler
from .training_runs import class_sheet

PUBLISHED = Path("model_cards/simple-diffusion-clothing-64")
READER = Path("model_cards/dgcnn-qa-zh")
TRIPLES = Path("model_cards/dgcnn-triples-zh")
SCRIPT = Path("training/train_simple_diffusion.py")
EXAMPLE = Path("examples/asymptotic_series.py")
SENTENCES = [
    "《城南旧事》是林海音创作的小说，1983年由吴贻弓导演拍成同名电影，沈洁主演。",
    "《月亮代表我的心》由孙仪作词，翁清溪作曲，邓丽君演唱。",
    "杨绛出生于北京，毕业于东吴大学，丈夫是作家钱锺书。",
]

Section = tuple[str, str, str]  # title and text, both plain; what is shown, in HTML


def run_demo(repository: Path, output: Path, steps: int) -> Path:
    """Sample, train, reload, sample, ask the reader, extract triples, and write the page.

    Args:
        repository: checkout of hf_kexue.
        output: folder for the page, its pictures and the trained pipeline.
        steps: optimizer steps of the training.

    Returns:
        Path of `index.html`.

    Raises:
        ValueError: if the repository lacks a published model or the training script.
        RuntimeError: if the training fails.
    """
    for needed in (PUBLISHED, READER, TRIPLES, SCRIPT, EXAMPLE):
        if not (repository / needed).exists():
            raise ValueError(
                f"{repository} has no {needed}: run the demo in a checkout of hf_kexue, or pass --repository."
            )
    output.mkdir(parents=True, exist_ok=True)
    run = output / "training"
    parts: list[tuple[str, Callable[[], Section]]] = [
        ("sampling from the published model", lambda: _published(repository, output)),
        ("the noise schedule", lambda: _schedule(output)),
        (f"training a fresh model for {steps} steps", lambda: _training(repository, run, output, steps)),
        ("sampling from what was saved", lambda: _trained(run, output)),
        ("the mathematics of the articles", lambda: _mathematics(repository, output)),
        ("three questions to the published reader", lambda: _reader(repository)),
        ("triples of three sentences", lambda: _triples(repository, output)),
    ]
    sections = []
    for number, (what, part) in enumerate(parts, 1):
        print(f"{number}/{len(parts)}  {what}", flush=True)
        sections.append(part())
    page = output / "index.html"
    page.write_text(_page(sections), encoding="utf-8")
    return page


def _published(repository: Path, output: Path) -> Section:
    started = time.perf_counter()
    pipeline = SimpleDiffusionPipeline.from_pretrained(repository / PUBLISHED)
    draw_classes(pipeline, output / "published.png", per_class=4)
    return (
        "The published model",
        f"{len(pipeline.class_names)} classes of clothing, 64 x 64 pixels, drawn here in "
        f"{time.perf_counter() - started:.0f} s. Rows: {', '.join(pipeline.class_names)}.",
        _picture("published.png", "samples of each class"),
    )


def _schedule(output: Path) -> Section:
    _plot_schedule(output / "schedule.png")
    return (
        "The noise schedule knows the resolution",
        "logSNR over time for images of 64 to 1024 pixels: the same noise hides less of a larger one, so that its "
        "curve is moved by 2 log(64 / size).",
        _picture("schedule.png", "logSNR over time"),
    )


def _training(repository: Path, run: Path, output: Path, steps: int) -> Section:
    shutil.rmtree(run, ignore_errors=True)
    _train(repository, run, steps)
    results = json.loads((run / "results.json").read_text())
    _plot_history(run / "history.jsonl", output / "loss.png")
    return (
        "A short training",
        f"{steps} steps, {results['images_seen']} images in {results['seconds']:.0f} seconds on "
        f"{results['environment']['device']}; validation loss {results['validation_loss']:.4f}. The command: "
        f"accelerate launch {results['environment']['command']}",
        _picture("loss.png", "loss curve"),
    )


def _trained(run: Path, output: Path) -> Section:
    draw_classes(SimpleDiffusionPipeline.from_pretrained(run / "pipeline"), output / "trained.png", per_class=4)
    return (
        "What the short training can draw",
        "The saved pipeline, loaded again with from_pretrained. So few steps teach blotches of colour; the published "
        "model shows what patience adds.",
        _picture("trained.png", "samples of the short training"),
    )


def _mathematics(repository: Path, output: Path) -> Section:
    picture = output / "asymptotic_series.png"
    subprocess.run([sys.executable, str(repository / EXAMPLE), "--output", str(picture)], check=True)
    return (
        "The mathematics of the articles",
        "A perturbation series that first converges and then does not, and which approximation of the quartic "
        "integral wins where. Other pictures: the scripts in examples/.",
        _picture(picture.name, "error of the series over its order"),
    )


def _reader(repository: Path) -> Section:
    started = time.perf_counter()
    reader = ReadingComprehensionPipeline(
        model=DGCNNForQuestionAnswering.from_pretrained(repository / READER),
        tokenizer=DGCNNTokenizer.from_pretrained(repository / READER),
    )
    answers = answers_html(reader)
    return (
        "Three questions to the published reader",
        f"A dilated gated convolutional network of {reader.model.num_parameters() / 1e6:.1f}M parameters points at "
        f"the answer in Chinese texts; loaded and asked here in {time.perf_counter() - started:.1f} s. The score "
        "ranks the answers; it is not the probability of being right.",
        answers,
    )


def _triples(repository: Path, output: Path) -> Section:
    started = time.perf_counter()
    extract = TripleExtractionPipeline(
        model=DGCNNForTripleExtraction.from_pretrained(repository / TRIPLES),
        tokenizer=DGCNNTokenizer.from_pretrained(repository / TRIPLES),
    )
    triples = extract(SENTENCES)
    (output / "triples.html").write_text(extract.to_html(SENTENCES, triples), encoding="utf-8")
    return (
        "Triples of three sentences",
        f"Subject, predicate and object, looked for among {len(extract.model.schema)} predicates: "
        f"{sum(map(len, triples))} found by {extract.model.num_parameters() / 1e6:.1f}M parameters, loaded and run "
        f"here in {time.perf_counter() - started:.1f} s.",
        "<iframe src='triples.html' title='the sentences with their triples'></iframe>",
    )


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
    class_sheet(images, per_class).save(path)


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


def _picture(name: str, what: str) -> str:
    return f"<img src='{name}' alt='{what}'>"


def _page(sections: list[Section]) -> str:
    body = "\n".join(
        f"<section><h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>{shown}</section>"
        for title, text, shown in sections
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>hf_kexue demonstration</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 900px; margin: 2rem auto; padding: 0 1rem; color: #222 }}
h1 {{ font-size: 1.6rem }} h2 {{ font-size: 1.2rem; margin-top: 2.5rem }}
img {{ max-width: 100%; image-rendering: pixelated }} p {{ overflow-wrap: anywhere }}
blockquote {{ margin: .5rem 0; padding: .2rem .8rem; border-left: 3px solid #ccc }}
iframe {{ width: 100%; height: 48rem; border: 1px solid #ccc }}
mark {{ background: #ffe08a }} th, td {{ text-align: left; padding-right: 2rem }}
</style></head><body>
<h1>hf_kexue, from the articles to pictures and answers</h1>
{body}
</body></html>
"""

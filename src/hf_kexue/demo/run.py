"""The demonstration: published models, a short training run, and one page that shows them.

Needs a checkout, since the training script, its data and the published models are not in the package.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ..inference import kinds
from ..inference.saved_models import load_pipeline
from .gan import gan
from .html import Section, page_html, picture
from .images import PUBLISHED, SCRIPT, published, schedule, short_training, trained
from .prompts import strip
from .questions import answers_html
from .triples import TRIPLES, three_sentences

READER = Path("model_cards") / kinds.READER.published
EXAMPLE = Path("examples/asymptotic_series.py")


def run_demo(repository: Path, output: Path, steps: int) -> Path:
    """Draw prompts and samples, train, reload, draw again, by the GAN too, ask, extract triples, and write the page.

    Args:
        repository: checkout of hf_kexue.
        output: folder for the page, its pictures and the trained pipeline.
        steps: optimizer steps of the training.

    Returns:
        Path of `index.html`.

    Raises:
        ValueError: if the repository lacks a published model or script.
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
        ("one prompt in six styles", lambda: strip(repository, output)),
        ("sampling from the published model", lambda: published(repository, output)),
        ("the noise schedule", lambda: schedule(output)),
        (f"training a fresh model for {steps} steps", lambda: short_training(repository, run, output, steps)),
        ("sampling from what was saved", lambda: trained(run, output)),
        ("the published GAN", lambda: gan(repository, output)),
        ("the mathematics of the articles", lambda: _mathematics(repository, output)),
        ("three questions to the published reader", lambda: _reader(repository)),
        ("triples of three sentences", lambda: three_sentences(repository, output)),
    ]
    sections = []
    for number, (what, part) in enumerate(parts, 1):
        print(f"{number}/{len(parts)}  {what}", flush=True)
        sections.append(part())
    page = output / "index.html"
    page.write_text(page_html(sections), encoding="utf-8")
    return page


def _mathematics(repository: Path, output: Path) -> Section:
    curves = output / "asymptotic_series.png"
    subprocess.run([sys.executable, str(repository / EXAMPLE), "--output", str(curves)], check=True)
    return (
        "The mathematics of the articles",
        "A perturbation series that first converges and then does not, and which approximation of the quartic "
        "integral is best where. Other pictures: the scripts in examples/.",
        picture(curves.name, "error of the series over its order"),
    )


def _reader(repository: Path) -> Section:
    started = time.perf_counter()
    reader = load_pipeline(str(repository / READER), kinds.READER)
    answers = answers_html(reader)
    return (
        "Three questions to the published reader",
        f"A dilated gated convolutional network of {reader.model.num_parameters() / 1e6:.1f}M parameters extracts "
        f"answers from Chinese texts; loaded and run here in {time.perf_counter() - started:.1f} s. The score "
        "ranks the answers; it is not the probability of being right.",
        answers,
    )

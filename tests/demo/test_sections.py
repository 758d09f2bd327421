"""The sections of the demonstration that need no training: the GAN with and without its model, and the triples."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import save_gan

from hf_kexue.demo.gan import GAN, SEEDS, STEPS, gan
from hf_kexue.demo.html import page_html, picture
from hf_kexue.demo.triples import SENTENCES, TRIPLES, three_sentences
from hf_kexue.rsgan import RSGANPipeline

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("labels", "strips"),
    [
        (["Dress", "Hat", "Polo", "Top"], ["Dress", "Hat", "Polo"]),
        (["Dress", "Pants", "Polo", "T-Shirt"], ["Pants", "T-Shirt"]),
        (None, [None]),
    ],
    ids=["classes", "classes that are shown", "no classes"],
)
def test_the_gan_draws_a_grid_and_strips(tmp_path, labels, strips):
    save_gan(tmp_path / GAN, labels)
    _, text, shown = gan(tmp_path, tmp_path)
    assert picture("gan.png", "samples of each class") in shown
    for names, message in ((labels, "Rows: {}."), (labels and strips, f"seed {SEEDS[0]} to seed {SEEDS[1]}: {{}}.")):
        assert message.format(", ".join(names or ["no classes"])) in text
    rows = len(labels or [None])
    sheet, way = (Image.open(tmp_path / name) for name in ("gan.png", "gan_way.png"))
    margin = way.width - STEPS * 32  # of the names
    assert way.height == len(strips) * 32
    assert sheet.height == (rows // 2 * 32 if labels else 32)
    if labels:
        assert margin > 0
        assert sheet.width > 2 * 4 * 32 + 16
    else:
        assert (margin, sheet.width) == (0, 4 * 32)
    pipeline = RSGANPipeline.from_pretrained(tmp_path / GAN)
    latents = torch.randn(1, 16, generator=torch.Generator().manual_seed(SEEDS[1]))
    (end,) = pipeline(latents=0.8 * latents, class_labels=labels and strips[:1]).images
    found = np.asarray(way.crop((margin + (STEPS - 1) * 32, 0, margin + STEPS * 32, 32)), dtype=int)
    assert np.abs(found - np.asarray(end, dtype=int)).max() <= 1  # a batch and a single image may differ by rounding


def test_without_a_published_gan_the_page_says_so(tmp_path):
    title, text, shown = gan(tmp_path, tmp_path)
    assert text == f"{GAN} is not published yet, so there is nothing to show here."
    assert shown == ""
    assert f"<h2>{title}</h2><p>{text}</p></section>" in page_html([(title, text, shown)])


def test_the_triples_are_graphs_and_marked(tmp_path):
    if not (ROOT / TRIPLES).is_dir():
        pytest.skip(f"{TRIPLES} is not published yet")
    _, _, shown = three_sentences(ROOT, tmp_path)
    assert shown.count("<svg") == len(SENTENCES)
    assert "孙仪" in shown
    assert "src='triples.html'" in shown
    assert (tmp_path / "triples.html").read_text(encoding="utf-8").count("<section>") == len(SENTENCES)

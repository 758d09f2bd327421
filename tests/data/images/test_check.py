"""What `hf-kexue check-data images` finds in a folder that has one of each fault."""

import json
import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")

from hf_kexue.cli.main import app
from hf_kexue.data.images import load_images
from hf_kexue.data.images.check import check_images
from hf_kexue.data.images.check_page import check_page


def noise(seed, size=(80, 80)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path):
    """Twelve good pictures of a cat, and of a dog one good one and one for each finding."""
    for name in ("train/cat", "train/dog", "validation/cat", "validation/dog"):
        (tmp_path / name).mkdir(parents=True)
    for number in range(12):
        noise(number).save(tmp_path / "train" / "cat" / f"{number}.png")
    dogs = tmp_path / "train" / "dog"
    noise(12).save(dogs / "good.png")
    noise(12).save(dogs / "again.png")
    noise(0).save(dogs / "a_cat_again.png")
    noise(13).save(dogs / "held_out.png")
    noise(14, (20, 20)).save(dogs / "small.png")
    noise(15, (300, 100)).save(dogs / "long.png")
    transparent = noise(16).convert("RGBA")
    transparent.putalpha(128)
    transparent.save(dogs / "transparent.png")
    Image.new("L", (80, 80), 7).save(dogs / "grey.png")
    noise(18).convert("RGBA").save(dogs / "opaque.png")
    for name in ("broken", "cut", "empty", "torn"):
        (dogs / f"{name}.png").write_bytes(b"no picture")
    noise(13).save(tmp_path / "validation" / "dog" / "0.png")
    noise(17).save(tmp_path / "validation" / "cat" / "0.png")
    return tmp_path


FOUND = {
    "broken": 4, "unlabelled": 0, "doubles": 2, "other_label": 1, "held_out": 1, "small": 1, "elongated": 1,
    "transparent": 1, "one_colour": 1, "rare_classes": 1, "uncaptioned": 0, "same_caption": 0, "long_captions": 0,
}  # fmt: skip


def test_each_fault_is_counted_and_shown(folder):
    source = load_images(str(folder), label_column="auto")
    report, thumbnails = check_images(source, 64, 8, load_images(str(folder), split="validation"), "validation")
    assert report.counts == FOUND
    assert report.examples["held_out"] == ["dog/held_out.png"]
    # In the order of the paths: a_cat_again.png comes after the cats, again.png before good.png.
    assert report.examples["doubles"] == ["dog/a_cat_again.png", "dog/good.png"]
    assert report.examples["other_label"] == ["dog/a_cat_again.png"]
    assert report.modes == {"RGB": 18, "RGBA": 2, "L": 1}
    assert report.classes == {"cat": 12, "dog": 9}
    assert (report.totals["shortest"], report.totals["longest"], report.totals["middle"]) == (20, 300, 80)
    assert not report.usable  # 4 of 25 are more than 1 %, and more than three
    assert {len(shown) for shown in thumbnails.classes.values()} == {12, 9}
    page = check_page(report, thumbnails, "<pets>")
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) == 21 + sum(FOUND[name] for name in thumbnails.findings)
    assert Image.open(BytesIO(b64decode(pictures[0]))).size == (96, 96)
    assert "&lt;pets&gt;" in page


@pytest.mark.parametrize(("fixed", "batch_size", "code"), [(False, 8, 1), (True, 8, 0), (True, 64, 1)])
def test_the_exit_code_says_whether_to_train(folder, tmp_path, fixed, batch_size, code):
    if fixed:
        (folder / "train" / "dog" / "broken.png").unlink()
    page = tmp_path / "pages" / "look.html"
    command = ["check-data", "images", str(folder), "--batch-size", str(batch_size), "--page", str(page), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == code, result.output
    facts = json.loads(result.stdout)
    assert facts["usable"] == (code == 0)
    assert facts["findings"]["broken"]["count"] == (3 if fixed else 4)
    assert page.read_text(encoding="utf-8").count("<figure>") > 20


def test_a_stream_is_refused(folder):
    with pytest.raises(ValueError, match="stream"):
        check_images(load_images(str(folder), streaming=True), 64, 8)

"""Captions: what a row gives, what is drawn, and how they reach a batch."""

import io

import pytest
from PIL import Image

pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")

import datasets

from hf_kexue.data.images import CaptionColumns, image_loader, load_captioned_images, load_images
from hf_kexue.data.images.check import check_images

ROW = {"name": "red apple", "zh": "苹果", "tags": ["fruit", " red "], "style": "noto", "none": None, "empty": []}


def png(shade):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 255 - shade)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


@pytest.fixture
def folder(tmp_path):
    """Six pictures; the fourth is broken, the fifth has no words, the sixth those of the first."""
    names = ["apple", "pear", "kiwi", "lost", "", "apple"]
    rows = {
        "image": [png(40 * i) if i != 3 else {"bytes": b"none", "path": None} for i in range(6)],
        "style": ["noto", "blob", "noto", "blob", "noto", "noto"],
        "name": names,
        "tags": [[], ["green", "fruit"], ["kiwi " * 20], [], [], []],
        "number": list(range(6)),
    }
    features = datasets.Features({
        "image": datasets.Image(), "style": datasets.Value("string"), "name": datasets.Value("string"),
        "tags": datasets.List(datasets.Value("string")), "number": datasets.Value("int64"),
    })  # fmt: skip
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "data" / "train-00000.parquet")
    return str(tmp_path)


def test_captions_of_a_row():
    every = CaptionColumns(("name", "zh", "tags", "none", "empty"), "style")
    assert every.all_of(ROW) == ["noto: red apple", "noto: 苹果", "noto: fruit, red"]
    assert CaptionColumns(("name",)).all_of(ROW) == ["red apple"]
    assert CaptionColumns(("none", "empty"), "style").all_of(ROW) == ["noto"]
    assert CaptionColumns(("none",)).all_of(ROW) == [""]
    assert CaptionColumns(("none",), "style").all_of(ROW, bare=True) == []


def test_draws_depend_on_the_key_alone_and_follow_the_columns():
    columns = CaptionColumns(("name", "zh"))
    drawn = [columns.draw(ROW, f"0 {epoch} 0")[0] for epoch in range(200)]
    assert drawn == [columns.draw(ROW, f"0 {epoch} 0")[0] for epoch in range(200)]
    assert 70 < drawn.count("苹果") < 130
    twice = CaptionColumns(("name", "zh", "zh", "zh"))
    assert sum(twice.draw(ROW, str(key))[0] == "苹果" for key in range(400)) > 250
    assert set(columns.draw(ROW, "key", 2)) == {"red apple", "苹果"}
    assert columns.draw({**ROW, "zh": ""}, "key", 2) == ["red apple"] * 2


@pytest.mark.parametrize("memory", [0, 2**20])
def test_batches_carry_the_captions_of_their_pictures(folder, memory):
    """With and without the cache of decoded pictures, and without the broken one."""
    source = load_images(folder, captions=CaptionColumns(("name",), "style"))
    (batch,) = image_loader(source, 8, 8, train=False, memory=memory)
    assert batch["captions"] == [["noto: apple"], ["blob: pear"], ["noto: kiwi"], ["noto"], ["noto: apple"]]
    assert len(batch["pixel_values"]) == 5
    assert len(batch["broken"]) == 1


def test_an_epoch_draws_anew_and_the_same_when_it_is_repeated(folder):
    source = load_images(folder, captions=CaptionColumns(("name", "tags"), "style"))
    loader = image_loader(source, 8, 6, train=True, seed=3)

    def epoch(number):
        loader.dataset.set_epoch(number)
        return [sorted(map(tuple, batch["captions"])) for batch in loader]

    drawn = [epoch(number) for number in range(8)]
    assert any(one != drawn[0] for one in drawn)
    assert drawn == [epoch(number) for number in range(8)]


def test_wrong_columns_are_named(folder):
    with pytest.raises(ValueError, match="'lost'"):
        load_images(folder, captions=CaptionColumns(("lost",)))
    with pytest.raises(ValueError, match="number"):
        load_images(folder, captions=CaptionColumns(("number",)))
    with pytest.raises(ValueError, match="prefix"):
        load_images(folder, captions=CaptionColumns(("name",), "tags"))
    with pytest.raises(ValueError, match="both"):
        load_images(folder, captions=CaptionColumns(("name",), "style"), label_column="style")
    with pytest.raises(ValueError, match="caption-column"):
        load_captioned_images(folder)
    assert load_captioned_images(folder, caption_column="name, tags").captions.columns == ("name", "tags")


def test_a_check_counts_what_is_wrong_with_captions(folder):
    source = load_images(folder, captions=CaptionColumns(("name", "tags"), "style"))
    report, _ = check_images(source, 8, 1)
    assert report.counts["uncaptioned"] == 1
    assert report.counts["same_caption"] == 2
    assert report.counts["long_captions"] == 1
    assert report.totals["captions"] == 7

"""Sizes as text, pictures in the bucket of the nearest aspect ratio, and batches of one bucket."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")

from datasets import Dataset

from hf_kexue.data.images import ImageSource, image_loader, image_size, image_to_pixels
from hf_kexue.data.images.buckets import BucketSampler, assign_buckets

SIZES = [(16, 16), (12, 20), (20, 12)]  # (height, width)


@pytest.mark.parametrize(("text", "size"), [("64", (64, 64)), (64, (64, 64)), ("64x96", (64, 96))])
def test_image_size(text, size):
    assert image_size(text) == size


@pytest.mark.parametrize("text", ["", "x64", "64x", "64X96", "0", "64x0", "-64", "64.0", "64x96x3"])
def test_other_forms(text):
    with pytest.raises(ValueError, match="HEIGHTxWIDTH"):
        image_size(text)


def png(width, height, orientation=None):
    buffer, image = io.BytesIO(), Image.new("RGB", (width, height), "red")
    exif = image.getexif()
    if orientation:
        exif[0x0112] = orientation
    image.save(buffer, format="JPEG" if orientation else "PNG", exif=exif)
    return {"bytes": buffer.getvalue(), "path": None}


def source_of(records):
    from datasets import Image as ImageFeature

    rows = Dataset.from_list([{"image": record} for record in records])
    return ImageSource(rows.cast_column("image", ImageFeature(decode=False)), "image", None, [])


def test_nearest_aspect_ratio():
    records = [
        png(30, 30),
        png(50, 30),
        png(30, 50),
        png(34, 30),
        png(50, 30, orientation=6),
        {"bytes": b"none", "path": None},
    ]
    assert assign_buckets(source_of(records), SIZES) == [0, 1, 2, 0, 2, 0]


@pytest.mark.parametrize(("width", "height"), [(40, 40), (80, 20), (15, 61), (20, 12), (7, 5)])
@pytest.mark.parametrize("size", [(12, 20), (20, 12), (16, 16)])
def test_pixels_cover_the_size_and_keep_the_middle(width, height, size):
    columns = np.broadcast_to(np.linspace(0, 255, width).round().astype(np.uint8)[None, :, None], (height, width, 3))
    pixels = image_to_pixels(Image.fromarray(np.ascontiguousarray(columns)), size)
    assert pixels.shape == (3, *size)
    middle = pixels.float().mean().item()
    assert middle == pytest.approx(127.5, abs=6)  # half a pixel to one side where the margins are odd


def test_batches_have_one_size_each():
    records = [png(30, 30)] * 5 + [png(50, 30)] * 6 + [png(30, 50)] * 3
    loader = image_loader(source_of(records), 16, 2, train=True, seed=3, buckets=SIZES)
    shapes = [tuple(batch["pixel_values"].shape) for batch in loader]
    assert sorted(shapes) == sorted([(2, 3, 16, 16)] * 2 + [(2, 3, 12, 20)] * 3 + [(2, 3, 20, 12)])
    assert len(loader) == 6


def test_order_depends_on_seed_and_epoch_alone():
    buckets = [0, 1, 2] * 7

    def order(seed, epoch):
        sampler = BucketSampler(buckets, 3, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    for batch in torch.tensor(order(0, 5)).view(-1, 3).tolist():
        assert len({buckets[index] for index in batch}) == 1
    assert len(set(order(0, 2))) == len(order(0, 2)) == len(BucketSampler(buckets, 3)) == 18


def test_no_full_batch():
    with pytest.raises(ValueError, match="2, 1"):
        BucketSampler([0, 0, 1], 3)

"""Photographs and classes that samples are compared with: chosen over the whole folder, missing labels left out."""

import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")
from datasets import ClassLabel, Dataset, Features
from datasets import Image as ImageFeature

from hf_kexue.data.images import ImageSource
from hf_kexue.inference.evaluation import class_mix, photographs


def source(labels, broken=()):
    """Pictures whose grey value is their row."""
    rows = []
    for index in range(len(labels)):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (index,) * 3).save(buffer, "PNG")
        content = buffer.getvalue()
        rows.append({"bytes": content[:30] if index in broken else content, "path": f"{index}.png"})
    features = Features({"image": ImageFeature(decode=False), "label": ClassLabel(names=["a", "b"])})
    return ImageSource(Dataset.from_dict({"image": rows, "label": labels}, features), "image", "label", ["a", "b"])


def test_photographs_are_chosen_over_the_whole_folder():
    """Of 100 and then 100 of another class, 60 at random hold both about equally; without a seed the first 60."""
    sorted_by_class = source([0] * 100 + [1] * 100)
    chosen = photographs(sorted_by_class, 8, 60, seed=0)
    assert 15 < sum(chosen.labels) < 45  # four standard deviations of the hypergeometric law
    grey = [image.getpixel((0, 0))[0] for image in chosen.images]
    assert len(set(grey)) == 60
    assert [int(value >= 100) for value in grey] == chosen.labels
    assert grey == [image.getpixel((0, 0))[0] for image in photographs(sorted_by_class, 8, 60, seed=0).images]
    first = photographs(sorted_by_class, 8, 60)
    assert [image.getpixel((0, 0))[0] for image in first.images] == list(range(60))


def test_broken_photographs_are_named_and_replaced():
    found = photographs(source([0] * 10, broken={1, 4}), 8, 6)
    assert [image.getpixel((0, 0))[0] for image in found.images] == [0, 2, 3, 5, 6, 7]
    assert [name.partition(" ")[0] for name in found.broken] == ["1.png", "4.png"]
    assert len(photographs(source([0] * 10, broken={1, 4}), 8).images) == 8


@pytest.mark.parametrize("missing", [-1, None])
def test_images_without_a_label_are_no_class(missing):
    drawn = class_mix(source([1, missing, 0, 1, missing, 1] * 50), 100)
    assert set(drawn) == {0, 1}
    assert np.mean(drawn) == pytest.approx(3 / 4, abs=0.18)  # four standard deviations
    with pytest.raises(ValueError, match="label"):
        class_mix(source([missing] * 4), 2)


def test_classes_in_their_own_proportions_without_replacement():
    assert sorted(class_mix(source([0] * 7 + [1] * 3), 10)) == [0] * 7 + [1] * 3

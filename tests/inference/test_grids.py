"""Names beside the rows of a sheet: the pictures stay pixel for pixel, the names fill a margin left of them."""

import resource

import numpy as np
import pytest
from PIL import Image

from hf_kexue.inference.grids import class_sheet, image_grid, save_picture

PICTURES = [Image.new("RGB", (20, 20), (index, 0, 0)) for index in range(12)]


def test_names_stand_left_of_their_rows():
    plain, sheet = image_grid(PICTURES, 4), image_grid(PICTURES, 4, ["Dress", "Hat", "裙子"])
    margin = sheet.width - plain.width
    assert sheet.crop((margin, 0, *sheet.size)).tobytes() == plain.tobytes()
    names = np.asarray(sheet.crop((0, 0, margin, sheet.height)).convert("L"))
    ink = [(names[20 * row : 20 * row + 20] < 128).sum() for row in range(3)]
    assert ink[0] > ink[1] > ink[2] > 0  # five letters, three letters, a digit: 3
    numbered = image_grid(PICTURES, 4, ["Dress", "Hat", "3"])
    assert numbered.tobytes() == sheet.tobytes()  # Pillow's font has no Chinese
    with pytest.raises(ValueError, match="3"):
        image_grid(PICTURES, 4, ["Dress"])


def test_names_go_with_their_blocks():
    sheet = class_sheet(PICTURES, 4, ["Dress", "Hat", "Polo"])
    first, second = image_grid(PICTURES[:8], 4, ["Dress", "Hat"]), image_grid(PICTURES[8:], 4, ["Polo"])
    assert sheet.size == (first.width + 16 + second.width, first.height)
    assert sheet.crop((0, 0, *first.size)).tobytes() == first.tobytes()
    left = first.width + 16
    assert sheet.crop((left, 0, left + second.width, second.height)).tobytes() == second.tobytes()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_picture_without_room_is_an_error(tmp_path, suffix):
    """Pillow itself leaves a piece of a JPEG, without an error."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    path, before = tmp_path / f"picture.{suffix}", resource.getrlimit(resource.RLIMIT_FSIZE)
    save_picture(PICTURES[1], path)
    small = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(OSError, match="large"):
            save_picture(noise, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == small
    assert [child.name for child in tmp_path.iterdir()] == [path.name]
    save_picture(noise, path)
    with Image.open(path) as opened:
        assert (opened.size, opened.format) == ((200, 200), {"jpg": "JPEG"}.get(suffix, suffix.upper()))
        opened.load()

"""Image sizes as text, and buckets by aspect ratio: each picture goes to the size whose aspect ratio is nearest.

sizes = [image_size("64x64"), image_size("48x80")]
of_row = assign_buckets(source, sizes)                  # place in `sizes` of each picture
sampler = BucketSampler(of_row, batch_size=32, seed=0)  # every 32 in a row are of one bucket
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image
from torch.utils.data import Sampler

from .reading import ImageSource

ROTATED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
ORIENTATION = 0x0112


def image_size(text: str | int) -> tuple[int, int]:
    """(height, width) of "64x96", or of "64", a square.

    Raises:
        ValueError: for another form, or zero.
    """
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", str(text))
    height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not height or not width:
        raise ValueError(f"A size is a number of pixels, or HEIGHTxWIDTH such as 64x96; got {text!r}.")
    return height, width


def assign_buckets(source: ImageSource, sizes: Sequence[tuple[int, int]]) -> list[int]:
    """For each row the place in `sizes` (height, width) with the nearest aspect ratio; headers are read, not pixels.

    Pictures that cannot be opened go to the first; decoding reports them later.
    """
    aspects = [math.log(height / width) for height, width in sizes]
    found = []
    for record in source.rows[source.image_column][:]:
        aspect = _log_aspect(record or {})
        distances = [0.0 if aspect is None else abs(aspect - one) for one in aspects]
        found.append(distances.index(min(distances)))
    return found


def _log_aspect(record: dict) -> float | None:
    try:
        with Image.open(io.BytesIO(record["bytes"]) if record.get("bytes") else record["path"]) as image:
            width, height = image.size
            if image.getexif().get(ORIENTATION) in ROTATED:
                width, height = height, width
    except Exception:  # PIL raises a dozen kinds for files that are not pictures
        return None
    return math.log(height / width)


class BucketSampler(Sampler[int]):
    """A random order in which every `batch_size` indices in a row are of one bucket; the rest of each is left out.

    The order depends on (seed, epoch) only.

    Args:
        buckets: of all samples.
        batch_size: samples of a batch.
        seed: of the order.

    Raises:
        ValueError: if no bucket fills a batch.
    """

    def __init__(self, buckets: Sequence[int], batch_size: int, seed: int = 0) -> None:
        self.buckets, self.batch_size, self.seed, self.epoch = np.asarray(buckets), batch_size, seed, 0
        counts = np.bincount(self.buckets)
        self.batches = int((counts // batch_size).sum())
        if not self.batches:
            raise ValueError(
                f"No bucket has {batch_size} pictures (they have {', '.join(map(str, counts))}): lower "
                "--train_batch_size, or give fewer buckets."
            )

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of this epoch from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self.seed, self.epoch))
        batches = []
        for bucket in np.unique(self.buckets):
            order = generator.permutation(np.flatnonzero(self.buckets == bucket))
            full = len(order) - len(order) % self.batch_size
            batches += list(order[:full].reshape(-1, self.batch_size))
        for place in generator.permutation(len(batches)):
            yield from batches[place].tolist()

"""Rows of an `ImageSource` -> decoded examples -> batches of tensors in [-1, 1].

    dataset = ImageDataset(source, resolution=64, random_flip=True, seed=0)
    loader = image_loader(source, 64, batch_size=32, train=True)

A file that cannot be decoded is skipped; `collate_images` passes its name on to the `BrokenImages` counter of the
training loop. Whether an image is flipped depends on (seed, epoch, index) only: resuming in the middle of an epoch, or
with other workers, gives the same pictures. Decoded pictures can be cached in memory; then a batch is a few tensor
operations, and a GPU need not wait for a decoder.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ..epochs import EpochDataset
from .buckets import BucketSampler, assign_buckets
from .decoded import DecodedImages, decoded_bytes
from .pixels import Size, image_to_pixels, normalized
from .reading import ImageSource


@dataclass
class _Decoder:
    """Row -> example; shared by the two data set classes below."""

    source: ImageSource
    resolution: Size
    random_flip: bool
    seed: int
    buckets: Sequence[Size] | None = None  # in place of the resolution, one a row
    captions_each: int = 1

    def captions(self, row: dict[str, Any], epoch: int, index: int) -> list[str]:
        """The captions drawn for this image in this epoch; none without caption columns."""
        columns = self.source.captions
        return columns.draw(row, f"{self.seed} {epoch} {index}", self.captions_each) if columns else []

    def flips(self, epoch: int, index: int) -> bool:
        """Whether this image is mirrored in this epoch."""
        return self.random_flip and random.Random(f"{self.seed} {epoch} {index}").random() < 0.5

    def pixels(self, row: dict[str, Any], index: int) -> Tensor | str:
        """(3, height, width) uint8, or the name of a picture that cannot be decoded."""
        record = row[self.source.image_column] or {}
        try:
            image = Image.open(io.BytesIO(record["bytes"]) if record.get("bytes") else record["path"])
            size = self.resolution if self.buckets is None else self.buckets[index]
            return image_to_pixels(image, size, self.source.background)
        except Exception as error:  # PIL raises a dozen kinds for files that are not pictures
            return f"{record.get('path') or f'row {index}'} ({type(error).__name__})"

    def __call__(self, row: dict[str, Any], epoch: int, index: int) -> dict[str, Any]:
        pixels = self.pixels(row, index)
        if isinstance(pixels, str):
            return {"broken": pixels}
        example: dict[str, Any] = {"pixel_values": normalized(pixels, self.flips(epoch, index))}
        if self.source.label_column:
            example["class_labels"] = self.source.class_of(row[self.source.label_column])
        if self.source.captions:
            example["captions"] = self.captions(row, epoch, index)
        return example


class ImageDataset(EpochDataset):
    """Random access to the decoded examples of an `ImageSource`.

    Args:
        source: from `load_images`.
        resolution: side of the square examples in pixels, or (height, width).
        random_flip: mirror half of the images, chosen anew in each epoch (`set_epoch` before the loader is iterated).
        seed: of the flips.
        memory: bytes for the cache of decoded pictures; a data set that fits is decoded only once.
        buckets: a size for each row, in place of `resolution` and without the cache.
        captions_each: captions drawn for an image at each visit, where the source has them.

    Each item is `{"pixel_values": (3, height, width) in [-1, 1], "class_labels": int, "captions": list[str]}`, or
    `{"broken": name}`.
    """

    def __init__(
        self,
        source: ImageSource,
        resolution: Size,
        random_flip: bool = False,
        seed: int = 0,
        memory: int = 0,
        buckets: Sequence[Size] | None = None,
        captions_each: int = 1,
    ) -> None:
        super().__init__()
        self.source = source
        self.decode = _Decoder(source, resolution, random_flip, seed, buckets, captions_each)
        self.texts = source.rows.select_columns(source.captions.names) if source.captions else None
        self.decoded: DecodedImages | None = None
        if buckets is None and decoded_bytes(len(source.rows), resolution) <= memory:
            labels = None
            if source.label_column:
                labels = [source.class_of(label) for label in source.rows[source.label_column][:]]
            self.decoded = DecodedImages(len(source.rows), resolution, labels, self._pixels)

    def _pixels(self, index: int) -> Tensor | str:
        return self.decode.pixels(self.source.rows[index], index)

    def __getitems__(self, indices: list[int]) -> Any:
        """Items of a batch, which torch's loader fetches at once; from the cache, as `collate_images` returns them."""
        if self.decoded is None:
            return [self[index] for index in indices]
        batch = self.decoded.batch(indices, [self.decode.flips(self.epoch, index) for index in indices])
        if self.texts is not None:
            valid = [index for index in indices if index not in self.decoded.broken]
            batch["captions"] = [self.decode.captions(self.texts[index], self.epoch, index) for index in valid]
        return batch

    def __len__(self) -> int:
        return len(self.source.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.decode(self.source.rows[int(index)], self.epoch, int(index))


class StreamedImageDataset(IterableDataset):
    """The same examples read from front to back through a shuffle buffer, for data larger than memory.

    Args:
        source, resolution, random_flip, seed: as for `ImageDataset`.
        shuffle_buffer: rows held for shuffling; 0 keeps the order of the files.
        rank, world_size: this process and how many there are; each reads its own share.
    """

    def __init__(
        self,
        source: ImageSource,
        resolution: Size,
        random_flip: bool = False,
        seed: int = 0,
        shuffle_buffer: int = 2048,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        from datasets.distributed import split_dataset_by_node

        self.source = source
        self.decode = _Decoder(source, resolution, random_flip, seed)
        rows = source.rows.shuffle(seed=seed, buffer_size=shuffle_buffer) if shuffle_buffer else source.rows
        self.rows = split_dataset_by_node(rows, rank, world_size)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Reshuffle for this epoch; call before the loader is iterated."""
        self.epoch = epoch
        self.rows.set_epoch(epoch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for index, row in enumerate(self.rows):
            yield self.decode(row, self.epoch, index)


def collate_images(examples: list[dict[str, Any]] | dict[str, Any]) -> dict[str, Any]:
    """Stack the decoded examples; the names of the others go into `"broken"`. A batch is returned unchanged.

    Returns:
        `{"pixel_values": (B, 3, H, W), "class_labels": (B,) int64 if there are labels, "captions": a list[str] for
        each image if there are captions, "broken": list[str]}`; B counts the decoded ones and may be 0, then
        `pixel_values` is (0,).
    """
    if isinstance(examples, dict):
        return examples
    valid = [example for example in examples if "broken" not in example]
    batch: dict[str, Any] = {"broken": [example["broken"] for example in examples if "broken" in example]}
    batch["pixel_values"] = torch.stack([e["pixel_values"] for e in valid]) if valid else torch.empty(0)
    if valid and "class_labels" in valid[0]:
        batch["class_labels"] = torch.tensor([e["class_labels"] for e in valid], dtype=torch.int64)
    if valid and "captions" in valid[0]:
        batch["captions"] = [e["captions"] for e in valid]
    return batch


def image_loader(
    source: ImageSource,
    resolution: Size,
    batch_size: int,
    *,
    train: bool,
    random_flip: bool = False,
    seed: int = 0,
    num_workers: int = 0,
    memory: int = 0,
    rank: int = 0,
    world_size: int = 1,
    buckets: Sequence[tuple[int, int]] | None = None,
    captions_each: int = 1,
) -> DataLoader:
    """Batches of `collate_images`: shuffled by a generator of its own and without a short last batch in training.

    Args:
        source, resolution, random_flip, seed: as for `ImageDataset`.
        batch_size: per process.
        train: False keeps order and last batch.
        num_workers: persistent processes that decode and share the cache.
        memory: as for `ImageDataset`.
        rank, world_size: shard of a stream; a map-style data set is sharded by Accelerate's `prepare`.
        buckets: sizes (height, width) in place of `resolution`; each batch has one of them, and each picture the one
            with the nearest aspect ratio. For training only, and not for streams.
        captions_each: captions drawn for an image at each visit, where the source has them; of a stream, one.
    """
    # Without it each new iterator draws from the global generator, and a resumed run gets other dropout masks.
    generator = torch.Generator().manual_seed(seed)
    if source.streaming:
        buffer = 2048 if train else 0
        stream = StreamedImageDataset(source, resolution, random_flip, seed, buffer, rank, world_size)
        return DataLoader(stream, batch_size, collate_fn=collate_images, num_workers=num_workers, generator=generator)
    sampler, sizes = None, None
    if buckets:
        places = assign_buckets(source, buckets)
        sampler, sizes = BucketSampler(places, batch_size, seed), [buckets[place] for place in places]
    return DataLoader(
        ImageDataset(source, resolution, random_flip, seed, memory, sizes, captions_each),
        batch_size,
        shuffle=train and sampler is None,
        sampler=sampler,
        drop_last=train,
        collate_fn=collate_images,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        generator=generator,
    )

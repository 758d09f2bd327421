"""Images and optional class labels: any Hub id, local folder (ImageFolder or parquet) or stream -> tensors in [-1, 1].

    source = load_images("folder or Hub id", label_column="label")
    dataset = ImageDataset(source, resolution=64, random_flip=True, seed=0)
    loader = DataLoader(dataset, batch_size=32, collate_fn=collate_images)

A file that cannot be decoded is skipped; `collate_images` passes its name on, so that a `BrokenImages` counter in the
training loop can name it and stop when there are too many. Whether an image is flipped depends on (seed, epoch, index)
only: resuming in the middle of an epoch, or with other workers, gives the same pictures. Decoded pictures can be kept
in memory; then a batch is a few operations on tensors, and a GPU need not wait for a decoder.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ..epochs import EpochDataset
from .decoded import DecodedImages, decoded_bytes
from .tar_shards import check_tar_shards

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


@dataclass
class ImageSource:
    """Rows of undecoded images with what is known of them.

    Args:
        rows: a `datasets.Dataset`, or `datasets.IterableDataset` when streaming.
        image_column: name of the column of `{"bytes", "path"}`.
        label_column: name of the column of class indices, or None.
        label_names: class names in the order of their indices; empty if there are no labels.
        streaming: whether `rows` is read once from front to back.
    """

    rows: Any
    image_column: str
    label_column: str | None
    label_names: list[str]
    streaming: bool = False


def load_images(
    dataset: str,
    *,
    split: str = "train",
    config_name: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    missing_labels: Literal["refuse", "keep"] = "refuse",
    streaming: bool = False,
    cache_dir: str | None = None,
) -> ImageSource:
    """Open a data set of images without decoding it.

    Args:
        dataset: Hub id, or a local folder: parquet files, or pictures (class folders become labels).
        split: name of the split.
        config_name: configuration of a Hub data set that has several.
        image_column: defaults to the only image column.
        label_column: defaults to no labels. `"auto"` takes the only class-label column, if there is one.
        missing_labels: null or -1, as data sets mark them. A model cannot be trained with them; streams are not looked
            through.
        streaming: read from front to back, for data larger than memory and disk.
        cache_dir: where `datasets` keeps its Arrow files.

    Raises:
        ValueError: with a sentence that names the columns or splits there are.
    """
    from datasets import ClassLabel, get_dataset_split_names, load_dataset
    from datasets import Image as ImageFeature

    path = Path(dataset).expanduser()
    if dataset.startswith((".", "/", "~")) and not path.is_dir():
        raise ValueError(f"The data set folder {dataset} does not exist.")
    name = str(path) if path.is_dir() else dataset
    if path.is_dir():
        check_tar_shards(path)
    try:
        rows = load_dataset(name, config_name, split=split, streaming=streaming, cache_dir=cache_dir)
    except ValueError as error:
        if "split" not in str(error):
            raise
        raise ValueError(
            f"{dataset} has no split {split!r}; it has {get_dataset_split_names(name, config_name)}."
        ) from error
    features = rows.features or {}
    images = [key for key, feature in features.items() if isinstance(feature, ImageFeature)]
    labels = [key for key, feature in features.items() if isinstance(feature, ClassLabel)]
    image_column = image_column or (images[0] if len(images) == 1 else "")
    if image_column not in features:
        raise ValueError(
            f"Name the image column of {dataset}: it has the columns {sorted(features)}, images in {images}."
        )
    if label_column == "auto":
        label_column = labels[0] if len(labels) == 1 else None
    if label_column is not None and label_column not in labels:
        raise ValueError(f"{label_column!r} is no class-label column of {dataset}; class labels are in {labels}.")
    if label_column is not None and not streaming and missing_labels == "refuse":
        missing = sum(label is None or label < 0 for label in rows[label_column])
        if missing:
            raise ValueError(
                f"{missing} of {len(rows)} images of {dataset} have no label in {label_column!r} (null or negative): "
                "leave them out, or train without classes (label_column none)."
            )
    rows = rows.select_columns([image_column] + ([label_column] if label_column else []))
    rows = rows.cast_column(image_column, ImageFeature(decode=False))
    names = list(features[label_column].names) if label_column else []
    return ImageSource(rows, image_column, label_column, names, streaming)


def image_to_pixels(image: Image.Image, resolution: int) -> Tensor:
    """Scale the shorter side to `resolution` and crop the centre: (3, resolution, resolution) uint8."""
    image = ImageOps.exif_transpose(image)  # photographs from telephones lie on their side
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow would make all above 255 white
        image = Image.fromarray(((np.asarray(image).clip(0, 65535).astype(np.uint32) + 128) // 257).astype(np.uint8))
    image = image.convert("RGB")
    if image.size != (resolution, resolution):
        scale = resolution / min(image.size)
        width, height = (max(resolution, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
        left, top = (width - resolution) // 2, (height - resolution) // 2
        image = image.crop((left, top, left + resolution, top + resolution))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)  # (3, H, W)


def image_to_tensor(image: Image.Image, resolution: int, flip: bool = False) -> Tensor:
    """`image_to_pixels` in [-1, 1], mirrored or not: (3, resolution, resolution) float32."""
    return _normalized(image_to_pixels(image, resolution), flip)


def _normalized(pixels: Tensor, flip: bool) -> Tensor:
    return (pixels.flip(-1) if flip else pixels).float() / 127.5 - 1


@dataclass
class _Decoder:
    """Row -> example; shared by the two data set classes below."""

    source: ImageSource
    resolution: int
    random_flip: bool
    seed: int

    def flips(self, epoch: int, index: int) -> bool:
        """Whether this image is mirrored in this epoch."""
        return self.random_flip and random.Random(f"{self.seed} {epoch} {index}").random() < 0.5

    def pixels(self, row: dict[str, Any], index: int) -> Tensor | str:
        """(3, resolution, resolution) uint8, or the name of what cannot be decoded."""
        record = row[self.source.image_column] or {}
        try:
            image = Image.open(io.BytesIO(record["bytes"]) if record.get("bytes") else record["path"])
            return image_to_pixels(image, self.resolution)
        except Exception as error:  # PIL raises a dozen kinds for files that are not pictures
            return f"{record.get('path') or f'row {index}'} ({type(error).__name__})"

    def __call__(self, row: dict[str, Any], epoch: int, index: int) -> dict[str, Any]:
        pixels = self.pixels(row, index)
        if isinstance(pixels, str):
            return {"broken": pixels}
        example: dict[str, Any] = {"pixel_values": _normalized(pixels, self.flips(epoch, index))}
        if self.source.label_column:
            example["class_labels"] = row[self.source.label_column]
        return example


class ImageDataset(EpochDataset):
    """Random access to the decoded examples of an `ImageSource`.

    Args:
        source: from `load_images`.
        resolution: side of the square examples in pixels.
        random_flip: mirror half of the images, chosen anew in each epoch (`set_epoch` before the loader is iterated).
        seed: of the flips.
        memory: bytes that decoded pictures may take; a set that fits is decoded only once.

    Each item is `{"pixel_values": (3, resolution, resolution) in [-1, 1], "class_labels": int}`, or `{"broken":
    name}`.
    """

    def __init__(
        self, source: ImageSource, resolution: int, random_flip: bool = False, seed: int = 0, memory: int = 0
    ) -> None:
        super().__init__()
        self.source = source
        self.decode = _Decoder(source, resolution, random_flip, seed)
        self.decoded: DecodedImages | None = None
        if decoded_bytes(len(source.rows), resolution) <= memory:
            labels = source.rows[source.label_column][:] if source.label_column else None
            self.decoded = DecodedImages(len(source.rows), resolution, labels, self._pixels)

    def _pixels(self, index: int) -> Tensor | str:
        return self.decode.pixels(self.source.rows[index], index)

    def __getitems__(self, indices: list[int]) -> Any:
        """Items of a batch, which torch's loader asks for at once; from memory, as `collate_images` returns them."""
        if self.decoded is None:
            return [self[index] for index in indices]
        return self.decoded.batch(indices, [self.decode.flips(self.epoch, index) for index in indices])

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
        resolution: int,
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
    """Stack the examples that could be decoded; the names of the others go into `"broken"`. A batch stays as it is.

    Returns:
        `{"pixel_values": (B, 3, H, W), "class_labels": (B,) int64 if there are labels, "broken": list[str]}`; B counts
        the decoded ones and may be 0, then `pixel_values` is (0,).
    """
    if isinstance(examples, dict):
        return examples
    whole = [example for example in examples if "broken" not in example]
    batch: dict[str, Any] = {"broken": [example["broken"] for example in examples if "broken" in example]}
    batch["pixel_values"] = torch.stack([e["pixel_values"] for e in whole]) if whole else torch.empty(0)
    if whole and "class_labels" in whole[0]:
        batch["class_labels"] = torch.tensor([e["class_labels"] for e in whole], dtype=torch.int64)
    return batch


def image_loader(
    source: ImageSource,
    resolution: int,
    batch_size: int,
    *,
    train: bool,
    random_flip: bool = False,
    seed: int = 0,
    num_workers: int = 0,
    memory: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader:
    """Batches of `collate_images`: shuffled by a generator of its own and without a short last batch in training.

    Args:
        source, resolution, random_flip, seed: as for `ImageDataset`.
        batch_size: per process.
        train: False keeps order and last batch.
        num_workers: processes that decode; they outlive an epoch, and each has what the others decoded.
        memory: as for `ImageDataset`.
        rank, world_size: share of a stream; random access is shared out by Accelerate's `prepare`.
    """
    # Without it each start of a loader draws from the global generator, and a resumed run gets other dropout masks.
    generator = torch.Generator().manual_seed(seed)
    if source.streaming:
        buffer = 2048 if train else 0
        stream = StreamedImageDataset(source, resolution, random_flip, seed, buffer, rank, world_size)
        return DataLoader(stream, batch_size, collate_fn=collate_images, num_workers=num_workers, generator=generator)
    return DataLoader(
        ImageDataset(source, resolution, random_flip, seed, memory),
        batch_size,
        shuffle=train,
        drop_last=train,
        collate_fn=collate_images,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        generator=generator,
    )


@dataclass
class BrokenImages:
    """Count of images that could not be decoded, and the rule when to give up.

    Args:
        limit: share of broken images above which `update` raises.
        grace: images to see before the share means anything.
    """

    limit: float = 0.01
    grace: int = 100
    seen: int = 0
    names: set[str] = field(default_factory=set)
    failures: int = 0

    def update(self, batch: dict[str, Any]) -> None:
        """Count a batch of `collate_images`.

        Raises:
            RuntimeError: when more than `limit` of the images seen so far are broken.
        """
        self.seen += len(batch["pixel_values"]) + len(batch["broken"])
        self.failures += len(batch["broken"])
        self.names.update(batch["broken"])
        if self.seen >= self.grace and self.failures > self.limit * self.seen:
            raise RuntimeError(
                f"{self.failures} of the {self.seen} images read so far are broken, more than {self.limit:.0%}. "
                f"The data set needs mending first. {self.summary()}"
            )

    def summary(self) -> str:
        """One sentence that counts and names the broken images."""
        if not self.names:
            return "All images could be decoded."
        shown = sorted(self.names)
        more = f" and {len(shown) - 20} more" if len(shown) > 20 else ""
        return f"{len(shown)} broken image(s) skipped: {', '.join(shown[:20])}{more}."

"""Images of a training script: arguments, held-out data, loaders, and labels of sample sheets."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..data.images import CaptionColumns, ImageSource, image_loader, image_size, load_images
from .arguments import option
from .checks import fit_batch_to_data

logger = logging.getLogger(__name__)
SHEET_CLASSES, SHEET_BATCH = 16, 32


@dataclass
class ImageArguments:
    """Common arguments of runs on images."""

    resolution: int = option(64, "Side of the training images in pixels.")
    dataset: str = option("embedded", "Hub id, local folder, or 'embedded'.")
    dataset_config: str | None = option(None, "Configuration of the Hub data set, if it has several.")
    split: str = option("train", "Split to train on.")
    validation_split: str = option("validation", "Held-out split; 'none' for none.")
    validation_share: float = option(0.0, "Held-out share of --split, instead of a split.")
    image_column: str | None = option(None, "Column of the images; default: the only one.")
    label_column: str = option("auto", "Column of class labels, 'auto', or 'none' for an unconditional model.")
    background: str = option("white", "Colour below transparent pictures, a name or #rrggbb.")
    random_flip: bool = option(True, "Mirror half of the images.")
    dataloader_num_workers: int = option(0, "Processes that decode images.")
    decoded_megabytes: int = option(1024, "Cache decoded images in memory if all fit into this; 0: never.")


@dataclass
class CaptionArguments:
    """Common arguments of runs on images with captions."""

    caption_column: list[str] = option([], "Columns of texts or lists of texts, one of which is drawn at each visit; "
                                       "named twice, twice as often.")  # fmt: skip
    caption_prefix: str | None = option(None, "Column of a text before each caption with a colon, such as a style.")


def caption_columns(args: Any) -> CaptionColumns | None:
    """Columns of the captions of a run, None if it has none.

    Raises:
        ValueError: for a prefix without captions.
    """
    columns, prefix = getattr(args, "caption_column", []), getattr(args, "caption_prefix", None)
    if prefix and not columns:
        raise ValueError(f"--caption_prefix {prefix} stands before captions: name them with --caption_column.")
    return CaptionColumns(tuple(columns), prefix) if columns else None


def all_captions(source: ImageSource) -> list[list[str]]:
    """The captions of each picture, without decoding any.

    Raises:
        ValueError: for a stream.
    """
    columns = source.captions
    assert columns is not None
    if source.streaming:
        raise ValueError("All captions are read before the first step: not with --streaming.")
    return [columns.all_of(row) for row in source.rows.select_columns(columns.names)]


def preset_of(requested: Any) -> str:
    """Preset of a run: the resolution of square images, else the power of two from 64 to 1024 next to its side."""
    height, width = image_size(requested.resolution)
    if height == width:
        return str(height)
    return str(2 ** min(10, max(6, round(math.log2(height * width) / 2))))


def open_images(
    args: Any, embedded: Path, held_out: bool = True, unlabelled: Literal["keep", "drop"] = "keep"
) -> tuple[ImageSource, ImageSource | None]:
    """Training and validation images of the arguments.

    Args:
        args: `ImageArguments`, optionally with `streaming` and `CaptionArguments`.
        embedded: folder of the data set 'embedded'.
        held_out: whether validation images are of use.
        unlabelled: what becomes of pictures without a label, see `load_images`.

    Returns:
        Both sources; the second is None without held-out images, which is logged.

    Raises:
        ValueError: for missing splits and columns, and for a share out of range.
    """
    folder = str(embedded) if args.dataset == "embedded" else args.dataset
    options: dict[str, Any] = {"config_name": args.dataset_config, "image_column": args.image_column}
    options["captions"] = caption_columns(args)
    options |= {"background": args.background, "unlabelled": unlabelled}
    no_labels = args.label_column == "none" or (options["captions"] and args.label_column == "auto")
    options["label_column"] = None if no_labels else args.label_column
    options["streaming"] = streaming = getattr(args, "streaming", False)
    source = load_images(folder, split=args.split, **options)
    if args.validation_share:
        if not 0 <= args.validation_share < 1 or streaming:
            raise ValueError(
                f"--validation_share must be at least 0 and below 1, without --streaming; got "
                f"{args.validation_share:g}."
            )
        return _share_out(source, args.validation_share, args.seed)
    if not held_out or args.validation_split == "none":
        return source, None
    try:
        validation = load_images(folder, split=args.validation_split, **options)
    except ValueError as error:
        if "has no split" not in str(error) or args.validation_split != "validation":
            raise
        logger.info(
            "%s has no split 'validation': no validation loss; use --validation_share 0.05 to hold some out.", folder
        )
        return source, None
    if validation.label_names != source.label_names:
        raise ValueError(
            f"--validation_split {args.validation_split} has the classes {validation.label_names}, and --split "
            f"{args.split} {source.label_names}: they must be the same, in the same order."
        )
    return source, validation


def _share_out(source: ImageSource, share: float, seed: int) -> tuple[ImageSource, ImageSource]:
    """Split off held-out images at random by the seed; both parts keep their order."""
    count = len(source.rows)
    held_out = round(share * count)
    if not 0 < held_out < count:
        raise ValueError(f"--validation_share {share:g} of {count} images is {held_out}: both parts must have images.")
    order = np.random.default_rng(seed).permutation(count)
    parts = [source.rows.select(sorted(part.tolist())) for part in (order[held_out:], order[:held_out])]
    return replace(source, rows=parts[0]), replace(source, rows=parts[1])


def training_images(args: Any, source: ImageSource, accelerator: Any) -> Any:
    """Training batches of the arguments; --train_batch_size becomes smaller where the data are.

    Raises:
        ValueError: for a size of another form, and for buckets of a stream.
    """
    if not source.streaming:
        fit_batch_to_data(args, len(source.rows), accelerator.num_processes)
    buckets = [image_size(text) for text in getattr(args, "buckets", [])]
    if buckets and source.streaming:
        raise ValueError("--buckets needs the sizes of all pictures before the first batch: not with --streaming.")
    return image_loader(
        source, image_size(args.resolution), args.train_batch_size, train=True, random_flip=args.random_flip,
        seed=args.seed, num_workers=args.dataloader_num_workers, memory=args.decoded_megabytes * 2**20,
        rank=accelerator.process_index, world_size=accelerator.num_processes, buckets=buckets,
    )  # fmt: skip


def sheet_prompts(source: ImageSource, count: int = SHEET_BATCH) -> list[str]:
    """Prompts of a sheet of samples: the first caption of pictures evenly spread over the data, or of the first ones
    of a stream."""
    assert source.captions is not None
    if source.streaming:
        rows = source.rows.select_columns(source.captions.names).take(count)
        return [source.captions.all_of(row)[0] for row in rows]
    captions = all_captions(source)
    return [captions[row * len(captions) // count][0] for row in range(count)]


def sheet_labels(num_classes: int, columns: int) -> Iterator[list[int] | list[None]]:
    """Labels of a sheet of samples, in batches: one row a class (a subset of many classes), or four rows without
    classes."""
    step = -(-num_classes // SHEET_CLASSES) or 1
    labels: list[Any] = [label for label in range(0, num_classes, step) for _ in range(columns)]
    labels = labels or [None] * 4 * columns
    for first in range(0, len(labels), SHEET_BATCH):
        yield labels[first : first + SHEET_BATCH]

"""Open images and optional class labels without decoding: Hub id, local folder (pictures or parquet), or stream.

    source = load_images("folder or Hub id", label_column="auto")
    source.label_names, len(source.rows)

`loading` turns a source into tensors and batches.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .captions import CaptionColumns
from .folders import PictureFolder, read_picture_folder
from .tar_shards import check_tar_shards

logger = logging.getLogger(__name__)

HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
LABEL_NAMES = ("label", "labels", "class")  # columns of strings or integers that "auto" reads as classes


@dataclass
class ImageSource:
    """Rows of undecoded images with their columns and class names.

    Args:
        rows: a `datasets.Dataset`, or `datasets.IterableDataset` when streaming.
        image_column: name of the column of `{"bytes", "path"}`.
        label_column: name of the column of class indices, or None. -1 or None means no label.
        label_names: class names in the order of their indices; empty if there are no labels.
        streaming: whether `rows` is read once from front to back.
        background: colour below transparent pictures.
        captions: columns of the words of each picture, or None.
    """

    rows: Any
    image_column: str
    label_column: str | None
    label_names: list[str]
    streaming: bool = False
    background: str = "white"
    captions: CaptionColumns | None = None

    def class_of(self, label: int | None) -> int:
        """The class index of a row's label; the number of classes (the null class) if it has none."""
        return len(self.label_names) if label is None or label < 0 else label


def load_images(
    dataset: str,
    *,
    split: str = "train",
    config_name: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    streaming: bool = False,
    cache_dir: str | None = None,
    background: str = "white",
    unlabelled: Literal["keep", "drop"] = "keep",
    captions: CaptionColumns | None = None,
) -> ImageSource:
    """Open a data set of images without decoding it.

    Args:
        dataset: Hub id, or a local folder: pictures (see `folders`), or files that `datasets` reads.
        split: name of the split, or a part of it as "train[:100]".
        config_name: configuration of a Hub data set that has several.
        image_column: defaults to the only image column.
        label_column: defaults to no labels. `"auto"` takes the only class-label column, or a column of strings or
            integers called "label", "labels" or "class". Any column of strings or integers may be named; each of its
            distinct values is a class.
        streaming: read from front to back, for data larger than memory and disk.
        cache_dir: where `datasets` keeps its Arrow files.
        background: colour below transparent pictures, a name or "#rrggbb".
        unlabelled: "keep" pictures without a label (-1 or null) as the null class, or "drop" them; both are logged.
        captions: columns of texts that describe a picture.

    Raises:
        ValueError: for a missing folder, column or split, naming those that exist.
    """
    from datasets import ClassLabel
    from datasets import Image as ImageFeature
    from PIL import ImageColor

    ImageColor.getrgb(background)  # check the colour now, not in the first batch
    rows = _open(dataset, split, config_name, streaming, cache_dir)
    features = rows.features or {}
    images = [
        key for key, feature in features.items() if isinstance(feature, ImageFeature) or _is_plain_image(feature)
    ]
    labels = [key for key, feature in features.items() if isinstance(feature, ClassLabel)]
    image_column = image_column or (images[0] if len(images) == 1 else "")
    if image_column not in features:
        raise ValueError(
            f"Name the image column of {dataset}: it has the columns {sorted(features)}, images in {images}."
        )
    plain = [key for key, feature in features.items() if getattr(feature, "dtype", "").startswith(("int", "string"))]
    plain = [key for key in plain if key not in labels]
    if label_column == "auto":
        named = [key for key in LABEL_NAMES if key in plain and not streaming]
        label_column = labels[0] if len(labels) == 1 else named[0] if named and not labels else None
    if label_column is not None and label_column not in (labels if streaming else labels + plain):
        others = "" if streaming or not plain else f", strings and integers in {plain}"
        raise ValueError(
            f"label_column {label_column!r} of {dataset} has no classes; class labels are in {labels}{others}."
        )
    if captions is not None:
        captions.check(features, dataset)
    kept = [image_column] + ([label_column] if label_column else []) + (captions.names if captions else [])
    if captions and label_column in captions.names:
        raise ValueError(f"The column {label_column!r} of {dataset} cannot be both class and caption.")
    rows = rows.select_columns(kept)
    if label_column is not None and label_column in plain:
        rows = _with_classes(rows, label_column, dataset)
    rows = rows.cast_column(image_column, ImageFeature(decode=False))
    names = list(rows.features[label_column].names) if label_column else []
    if label_column and not streaming:
        rows = _without_missing(rows, label_column, unlabelled, dataset)
    return ImageSource(rows, image_column, label_column, names, streaming, background, captions)


def load_captioned_images(
    dataset: str,
    *,
    split: str = "train",
    caption_column: str | None = None,
    caption_prefix: str | None = None,
    background: str = "white",
) -> ImageSource:
    """Open a data set of images with captions.

    Args:
        dataset, split, background: as of `load_images`.
        caption_column: columns of texts or lists of texts, separated by commas.
        caption_prefix: column of a text before each caption, with a colon.

    Raises:
        ValueError: as of `load_images`, and without a caption column.
    """
    names = [name.strip() for name in (caption_column or "").split(",") if name.strip()]
    if not names:
        raise ValueError("Pictures are drawn from their captions: name the column with --caption-column.")
    captions = CaptionColumns(tuple(names), caption_prefix)
    return load_images(dataset, split=split, background=background, captions=captions)


def _is_plain_image(feature: Any) -> bool:
    """Whether these are bytes and path of parquet files that do not say that they hold images."""
    return isinstance(feature, dict) and set(feature) == {"bytes", "path"}


def _open(dataset: str, split: str, config_name: str | None, streaming: bool, cache_dir: str | None) -> Any:
    """Rows of a split, from a folder of pictures or through `datasets`."""
    from datasets import get_dataset_split_names, load_dataset

    path = Path(dataset).expanduser()
    if path.is_file():
        raise ValueError(f"{dataset} is a file; give the folder that holds it.")
    if not path.is_dir() and (not HUB_ID.fullmatch(dataset) or Path(path.parts[0]).is_dir()):
        raise ValueError(f"The data set folder {dataset} does not exist.")
    name = str(path) if path.is_dir() else dataset
    if path.is_dir():
        check_tar_shards(path)
        if (pictures := read_picture_folder(path)) is not None:
            return _of_pictures(pictures, dataset, split, streaming)
    try:
        return load_dataset(name, config_name, split=split, streaming=streaming, cache_dir=cache_dir)
    except ValueError as error:
        if "split" not in str(error):
            raise
        raise ValueError(
            f"{dataset} has no split {split!r}; it has {get_dataset_split_names(name, config_name)}."
        ) from error
    except (ConnectionError, FileNotFoundError) as error:  # of a Hub id
        if path.is_dir():
            raise
        reason = " ".join(str(error).split()).split(". ")[0].rstrip(".")
        raise ValueError(f"{dataset} is neither a local folder nor a data set of the Hub: {reason}.") from error


def _of_pictures(pictures: PictureFolder, dataset: str, split: str, streaming: bool) -> Any:
    """The rows of a folder of pictures."""
    from datasets import ClassLabel, Dataset, ReadInstruction
    from datasets import Image as ImageFeature

    sizes = {name: len(found) for name, found in pictures.splits.items()}
    name = split.partition("[")[0]
    if name not in sizes:
        raise ValueError(f"{dataset} has no split {split!r}; it has {sorted(sizes)}.")
    columns = pictures.columns(name)
    classes = pictures.label_names if pictures.labels and columns.get("label") else []
    of_folders = bool(classes) and set(columns["label"]) <= {*classes, None}
    if of_folders:
        places = {label: index for index, label in enumerate(classes)}
        columns["label"] = [None if label is None else places[label] for label in columns["label"]]
    rows = Dataset.from_dict(columns)
    rows = rows.cast_column("image", ImageFeature(decode=False))
    if of_folders:
        rows = rows.cast_column("label", ClassLabel(names=classes))
    if "[" in split:
        parts = ReadInstruction.from_spec(split).to_absolute(sizes)
        rows = rows.select([row for part in parts for row in range(part.from_ or 0, part.to)])
    return rows.to_iterable_dataset() if streaming else rows


def _with_classes(rows: Any, column: str, dataset: str) -> Any:
    """Turn strings or integers into class labels, in sorted order; "" and -1 mean no label."""
    from datasets import ClassLabel

    values = [None if value in ("", None) or value == -1 else value for value in rows[column][:]]
    names = sorted({value for value in values if value is not None})
    if 2 * len(names) > len(values):
        raise ValueError(
            f"The column {column!r} of {dataset} has {len(names)} distinct values in {len(values)} rows: too "
            "many for classes."
        )
    places = {value: index for index, value in enumerate(names)}
    encoded = [None if value is None else places[value] for value in values]
    logger.info("%s: the %d distinct values of %r are the classes.", dataset, len(names), column)
    rows = rows.remove_columns(column).add_column(column, encoded)
    return rows.cast_column(column, ClassLabel(names=[str(value) for value in names]))


def _without_missing(rows: Any, column: str, unlabelled: str, dataset: str) -> Any:
    """Log rows without a label, and drop them unless they are kept."""
    missing = [row for row, label in enumerate(rows[column][:]) if label is None or label < 0]
    if not missing:
        return rows
    what = "are kept as the null class" if unlabelled == "keep" else "are dropped"
    logger.warning("%s: %d of %d pictures have no label and %s.", dataset, len(missing), len(rows), what)
    if unlabelled == "keep":
        return rows
    gone = set(missing)
    return rows.select([row for row in range(len(rows)) if row not in gone])

"""Read a local folder of pictures: splits, classes and metadata files; whatever is left out is logged.

    photographs/*.jpg                               one split, "train", without classes
    photographs/<class>/*.jpg                       one split with classes
    photographs/<split>/<class>/*.jpg               if all top-level folders are named like splits

`datasets.load_dataset` reads any folder or file with "train", "test", "val" or "dev" in its name as a split and drops
the rest, and it drops all labels if pictures lie at different depths or there is a metadata file. Here a folder of
that name among other class folders is a class, a label is the name of a folder, and ambiguous folders raise an error.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = {
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff",
    ".webp",
}  # fmt: skip
UNREADABLE_SUFFIXES = {".arw", ".cr2", ".dng", ".heic", ".heif", ".jxl", ".nef", ".psd", ".svg"}
DATA_SUFFIXES = {".arrow", ".parquet", ".tar", ".zip"}  # of data sets that `datasets` reads
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@dataclass
class PictureFolder:
    """Content of a folder of pictures.

    Args:
        folder: path.
        splits: for each split its pictures, relative to the folder and sorted.
        labels: class name of each picture, None for one next to the class folders; empty without classes.
        metadata: row of each picture in a metadata file, without the file name.
    """

    folder: Path
    splits: dict[str, list[PurePosixPath]]
    labels: dict[PurePosixPath, str | None]
    metadata: dict[PurePosixPath, dict[str, Any]]

    @property
    def label_names(self) -> list[str]:
        """Of all splits, so that a class has the same index in each."""
        return sorted({label for label in self.labels.values() if label is not None})

    def columns(self, split: str) -> dict[str, list[Any]]:
        """Columns of a split: "image" with {"bytes", "path"}, "label" with names or None if there are classes, and
        those of the metadata files, None for a picture without a row."""
        pictures = self.splits[split]
        found: dict[str, list[Any]] = {
            "image": [{"bytes": None, "path": str(self.folder / picture)} for picture in pictures]
        }
        keys = list(dict.fromkeys(key for row in self.metadata.values() for key in row if key != "image"))
        for key in keys:
            found[key] = [self.metadata.get(picture, {}).get(key) for picture in pictures]
        if self.labels and "label" not in keys:
            found["label"] = [self.labels[picture] for picture in pictures]
        return found


def read_picture_folder(folder: Path) -> PictureFolder | None:
    """List a folder of pictures.

    Args:
        folder: any local folder. Names that begin with "." or "__" are ignored.

    Returns:
        None if it holds no pictures, or data files (parquet, arrow, tar, zip) that `datasets` reads.

    Raises:
        ValueError: for pictures next to split folders, for split folders with class folders next to folders that are
            not splits, and for a metadata file that does not match the pictures.
    """
    files = _files(folder)
    suffixes = Counter(path.suffix.lower() for path in files if path.name not in METADATA)
    pictures = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not pictures or DATA_SUFFIXES & suffixes.keys():
        return None
    if unread := {suffix: suffixes[suffix] for suffix in sorted(UNREADABLE_SUFFIXES & suffixes.keys())}:
        counted = ", ".join(f"{count} {suffix}" for suffix, count in unread.items())
        logger.warning("%s: skipped files that Pillow cannot read: %s.", folder, counted)
    splits = _splits(folder, pictures)
    labels = _labels(folder, {path: place for places in splits.values() for path, place in places.items()})
    found = {name: list(places) for name, places in splits.items()}
    return PictureFolder(folder, found, labels, _metadata(folder, files, set(pictures)))


def _files(folder: Path) -> list[PurePosixPath]:
    """All visible files below a folder, relative to it, sorted."""
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        below = PurePosixPath(Path(parent).relative_to(folder).as_posix())
        found += [below / name for name in names if not name.startswith((".", "__"))]
    return sorted(found)


def _splits(folder: Path, pictures: list[PurePosixPath]) -> dict[str, dict[PurePosixPath, PurePosixPath]]:
    """For each split its pictures, each with its path relative to the folder of the split."""
    places = {path: path for path in pictures}
    while True:  # descend while there is only one folder
        tops = {place.parts[0] for place in places.values() if len(place.parts) > 1}
        loose = [path for path, place in places.items() if len(place.parts) == 1]
        split_tops = {top for top in tops if top.lower() in SPLIT_NAMES}
        if split_tops or loose or len(tops) != 1:
            break
        places = {path: PurePosixPath(*place.parts[1:]) for path, place in places.items()}
    others = sorted(tops - split_tops)
    if not split_tops or others or loose:
        deep = sorted({p.parts[0] for p in places.values() if p.parts[0] in split_tops and len(p.parts) > 2})
        if (split_tops and not others) or deep:
            beside = f"the folders {', '.join(others[:5])}" if others else f"{len(loose)} pictures such as {loose[0]}"
            raise ValueError(
                f"{folder} holds {', '.join(sorted(split_tops))}, which are named like splits, beside {beside}: "
                "use either split folders only or class folders only."
            )
        if split_tops:
            logger.warning(
                "%s: %s are next to other folders of pictures and so are read as classes, not as splits.",
                folder, ", ".join(sorted(split_tops)),
            )  # fmt: skip
        return {"train": places}
    found: dict[str, dict[PurePosixPath, PurePosixPath]] = {}
    for path, place in places.items():
        split = SPLIT_NAMES[place.parts[0].lower()]
        found.setdefault(split, {})[path] = PurePosixPath(*place.parts[1:])
    return found


def _labels(folder: Path, places: dict[PurePosixPath, PurePosixPath]) -> dict[PurePosixPath, str | None]:
    """The class of each picture: the name of its folder, or of the top-level folder below the split if pictures lie at
    different depths or all in folders of one name."""
    depths = Counter(len(place.parts) - 1 for place in places.values())
    if len(depths) == 1 and (next(iter(depths)) < 2 or len({place.parts[-2] for place in places.values()}) > 1):
        labels = {path: place.parts[-2] if len(place.parts) > 1 else None for path, place in places.items()}
    else:
        labels = {path: place.parts[0] if len(place.parts) > 1 else None for path, place in places.items()}
    names = {label for label in labels.values() if label is not None}
    if len(names) < 2:
        return {}
    if len(depths) > 1:
        loose = [path for path, label in labels.items() if label is None]
        logger.warning(
            "%s: pictures lie at different depths; the class of each is its top-level folder%s.", folder,
            f", and {len(loose)} beside the folders, such as {loose[0]}, to none" if loose else "",
        )  # fmt: skip
    return labels


def _metadata(
    folder: Path, files: list[PurePosixPath], pictures: set[PurePosixPath]
) -> dict[PurePosixPath, dict[str, Any]]:
    """Rows of all metadata files by picture; `file_name` is relative to the folder of the metadata file."""
    import pandas as pd

    found: dict[PurePosixPath, dict[str, Any]] = {}
    for path in files:
        if path.name not in METADATA:
            continue
        try:
            if path.suffix == ".jsonl":
                table: Any = pd.read_json(folder / path, lines=True)
            else:
                table = (pd.read_csv if path.suffix == ".csv" else pd.read_parquet)(folder / path)
        except ValueError as error:  # base class of the errors of pandas and pyarrow
            raise ValueError(f"{folder / path} cannot be read: {error}.") from error
        if "file_name" not in table:
            raise ValueError(f"{folder / path} has no column file_name; it has {', '.join(map(str, table))}.")
        table = table.astype(object).where(table.notna(), None)
        for row in table.to_dict("records"):
            picture = PurePosixPath(os.path.normpath(path.parent / str(row.pop("file_name"))))
            if picture not in pictures:
                raise ValueError(f"{folder / path} names {picture}, which is not a picture in {folder}.")
            found[picture] = {str(key): value for key, value in row.items()}
    if found and len(found) < len(pictures):
        missing = len(pictures - found.keys())
        logger.warning("%s: %d of %d pictures have no row of metadata.", folder, missing, len(pictures))
    return found

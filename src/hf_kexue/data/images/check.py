"""Check images before training on them: sizes, modes, classes, broken files, duplicates, tiny and blank images.

    report, thumbnails = check_images(load_images("photographs", label_column="auto"), resolution=64, batch_size=32)
    print(report)                            # a table
    report.usable                            # whether the data are fit for training

The data are usable unless more than 1 % of the pictures, and more than one, are broken or they do not fill one batch.
All other findings are only counted.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from ..data_reports import DataReport
from .broken import LIMIT, are_too_many
from .pixels import image_to_pixels
from .reading import ImageSource

RARE = 10  # pictures of a class below which it is rare
SHOWN = 12  # thumbnails of a class or a finding
THUMBNAIL = 96
LONG_CAPTION = 48  # tokens of the text encoder that training makes; its tokens are characters

FINDINGS = {
    "broken": ("broken pictures", "images"),
    "unlabelled": ("pictures without a label", "images"),
    "doubles": ("duplicated pictures", "images"),
    "other_label": ("duplicated pictures with another label", "images"),
    "held_out": ("pictures that are also in {held_out}", "images"),
    "small": ("smaller than {resolution} pixels, so enlarged", "images"),
    "elongated": ("more than half cropped by the square", "images"),
    "transparent": ("transparent, so drawn on {background}", "images"),
    "one_colour": ("of one colour", "images"),
    "uncaptioned": ("pictures without a caption", "images"),
    "same_caption": ("pictures whose first caption another has", "images"),
    "long_captions": ("captions of more than {long_caption} characters", "captions"),
    "rare_classes": ("classes with fewer than {rare} pictures", "classes"),
}


class ImageReport(DataReport):
    """Result of `check_images`.

    Args:
        settings: `resolution`, `batch_size`, `background`, `rare`, `held_out`, the name of the other split, and
            `long_caption`.
        totals: number of `images`, `classes` and `captions`; `shortest` and `longest` side in pixels, and `middle`,
            the median of the shorter sides.
        counts, examples: as of `DataReport`, for each of `FINDINGS`.

    `modes` counts the modes of Pillow, `classes` the pictures of each class.
    """

    findings = FINDINGS
    faults = ()
    head = (
        "{images} pictures, {classes} classes; sides of {shortest} to {longest} pixels, median of the shorter "
        "one {middle}"
    )

    modes: Counter[str]
    classes: Counter[str]

    @property
    def problems(self) -> list[str]:
        """Why the data are not usable; empty if they are."""
        problems, images, broken = super().problems, self.totals["images"], self.counts["broken"]
        if are_too_many(broken, images):
            problems.append(f"{broken} of {images} pictures are broken, more than {LIMIT:.0%}")
        if images - broken < self.settings["batch_size"]:
            problems.append(f"{images - broken} pictures do not fill one batch of {self.settings['batch_size']}")
        return problems

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {**super().to_dict(), "modes": dict(self.modes), "classes": dict(self.classes)}

    def __str__(self) -> str:
        table, _, verdict = super().__str__().rpartition("\n\n")
        lines = [table, "", "modes    " + ", ".join(f"{mode} {count}" for mode, count in self.modes.most_common())]
        if self.classes:
            lines.append("classes  " + ", ".join(f"{name} {count}" for name, count in self.classes.most_common()))
        return "\n".join([*lines, "", verdict])


@dataclass
class Thumbnails:
    """Thumbnails of the training pictures, at most `SHOWN` each: JPEG bytes by class name ("" without classes), and
    (picture name, JPEG bytes) by finding."""

    classes: dict[str, list[bytes]] = field(default_factory=dict)
    findings: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)


def check_images(
    source: ImageSource,
    resolution: int,
    batch_size: int,
    held_out: ImageSource | None = None,
    split: str = "validation",
) -> tuple[ImageReport, Thumbnails]:
    """Decode every picture once and count its faults.

    Args:
        source: of `load_images`; not streamed.
        resolution: of the training, in pixels.
        batch_size: of the training.
        held_out: another split, which should have none of these pictures.
        split: its name.

    Returns:
        The report, and thumbnails by class and by finding.

    Raises:
        ValueError: for a stream.
    """
    from tqdm.auto import tqdm

    if source.streaming:
        raise ValueError("source must not be streamed: check a part of it without streaming.")
    settings = {
        "resolution": resolution, "batch_size": batch_size, "background": source.background, "rare": RARE,
        "held_out": split, "long_caption": LONG_CAPTION,
    }  # fmt: skip
    totals = {"images": len(source.rows), "classes": len(source.label_names), "captions": 0}
    totals |= {"shortest": 0, "longest": 0, "middle": 0}
    report, thumbnails = ImageReport(settings, totals), Thumbnails()
    report.modes, report.classes = Counter(), Counter(dict.fromkeys(source.label_names, 0))
    others = set() if held_out is None else {_digest(row[held_out.image_column], held_out) for row in held_out.rows}
    sides: list[tuple[int, int]] = []
    seen: dict[str, int | None] = {}
    for number, row in enumerate(tqdm(source.rows, desc="pictures", unit="picture", leave=False)):
        record = row[source.image_column] or {}
        path = Path(record.get("path") or f"row {number}")
        label = source.class_of(row[source.label_column]) if source.label_column else None
        class_name = "" if label in (None, len(source.label_names)) else source.label_names[label]
        # Class folders often number their pictures alike.
        name = f"{class_name}/{path.name}" if class_name and path.parent.name == class_name else path.name
        if source.label_column and not class_name:
            report.add("unlabelled", name)
        try:
            image = _opened(record)
            pixels = image_to_pixels(image, THUMBNAIL, source.background)
        except Exception as error:  # PIL raises a dozen kinds for files that are not pictures
            report.add("broken", f"{name} ({type(error).__name__})")
            continue
        report.modes[image.mode] += 1
        sides.append((min(image.size), max(image.size)))
        if class_name:
            report.classes[class_name] += 1
        digest = hashlib.sha256(pixels.numpy().tobytes()).hexdigest()
        flags = {
            "doubles": digest in seen,
            "other_label": digest in seen and seen[digest] != label,
            "held_out": digest in others,
            "small": min(image.size) < resolution,
            "elongated": max(image.size) > 2 * min(image.size),
            "transparent": _is_transparent(image),
            "one_colour": bool((pixels == pixels[:, :1, :1]).all()),
        }
        seen.setdefault(digest, label)
        thumbnail = _jpeg(Image.fromarray(pixels.permute(1, 2, 0).numpy()))
        of_class = thumbnails.classes.setdefault(class_name, [])
        if len(of_class) < SHOWN:
            of_class.append(thumbnail)
        for finding in [finding for finding, is_set in flags.items() if is_set]:
            report.add(finding, name)
            shown = thumbnails.findings.setdefault(finding, [])
            if len(shown) < SHOWN:
                shown.append((name, thumbnail))
    if sides:
        shorter, longer = zip(*sides)
        totals |= {"shortest": min(shorter), "longest": max(longer), "middle": round(median(shorter))}
        report.totals.update(totals)
    _check_captions(report, source)
    for name, count in report.classes.items():
        if count < RARE:
            report.add("rare_classes", name)
    return report, thumbnails


def _check_captions(report: ImageReport, source: ImageSource) -> None:
    """Count captions that are missing, that several pictures have, and that training cuts."""
    columns = source.captions
    if columns is None:
        return
    captions = [columns.all_of(row, bare=True) for row in source.rows.select_columns(columns.names)]
    report.totals["captions"] = sum(map(len, captions))
    first = Counter(texts[0] for texts in captions if texts)
    for number, texts in enumerate(captions):
        if not texts:
            report.add("uncaptioned", f"row {number}")
        elif first[texts[0]] > 1:
            report.add("same_caption", texts[0])
        for text in texts:
            if len(text) > LONG_CAPTION:
                report.add("long_captions", text)


def _opened(record: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(record["bytes"]) if record.get("bytes") else record["path"])


def _is_transparent(image: Image.Image) -> bool:
    """Whether a pixel is: an alpha channel alone changes nothing."""
    return image.has_transparency_data and any(image.convert("RGBA").getchannel("A").histogram()[:255])


def _digest(record: dict[str, Any] | None, source: ImageSource) -> str | None:
    """SHA-256 of a picture as the training sees it; None for a broken one."""
    try:
        pixels = image_to_pixels(_opened(record or {}), THUMBNAIL, source.background)
    except Exception:
        return None
    return hashlib.sha256(pixels.numpy().tobytes()).hexdigest()


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()

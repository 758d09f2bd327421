"""What lies in a folder, as one short text: whether a long run goes on with the model and the collection that it began
with, on whatever machine and whenever they were copied there.

    contents_of("model_cards/dgcnn-qa-zh")   # "9f86d081884c"; None for an id of the Hub
"""

from __future__ import annotations

import hashlib
from pathlib import Path

SAY_NOTHING = {".md", ".png", ".jpg"}  # cards and their pictures: no result depends on them


def contents_of(source: str | None) -> str | None:
    """Twelve hexadecimal digits of the names and bytes of all files below a folder, wherever it lies; hidden files,
    cards and pictures left out. None for what is no local folder.

    Raises:
        OSError: for a file that cannot be read.
    """
    folder = Path(source).expanduser() if source else None
    if folder is None or not folder.is_dir():
        return None
    digest = hashlib.sha256()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in sorted(files):
        if files[name].suffix.lower() in SAY_NOTHING or any(part.startswith(".") for part in name.split("/")):
            continue
        with files[name].open("rb") as file:
            digest.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    return digest.hexdigest()[:12]

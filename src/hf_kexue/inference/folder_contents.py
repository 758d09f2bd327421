"""What lies in a folder, as one short text: whether a long run goes on with the model and the collection that it began
with, on whatever machine and whenever they were copied there.

    contents_of("model_cards/dgcnn-qa-zh")   # "9f86d081884c"; None for an id of the Hub
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

SAY_NOTHING = {".md", ".png", ".jpg"}  # cards and their pictures: no result depends on them


def contents_of(source: str | None) -> str | None:
    """Twelve hexadecimal digits of the names and bytes of all files below a folder, wherever it lies; hidden files,
    cards and pictures left out. A collection that was saved again from the same passages has the same. None for what
    is no local folder.

    Raises:
        OSError: for a file that cannot be read.
    """
    folder = Path(source).expanduser() if source else None
    if folder is None or not folder.is_dir():
        return None
    digest = hashlib.sha256()
    folder, facts = _collection(folder)
    digest.update(facts)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in sorted(files):
        if files[name].suffix.lower() in SAY_NOTHING or any(part.startswith(".") for part in name.split("/")):
            continue
        with files[name].open("rb") as file:
            digest.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    return digest.hexdigest()[:12]


def _collection(folder: Path) -> tuple[Path, bytes]:
    """Of a collection the folder that its passages lie in, which has another name after each save, and all else that
    is said of it; of another folder this and nothing."""
    try:
        facts = json.loads((folder / "collection.json").read_text(encoding="utf-8"))
        data = folder / facts.pop("data")
    except (FileNotFoundError, ValueError, AttributeError, KeyError, TypeError):
        return folder, b""
    return (data, json.dumps(facts, sort_keys=True).encode()) if data.is_dir() else (folder, b"")

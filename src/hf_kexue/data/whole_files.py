"""Files that are seen whole or not at all, even where the disk fills or the process is killed.

with whole_file(path) as unfinished:       # a place beside it, which becomes `path` when the block ends
    save_file(tensors, unfinished)
write_whole(path, "text")
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A place to write a file at, which replaces `path` when the block ends and is removed when it raises.

    Args:
        path: of the file; what is there stays until the new one is complete and on disk.
    """
    unfinished = unfinished_path(path)
    try:
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a text as UTF-8, or bytes, as `whole_file` does."""
    with whole_file(path) as unfinished:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)


def unfinished_path(path: Path) -> Path:
    """Where this process writes what will be `path`; machines may share the folder."""
    return path.with_name(f".{path.name}.{_host()}.{os.getpid()}.unfinished")


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes of this machine left; that of running ones stays."""
    for path in folder.glob(f".*.{_host()}.*.unfinished"):
        try:
            os.kill(int(path.name.split(".")[-2]), 0)
        except ProcessLookupError:
            path.unlink(missing_ok=True)
        except (PermissionError, ValueError):
            continue


def _host() -> str:
    return re.sub(r"[^\w-]", "-", socket.gethostname())

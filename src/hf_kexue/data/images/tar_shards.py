"""Check the member names of tar shards (WebDataset)."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath


def check_tar_shards(folder: Path) -> None:
    """Check the headers of every `.tar` in a folder. Nothing is unpacked, neither here nor when shards are read.

    Args:
        folder: of the data set; its subfolders too.

    Raises:
        ValueError: for a truncated or invalid shard, and for a member that unpacking would write outside the folder:
            an absolute path, one with `..`, a link or a device.
    """
    for shard in sorted(folder.rglob("*.tar")):
        try:
            with tarfile.open(shard) as archive:
                for member in archive:
                    parts = PurePosixPath(member.name).parts
                    if ".." in parts or member.name.startswith("/") or not (member.isfile() or member.isdir()):
                        raise ValueError(
                            f"{shard} holds {member.name!r}; only plain files with relative paths are allowed."
                        )
        except tarfile.TarError as error:
            raise ValueError(f"{shard} is truncated or not a tar archive: {error}.") from error

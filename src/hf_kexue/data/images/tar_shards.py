"""Tar shards (WebDataset) of a local data set: what their members may be called."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath


def check_tar_shards(folder: Path) -> None:
    """Look through the headers of every `.tar` in a folder. Nothing is unpacked, neither here nor when they are read.

    Args:
        folder: of the data set; its subfolders too.

    Raises:
        ValueError: for a shard that is cut off or none at all, and for a member that would leave the folder were it
            unpacked: an absolute path, one with `..`, a link or a device.
    """
    for shard in sorted(folder.rglob("*.tar")):
        try:
            with tarfile.open(shard) as archive:
                for member in archive:
                    parts = PurePosixPath(member.name).parts
                    if ".." in parts or member.name.startswith("/") or not (member.isfile() or member.isdir()):
                        raise ValueError(
                            f"{shard} holds {member.name!r}; a shard of images holds files within its own folder only."
                        )
        except tarfile.TarError as error:
            raise ValueError(f"{shard} is no whole tar archive: {error}.") from error

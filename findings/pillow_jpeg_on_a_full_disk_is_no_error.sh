#!/usr/bin/env bash
# Pillow: a JPEG that the disk has no room for is cut, and save() returns as if all were well.
#
# Guess: where a file cannot be written save() raises OSError, whatever the format is.
# Seen:  Pillow 12.3.0 and 13.0.0, a file of 25 KB where 5,000 bytes fit: JPEG leaves 5,000 bytes and raises nothing;
#        PNG, WebP, BMP and TIFF raise OSError. A JPEG is handed to the system in one write, which may write less than it was given and
#        say so; the number is not looked at. The cut file opens, and raises only when its pixels are read.
# Use:   save into a BytesIO, and write its bytes with Python's own file.
#
# The limit of a file's size stands for the disk. Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
for version in 12.3.0 13.0.0; do
    "$folder/env/bin/python" -m pip install -q --disable-pip-version-check "pillow==$version"
    "$folder/env/bin/python" - "$folder" <<'PYTHON'
import io
import random
import resource
import sys
from pathlib import Path

import PIL
from PIL import Image

ROOM = 5000
picture = Image.frombytes("RGB", (200, 200), random.Random(0).randbytes(3 * 200 * 200))
resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
for suffix in ("jpg", "png", "webp", "bmp", "tif"):
    whole, path = io.BytesIO(), Path(sys.argv[1]) / f"picture.{suffix}"
    picture.save(whole, Image.registered_extensions()[f".{suffix}"])
    assert len(whole.getvalue()) > ROOM
    try:
        picture.save(path)
        raised = None
    except OSError as error:
        raised = error
    left = path.stat().st_size if path.is_file() else 0
    print(f"Pillow {PIL.__version__}, .{suffix} of {len(whole.getvalue())} bytes: {left} left, raised {raised!r}")
    assert (raised is None) == (suffix == "jpg")
    if suffix == "jpg":
        assert left == ROOM
        with Image.open(path) as opened:
            try:
                opened.load()
                raise AssertionError("the cut file was read")
            except OSError as error:
                print(f"  and read back: {opened.size}, then {error!r}")
    path.unlink(missing_ok=True)
PYTHON
done
echo "as described"

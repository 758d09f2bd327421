#!/usr/bin/env bash
# tensorboard 2.16.0: installing it brings a nightly build of TensorFlow, of today.
#
# Guess: the lowest version of a range behaves as the newest one does, a little older; tensorboard needs no TensorFlow.
# Seen:  tensorboard 2.16.0 asks for `tf-keras-nightly`, which asks for `tf-nightly`: more than two gigabytes, another
#        build every day, in an environment that was meant to hold pinned, old versions. 2.16.1 asks for tf-keras;
#        2.16.2 for neither.
# Use:   "tensorboard>=2.16.2", and resolve the lowest versions of your own ranges once in a while.
#
# Ends with 0 while that is so. Nothing of TensorFlow is downloaded: only what the packages ask for is read.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
for version in 2.16.0 2.16.1 2.16.2; do
    "$folder/env/bin/python" -m pip download -q --disable-pip-version-check --no-deps -d "$folder" "tensorboard==$version"
done
"$folder/env/bin/python" -m pip download -q --disable-pip-version-check --no-deps --pre -d "$folder" tf-keras-nightly
"$folder/env/bin/python" - "$folder" <<'PYTHON'
import re
import sys
import zipfile
from pathlib import Path


def asked(path):
    """Names that a wheel asks for without any extra."""
    with zipfile.ZipFile(path) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        lines = wheel.read(name).decode().splitlines()
    found = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist: ") and "extra ==" not in line]
    return {re.split(r"[\s<>=!;(\[~]", line)[0] for line in found}


wheels = {path.name.split("-")[1]: asked(path) for path in Path(sys.argv[1]).glob("tensorboard-*.whl")}
(nightly,) = Path(sys.argv[1]).glob("tf_keras_nightly-*.whl")
for version, names in sorted(wheels.items()):
    print(f"tensorboard {version} asks for", ", ".join(sorted(name for name in names if name.startswith("tf")) or ["neither"]))
print(nightly.name.split("-")[:2], "asks for", *sorted(asked(nightly)))
assert "tf-keras-nightly" in wheels["2.16.0"]
assert "tf-keras" in wheels["2.16.1"]
assert not [name for name in wheels["2.16.2"] if name.startswith("tf")]
assert "tf-nightly" in asked(nightly)
PYTHON
echo "as described"

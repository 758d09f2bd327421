#!/usr/bin/env bash
# datasets: a metadata file beside class folders takes their labels away, and nothing brings them back.
#
# Guess: captions in metadata.csv are added to the columns that the folders give (image, label), at least with
#        drop_labels=False.
# Seen:  datasets 5.2.0 gives image and caption; with drop_labels=False the same, with drop_metadata=True neither
#        caption nor label. No warning in any of the three.
# Use:   make labels of the names of the folders yourself.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check datasets==5.2.0 pillow==12.3.0
cd "$folder"
HF_HUB_OFFLINE=1 HF_HOME="$folder/cache" HF_DATASETS_DISABLE_PROGRESS_BARS=1 env/bin/python - <<'PYTHON'
from pathlib import Path

import datasets
from PIL import Image

for name in ("cat", "dog"):
    Path("pets", name).mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (8, 8)).save(Path("pets", name, f"{number}.png"))


def columns(**options):
    return sorted(datasets.load_dataset("imagefolder", data_dir="pets", split="train", **options).column_names)


before = columns()
Path("pets/metadata.csv").write_text("file_name,caption\n" + "".join(
    f"{name}/{number}.png,a {name}\n" for name in ("cat", "dog") for number in range(2)
))
seen = {
    "without metadata.csv": before,
    "with it": columns(),
    "with it, drop_labels=False": columns(drop_labels=False),
    "with it, drop_metadata=True": columns(drop_metadata=True),
}
print("datasets", datasets.__version__)
for case, found in seen.items():
    print(f"{case}: {found}")
assert list(seen.values()) == [["image", "label"], ["caption", "image"], ["caption", "image"], ["image"]], seen
PYTHON
echo "as described"

"""Write the files that several families hold alike: a family travels to the Hub alone, so each has its own copy.

    python dev/write_copies.py        or: make copies

Edit the file of simple_diffusion, then run this. `tests/hub/test_strict_loading.py` compares the copies.
"""

from __future__ import annotations

import shutil
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "hf_kexue"
ORIGINAL = PACKAGE / "simple_diffusion"
COPIES = {
    "strict_loading.py": ("dgcnn", "rsgan"),
    "modeling_from_hub.py": ("rsgan",),
    "pipeline_from_hub.py": ("rsgan",),
    "typed_config.py": ("rsgan",),
}


def main() -> None:
    for name, families in COPIES.items():
        for family in families:
            shutil.copyfile(ORIGINAL / name, PACKAGE / family / name)
            print(f"src/hf_kexue/{family}/{name}")


if __name__ == "__main__":
    main()

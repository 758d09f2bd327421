#!/usr/bin/env bash
# safetensors, torch and tokenizers: a file that the disk has no room for is no OSError.
#
# Guess: writing to a full disk raises OSError with its errno everywhere, so that `except OSError` reports it.
# Seen:  safetensors 0.8.0 raises SafetensorError, torch 2.13.0 RuntimeError ("unexpected pos", without a word about
#        room), tokenizers 0.23.3 a bare Exception; none of them is an OSError, and none has an errno. torch and
#        tokenizers leave what they had written under the name of the file; safetensors leaves the older file.
# Use:   catch Exception around a save, write beside the file, and rename when all of it is there.
#
# The limit of a file's size stands for the disk. Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check ${TORCH:-torch==2.13.0} safetensors==0.8.0 \
    tokenizers==0.23.3 numpy==2.4.6
"$folder/env/bin/python" -W ignore - "$folder" <<'PYTHON'
import resource
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

ROOM = 5000
folder = Path(sys.argv[1])
tensors = {"weight": torch.zeros(10_000)}
words = Tokenizer(models.WordLevel({str(number): number for number in range(5000)}, unk_token="0"))
save_file({"weight": torch.ones(10)}, folder / "safetensors")
older = (folder / "safetensors").read_bytes()
saves = {
    "safetensors": lambda path: save_file(tensors, path),
    "torch": lambda path: torch.save(tensors, path),
    "tokenizers": lambda path: words.save(str(path)),
}
resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
seen = {}
for name, save in saves.items():
    try:
        save(folder / name)
    except Exception as error:
        seen[name] = type(error).__name__, isinstance(error, OSError), hasattr(error, "errno")
        text = str(error).splitlines()[0]
        print(f"{name} {version(name)}: {type(error).__name__}: {text}; {(folder / name).stat().st_size} bytes are there")
assert seen == {
    "safetensors": ("SafetensorError", False, False),
    "torch": ("RuntimeError", False, False),
    "tokenizers": ("Exception", False, False),
}
assert (folder / "safetensors").read_bytes() == older
assert 0 < (folder / "torch").stat().st_size <= ROOM
assert (folder / "tokenizers").stat().st_size == ROOM
PYTHON
echo "as described"

"""Publish folders and run the snippets of their cards on the Hub: `client_cards.py WORKING_FOLDER FOLDER...`."""

import os
import re
import sys
from pathlib import Path

from hub_clients import Checks
from huggingface_hub import ModelCard

from hf_kexue.hub import publish

check, named = Checks(), []
folders = [Path(name).resolve() for name in sys.argv[2:]]
os.chdir(sys.argv[1])
for folder in folders:
    with check(folder.name):
        publish(folder, f"owner/{folder.name}")
        card = ModelCard.load(f"owner/{folder.name}")
        assert card.data.license
        snippet = re.findall(r"```python\n(.*?)```", card.text, flags=re.DOTALL)[0]
        named += re.findall(r'"(owner/[^"]+)"', snippet)
        assert "model_cards" not in snippet
        snippet = re.sub(r"num_inference_steps=\d+", "num_inference_steps=2", snippet)  # the same lines, sooner
        exec(compile(snippet, f"{folder.name}/README.md", "exec"), {"__name__": "__main__"})
check.report(**{"requests for": named})

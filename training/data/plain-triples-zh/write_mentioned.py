"""Write `mentioned.jsonl`: 500 sentences that mention things together without relating them.

    python training/data/plain-triples-zh/write_mentioned.py

Names are those of well-known people, works, companies, schools and places, drawn at random into the wordings of
mentioned.yaml, none of which training/template_sentences.py has. The same file comes out every time.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import yaml

SENTENCES = 500
HERE = Path(__file__).resolve().parent


def main() -> None:
    generator = random.Random(23)
    source = yaml.safe_load((HERE / "mentioned.yaml").read_text(encoding="utf-8"))
    words = {kind: text.split() for kind, text in source["names"].items()}
    wordings = source["wordings"]
    found: dict[str, None] = {}
    while len(found) < SENTENCES:
        used: set[str] = set()

        def fill(match: re.Match[str], used: set[str] = used) -> str:
            value = generator.choice([word for word in words[match[1]] if word not in used])
            used.add(value)
            return value

        found[re.sub(r"\{(\w+)\}", fill, wordings[len(found) % len(wordings)])] = None
    records = [{"kind": "只是一起提到（生成）", "text": text, "spo_list": []} for text in found]
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    (HERE / "mentioned.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# opencc: converting to simplified characters twice is not the same as once; names in simplified texts are damaged.
#
# Guess: t2s leaves a text alone that is simplified already, its own output at the least, so that mixed data can go
#        through it as a whole.
# Seen:  OpenCC 1.4.2: the words that keep an old character are known in their traditional spelling only. 畢昇 becomes 毕昇,
#        and 毕昇, which is how simplified texts write him, becomes 毕升; 蕭乾 → 萧乾 → 萧干, 旋乾轉坤 → 旋乾转坤 → 旋干转坤,
#        變徵 → 变徵 → 变征. tw2s and hk2s do the same. Words without a character to simplify (乾隆, 乾坤) stay.
# Use:   convert traditional sources alone, once, and remember which they were.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check opencc==1.4.2
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import opencc

print("opencc", version("opencc"))
SEEN = {  # traditional: once, twice
    "畢昇發明活字": ("毕昇发明活字", "毕升发明活字"),
    "作家蕭乾": ("作家萧乾", "作家萧干"),
    "旋乾轉坤": ("旋乾转坤", "旋干转坤"),
    "變徵之聲": ("变徵之声", "变征之声"),
    "乾隆皇帝": ("乾隆皇帝", "乾隆皇帝"),
    "扭轉乾坤": ("扭转乾坤", "扭转乾坤"),
}
for name in ("t2s", "tw2s", "hk2s"):
    convert = opencc.OpenCC(name).convert
    for text, expected in SEEN.items():
        once = convert(text)
        found = once, convert(once)
        print(f"{name}: {text} -> {' -> '.join(found)}")
        assert found == expected, (name, text, found)
PYTHON
echo "as described"

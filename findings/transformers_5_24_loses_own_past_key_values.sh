#!/usr/bin/env bash
# transformers 5.24: an output class of one's own that has a field past_key_values takes it no more by name, and loses it by place.
#
# Guess: the field was renamed to cache in the library's own outputs, with the old name still understood; a class of
#        one's own, as models with code on the Hub have, keeps the field that it declares, as with 5.23.
# Seen:  transformers 5.24.0: every subclass of ModelOutput renames the argument to cache, also where it has no such
#        field: by name a TypeError about an argument "cache" that nobody gave; by place no error, the value is None
#        and missing from keys() and to_tuple(), and reading it as an item raises KeyError 'cache'. With 5.23.0 all four work.
# Use:   name such a field otherwise (ours have none of that name), or return the library's own output classes.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/look.py" <<'PYTHON'
import sys
from dataclasses import dataclass

import transformers
from transformers.utils import ModelOutput


@dataclass
class Output(ModelOutput):
    logits: list | None = None
    past_key_values: list | None = None


def look(make):
    try:
        output = make()
    except TypeError as error:
        return f"TypeError: {error}"
    try:
        item = output["past_key_values"]
    except KeyError as error:
        item = f"KeyError {error}"
    return f"{output.past_key_values}, item {item}, keys {list(output.keys())}, tuple {output.to_tuple()}"


by_name = look(lambda: Output(logits=[1], past_key_values=[2]))
by_place = look(lambda: Output([1], [2]))
print(f"transformers {transformers.__version__}\n  by name: {by_name}\n  by place: {by_place}")
kept = "[2], item [2], keys ['logits', 'past_key_values'], tuple ([1], [2])"
lost = "None, item KeyError 'cache', keys ['logits'], tuple ([1],)"
if sys.argv[1] == "kept":
    assert (by_name, by_place) == (kept, kept)
else:
    assert by_name.startswith("TypeError") and "'cache'" in by_name and by_place == lost
PYTHON
for version in 5.23.0 5.24.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install -q --disable-pip-version-check transformers==$version huggingface_hub==2.4.0 tokenizers==0.23.3
    "$folder/$version/bin/python" -W ignore "$folder/look.py" "$([ $version = 5.23.0 ] && echo kept || echo lost)"
done
echo "as described"

#!/usr/bin/env bash
# datasets: a field that the first row lacks is dropped from all rows, by some of the ways in and not by others.
#
# Guess: rows with differing keys get the union of their columns, None where a row has none, as a JSON file does.
# Seen:  datasets 5.2.0: Dataset.from_list, from_generator and a map whose function returns such rows keep the keys of the
#        first row, and lose the others without a warning; pyarrow 26.0.1's Table.from_pylist is the same. load_dataset
#        of the same rows as JSON lines, concatenate_datasets and keys one level deeper, inside a dictionary, give the
#        union. The other way round, a first row with more keys, from_list fills up and map raises a KeyError.
# Use:   give features=, or make all rows alike first.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 numpy==2.4.6
HF_HUB_OFFLINE=1 "$folder/env/bin/python" -W ignore - "$folder" <<'PYTHON'
import json
import sys
from pathlib import Path

import datasets
import pyarrow
from datasets import Dataset, concatenate_datasets, load_dataset

datasets.disable_progress_bars()
datasets.logging.set_verbosity_error()
print("datasets", datasets.__version__, "pyarrow", pyarrow.__version__)
folder = Path(sys.argv[1])
ROWS = [{"question": "a"}, {"question": "b", "answer": "x"}]
(folder / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")


def rows(order):
    for number in order:
        yield ROWS[number]


def mapped(order):
    return Dataset.from_dict({"number": order}).map(lambda row: ROWS[row["number"]], remove_columns="number")


first = {
    "from_list": Dataset.from_list(ROWS).to_list(),
    "from_generator": Dataset.from_generator(rows, gen_kwargs={"order": (0, 1)}, cache_dir=str(folder)).to_list(),
    "map": mapped([0, 1]).to_list(),
    "pyarrow from_pylist": pyarrow.Table.from_pylist(ROWS).to_pylist(),
}
union = {
    "load_dataset": load_dataset("json", data_files=str(folder / "rows.jsonl"), split="train", cache_dir=str(folder)).to_list(),
    "concatenate_datasets": concatenate_datasets([Dataset.from_list([row]) for row in ROWS]).to_list(),
    "from_list, one level deeper": [row["in"] for row in Dataset.from_list([{"in": row} for row in ROWS]).to_list()],
    "from_list, longer row first": Dataset.from_list(ROWS[::-1]).to_list()[::-1],
}
for name, found in (first | union).items():
    print(f"{name}: {found}")
assert all(found == [{"question": "a"}, {"question": "b"}] for found in first.values())
assert all(found == [{"question": "a", "answer": None}, ROWS[1]] for found in union.values())
try:
    mapped([1, 0])
except KeyError as error:
    print("map, longer row first: KeyError", error)
else:
    raise AssertionError("map fills up")
PYTHON
echo "as described"

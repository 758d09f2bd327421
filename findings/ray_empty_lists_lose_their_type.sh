#!/usr/bin/env bash
# ray: a folder that Ray Data wrote is refused by pyarrow, pandas and datasets where all lists of one part are empty.
#
# Guess: the parts of one write_parquet have one schema, that of the data set, and whatever reads parquet reads them.
# Seen:  Ray 2.60.0 infers a schema part by part: rows of which some hold a list of objects and others an empty one become
#        list<struct> in one part and list<null> in the part whose lists are all empty. Ray reads the folder; pyarrow
#        26.0.1 and pandas refuse to cast, datasets ends in a DatasetGenerationError.
# Use:   return pyarrow tables with a written schema from map_batches.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check \
    "ray[data]==2.60.0" pyarrow==26.0.1 pandas==3.1.1 datasets==5.2.0 numpy==2.4.6
cd "$folder"
RAY_USAGE_STATS_ENABLED=0 HF_HUB_OFFLINE=1 HF_HOME="$folder/cache" HF_DATASETS_DISABLE_PROGRESS_BARS=1 \
    env/bin/python -W ignore - 2> "$folder/log" <<'PYTHON' || { cat "$folder/log"; exit 1; }
from pathlib import Path

import datasets
import pandas
import pyarrow
import pyarrow.parquet
import ray

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
print("ray", ray.__version__, "pyarrow", pyarrow.__version__)
TYPE = pyarrow.list_(pyarrow.struct({"subject": pyarrow.string(), "score": pyarrow.float64()}))
SCHEMA = pyarrow.schema({"row": pyarrow.int64(), "triples": TYPE})


def plain(batch):
    """Triples in the second half of the rows alone."""
    triples = [[{"subject": "李春", "score": 0.5}] if row >= 4 else [] for row in batch["id"]]
    return {"row": batch["id"], "triples": triples}


def typed(batch):
    return pyarrow.table({name: list(column) for name, column in plain(batch).items()}, schema=SCHEMA)


def attempts(folder):
    """What each reader makes of a folder: a number of rows, or an exception."""
    readers = {
        "pyarrow": lambda: pyarrow.parquet.read_table(folder).num_rows,
        "pandas": lambda: len(pandas.read_parquet(folder)),
        "datasets": lambda: len(datasets.load_dataset("parquet", data_dir=folder, split="train")),
        "ray": lambda: len(ray.data.read_parquet(folder).take_all()),
    }
    outcomes = {}
    for name, read in readers.items():
        try:
            outcomes[name] = read()
        except Exception as error:
            outcomes[name] = type(error).__name__
    return outcomes


seen = {}
for function in (plain, typed):
    folder = function.__name__
    ray.data.range(8, override_num_blocks=2).map_batches(function, batch_size=4).write_parquet(folder)
    types = [pyarrow.parquet.read_schema(part).field("triples").type for part in Path(folder).glob("*.parquet")]
    seen[folder] = attempts(folder)
    print(f"{folder}: {', '.join(sorted(map(str, types)))}\n    {seen[folder]}")
    assert len(types) == 2 and sum(pyarrow.types.is_null(kind.value_type) for kind in types) == (function is plain)
refused = dict.fromkeys(("pyarrow", "pandas"), "ArrowNotImplementedError") | {"datasets": "DatasetGenerationError"}
assert seen["plain"] == {**refused, "ray": 8}, seen
assert seen["typed"] == dict.fromkeys(("pyarrow", "pandas", "datasets", "ray"), 8), seen
PYTHON
echo "as described"

#!/usr/bin/env bash
# datasets: answers that are dates leave a JSON file as timestamps, and are written back as milliseconds.
#
# Guess: a JSON string is read as a string.
# Seen:  datasets 5.2.0: a column of a JSON lines file whose every text looks like 1998-05-01 becomes timestamp[s], the
#        lists of SQuAD-like answers too; rows hold datetime objects, to_json writes 893980800000. One other text in the
#        same file (an answer "unknown") and all stay strings. A second file of the same data set with such a text is
#        refused: the first file has settled the type. Streaming does the same, and features= with Value("string")
#        comes too late: it gives "1998-05-01 00:00:00", which is no longer a piece of the text it was taken from.
# Use:   read the lines with json and hand the rows over, Dataset.from_list.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check datasets==5.2.0
cd "$folder"
HF_HUB_OFFLINE=1 HF_HOME="$folder/cache" HF_DATASETS_DISABLE_PROGRESS_BARS=1 env/bin/python -W ignore - <<'PYTHON'
import datetime
import json
from pathlib import Path

import datasets
from datasets import Features, Value, load_dataset
from datasets.exceptions import DatasetGenerationError


def write(name, *answers):
    rows = [{"question": "哪一天？", "answers": {"text": [answer], "answer_start": [3]}} for answer in answers]
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(*files, **options):
    return load_dataset("json", data_files=list(files), split="train", **options)


write("dates.jsonl", "1998-05-01", "2001-12-31")
write("mixed.jsonl", "1998-05-01", "unknown")
print("datasets", datasets.__version__)
dates = read("dates.jsonl")
print("dates only:", dates.features["answers"]["text"], dates[0]["answers"]["text"])
assert dates[0]["answers"]["text"] == [datetime.datetime(1998, 5, 1)]
dates.to_json("back.jsonl")
back = json.loads(Path("back.jsonl").read_text().splitlines()[0])["answers"]["text"]
print("written back:", back)
assert back == [893980800000]
streamed = next(iter(read("dates.jsonl", streaming=True)))
assert streamed["answers"]["text"] == [datetime.datetime(1998, 5, 1)]
mixed = read("mixed.jsonl")
print("one other text:", mixed[0]["answers"]["text"])
assert mixed[0]["answers"]["text"] == ["1998-05-01"]
try:
    read("dates.jsonl", "mixed.jsonl")
except DatasetGenerationError as error:
    print("both files:", type(error).__name__, "from", error.__cause__)
else:
    raise AssertionError("two files that differ are read now")
strings = Features(
    {"question": Value("string"), "answers": {"text": [Value("string")], "answer_start": [Value("int64")]}}
)
kept = read("dates.jsonl", features=strings)
print("with features:", kept[0]["answers"]["text"])
assert kept[0]["answers"]["text"] == ["1998-05-01 00:00:00"]
rows = [json.loads(line) for line in Path("dates.jsonl").read_text().splitlines()]
assert datasets.Dataset.from_list(rows)[0]["answers"]["text"] == ["1998-05-01"]
PYTHON
echo "as described"

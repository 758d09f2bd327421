"""Files that are cut, damaged or hold something else: read as far as they go, or a clear error."""

import csv
import gzip
import io
import json
import warnings

import pyarrow
import pyarrow.parquet
import pytest
from fuzzing import FUZZ, JSON, changed, check_reason
from hypothesis import given
from hypothesis import strategies as st

from hf_kexue.data.questions.reading import read_qa
from hf_kexue.data.record_files import located_records
from hf_kexue.data.row_streams import rows_of_file, stream_rows
from hf_kexue.data.texts.reading import read_texts
from hf_kexue.data.texts.word_vectors import read_word_vectors
from hf_kexue.data.triples.reading import read_triples
from hf_kexue.data.triples.schemas import read_schema
from hf_kexue.inference.corpus_tasks import AskTask, ExtractTask

pytestmark = [pytest.mark.fuzz, pytest.mark.filterwarnings("ignore")]

QUESTION = {"id": "1", "question": "镭是谁发现的？", "context": "居里夫妇发现了镭。",
            "answers": {"text": ["居里夫妇"], "answer_start": [0]}}  # fmt: skip
SEVERAL = {"question": "镭是谁发现的？", "passages": [{"passage": "居里夫妇发现了镭。", "answer": "居里夫妇"}]}
TRIPLE = {"predicate": "发现", "subject": "居里夫妇", "subject_type": "人", "object": {"@value": "镭"},
          "object_type": {"@value": "物"}}  # fmt: skip
TRIPLES = {"text": "居里夫妇发现了镭。", "spo_list": [TRIPLE]}
SCHEMA = {"predicate": "发现", "subject_type": "人", "object_type": {"@value": "物"}}
RECORDS = {"questions": QUESTION, "passages": SEVERAL, "triples": TRIPLES, "schema": SCHEMA, "texts": {"text": "镭。"}}
READERS = {"questions": read_qa, "passages": read_qa, "triples": read_triples}
READERS |= {"schema": read_schema, "texts": read_texts}


def written(rows, form):
    """Records as bytes of a file."""
    lines = [json.dumps(row, ensure_ascii=bool(number % 2)) for number, row in enumerate(rows)]
    if form.startswith(".csv"):
        text = io.StringIO(newline="")
        table = csv.writer(text)
        table.writerows([["text", "question", "context"], *([row, "谁？", row] for row in lines)])
        content = text.getvalue().encode("utf-8", "replace")
    elif form == ".parquet":
        sink = io.BytesIO()
        texts = [line.encode("utf-8", "replace").decode() for line in lines]
        pyarrow.parquet.write_table(pyarrow.table({"text": texts}), sink, row_group_size=2)
        content = sink.getvalue()
    else:
        content = ("[" + ",".join(lines) + "]" if form == ".json" else "\n".join(lines)).encode("utf-8", "replace")
    return gzip.compress(content) if form.endswith(".gz") else content


@st.composite
def damaged(draw, content):
    """Bytes with one place cut out, overwritten, doubled, or nothing done to them."""
    kind = draw(st.sampled_from(["whole", "cut", "overwritten", "removed", "doubled", "encoded"]))
    start = draw(st.integers(0, len(content)))
    end = min(len(content), start + draw(st.integers(0, 8)))
    if kind == "cut":
        return content[:start]
    if kind == "overwritten":
        return content[:start] + draw(st.binary(max_size=8)) + content[end:]
    if kind == "removed":
        return content[:start] + content[end:]
    if kind == "doubled":
        return content[:end] + content[start:]
    if kind == "encoded":
        return content.decode("utf-8", "replace").encode(draw(st.sampled_from(["gb18030", "utf-16", "utf-8-sig"])))
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.mark.parametrize("kind", RECORDS)
@FUZZ
@given(data=st.data(), form=st.sampled_from([".json", ".jsonl", ".jsonl.gz", ".csv"]))
def test_readers_of_records(folder, kind, data, form):
    rows = [RECORDS[kind], changed(RECORDS[kind], data.draw), RECORDS[kind]]
    path = folder / f"{kind}{form}"
    path.write_bytes(data.draw(damaged(written(rows, form))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for options in ({}, {"on_error": "skip"})[: 1 if kind == "schema" else 2]:
            try:
                found = READERS[kind](path, **options)
            except ValueError as error:
                check_reason(error)
                continue
            assert found or kind == "schema"
            if kind in ("questions", "passages"):
                assert all(
                    start < 0 or passage[start : start + len(answer)] == answer
                    for example in found
                    for passage, answers, starts in zip(example.passages, example.answers, example.answer_starts)
                    for answer, start in zip(answers, starts)
                )


@FUZZ
@given(data=st.data(), form=st.sampled_from([".jsonl", ".json", ".csv", ".csv.gz", ".tsv", ".txt.gz", ".parquet"]))
def test_a_stream_never_stops_before_its_end(folder, data, form):
    """Whatever the file holds, each row is a dictionary or a reason; the rows from any place on are the same."""
    rows = [RECORDS["texts"], changed(RECORDS["triples"], data.draw), QUESTION, data.draw(JSON)]
    path = folder / f"stream{form}"
    path.write_bytes(data.draw(damaged(written(rows, form))))
    found = list(stream_rows(path))
    assert all(isinstance(row, dict) or (isinstance(row, ValueError) and str(row)) for _, row in found)
    assert all(place.startswith(path.name) for place, _ in found)
    skip = data.draw(st.integers(0, 5))
    if not (form == ".parquet" and any(isinstance(row, ValueError) for _, row in found)):
        assert list(map(str, rows_of_file(path, skip))) == list(map(str, found[skip:]))
    for task in (ExtractTask("model"), AskTask("model"), AskTask("model", context="镭")):
        assert all(task.size(row) >= 0 for _, row in found)
    try:
        for _, record in located_records(path) if form != ".parquet" and ".txt" not in form else ():
            assert record is not None or b"null" in path.read_bytes()
    except ValueError as error:
        check_reason(error)


@FUZZ
@given(data=st.data(), row=st.one_of(JSON, st.builds(dict, question=JSON, context=JSON), st.builds(dict, text=JSON)))
def test_a_row_of_anything_is_read_or_set_aside(data, row):
    """`results` of rows without a text or question of their own reaches no model."""
    tasks = ExtractTask("no-model"), AskTask("no-model")
    assert all(task.size(row) >= 0 for task in tasks)
    if isinstance(row, dict):
        without = {**row, "text": 3, "question": data.draw(st.sampled_from(["", 3, None]))}
        for task in tasks:
            (result,) = task.results([without])
            assert isinstance(result, (ValueError, TypeError))
            check_reason(result)


VECTORS = "3 2\n镭 0.5 1\n居里 -1e3 .25\n发 现 1 2\n".encode()


@FUZZ
@given(data=st.data(), name=st.sampled_from(["vectors.txt", "vectors.bin", "vectors.txt.gz"]))
def test_word_vectors(folder, data, name):
    content = data.draw(damaged(gzip.compress(VECTORS) if name.endswith(".gz") else VECTORS))
    (folder / name).write_bytes(content)
    try:
        found = read_word_vectors(folder / name)
    except ValueError as error:
        check_reason(error)
        return
    words, vectors = found
    assert len(words) == len(vectors)

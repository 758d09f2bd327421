"""Runs over a corpus: parts that survive kills, shards, rows set aside, and the forms of the output."""

import csv
import gzip
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import pyarrow
import pyarrow.parquet
import pytest
import torch
from killed_runs import Kill, killed_run, start_server
from safetensors.torch import load_file, save_file
from tiny_models import save_extractor, save_reader
from typer.testing import CliRunner

from hf_kexue.cli.main import app
from hf_kexue.collections import PassageCollection
from hf_kexue.data.row_streams import corpus_files, rows_of_file, stream_rows
from hf_kexue.data.whole_files import remove_unfinished, unfinished_path
from hf_kexue.dgcnn import to_networkx
from hf_kexue.inference import corpus
from hf_kexue.inference.corpus import run_corpus
from hf_kexue.inference.corpus_tasks import ExtractTask, split_on_failure
from hf_kexue.inference.saved_models import load_pipeline

ALL = ["jsonl", "parquet", "csv", "graphml", "neo4j"]
BROKEN = {7: '{"txt": "镭"}', 8: '{"text": ', 21: '{"text": "\\ud800"}', 30: '{"text": 3}', 31: "[1]"}


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triples")
    save_extractor(folder)
    return str(folder)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    save_reader(folder)
    return str(folder)


def lines_of_texts(count):
    """Texts of all lengths, some of them blank, with the broken rows among them."""
    generator = random.Random(0)
    lines = []
    for number in range(count):
        text = "".join(generator.choices("居里夫妇发现了镭。", k=generator.choice([0, 1, 5, 30])))
        lines.append(BROKEN.get(number, json.dumps({"id": f"r{number}", "text": text}, ensure_ascii=False)))
    return lines


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    path.write_text("\n\n".join(lines_of_texts(60)), encoding="utf-8")
    return path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name[0] != "."}


def json_rows(folder, pattern="part-*.jsonl"):
    return [json.loads(line) for path in sorted(folder.glob(pattern)) for line in path.read_bytes().splitlines()]


def test_rows_are_those_of_the_pipeline(extractor, texts, tmp_path):
    """Every row is once in a part or once among those set aside, and holds what a call of the pipeline finds."""
    summary = run_corpus(ExtractTask(extractor), texts, tmp_path, formats=["jsonl"], part_rows=9)
    assert (summary.rows, summary.rejected, summary.parts, summary.computed) == (60, len(BROKEN), 7, 60)
    rows, rejected = json_rows(tmp_path), json_rows(tmp_path, "rejected-*.jsonl")
    assert [row["row"] for row in rejected] == list(BROKEN)
    assert [row["place"] for row in rejected] == [f"texts.jsonl, line {2 * number + 1}" for number in BROKEN]
    assert all(row["reason"] for row in rejected)
    assert sorted(row["row"] for row in [*rows, *rejected]) == list(range(60))
    assert [row["row"] for row in rows] == sorted(row["row"] for row in rows)
    written = {number: json.loads(line) for number, line in enumerate(lines_of_texts(60)) if number not in BROKEN}
    assert {row["row"]: {"id": row["id"], "text": row["text"]} for row in rows} == written
    pipeline = load_pipeline(extractor)
    assert any(row["triples"] for row in rows)
    for row in rows:
        expected = pipeline([row["text"]])[0]
        scores, others = zip(*((t.pop("score"), t) for t in row["triples"])) if row["triples"] else ((), ())
        assert list(others) == [{key: value for key, value in t.items() if key != "score"} for t in expected]
        assert scores == pytest.approx([t["score"] for t in expected], abs=1e-5)  # batches differ by rounding


@pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="the runs to be killed need a fork server"
)
@pytest.mark.parametrize(("attempts", "kills", "least"), [(1, 8, 5), pytest.param(3, 10, 20, marks=pytest.mark.slow)])
def test_killed_runs_leave_the_bytes_of_an_unbroken_one(extractor, texts, tmp_path, attempts, kills, least):
    """SIGKILL 8 and 30 times: at random moments, and between writing and renaming each kind of file."""
    run = partial(killed_run, start_server(), texts=texts, model=extractor, formats=ALL)
    assert run(tmp_path / "unbroken", kill=Kill()) == 0
    started = time.perf_counter()
    assert run(tmp_path / "once more", kill=Kill()) == 0
    seconds = time.perf_counter() - started
    expected = contents(tmp_path / "unbroken")
    assert contents(tmp_path / "once more") == expected
    assert sum(name.startswith("part-") for name in expected) == 3 * 10
    generator, killed = random.Random(0), 0
    for attempt in range(attempts):  # each a run that is killed until it ends
        folder = tmp_path / f"killed-{attempt}"
        for number in range(kills):
            at_rename = Kill(rename=generator.randint(1, 6), after=number % 4 == 1)
            at_random = Kill(seconds=generator.uniform(0, seconds / 8))
            status = run(folder, kill=at_rename if number % 2 else at_random)
            assert status in (0, -signal.SIGKILL)
            killed += status == -signal.SIGKILL
            left = contents(folder) if folder.is_dir() else {}
            assert left.items() <= expected.items()  # nothing is ever seen by halves
        assert run(folder, kill=Kill()) == 0
        assert contents(folder) == expected
        assert not list(folder.glob("*unfinished"))
    assert killed >= least


def test_shards_are_the_whole(extractor, texts, tmp_path):
    """Each row is in one shard; the graph waits for the last of them and is that of a single run."""
    task = ExtractTask(extractor)
    run_corpus(task, texts, tmp_path / "one", formats=ALL, part_rows=7)
    for shard in (2, 1, 3):
        summary = run_corpus(task, texts, tmp_path / "three", formats=ALL, part_rows=7, shard=(shard, 3))
        assert summary.rows == 20
        assert summary.waits_for == {2: (1, 3), 1: (3,), 3: ()}[shard]
        assert (tmp_path / "three" / "graph.graphml").exists() == (shard == 3)
        names = [path.name for path in (tmp_path / "three").glob(f"*-{shard}-of-3-*.jsonl")]
        rows = [json.loads(line)["row"] for name in names for line in (tmp_path / "three" / name).open()]
        assert sorted(rows) == list(range(shard - 1, 60, 3))
    pairs = [
        [{(t["subject"]["text"], t["predicate"]) for row in json_rows(tmp_path / name) for t in row["triples"]}]
        for name in ("one", "three")
    ]
    assert pairs[0] == pairs[1]


def test_the_graph_is_that_of_the_triples(extractor, texts, tmp_path):
    networkx = pytest.importorskip("networkx")
    run_corpus(ExtractTask(extractor), texts, tmp_path, formats=ALL, part_rows=20)
    rows = json_rows(tmp_path)
    expected = to_networkx([row["triples"] for row in rows])
    graph = networkx.read_graphml(tmp_path / "graph.graphml", force_multigraph=True)
    names = networkx.get_node_attributes(graph, "name")
    assert sorted(names.values()) == sorted(expected.nodes)
    found = {(names[a], names[b], data["predicate"]): data for a, b, data in graph.edges(data=True)}
    assert found.keys() == set(expected.edges(keys=True))
    for key, data in found.items():
        edge = expected.edges[key]
        assert data["score"] == pytest.approx(edge["score"], abs=0)
        assert data["rows"] == len({span["text"] for span in json.loads(edge["spans"])})
    nodes, relations = (list(csv.reader((tmp_path / name).open())) for name in ("nodes.csv", "relations.csv"))
    assert nodes[0] == ["mention:ID", "name", "types:string[]", ":LABEL"]
    assert relations[0][:3] == [":START_ID", ":END_ID", ":TYPE"]
    by_id = {row[0]: row[1] for row in nodes[1:]}
    assert len(by_id) == len(nodes) - 1
    assert {(by_id[a], by_id[b], predicate) for a, b, predicate, *_ in relations[1:]} == found.keys()


def test_tables_hold_the_triples(extractor, texts, tmp_path):
    """Parquet as one data set, though some parts have no triple; CSV with a line for each."""
    path = tmp_path / "texts.jsonl"
    path.write_text('" "\n' * 3 + '"居里夫妇发现了镭。"\n' * 3, encoding="utf-8")
    run_corpus(ExtractTask(extractor), path, tmp_path / "out", formats=ALL[:3],
               part_rows=3)  # fmt: skip
    rows = json_rows(tmp_path / "out")
    assert [bool(row["triples"]) for row in rows] == [False] * 3 + [True] * 3
    tables = [pyarrow.parquet.read_table(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    assert tables[0].schema == tables[1].schema
    for row, found in zip(rows, pyarrow.concat_tables(tables).to_pylist(), strict=True):
        assert found["id"] is None
        assert (found["row"], found["text"]) == (row["row"], row["text"])
        for triple in [t[role] for t in found["triples"] for role in ("subject", "object")]:
            assert triple.pop("type") is None
        assert found["triples"] == row["triples"]
    lines = [line for path in sorted((tmp_path / "out").glob("*.csv")) for line in csv.DictReader(path.open())]
    triples = [(row["row"], t) for row in rows for t in row["triples"]]
    assert len(lines) == len(triples) > 0
    for line, (number, triple) in zip(lines, triples):
        assert (int(line["row"]), line["predicate"]) == (number, triple["predicate"])
        for role in ("subject", "object"):
            assert line[role] == triple[role]["text"]
            assert (int(line[f"{role}_start"]), int(line[f"{role}_end"])) == (
                triple[role]["start"],
                triple[role]["end"],
            )


def write_all_forms(folder):
    """The same three texts in each form, and what is broken in it: name -> number of broken rows."""
    texts = ["居里夫妇发现了镭。", '一行\n两行，"引号"', "镭"]
    records = [{"text": text} for text in texts]
    lines = [json.dumps(row, ensure_ascii=False) for row in records]
    (folder / "a.jsonl").write_text("\n".join([*lines, "{", "3"]), encoding="utf-8")
    with gzip.open(folder / "b.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n" + "居" * 9999)
    content = (folder / "b.jsonl.gz").read_bytes()
    (folder / "b.jsonl.gz").write_bytes(content[:-8])
    with (folder / "c.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [["id", "text"], *([i, text] for i, text in enumerate(texts)), ["too", "many", "x"]]
        )
    with (folder / "c.csv").open("ab") as file:
        file.write("9,镭".encode("gbk") + b'\r\n"a"b,c\r\n')
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), folder / "d.parquet")
    (folder / "e.json").write_text(json.dumps(records), encoding="utf-8")
    (folder / "f.parquet").write_bytes(b"no parquet")
    (folder / "g.tsv").write_text("text\n镭\n", encoding="utf-8")
    (folder / "note.md").write_text("no data")
    return texts, {"a.jsonl": 2, "b.jsonl.gz": 1, "c.csv": 3, "d.parquet": 0, "e.json": 0, "f.parquet": 1, "g.tsv": 0}


def test_rows_of_all_forms(tmp_path):
    """File by file in a folder; what is broken is one row, and the rest is read."""
    texts, broken = write_all_forms(tmp_path)
    found = {name: [] for name in broken}
    for place, row in stream_rows(tmp_path):
        found[place.partition(",")[0]].append(row)
    for name, rows in found.items():
        good = [row["text"] for row in rows if not isinstance(row, ValueError)]
        assert good == (["镭"] if name == "g.tsv" else [] if name == "f.parquet" else texts), name
        assert len(rows) - len(good) == broken[name], name
    (tmp_path / "train.txt").write_text("镭\r\n\n居里\n", encoding="utf-8")
    assert [row for _, row in stream_rows(str(tmp_path))] == [{"text": "镭"}, {"text": "居里"}]


def test_rows_of_a_file_from_any_row_on(tmp_path):
    """As the rest of all of its rows; parquet with and without row groups, over several batches of reading."""
    write_all_forms(tmp_path)
    table = pyarrow.table({"text": [f"镭{number}" for number in range(2500)]})
    pyarrow.parquet.write_table(table, tmp_path / "g.parquet", row_group_size=1100)
    pyarrow.parquet.write_table(table, tmp_path / "h.parquet")
    starts = []
    rows = list(stream_rows(tmp_path, starts=starts))
    for path, start, end in zip(corpus_files(tmp_path), starts, [*starts[1:], len(rows)], strict=True):
        expected = [(place, str(row)) for place, row in rows[start:end]]
        for skip in {0, 1, 2, 1023, 1024, 1099, 1100, 1101, 2200, 2499, 2500, 2501} if end - start > 99 else range(12):
            found = [(place, str(row)) for place, row in rows_of_file(path, skip)]
            assert found == expected[skip if path.name != "f.parquet" else 0 :], (path.name, skip)


def test_rows_of_a_file_are_read_as_they_are_needed(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("text\n" + "镭\n" * 50_000, encoding="utf-8")
    rows = stream_rows(path)
    assert next(rows) == ("long.csv, line 2", {"text": "镭"})
    rows.close()


def test_a_table_whose_first_line_is_none(tmp_path):
    """UTF-16: a carriage return within a field that is not quoted."""
    (tmp_path / "a.csv").write_bytes("text,id\r\n".encode("utf-16"))
    (tmp_path / "b.csv").write_text("text\n镭\n", encoding="utf-8")
    (place, error), good = stream_rows(tmp_path)
    assert (place, good) == ("a.csv", ("b.csv, line 2", {"text": "镭"}))
    assert "the rest of the file cannot be read" in str(error)


def test_a_row_that_fails_is_alone():
    def compute(items):
        if 5 in items or 6 in items:
            raise RuntimeError(f"cannot take {[i for i in items if i in (5, 6)]}")
        return [10 * item for item in items]

    results = split_on_failure(compute, list(range(9)))
    assert [str(r) if isinstance(r, RuntimeError) else r for r in results] == [
        0, 10, 20, 30, 40, "cannot take [5]", "cannot take [6]", 70, 80,
    ]  # fmt: skip
    with pytest.raises(KeyError):
        split_on_failure(lambda items: {}[0], [1])


def invoke(*argv):
    return CliRunner().invoke(app, [str(argument) for argument in argv])


def test_questions_from_a_file(reader, tmp_path):
    records = [
        {"id": 1, "question": "谁发现了镭？", "context": "居里夫妇发现了镭。"},
        {"id": 2, "question": " ", "context": "镭"},
        {"id": 3, "question": "谁发现了镭？", "passages": ["镭", "居里夫妇发现了镭。"]},
        {"id": 4, "question": "谁？"},
    ]
    path = tmp_path / "validation.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    formats = ("--format", "csv", "--format", "jsonl", "--format", "parquet")
    result = invoke("ask", reader, "--questions", path, "--to", tmp_path / "out", *formats, "--top-k", 2)
    assert result.exit_code == 0, result.output
    rows = json_rows(tmp_path / "out")
    pipeline = load_pipeline(reader)
    assert [row["id"] for row in rows] == [1, 3]
    for row, record in zip(rows, (records[0], records[2])):
        expected = pipeline({key: value for key, value in record.items() if key != "id"}, top_k=2)
        for answer, one in zip(row["answers"], expected, strict=True):
            assert answer["answer"] == one["answer"]
            assert answer["score"] == pytest.approx(one["score"], abs=1e-5)
    assert [row["row"] for row in json_rows(tmp_path / "out", "rejected-*")] == [1, 3]
    lines = list(csv.DictReader((tmp_path / "out" / "part-1-of-1-00000.csv").open()))
    assert [line["answer"] for line in lines] == [a["answer"] for row in rows for a in row["answers"]]
    table = pyarrow.parquet.read_table(tmp_path / "out" / "part-1-of-1-00000.parquet").to_pylist()
    assert [[a["passage"] for a in row["answers"]] for row in table] == [
        [None if a.get("passage") is None else str(a["passage"]) for a in row["answers"]] for row in rows
    ]
    assert table[1]["answers"][0]["passage"] in ("0", "1")
    (tmp_path / "questions.txt").write_text("谁发现了镭？\n什么？\n", encoding="utf-8")
    text = ("--context", "居里夫妇发现了镭。")
    result = invoke("ask", reader, "--questions", tmp_path / "questions.txt", *text, "--to", tmp_path / "second")
    assert result.exit_code == 0, result.output
    assert [row["question"] for row in json_rows(tmp_path / "second")] == ["谁发现了镭？", "什么？"]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--shard", "0/2"], "0/2"),
        (["--shard", "half"], "half"),
        (["--format", "xlsx"], "xlsx"),
        (["--column", "body"], "60 rows"),
        (["--part-rows", "5"], "part_rows"),
        (["--predicate", "发现"], "another run"),
    ],
)
def test_runs_that_cannot_start(extractor, texts, tmp_path, argv, expected):
    """Nothing that lies in the folder changes."""
    folder = tmp_path / "out"
    if "--column" not in argv:
        assert invoke("extract", "--model", extractor, "--input", texts, "--to", folder).exit_code == 0
    before = contents(folder) if folder.exists() else None
    result = invoke("extract", "--model", extractor, "--input", texts, "--to", folder, *argv)
    assert result.exit_code == 1
    assert expected in str(result.exception)
    if before is not None:
        assert contents(folder) == before


def test_a_try_that_wrote_no_row_binds_no_other(extractor, texts, tmp_path):
    """The wrong column sets every row aside; with the right one the folder holds what a first run leaves in it."""
    folder, right = tmp_path / "out", tmp_path / "right"
    call = ("extract", "--model", extractor, "--input", texts, "--part-rows", "20")
    wrong = invoke(*call, "--to", folder, "--column", "body")
    assert "60 rows" in str(wrong.exception)
    assert len(json_rows(folder, "rejected-*.jsonl")) == 60  # the reasons stay
    assert invoke(*call, "--to", folder).exit_code == 0
    assert invoke(*call, "--to", right).exit_code == 0
    assert contents(folder) == contents(right)


def test_a_shard_in_work_binds_the_others(extractor, texts, tmp_path):
    """Whatever it has written until then."""
    run_corpus(ExtractTask(extractor), texts, tmp_path, formats=["jsonl"], shard=(1, 2))
    for path in [*tmp_path.glob("part-*"), *tmp_path.glob("done-*")]:
        path.unlink()
    with pytest.raises(ValueError, match="another run, with formats"):
        run_corpus(ExtractTask(extractor), texts, tmp_path, formats=["csv"], shard=(2, 2))


@pytest.mark.parametrize("shards", [(1, 2), (2, 1)])
def test_shards_that_wrote_no_row_bind_no_other(extractor, texts, tmp_path, shards):
    """Both were tried with the wrong column, or the whole was; then both with the right one, or the whole."""
    tries, last = shards

    def run(column, count):
        for number in range(1, count + 1):
            run_corpus(
                ExtractTask(extractor, column=column), texts, tmp_path, formats=["jsonl"], shard=(number, count)
            )

    for number in range(1, tries + 1):
        with pytest.raises(ValueError, match="were set aside"):
            run_corpus(
                ExtractTask(extractor, column="body"), texts, tmp_path, formats=["jsonl"], shard=(number, tries)
            )
    task = ExtractTask(extractor, settings={"occurrences": "some"})  # fails before its first part
    with pytest.raises(ValueError, match="some"):
        run_corpus(task, texts, tmp_path, formats=["jsonl"], shard=(1, 3))
    run("text", last)
    counts = [len(json_rows(tmp_path, pattern)) for pattern in ("part-*.jsonl", "rejected-*.jsonl")]
    assert sum(counts) == 60
    assert counts[0] > 50


def test_reasons_stay_where_parts_are(extractor, tmp_path):
    """Though the settings of the run were lost."""
    rows, folder = tmp_path / "rows.jsonl", tmp_path / "out"
    rows.write_text('{"text": "居里夫妇发现了镭。"}\n{"body": "no text"}\n', encoding="utf-8")
    for _ in range(2):
        summary = run_corpus(ExtractTask(extractor), rows, folder, formats=["jsonl"])
        assert (summary.rows, summary.rejected) == (2, 1)
        assert len(json_rows(folder, "rejected-*.jsonl")) == 1
        (folder / "run.json").unlink()


def test_other_weights_and_another_collection_are_another_run(reader, tmp_path):
    """Under the same names; with a new card it is the same run."""
    model, index, questions = tmp_path / "model", tmp_path / "index", tmp_path / "questions.txt"
    shutil.copytree(reader, model)
    questions.write_text("谁发现了镭？\n什么？\n", encoding="utf-8")
    PassageCollection(["居里夫妇发现了镭。"]).save(index)
    call = ("ask", model, "--questions", questions, "--index", index, "--to", tmp_path / "out")
    assert invoke(*call).exit_code == 0
    before = contents(tmp_path / "out")
    (model / "README.md").write_text("A card.\n", encoding="utf-8")
    assert invoke(*call).exit_code == 0
    PassageCollection(["居里夫妇发现了镭。"]).save(index)  # anew, in another folder within
    (index / "data-7").mkdir()  # of a save that was killed
    (index / "data-7" / "passages.txt").touch()
    assert invoke(*call).exit_code == 0
    (index / "data-7" / "passages.txt").unlink()
    (index / "data-7").rmdir()
    shutil.copytree(index, tmp_path / "first")
    PassageCollection(["镭由居里夫人发现。"]).save(index)
    assert "another run, with index contents" in str(invoke(*call).exception)
    shutil.rmtree(index)
    shutil.copytree(tmp_path / "first", index)
    weights = load_file(model / "model.safetensors")
    name = next(name for name in weights if weights[name].is_floating_point())
    weights[name] = weights[name] + 1
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    assert "another run, with model contents" in str(invoke(*call).exception)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(("name", "value"), [("predicates", ["发明"]), ("occurrences", "some"), ("batch", 3)])
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_wrong_settings_set_no_row_aside(extractor, texts, tmp_path, name, value, workers):
    task = ExtractTask(extractor, settings={name: value})
    with pytest.raises((ValueError, TypeError), match="发明" if name == "predicates" else name):
        run_corpus(task, texts, tmp_path, formats=["jsonl"], workers=workers)
    assert not list(tmp_path.glob("part-*")) + list(tmp_path.glob("rejected-*"))


@pytest.mark.parametrize(("option", "expected"), [("--index", "collection"), ("--file", "file")])
def test_questions_of_what_is_not_there(reader, tmp_path, option, expected):
    """A fault of the run is no fault of its rows: none of them is set aside."""
    (tmp_path / "questions.txt").write_text("谁发现了镭？\n" * 3, encoding="utf-8")
    wrong = tmp_path / "wrong"
    result = invoke("ask", reader, "--questions", tmp_path / "questions.txt", option, wrong, "--to", tmp_path / "out")
    assert result.exit_code == 1
    assert expected in str(result.exception)
    assert not list(tmp_path.glob("out/part-*")) + list(tmp_path.glob("out/rejected-*"))


def test_parquet_without_pyarrow(extractor, texts, tmp_path, monkeypatch):
    """Known before the first row, of the output and of the source."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match="pip install"):
        run_corpus(ExtractTask(extractor), texts, tmp_path / "out", formats=["jsonl", "parquet"])
    assert not (tmp_path / "out").exists()
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    with pytest.raises(ImportError, match="pip install"):
        next(stream_rows(tmp_path / "rows.parquet"))


def test_parts_do_not_go_where_rows_are_read(extractor, texts, tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.txt").write_text("居里夫妇发现了镭。", encoding="utf-8")
    (tmp_path / "file").write_text("mine")
    for source, folder in ((tmp_path / "corpus", "corpus"), (tmp_path / "corpus", "corpus/out"), (texts, "file")):
        with pytest.raises(ValueError, match="folder"):
            run_corpus(ExtractTask(extractor), source, tmp_path / folder, formats=["jsonl"])
    assert [path.name for path in (tmp_path / "corpus").iterdir()] == ["a.txt"]


def test_two_runs_of_one_shard(extractor, texts, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    with (tmp_path / ".lock-1-of-1").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="process"):
            run_corpus(ExtractTask(extractor), texts, tmp_path, formats=["jsonl"])


@pytest.mark.slow
def test_several_processes_write_the_same(extractor, texts, tmp_path):
    """Workers leave the bytes of one process, and end when what started them is killed."""
    command = [sys.executable, "-m", "hf_kexue", "extract", "--model", extractor, "--input", str(texts)]
    command += ["--part-rows", "4", "--workers", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    run_corpus(ExtractTask(extractor), texts, tmp_path / "one", formats=["jsonl"], part_rows=4)
    running = subprocess.Popen([*command, "--to", str(tmp_path / "two")], env=environment)
    while not list((tmp_path / "two").glob("part-*")) and running.poll() is None:
        time.sleep(0.05)
    running.kill()
    running.wait()
    for path in (tmp_path / "two").glob("part-*"):
        assert path.read_bytes() == (tmp_path / "one" / path.name).read_bytes()
    subprocess.run([*command, "--to", str(tmp_path / "two")], env=environment, check=True)
    for name in ("one", "two"):
        (tmp_path / name / "run.json").unlink()  # holds the same
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_parts_are_bounded_by_characters(monkeypatch):
    monkeypatch.setattr(corpus, "PART_CHARACTERS", 10)
    counts = {"rows": 0, "all_rows": 0}
    rows = iter([("", {"text": "镭" * size}) for size in (4, 4, 4, 1, 30, 1)])
    parts = corpus.parts_of(rows, (1, 1), 3, counts, ExtractTask("model").size)
    assert [[number for number, _, _ in part] for part in parts] == [[0, 1, 2], [3, 4], [5]]
    assert counts == {"rows": 6, "all_rows": 6}


def test_unfinished_files_of_the_dead_are_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mine = unfinished_path(tmp_path / "part.jsonl")
    host, dead = mine.name.split(".")[-3], mine.with_name(mine.name.replace(str(os.getpid()), str(ended.pid)))
    elsewhere = dead.with_name(dead.name.replace(host, f"{host}-2"))  # that process may live on its machine
    for path in (dead, mine, elsewhere):
        path.write_text("")
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, elsewhere.name}

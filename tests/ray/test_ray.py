"""A corpus on a Ray cluster: the parts of the command line, rows of Ray's own data sets, machines that are lost.

Most tests need no Ray: an actor's class is called as the engine calls it.
"""

import json
import pickle
import random
import sys
from functools import partial
from importlib.util import find_spec

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from tiny_models import save_extractor, save_reader

from hf_kexue.inference.corpus import run_corpus
from hf_kexue.ray import AskTask, ExtractTask, map_task, run_corpus_on_ray
from hf_kexue.ray.corpus import PartWorker
from hf_kexue.ray.rows import RowWorker

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason='needs Ray Data, pip install "hf-kexue[ray]"')
FORMATS = ["jsonl", "parquet", "csv"]


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


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Two parquet files, one that is none, and lines of which two are broken: 66 rows."""
    folder = tmp_path_factory.mktemp("texts")
    generator = random.Random(0)
    rows = [
        {"id": f"r{number}", "text": "".join(generator.choices("居里夫妇发现了镭。", k=generator.choice([0, 5, 30])))}
        for number in range(50)
    ]
    for name, some in (("a", rows[:20]), ("b", rows[20:])):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(some), folder / f"{name}.parquet", row_group_size=8)
    (folder / "c.parquet").write_bytes(b"no parquet")
    lines = [json.dumps(row) for row in rows[:13]]
    (folder / "d.jsonl").write_text("\n".join([*lines, '{"text": 3}', '{"text"']), encoding="utf-8")
    return folder


def contents(folder, *without):
    names = {path.name for path in folder.iterdir() if path.name[0] != "."} - {*without}
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def expected(extractor, texts, tmp_path_factory):
    """What the command line leaves."""
    folder = tmp_path_factory.mktemp("expected")
    summary = run_corpus(ExtractTask(extractor), texts, folder, formats=FORMATS, part_rows=9, progress=False)
    assert (summary.rows, summary.rejected, summary.parts) == (66, 3, 8)
    return contents(folder)


def places(**columns):
    return {name: np.array(values) for name, values in columns.items()}


def test_actors_write_the_parts_of_the_command_line(extractor, texts, expected, tmp_path):
    """In any order, each read where it begins; the third part begins in one file and ends in the next."""
    files = sorted(texts.iterdir())
    worker = PartWorker(ExtractTask(extractor), tmp_path, FORMATS, files, 5)
    starts, sizes = [0, 20, 50, 51], [20, 30, 1, 15]
    for number in (7, 2, 0, 5, 1, 6, 4, 3):
        first = 9 * number
        file = max(place for place, start in enumerate(starts) if start <= first)
        one = places(
            name=[f"part-1-of-1-{number:05d}"], first=[first], count=[min(9, sum(sizes) - first)], file=[file],
            skip=[first - starts[file]],
        )  # fmt: skip
        assert worker(one) is one
    found = contents(tmp_path)
    assert found == {name: content for name, content in expected.items() if name in found}
    assert expected.keys() - found.keys() == {"run.json", "done-1-of-1.json"}


def test_a_part_that_kills_its_workers_is_set_aside(extractor, texts, tmp_path):
    worker = PartWorker(ExtractTask(extractor), tmp_path, ["jsonl"], sorted(texts.iterdir()), 2)
    name = "part-1-of-1-00000"
    for attempt in range(2):
        (tmp_path / f".attempt-{name}-{attempt}").touch()
    worker(places(name=[name], first=[0], count=[4], file=[0], skip=[0]))
    assert (tmp_path / f"{name}.jsonl").read_bytes() == b""
    lines = (tmp_path / f"{name.replace('part', 'rejected')}.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in lines] == [0, 1, 2, 3]
    assert "2 workers died" in json.loads(lines[0])["reason"]


def test_a_corpus_that_shrinks_meanwhile(extractor, texts, tmp_path):
    worker = PartWorker(ExtractTask(extractor), tmp_path, ["jsonl"], sorted(texts.iterdir()), 2)
    with pytest.raises(ValueError, match="has changed: 9 rows were there, 7 are left"):
        worker.read(60, 9, 3, 8)


def test_batches_of_rows(extractor, reader):
    """Errors stay with their rows, and the schema does not depend on what is found."""
    worker = RowWorker(ExtractTask(extractor), "number")
    rows = [{"number": 3, "id": 7, "text": "居里夫妇发现了镭。"}, {"number": 1, "id": None, "text": " "},
            {"number": 2, "id": 8, "text": None}]  # fmt: skip
    table = worker(pyarrow.Table.from_pylist(rows))
    found = table.to_pylist()
    assert [(row["row"], row["id"], row["text"]) for row in found] == [
        (3, "7", rows[0]["text"]), (1, None, " "), (2, None, None)
    ]  # fmt: skip
    task = ExtractTask(extractor)
    assert [triple["score"] for triple in found[0]["triples"]] == [
        triple["score"] for triple in task.results(rows[:1])[0]["triples"]
    ]
    assert found[0]["triples"]
    assert [row["triples"] for row in found[1:]] == [[], None]
    assert [row["error"] for row in found] == [None, None, "text is null, not a string"]
    blank = worker(pyarrow.Table.from_pylist(rows[1:2]))
    assert blank.schema == table.schema
    question = {"number": 0, "question": "谁发现了镭？", "context": "居里夫妇发现了镭。"}
    (answer,) = RowWorker(AskTask(reader), "number")(pyarrow.Table.from_pylist([question])).to_pylist()
    assert answer["question"] == question["question"]
    assert answer["answers"][0]["answer"] in question["context"]


def test_a_task_travels_without_its_model(extractor):
    task = ExtractTask(extractor, settings={"batch_size": 2})
    before = pickle.dumps(task)
    assert task.results([{"text": "居里夫妇发现了镭。"}])[0]["triples"]
    assert pickle.dumps(task) == before
    assert pickle.loads(before) == task


def test_wrong_arguments(extractor, texts, tmp_path, monkeypatch):
    run = partial(run_corpus_on_ray, ExtractTask(extractor), formats=["jsonl"])
    with pytest.raises(ValueError, match="Hub id"):
        run("owner/texts", tmp_path)
    for wrong in ({"actors": 0}, {"attempts": 0}, {"cpus": -1.0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}.* must be at least"):
            run(texts, tmp_path, **wrong)
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ImportError, match=r"hf-kexue\[ray\]"):
        run(texts, tmp_path)
    with pytest.raises(ImportError, match=r"hf-kexue\[ray\]"):
        map_task(None, ExtractTask(extractor), index="number")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def on_ray():
    """A small Ray on this machine."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=2**27)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


@needs_ray
@pytest.mark.slow
def test_a_run_on_ray_is_that_of_the_command_line(extractor, texts, expected, on_ray, tmp_path):
    """Byte for byte; what is missing is made again, by an engine or the other."""
    task = ExtractTask(extractor)
    settings = {"formats": FORMATS, "part_rows": 9, "progress": False}
    summary = run_corpus_on_ray(task, texts, tmp_path, actors=2, **settings)
    assert (summary.rows, summary.rejected, summary.parts, summary.computed) == (66, 3, 8, 66)
    assert contents(tmp_path) == expected
    for number, run in enumerate((run_corpus_on_ray, run_corpus)):
        (tmp_path / f"part-1-of-1-{number:05d}.csv").unlink()
        assert run(task, texts, tmp_path, **settings).computed == 9
    assert contents(tmp_path) == expected
    assert run_corpus_on_ray(task, texts, tmp_path, **settings).computed == 0
    assert not list(tmp_path.glob(".attempt-*"))


@needs_ray
@pytest.mark.slow
def test_rows_of_a_data_set_of_ray(extractor, on_ray, tmp_path):
    rows = [{"number": number, "text": "居里夫妇发现了镭。"[: number % 10]} for number in range(40)]
    task = ExtractTask(extractor)
    dataset = on_ray.data.from_items(rows, override_num_blocks=3)
    found = map_task(dataset, task, index="number", batch_rows=8)  # the other CPU writes
    found.write_parquet(str(tmp_path))
    table = pyarrow.parquet.read_table(tmp_path)  # pyarrow refuses parts that differ
    results = sorted(table.to_pylist(), key=lambda row: row["row"])

    def places(triples):
        return [(one["predicate"], one["subject"]["start"], one["object"]["end"]) for one in triples]

    for row, result, plain in zip(rows, results, task.results(rows), strict=True):
        assert (result["row"], result["text"], result["error"]) == (row["number"], row["text"], None)
        assert places(result["triples"]) == places(plain["triples"])
    with pytest.raises(ValueError, match="column 'text' of whole numbers"):
        map_task(dataset, task, index="text")

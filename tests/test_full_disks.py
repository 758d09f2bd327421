"""A disk that fills while something is written: an error, what was there stays, and the same call works afterwards.

The limit of a file's size stands for the disk: a write beyond it fails as one without room does, for one file.
"""

import json
import resource
from contextlib import contextmanager

import pytest
import torch
from tiny_models import save_extractor, save_gan, save_pipeline, save_reader

from hf_kexue.data.record_files import write_records
from hf_kexue.data.whole_files import whole_file, write_whole
from hf_kexue.hub import export_repository
from hf_kexue.hub.repository import build_repository
from hf_kexue.inference.corpus_tasks import ExtractTask
from hf_kexue.inference.graph_files import GRAPH_FORMATS, write_graphs
from hf_kexue.inference.part_files import PART_FORMATS, write_part
from hf_kexue.inference.saved_models import load_pipeline

LIMITS = [0, 100, 4096, 20000]  # bytes


@contextmanager
def full_disk(limit):
    """Writes beyond this size of a file raise OSError: Python ignores the signal that would end the process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def contents(folder):
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def triples(version, count=200):
    mention = {"text": "居里夫妇", "start": 0, "end": 4, "type": "人"}
    triple = {"subject": mention, "predicate": "发现", "object": {**mention, "text": f"镭{version}"}, "score": 0.5}
    return [{"row": number, "id": None, "text": "居里夫妇发现了镭。", "triples": [triple]} for number in range(count)]


def as_records(folder, version):
    write_records(folder / "records.jsonl", triples(version))


def as_part(folder, version):
    rejected = [{"row": 1, "reason": f"no text {version}"}]
    write_part(folder, "part-1-of-1-00000", PART_FORMATS, ExtractTask("model").columns, triples(version), rejected)


def as_graphs(folder, version):
    write_whole(folder / "part-1-of-1-00000.jsonl", "".join(json.dumps(row) + "\n" for row in triples(version)))
    write_graphs(folder, GRAPH_FORMATS)


def as_text(folder, version):
    write_whole(folder / "results.json", json.dumps([version] * 50_000))


FILES = {"records": as_records, "part": as_part, "graphs": as_graphs, "text": as_text}


@pytest.mark.parametrize("kind", FILES)
def test_every_file_is_whole(tmp_path, kind):
    write, expected = FILES[kind], []
    for version in (0, 1):
        (tmp_path / str(version)).mkdir()
        write(tmp_path / str(version), version)
        expected.append(contents(tmp_path / str(version)))
    failures = 0
    for limit in LIMITS:
        folder = tmp_path / f"at-{limit}"
        folder.mkdir()
        write(folder, 0)
        with full_disk(limit):
            try:
                write(folder, 1)
            except Exception:
                failures += 1
        for name, content in contents(folder).items():
            assert content in (expected[0].get(name), expected[1].get(name)), f"{name} at {limit} bytes"
        write(folder, 1)
        assert contents(folder) == expected[1]
    assert failures > 0
    write_whole(tmp_path / "small", "0")
    with full_disk(1):
        write_whole(tmp_path / "small", "1")  # the limit is what fails, not the call
    assert (tmp_path / "small").read_text() == "1"


SAVED = {"reader": save_reader, "triples": save_extractor, "gan": save_gan, "diffusion": save_pipeline}


@pytest.mark.parametrize("how", ["export_repository", "build_repository"])
@pytest.mark.parametrize("kind", SAVED)
def test_a_repository_is_replaced_whole_or_not_at_all(tmp_path, kind, how):
    SAVED[kind](tmp_path / "model")
    pipeline = load_pipeline(str(tmp_path / "model"), device="cpu")
    export_repository(pipeline, tmp_path / "first")
    with torch.no_grad():
        network = getattr(pipeline, "model", None) or getattr(pipeline, "unet", None) or pipeline.generator
        next(network.parameters()).add_(1)
    export_repository(pipeline, tmp_path / "second")
    before, after = contents(tmp_path / "first"), contents(tmp_path / "second")
    assert before != after
    failures = 0
    for limit in LIMITS:
        folder = tmp_path / f"at-{limit}" / "model"
        build_repository(tmp_path / "first", folder)
        with full_disk(limit):
            try:
                if how == "export_repository":
                    export_repository(pipeline, folder)
                else:
                    build_repository(tmp_path / "second", folder)
            except Exception:
                failures += 1
        assert contents(folder) in (before, after), limit
        assert [path.name for path in folder.parent.iterdir()] == ["model"]  # nothing is left beside it
        build_repository(tmp_path / "second", folder)
        assert contents(folder) == after
    assert failures


def test_a_collection_stays_what_it_was(tmp_path):
    pytest.importorskip("bm25s", reason="the extra hf-kexue[collections] is not installed")
    from hf_kexue.collections import PassageCollection

    few = PassageCollection([("a", "居里夫妇发现了镭。")], segmenter="none")
    many = PassageCollection([(str(number), f"第{number}段，居里夫妇。") for number in range(500)], segmenter="none")
    failures = 0
    for limit in LIMITS:
        folder = tmp_path / str(limit)
        with full_disk(limit):
            try:
                many.save(folder)
            except OSError:
                assert contents(folder) == {}
                failures += 1
        few.save(folder)
        before = contents(folder)
        with full_disk(limit):
            try:
                many.save(folder)
            except OSError:
                assert contents(folder) == before
        assert len(PassageCollection.load(folder)) in (1, 500)
        many.save(folder)
        assert len(PassageCollection.load(folder)) == 500
    assert failures


def test_what_raises_leaves_nothing(tmp_path):
    write_whole(tmp_path / "file", b"before")
    with pytest.raises(KeyError), whole_file(tmp_path / "file") as unfinished:  # noqa: PT012
        unfinished.write_bytes(b"half")
        raise KeyError
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "file"):
        pass  # nothing was written
    assert contents(tmp_path) == {"file": b"before"}

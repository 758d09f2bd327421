"""Folders of pictures as people have them: no picture and no label is lost in silence."""

import json
import logging

import pytest
from PIL import Image

pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")

import pyarrow as pa
import pyarrow.parquet as pq

from hf_kexue.data.images import ImageDataset, image_loader, load_images


def write(folder, *places):
    for number, place in enumerate(places):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    return str(folder)


def names_in(source):
    """Names of the classes of the rows, None where there is none."""
    return [None if (label := row[source.label_column]) is None else source.label_names[label] for row in source.rows]


LAYOUTS = {
    "classes, one called train": (["bus/0.png", "car/0.png", "train/0.png"], ["bus", "car", "train"]),
    "classes called val and test": (["val/0.png", "test/0.png", "cat/0.png"], ["cat", "test", "val"]),
    "file names like splits": (["train_1.png", "test_1.png", "b.png"], []),
    "one folder above the classes": (["photos/cat/0.png", "photos/dog/0.png"], ["cat", "dog"]),
    "years below the classes": (["cat/2023/0.png", "dog/2023/1.png"], ["cat", "dog"]),
    "a nested folder": (["cat/0.png", "cat/kittens/1.png", "dog/0.png"], ["cat", "dog"]),
    "a picture beside the classes": (["cat/0.png", "dog/0.png", "both.png"], ["cat", "dog"]),
    "one folder": (["cat/0.png", "cat/1.png"], []),
    "hidden files": (["cat/0.png", "dog/0.png", "cat/.thumb.png", "__MACOSX/cat/0.png"], ["cat", "dog"]),
    "capital suffixes": (["cat/0.PNG", "dog/0.JPG"], ["cat", "dog"]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("streaming", [False, True], ids=["random access", "stream"])
def test_every_picture_and_class_is_read(tmp_path, layout, streaming):
    places, names = LAYOUTS[layout]
    source = load_images(write(tmp_path / "set", *places), label_column="auto", streaming=streaming)
    visible = [place for place in places if "/." not in place and "__" not in place]
    assert sorted(row["image"]["path"] for row in source.rows) == sorted(str(tmp_path / "set" / v) for v in visible)
    assert source.label_names == names


def test_labels_follow_the_uppermost_folder_at_different_depths(tmp_path, caplog):
    folder = write(tmp_path, "cat/0.png", "cat/kittens/1.png", "dog/0.png", "both.png")
    with caplog.at_level(logging.WARNING):
        source = load_images(folder, label_column="auto")
    paths = [row["image"]["path"].removeprefix(f"{tmp_path}/") for row in source.rows]
    assert dict(zip(paths, names_in(source))) == {
        "both.png": None, "cat/0.png": "cat", "cat/kittens/1.png": "cat", "dog/0.png": "dog"
    }  # fmt: skip
    assert "both.png" in caplog.text
    # The index after the last class is the null class.
    assert [ImageDataset(source, 8)[n]["class_labels"] for n in range(4)] == [2, 0, 0, 1]


def test_splits_share_the_indices_of_their_classes(tmp_path):
    folder = write(tmp_path, "train/cat/0.png", "train/dog/0.png", "train/eel/0.png", "val/dog/0.png", "val/eel/0.png")
    source = load_images(folder, split="validation", label_column="auto")
    assert source.label_names == ["cat", "dog", "eel"]
    assert [row["label"] for row in source.rows] == [1, 2]
    assert len(load_images(folder, split="train[1:]").rows) == 2
    with pytest.raises(ValueError, match=r"'test'.*\['train', 'validation'\]"):
        load_images(folder, split="test")


@pytest.mark.parametrize(
    "places", [["train/0.png", "val/0.png", "cover.png"], ["train/cat/0.png", "val/cat/0.png", "spare/0.png"]]
)
def test_splits_beside_something_else_are_refused(tmp_path, places):
    with pytest.raises(ValueError, match=r"train, val.*(cover\.png|spare)"):
        load_images(write(tmp_path, *places))


ROWS = [
    {"file_name": "cat/0.png", "caption": "a cat", "mood": "calm"},
    {"file_name": "cat/1.png", "caption": "a cat again", "mood": "wild"},
    {"file_name": "dog/0.png", "caption": "a dog", "mood": "wild"},
    {"file_name": "dog/1.png", "caption": "a dog again", "mood": None},
]


def write_metadata(folder, kind, rows):
    if kind == "csv":
        lines = [",".join(rows[0]), *(",".join(value or "" for value in row.values()) for row in rows)]
        (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    elif kind == "jsonl":
        (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_class_folders_beside_metadata_keep_their_labels(tmp_path, kind):
    folder = write(tmp_path / "set", *(row["file_name"] for row in ROWS))
    write_metadata(tmp_path / "set", kind, ROWS)
    assert names_in(load_images(folder, label_column="auto")) == ["cat", "cat", "dog", "dog"]
    assert names_in(load_images(folder, label_column="mood")) == ["calm", "wild", "wild", None]
    with pytest.raises(ValueError, match="caption"):  # a text of its own for each picture
        load_images(folder, label_column="caption")


def test_a_label_column_of_metadata_is_found(tmp_path):
    folder = write(tmp_path / "set", "0.png", "1.png", "2.png", "3.png", "4.png")
    rows = [{"file_name": f"{n}.png", "label": name} for n, name in enumerate(["b", "a", "b", "a"])]
    write_metadata(tmp_path / "set", "jsonl", rows)
    source = load_images(folder, label_column="auto")
    assert names_in(source) == ["b", "a", "b", "a", None]
    assert names_in(load_images(folder, label_column="auto", unlabelled="drop")) == ["b", "a", "b", "a"]
    for memory in (0, 2**20):
        (batch,) = image_loader(source, 8, 5, train=False, memory=memory)
        assert batch["class_labels"].tolist() == [1, 0, 1, 0, 2]


@pytest.mark.parametrize(
    ("rows", "named"),
    [([{"file_name": "nowhere.png", "label": "a"}], "nowhere.png"), ([{"file": "0.png"}], "file_name")],
)
def test_metadata_that_does_not_fit_is_refused(tmp_path, rows, named):
    folder = write(tmp_path / "set", "0.png", "1.png")
    write_metadata(tmp_path / "set", "jsonl", rows)
    with pytest.raises(ValueError, match=named):
        load_images(folder)


def test_files_that_pillow_cannot_read_are_reported(tmp_path, caplog):
    folder = write(tmp_path, "0.png")
    (tmp_path / "1.HEIC").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert len(load_images(folder).rows) == 1
    assert "1 .heic" in caplog.text


@pytest.mark.parametrize("name", ["no/such/folder", "./nowhere", "tests/nowhere", "a b"])
def test_local_paths_are_not_looked_up_on_the_hub(name, tmp_path, monkeypatch):
    (tmp_path / "tests").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=name):
        load_images(name)


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path):
    write(tmp_path, "0.png")
    with pytest.raises(ValueError, match="is a file"):
        load_images(str(tmp_path / "0.png"))

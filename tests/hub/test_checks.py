"""Which files of a folder are published, and which folders are refused."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from hf_kexue.hub import publish
from hf_kexue.hub.checks import check_repository

INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    """A repository like that of a model, with a card, a picture and code."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "config.json").write_text('{"auto_map": {"AutoConfig": "configuration_x.X"}}')
    (folder / "configuration_x.py").write_text("")
    (folder / "README.md").write_text("# X\n")
    (folder / "samples.png").write_bytes(b"png")
    save_file({"a": np.zeros((2, 3), np.float32), "b": np.ones(5, np.int64)}, folder / "model.safetensors")
    return folder


def test_published_files(folder):
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"")
    (folder / ".hidden").write_text("")
    (folder / "deeper").mkdir()
    (folder / "deeper" / "config.json").write_text("{}")
    (folder / "linked.txt").symlink_to("README.md")
    assert [path.as_posix() for path in check_repository(folder)] == [
        "README.md", "config.json", "configuration_x.py", "deeper/config.json", "linked.txt", "model.safetensors",
        "samples.png",
    ]  # fmt: skip


def cut(path, kept):
    path.write_bytes(path.read_bytes()[:kept])


def damage_header(path):
    data = path.read_bytes()
    path.write_bytes(data[:8] + b"[" + data[9:])


def longer(path):
    path.write_bytes(path.read_bytes() + b"more")


def name_component(folder, name):
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "X", name: ["lib", "Y"]}))


BAD = {
    **{
        f"weights{suffix}": (lambda f, s=suffix: (f / f"weights{s}").write_bytes(b"x"), "pickled")
        for suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".BIN")
    },
    "pickle in a folder": (lambda f: (f / "deep").mkdir() or (f / "deep" / "x.pt").touch(), r"deep/x\.pt"),
    "weights without their end": (lambda f: cut(f / "model.safetensors", -4), "model.safetensors"),
    "weights without half of the header": (lambda f: cut(f / "model.safetensors", 20), "model.safetensors"),
    "empty weights": (lambda f: cut(f / "model.safetensors", 0), "model.safetensors"),
    "a damaged header": (lambda f: damage_header(f / "model.safetensors"), "model.safetensors"),
    "weights with something behind them": (lambda f: longer(f / "model.safetensors"), "model.safetensors"),
    "a pickle by another name": (lambda f: (f / "model.safetensors").write_bytes(b"PK\x03\x04" * 9), "safetensors"),
    "no configuration": (lambda f: (f / "config.json").unlink(), "not a saved model"),
    "half a configuration": (lambda f: (f / "config.json").write_text('{"a": '), "config.json"),
    "a configuration in another encoding": (lambda f: (f / "config.json").write_bytes(b'{"a": "\xff"}'), "config"),
    "a configuration that is a list": (lambda f: (f / "config.json").write_text("[]"), "config.json .* list"),
    "code that is not there": (lambda f: (f / "configuration_x.py").unlink(), "'configuration_x.py'"),
    "a component that is not there": (lambda f: name_component(f, "unet"), "'unet'"),
    "a component above": (lambda f: name_component(f, ".."), "'..'"),
    "a component elsewhere": (lambda f: name_component(f, "/tmp"), "'/tmp'"),
    "a shard above": (
        lambda f: (f / INDEX).write_text('{"weight_map": {"a": "../x.safetensors"}}'), "'../x.safetensors'",
    ),
    "a link out": (lambda f: (f / "passwords.txt").symlink_to("/etc/hostname"), "passwords.txt .*/etc/hostname"),
    "a link that leads up": (lambda f: (f / "up.txt").symlink_to("../other.txt"), r"up\.txt .*\.\./other\.txt"),
    "a linked folder": (lambda f: (f / "unet").symlink_to("."), "unet .*link"),
    "a link to nothing": (lambda f: (f / "x.txt").symlink_to("y.txt"), "x.txt"),
    "a pipe": (lambda f: os.mkfifo(f / "pipe"), "pipe"),
    "a backslash in a name": (lambda f: (f / "..\\up.txt").write_text(""), r"up\.txt"),
    "a line break in a name": (lambda f: (f / "a\nb.txt").write_text(""), r"b\.txt"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_folders_are_refused(folder, name):
    make, words = BAD[name]
    make(folder)
    with pytest.raises(ValueError, match=words):
        publish(folder, "owner/name")  # before any request to the Hub


def test_a_missing_repository_folder_raises(tmp_path):
    with pytest.raises(ValueError, match="nothing"):
        publish(tmp_path / "nothing", "owner/name")

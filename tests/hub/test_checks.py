"""What is not published, in a sentence each, and what is."""

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


def test_what_is_published(folder):
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
        f"weights{suffix}": (lambda f, s=suffix: (f / f"weights{s}").write_bytes(b"x"), "may be a pickled file")
        for suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".BIN")
    },
    "pickle in a folder": (lambda f: (f / "deep").mkdir() or (f / "deep" / "x.pt").touch(), r"deep/x\.pt may"),
    "weights without their end": (lambda f: cut(f / "model.safetensors", -4), "cut off or damaged"),
    "weights without half of the header": (lambda f: cut(f / "model.safetensors", 20), "cut off or damaged"),
    "empty weights": (lambda f: cut(f / "model.safetensors", 0), "cut off or damaged"),
    "a damaged header": (lambda f: damage_header(f / "model.safetensors"), "cut off or damaged"),
    "weights with something behind them": (lambda f: longer(f / "model.safetensors"), "cut off or damaged"),
    "a pickle by another name": (lambda f: (f / "model.safetensors").write_bytes(b"PK\x03\x04" * 9), "cut off or"),
    "no configuration": (lambda f: (f / "config.json").unlink(), "it is no saved model"),
    "half a configuration": (lambda f: (f / "config.json").write_text('{"a": '), "config.json is no JSON"),
    "a configuration in another encoding": (lambda f: (f / "config.json").write_bytes(b'{"a": "\xff"}'), "is no JSON"),
    "a configuration that is a list": (lambda f: (f / "config.json").write_text("[]"), "must be an object of fields"),
    "code that is not there": (lambda f: (f / "configuration_x.py").unlink(), "names 'configuration_x.py', which"),
    "a component that is not there": (lambda f: name_component(f, "unet"), "names 'unet', which the folder"),
    "a component above": (lambda f: name_component(f, ".."), "names '..', which the folder"),
    "a component elsewhere": (lambda f: name_component(f, "/tmp"), "names '/tmp', which the folder"),
    "a shard above": (
        lambda f: (f / INDEX).write_text('{"weight_map": {"a": "../x.safetensors"}}'), "'../x.safetensors', which",
    ),
    "a link out": (lambda f: (f / "passwords.txt").symlink_to("/etc/hostname"), "is a link to /etc/hostname"),
    "a link that leads up": (lambda f: (f / "up.txt").symlink_to("../other.txt"), r"is a link to \.\./other\.txt"),
    "a linked folder": (lambda f: (f / "unet").symlink_to("."), "unet is a link to"),
    "a link to nothing": (lambda f: (f / "x.txt").symlink_to("y.txt"), "is no file that can be read"),
    "a pipe": (lambda f: os.mkfifo(f / "pipe"), "is no file that can be read"),
    "a backslash in a name": (lambda f: (f / "..\\up.txt").write_text(""), "not every system takes"),
    "a line break in a name": (lambda f: (f / "a\nb.txt").write_text(""), "not every system takes"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_published(folder, name):
    make, words = BAD[name]
    make(folder)
    with pytest.raises(ValueError, match=words):
        publish(folder, "owner/name")  # refused before anything is asked of the Hub


def test_a_missing_repository_folder_raises(tmp_path):
    with pytest.raises(ValueError, match=r"is a folder, and .*nothing is none"):
        publish(tmp_path / "nothing", "owner/name")

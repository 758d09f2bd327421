"""An interrupted upload or export leaves what was there before intact.

The clients here import neither torch nor transformers, so that each takes a second.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

if not (Path(__file__).resolve().parents[2] / "examples" / "loopback_hub.py").is_file():
    pytest.skip("examples/ belongs to the repository, not to the package", allow_module_level=True)

from hub_clients import tiny_gan, tiny_images
from loopback_hub import LoopbackHub, Refusal

from hf_kexue.hub import export_repository

PUBLISH = "import sys\nfrom hf_kexue.hub import publish\nprint(publish(sys.argv[1], 'owner/name', private={private}))"
DOWNLOAD = """
import json, resource, sys
from pathlib import Path
from huggingface_hub import snapshot_download
options = json.loads(sys.argv[1])
limit = options.pop("limit", None)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
folder = Path(snapshot_download("owner/name", **options))
print(json.dumps({path.name: path.stat().st_size for path in folder.iterdir()} | {"revision": folder.name}))
"""


@pytest.fixture
def hub():
    hub = LoopbackHub()
    yield hub
    hub.close()


def write(folder, size, **more):
    """A repository with weights of this size."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"size": size} | more))
    save_file({"a": np.random.default_rng(size).normal(size=size).astype(np.float32)}, folder / "model.safetensors")
    return folder


def start(hub, home, code, *arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, **hub.environment(home), **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process):
    output, errors = process.communicate(timeout=600)
    return process.returncode, output, errors


@pytest.fixture
def publish(hub, tmp_path):
    """Publishes a folder in a process of its own; returns what `finish` does."""

    def now(folder, private=False, **environment):
        return finish(start(hub, tmp_path / "home", PUBLISH.format(private=private), folder, **environment))

    return now


def test_killed_while_it_uploads(hub, publish, tmp_path):
    """Kill -9 in the middle of an upload; then the same call again."""
    code, _, errors = publish(write(tmp_path / "model", 10))
    assert code == 0, errors
    before = hub.files("owner/name")
    uploading, go_on = threading.Event(), threading.Event()
    hub.before_upload = lambda: (uploading.set(), go_on.wait(60))
    killed = start(hub, tmp_path / "home", PUBLISH.format(private=False), write(tmp_path / "model", 20))
    assert uploading.wait(60)
    killed.send_signal(signal.SIGKILL)
    assert finish(killed)[0] == -signal.SIGKILL
    go_on.set()
    hub.before_upload = None
    assert hub.files("owner/name") == before
    code, _, errors = publish(tmp_path / "model")
    assert code == 0, errors
    assert hub.files("owner/name")["model.safetensors"] == (tmp_path / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("where", ["before_upload", "before_commit"])
def test_refused_during_an_upload(hub, publish, tmp_path, where):
    publish(write(tmp_path / "model", 10))
    before = hub.files("owner/name")

    def refuse():
        raise Refusal(403, "Forbidden", "The storage is full.")

    setattr(hub, where, refuse)
    code, _, errors = publish(write(tmp_path / "model", 20))
    assert code == 1
    assert ("Error while uploading" if where == "before_upload" else "owner/name (The storage is full.)") in errors
    assert hub.files("owner/name") == before


def test_files_missing_from_the_folder_are_deleted_in_the_same_commit(hub, publish, tmp_path):
    folder = write(tmp_path / "model", 10)
    (folder / "old.py").write_text("")
    (folder / "notes.md").write_text("model_cards/model")
    (folder / "README.md").write_text("# X\n\nmodel_cards/model and model_cards/other\n")
    publish(folder)
    for name in ("old.py", "notes.md"):
        (folder / name).unlink()
    code, output, errors = publish(folder)
    assert code == 0, errors
    assert output.startswith(f"{hub.url}/owner/name/commit/")
    there = hub.files("owner/name")
    assert sorted(there) == [".gitattributes", "README.md", "config.json", "model.safetensors", "notes.md"]
    assert there["README.md"] == b"# X\n\nowner/name and model_cards/other\n"
    assert there["notes.md"] == b"model_cards/model"
    assert len(hub.repositories["model", "owner/name"].commits) == 3


def test_publishing_without_permission(hub, publish, tmp_path):
    folder = write(tmp_path / "model", 10)
    code, _, errors = publish(folder, HF_TOKEN="hf_nobody")
    assert code == 1
    last = errors.splitlines()[-1]
    assert last.startswith("PermissionError: ")
    assert "owner/name (Invalid username or password.)" in last
    assert publish(folder)[0] == 0
    code, _, errors = publish(folder, private=True)
    assert code == 1
    assert "owner/name exists and is public" in errors.splitlines()[-1]


def test_a_full_disk_while_it_downloads(hub, tmp_path):
    """With a limit on the size of files, as on a full disk; the old revision can still be loaded."""
    put = [hub.put("owner/name", {"config.json": b"{}", "model.safetensors": bytes(size)}) for size in (1000, 100_000)]
    old, new = hub.repositories["model", "owner/name"].commits
    assert len(put) == 2
    code, output, errors = finish(start(hub, tmp_path, DOWNLOAD, json.dumps({"revision": old})))
    assert code == 0, errors
    code, _, errors = finish(start(hub, tmp_path, DOWNLOAD, json.dumps({"revision": new, "limit": 5000})))
    assert code == 1
    assert "File too large" in errors
    offline = {"revision": old, "local_files_only": True}
    assert finish(start(hub, tmp_path, DOWNLOAD, json.dumps(offline)))[1] == output
    code, _, errors = finish(start(hub, tmp_path, DOWNLOAD, json.dumps({"revision": new, "local_files_only": True})))
    assert code == 1
    code, output, errors = finish(start(hub, tmp_path, DOWNLOAD, "{}"))
    assert code == 0, errors
    assert json.loads(output)["model.safetensors"] == 100_000


@contextmanager
def no_room(size):
    """Limit the size of the files that this process writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def held(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_full_disk_while_it_exports(tmp_path):
    """The folder stays as it was, and nothing is left beside it."""
    folder = export_repository(tiny_images(), tmp_path / "model")
    before = held(folder)
    with no_room(20_000), pytest.raises(Exception, match=r"File too large|large|size"):
        export_repository(tiny_images(seed=1), folder)
    assert held(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    export_repository(tiny_images(seed=1), folder)
    assert held(folder).keys() == before.keys()
    assert held(folder) != before


def test_an_export_leaves_other_files_alone(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "README.md").write_text("mine")
    folder = export_repository(tiny_gan(), tmp_path / "model")
    assert (folder / "README.md").read_text() == "mine"
    assert (folder / "generator" / "modeling_rsgan.py").is_file()

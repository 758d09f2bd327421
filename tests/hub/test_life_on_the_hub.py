"""Publish to a Hub on this machine and load from it, each client in a process of its own.

A client reports the checks that it passed; the lists here make sure that it skipped none.
"""

from pathlib import Path

import pytest

pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("rjieba", reason="the extra hf-kexue[chinese] is not installed")
if not (Path(__file__).resolve().parents[2] / "examples" / "loopback_hub.py").is_file():
    pytest.skip("examples/ belongs to the repository, not to the package", allow_module_level=True)

from hub_clients import run
from loopback_hub import LoopbackHub

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CARDS = sorted(path.parent for path in ROOT.glob("model_cards/*/README.md"))
ADDRESS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def hub():
    hub = LoopbackHub()
    yield hub
    hub.close()


@pytest.fixture(scope="module")
def published(hub, tmp_path_factory):
    """The folder of what was published with the expected outputs, and the checks passed while publishing."""
    folder = tmp_path_factory.mktemp("published")
    checks = run(hub, tmp_path_factory.mktemp("home"), "client_publish.py", folder)["checks"]
    plant_bad_ones(hub)
    return folder, checks


def plant_bad_ones(hub):
    """Broken repositories, which `publish` refuses."""
    good, reader = hub.files("owner/images"), hub.files("owner/reader")
    weights = good[ADDRESS]
    pickled = {key: value for key, value in good.items() if key != ADDRESS}
    hub.put("owner/bad-pickled", pickled | {ADDRESS.replace(".safetensors", ".bin"): b"pickle"})
    hub.put("owner/bad-truncated", good | {ADDRESS: weights[:-10]})
    hub.put("owner/bad-path", good | {"../../../../outside.json": b"{}"})
    pickled = {key: value for key, value in reader.items() if key != "model.safetensors"}
    hub.put("owner/bad-pickled-reader", pickled | {"pytorch_model.bin": b"pickle"})
    hub.put("owner/bad-truncated-reader", reader | {"model.safetensors": reader["model.safetensors"][:-10]})


def test_publishing(published, hub):
    _, checks = published
    assert checks == [
        *(f"export and publish {name}" for name in ("images", "gan", "reader", "triples")),
        "publish a branch", "publish a private one", "publish under the name of the token's user",
        "push_to_hub of a network, a scheduler and a pipeline of diffusers",
        "push_to_hub of a model, its tokenizer and a pipeline of transformers", "push_to_hub of data sets",
    ]  # fmt: skip
    assert hub.repositories["model", "owner/secret"].private
    assert not hub.repositories["model", "owner/reader"].private
    # The commit that makes the repository, and one that fills it.
    assert len(hub.repositories["model", "owner/reader"].commits) == 2


def test_a_repository_holds_the_files_of_its_folder(published, hub):
    folder, _ = published
    there = hub.files("owner/images")
    assert there.pop(".gitattributes")
    assert there == {
        path.relative_to(folder / "images").as_posix(): path.read_bytes()
        for path in (folder / "images").rglob("*")
        if path.is_file()
    }
    assert not [path for path in there if Path(path).suffix in (".bin", ".pt", ".pkl")]


def test_loading_with_the_package(published, hub, tmp_path_factory):
    folder, _ = published
    home = tmp_path_factory.mktemp("with-package")
    assert run(hub, home, "client_load.py", folder, home)["checks"] == [
        "SimpleDiffusionPipeline", "RSGANPipeline", "revision of a pipeline", "one component by subfolder",
        "a network and a scheduler alone", "Auto classes", "own classes", "kexue-question-answering",
        "kexue-triple-extraction", "private with a token, and not without", "load_dataset", "load_dataset, streaming",
        "the package's readers of data sets", "bad names", "pickled weights from the Hub",
        "truncated weights from the Hub", "a path out of the repository",
    ]  # fmt: skip


WITHOUT = [
    "DiffusionPipeline of images", "DiffusionPipeline of gan", "its revision", "Auto classes", "question-answering",
    "triple-extraction", "no code runs unless it is trusted", "then with the package",
]  # fmt: skip


def test_loading_without_the_package_and_then_without_a_network(published, hub, tmp_path):
    """The second process needs only the cache of the first, and sends no request."""
    folder, _ = published
    assert run(hub, tmp_path, "client_without_package.py", folder, token=None)["checks"] == WITHOUT
    requests = len(hub.requests)
    assert run(hub, tmp_path, "client_without_package.py", folder, token=None, offline=True)["checks"] == WITHOUT
    assert len(hub.requests) == requests


@pytest.mark.skipif(not CARDS, reason="model_cards/ is part of the repository, not of the package")
def test_the_published_models_and_their_cards(hub, tmp_path):
    """Each is published, and the snippet of its card on the Hub runs unchanged."""
    (tmp_path / "elsewhere").mkdir()
    found = run(hub, tmp_path / "home", "client_cards.py", tmp_path / "elsewhere", *CARDS)
    assert found["checks"] == [folder.name for folder in CARDS]
    assert found["requests for"] == [f"owner/{folder.name}" for folder in CARDS]

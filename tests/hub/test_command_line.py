"""The command line against a Hub on this machine: publish, then load by repository id."""

from pathlib import Path

import pytest

pytest.importorskip("rjieba", reason="the extra hf-kexue[chinese] is not installed")
if not (Path(__file__).resolve().parents[2] / "examples" / "loopback_hub.py").is_file():
    pytest.skip("examples/ belongs to the repository, not to the package", allow_module_level=True)

from hub_clients import run
from loopback_hub import LoopbackHub

pytestmark = pytest.mark.slow


def test_the_command_line_and_the_hub(tmp_path):
    hub = LoopbackHub()
    try:
        checks = run(hub, tmp_path / "home", "client_command_line.py", tmp_path / "models")["checks"]
    finally:
        hub.close()
    kinds = ("images", "gan", "reader", "triples")
    assert checks == [
        *(f"publish {name}" for name in kinds), "publish a branch, and one that is private",
        *(f"info of {name}" for name in kinds), "generate by images", "generate by gan", "ask", "extract", "evaluate",
        "the page, by names of repositories",
        "errors", "a Hub that does not answer",
    ]  # fmt: skip
    assert hub.repositories["model", "owner/cli-secret"].private
    assert "model.safetensors" in hub.files("owner/cli-reader", "second")

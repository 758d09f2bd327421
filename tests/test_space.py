"""The folder of the Space: front matter, requirements, and all that app.py asks for; without Gradio."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import typer
import yaml

from hf_kexue.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
FRONT = re.match(r"---\n(.*?)\n---\n", (ROOT / "space/README.md").read_text(encoding="utf-8"), re.S)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_front_matter():
    facts = yaml.safe_load(FRONT[1])
    pinned = re.search(r"^gradio==(.+)$", (ROOT / "constraints-page.txt").read_text(), re.M)[1]
    assert (facts["sdk"], facts["app_file"], facts["license"]) == ("gradio", "app.py", "apache-2.0")
    assert facts["sdk_version"] == pinned
    assert PROJECT["requires-python"] == f">={facts['python_version']}"
    assert len(facts["short_description"]) <= 60  # the Hub takes no more


def test_requirements_are_those_of_the_project():
    lines = (ROOT / "space/requirements.txt").read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if not line.startswith("#")]
    extras = PROJECT["optional-dependencies"]
    expected = [*PROJECT["dependencies"], *extras["chinese"], *extras["demo"]]
    assert sorted(found) == sorted(line for line in expected if not line.startswith("hf-kexue"))


def test_pictures_are_handed_out_without_loss():
    """Gradio encodes as lossy WebP unless a component names another format."""
    calls = [
        node
        for node in ast.walk(ast.parse((ROOT / "app.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    shown = [call for call in calls if ast.unparse(call.func) in ("gr.Image", "gr.ImageEditor", "gr.Gallery")]
    formats = [{key.arg: ast.unparse(key.value) for key in call.keywords}.get("format") for call in shown]
    assert formats == ["'png'"] * 6


def test_the_folder_is_whole(tmp_path):
    """What `make space` leaves runs from there: all that app.py imports but Gradio is in it."""
    space = tmp_path / "space"
    subprocess.run(["make", "space", f"SPACE={space}"], cwd=ROOT, check=True, capture_output=True)
    names = {path.parent.name for path in (ROOT / "model_cards").glob("*/README.md")}
    assert {path.name for path in (space / "model_cards").iterdir()} == names
    assert not list(space.rglob("__pycache__"))
    assert FRONT[0] in (space / "README.md").read_text(encoding="utf-8")
    code = "import hf_kexue.demo.page as p; print(p.__file__); p.Page('model_cards').model('triples')"
    finished = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, 'src'); {code}"],
        cwd=space, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(finished.stdout.strip()).is_relative_to(space)


def test_the_container_starts_what_is_there():
    """What the Dockerfile copies exists, and the command that it ends with is one of `hf-kexue`."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert {"src", "model_cards", "pyproject.toml"} <= set(copied)
    assert all((ROOT / path).exists() for path in copied)
    (command,) = [json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD ")]
    assert command[0] == "hf-kexue"
    serve = typer.main.get_command(app).commands[command[1]]
    values = serve.make_context("serve", command[2:]).params
    assert values["host"] == "0.0.0.0"
    assert all((ROOT / model).is_dir() for model in values["models"])
    extras = re.search(r"\.\[(\w+)\]", "".join(lines))[1]
    assert extras in PROJECT["optional-dependencies"]

"""What stands around a release: one version, files that GitHub and pre-commit read, and commands that exist."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="the extra hf-kexue[train] is not installed")

import yaml

import hf_kexue

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
if not WORKFLOWS:
    pytest.skip("the workflows belong to the repository, not to the package", allow_module_level=True)

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.M))


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def steps(workflow):
    return [step for job in read(workflow)["jobs"].values() for step in job["steps"]]


def test_one_version():
    settings = project()
    assert settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["hatch"]["version"]["path"] == "src/hf_kexue/__init__.py"
    assert read(ROOT / "CITATION.cff")["version"] == hf_kexue.__version__
    assert importlib.metadata.version("hf-kexue") == hf_kexue.__version__


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows(path):
    workflow = read(path)
    assert {"name", "permissions", "jobs"} <= workflow.keys()
    assert True in workflow  # `on` is a boolean in YAML 1.1
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90
        assert job["runs-on"].startswith("ubuntu")
    for step in steps(path):
        assert ("run" in step) != ("uses" in step)
        assert "torchvision" not in step.get("run", "")
        for target in re.findall(r"\bmake ([a-z][a-z-]*)", step.get("run", "")):
            assert target in TARGETS, f"{path.name} calls make {target}"
        for script in re.findall(r"\b(?:dev|training|benchmarks|tests)/[\w/]+\.py", step.get("run", "")):
            assert (ROOT / script).is_file()
    text = path.read_text(encoding="utf-8")
    installs = [line for line in text.splitlines() if re.search(r"make (install|docs)|pip install", line)]
    assert "torch" in installs[0]  # first, so that its build is decided before anything pulls in another one


def test_every_supported_python_is_tested():
    stated = {line.rpartition(" ")[2] for line in project()["project"]["classifiers"] if ":: Python :: 3." in line}
    assert set(read(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]) == stated
    assert f">={min(stated, key=lambda version: int(version[2:]))}" == project()["project"]["requires-python"]


def test_the_lowest_versions_are_those_of_the_ranges():
    shown = subprocess.run(
        [sys.executable, "dev/lowest_versions.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    found = dict(line.split("==") for line in shown.splitlines())
    for name, version in found.items():
        assert f'"{name}>={version}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert {"torch", "transformers", "diffusers", "datasets", "accelerate", "typer"} <= found.keys()


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms(path):
    form = read(path)
    if path.stem == "config":
        assert form == {"blank_issues_enabled": True}
        return
    assert {"name", "description", "body"} <= form.keys()
    asked = [part for part in form["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in asked}) == len(asked)
    for part in asked:
        assert part["type"] in {"textarea", "input", "dropdown"}
        assert part["attributes"]["label"]
        assert part["type"] != "dropdown" or len(part["attributes"]["options"]) > 1


def test_hooks_of_pre_commit():
    (local,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    for hook in local["hooks"]:
        assert {"id", "name", "entry", "language"} <= hook.keys()
        for script in re.findall(r"tests/[\w/]+\.py", hook["entry"]):
            assert (ROOT / script).is_file()
        assert hook["language"] == "fail" or hook["entry"].startswith(".venv/bin/")
        re.compile(hook.get("files", ""))


def test_documents_name_what_is_there():
    for name in ("RELEASE.md", "SECURITY.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"`make ([a-z][a-z-]+)", text):
            assert target in TARGETS, f"{name} names make {target}"
        for path in re.findall(r"`((?:\.github|tests|src|dev|training)/[\w./-]+\.(?:py|yml|md))`", text):
            assert (ROOT / path).is_file(), f"{name} names {path}"

"""Every command of the READMEs and the pages of docs/ that takes own data, run as printed on plain files and, where it
says `--init_from`, from the published model.

Only steps, batch, tracker and, without a model to start from, the sizes of an image network are appended.
"""

import json
import re

import pytest

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("rjieba", reason="rjieba is not installed")
pytest.importorskip("nltk", reason="the extra hf-kexue[metrics] is not installed")

from whole_runs import TRAINING

if not TRAINING.is_dir():
    pytest.skip("training/ and docs/ belong to the repository, not to the package", allow_module_level=True)

from documented import DOCUMENTS, Runs, names_own_data, own_data_commands
from documents import ROOT, commands

COMMANDS = own_data_commands()
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("commands"))


def case(command):
    return pytest.param(command, id=command.name)


@pytest.mark.parametrize("command", [case(command) for command in COMMANDS])
def test_command_runs_as_printed(command, runs):
    cards = [word for needed in (command, *command.needs) for word in needed.words if word.startswith("model_cards/")]
    for card in cards:
        if not any((ROOT / card).rglob("*.safetensors")):
            pytest.skip(f"the weights of {card} are not in this checkout")
    place, printed = runs(command)
    if command.script:
        results = json.loads((place / command.output / "results.json").read_text(encoding="utf-8"))
        assert results["steps"] == 2
        assert any((place / command.output).glob("*/**/*.safetensors"))
        return
    name = command.arguments[0]
    if name == "ask" and "--json" in command.words:
        assert all(0 <= answer["score"] <= 1 for answer in json.loads(printed))
    elif name == "ask":
        assert all(re.match(r"\d\.\d{4}  \S", line) for line in printed.splitlines())
    elif name == "evaluate":
        assert re.search(r" \d+\.\d{4}$", printed, re.M)
    elif name == "extract" and "html" in command.words:
        assert "</html>" in printed
    assert printed.strip()
    for option in ("--page",):
        if option in command.words:
            assert (place / command.words[command.words.index(option) + 1]).stat().st_size


def test_every_command_is_understood():
    assert {command.line: command.fault() for command in COMMANDS if command.fault()} == {}


def test_every_line_with_own_data_is_run():
    """Whatever program stands first in a line of a shell block."""
    lines = {command.line for command in COMMANDS}
    left = {line for document in DOCUMENTS for line in commands(document) if names_own_data(line.split())} - lines
    assert left == set()
    assert len(lines) > 20

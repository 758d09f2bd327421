"""Documents taken apart: their blocks, tables and commands, and what docs/hooks.py makes of them."""

import importlib.util
import re
from pathlib import Path

import click
import pytest
import typer

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?:<!-- (?P<mark>runs[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.M | re.S)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str) -> list[tuple[str, str, str]]:
    """(mark, language, code) of each fenced block."""
    return [(match["mark"] or "", match["language"], match["code"]) for match in FENCE.finditer(read(name))]


def prose(name: str) -> str:
    return FENCE.sub("", read(name))


def tables(name: str) -> list[list[list[str]]]:
    """Rows of cells of each table, without the line below the head."""
    found: list[list[list[str]]] = [[]]
    for line in prose(name).splitlines():
        if line.startswith("|"):
            if not re.fullmatch(r"[|\s:-]+", line):
                found[-1].append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def commands(name: str) -> list[str]:
    shell = "".join(code for _, language, code in blocks(name) if language == "bash")
    return [line for line in shell.splitlines() if line.strip()]


def command_words(command: click.Command, words: list[str]) -> list[str]:
    """Each command below one with the arguments it takes, as `hf-kexue ask MODEL`."""
    if hasattr(command, "commands"):
        return [row for name, below in command.commands.items() for row in command_words(below, [*words, name])]
    arguments = [parameter.metavar for parameter in command.params if parameter.param_type_name == "argument"]
    return [" ".join([*words, *arguments])]


def command_at(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command of the command line that words lead to, and what is left of them."""
    from hf_kexue.cli.main import app

    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def hooks():
    """docs/hooks.py, which is no module of a package; without mkdocs the calling module is skipped."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install -e '.[docs]'.")
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

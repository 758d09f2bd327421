"""README.md and README.zh-CN.md say the same, and what they say is true.

A fenced python block after `<!-- runs -->` is run; after `<!-- runs: PATH -->` it is run where PATH exists.
"""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest
import typer

from hf_kexue.cli.main import app
from hf_kexue.data.questions.reading import read_qa
from hf_kexue.data.triples.reading import read_triples

ROOT = Path(__file__).resolve().parents[1]
ENGLISH, CHINESE = "README.md", "README.zh-CN.md"
READMES = (ENGLISH, CHINESE)
MEASURED = {ENGLISH: "Measured", CHINESE: "实测"}
MADE_BY_COMMANDS = ("demo/", "outputs/", "path/to/", "peer/", "you/", ".venv")
FENCE = re.compile(r"^(?:<!-- (?P<mark>runs[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.M | re.S)
LITERAL = re.compile(r"`[^`]*`|\]\([^)]*\)|<!--.*?-->")
CODE_WORD = re.compile(r"`([^`\n]+)`")
PLACEHOLDER = re.compile(r"<!--\s*figures:\s*(.*?)\s*-->")


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


def numbers(text: str) -> list[str]:
    return re.findall(r"(?<![\w.])\d+(?:\.\d+)?", text)


def commands(name: str) -> list[str]:
    shell = "".join(code for _, language, code in blocks(name) if language == "bash")
    return [line for line in shell.splitlines() if line.strip()]


def sources(folder: str) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / folder).glob("*.py"))


def measured_rows(name: str) -> list[list[str]]:
    section = re.split(r"^## ", read(name), flags=re.M)
    (text,) = [part for part in section if part.startswith(MEASURED[name])]
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return rows[2:]


def test_same_sections():
    english, chinese = (re.findall(r"^#+(?= )", prose(name), flags=re.M) for name in READMES)
    assert english == chinese


def test_same_blocks():
    """Commands and code are equal letter for letter; in the file tree the names are, their explanations are not."""
    for english, chinese in zip_longest(blocks(ENGLISH), blocks(CHINESE)):
        assert english is not None, f"only {CHINESE} has {chinese}"
        assert chinese is not None, f"only {ENGLISH} has {english}"
        if english[1] == "text":
            assert tree_paths(english[2]) == tree_paths(chinese[2])
        else:
            assert english == chinese


def test_same_tables():
    assert len(tables(ENGLISH)) == len(tables(CHINESE))
    for english, chinese in zip(tables(ENGLISH), tables(CHINESE)):
        assert [len(row) for row in english] == [len(row) for row in chinese]
        for row, row_zh in zip(english[1:], chinese[1:]):
            for cell, cell_zh in zip(row, row_zh):
                assert sorted(numbers(cell)) == sorted(numbers(cell_zh))
                assert LITERAL.findall(cell) == LITERAL.findall(cell_zh)


def test_same_code_words():
    """What stands in backticks in the text is the same; its order may follow the language."""
    english, chinese = (sorted(set(CODE_WORD.findall(prose(name)))) for name in READMES)
    assert english == chinese


def tree_paths(code: str) -> list[str]:
    """Paths of an indented file tree."""
    paths, parents = [], []
    for line in code.splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        entry = line.split()[0]
        parents[depth:] = [entry]
        paths.append("".join(parents))
    return paths


@pytest.mark.parametrize("name", READMES)
def test_named_paths_exist(name):
    trees = [path for _, language, code in blocks(name) if language == "text" for path in tree_paths(code)]
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", prose(name)) if "://" not in link]
    quoted = [word for word in re.findall(r"`([^`\s]+)`", prose(name)) if re.search(r"/|\.(md|txt|toml|py)$", word)]
    code = "".join(code for _, language, code in blocks(name) if language == "python")
    values = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
    strings = [value for value in values if isinstance(value, str) and "/" in value]
    arguments = [word for line in commands(name) for word in shlex.split(line) if "/" in word and "://" not in word]
    named = {path for path in [*trees, *links, *quoted, *strings, *arguments] if not path.startswith(MADE_BY_COMMANDS)}
    assert len(named) > 10
    missing = sorted(path for path in named if not (ROOT / path).exists())
    assert not missing, f"{name} names paths that do not exist: {missing}"


@pytest.mark.parametrize("name", READMES)
def test_named_make_targets_exist(name):
    targets = set(re.findall(r"^([a-z][a-z-]*):.*##", read("Makefile"), flags=re.M))
    assert {"help", "demo", "test", "lint", "types", "bench"} <= targets
    text = "\n".join([*commands(name), *CODE_WORD.findall(prose(name))])
    named = set(re.findall(r"^make ([a-z][a-z-]*)", text, flags=re.M))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("name", READMES)
def test_named_options_exist(name):
    """Options of the training scripts and of the command line, as their sources spell them."""
    cli = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/hf_kexue").glob("cli*.py"))
    benchmarks, training = sources("benchmarks"), sources("training")
    in_prose = [word for word in CODE_WORD.findall(prose(name)) if word.startswith("--")]
    assert len(in_prose) > 3
    for line in [*commands(name), *in_prose, *(row[-1].strip("`") for row in measured_rows(name))]:
        for option in re.findall(r"--([a-z][\w-]*)", line.replace("--help", "")):
            script = re.search(r"training/\w+\.py", line)
            shared = sources("src/hf_kexue")  # arguments that scripts inherit
            where = cli if line.startswith("hf-kexue") else training + shared if line in in_prose else benchmarks
            where = read(script[0]) + shared if script else where
            found = re.search(rf"\b{option.replace('-', '[-_]')}\b", where)
            assert found, f"{name}: --{option} of {line!r} does not exist"


def commands_of(command, words: list[str]) -> list[list[str]]:
    """A row for each command of the command line: its words and arguments, its options, the first line of its help."""
    if hasattr(command, "commands"):
        return [row for name, below in command.commands.items() for row in commands_of(below, [*words, name])]
    arguments = [p.metavar for p in command.params if p.param_type_name == "argument"]
    options = [f"`{p.opts[0]}`" for p in command.params if p.param_type_name == "option"]
    first = command.help.split("\n")[0].rstrip(".") + "."
    return [[f"`{' '.join([*words, *arguments])}`", ", ".join(options), first]]


def test_table_of_commands_is_the_help():
    """In English word for word; in Chinese commands and options."""
    expected = commands_of(typer.main.get_command(app), ["hf-kexue"])
    assert len(expected) > 7
    found = {name: [table for table in tables(name) if table[1][0].startswith("`hf-kexue")] for name in READMES}
    ((_, *english),), ((_, *chinese),) = found[ENGLISH], found[CHINESE]
    assert english == expected
    assert [row[:2] for row in chinese] == [row[:2] for row in expected]
    assert all(re.search("[\u4e00-\u9fff]", row[2]) for row in chinese)


def test_records_are_read(tmp_path):
    """The lines that show the forms of question files are such lines."""
    (records,) = [code for _, language, code in blocks(ENGLISH) if language == "json"]
    path = tmp_path / "records.jsonl"
    path.write_text(records, encoding="utf-8")
    squad, passages = read_qa(path)
    assert squad.answers == [["李春"]]
    assert squad.passages[0][squad.answer_starts[0][0] :].startswith("李春")
    assert passages.answers == [["洨河"], []]


def test_triple_records_are_read(tmp_path):
    (records,) = [code for _, language, code in blocks(ENGLISH) if language == "jsonl"]
    path = tmp_path / "records.jsonl"
    path.write_text(records, encoding="utf-8")
    (example,) = read_triples(path)
    (triple,) = example.triples
    assert (triple.subject, triple.predicate, triple.object) == ("月亮代表我的心", "作词", "孙仪")


@pytest.mark.parametrize("name", READMES)
def test_python_compiles(name):
    snippets = [code for _, language, code in blocks(name) if language == "python"]
    assert snippets
    for code in snippets:
        compile(code, name, "exec")


RUNNABLE = [(mark, code) for mark, language, code in blocks(ENGLISH) if language == "python" and mark]


@pytest.mark.parametrize(("mark", "code"), RUNNABLE, ids=[f"block-{i}" for i in range(len(RUNNABLE))])
def test_python_runs(mark, code, tmp_path):
    """In a folder where the repository's folders are in sight and pictures may be left."""
    needed = mark.partition(":")[2].strip()
    if needed and not (ROOT / needed).exists():
        pytest.skip(f"{needed} is not published yet")
    for folder in ("model_cards", "training"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr


def leaves(value) -> list[float]:
    """All numbers inside a results file."""
    if isinstance(value, dict):
        return [number for child in value.values() for number in leaves(child)]
    if isinstance(value, list):
        return [number for child in value for number in leaves(child)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def is_printed_form(printed: str, unit: str, value: float) -> bool:
    """Whether `printed` is the value, rounded to its digits; "%" is a share, "M" millions, "G" billions."""
    digits = len(printed.partition(".")[2])
    scaled = value * {"%": 100.0, "M": 1e-6, "G": 1e-9}.get(unit, 1.0)
    return f"{scaled:.{digits}f}" == printed or abs(scaled - float(printed)) <= 0.5 * 10.0**-digits * (1 + 1e-9)


@pytest.mark.parametrize("name", READMES)
def test_measured_figures_come_from_results(name):
    """A figure is a number of the file that its command writes; a row without one yet names it in a comment."""
    rows = measured_rows(name)
    assert rows
    for what, figure, command in rows:
        script = re.search(r"python (benchmarks/\w+\.py)", command)
        assert script, f"{name}: the row {what!r} has no command"
        assert (ROOT / script[1]).is_file(), f"{name}: {script[1]} does not exist"
        stem = re.search(r"--name (\S+?)`?$", command)
        results = ROOT / "benchmarks" / "results" / f"{stem[1] if stem else Path(script[1]).stem}.json"
        waiting = PLACEHOLDER.fullmatch(figure)
        if waiting:
            assert waiting[1] == results.name, f"{name}: the command of the row {what!r} writes {results.name}"
            continue
        assert results.is_file(), f"{name}: the row {what!r} has figures, and there is no {results.relative_to(ROOT)}"
        known = leaves(json.loads(results.read_text(encoding="utf-8")))
        printed = re.findall(r"(?<![\w.])(-?\d+(?:\.\d+)?)\s*([%MG]?)", figure)
        assert printed, f"{name}: the row {what!r} has no number"
        for number, unit in printed:
            found = any(is_printed_form(number, unit, value) for value in known)
            assert found, f"{name}: {number}{unit} in the row {what!r} is not in {results.relative_to(ROOT)}"


@pytest.mark.parametrize(
    ("printed", "unit", "value", "expected"),
    [
        ("1.89", "", 1.886, True), ("1.88", "", 1.886, False), ("41", "%", 0.413, True), ("41", "", 0.413, False),
        ("6.2", "M", 6195388, True), ("0.050", "", 0.0504, True), ("0.051", "", 0.0504, False), ("2", "", 2.4, True),
    ],
)  # fmt: skip
def test_printed_form(printed, unit, value, expected):
    assert is_printed_form(printed, unit, value) is expected

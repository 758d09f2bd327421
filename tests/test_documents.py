"""What the READMEs and the pages of docs/ say is true, and both languages say the same.

A fenced python block after `<!-- runs -->` is run; after `<!-- runs: PATH -->` it is run where PATH exists. A figure
is a number that `{{ name path }}` reads from a results file, see docs/hooks.py.
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
from documents import ROOT, blocks, command_at, command_words, commands, hooks, prose, read, tables
from whole_runs import load_script

from hf_kexue.cli.main import app
from hf_kexue.data.questions.reading import read_qa
from hf_kexue.data.triples.reading import read_triples
from hf_kexue.training.arguments import parse_arguments

ENGLISH, CHINESE = "README.md", "README.zh-CN.md"
READMES = (ENGLISH, CHINESE)
# Their own helpers hold what is in the articles; the API reference is generated and test_site.py looks at it.
OF_OTHERS = ("articles", "notebooks", "api", "assets")
PAGES = tuple(
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if not set(path.relative_to(ROOT).parts) & set(OF_OTHERS)
)
DOCUMENTS = (*READMES, *PAGES)
CHINESE_PAGES = {
    "README.zh-CN.md": ["README.md"],
    "docs/zh/get-started.md": ["docs/get-started.md"],
    "docs/zh/images.md": [
        "docs/how-to/draw-images.md",
        "docs/how-to/train-on-own-pictures.md",
        "docs/how-to/gan-losses.md",
    ],
    "docs/zh/text-to-image.md": ["docs/how-to/text-to-image.md"],
    "docs/zh/edit.md": ["docs/how-to/edit.md"],
    "docs/zh/networks.md": ["docs/how-to/choose-a-network.md"],
    "docs/zh/one-shift.md": ["docs/how-to/one-shift.md"],
    "docs/zh/reading.md": ["docs/how-to/find-answers.md", "docs/how-to/fine-tune-a-reader.md"],
    "docs/zh/triples.md": ["docs/how-to/extract-triples.md", "docs/how-to/own-schema.md"],
    "docs/zh/corpora.md": [
        "docs/how-to/search-a-collection.md",
        "docs/how-to/process-a-corpus.md",
        "docs/how-to/serve.md",
    ],
    "docs/zh/without-torch.md": ["docs/how-to/without-torch.md", "docs/how-to/try-in-a-browser.md"],
    "docs/zh/publish.md": ["docs/how-to/publish.md"],
    "docs/zh/mathematics.md": ["docs/how-to/mathematics.md"],
    "docs/zh/command-line.md": ["docs/command-line.md"],
    "docs/zh/index.md": ["docs/index.md"],
    "docs/zh/peers.md": ["docs/peers.md"],
}
MADE_BY_COMMANDS = ("demo/", "outputs/", "onnx/", "path/to/", "owner/", "you/", ".venv", "reader-repository")
LITERAL = re.compile(r"`[^`]*`|\]\([^)]*\)|<!--.*?-->")
CODE_WORD = re.compile(r"`([^`\n]+)`")
# Options of launchers, which are not ours.
LAUNCHERS = {"config_file", "num_processes", "multi_gpu", "cpu", "nproc_per_node", "help"}
SCRIPTS = (
    *("train_simple_diffusion", "train_rsgan", "train_dgcnn_qa", "train_dgcnn_triples", "pretrain_dgcnn"),
    *("distill_simple_diffusion", "pretrain_text_encoder"),
)


def numbers(text: str) -> list[str]:
    return re.findall(r"(?<![\w.])\d+(?:\.\d+)?", text)


# --- README


@pytest.mark.parametrize("name", READMES)
def test_readme_is_short(name):
    assert len(read(name).encode()) <= 9216


def test_same_sections():
    english, chinese = (re.findall(r"^#+(?= )", prose(name), flags=re.M) for name in READMES)
    assert english == chinese


def test_same_tables():
    assert len(tables(ENGLISH)) == len(tables(CHINESE)) > 0
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


def folders(below: Path) -> set[str]:
    """Folders that are no leftovers of tools: hidden, ignored by git, or without any file of the repository."""
    lines = [line for line in read(".gitignore").splitlines() if line.endswith("/")]
    ignored = {line.strip("/") for line in lines if below == ROOT or not line.startswith("/")}
    return {
        path.name
        for path in below.iterdir()
        if path.is_dir() and path.name not in ignored and path.name[0] not in "._" and any(path.rglob("*.*"))
    }


@pytest.mark.parametrize("name", READMES)
def test_tree_is_the_tree_on_disk(name):
    (tree,) = [tree_paths(code) for _, language, code in blocks(name) if language == "text"]
    package = "src/hf_kexue/"
    inside = {path.removeprefix(package).strip("/") for path in tree if path.startswith(package)}
    assert inside - {""} == folders(ROOT / package)
    assert {path.split("/")[0] for path in tree} == folders(ROOT)
    assert all((ROOT / path).is_dir() for path in tree)


# --- both languages


@pytest.mark.parametrize("chinese", CHINESE_PAGES)
def test_same_blocks(chinese):
    """Commands and code are equal letter for letter; in the file tree the names are, their explanations are not."""
    expected = [block for page in CHINESE_PAGES[chinese] for block in blocks(page)]
    for english, translated in zip_longest(expected, blocks(chinese)):
        assert english is not None, f"only {chinese} has {translated}"
        assert translated is not None, f"{chinese} lacks {english}"
        if english[1] == "text":
            assert tree_paths(english[2]) == tree_paths(translated[2])
        else:
            assert english == translated


def test_every_chinese_page_is_compared():
    assert {page for page in PAGES if page.startswith("docs/zh/")} | {CHINESE} == set(CHINESE_PAGES)


# --- names


def linked(name: str) -> list[str]:
    """Links and pictures, relative to the document; addresses and names of the API reference left out."""
    found = re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", prose(name))
    return [link or source for link, source in found if "://" not in link]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_named_paths_exist(name):
    """Links are relative to their page, everything else to the repository's root."""
    folder = (ROOT / name).parent
    missing = [link for link in linked(name) if not (folder / link).exists()]
    trees = [path for _, language, code in blocks(name) if language == "text" for path in tree_paths(code)]
    quoted = [
        word
        for word in re.findall(r"`([^`\s]+)`", prose(name))
        if re.search(r"\w/|\.(md|txt|toml|py)$", word) and not re.search(r"[(<*]", word)
    ]
    code = "".join(code for _, language, code in blocks(name) if language == "python")
    values = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
    strings = [value for value in values if isinstance(value, str) and "/" in value]
    arguments = [word for line in commands(name) for word in shlex.split(line) if "/" in word and "://" not in word]
    named = {path for path in [*trees, *quoted, *strings, *arguments] if not path.startswith(MADE_BY_COMMANDS)}
    missing += sorted(path for path in named if not (ROOT / path).exists())
    assert not missing, f"{name} names paths that do not exist: {missing}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_named_make_targets_exist(name):
    targets = set(re.findall(r"^([a-z][a-z-]*):.*##", read("Makefile"), flags=re.M))
    assert {"help", "demo", "test", "lint", "types", "bench", "docs"} <= targets
    text = "\n".join([*commands(name), *CODE_WORD.findall(prose(name))])
    named = set(re.findall(r"^make ([a-z][a-z-]*)", text, flags=re.M))
    assert named <= targets
    assert name not in READMES or {"demo", "test", "docs"} <= named


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_parse(name):
    """Every command is taken by the parser of what it calls: unknown options, presets and missing arguments end it."""
    for line in commands(name):
        words = shlex.split(line)
        script = next((i for i, word in enumerate(words) if re.fullmatch(r"training/\w+\.py", word)), None)
        if words[0] == "hf-kexue":
            command, rest = command_at(words[1:])
            command.make_context(line, rest)  # parses, and runs nothing
        elif script is not None:
            assert {word[2:] for word in words[:script] if word.startswith("--")} <= LAUNCHERS
            arguments = load_script(Path(words[script]).stem).Arguments
            parse_arguments(arguments, ROOT / "training" / "presets", words[script + 1 :])
        elif words[:1] == ["python"] and words[1].endswith(".py"):
            source = read(words[1])
            for option in [word for word in words[2:] if word.startswith("--")]:
                assert f'"{option}"' in source, f"{name}: {words[1]} does not know {option}"


def known_options() -> set[str]:
    """Options of the command line and of the training scripts."""
    found, waiting = set(LAUNCHERS), [typer.main.get_command(app)]
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        found |= {option.lstrip("-") for parameter in command.params for option in parameter.opts}
    for script in SCRIPTS:
        found |= set(load_script(script).Arguments.__dataclass_fields__)
    return found


@pytest.mark.parametrize("name", DOCUMENTS)
def test_named_options_exist(name):
    words = [word for word in CODE_WORD.findall(prose(name)) if "--" in word]
    named = {option for word in words for option in re.findall(r"(?<!\S)--([a-z][\w-]*)", word)}
    assert named <= known_options(), f"{name} names options that do not exist: {sorted(named - known_options())}"


def test_chinese_table_of_commands_is_complete():
    """In English typer writes it; here a command and what it takes stand in the table, with a use in Chinese."""
    (rows,) = tables("docs/zh/command-line.md")
    commands = command_words(typer.main.get_command(app), ["hf-kexue"])
    assert sorted(row[0].strip("`") for row in rows[1:]) == sorted(commands)
    assert all(re.search("[\u4e00-\u9fff]", row[1]) for row in rows[1:])


# --- code and data


def test_records_are_read(tmp_path):
    """The lines that show the forms of question files are such lines."""
    (records,) = [code for _, language, code in blocks("docs/how-to/fine-tune-a-reader.md") if language == "json"]
    path = tmp_path / "records.jsonl"
    path.write_text(records, encoding="utf-8")
    squad, passages = read_qa(path)
    assert squad.answers == [["李春"]]
    assert squad.passages[0][squad.answer_starts[0][0] :].startswith("李春")
    assert passages.answers == [["洨河"], []]


def test_triple_records_are_read(tmp_path):
    (records,) = [code for _, language, code in blocks("docs/how-to/own-schema.md") if language == "jsonl"]
    path = tmp_path / "records.jsonl"
    path.write_text(records, encoding="utf-8")
    (example,) = read_triples(path)
    (triple,) = example.triples
    assert (triple.subject, triple.predicate, triple.object) == ("月亮代表我的心", "作词", "孙仪")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_python_compiles(name):
    for _, language, code in blocks(name):
        if language == "python":
            compile(code, name, "exec")


def runnable() -> list:
    """Blocks that are run; the Chinese documents hold the same ones."""
    return [
        pytest.param(mark, code, id=f"{Path(name).stem}-{i}")
        for name in DOCUMENTS
        if name not in CHINESE_PAGES
        for i, (mark, language, code) in enumerate(blocks(name))
        if language == "python" and mark
    ]


def test_pages_have_code_that_runs():
    assert len(runnable()) > 12


@pytest.mark.parametrize(("mark", "code"), runnable())
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


# --- figures


FIGURES = [(page, match) for page in PAGES for match in hooks().FIGURE.findall(read(page))]


def test_pages_have_figures():
    assert {page for page, _ in FIGURES} >= {"docs/measurements.md", "docs/how-to/gan-losses.md"}


@pytest.mark.parametrize(("page", "match"), FIGURES, ids=[" ".join(match[:2]) for _, match in FIGURES])
def test_figures_are_found(page, match):
    """Each is a number, or one for each row, and is printed with a digit at least."""
    printed = hooks().figure(*match)
    assert re.fullmatch(r"-?\d[\d.]*%?(, -?\d[\d.]*%?)*", printed), f"{page}: {printed}"


def test_figure_by_place_name_and_all(tmp_path, monkeypatch):
    module = hooks()
    rows = [{"model": "a b", "f1": 0.514}, {"model": "c", "f1": 2}]
    (tmp_path / "x.json").write_text(json.dumps({"rows": rows, "part one": {"share": 0.514}}), encoding="utf-8")
    monkeypatch.setattr(module, "RESULTS", (tmp_path,))
    assert module.figure("x", "rows.1.f1") == "2"
    assert module.figure("x", "rows.model=a_b.f1", ".2f") == "0.51"
    assert module.figure("x", "rows.*.f1") == "0.514, 2"
    assert module.figure("x", "part_one.share", ".0%") == "51%"
    for name, path in (("y", "rows"), ("x", "rows.2.f1"), ("x", "rows.model=d.f1"), ("x", "nothing")):
        with pytest.raises(KeyError):
            module.figure(name, path)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_figure_is_typed(name):
    """Numbers with two decimals or more are measured ones, and a page reads them from a results file."""
    text = re.sub(r"\[[^\]]*\]\([^)]*\)|\{\{.*?\}\}|`[^`]*`|<[^>]*>|Python 3\.\d+", "", prose(name))
    assert re.findall(r"\d+\.\d{2,}", text) == []


def leaves(value) -> list[float]:
    """All numbers inside a results file, those of a printed table too."""
    if isinstance(value, dict):
        return [number for child in value.values() for number in leaves(child)]
    if isinstance(value, list):
        return [number for child in value for number in leaves(child)]
    if isinstance(value, str):
        return [float(value)] if re.fullmatch(r"\d+\.\d+", value) else []
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def is_printed_form(printed: str, value: float) -> bool:
    """Whether `printed` is the value, rounded to its digits."""
    digits = len(printed.partition(".")[2])
    return f"{value:.{digits}f}" == printed or abs(value - float(printed)) <= 0.5 * 10.0**-digits * (1 + 1e-9)


def test_scores_of_the_training_scripts_come_from_results():
    """The last column of the first table of training/README.md: scores of the published models."""
    rows = tables("training/README.md")[0]
    assert rows[0][-1] == "Score"
    known = [
        number
        for path in (ROOT / "model_cards" / "results").glob("*.json")
        for number in leaves(json.loads(path.read_text(encoding="utf-8")))
    ]
    scores = [number for row in rows[1:] for number in re.findall(r"(?<=[ ])\d+\.\d{2,}", f" {row[-1]}")]
    assert len(scores) > 4
    assert [number for number in scores if not any(is_printed_form(number, value) for value in known)] == []


@pytest.mark.parametrize(
    ("printed", "value", "expected"),
    [("1.89", 1.886, True), ("1.88", 1.886, False), ("0.050", 0.0504, True), ("0.051", 0.0504, False)],
)
def test_printed_form(printed, value, expected):
    assert is_printed_form(printed, value) is expected


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("甲，\n乙。\n丙\n", "甲，乙。丙\n"),
        ("甲\n\n乙\n", "甲\n\n乙\n"),  # two paragraphs
        ("# 题\n甲\n", "# 题\n甲\n"),
        ("- 甲\n- 乙\n", "- 甲\n- 乙\n"),
        ("甲 a\nb 乙\n", "甲 a\nb 乙\n"),  # words need the space
        ("```text\n甲\n乙\n```\n丙\n丁\n", "```text\n甲\n乙\n```\n丙丁\n"),
    ],
)
def test_chinese_lines_are_joined_without_a_space(page, shown):
    assert hooks().without_breaks(page) == shown

"""The pages of the articles: names resolve, figures exist, both languages say the same; the notebooks ran."""

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src" / "hf_kexue"
ENGLISH, CHINESE = ROOT / "docs" / "articles", ROOT / "docs" / "zh" / "articles"
NAMES = sorted(path.stem for path in ENGLISH.glob("*.md") if path.stem != "index")
PAGES = [folder / f"{name}.md" for folder in (ENGLISH, CHINESE) for name in NAMES]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
# The archives of the eight articles; where an article has several parts, all of them.
ARCHIVES = {
    "simple-diffusion": {"10047", "10055"},
    "feynman-gaussian": {"1967"},
    "quartic-integral": {"3217", "3241", "3280"},
    "gauss-bonnet": {"4033"},
    "dgcnn-reader-2018": {"5409"},
    "rsgan": {"6110"},
    "dgcnn-triples": {"6671"},
    "dgcnn-reader-2019": {"6906"},
}
FORMULA = re.compile(r"^\$\$\n(.*?)\n\$\$$", re.M | re.S)
INLINE = re.compile(r"(?<!\$)\$([^$\n]+)\$(?!\$)")
COMPUTES = re.compile(r"^(?P<visible>.*?) <!-- computes: (?P<module>[\w.]+):(?P<name>[\w.]+) -->$", re.M)
CODE = re.compile(r"^(<!-- runs[^\n]*-->)\n```python\n(.*?)^```$", re.M | re.S)
FIGURE = re.compile(r"!\[([^\]]+)\]\(([^)]+)\)")
PLACE = re.compile(r"`((?:training|benchmarks|model_cards|[a-z_]+)/[\w./-]+\.(?:py|yaml|json|md))(?:::([\w.]+))?`")
DIFFERS = re.compile(r"^## (?:Where the code differs|代码与文章的不同)\n(.*)", re.M | re.S)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def identity(path: Path) -> str:
    return f"{path.parent.parent.name}-{path.stem}"


every_page = pytest.mark.parametrize("page", PAGES, ids=identity)


def resolve(module: str, name: str) -> object:
    value: object = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    return value


def defined(source: str) -> set[str]:
    """Qualified names of the functions and classes of a source file."""
    names: set[str] = set()

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                names.add(prefix + child.name)
                visit(child, f"{prefix}{child.name}.")

    visit(ast.parse(source), "")
    return names


def test_every_article_has_a_page_in_both_languages():
    assert set(NAMES) == ARCHIVES.keys()
    for folder in (ENGLISH, CHINESE):
        assert sorted(path.stem for path in folder.glob("*.md")) == sorted([*NAMES, "index"])
        index = read(folder / "index.md")
        assert re.findall(r"^\| \[[^\]]+\]\(([\w-]+)\.md\)", index, flags=re.M) == list(ARCHIVES)
        assert set(re.findall(r"kexue\.fm/archives/(\d+)", index)) == set().union(*ARCHIVES.values())


@every_page
def test_page_names_its_article(page):
    claim = read(page).partition("\n## ")[0]
    assert ARCHIVES[page.stem] <= set(re.findall(r"kexue\.fm/archives/(\d+)", claim))


@every_page
def test_every_formula_names_what_computes_it(page):
    text = read(page)
    assert len(FORMULA.findall(text)) == len(COMPUTES.findall(text)) >= 3
    # the name stands in the line after its formula
    assert len(re.findall(r"^\$\$\n\n[^\n]+ <!-- computes: ", text, flags=re.M)) == len(FORMULA.findall(text))


@every_page
def test_names_resolve(page):
    for visible, module, name in COMPUTES.findall(read(page)):
        computes = resolve(module, name)
        assert callable(computes)
        file = Path(inspect.getsourcefile(computes)).relative_to(SOURCES).as_posix()
        assert file == module.removeprefix("hf_kexue.").replace(".", "/") + ".py", f"{name} is defined in {file}"
        assert f"`{name}`" in visible
        assert f"`{file}`" in visible


@every_page
def test_differences_name_places_that_exist(page):
    (section,) = DIFFERS.findall(read(page))
    points = [line for line in section.splitlines() if line.startswith("- ")]
    assert len(points) >= 3
    for point in points:
        places = PLACE.findall(point)
        assert places, f"{page.name}: no place is named in {point!r}"
        for file, name in places:
            at_root = file.startswith(("training/", "benchmarks/", "model_cards/"))
            path = (ROOT if at_root else SOURCES) / file
            assert path.is_file(), f"{page.name}: there is no {file}"
            assert not name or name in defined(read(path)), f"{page.name}: {file} defines no {name}"


@every_page
def test_figures_exist_and_are_small(page):
    figures = FIGURE.findall(read(page))
    assert figures
    for text, target in figures:
        path = (page.parent / target).resolve()
        assert path.parent == ENGLISH / "figures"
        assert 5_000 < path.stat().st_size < 100_000
        assert len(text) > 5


@every_page
def test_links_between_pages_exist(page):
    for target in re.findall(r"\]\(([^):#]+)\)", read(page)):
        assert (page.parent / target).resolve().is_file(), f"{page.name}: there is no {target}"


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_say_the_same(name):
    english, chinese = read(ENGLISH / f"{name}.md"), read(CHINESE / f"{name}.md")
    assert FORMULA.findall(english) == FORMULA.findall(chinese)
    assert [found[1:] for found in COMPUTES.findall(english)] == [found[1:] for found in COMPUTES.findall(chinese)]
    assert CODE.findall(english) == CODE.findall(chinese)
    assert PLACE.findall(DIFFERS.findall(english)[0]) == PLACE.findall(DIFFERS.findall(chinese)[0])
    assert sorted(set(INLINE.findall(english))) == sorted(set(INLINE.findall(chinese)))
    assert re.findall(r"https://[^)]+", english) == re.findall(r"https://[^)]+", chinese)
    assert [Path(target).name for _, target in FIGURE.findall(english)] == [
        Path(target).name for _, target in FIGURE.findall(chinese)
    ]
    assert re.findall(r"^#+(?= )", english, flags=re.M) == re.findall(r"^#+(?= )", chinese, flags=re.M)
    assert len(re.findall("[\u4e00-\u9fff]", chinese)) > 300


@pytest.mark.parametrize("name", NAMES)
def test_figures_of_results_stand_in_their_files(name):
    """A figure with four decimals in a point that names a file of results is a number of that file."""
    for point in DIFFERS.findall(read(ENGLISH / f"{name}.md"))[0].splitlines():
        for file, _ in PLACE.findall(point):
            if file.endswith(".json"):
                results = read(ROOT / file)
                assert all(number in results for number in re.findall(r"\b0\.\d{4}\b", point))


@pytest.mark.parametrize("name", NAMES)
def test_code_is_short(name):
    ((_, code),) = CODE.findall(read(ENGLISH / f"{name}.md"))
    assert 6 <= len([line for line in code.splitlines() if line.strip()]) <= 22


def test_each_figure_has_its_command():
    source = read(ENGLISH / "figures.py")
    (names,) = re.findall(r"^FIGURES: .*? = \{\n(.*?)^\}", source, flags=re.M | re.S)
    assert sorted(re.findall(r'^    "([\w-]+)":', names, flags=re.M)) == NAMES
    assert sorted(path.stem for path in (ENGLISH / "figures").iterdir()) == NAMES


@pytest.mark.slow
def test_figures_are_drawn(tmp_path):
    """The command draws all of them again: pictures of equal pixels but for rounding, SVG of about equal length."""
    command = (
        "import sys; sys.path.insert(0, sys.argv[1]); import pathlib, figures; "
        "figures.FOLDER = pathlib.Path(sys.argv[2]); figures.main([])"
    )
    run = [sys.executable, "-W", "ignore", "-c", command, str(ENGLISH), str(tmp_path)]
    finished = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    for committed in (ENGLISH / "figures").iterdir():
        drawn = tmp_path / committed.name
        if committed.suffix == ".svg":
            assert drawn.stat().st_size == pytest.approx(committed.stat().st_size, rel=0.05)
        else:
            pixels, again = (np.asarray(Image.open(path).convert("RGB"), dtype=float) for path in (committed, drawn))
            assert pixels.shape == again.shape
            assert np.abs(pixels - again).mean() < 2


def test_there_are_two_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["from_noise_to_picture", "triples_to_graph"]
    assert sum(path.stat().st_size for path in NOTEBOOKS) < 1_000_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_outputs(path):
    """Every cell was run, in order, and left neither an error nor a warning; one leaves a picture."""
    cells = [cell for cell in json.loads(read(path))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert any({"image/png", "image/svg+xml"} & output.get("data", {}).keys() for output in outputs)
    assert str(ROOT.parent) not in read(path)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    committed = nbformat.read(path, as_version=4)
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    for ran, kept in zip(notebook.cells, committed.cells):
        kinds = [[output["output_type"] for output in cell.get("outputs", [])] for cell in (ran, kept)]
        assert kinds[0] == kinds[1]

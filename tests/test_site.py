"""The documentation as a reader gets it: each public name has its entry, nothing comes from another server.

`make docs` builds the site and has these tests look at it (`SITE=outputs/site`); alone they build one.
"""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
import yaml
from documents import ROOT, command_words, hooks

from hf_kexue.cli.main import app

pytestmark = pytest.mark.slow
MODULES = hooks().PUBLIC_MODULES


class Page(HTMLParser):
    """What a page shows and fetches."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.fetched, self.formulas = set(), set(), [], 0
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get("id"))
        self.links.add(found.get("href") if tag == "a" else None)
        self.formulas += "arithmatex" in (found.get("class") or "").split()
        if tag in ("script", "img", "iframe", "source") and found.get("src"):
            self.fetched.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "preconnect", "preload", "icon"):
            self.fetched.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of the built pages."""
    if "SITE" in os.environ:
        return ROOT / os.environ["SITE"]
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path.parent.relative_to(site).as_posix(): Page(path) for path in site.rglob("index.html")}


@pytest.mark.parametrize("module", MODULES)
def test_public_names_have_an_entry(module, pages):
    """mkdocs passes an empty page of lazily loaded names; a reader does not."""
    anchors = {anchor for name, page in pages.items() if name.startswith("api/") for anchor in page.ids}
    names = hooks().public_names(module)
    assert names
    assert [name for name in names if hooks().defining_path(module, name) not in anchors] == []


def test_public_names_are_listed(pages):
    """The table of the reference leads to all of them."""
    expected = {hooks().defining_path(module, name) for module in MODULES for name in hooks().public_names(module)}
    assert {link.partition("#")[2] for link in pages["api"].links if link} >= expected


def test_an_entry_has_signature_and_arguments(pages):
    """Which of both is lost first when a handler changes."""
    text = re.sub(r"<[^>]+>", "", pages["api/simple_diffusion"].text)
    for word in ("guidance_interval", "num_inference_steps", "base_size", "arXiv 2406.02507"):
        assert word in text


def test_commands_have_an_entry(pages):
    text = re.sub(r"<[^>]+>", "", pages["command-line"].text)
    for line in command_words(typer.main.get_command(app), ["hf-kexue"]):
        assert re.sub(r" [A-Z_]+\b(?:\.{3})?", "", line) in text
    assert "--guidance-scale" in text


def test_figures_are_filled_in(pages):
    assert [name for name, page in pages.items() if re.search(r"\{\{|&lt;!-- generated", page.text)] == []
    results = [path.stem for path in (ROOT / "benchmarks" / "results").glob("*.json")]
    assert set(results) <= pages["measurements"].ids


def test_nothing_comes_from_another_server(pages):
    for name, page in pages.items():
        outside = [address for address in page.fetched if re.match(r"(https?:)?//", address)]
        assert outside == [], name


def test_formulas_have_what_sets_them(site, pages):
    """KaTeX lies beside the pages, with every font that its style sheet asks for first."""
    with_formulas = [page for page in pages.values() if page.formulas]
    assert with_formulas
    for page in with_formulas:
        assert any(address.endswith("katex.min.js") for address in page.fetched)
    style = (site / "assets/katex/katex.min.css").read_text(encoding="utf-8")
    fonts = set(re.findall(r"fonts/[\w-]+\.woff2", style))
    assert len(fonts) > 10
    assert [font for font in fonts if not (site / "assets/katex" / font).is_file()] == []


def test_pages_of_the_navigation_are_built(pages):
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)
    waiting, named = list(settings["nav"]), []
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, str):
            named.append(Path(entry))
        else:
            waiting += [inside for part in entry.values() for inside in (part if isinstance(part, list) else [part])]
    assert len(named) > 25
    for path in named:
        address = path.parent if path.stem == "index" else path.with_suffix("")
        assert address.as_posix() in pages, path

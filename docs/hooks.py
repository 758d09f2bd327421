"""What mkdocs does beside its plugins.

- `{{ name path format }}` in a page is a figure of `benchmarks/results/<name>.json` or
  `model_cards/results/<name>.json`, so that no number is typed by hand.
- `<!-- generated: command line -->` is the help of `hf-kexue`; `public names`, `measurements`,
  `samplers`, `leaderboard` and `rows of NAME` are generated alike.
- A notebook becomes a page, with the outputs that it was saved with.
- Lines of Chinese that a paragraph is broken into are joined: a browser would show a space at each break.
- A link that leaves `docs/` leads to a copy of that file under `repository/`: pages read the same in a checkout and on
  the site.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
RESULTS = (ROOT / "benchmarks" / "results", ROOT / "model_cards" / "results")
PUBLIC_MODULES = (
    "hf_kexue",
    "hf_kexue.simple_diffusion",
    "hf_kexue.rsgan",
    "hf_kexue.dgcnn",
    "hf_kexue.metrics",
    "hf_kexue.numerics",
    "hf_kexue.hub",
    "hf_kexue.collections",
    "hf_kexue.serve",
    "hf_kexue.onnx",
    "hf_kexue.ray",
)
# Results that docs/peers.md shows.
PEERS = ("peers_images", "reader_against_bert", "triples_against_bert", "samplers", "peers_curvature")
FIGURE = re.compile(r"\{\{ (?P<name>[\w-]+) (?P<path>\S+?)(?: (?P<format>\.\d[f%]))? \}\}")
LINK = re.compile(r"(?<=\]\()(?!\w+:|[#/])(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=\))")
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.S)
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
HAN = r"[\u2014\u2018-\u201d\u2026\u3000-\u303f\u3400-\u9fff\uff00-\uffef]"  # and its punctuation
BREAK = re.compile(rf"^(?!#)(?P<line>.*{HAN})\n(?={HAN})", re.M)


def figure(name: str, path: str, form: str = "") -> str:
    """A number of a results file as it is printed: `rows.0.f1` by place, `rows.model=BERT.f1` by what a row holds,
    `rows.*.f1` for all rows.

    Args:
        name: of the results file, without its ending.
        path: keys separated by dots; a space in a key or value is written `_`.
        form: a format such as `.2f` or `.0%`; without one the number is printed as it was saved.

    Raises:
        KeyError: when there is no such file, key or row.
    """
    (file,) = [folder / f"{name}.json" for folder in RESULTS if (folder / f"{name}.json").is_file()] or [None]
    if file is None:
        raise KeyError(f"no results file {name}.json in {', '.join(str(folder) for folder in RESULTS)}")
    values = [json.loads(file.read_text(encoding="utf-8"))]
    for step in path.split("."):
        values = [found for value in values for found in _inside(value, step)]
        if not values:
            raise KeyError(f"{file.name} has no {step!r} of {path!r}")
    return ", ".join(f"{value:{form}}" if form else str(value) for value in values)


def _inside(value: Any, step: str) -> list[Any]:
    if isinstance(value, list):
        if step == "*":
            return value
        key, _, wanted = step.partition("=")
        if wanted:
            return [row for row in value if str(row.get(key, "")).replace(" ", "_") == wanted]
        return value[int(step) : int(step) + 1]
    matching = [key for key in value if key.replace(" ", "_") == step]
    return [value[key] for key in matching]


def public_names(module: str) -> list[str]:
    """What a module of the package offers, without `__version__`."""
    return [name for name in importlib.import_module(module).__all__ if not name.startswith("__")]


def defining_path(module: str, name: str) -> str:
    """Where a public name is defined: the address of its entry in the API reference."""
    value = getattr(importlib.import_module(module), name)
    return f"{value.__module__}.{value.__qualname__}"


def _table_of_names() -> str:
    rows = ["| Name | Import from |", "|---|---|"]
    seen: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for module in PUBLIC_MODULES:
        for name in public_names(module):
            path = defining_path(module, name)
            seen.setdefault(path, []).append(module)
            names[path] = name
    for path in sorted(seen, key=lambda path: names[path].lower()):
        modules = ", ".join(f"`{module}`" for module in seen[path])
        rows.append(f"| [`{names[path]}`][{path}] | {modules} |")
    return "\n".join(rows)


def _command_line() -> str:
    import typer
    from typer.cli import get_docs_for_click

    from hf_kexue.cli.main import app

    command = typer.main.get_command(app)
    _unshorten(command)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="hf-kexue")
    return text.partition("\n")[2]  # the page has a title of its own


def _unshorten(command: Any) -> None:
    """Lists of commands hold the first paragraph of each help text, and not its first words."""
    for below in getattr(command, "commands", {}).values():
        below.short_help = " ".join((below.help or "").partition("\n\n")[0].split())
        _unshorten(below)


def _tables() -> Any:
    """The module of benchmarks/tables.py."""
    script = ROOT / "benchmarks" / "tables.py"
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    return tables


def _measurements() -> str:
    """All results files; the summary of the page and its pictures are written by hand around their figures."""
    return str(_tables().render_all(level=3))


def _rows(name: str) -> str:
    """The rows of a results file as a table, and the command that made it."""
    figures = json.loads((RESULTS[0] / f"{name}.json").read_text(encoding="utf-8"))
    made = figures["environment"]
    return f"{_tables().rows_table(figures['rows'])}\n\n`python benchmarks/{made['command']}`, {made['device']}."


def _samplers() -> str:
    """Errors of the scheduler classes with an exact network, from benchmarks/samplers.py."""
    results = json.loads((RESULTS[0] / "samplers_exact.json").read_text(encoding="utf-8"))
    lines = [
        "| Class | Options | "
        + " | ".join(f"{count} steps" for count in results["steps"])
        + " | Below one level from |",
        "|---" * (len(results["steps"]) + 3) + "|",
    ]
    for row in results["rows"]:
        cells = [f"{value:.2f}" for value in row["errors"]]
        start = f"{row['steps_for_one_level']} steps" if row["steps_for_one_level"] else "-"
        lines.append(f"| `{row['class']}` | {row['options'] or '-'} | " + " | ".join(cells) + f" | {start} |")
    return "\n".join(lines)


GENERATED = {
    "command line": _command_line,
    "public names": _table_of_names,
    "measurements": _measurements,
    "samplers": _samplers,
    "leaderboard": lambda: str(_tables().leaderboard()),
    **{f"rows of {name}": partial(_rows, name) for name in PEERS},
}


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """A saved notebook as Markdown, and its pictures by name."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            data = {kind: "".join(value) for kind, value in output.get("data", {}).items()}
            name = f"{path.stem}-{len(pictures) + 1}"
            if "image/svg+xml" in data:
                pictures[f"{name}.svg"] = data["image/svg+xml"].encode()
                parts.append(f"![output]({name}.svg)")
            elif "image/png" in data:
                pictures[f"{name}.png"] = base64.b64decode(data["image/png"])
                parts.append(f"![output]({name}.png)")
            elif "text/markdown" in data:
                parts.append(data["text/markdown"])
            elif "text/html" in data:
                lines = [line.strip() for line in data["text/html"].splitlines() if line.strip()]
                parts.append('<div class="output">\n' + "\n".join(lines) + "\n</div>")
            else:
                text = "".join(output.get("text", [])) or data.get("text/plain", "")
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n", pictures


def without_breaks(markdown: str) -> str:
    """Chinese lines of one paragraph as one line, outside of code and headings."""
    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [BREAK.sub(r"\g<line>", markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, BREAK.sub(r"\g<line>", markdown[end:])])


def _repository_paths(text: str, folder: Path) -> Iterator[Path]:
    """Files outside docs/ that a text in `folder` links to."""
    for match in LINK.finditer(FENCE.sub("", text)):
        path = (folder / match["path"]).resolve()
        if path.is_file() and path.is_relative_to(ROOT) and not path.is_relative_to(DOCS):
            yield path


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add notebooks as pages, the files of the repository that pages link to, and those that these link to."""
    for path in sorted((DOCS / "notebooks").glob("*.ipynb")):
        text, pictures = notebook_page(path)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, content in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    waiting = [
        path
        for file in files.documentation_pages()
        for path in _repository_paths(file.content_string, (DOCS / file.src_uri).parent)
    ]
    while waiting:
        path = waiting.pop()
        uri = f"repository/{path.relative_to(ROOT).as_posix()}"
        if files.get_file_from_path(uri):
            continue
        if path.suffix == ".md":
            text = FRONT_MATTER.sub("", path.read_text(encoding="utf-8"))
            files.append(File.generated(config, uri, content=text))
            waiting.extend(_repository_paths(text, path.parent))
        else:
            files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in figures, generated parts and public names that a page of the API does not order; turn links that leave
    docs/ to the copies of their files."""
    uri = page.file.src_uri
    try:
        markdown = FIGURE.sub(lambda match: figure(match["name"], match["path"], match["format"] or ""), markdown)
    except KeyError as error:
        raise PluginError(f"{uri}: {error.args[0]}") from None
    for name, generate in GENERATED.items():
        mark = f"<!-- generated: {name} -->"
        if mark in markdown:
            markdown = markdown.replace(mark, generate())
    if uri.startswith("api/") and uri != "api/index.md":
        module = f"hf_kexue.{Path(uri).stem}"
        missing = [name for name in public_names(module) if f"::: {defining_path(module, name)}\n" not in markdown]
        markdown += "".join(f"\n::: {defining_path(module, name)}\n" for name in missing)
    inside = uri.removeprefix("repository/")
    source = ROOT / inside if inside != uri else DOCS / uri

    def turned(match: re.Match[str]) -> str:
        target = (source.parent / match["path"]).resolve()
        if not target.is_relative_to(ROOT) or not target.is_file():
            return match[0]  # mkdocs itself says what is wrong with it
        if target.suffix == ".ipynb":
            target = target.with_suffix(".md")
        where = target.relative_to(DOCS) if target.is_relative_to(DOCS) else "repository" / target.relative_to(ROOT)
        return os.path.relpath(where, Path(uri).parent) + (match["anchor"] or "")

    return LINK.sub(turned, without_breaks(markdown))

"""Run all benchmarks for which data are available.

    python benchmarks/run_all.py --list
    python benchmarks/run_all.py --data cmrc2018=path/to/cmrc2018 duie2=owner/duie2
    python benchmarks/run_all.py --only reader_speed triples_speed --data duie2=path/to/duie2

A benchmark is a file here that calls `write_results`. It declares the data that it needs from outside the
checkout, `DATA = {"--train": "cmrc2018"}`: its option (or positional argument), and the NAME in --data.
`OPTIONAL_DATA` has the same form.
Benchmarks with missing data are skipped, with the reason. If one fails, the others still run, and the exit status is
1.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
MEANINGS = {
    "clothing-128": "photographs of clothing at 128 px, 17 classes, splits train and validation",
    "cmrc2018": "questions of CMRC 2018, splits train and validation",
    "duie2": "sentences of DuIE 2.0, splits train and validation",
    "emoji-128": "emoji at 128 px with words, as training/data/emoji/build_emoji.py makes them",
    "emoji-model": "folder of a text-to-image pipeline trained on them, see docs/how-to/text-to-image.md",
    "other-build": "checkout of another commit of this repository",
    "peer": "simple_diffusion.py of denoising-diffusion-pytorch",
    "reader": "folder of a reader that was trained on a CPU, as training/publish_dgcnn_qa.py leaves it",
    "reader-figures": "figures of its card, JSON",
    "webqa": "questions of WebQA with all their passages, split validation",
}


class Benchmark(NamedTuple):
    """A script, and the data that its options take: option to name."""

    path: Path
    needed: dict[str, str]
    optional: dict[str, str]

    def command(self, data: dict[str, str]) -> list[str]:
        """Arguments of the interpreter."""
        options = self.needed | {option: name for option, name in self.optional.items() if name in data}
        words = [(option, data[name]) if option.startswith("-") else (data[name],) for option, name in options.items()]
        return [str(self.path), *(word for pair in words for word in pair)]


def find_benchmarks(folder: Path = HERE) -> dict[str, Benchmark]:
    """The benchmarks of a folder by name; nothing is imported.

    Raises:
        ValueError: if one does not declare its data, or needs some that `MEANINGS` does not list.
    """
    benchmarks = {}
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "results"]
        if not any(alias.name == "write_results" for node in imports for alias in node.names):
            continue
        declared = _constants(tree)
        if "DATA" not in declared:
            raise ValueError(f"{path} declares no DATA: the data that it needs from outside the checkout.")
        benchmarks[path.stem] = Benchmark(path, declared["DATA"], declared.get("OPTIONAL_DATA", {}))
        unknown = {*benchmarks[path.stem].needed.values(), *benchmarks[path.stem].optional.values()} - MEANINGS.keys()
        if unknown:
            raise ValueError(f"{path} needs {', '.join(sorted(unknown))}; known are {', '.join(MEANINGS)}.")
    return benchmarks


def _constants(tree: ast.Module) -> dict[str, dict[str, str]]:
    """DATA and OPTIONAL_DATA of a module."""
    found = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id in ("DATA", "OPTIONAL_DATA"):
            found[target.id] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
    return found


def parse_data(pairs: list[str]) -> dict[str, str]:
    """NAME=PLACE, as often as given.

    Raises:
        ValueError: for another form or an unknown name.
    """
    found = {}
    for pair in pairs:
        name, equals, place = pair.partition("=")
        if not equals or not place or name not in MEANINGS:
            raise ValueError(f"--data takes NAME=FOLDER_OR_ID with NAME one of {', '.join(MEANINGS)}; got {pair!r}.")
        found[name] = place
    return found


def main(argv: list[str] | None = None) -> None:
    benchmarks = find_benchmarks()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=[], metavar="NAME=PLACE", help="folder, file or Hub id")
    parser.add_argument("--only", nargs="+", choices=list(benchmarks), default=list(benchmarks), metavar="BENCHMARK")
    parser.add_argument("--list", action="store_true", help="say what would run and what would be left out, and stop")
    args = parser.parse_args(argv)
    try:
        data = parse_data(args.data)
    except ValueError as error:
        parser.error(str(error))
    failed = []
    for number, name in enumerate(args.only, 1):
        head = f"==> {number}/{len(args.only)} {name}"
        if missing := [need for need in dict.fromkeys(benchmarks[name].needed.values()) if need not in data]:
            needs = "; ".join(f"--data {need}=... ({MEANINGS[need]})" for need in missing)
            print(f"{head} left out: it needs {needs}", flush=True)
            continue
        command = benchmarks[name].command(data)
        print(head, *command[1:], flush=True)
        if not args.list and subprocess.run([sys.executable, *command], check=False).returncode:
            failed.append(name)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

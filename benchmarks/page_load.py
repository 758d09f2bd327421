"""Visitors at the page: mixed requests in every tab at once, each result compared, memory and disk over time.

    python benchmarks/page_load.py --seconds 3600

Runs `app.py` with the published models and Gradio's own client as the browser: each visitor draws from prompts and
classes, edits a picture, asks, extracts, walks between two images of the GAN and, one time in twelve, types what the
page refuses. Pictures must equal, pixel by pixel, those that the page's backend drew before, alone; HTML and messages
too. A visitor rests for --rest seconds on average between two requests. Memory is the resident size of the page, disk
the size of the folder where Gradio puts pictures. Needs Linux and the environment of `make page`. Writes
benchmarks/results/page_load.json.
"""

from __future__ import annotations

import argparse
import html
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from results import REPOSITORY, write_results
from serve_load import memory_figures, resident

from hf_kexue.demo.editing import WAYS
from hf_kexue.demo.page import ALL_STYLES, Page
from hf_kexue.demo.prompts import LANGUAGES, STYLES
from hf_kexue.demo.questions import BRIDGE, QUESTIONS
from hf_kexue.demo.triples import SENTENCES

DATA: dict[str, str] = {}  # needs none from outside the checkout
MODELS = str(REPOSITORY / "model_cards")
CLOTHING = "clothing, by class"
REFUSED = 12  # one request in so many


class Request(NamedTuple):
    """What a visitor does in a tab, and what must come of it.

    Args:
        tab: name of the page's function in Gradio's interface, without the slash.
        values: of its fields.
        expected: pictures as arrays, texts, or the message of an error as ValueError.
    """

    tab: str
    values: tuple[Any, ...]
    expected: Any


def requests(page: Page, count: int, folder: Path) -> list[Request]:
    """Requests of all tabs in turn, with what the backend makes of them by itself.

    Args:
        page: backend.
        count: of requests.
        folder: where the pictures to edit lie.
    """
    makers = [_prompts, _images, _edit, _ask, _extract, _walk, _between]
    generator = random.Random(0)
    return [makers[number % len(makers)](page, generator, folder) for number in range(count)]


def _seen(tab: str, values: tuple[Any, ...], work: Callable[..., Any]) -> Request:
    try:
        return Request(tab, values, work(*values))
    except ValueError as error:
        return Request(tab, values, error)


def _prompts(page: Page, generator: random.Random, folder: Path) -> Request:
    words = generator.choice(["", *(words for one in LANGUAGES.values() for words in one["prompts"]), "很" * 500])
    style = generator.choice([ALL_STYLES, *STYLES])
    values = (words, style, generator.choice([1, 3.0]), 1, generator.randint(1, 6), generator.randrange(1000))
    return _seen("prompts", values, lambda *values: [_pixels(picture) for picture, _ in page.prompted(*values)])


def _images(page: Page, generator: random.Random, folder: Path) -> Request:
    label = generator.choice(page.classes("images"))
    values = (label, generator.choice([1, 5.0]), generator.randint(1, 4), generator.randint(1, 6),
              generator.choice([generator.randrange(1000), -1]))  # fmt: skip
    return _seen("images", values, lambda *values: [_pixels(picture) for picture in page.images(*values)])


def _edit(page: Page, generator: random.Random, folder: Path) -> Request:
    side = generator.randint(60, 300)
    noise = np.random.default_rng(side).integers(256, size=(4, 4, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((side, generator.randint(60, 300)), Image.Resampling.BICUBIC)
    strokes = Image.new("RGBA", picture.size)
    strokes.paste((255, 255, 255, 255), (10, 10, 40, 50))
    paths = [folder / f"{time.time_ns()}.png" for _ in range(2)]
    for path, layer in zip(paths, (picture.convert("RGBA"), strokes)):
        layer.save(path)
    way, strength = generator.choice(list(WAYS)), generator.choice([0.3, 0.6])
    editor = {"background": Image.open(paths[0]), "layers": [Image.open(paths[1])], "composite": None}
    rest = (way, strength, "Hat", 1, 4, generator.randrange(1000))
    seen = _seen("edit", rest, lambda *values: _pixels(page.edited(editor, *values)))
    return seen._replace(values=(CLOTHING, "", tuple(map(str, paths)), *rest))


def _ask(page: Page, generator: random.Random, folder: Path) -> Request:
    question = generator.choice([*(text for _, _, text, *_ in QUESTIONS), " "])
    text = BRIDGE * generator.randint(1, 4)
    return _seen("ask", (question, text, generator.random() < 0.5, generator.randint(1, 5)), page.answer)


def _extract(page: Page, generator: random.Random, folder: Path) -> Request:
    sentences = generator.choices(SENTENCES, k=generator.randint(0, 6))
    return _seen("extract", ("".join(sentences),), page.triples)


def _walk(page: Page, generator: random.Random, folder: Path) -> Request:
    values = (*_ends(page, generator), generator.random(), generator.choice([0.8, 1]))

    def work(label: str, first: int, last: int, place: float, truncation: float) -> Any:
        strip = page.interpolation(label, first, last, truncation)
        return [_pixels(page.between(label, first, last, place, truncation)), _pixels(strip)]

    return _seen("walk", values, work)


def _between(page: Page, generator: random.Random, folder: Path) -> Request:
    values = (*_ends(page, generator), generator.random(), generator.choice([0.8, 1]))
    return _seen("between", values, lambda *values: _pixels(page.between(*values)))


def _ends(page: Page, generator: random.Random) -> tuple[str, int, int]:
    first = generator.choice([generator.randrange(1000), -1])
    return generator.choice(page.classes("gan")), first, generator.randrange(1000)


def _pixels(picture: Image.Image) -> np.ndarray[Any, Any]:
    return np.asarray(picture.convert("RGB"))


def _pictures(found: Any) -> Iterator[np.ndarray[Any, Any]]:
    """The pictures among what Gradio's client returns, in their order; files are read and removed."""
    if isinstance(found, dict):
        yield from _pictures(found.get("image"))
    elif isinstance(found, (list, tuple)):
        for one in found:
            yield from _pictures(one)
    elif isinstance(found, str) and found.endswith(".png"):
        with Image.open(found) as picture:
            yield _pixels(picture)
        Path(found).unlink()


def fault(request: Request, found: Any) -> str:
    """What is wrong with a result; "" for nothing."""
    *results, message = found
    told = message.get("value", "") if isinstance(message, dict) else message
    if isinstance(request.expected, ValueError):
        text = html.unescape(re.sub("<[^>]*>", "", told or ""))
        return "" if text == str(request.expected) else f"{request.tab}: said {text!r} and not {request.expected}"
    if told:
        return f"{request.tab}: said {told!r}"
    if isinstance(request.expected, str):
        return "" if results == [request.expected] else f"{request.tab}: {str(results)[:200]}"
    expected = request.expected if isinstance(request.expected, list) else [request.expected]
    pictures = list(_pictures(results))
    same = len(pictures) == len(expected) and all(map(np.array_equal, pictures, expected))
    return "" if same else f"{request.tab}: other pictures for {request.values}"


class Visitor(threading.Thread):
    """Sends requests until `stop` is set, and keeps what happened."""

    def __init__(
        self, url: str, kinds: dict[bool, list[Request]], seed: int, rest: float, stop: threading.Event
    ) -> None:
        super().__init__()
        self.url, self.kinds, self.rest, self.stop = url, kinds, rest, stop
        self.generator = random.Random(seed)
        self.seconds: dict[str, list[float]] = {}
        self.faults: list[str] = []
        self.refused = 0

    def run(self) -> None:
        from gradio_client import Client

        with tempfile.TemporaryDirectory() as folder:
            client = Client(self.url, verbose=False, download_files=folder)
            while not self.stop.wait(self.generator.expovariate(1 / self.rest)):
                self._visit(client)

    def _visit(self, client: Any) -> None:
        from gradio_client import handle_file

        bad = self.generator.random() < 1 / REFUSED
        request = self.generator.choice(self.kinds[bad])
        values = request.values
        if request.tab == "edit":
            background, strokes = map(handle_file, values[2])
            values = (*values[:2], {"background": background, "layers": [strokes], "composite": None}, *values[3:])
        started = time.perf_counter()
        try:
            found = client.predict(*values, api_name=f"/{request.tab}")
            self.faults += filter(None, [fault(request, found)])
        except Exception as error:  # whatever a client says is a fault of the page, and is counted
            self.faults.append(f"{request.tab}: {type(error).__name__}: {error}"[:300])
        self.seconds.setdefault(request.tab, []).append(time.perf_counter() - started)
        self.refused += bad


def disk(folder: Path) -> float:
    """MiB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def load(url: str, pid: int, cache: Path, rows: list[Request], args: argparse.Namespace) -> dict[str, Any]:
    """Figures of a page with visitors."""
    kinds = {bad: [row for row in rows if isinstance(row.expected, ValueError) == bad] for bad in (False, True)}
    stop = threading.Event()
    visitors = [Visitor(url, kinds, seed, args.rest, stop) for seed in range(args.visitors)]
    for visitor in visitors:
        visitor.start()
    sizes: list[float] = []
    started = time.perf_counter()
    while time.perf_counter() - started < args.seconds:
        time.sleep(args.seconds / 60)
        sizes.append(resident(pid))
        done = sum(len(one) for visitor in visitors for one in visitor.seconds.values())
        print(f"{time.perf_counter() - started:.0f} s: {sizes[-1]:.0f} MiB, {disk(cache):.1f} MiB on disk, "
              f"{done} results", flush=True)  # fmt: skip
    stop.set()
    for visitor in visitors:
        visitor.join()
    faults = [fault for visitor in visitors for fault in visitor.faults]
    for text, times in Counter(faults).most_common(5):
        print(f"{times} times: {text}")
    tabs = dict.fromkeys(row.tab for row in rows)
    waits = {tab: [one for visitor in visitors for one in visitor.seconds.get(tab, [])] for tab in tabs}
    return {
        "visitors": args.visitors, "seconds": round(time.perf_counter() - started), "rest": args.rest,
        "different_requests": len(rows), "results": sum(map(len, waits.values())), "wrong_or_lost": len(faults),
        "refused": sum(visitor.refused for visitor in visitors),
        **memory_figures(sizes), "mib_on_disk_at_the_end": round(disk(cache), 1),
        "rows": [
            {"tab": tab, "results": len(seconds), "median_seconds": round(statistics.median(seconds), 2)}
            for tab, seconds in waits.items() if seconds
        ],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--visitors", type=int, default=4)
    parser.add_argument("--rest", type=float, default=5, help="seconds, on average")
    parser.add_argument("--requests", type=int, default=140, help="different ones")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = requests(Page(MODELS), args.requests, Path(folder))
        cache = Path(folder) / "cache"
        environment = os.environ | {"GRADIO_TEMP_DIR": str(cache), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, str(REPOSITORY / "app.py"), "--models", MODELS]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as page:
            assert page.stdout is not None
            try:
                url = next(match[0] for line in page.stdout if (match := re.search(r"http://[\d.]+:\d+", line)))
                figures = load(url, page.pid, cache, rows, args)
            finally:
                page.terminate()
    write_results("page_load", figures)


if __name__ == "__main__":
    main()

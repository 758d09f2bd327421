"""The page of web/ in a headless Chromium: bytes, time to the first answer, and time of later calls.

    make web
    python benchmarks/web_page.py --page outputs/web

A fresh browser opens the page from a file server on this machine, three times; the best of each figure counts, since
other load only makes things slower. Then the page is opened once more, from the browser's own storage. One thread,
as without special headers. Needs Playwright and Chromium. Writes benchmarks/results/web_page.json.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import importlib
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from results import REPOSITORY, write_results

DATA: dict[str, str] = {}  # needs none from outside the checkout
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUESTION = "《红楼梦》的作者是谁？"
SENTENCE = "《红楼梦》是中国古典四大名著之一，清代作家曹雪芹创作的章回体长篇小说。"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def megabytes(folder: Path) -> dict[str, float]:
    """Sizes by kind of file."""
    kinds = {"runtime": "ort", "segmenter": "jieba", "reader": "dgcnn-qa-zh", "triples": "dgcnn-triples-zh"}
    sizes = dict.fromkeys([*kinds, "page"], 0)
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        kind = next((kind for kind, word in kinds.items() if word in name), "page")
        sizes[kind] += path.stat().st_size if path.is_file() else 0
    return {kind: round(size / 1e6, 2) for kind, size in [*sizes.items(), ("all", sum(sizes.values()))]}


def answered(page: Any, form: str) -> float:
    """Milliseconds of a call, as the page states them."""
    page.locator(f"#{form} button.main").click()
    stated = page.locator(f"#{form} .result p.faint")
    stated.wait_for()
    return float(stated.inner_text().removesuffix(" ms"))


def visit(context: Any, address: str) -> dict[str, float]:
    """Open the page, ask at once, then ask again."""
    page = context.new_page()
    page.set_default_timeout(300_000)
    started = time.perf_counter()
    page.goto(address)
    answered(page, "ask")
    found = {"seconds_to_first_answer": time.perf_counter() - started}
    page.locator("body[data-ready]").wait_for(state="attached")
    found["seconds_to_all_loaded"] = time.perf_counter() - started
    page.locator("#question").fill(QUESTION)
    for count in (40, 400):
        page.locator("#context").fill((SENTENCE * 12)[:count])
        found[f"question_over_{count}_characters_ms"] = min(answered(page, "ask") for _ in range(4))
    page.locator("#tab-extract").click()
    page.locator("#text").fill(SENTENCE)
    found["triples_of_a_sentence_ms"] = min(answered(page, "extract") for _ in range(4))
    page.close()
    return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--page", type=Path, default=REPOSITORY / "outputs" / "web", help="folder that `make web` made"
    )
    parser.add_argument("--rounds", type=int, default=3, help="fresh browsers")
    args = parser.parse_args(argv)
    browser_path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if not (args.page / "index.html").is_file() or browser_path is None:
        raise SystemExit(f"{args.page} holds no page (`make web`), or there is no Chromium.")
    playwright = importlib.import_module("playwright.sync_api")
    handler = functools.partial(Quiet, directory=args.page)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    rounds = []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        version = browser.version
        for _ in range(args.rounds):
            context = browser.new_context()
            first, again = visit(context, address), visit(context, address)
            rounds.append(first | {"seconds_to_first_answer_when_stored": again["seconds_to_first_answer"]})
            context.close()
        browser.close()
    server.shutdown()
    best = {name: round(min(found[name] for found in rounds), 2) for name in rounds[0]}
    figures = {
        "chromium": version, "rounds": args.rounds, "cores": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 1), "megabytes": megabytes(args.page), "best": best,
    }  # fmt: skip
    print(best)
    write_results("web_page", figures)


if __name__ == "__main__":
    main()

"""Load on the HTTP service: four clients at once, every answer compared, memory over time.

    python benchmarks/serve_load.py --seconds 3600

`hf-kexue serve` runs the published reader and model for triples. Each client asks, extracts and, one request in
twenty, sends bad input (NaN, blank, half a surrogate pair, too large), at random, without pauses. Questions and texts
of all requests differ in content, and answers are compared with those that the pipelines gave before: strings, places
and predicates, scores to 1e-4. Memory is the resident size of the server. Needs Linux. Writes
benchmarks/results/serve_load.json.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from results import REPOSITORY, write_results

from hf_kexue.inference.saved_models import load_pipeline

DATA: dict[str, str] = {}  # needs none from outside the checkout
READER, TRIPLES = (str(REPOSITORY / "model_cards" / name) for name in ("dgcnn-qa-zh", "dgcnn-triples-zh"))
PEOPLE = ("李春", "王大明", "欧阳修", "张衡", "郭守敬", "茅以升")
THINGS = ("赵州桥", "卢沟桥", "钱塘江大桥", "地动仪", "简仪", "醉翁亭")
BAD = (
    ("/ask", b'{"question": "x", "context": "x", "top_k": NaN}', 422),
    ("/ask", b'{"question": " ", "context": "x"}', 422),
    ("/ask", b'{"question": "\\ud800", "context": "x"}', 422),
    ("/extract", b'{"texts": ["' + b"x" * 2_100_000 + b'"]}', 413),
    ("/extract", b"{", 422),
)


def requests(count: int) -> list[tuple[str, dict[str, Any], Any]]:
    """(path, body, expected answer) of different requests, of lengths from one sentence to many."""
    generator = random.Random(0)
    reader, extractor = load_pipeline(READER), load_pipeline(TRIPLES)
    rows: list[tuple[str, dict[str, Any], Any]] = []
    for number in range(count):
        sentences = [
            f"{generator.choice(THINGS)}由{generator.choice(PEOPLE)}在{generator.randint(600, 1950)}年主持修建。"
            for _ in range(generator.randint(1, 12))
        ]
        text = f"第{number}段。" + "".join(sentences)
        if number % 2:
            question = f"{generator.choice(THINGS)}是谁修建的？"
            answer = reader(question=question, context=text, progress=False)
            rows.append(("/ask", {"question": question, "context": text}, [{**answer, "passage": None}]))
        else:
            rows.append(("/extract", {"texts": [text]}, [extractor(text, progress=False)]))
    return rows


def is_same(found: Any, expected: Any) -> bool:
    """Equal but for rounding; a type that is missing is None."""
    if isinstance(expected, dict):
        keys = found.keys() | expected.keys()
        return isinstance(found, dict) and all(is_same(found.get(key), expected.get(key)) for key in keys)
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(is_same, found, expected))
    return abs(found - expected) < 1e-4 if isinstance(expected, float) else bool(found == expected)


class Client(threading.Thread):
    """Sends requests until `stop` is set, and keeps what happened."""

    def __init__(
        self, port: int, rows: list[tuple[str, dict[str, Any], Any]], seed: int, stop: threading.Event
    ) -> None:
        super().__init__()
        self.port, self.rows, self.stop = port, rows, stop
        self.generator = random.Random(seed)
        self.latencies: list[float] = []
        self.wrong: list[str] = []
        self.bad = 0

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        while not self.stop.is_set():
            if self.generator.random() < 0.05:
                path, body, expected = self.generator.choice(BAD)
                status, _ = self._send(connection, path, body)
                self.bad += 1
                if status != expected:
                    self.wrong.append(f"{path}: status {status} and not {expected}")
                continue
            path, record, answer = self.generator.choice(self.rows)
            started = time.perf_counter()
            status, content = self._send(connection, path, json.dumps(record).encode())
            self.latencies.append(time.perf_counter() - started)
            if status != 200 or not is_same(json.loads(content), answer):
                self.wrong.append(f"{path}: status {status}, {content[:200]!r}")

    def _send(self, connection: http.client.HTTPConnection, path: str, body: bytes) -> tuple[int, bytes]:
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        except (ConnectionError, http.client.HTTPException) as error:  # refused bodies end the connection
            connection.close()
            return (413, b"") if len(body) > 2_000_000 else (0, str(error).encode())


def resident(pid: int) -> float:
    """MiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024  # type: ignore[index]


def memory_figures(sizes: list[float]) -> dict[str, int]:
    """Sizes in MiB over the time of a run, ten or more, as what stands in the results."""
    parts = {
        "after_a_tenth": sizes[len(sizes) // 10 : len(sizes) // 5],
        "in_the_second_half": sizes[len(sizes) // 2 :],
    }
    return {
        f"mib_{name}": round(statistics.median(part)) for name, part in (parts | {"at_the_end": sizes[-1:]}).items()
    }


def load(port: int, pid: int, args: argparse.Namespace) -> dict[str, Any]:
    """Figures of a server under load."""
    stop = threading.Event()
    rows = requests(args.requests)
    clients = [Client(port, rows, seed, stop) for seed in range(args.clients)]
    for client in clients:
        client.start()
    sizes: list[float] = []
    started = time.perf_counter()
    while time.perf_counter() - started < args.seconds:
        time.sleep(args.seconds / 60)
        sizes.append(resident(pid))
        print(f"{time.perf_counter() - started:.0f} s: {sizes[-1]:.0f} MiB, "
              f"{sum(len(client.latencies) for client in clients)} answers", flush=True)  # fmt: skip
    stop.set()
    for client in clients:
        client.join()
    seconds = time.perf_counter() - started
    latencies = sorted(latency for client in clients for latency in client.latencies)
    wrong = [fault for client in clients for fault in client.wrong]
    print(*wrong[:5], sep="\n")
    return {
        "clients": args.clients, "seconds": round(seconds), "different_requests": len(rows), "answers": len(latencies),
        "lost_or_wrong": len(wrong), "bad_requests": sum(client.bad for client in clients),
        "answers_per_second": round(len(latencies) / seconds, 1),
        "milliseconds_median": round(1000 * statistics.median(latencies)),
        "milliseconds_99_percent": round(1000 * latencies[int(0.99 * (len(latencies) - 1))]),
        **memory_figures(sizes),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--requests", type=int, default=400, help="different ones")
    args = parser.parse_args()
    command = [sys.executable, "-m", "hf_kexue", "serve", READER, TRIPLES, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            port = next(int(match[1]) for line in server.stderr if (match := re.search(r"http://[\d.]+:(\d+)", line)))
            log = threading.Thread(target=server.stderr.readlines)  # until the server ends
            log.start()
            figures = load(port, server.pid, args)
        finally:
            server.terminate()
        log.join()
    write_results("serve_load", figures)


if __name__ == "__main__":
    main()

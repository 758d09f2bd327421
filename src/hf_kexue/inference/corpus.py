"""Run a model of texts over a corpus of any size: part by part, resumable, several processes, several machines.

    summary = run_corpus(ExtractTask("model_cards/dgcnn-triples-zh"), "corpus.jsonl", Path("out"), formats=["jsonl"])

Every shard I of N takes the rows whose number (from 0) leaves I - 1 when divided by N, and cuts them into parts by
count and size. What a part holds depends on its rows alone, see `part_files`: a run that was killed, started again,
leaves the same bytes as one that was not. Memory is bounded by the parts that are in work, one for each process and
one waiting.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ..data.row_streams import corpus_files, parquet, stream_rows
from ..data.whole_files import remove_unfinished, write_whole
from .corpus_tasks import Task
from .graph_files import GRAPH_FORMATS, write_graphs
from .part_files import PART_FORMATS, is_complete, part_name, write_part

PART_ROWS = 1024
PART_CHARACTERS = 1_000_000
FORMATS = (*PART_FORMATS, *GRAPH_FORMATS)

Rows = list[tuple[int, str, Any]]  # (number from 0, place, row or ValueError)


class Part(NamedTuple):
    """Rows that are computed and written together.

    Args:
        name: of its files, without a suffix.
        rows: with their numbers and places.
        file: number of the file of `corpus_files` that the first row lies in; -1 for a Hub id.
        skip: rows of that file before it.
    """

    name: str
    rows: Rows
    file: int
    skip: int


# Folder, formats and the parts that are missing, read as they are needed -> the number of rows of each part, once it
# is complete.
Compute = Callable[[Path, list[str], Iterator[Part]], Iterator[int]]


@dataclass(frozen=True)
class Summary:
    """What a run did. `rows` and `rejected` count all parts of the shard, `computed` the rows of this run."""

    rows: int
    rejected: int
    parts: int
    computed: int
    seconds: float
    waits_for: tuple[int, ...] = ()  # shards that have to finish before the graph is written


def run_corpus(
    task: Task,
    source: str | Path,
    folder: Path,
    *,
    formats: list[str],
    split: str = "train",
    shard: tuple[int, int] = (1, 1),
    part_rows: int = PART_ROWS,
    workers: int = 1,
    progress: bool | None = None,
    compute: Compute | None = None,
) -> Summary:
    """Process a corpus, or what is left of it.

    Args:
        task: what is done with each row.
        source, split: as of `stream_rows`.
        folder: of the parts; made if needed.
        formats: of `FORMATS`; those of graphs are written from all parts once every shard is done.
        shard: (I, N): part I, from 1, of N.
        part_rows: rows of a part at most; fewer where they hold more than a million characters.
        workers: processes. 1: this one, with the threads of torch; more: that many, each with its model and one
            thread.
        progress: show a bar; None: on a terminal.
        compute: computes the parts elsewhere, with `compute_part`; `workers` is not used then.

    Returns:
        Counts.

    Raises:
        ValueError: for arguments out of range, a folder of another run or one within the source, a source without
            rows, or where every row is set aside.
        OSError: if the source does not exist, or another process works on the same shard.
        ImportError: for parquet without pyarrow.
    """
    _check(formats, shard, part_rows, workers)
    is_graph = bool({*formats} & {*GRAPH_FORMATS})
    if is_graph and task.columns.list_name != "triples":
        raise ValueError(f"The formats {', '.join(GRAPH_FORMATS)} are for triples.")
    kept = [form for form in PART_FORMATS if form in formats or (is_graph and form == "jsonl")]
    files = corpus_files(source, split)  # faults of the source come before the model is loaded
    sizes = None if files is None else [[file.name, file.stat().st_size] for file in files]
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"The parts need a folder, and {folder} is a file.")
    if files is not None and Path(source).is_dir() and folder.resolve().is_relative_to(Path(source).resolve()):
        raise ValueError(f"{folder} lies in {source}: its parts would be taken for rows. Choose a folder elsewhere.")
    folder.mkdir(parents=True, exist_ok=True)
    settings = {**task.facts(), "source": str(source), "split": split, "files": sizes, "formats": formats,
                "shards": shard[1], "part_rows": part_rows}  # fmt: skip
    with _locked(folder, shard):
        _check_run(folder, settings, shard)
        remove_unfinished(folder)
        started = time.perf_counter()
        starts: list[int] = []
        rows = stream_rows(source, split, starts)
        compute = compute or partial(_compute_here, task, workers)
        counts = _run_parts(task, rows, starts, folder, kept, shard, part_rows, compute, progress)
        rejected = _count_rejected(folder, shard)
        if not counts["all_rows"]:
            raise ValueError(f"{source} holds no row.")
        if counts["rows"] and rejected == counts["rows"]:
            for path in _parts_of_shard(folder, shard):  # they hold nothing, and bind no other try
                path.unlink()
            raise ValueError(f"All {rejected} rows were set aside; the reasons are in {folder}/rejected-*.jsonl.")
        done = {"rows": counts["rows"], "rejected": rejected, "parts": counts["parts"]}
        write_whole(folder / f"done-{shard[0]}-of-{shard[1]}.json", json.dumps(done).encode() + b"\n")
    waits_for = [i for i in range(1, shard[1] + 1) if not (folder / f"done-{i}-of-{shard[1]}.json").is_file()]
    if is_graph and not waits_for:
        write_graphs(folder, [form for form in formats if form in GRAPH_FORMATS])
    seconds = time.perf_counter() - started
    return Summary(
        **done, computed=counts["computed"], seconds=seconds, waits_for=tuple(waits_for if is_graph else ())
    )


def _run_parts(
    task: Task, rows: Iterator[Any], starts: list[int], folder: Path, formats: list[str], shard: tuple[int, int],
    part_rows: int, compute: Compute, progress: bool | None,
) -> dict[str, int]:  # fmt: skip
    from tqdm.auto import tqdm

    counts = {"all_rows": 0, "rows": 0, "parts": 0, "computed": 0}
    with tqdm(unit=" rows", disable=None if progress is None else not progress) as bar:

        def missing() -> Iterator[Part]:
            for number, part in enumerate(parts_of(rows, shard, part_rows, counts, task.size)):
                name = part_name(shard, number)
                counts["parts"] += 1
                if is_complete(folder, name, formats):
                    bar.update(len(part))
                    if not bar.disable:
                        bar.initial += len(part)  # not counted in the rate
                    continue
                file = bisect_right(starts, part[0][0]) - 1
                yield Part(name, part, file, part[0][0] - starts[file] if starts else 0)

        for number in compute(folder, formats, missing()):
            counts["computed"] += number
            bar.update(number)
    return counts


def _compute_here(task: Task, workers: int, folder: Path, formats: list[str], parts: Iterator[Part]) -> Iterator[int]:
    """`Compute` in this process or in worker processes."""
    with _pool(task, workers) as submit:
        waiting: dict[Future[int], None] = {}
        for part in parts:
            waiting[submit(folder, part.name, formats, part.rows)] = None
            while len(waiting) > 2 * (workers - 1):  # none is left waiting by a single process
                yield _collect(waiting)
        while waiting:
            yield _collect(waiting)


def _collect(waiting: dict[Future[int], None]) -> int:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    number = 0
    for future in done:
        del waiting[future]
        number += future.result()
    return number


def parts_of(
    rows: Iterator[tuple[str, Any]], shard: tuple[int, int], part_rows: int, counts: dict[str, int],
    size: Callable[[Any], int],
) -> Iterator[Rows]:  # fmt: skip
    """The rows of a shard in parts, lazily; `counts` gets "rows" of the shard and "all_rows"."""
    part: Rows = []
    characters = 0
    for number, (place, row) in enumerate(rows):
        counts["all_rows"] += 1
        if number % shard[1] != shard[0] - 1:
            continue
        counts["rows"] += 1
        part.append((number, place, row))
        characters += size(row)
        if len(part) == part_rows or characters >= PART_CHARACTERS:
            yield part
            part, characters = [], 0
    if part:
        yield part


def compute_part(task: Task, folder: Path, name: str, formats: list[str], part: Rows) -> int:
    """Compute and write a part; returns the number of its rows."""
    results = task.results([row for _, _, row in part])
    rows, rejected = [], []
    for (number, place, _), result in zip(part, results):
        if isinstance(result, Exception):
            rejected.append({"row": number, "place": place, "reason": reason_of(result)})
        else:
            rows.append({"row": number, **result})
    write_part(folder, name, formats, task.columns, rows, rejected)
    return len(part)


def reason_of(error: Exception) -> str:
    """Why a row is set aside, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


_task: Task | None = None  # of a worker process


@contextmanager
def _pool(task: Task, workers: int) -> Iterator[Callable[..., Future[int]]]:
    """A function that starts to compute a part."""
    if workers == 1:

        def here(*part: Any) -> Future[int]:
            future: Future[int] = Future()
            future.set_result(compute_part(task, *part))
            return future

        yield here
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, partial(_start_worker, task, os.getpid())) as pool:
        try:
            yield lambda *part: pool.submit(_work, *part)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start_worker(task: Task, parent: int) -> None:
    global _task
    import torch

    torch.set_num_threads(1)
    _task = task

    def watch() -> None:  # a parent that was killed cannot end its workers
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _work(*part: Any) -> int:
    assert _task is not None
    return compute_part(_task, *part)


def _check(formats: list[str], shard: tuple[int, int], part_rows: int, workers: int) -> None:
    unknown = [form for form in formats if form not in FORMATS]
    if unknown or not formats:
        raise ValueError(f"Formats must be among {', '.join(FORMATS)}, got {', '.join(unknown) or 'none'}.")
    if not 1 <= shard[0] <= shard[1]:
        raise ValueError(f"A shard must be I/N with 1 <= I <= N, got {shard[0]}/{shard[1]}.")
    if "parquet" in formats:
        parquet()  # before anything is computed
    for name, value in (("part_rows", part_rows), ("workers", workers)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")


def _check_run(folder: Path, settings: dict[str, Any], shard: tuple[int, int]) -> None:
    """Write the settings of a new run, compare those of one that goes on. A run that failed before its first part, and
    that no other shard belongs to, binds nobody."""
    settings, path = json.loads(json.dumps(settings)), folder / "run.json"
    others = [file for file in folder.glob(".lock-*") if file.name != _lock_name(shard)]
    begun = others or any(folder.glob("part-*")) or any(folder.glob("done-*"))
    if not begun:
        for reasons in folder.glob("rejected-*.jsonl"):
            reasons.unlink()
    if not (begun and path.is_file()):
        write_whole(path, json.dumps(settings, ensure_ascii=False, indent=1).encode() + b"\n")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    for key, value in settings.items():
        if before.get(key) != value:
            raise ValueError(
                f"{folder} holds another run, with {key} {before.get(key)!r} and not {value!r}: choose another "
                "folder, or repeat its command."
            )


def _lock_name(shard: tuple[int, int]) -> str:
    return f".lock-{shard[0]}-of-{shard[1]}"


def _count_rejected(folder: Path, shard: tuple[int, int]) -> int:
    paths = folder.glob(f"rejected-{shard[0]}-of-{shard[1]}-*.jsonl")
    return sum(path.read_bytes().count(b"\n") for path in paths)


@contextmanager
def _locked(folder: Path, shard: tuple[int, int]) -> Iterator[None]:
    """Hold a lock that ends with this process, however that ends. On Windows it holds nobody back. Its file stays, and
    binds other shards, unless this one fails before its first part."""
    path = folder / _lock_name(shard)
    with path.open("w") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            file.close()  # Windows removes no open file
        except BlockingIOError as error:
            raise OSError(f"Another process works on this shard in {folder}.") from error
        try:
            yield
        except BaseException:
            if not any(_parts_of_shard(folder, shard)):
                path.unlink(missing_ok=True)
            raise


def _parts_of_shard(folder: Path, shard: tuple[int, int]) -> Iterator[Path]:
    return folder.glob(f"{part_name(shard, 0).removesuffix('00000')}*")

"""`run_corpus` with its parts computed by the actors of a Ray cluster.

What travels through Ray is where a part lies in the files of the corpus; an actor reads its rows there, computes them
and writes the part into the folder, as `hf-kexue extract --to` does. Whatever is killed (a worker, a machine, all of
it), a part is complete or absent, and computing it again gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ..data.row_streams import corpus_files, rows_of_file
from ..inference.corpus import PART_ROWS, Part, Rows, Summary, compute_part, run_corpus
from ..inference.corpus_tasks import Task
from ..inference.part_files import is_complete
from .engine import check_actors, ray_data

ATTEMPTS = 5


def run_corpus_on_ray(
    task: Task,
    source: str | Path,
    folder: Path,
    *,
    formats: list[str],
    split: str = "train",
    part_rows: int = PART_ROWS,
    actors: int = 1,
    cpus: float = 1.0,
    gpus: float = 0.0,
    attempts: int = ATTEMPTS,
    progress: bool | None = None,
) -> Summary:
    """Process a corpus, or what is left of it, on the cluster that Ray is connected to, else on this machine.

    Source, folder and models have to be at the same place on all machines (a shared file system), and the package
    installed there. The corpus is read once here, without a model, to cut it into parts. Actors read parquet files by
    row groups and other files from their beginning, so that large ones are better many files, or parquet.

    Args:
        task, folder, formats, split, part_rows, progress: as of `run_corpus`.
        source: file or folder, as of `run_corpus`; no Hub id.
        actors: workers in the cluster, each with a model; one whose machine is lost starts again on another.
        cpus, gpus: of each actor. One CPU is one thread.
        attempts: how often a part is begun; the rows of a part whose workers all died are set aside.

    Returns:
        Counts. Parts, rows and those set aside are those of `run_corpus`.

    Raises:
        ImportError: without Ray.
        ValueError, OSError: as of `run_corpus`; for a Hub id, numbers out of range, and a folder that is not shared.
    """
    check_actors(actors, cpus, gpus)
    if attempts < 1:
        raise ValueError(f"attempts must be at least 1, got {attempts}.")
    files = corpus_files(source, split)
    if files is None:
        raise ValueError(f"{source} is a Hub id: download it to a folder that all machines of the cluster share.")
    data = ray_data()
    shared = [file.absolute() for file in files]
    options = {"compute": data.ActorPoolStrategy(size=actors), "num_cpus": cpus, "num_gpus": gpus or None}
    return run_corpus(
        task, source, folder.absolute(), formats=formats, split=split, part_rows=part_rows, progress=progress,
        compute=partial(_compute, data, task, shared, attempts, options),
    )  # fmt: skip


def _compute(
    data: Any, task: Task, files: list[Path], attempts: int, options: dict[str, Any], folder: Path, formats: list[str],
    parts: Iterator[Part],
) -> Iterator[int]:  # fmt: skip
    for path in folder.glob(".attempt-*"):
        path.unlink()
    places = [
        {"name": part.name, "first": part.rows[0][0], "count": len(part.rows), "file": part.file, "skip": part.skip}
        for part in parts
    ]
    if not places:
        return
    worker = {"task": task, "folder": folder, "formats": formats, "files": files, "attempts": attempts}
    computed = data.from_items(places, override_num_blocks=len(places)).map_batches(
        PartWorker, fn_constructor_kwargs=worker, batch_size=1, batch_format="numpy", **options
    )
    for row in computed.iter_rows():
        if not is_complete(folder, row["name"], formats):
            raise OSError(f"{row['name']} was written, but not to this {folder}: all machines must share the folder.")
        yield int(row["count"])
    for path in folder.glob(".attempt-*"):
        path.unlink()


class PartWorker:
    """An actor: reads, computes and writes parts; the model is loaded at the first.

    Args:
        task, folder, formats: as of `run_corpus_on_ray`.
        files: of the corpus.
        attempts: to begin a part.
    """

    def __init__(self, task: Task, folder: Path, formats: list[str], files: list[Path], attempts: int) -> None:
        self.task = task
        self.folder = folder
        self.formats = formats
        self.files = files
        self.attempts = attempts

    def __call__(self, places: dict[str, Any]) -> dict[str, Any]:
        """Compute the parts of a batch of places; the batch comes back."""
        for number, name in enumerate(places["name"]):
            first, count, file, skip = (int(places[key][number]) for key in ("first", "count", "file", "skip"))
            self.compute(str(name), self.read(first, count, file, skip))
        return places

    def read(self, first: int, count: int, file: int, skip: int) -> Rows:
        """`count` rows from number `first` on, which follows `skip` others in `files[file]`."""
        following = chain(rows_of_file(self.files[file], skip), *map(rows_of_file, self.files[file + 1 :]))
        found = list(islice(following, count))
        if len(found) < count:
            raise ValueError(f"{self.files[file]} has changed: {count} rows were there, {len(found)} are left.")
        return [(number, place, row) for number, (place, row) in enumerate(found, first)]

    def compute(self, name: str, rows: Rows) -> None:
        """Compute a part, or set its rows aside where that has killed its workers."""
        begun = len(list(self.folder.glob(f".attempt-{name}-*")))
        if begun >= self.attempts:
            error = RuntimeError(f"{begun} workers died of this part; try it with fewer rows in a part")
            rows = [(number, place, error) for number, place, _ in rows]
        else:
            (self.folder / f".attempt-{name}-{begun}").touch()
        compute_part(self.task, self.folder, name, self.formats, rows)

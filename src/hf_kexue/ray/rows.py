"""A task as a step of Ray Data: a data set of rows in, one of results out."""

from __future__ import annotations

from typing import Any

from ..inference.corpus import reason_of
from ..inference.corpus_tasks import Task
from ..inference.part_files import arrow_table
from .engine import check_actors, ray_data

BATCH_ROWS = 256


def map_task(
    dataset: Any,
    task: Task,
    *,
    index: str,
    actors: int = 1,
    batch_rows: int = BATCH_ROWS,
    cpus: float = 1.0,
    gpus: float = 0.0,
) -> Any:
    """Compute the results of each row of a Ray data set, lazily.

    Ray keeps no order, not even that of files that it wrote itself, hence the index column. A row that cannot be read
    or computed has its reason under "error" and no list; the others go on. Actors keep their CPUs while the data set
    is computed: leave some to the steps before and after, or these wait for ever.

    Args:
        dataset: `ray.data.Dataset` with the columns that the task reads.
        task: what is done with each row.
        index: column of whole numbers, which become "row" in the results.
        actors: workers, each with a model.
        batch_rows: rows that run together at most; a batch never holds rows of two blocks, so blocks should be large.
        cpus, gpus: of each actor. One CPU is one thread.

    Returns:
        `ray.data.Dataset` with the columns "row", "id" (null where there is none), "text" or "question", "triples" or
        "answers", and "error" (null where there is none). Every block has the same schema.

    Raises:
        ImportError: without Ray.
        ValueError: for a column that is missing, and numbers out of range.
    """
    data = ray_data()
    check_actors(actors, cpus, gpus)
    if batch_rows < 1:
        raise ValueError(f"batch_rows must be at least 1, got {batch_rows}.")
    schema = dataset.schema()
    columns = {} if schema is None else {name: str(kind) for name, kind in zip(schema.names, schema.types)}
    if "int" not in columns.get(index, ""):
        raise ValueError(f"There must be a column {index!r} of whole numbers, those of the rows; there are {columns}.")
    return dataset.map_batches(
        RowWorker, fn_constructor_kwargs={"task": task, "index": index}, batch_size=batch_rows, batch_format="pyarrow",
        compute=data.ActorPoolStrategy(size=actors), num_cpus=cpus, num_gpus=gpus or None,
    )  # fmt: skip


class RowWorker:
    """An actor: results of batches of rows; the model is loaded at the first.

    Args:
        task: what is done with each row.
        index: column of the numbers.
    """

    def __init__(self, task: Task, index: str) -> None:
        self.task = task
        self.index = index

    def __call__(self, table: Any) -> Any:
        """A pyarrow table of rows -> one of results."""
        import pyarrow

        given = table.to_pylist()
        numbers = [{"row": row[self.index]} for row in given]
        found = [
            {"error": reason_of(result)} if isinstance(result, Exception) else result
            for result in self.task.results(given)
        ]
        results = [{**number, **result} for number, result in zip(numbers, found)]
        return arrow_table(self.task.columns, results, error=pyarrow.string())

"""A corpus on the machines of a Ray cluster: actors that load a model once, and faults left to the engine.

    task = ExtractTask("model_cards/dgcnn-triples-zh")
    run_corpus_on_ray(task, "corpus/", Path("out"), formats=["parquet"], actors=16)
    map_task(ray.data.read_parquet("corpus/"), task, index="number", actors=16)

The first leaves the parts that `hf-kexue extract --to` leaves; the second is a step between others of Ray Data. Needs
`pip install "hf-kexue[ray]"`; this module itself imports without it.
"""

from __future__ import annotations

from ..inference.corpus_tasks import AskTask, ExtractTask
from .corpus import run_corpus_on_ray
from .rows import map_task

__all__ = ["AskTask", "ExtractTask", "map_task", "run_corpus_on_ray"]

"""Runs over a corpus in processes of their own, which end themselves or are ended with SIGKILL.

They are forked from a server that has imported what they need and holds no lock. Forks of the process of the tests
share tqdm's lock, a semaphore: one that was killed while it held it left the next one waiting for ever.
"""

import multiprocessing
import os
import signal
from dataclasses import dataclass

import torch

from hf_kexue.inference.corpus import run_corpus
from hf_kexue.inference.corpus_tasks import ExtractTask

PRELOADED = [
    "hf_kexue.dgcnn.modeling_dgcnn_triples", "hf_kexue.dgcnn.pipeline_dgcnn_triples",
    "hf_kexue.dgcnn.tokenization_dgcnn", "hf_kexue.inference.corpus_tasks", "networkx", "pyarrow.parquet",
    "transformers.pipelines",
]  # fmt: skip


@dataclass(frozen=True)
class Kill:
    """When a run is killed.

    Args:
        seconds: after its start; None: never from outside.
        rename: number, from 1, of the file that it dies before renaming; None: it does not.
        after: right after renaming that file instead.
    """

    seconds: float | None = None
    rename: int | None = None
    after: bool = False


def start_server():
    """The context of processes that begin with the modules of `PRELOADED`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def killed_run(context, folder, texts, model, formats, kill):
    """A run that `kill` ends; returns the exit code, the negative number of a signal."""
    started = context.Event()
    process = context.Process(target=_run, args=(started, folder, texts, model, formats, kill))
    process.start()
    if kill.seconds is not None:
        started.wait()
        process.join(kill.seconds)
        process.kill()
    process.join()
    return process.exitcode


def _run(started, folder, texts, model, formats, kill):
    torch.set_num_threads(1)
    task = ExtractTask(model, device="cpu")
    task.results([{"text": "镭"}])  # the model is loaded
    replace, calls = os.replace, 0

    def replace_and_die(*paths):
        nonlocal calls
        calls += 1
        if calls == kill.rename and not kill.after:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*paths)
        if calls == kill.rename:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace_and_die
    started.set()
    run_corpus(task, texts, folder, formats=formats, part_rows=6, progress=False)

"""What each of two processes does for test_two_processes.py: `torchrun --nproc_per_node 2 two_processes.py FOLDER`.

Does the jobs of FOLDER/jobs.json in turn: {"script": ..., "argv": [...], "port": n} calls a training script, and
{"stream": folder, "epochs": n, "port": n} writes what it is given to FOLDER/seen-<job>-<process>.json; "cut_off" first
makes an old run one that has stopped. Each job has a child of its own, forked after the imports, and a port of its own
to meet at: a group of processes that is made again in the same process does not always find together.
"""

import json
import os
import shutil
import sys
import traceback
from pathlib import Path

import datasets
import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from whole_runs import load_script

from hf_kexue.data.images import image_loader, load_images
from hf_kexue.training.arguments import CommonArguments
from hf_kexue.training.processes import finish, synchronized
from hf_kexue.training.setup import start


def see(folder, epochs):
    """For each epoch the batches that this process is given, as lists of grey values."""
    accelerator = start(CommonArguments(tracker="none", mixed_precision="no"))
    source = load_images(folder, streaming=True)
    loader = image_loader(
        source, 8, 4, train=True, rank=accelerator.process_index, world_size=accelerator.num_processes
    )
    epochs_seen = []
    for epoch in range(epochs):
        loader.dataset.set_epoch(epoch)
        batches = [batch["pixel_values"] for batch in synchronized(accelerator, loader)]
        epochs_seen.append([(127.5 * batch.mean((1, 2, 3)) + 127.5).round().int().tolist() for batch in batches])
    finish(accelerator)
    return epochs_seen


def do(job, number, folder):
    if "stream" in job:
        seen = see(job["stream"], job["epochs"])
        (folder / f"seen-{number}-{os.environ['RANK']}.json").write_text(json.dumps(seen))
        return
    if "cut_off" in job and os.environ["RANK"] == "0":  # the other process waits for this one before it reads
        old, new, step = job["cut_off"]
        shutil.copytree(folder / old, folder / new)
        shutil.rmtree(folder / new / "checkpoints" / f"checkpoint-{step}")
    if "fsdp" in job:  # which Accelerate leaves out without GPUs: it has to take these processes for some
        os.environ |= job["fsdp"]
        PartialState(cpu=True)
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    load_script(job["script"]).main(job["argv"])


def main():
    folder = Path(sys.argv[1])
    datasets.config.HF_DATASETS_CACHE = str(folder / f"cache-{os.environ['RANK']}")
    datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0  # it waits five seconds after each epoch of a parquet stream
    torch.set_num_threads(1)
    jobs = json.loads((folder / "jobs.json").read_text())
    for script in sorted({job["script"] for job in jobs if "script" in job}):
        load_script(script)
    for number, job in enumerate(jobs):
        child = os.fork()
        if not child:
            os.environ |= {"MASTER_PORT": str(job["port"]), "TORCHELASTIC_USE_AGENT_STORE": "False"}
            try:
                do(job, number, folder)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit(f"job {number} failed: {job}")


if __name__ == "__main__":
    main()

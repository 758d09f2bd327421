"""Two nodes made of processes, one of which is killed while it computes."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pyarrow
import pyarrow.parquet
import pytest
from tiny_models import save_extractor

from hf_kexue.inference.corpus import run_corpus
from hf_kexue.inference.corpus_tasks import ExtractTask

RUN = """
import json, sys, threading, time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from hf_kexue.ray import ExtractTask, run_corpus_on_ray

model, source, folder = sys.argv[1:]
memory = {"object_store_memory": 2**27}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **memory})
lost = cluster.add_node(num_cpus=1, **memory)
ray.init(address=cluster.address, log_to_driver=False)
context = ray.data.DataContext.get_current()
context.enable_progress_bars = False
context.wait_for_min_actors_s = 300  # one of the two actors is on each node before the first part
parts = []


def kill():
    while len(list(Path(folder).glob("part-*"))) < 3:
        time.sleep(0.02)
    cluster.remove_node(lost, allow_graceful=False)
    parts.append(len(list(Path(folder).glob("part-*"))))
    cluster.add_node(num_cpus=1, **memory)  # another machine in its place


killing = threading.Thread(target=kill, daemon=True)
killing.start()
summary = run_corpus_on_ray(
    ExtractTask(model), source, Path(folder), formats=["jsonl"], part_rows=5, actors=2, progress=False
)
killing.join(60)
alive = sorted(node["Alive"] for node in ray.nodes())
print(json.dumps({"rows": summary.rows, "computed": summary.computed, "parts": parts[0], "alive": alive}))
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.skipif(find_spec("ray") is None, reason='needs Ray Data, pip install "hf-kexue[ray]"')
@pytest.mark.slow
def test_a_killed_node_changes_nothing(tmp_path):
    save_extractor(tmp_path / "model")
    rows = [{"text": "居里夫妇发现了镭。" * (1 + number % 80)} for number in range(400)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "texts.parquet", row_group_size=50)
    arguments = [str(tmp_path / name) for name in ("model", "texts.parquet", "on_ray")]
    for _ in range(4):  # Ray gives a node 30 seconds to start, which a busy machine may not keep
        finished = subprocess.run(
            [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, timeout=500, check=False
        )
        if "timed out during startup" not in finished.stderr:
            break
    assert finished.returncode == 0, finished.stderr[-3000:]
    found = json.loads(finished.stdout.splitlines()[-1])
    assert (found["rows"], found["computed"], found["alive"][:2]) == (400, 400, [False, True])  # one is gone
    assert found["parts"] < 80  # the node was lost before the end
    run_corpus(
        ExtractTask(arguments[0]), arguments[1], tmp_path / "here", formats=["jsonl"], part_rows=5, progress=False
    )
    for name in ("here", "on_ray"):
        assert len(list((tmp_path / name).glob("part-*.jsonl"))) == 80
    for path in (tmp_path / "here").glob("*.json*"):
        assert (tmp_path / "on_ray" / path.name).read_bytes() == path.read_bytes(), path.name

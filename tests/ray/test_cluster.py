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
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 2**27})
lost = cluster.add_node(num_cpus=1, object_store_memory=2**27)
ray.init(address=cluster.address, log_to_driver=False)
ray.data.DataContext.get_current().enable_progress_bars = False


def alive(kind):
    return sorted({actor.node_id for actor in ray.util.state.list_actors(filters=[("state", "=", kind)])})


def kill():
    while len(list(Path(folder).glob("part-*"))) < 3 or len(alive("ALIVE")) < 2:
        time.sleep(0.2)
    cluster.remove_node(lost, allow_graceful=False)
    print("killed after", len(list(Path(folder).glob("part-*"))), file=sys.stderr)


killing = threading.Thread(target=kill, daemon=True)
killing.start()
summary = run_corpus_on_ray(
    ExtractTask(model), source, Path(folder), formats=["jsonl"], part_rows=5, actors=2, progress=False
)
killing.join(1)
nodes = [node["Alive"] for node in ray.nodes()]
counts = {"rows": summary.rows, "computed": summary.computed}
print(json.dumps({**counts, "killed": not killing.is_alive(), "nodes": sorted(nodes)}))
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.skipif(find_spec("ray") is None, reason='needs Ray Data, pip install "hf-kexue[ray]"')
@pytest.mark.slow
def test_a_killed_node_changes_nothing(tmp_path):
    save_extractor(tmp_path / "model")
    rows = [{"text": "居里夫妇发现了镭。" * (1 + number % 40)} for number in range(400)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "texts.parquet", row_group_size=50)
    arguments = [str(tmp_path / name) for name in ("model", "texts.parquet", "on_ray")]
    finished = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, timeout=500, check=False
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    found = json.loads(finished.stdout.splitlines()[-1])
    assert found == {"rows": 400, "computed": 400, "killed": True, "nodes": [False, True]}
    run_corpus(
        ExtractTask(arguments[0]), arguments[1], tmp_path / "here", formats=["jsonl"], part_rows=5, progress=False
    )
    for name in ("here", "on_ray"):
        assert len(list((tmp_path / name).glob("part-*.jsonl"))) == 80
    for path in (tmp_path / "here").glob("*.json*"):
        assert (tmp_path / "on_ray" / path.name).read_bytes() == path.read_bytes(), path.name

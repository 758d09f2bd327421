#!/usr/bin/env bash
# networkx: a GEXF file whose scores begin with a whole number cannot be read back, and a node's "id" renames the node.
#
# Guess: write_gexf widens int and float of one attribute to float, whatever comes first, and attributes come back.
# Seen:  networkx 3.6.1 settles the type of an attribute by its first value: confidence 1 then 0.5 writes an integer
#        column that holds 0.5, and read_gexf raises a ValueError; 0.5 then 1 works. An attribute "id" of a node takes
#        the place of the node's name, an attribute "type" of an edge is gone, and keys of parallel edges are lost.
#        GraphML keeps all of them.
# Use:   float(score) for every edge, other names than id and type, or GraphML.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check networkx==3.6.1
cd "$folder"
env/bin/python -W ignore - <<'PYTHON'
import networkx
from networkx import DiGraph, MultiDiGraph, read_gexf, read_graphml, write_gexf, write_graphml

print("networkx", networkx.__version__)


def scores(*values):
    graph = DiGraph()
    for number, value in enumerate(values):
        graph.add_edge("居里夫人", f"元素{number}", confidence=value)
    write_gexf(graph, "graph.gexf")
    return [attributes["confidence"] for _, _, attributes in read_gexf("graph.gexf").edges(data=True)]


print("0.5 then 1:", scores(0.5, 1))
assert scores(0.5, 1) == [0.5, 1.0]
try:
    scores(1, 0.5)
except ValueError as error:
    print("1 then 0.5: ValueError,", error)
else:
    raise AssertionError("1 then 0.5 can be read back now")

graph = MultiDiGraph()
graph.add_node("镭", id="Ra")
graph.add_edge("居里夫人", "镭", key="发现", type="历史")
graph.add_edge("居里夫人", "镭", key="研究", type="科学")
write_gexf(graph, "graph.gexf")
read = read_gexf("graph.gexf")
print("GEXF:", list(read.nodes), list(read.edges(data=True)))
assert set(read.nodes) == {"Ra", "居里夫人"}
assert all(set(attributes) == {"id"} for _, _, attributes in read.edges(data=True))  # a number that GEXF made
write_graphml(graph, "graph.graphml")
read = read_graphml("graph.graphml", force_multigraph=True)
print("GraphML:", dict(read.nodes(data=True)), list(read.edges(data=True, keys=True)))
assert read.nodes["镭"] == {"id": "Ra"}
assert {(key, a["type"]) for _, _, key, a in read.edges(data=True, keys=True)} == {("发现", "历史"), ("研究", "科学")}
PYTHON
echo "as described"

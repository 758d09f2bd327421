"""The triples of all parts of a run as one graph: GraphML, and the CSV pair of Neo4j's importer.

    graph.graphml            for Gephi, Cytoscape, yEd, networkx
    nodes.csv relations.csv  `neo4j-admin database import full --nodes=nodes.csv --relationships=relations.csv`

A node for each text of a mention, with its types; an edge for each different triple, with the highest score and the
number of rows that hold it. Counted in a temporary SQLite file, so that graphs larger than the memory can be made.

Source: graphml.graphdrawing.org; Neo4j Operations Manual, "Import".
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from ..data.whole_files import unfinished_path, whole_file

GRAPH_FORMATS = ("graphml", "neo4j")
ROLES = ("subject", "object")
GRAPHML = "http://graphml.graphdrawing.org/xmlns"
# name -> (of nodes or edges, type)
_KEYS = {"name": ("node", "string"), "types": ("node", "string"), "predicate": ("edge", "string"),
         "score": ("edge", "double"), "rows": ("edge", "int")}  # fmt: skip
_TABLES = """
create table nodes (id integer primary key, name text unique);
create table types (node integer, type text, primary key (node, type)) without rowid;
create table edges (subject integer, predicate text, object integer, score real, rows integer, last integer,
                    primary key (subject, predicate, object)) without rowid;
"""
_NODE = "insert into nodes (name) values (?) on conflict do nothing"
_EDGE = """
insert into edges values (:subject, :predicate, :object, :score, 1, :row)
on conflict do update set score = max(score, :score), rows = rows + (last != :row), last = :row
"""


def write_graphs(folder: Path, formats: list[str]) -> None:
    """Write the graph of all parts in a folder.

    Args:
        folder: with `part-*.jsonl`.
        formats: of `GRAPH_FORMATS`.
    """
    place = unfinished_path(folder / "graph.sqlite")
    place.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(place)) as database:
            database.executescript(f"pragma journal_mode = off; pragma synchronous = off; {_TABLES}")
            for path in sorted(folder.glob("part-*.jsonl")):
                with path.open("rb") as lines:
                    for line in lines:
                        _add(database, json.loads(line))
            if "graphml" in formats:
                with whole_file(folder / "graph.graphml") as path:
                    _write_graphml(database, path)
            if "neo4j" in formats:
                with whole_file(folder / "nodes.csv") as path:
                    _write_nodes(database, path)
                with whole_file(folder / "relations.csv") as path:
                    _write_relations(database, path)
    finally:
        place.unlink(missing_ok=True)


def _add(database: sqlite3.Connection, row: dict[str, Any]) -> None:
    for triple in row["triples"]:
        numbers = {}
        for role in ROLES:
            name = _clean(triple[role]["text"])
            database.execute(_NODE, [name])
            (numbers[role],) = database.execute("select id from nodes where name = ?", [name]).fetchone()
            if "type" in triple[role]:
                kind = [numbers[role], _clean(triple[role]["type"])]
                database.execute("insert into types values (?, ?) on conflict do nothing", kind)
        edge = {"predicate": _clean(triple["predicate"]), "score": float(triple["score"]), "row": row["row"]}
        database.execute(_EDGE, {**numbers, **edge})


def _clean(text: str) -> str:
    """On one line, without control characters, which neither XML 1.0 nor the importer takes."""
    text = " ".join(text.split())
    return "".join(c if c.isprintable() or c in "\u200c\u200d" else "\u2423" for c in text)


def _nodes(database: sqlite3.Connection) -> Iterator[tuple[int, str, list[str]]]:
    for number, name in database.execute("select id, name from nodes order by id"):
        found = database.execute("select type from types where node = ? order by type", [number])
        yield number, name, [kind for (kind,) in found]


def _edges(database: sqlite3.Connection) -> Iterator[tuple[int, int, str, float, int]]:
    yield from database.execute(
        "select subject, object, predicate, score, rows from edges order by subject, object, predicate"
    )


def _write_graphml(database: sqlite3.Connection, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        xml = XMLGenerator(file, "utf-8", short_empty_elements=True)
        xml.startDocument()
        xml.startElement("graphml", AttributesImpl({"xmlns": GRAPHML}))
        for key, (owner, kind) in _KEYS.items():
            xml.startElement("key", AttributesImpl({"id": key, "for": owner, "attr.name": key, "attr.type": kind}))
            xml.endElement("key")
        xml.startElement("graph", AttributesImpl({"edgedefault": "directed"}))
        for number, name, kinds in _nodes(database):
            _element(xml, "node", {"id": f"n{number}"}, {"name": name, "types": ";".join(kinds)})
        for number, (subject, found, predicate, score, rows) in enumerate(_edges(database)):
            ends = {"id": f"e{number}", "source": f"n{subject}", "target": f"n{found}"}
            _element(xml, "edge", ends, {"predicate": predicate, "score": score, "rows": rows})
        for name in ("graph", "graphml"):
            xml.endElement(name)
        xml.endDocument()


def _element(xml: XMLGenerator, name: str, attributes: dict[str, str], data: dict[str, Any]) -> None:
    xml.startElement(name, AttributesImpl(attributes))
    for key, value in data.items():
        xml.startElement("data", AttributesImpl({"key": key}))
        xml.characters(str(value))
        xml.endElement("data")
    xml.endElement(name)


def _write_nodes(database: sqlite3.Connection, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["mention:ID", "name", "types:string[]", ":LABEL"])
        for number, name, kinds in _nodes(database):
            kinds = [kind.replace(";", ",") for kind in kinds]  # the importer splits there
            table.writerow([number, name, ";".join(kinds), ";".join(["Mention", *kinds])])


def _write_relations(database: sqlite3.Connection, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([":START_ID", ":END_ID", ":TYPE", "score:double", "rows:int"])
        for subject, found, predicate, score, rows in _edges(database):
            table.writerow([subject, found, predicate, score, rows])

"""Triples of a text as a graph in SVG: mentions in columns from subjects to objects, predicates on the edges.

    triples_svg(extract("《月亮代表我的心》由孙仪作词，邓丽君演唱。"))

A mention is one column right of the farthest subject that has it as an object, so edges run from left to right; in a
cycle of triples one edge runs back. Every edge enters its object at a height of its own, with its predicate there, so
no two texts overlap. The picture is self-contained.

Takes the output of `TripleExtractionPipeline`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any
from unicodedata import east_asian_width

LINE = 30  # height of one edge at its object
GAP = 14  # between mentions of a column
UNIT = 15  # width of a Chinese character; others take about half of it
LONGEST = 16  # characters of a mention or predicate that are shown
CURVE = 56  # between a column and the predicates of the next
EDGE = 10  # around the picture

_STYLE = """
.kexue-graph { display: block; max-width: 100%; height: auto; background: #ffffff; border-radius: 8px;
  font: 15px system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
.kexue-graph rect { fill: #fdeadd; stroke: #a2380a; }
.kexue-graph .subject rect { fill: #ddebfc; stroke: #0a56b8; }
.kexue-graph text { fill: #1f2328; stroke: none; dominant-baseline: central; text-anchor: middle; }
.kexue-graph path { fill: none; stroke: #59636e; stroke-width: 1.5; }
.kexue-graph path.head { fill: #59636e; stroke: none; }
.kexue-graph text.predicate { font-size: 13px; text-anchor: end; paint-order: stroke; stroke: #ffffff;
  stroke-width: 5px; }
"""

Edge = tuple[str, str, str]


@dataclass
class _Node:
    """A mention: its edges in both directions, and where its box is."""

    name: str
    incoming: list[Edge] = field(default_factory=list)
    outgoing: list[Edge] = field(default_factory=list)
    column: int = 0
    left: float = 0.0
    top: float = 0.0
    width: float = 0.0

    @property
    def height(self) -> float:
        return LINE * max(len(self.incoming), len(self.outgoing), 1)

    def line(self, edge: Edge, edges: list[Edge]) -> float:
        """y of one of the lines that share the height of the box."""
        return self.top + self.height * (edges.index(edge) + 0.5) / len(edges)


def triples_svg(triples: Sequence[Mapping[str, Any]]) -> str:
    """Draw the graph.

    Args:
        triples: of one text, with "subject", "predicate" and "object"; equal ones are drawn once.

    Returns:
        An <svg> element with a <title> that lists all triples; "" for no triples.
    """
    edges = list(dict.fromkeys((t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in triples))
    if not edges:
        return ""
    nodes = {name: _Node(name) for edge in edges for name in (edge[0], edge[2])}
    for edge in edges:
        nodes[edge[0]].outgoing.append(edge)
        nodes[edge[2]].incoming.append(edge)
    _set_columns(nodes)
    width, height = _place(nodes)
    title = escape("; ".join(" ".join(map(_shown, edge)) for edge in edges))
    return (
        f'<svg class="kexue-graph" role="img" xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"><title>{title}</title><style>{_STYLE}</style>'
        + "".join(_edge(nodes, edge) for edge in edges)
        + "".join(map(_box, nodes.values()))
        + "".join(_predicate(nodes, edge) for edge in edges)
        + "</svg>"
    )


def _set_columns(nodes: dict[str, _Node]) -> None:
    """Longest paths from the left, without the edges that close a cycle."""
    forward: list[tuple[_Node, _Node]] = []
    state: dict[str, str] = {}

    def visit(node: _Node) -> None:
        state[node.name] = "open"
        for *_, target in node.outgoing:
            if state.get(target) != "open":
                forward.append((node, nodes[target]))
                if target not in state:
                    visit(nodes[target])
        state[node.name] = "closed"

    for node in sorted(nodes.values(), key=lambda node: bool(node.incoming)):
        if node.name not in state:
            visit(node)
    for _ in nodes:
        for source, target in forward:
            target.column = max(target.column, source.column + 1)


def _place(nodes: dict[str, _Node]) -> tuple[float, float]:
    """Place the boxes; return width and height of the picture. Columns are sorted by the sources of the mentions."""
    columns: list[list[_Node]] = [[] for _ in range(max(node.column for node in nodes.values()) + 1)]
    for node in nodes.values():
        columns[node.column].append(node)
    tallest = max(sum(node.height + GAP for node in column) - GAP for column in columns)
    x = float(EDGE)
    for number, column in enumerate(columns):
        if number:
            column.sort(key=lambda node: _mean_line(nodes, node))
        x += CURVE if any(node.incoming for node in column) else 0
        x += max((_width(predicate) + 26 for node in column for _, predicate, _ in node.incoming), default=0)
        y = EDGE + (tallest - sum(node.height + GAP for node in column) + GAP) / 2
        wide = max(_width(node.name) + 20 for node in column)
        for node in column:
            node.left, node.top, node.width = x, y, wide
            y += node.height + GAP
        for node in column:  # edges are sorted by their other ends
            node.incoming.sort(key=lambda edge: (nodes[edge[0]].top, nodes[edge[0]].column))
        x += wide
    for node in nodes.values():
        node.outgoing.sort(key=lambda edge: nodes[edge[2]].line(edge, nodes[edge[2]].incoming))
    runs_back = any(node.outgoing for node in columns[-1])
    return x + EDGE + (CURVE if runs_back else 0), tallest + 2 * EDGE


def _mean_line(nodes: dict[str, _Node], node: _Node) -> float:
    lines = [nodes[edge[0]].line(edge, nodes[edge[0]].outgoing) for edge in node.incoming]
    return sum(lines) / len(lines)


def _edge(nodes: dict[str, _Node], edge: Edge) -> str:
    source, target = nodes[edge[0]], nodes[edge[2]]
    x, y = source.left + source.width, source.line(edge, source.outgoing)
    end, end_y = target.left, target.line(edge, target.incoming)
    turn = end - 18 - _width(edge[1])  # straight from here, below the predicate
    bend = max(CURVE / 2, abs(turn - x) / 2)
    head = f"M{end:.1f} {end_y:.1f}l-9 -4.5v9z"
    return (
        f'<path d="M{x:.1f} {y:.1f}C{x + bend:.1f} {y:.1f} {turn - bend:.1f} {end_y:.1f} {turn:.1f} {end_y:.1f}'
        f'H{end - 8:.1f}"/><path class="head" d="{head}"/>'
    )


def _predicate(nodes: dict[str, _Node], edge: Edge) -> str:
    target = nodes[edge[2]]
    y = target.line(edge, target.incoming)
    return f'<text class="predicate" x="{target.left - 15:.1f}" y="{y:.1f}">{_text(edge[1])}</text>'


def _box(node: _Node) -> str:
    kind = "subject" if node.outgoing else "object"
    middle = node.left + node.width / 2, node.top + node.height / 2
    return (
        f'<g class="{kind}"><title>{_text(node.name, full=True)}</title><rect x="{node.left:.1f}" '
        f'y="{node.top + 1:.1f}" width="{node.width:.1f}" height="{node.height - 2:.1f}" rx="6"/>'
        f'<text x="{middle[0]:.1f}" y="{middle[1]:.1f}">{_text(node.name)}</text></g>'
    )


def _shown(text: str) -> str:
    """On one line, without unprintable characters."""
    return "".join(character if character.isprintable() else "\u2423" for character in " ".join(text.split()))


def _text(text: str, full: bool = False) -> str:
    text = _shown(text)
    return escape(text if full or len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def _width(text: str) -> float:
    """Approximate width of the shown text in pixels."""
    text = _shown(text)[:LONGEST]
    return sum(UNIT if east_asian_width(character) in "WFA" else 0.6 * UNIT for character in text)

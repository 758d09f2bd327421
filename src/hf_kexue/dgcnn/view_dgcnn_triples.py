"""Triples as something to look at: a page with the mentions marked in the text, and a graph.

Takes what `TripleExtractionPipeline` returns. The page needs nothing but itself: no network, no fonts, no library. It
follows the light or dark setting of the reader, and its styles stay within it, so that it may stand in a notebook.
"""

import importlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

Triples = Sequence[Mapping[str, Any]]

ROLES = ("subject", "object")

_STYLE = """
body:has(> .kexue-triples) { margin: 0; background: #ffffff; }
@media (prefers-color-scheme: dark) { body:has(> .kexue-triples) { background: #14181d; } }
.kexue-triples { color-scheme: light dark; --ground: #ffffff; --ink: #1f2328; --faint: #59636e; --line: #d1d9e0;
  --subject: #0a56b8; --object: #a2380a; --subject-ground: #ddebfc; --object-ground: #fdeadd; --both: #efe3f7;
  --lit: #fff3a8; background: var(--ground); color: var(--ink); padding: 1rem 1.25rem; line-height: 1.9;
  font: 1rem/1.9 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { .kexue-triples { --ground: #14181d; --ink: #e6e9ec; --faint: #9aa4ae;
  --line: #3a424b; --subject: #8fc1ff; --object: #ffb083; --subject-ground: #173455; --object-ground: #4a2814;
  --both: #3b2950; --lit: #5c5210; } }
.kexue-triples section { max-width: 60rem; margin: 0 auto 2rem; }
.kexue-triples p.text { white-space: pre-wrap; margin: 0 0 .75rem; }
.kexue-triples mark { color: inherit; background: none; padding: .1em 0; border-radius: 2px; }
.kexue-triples .subject { background: var(--subject-ground); border-bottom: 2px solid var(--subject); }
.kexue-triples .object { background: var(--object-ground); border-bottom: 2px dashed var(--object); }
.kexue-triples .subject.object { background: var(--both); border-bottom: 4px double var(--ink); }
.kexue-triples mark.lit.lit { background: var(--lit); }
.kexue-triples .key { color: var(--faint); font-size: .85rem; margin: 0 0 .75rem; }
.kexue-triples .key mark { color: var(--ink); }
.kexue-triples .wide { overflow-x: auto; }
.kexue-triples table { border-collapse: collapse; font-size: .95rem; line-height: 1.5; width: 100%; }
.kexue-triples th, .kexue-triples td { border: 0; border-bottom: 1px solid var(--line); padding: .35rem .6rem;
  text-align: start; vertical-align: baseline; }
.kexue-triples th { color: var(--faint); font-weight: 600; white-space: nowrap; }
.kexue-triples tbody tr { background: none; }
.kexue-triples tbody tr:hover, .kexue-triples tbody tr:focus { background: var(--lit); outline: 0; }
.kexue-triples td.subject-cell { color: var(--subject); }
.kexue-triples td.object-cell { color: var(--object); }
.kexue-triples .number { text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap; }
.kexue-triples small { color: var(--faint); white-space: nowrap; }
"""

# A row of the table lights the places of its mentions up. Without scripts the page only does not do that.
_SCRIPT = """
for (const section of document.querySelectorAll(".kexue-triples section")) {
  for (const row of section.querySelectorAll("tbody tr")) {
    const marks = section.querySelectorAll(`mark[data-rows~="${row.dataset.row}"]`);
    const light = on => () => marks.forEach(mark => mark.classList.toggle("lit", on));
    row.addEventListener("mouseenter", light(true)); row.addEventListener("focus", light(true));
    row.addEventListener("mouseleave", light(false)); row.addEventListener("blur", light(false));
  }
}
"""

_KEY = (
    '<p class="key"><mark class="subject">subject</mark> solid line · <mark class="object">object</mark> dashed '
    'line · <mark class="subject object">both</mark> double line</p>'
)


def to_html(text: str | Sequence[str], triples: Any) -> str:
    """A page with the mentions underlined in the text, and a table of the triples.

    Args:
        text: what was given to the pipeline, a string or a list of strings.
        triples: what it returned: a list of triples, or for several texts a list of lists.

    Returns:
        A whole HTML page. Whatever the text holds is text in it.

    Raises:
        ValueError: another number of texts than of lists, or a mention that is not in the text where it says.
    """
    texts, lists = ([text], [triples]) if isinstance(text, str) else (list(text), list(triples))
    if len(texts) != len(lists):
        raise ValueError(f"There must be one list of triples for each text, got {len(lists)} for {len(texts)} texts.")
    sections = "\n".join(map(_section, texts, lists))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Triples</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n"
        f'<body><div class="kexue-triples">\n{sections}\n</div>\n'
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def to_networkx(triples: Triples | Sequence[Triples]) -> Any:
    """A graph of the triples, of which GraphML, GEXF and GML can be written: all attributes are texts and numbers.

    Args:
        triples: what the pipeline returned: a list of triples, or for several texts a list of lists.

    Returns:
        `networkx.MultiDiGraph`: a node for each text of a mention, with the `types` it has, sorted and joined by ";";
        an edge from subject to object for each different triple, its key the predicate, with `predicate`, the highest
        `score`, and `spans`, a JSON list of {"text": number of the text, "subject": [start, end], "object": [start,
        end]}.

    Raises:
        ImportError: if networkx is not installed.
    """
    try:
        networkx = importlib.import_module("networkx")
    except ImportError as error:
        raise ImportError("The graph is made by networkx, which is not installed: `pip install networkx`.") from error
    per_text: Any = [triples] if triples and isinstance(triples[0], Mapping) else triples
    types: dict[str, set[str]] = {}
    edges: dict[tuple[str, str, str], tuple[float, list[dict[str, Any]]]] = {}
    for number, found in enumerate(per_text):
        for triple in found:
            for role in ROLES:
                types.setdefault(triple[role]["text"], set()).update({triple[role].get("type", "")} - {""})
            span = {"text": number, **{role: [triple[role]["start"], triple[role]["end"]] for role in ROLES}}
            key = (triple["subject"]["text"], triple["object"]["text"], triple["predicate"])
            score, spans = edges.get(key, (0.0, []))
            edges[key] = max(score, float(triple["score"])), [*spans, span]
    graph = networkx.MultiDiGraph()
    for name, kinds in types.items():
        graph.add_node(name, types=";".join(sorted(kinds)))
    for (subject, other, predicate), (score, spans) in edges.items():
        graph.add_edge(subject, other, key=predicate, predicate=predicate, score=score, spans=json.dumps(spans))
    return graph


def _section(text: str, triples: Triples) -> str:
    if not triples:
        return (
            f'<section><p class="text" dir="auto">{_shown(text)}</p>\n<p class="key">No triples found.</p></section>'
        )
    rows = "\n".join(_row(number, triple) for number, triple in enumerate(triples))
    return (
        f'<section><p class="text" dir="auto">{_marked(text, triples)}</p>\n{_KEY}\n<div class="wide"><table>\n'
        '<thead><tr><th scope="col">Subject</th><th scope="col">Predicate</th><th scope="col">Object</th>'
        f'<th scope="col" class="number">Score</th></tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div></section>'
    )


def _row(number: int, triple: Mapping[str, Any]) -> str:
    cells = {}
    for role in ROLES:
        mention = triple[role]
        about = f"{mention['start']}–{mention['end']}"
        about = f"{_shown(mention['type'])} · {about}" if "type" in mention else about
        cells[role] = f'<td class="{role}-cell"><bdi>{_shown(mention["text"])}</bdi> <small>{about}</small></td>'
    return (
        f'<tr tabindex="0" data-row="{number}">{cells["subject"]}<td><bdi>{_shown(triple["predicate"])}</bdi></td>'
        f'{cells["object"]}<td class="number">{triple["score"]:.3f}</td></tr>'
    )


def _marked(text: str, triples: Triples) -> str:
    """The text, cut wherever a mention begins or ends; each part marked with the roles and rows of all mentions over
    it."""
    mentions = [(triple[role], role, row) for row, triple in enumerate(triples) for role in ROLES]
    for mention, _, row in mentions:
        if text[mention["start"] : mention["end"]] != mention["text"]:
            raise ValueError(
                f"Triple {row} (from 0) does not belong to this text: its mention {mention['text']!r} is not at "
                f"characters {mention['start']} to {mention['end']}."
            )
    over: dict[tuple[str, int], int] = {}  # role and row of the mentions that have begun, and in how many of them
    changes: dict[int, list[tuple[str, int, int]]] = {0: [], len(text): []}
    for mention, role, row in mentions:
        changes.setdefault(mention["start"], []).append((role, row, 1))
        changes.setdefault(mention["end"], []).append((role, row, -1))
    parts, places = [], sorted(changes)
    for start, end in pairwise(places):
        for role, row, step in changes[start]:
            over[role, row] = over.get((role, row), 0) + step
        here = [key for key, count in over.items() if count]
        part = _shown(text[start:end])
        if here:
            roles = " ".join(role for role in ROLES if any(role == found for found, _ in here))
            rows = sorted({row for _, row in here})
            title = "&#10;".join(_shown(_sentence(triples[row])) for row in rows)
            part = f'<mark class="{roles}" data-rows="{" ".join(map(str, rows))}" title="{title}">{part}</mark>'
        parts.append(part)
    return "".join(parts)


def _sentence(triple: Mapping[str, Any]) -> str:
    return f"{triple['subject']['text']} · {triple['predicate']} · {triple['object']['text']}"


def _shown(text: str) -> str:
    """Escaped, and control characters, which no HTML page may hold, as their pictures."""
    pictures = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n\r"}
    return escape(text.translate({**pictures, 0x7F: 0x2421}))


__all__ = ["to_html", "to_networkx"]

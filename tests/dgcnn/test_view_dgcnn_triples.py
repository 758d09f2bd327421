"""The page and the graph of triples: read back by a parser, mention by mention, for any text."""

import json
import sys
from html.parser import HTMLParser
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_kexue.dgcnn import TripleExtractionPipeline, to_html, to_networkx

TEXT = "周杰伦的《菊花台》由方文山作词，\n周杰伦作曲。"


def mention(text, start, end, kind=None):
    return {"text": text[start:end], "start": start, "end": end, **({"type": kind} if kind else {})}


def triple(text, subject, predicate, found, score=0.5, types=(None, None)):
    ends = zip((subject, found), types)
    subject, found = (mention(text, *place, kind) for place, kind in ends)
    return {"subject": subject, "predicate": predicate, "object": found, "score": score}


TRIPLES = [
    triple(TEXT, (5, 8), "歌手", (0, 3), 0.91, ("歌曲", "人物")),
    triple(TEXT, (5, 8), "作词", (10, 13), 0.987),
    triple(TEXT, (5, 8), "作曲", (17, 20), 0.8, ("歌曲", "人物")),
]


class Page(HTMLParser):
    """What a browser makes of a page: texts with the marks over each character, cells of the tables, all tags."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.cells, self.tags, self.attributes, self.data = [], [], [], [], ""
        self.marks, self.where = None, None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.attributes += attributes.items()
        if attributes.get("class") == "text":
            self.texts.append([])
            self.where = "text"
        elif tag in ("tr", "p"):
            self.where = None
            self.cells += [[]] if tag == "tr" else []
        elif tag == "td":
            self.cells[-1].append("")
            self.where = "cell"
        elif tag == "mark":
            self.marks = attributes

    def handle_endtag(self, tag):
        if tag == "mark":
            self.marks = None
        elif tag in ("p", "td"):
            self.where = None

    def handle_data(self, data):
        self.data += data
        if self.where == "text":
            self.texts[-1] += [(character, self.marks) for character in data]
        elif self.where == "cell":
            self.cells[-1][-1] += data


def roles_by_hand(triples, place):
    """Of a character: its roles, and the numbers of the triples with a mention over it."""
    found = [
        (role, number)
        for number, one in enumerate(triples)
        for role in ("subject", "object")
        if one[role]["start"] <= place < one[role]["end"]
    ]
    return {role for role, _ in found}, {number for _, number in found}


def check_text(page_text, text, triples):
    shown = "".join(character for character, _ in page_text)
    assert len(shown) == len(text)
    for place, (character, marks) in enumerate(page_text):
        assert character in (text[place], chr(0x2400 + ord(text[place])) if text[place] < " " else "␡")
        roles, rows = roles_by_hand(triples, place)
        assert (marks is None) == (not rows)
        if rows:
            assert ({*marks["class"].split()}, {*map(int, marks["data-rows"].split())}) == (roles, rows)


def test_page_by_hand():
    page = Page(to_html(TEXT, TRIPLES))
    check_text(page.texts[0], TEXT, TRIPLES)
    assert [cells for cells in page.cells if cells] == [
        ["菊花台 歌曲 · 5–8", "歌手", "周杰伦 人物 · 0–3", "0.910"],
        ["菊花台 5–8", "作词", "方文山 10–13", "0.987"],
        ["菊花台 歌曲 · 5–8", "作曲", "周杰伦 人物 · 17–20", "0.800"],
    ]
    titles = [value for name, value in page.attributes if name == "title"]
    assert titles[0] == "菊花台 · 歌手 · 周杰伦"
    assert titles[1] == "菊花台 · 歌手 · 周杰伦\n菊花台 · 作词 · 方文山\n菊花台 · 作曲 · 周杰伦"


def test_page_of_several_texts():
    page = Page(to_html([TEXT, "没有。"], [TRIPLES, []]))
    assert len(page.texts) == 2
    check_text(page.texts[1], "没有。", [])
    assert "No triples found." in page.data
    assert page.tags.count("table") == 1
    assert Page(to_html([], [])).texts == []


def test_page_needs_nothing_else_and_knows_the_dark():
    page = to_html(TEXT, TRIPLES)
    assert "prefers-color-scheme: dark" in page
    parsed = Page(page)
    assert not {"link", "img", "iframe", "base"} & {*parsed.tags}
    assert not {"src", "href"} & {name for name, _ in parsed.attributes}
    assert "http" not in page
    assert "url(" not in page
    assert parsed.tags.count("script") == 1
    rules = page.partition("<style>")[2].partition("</style>")[0]
    selectors = [line.partition("{")[0] for line in rules.splitlines() if "{" in line and line[0] not in " @"]
    parts = [part for selector in selectors for part in selector.split(",")]
    assert parts
    assert all(".kexue-triples" in part for part in parts), "styles stay within"


EVIL = '</p></td><script>alert("x")</script>&lt;\'"\n\t\0\x07\x7f\u202e𠮷'


@given(st.data())
def test_whatever_the_text_holds_is_text(data):
    """Any mentions, nested, crossing and equal; nothing of them becomes a tag or an attribute."""
    text = data.draw(st.text(st.sampled_from(EVIL), min_size=1, max_size=30)) + EVIL
    places = st.tuples(st.integers(0, len(text) - 1), st.integers(1, 9)).map(lambda p: (p[0], min(sum(p), len(text))))
    types = st.tuples(st.sampled_from([None, EVIL]), st.none())
    triples = [
        triple(text, *one, types=data.draw(types))
        for one in data.draw(st.lists(st.tuples(places, st.just(EVIL), places), max_size=5))
    ]
    page = Page(to_html(text, triples))
    check_text(page.texts[0], text, triples)
    assert {*page.tags} <= {*Page(to_html(TEXT, TRIPLES)).tags, "p"}
    assert page.tags.count("script") == 1
    names = {name for name, _ in page.attributes}
    assert names <= {name for name, _ in Page(to_html(TEXT, TRIPLES)).attributes}


def test_page_of_another_text_is_refused():
    with pytest.raises(ValueError, match=r"Triple 0 .*'周杰伦' .*0 to 3"):
        to_html("另" + TEXT, [triple(TEXT, (0, 3), "别名", (0, 3))])
    with pytest.raises(ValueError, match="got 1 for 2 texts"):
        to_html([TEXT, TEXT], [TRIPLES])


def test_graph():
    networkx = pytest.importorskip("networkx")
    again = triple(TEXT, (5, 8), "歌手", (17, 20), 0.95, ("歌曲", "艺人"))
    graph = to_networkx([*TRIPLES, again])
    assert dict(graph.nodes(data="types")) == {"菊花台": "歌曲", "周杰伦": "人物;艺人", "方文山": ""}

    def span(subject, found, text=0):
        return {"text": text, "subject": list(subject), "object": list(found)}

    def edges(graph):
        return {
            (s, o, key): (d["score"], json.loads(d["spans"])) for s, o, key, d in graph.edges(keys=True, data=True)
        }

    expected = {
        ("菊花台", "周杰伦", "歌手"): (0.95, [span((5, 8), (0, 3)), span((5, 8), (17, 20))]),
        ("菊花台", "周杰伦", "作曲"): (0.8, [span((5, 8), (17, 20))]),
        ("菊花台", "方文山", "作词"): (0.987, [span((5, 8), (10, 13))]),
    }
    assert edges(graph) == expected
    several = edges(to_networkx([TRIPLES, [], [again]]))
    assert several["菊花台", "周杰伦", "歌手"] == (0.95, [span((5, 8), (0, 3)), span((5, 8), (17, 20), text=2)])
    assert several.keys() == expected.keys()
    for written, read in (
        (networkx.generate_graphml, lambda text: networkx.parse_graphml(text, force_multigraph=True)),
        (networkx.generate_gexf, lambda text: networkx.read_gexf(BytesIO(text.encode()))),
        (networkx.generate_gml, lambda text: networkx.parse_gml(text)),
    ):
        back = read("\n".join(written(graph)))
        assert sorted(back.nodes(data="types")) == sorted(graph.nodes(data="types"))
        assert sorted(back.edges(data="spans")) == sorted(graph.edges(data="spans"))
        assert sorted(back.edges(data="score")) == sorted(graph.edges(data="score"))
    assert all(data["predicate"] == key for _, _, key, data in graph.edges(keys=True, data=True))
    assert len(to_networkx([])) == len(to_networkx([[], []])) == 0


def test_the_pipeline_offers_both():
    assert TripleExtractionPipeline.to_html is to_html
    assert TripleExtractionPipeline.to_networkx is to_networkx


def test_no_networkx_raises(monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(ImportError, match="pip install networkx"):
        to_networkx(TRIPLES)

"""The graph of triples: every triple on it, no two boxes or predicates over one another, edges from left to right."""

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from hf_kexue.demo.graph import triples_svg

SVG = "{http://www.w3.org/2000/svg}"
SONG = [("月亮代表我的心", role, name) for role, name in (("作词", "孙仪"), ("作曲", "翁清溪"), ("歌手", "邓丽君"))]
CHAIN = [tuple(fact.split()) for fact in ("甲 丈夫 乙", "乙 国籍 丙", "甲 国籍 丙", "丁 出生地 丙", "乙 妻子 甲")]
ODD = [("戊", "别名", "戊"), ("<b>&", "a\x00b", "很长" * 20), ("x\ny", "很长的谓语" * 5, "戊")]


def triples(facts):
    return [{"subject": {"text": s}, "predicate": p, "object": {"text": o}, "score": 1.0} for s, p, o in facts]


def parsed(facts):
    return ElementTree.fromstring(triples_svg(triples(facts)))


def boxes(picture):
    """Title -> (left, top, right, bottom)."""
    found = {}
    for group in picture.iter(f"{SVG}g"):
        x, y, width, height = (float(group.find(f"{SVG}rect").get(key)) for key in ("x", "y", "width", "height"))
        found[group.find(f"{SVG}title").text] = (x, y, x + width, y + height)
    return found


def labels(picture):
    """Predicates as (text, left, top, right, bottom); a character of 13 pixels is at most 13 wide."""
    found = []
    for text in picture.iter(f"{SVG}text"):
        if text.get("class") == "predicate":
            x, y = float(text.get("x")), float(text.get("y"))
            found.append((text.text, x - 13 * len(text.text), y - 7, x, y + 7))
    return found


def overlap(first, second):
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


@pytest.mark.parametrize("facts", [SONG, CHAIN, ODD, SONG + CHAIN + ODD], ids=["song", "chain", "odd", "all"])
def test_nothing_overlaps_and_nothing_is_cut(facts):
    picture = parsed(facts)
    found, words = boxes(picture), labels(picture)
    assert len(found) == len({name for s, _, o in facts for name in (s, o)})
    assert len(words) == len(facts)
    places = [*found.values(), *(label[1:] for label in words)]
    assert not [pair for pair in combinations(places, 2) if overlap(*pair)]
    width, height = float(picture.get("width")), float(picture.get("height"))
    assert all(x >= 0 and y >= 0 and right <= width and bottom <= height for x, y, right, bottom in places)


def test_edges_lead_from_subject_to_object():
    """Each starts at the right side of its subject's box and ends at the left side of its object's."""
    picture = parsed(CHAIN)
    found = boxes(picture)
    paths = [path.get("d") for path in picture.iter(f"{SVG}path") if path.get("class") is None]
    assert len(paths) == len(CHAIN)
    for (subject, _, target), path in zip(CHAIN, paths):
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d", path)]
        start, end, line = numbers[:2], numbers[-1], numbers[-2]
        assert start[0] == pytest.approx(found[subject][2], abs=0.1)
        assert found[subject][1] - 1 <= start[1] <= found[subject][3] + 1
        assert end == pytest.approx(found[target][0] - 8, abs=0.1)
        assert found[target][1] - 1 <= line <= found[target][3] + 1


def test_edges_run_to_the_right_where_there_is_no_circle():
    found = boxes(parsed(CHAIN[:4]))
    for subject, _, target in CHAIN[:4]:
        assert found[subject][2] < found[target][0]


def test_equal_triples_are_drawn_once_and_listed_in_the_title():
    picture = parsed(SONG * 2)
    assert len(labels(picture)) == len(SONG)
    assert picture.find(f"{SVG}title").text == "; ".join(" ".join(fact) for fact in SONG)


def test_no_triples_no_picture():
    assert triples_svg([]) == ""

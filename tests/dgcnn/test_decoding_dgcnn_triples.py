"""Decoding of subjects and objects against plain loops over random scores, and triples at all their places."""

import math
import re
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hf_kexue.dgcnn.decoding_dgcnn_triples import (
    Subject,
    allowed_predicates,
    best_of_equal_words,
    decode_objects,
    decode_subjects,
    everywhere,
)


def spans_by_loops(scores, start_threshold, end_threshold, allowed=None):
    """The rule of the article, word for word: each start with the nearest end to its right."""
    length, columns = scores.shape[0], scores.shape[1] // 2
    found = []
    for column in range(columns):
        for first in range(length):
            if scores[first, column] > start_threshold and (allowed is None or column in allowed):
                for last in range(first, length):
                    if scores[last, columns + column] > end_threshold:
                        score = math.sqrt(float(scores[first, column]) * float(scores[last, columns + column]))
                        found.append((column, first, last, pytest.approx(score, rel=1e-12)))
                        break
    return found


@st.composite
def tables(draw):
    """Scores of few different values, so that thresholds are often met exactly; some long, some without a token."""
    length, columns = draw(st.integers(0, 40)), draw(st.integers(1, 6))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = generator.choice([0, 0.25, 0.5, 0.75, 1], size=(length, 2 * columns), p=[0.4, 0.2, 0.2, 0.1, 0.1])
    return scores.astype(draw(st.sampled_from([np.float32, np.float64])))


THRESHOLDS = st.sampled_from([0, 0.25, 0.4, 0.5, 0.75, 1])


@given(tables(), THRESHOLDS, THRESHOLDS, st.none() | st.sets(st.integers(0, 5)))
def test_objects_against_loops(scores, start_threshold, end_threshold, allowed):
    if allowed is not None:
        allowed = {number for number in allowed if number < scores.shape[1] // 2}
    found = decode_objects(scores, start_threshold, end_threshold, allowed)
    assert [tuple(span) for span in found] == spans_by_loops(scores, start_threshold, end_threshold, allowed)


@given(tables(), THRESHOLDS, THRESHOLDS)
def test_subjects_against_loops(scores, start_threshold, end_threshold):
    expected = {}
    for kind, first, last, score in spans_by_loops(scores, start_threshold, end_threshold):
        expected.setdefault((first, last), []).append((kind, score.expected))
    assert [tuple(subject) for subject in decode_subjects(scores, start_threshold, end_threshold)] == [
        (*place, tuple(kind for kind, _ in found), pytest.approx(max(score for _, score in found), rel=1e-12))
        for place, found in sorted(expected.items())
    ]


def test_by_hand():
    """Two types; a start without an end, two starts with one end, equal spans of both types."""
    starts = [[0.9, 0.0], [0.6, 0.6], [0.0, 0.0], [0.5, 0.8]]
    ends = [[0.0, 0.0], [0.0, 0.9], [0.5, 0.0], [0.4, 0.4]]
    scores = np.concatenate([starts, ends], axis=1)
    assert decode_subjects(scores) == [
        Subject(0, 2, (0,), math.sqrt(0.45)),
        Subject(1, 1, (1,), math.sqrt(0.54)),
        Subject(1, 2, (0,), math.sqrt(0.3)),
    ]
    both = decode_subjects([[0.9, 0.6, 0.9, 0.6]])
    assert both == [Subject(0, 0, (0, 1), pytest.approx(0.9))]
    assert [span.predicate for span in decode_objects([[0.9, 0.6, 0.9, 0.6]], allowed=[1])] == [1]
    assert decode_objects([[0.9, 0.6, 0.9, 0.6]], allowed=[]) == []
    assert all(type(value) in (int, float) for span in decode_objects(scores) for value in span)


SCHEMA = [
    {"predicate": "作者", "subject_types": ["图书"], "object_types": ["人物"]},
    {"predicate": "父亲", "subject_types": ["人物", "神"], "object_types": []},
    {"predicate": "别名", "subject_types": [], "object_types": []},
    {"predicate": "译名"},
]


@pytest.mark.parametrize(
    ("types", "expected"), [((0,), [0, 2, 3]), ((1,), [1, 2, 3]), ((0, 2), [0, 1, 2, 3]), ((3,), [2, 3])]
)
def test_types_allow_predicates(types, expected):
    assert allowed_predicates(SCHEMA, ["图书", "人物", "神", "地点"], types) == expected


def test_untyped_subjects_may_have_any_predicate():
    assert allowed_predicates(SCHEMA, [""], (0,)) == [0, 1, 2, 3]


def test_best_of_equal_words():
    text = "甲乙甲乙"
    found = {((0, 1), 0, (1, 2)): 0.5, ((2, 3), 0, (3, 4)): 0.7, ((0, 1), 0, (3, 4)): 0.7, ((0, 1), 1, (1, 2)): 0.1}
    assert best_of_equal_words(found, text) == {((0, 1), 0, (3, 4)): 0.7, ((0, 1), 1, (1, 2)): 0.1}


@given(st.text("甲乙a ", min_size=2, max_size=14), st.data())
def test_everywhere_against_regular_expressions(text, data):
    """What was found, and all other places with both mentions in one piece, overlapping ones too; no word is cut."""
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, len(text) - 1), max_size=3))), len(text)]
    ranges = list(pairwise(cuts))

    def places(span, piece):
        mention = text[slice(*span)]
        cut = "(?<![a])" if mention[0] == "a" else "", "(?![a])" if mention[-1] == "a" else ""
        pattern = re.compile(f"{cut[0]}(?=({mention}{cut[1]}))")  # no Latin word is cut
        found = [(match.start(1), match.end(1)) for match in pattern.finditer(text)]
        return [place for place in found if piece[0] <= place[0] and place[1] <= piece[1]]

    spans = [(i, j) for i in range(len(text)) for j in range(i + 1, min(i + 3, len(text)) + 1)]
    spans = [span for span in spans if span in places(span, (0, len(text)))]
    assume(spans)
    subject, other = data.draw(st.sampled_from(spans)), data.draw(st.sampled_from(spans))
    expected = {(subject, 4, other): 0.5}  # as found, whatever it cuts
    expected |= {(s, 4, o): 0.5 for piece in ranges for s, o in product(places(subject, piece), places(other, piece))}
    assert everywhere({(subject, 4, other): 0.5}, text, ranges) == expected


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        (np.zeros(4), {}, r"shape \(tokens, 2 \* columns\), starts then ends, got \(4,\)"),
        (np.zeros((4, 3)), {}, r"got \(4, 3\)"),
        (np.full((4, 2), 1.5), {}, "Were logits given"),
        (np.full((4, 2), -0.1), {}, "Were logits given"),
        (np.full((4, 2), np.nan), {}, "not finite"),
        (np.zeros((4, 2)), {"start_threshold": 1.1}, r"Thresholds must be in \[0, 1\], got 1\.1 and 0\.4"),
        (np.zeros((4, 2)), {"end_threshold": -1}, "got 0.5 and -1"),
        (np.zeros((4, 4)), {"allowed": [2]}, r"numbers of the 2 predicates, got \[2\]"),
        (np.zeros((4, 4)), {"allowed": {-1, 0}}, r"got \[-1, 0\]"),
    ],
)
def test_what_is_refused(scores, options, message):
    with pytest.raises(ValueError, match=message):
        decode_objects(scores, **options)

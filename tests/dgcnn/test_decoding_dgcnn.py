"""Decoding: a twin that lists every span, properties for any text, and the article's worked vote."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_kexue.dgcnn.decoding_dgcnn import (
    Span,
    VotedSpan,
    answer_length,
    best_per_string,
    best_spans,
    merge_windows,
    no_answer_score,
    vote,
)

any_text = st.text(st.characters(), max_size=40)  # lone surrogates too
few_scores = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])  # few, so that there are ties
mixed_text = st.text("中国ab1 ，𠮷\t", max_size=25)


def offsets_of(context, question=2):
    """A token a character that is no whitespace, after some that are no passage, and one such at the end."""
    return [(0, 0)] * question + [(i, i + 1) for i, c in enumerate(context) if not c.isspace()] + [(0, 0)]


@st.composite
def windows(draw, texts=mixed_text):
    context = draw(texts)
    offsets = offsets_of(context)
    scores = st.lists(few_scores, min_size=len(offsets), max_size=len(offsets))
    return draw(scores), draw(scores), offsets, context


def twin(start, end, offsets, context, max_answer_len=30.0, threshold=0.0):
    """Every span by itself, sorted."""
    spans = []
    for i, (first, first_end) in enumerate(offsets):
        for j, (last_start, last) in enumerate(offsets):
            if j < i or first == first_end or last_start == last:
                continue
            text = context[first:last]
            length = sum(0 if c.isspace() else 0.5 if c in "ab1" else 1 for c in text)
            if length <= max_answer_len and start[i] * end[j] >= threshold:
                spans.append(Span(text, start[i] * end[j], first, last))
    return sorted(spans, key=lambda span: (-span.score, span.start, span.end))


@settings(max_examples=300)
@given(windows(), st.sampled_from([0.5, 1, 2.5, 4, 30]), st.integers(1, 40), st.sampled_from([0, 0.05, 0.25]))
def test_agrees_with_the_reference(window, max_answer_len, top_k, threshold):
    spans = best_spans(*window, max_answer_len=max_answer_len, top_k=top_k, threshold=threshold)
    assert spans == twin(*window, max_answer_len, threshold)[:top_k]


@settings(max_examples=200)
@given(windows(), st.integers(1, 10))
def test_distinct_strings_fill_top_k(window, top_k):
    spans = best_spans(*window, top_k=top_k, distinct_strings=True)
    assert spans == best_per_string(twin(*window))[:top_k]


def test_agrees_with_the_reference_on_a_full_window():
    rng = np.random.default_rng(0)
    context = "".join(rng.choice(list("中国人ab1 ，"), 300))
    offsets = offsets_of(context, question=12)
    start, end = rng.random((2, len(offsets))).astype(np.float32)
    spans = best_spans(start, end, offsets, context, max_answer_len=10, top_k=50)
    expected = twin(start.astype(float), end.astype(float), offsets, context, 10)[:50]
    assert spans == expected
    assert all(type(span.score) is float and type(span.start) is int for span in spans)


@settings(max_examples=200)
@given(windows(any_text), st.booleans())
def test_text_is_what_stands_there_for_any_text(window, distinct_strings):
    context = window[3]
    spans = best_spans(*window, top_k=1000, distinct_strings=distinct_strings)
    for span in spans:
        assert context[span.start : span.end] == span.text != ""
        assert 0 <= span.score <= 1
        assert answer_length(span.text) <= 30
    assert len({(span.start, span.end) for span in spans}) == len(spans)
    assert bool(spans) == any(not c.isspace() for c in context)


@settings(max_examples=200)
@given(windows(), st.integers(1, 12), st.integers(1, 8), st.integers(1, 8), st.booleans())
def test_windows_lose_no_answer(window, length, stride, top_k, distinct_strings):
    # Windows over one set of scores: the same as all spans that lie in a window whole.
    start, end, offsets, context = window
    starts = range(0, len(offsets), stride)
    cut = [(start[i : i + length], end[i : i + length], offsets[i : i + length]) for i in starts]
    found = [best_spans(*part, context, top_k=top_k, distinct_strings=distinct_strings) for part in cut]
    merged = merge_windows(found)
    everything = sorted(
        {span for part in cut for span in twin(*part, context)}, key=lambda span: (-span.score, span.start, span.end)
    )
    if distinct_strings:
        merged, everything = best_per_string(merged), best_per_string(everything)
    assert merged[:top_k] == everything[:top_k]
    if not distinct_strings:
        assert merge_windows(found, top_k) == everything[:top_k]


def test_merging_takes_the_larger_score_of_a_place():
    windows = [[Span("b", 0.4, 3, 4), Span("a", 0.3, 0, 1)], [Span("b", 0.2, 3, 4), Span("a", 0.5, 0, 1)], []]
    assert merge_windows(windows, 2) == [Span("a", 0.5, 0, 1), Span("b", 0.4, 3, 4)]
    assert merge_windows([]) == []


def test_ties_go_to_the_earlier_and_then_the_shorter():
    spans = best_spans([0.5] * 3, [0.5] * 3, offsets_of("甲乙丙", 0)[:3], "甲乙丙", top_k=4)
    assert [span.text for span in spans] == ["甲", "甲乙", "甲乙丙", "乙"]


def test_tokens_of_one_character_are_one_place():
    # "㈱" reads as three tokens: its start is the best of their starts, its end the best of their ends.
    offsets = [(0, 1), (1, 2), (1, 2), (1, 2), (2, 3)]
    spans = best_spans([0.1, 0.2, 0.9, 0.3, 0.1], [0.1, 0.8, 0.2, 0.3, 0.5], offsets, "甲㈱乙", top_k=9)
    assert len(spans) == 6
    assert spans[0] == Span("㈱", 0.9 * 0.8, 1, 2)
    assert spans[1] == Span("㈱乙", 0.9 * 0.5, 1, 3)


def test_answers_may_hold_whitespace_but_not_begin_or_end_with_it():
    texts = {span.text for span in best_spans([1] * 5, [1] * 5, offsets_of("a b\n"), "a b\n", top_k=99)}
    assert texts == {"a", "a b", "b"}


def test_lengths_of_the_article():
    assert answer_length("") == 0
    assert answer_length("珠穆朗玛峰") == 5
    assert answer_length("2018年4月") == 4.5
    assert answer_length(" New\u3000York\n") == 3.5
    assert answer_length("é１。") == 3  # neither is an ASCII letter or digit
    assert answer_length("\ud800𠮷") == 2


def test_vote_of_the_article():
    # One sure passage against four unsure ones, whose sum would be larger.
    passages = [[Span("A", 0.7, 0, 1)]] + [[Span("B", 0.2, 5, 6)]] * 4
    first, second = vote(passages)
    assert first == VotedSpan("A", pytest.approx(0.49 / 1.7), 0, 0, 1)
    assert (round(first.score, 3), round(second.score, 3)) == (0.288, 0.089)
    assert [answer.score for answer in vote(passages, "squares")] == pytest.approx([0.49, 0.16])
    assert [answer.score for answer in vote(passages, "best")] == [0.7, 0.2]


def test_vote_counts_a_string_once_a_passage_and_shows_its_best_place():
    passages = [[Span("A", 0.3, 4, 5), Span("A", 0.3, 2, 3), Span("A", 0.1, 0, 1)], [], [Span("A", 0.6, 7, 8)]]
    assert vote(passages) == [VotedSpan("A", pytest.approx((0.09 + 0.36) / 1.9), 2, 7, 8)]
    tied = vote([[Span("B", 0.5, 9, 10)], [Span("A", 0.5, 0, 1), Span("C", 0.5, 0, 2)], [Span("B", 0.5, 1, 2)]])
    assert [(answer.text, answer.passage, answer.start) for answer in tied] == [("B", 0, 9), ("A", 1, 0), ("C", 1, 0)]
    assert vote([]) == vote([[], []]) == []
    with pytest.raises(ValueError, match=r"article, squares, best.*'mean'"):
        vote([], "mean")


def test_best_per_string_keeps_the_first_of_the_best():
    spans = [Span("A", 0.5, 8, 9), Span("B", 0.7, 1, 2), Span("A", 0.5, 3, 4), Span("A", 0.2, 0, 1)]
    assert best_per_string(spans) == [Span("B", 0.7, 1, 2), Span("A", 0.5, 3, 4)]


def test_no_answer():
    assert no_answer_score([]) == 1
    assert no_answer_score([Span("A", 0.2, 0, 1), Span("B", 0.75, 0, 1)]) == 0.25
    assert no_answer_score([VotedSpan("A", 1.5, 0, 0, 1)]) == 0  # a sum of squares may be more than 1
    assert best_spans([0.9], [0.9], [(0, 0)], "甲") == []
    assert best_spans([], [], [], "") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": [0.5]}, r"shapes \(L,\), \(L,\) and \(L, 2\), got \(\(1,\), \(2,\), \(2, 2\)\)"),
        ({"offsets": [(0, 1)]}, "shapes"),
        ({"start": [[0.5, 0.5]]}, "shapes"),
        ({"start": [0.5, float("nan")]}, "not finite"),
        ({"end": [0.5, -2.0]}, "negative"),
        ({"offsets": [(0, 1), (1, 3)]}, "offsets go from 0 to 3, the context from 0 to 2"),
        ({"offsets": [(1, 2), (0, 1)]}, "from left to right"),
        ({"top_k": 0}, "positive, got 0 and 30"),
        ({"max_answer_len": 0}, "positive, got 5 and 0"),
    ],
)
def test_bad_input_raises(changes, message):
    arguments = {"start": [0.5, 0.5], "end": [0.5, 0.5], "offsets": [(0, 1), (1, 2)], "context": "甲乙"} | changes
    with pytest.raises(ValueError, match=message):
        best_spans(**arguments)

"""Questions made of plain text: the span is the answer, all random draws are the generator's."""

import re
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_kexue.data.questions.cloze import (
    FOR_ANYTHING,
    FOR_DATES,
    FOR_NUMBERS,
    INNER_PUNCTUATION,
    LONGEST,
    LONGEST_QUESTION,
    SHORTEST,
    ClozeQuestions,
)

RIVER = "多瑙河在德国的黑森林发源，流经维也纳、布达佩斯和贝尔格莱德，最后在罗马尼亚注入黑海。全长2850公里！太短。"
LONG = "".join(f"第{n}站是{town}，" for n, town in enumerate("甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥"))
DIGITS = "一九〇八年以前共有12、345、67、89、10、11、98、76位学者"


def pairs(text):
    """Words of two characters, without white space: a segmenter whose cuts are known."""
    return [(m[0], m.start(), m.end()) for m in re.finditer(r"[,，、：:]|[^\s,，、：:]{1,2}", text)]


def characters(text):
    return [(c, n, n + 1) for n, c in enumerate(text) if not c.isspace()]


def make(texts, seed, segment=pairs):
    return ClozeQuestions(texts, segment).make(np.random.default_rng(seed))


def sentence_of(text, start):
    """The run without a sentence's end around a place; a second way to cut."""
    ends = "。！？；!?;\n"
    first = max((text.rfind(end, 0, start) for end in ends), default=-1) + 1
    last = min((place for end in ends if (place := text.find(end, start)) >= 0), default=len(text))
    return text[first:last]


TEXT = st.text(
    st.one_of(st.sampled_from("。！？\n，、 1２a《》"), st.characters(exclude_categories=["Cs"])), max_size=120
)


@settings(deadline=None, max_examples=150)
@given(st.lists(TEXT, max_size=3), st.integers(0, 9999))
def test_whatever_the_texts_are(texts, seed):
    """One span within one sentence, on whole words, not most of it, no punctuation at its ends; a short question."""
    try:
        sample = make([*texts, RIVER], seed, characters)
    except ValueError:
        pytest.fail("there is a good sentence in the last text")
    ((start, end),) = sample.spans
    answer, sentence = sample.passage[start:end], sentence_of(sample.passage, start)
    assert sample.passage in [*texts, RIVER]
    assert end - start >= 1
    assert answer in sentence
    assert len(sentence) >= SHORTEST
    assert len(answer) <= 0.6 * min(len(sentence), LONGEST)
    assert answer == answer.strip()
    assert not {answer[0], answer[-1]} & INNER_PUNCTUATION
    assert 1 <= len(sample.question) <= LONGEST_QUESTION


def test_the_question_is_the_sentence_without_the_answer():
    """Every character is of one question word or of the sentence around the answer, none more often than there."""
    asked = set(FOR_ANYTHING + FOR_NUMBERS)
    seen = set()
    for seed in range(300):
        sample = make([RIVER], seed)
        ((start, end),) = sample.spans
        sentence = sentence_of(RIVER, start)
        left, right = sentence.split(RIVER[start:end], 1)
        there = {word for word in asked if word in sample.question}
        assert any(Counter(sample.question) <= Counter(left + right + word) for word in there)
        seen |= there
    assert seen == set(FOR_ANYTHING)


def test_numbers_are_asked_for_as_numbers():
    for seed in range(200):
        sample = make([DIGITS], seed)
        ((start, end),) = sample.spans
        is_number = any(unicodedata.category(c) == "Nd" for c in sample.passage[start:end])
        assert any(word in sample.question for word in (FOR_NUMBERS + FOR_DATES if is_number else FOR_ANYTHING))


def test_the_questions_are_roughened():
    """Most are no substring of the sentence even with the answer put back; some quote it whole."""
    quoted = []
    for seed in range(300):
        sample = make([RIVER], seed)
        ((start, end),) = sample.spans
        back = [sample.question.replace(word, RIVER[start:end], 1) for word in {*FOR_ANYTHING, *FOR_NUMBERS}]
        quoted.append(any(text in RIVER for text in back))
    assert 0 < np.mean(quoted) < 0.2


def test_only_the_generator_is_drawn_from():
    one, again = (make([RIVER, LONG], 5) for _ in range(2))
    assert one == again
    assert len({make([RIVER, LONG], seed).question for seed in range(30)}) > 25


def test_long_sentences_are_asked_about_from_end_to_end():
    places = [make([LONG], seed).spans[0][0] for seed in range(200)]
    assert len(LONG) > 1.5 * LONGEST
    assert min(places) < 0.1 * len(LONG)
    assert max(places) > 0.85 * len(LONG)


def test_the_package_s_own_segmenter():
    pytest.importorskip("rjieba", reason="rjieba is not installed")
    from hf_kexue import DGCNNTokenizer

    segment = DGCNNTokenizer.from_texts([RIVER], min_count=1).segment
    cuts = {place for _, start, end in segment(RIVER) for place in (start, end)}
    for seed in range(50):
        assert set(make([RIVER], seed, segment).spans[0]) <= cuts


@pytest.mark.parametrize("texts", [[], [""], ["太短。短！也短"]], ids=["no text", "empty", "short sentences"])
def test_nothing_to_ask_about(texts):
    with pytest.raises(ValueError, match=f"{len(texts)} texts .* 10 characters"):
        ClozeQuestions(texts, pairs)


@pytest.mark.parametrize("text", ["x" * 40, "，" * 40], ids=["one word", "punctuation"])
def test_sentences_without_an_answer_raise(text):
    with pytest.raises(ValueError, match="1000 sentences"):
        make([text], 0, lambda text: [(text, 0, len(text))] if text[0] == "x" else characters(text))

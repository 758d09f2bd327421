"""The match features: the article's worked example, a brute-force twin that must agree to the bit, and bad input."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_kexue.dgcnn.features_dgcnn import match_features, spread_over_characters

few_words = st.sampled_from(["山", "高", "海拔", "拔山", "a", "ab", "山山高", "\ud800", "𠮷", ""])
questions = st.lists(few_words, min_size=1, max_size=12).filter(any)
passages = st.lists(few_words, max_size=25)


def edit_distance(a, b):
    table = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        corner, table[0] = table[0], i
        for j, y in enumerate(b, 1):
            corner, table[j] = table[j], min(table[j] + 1, table[j - 1] + 1, corner + (x != y))
    return table[-1]


def twin_of_tokens(question, passage, others):
    """The four features of each token, window by window, as exact fractions."""
    n = len(question)
    rows = []
    for i, token in enumerate(passage):
        window = [passage[p] for p in range(i - n // 2, i + n - n // 2) if 0 <= p < len(passage)]
        shared, joined = set(window) & set(question), set(window) | set(question)
        cooccurrence = Fraction(sum(token in other for other in others), len(others) + 1)
        jaccard = Fraction(len(shared), len(joined))
        rows.append([Fraction(token in question), cooccurrence, jaccard, Fraction(edit_distance(window, question), n)])
    return rows


def twin(question, passage, others=(), text=None):
    characters = list(text if text is not None else "".join(question))
    by_word = twin_of_tokens(question, passage, others)
    by_character = twin_of_tokens(characters, list("".join(passage)), ["".join(other) for other in others])
    rows = []
    for word, row in zip(passage, by_word):
        own, by_character = by_character[: len(word)], by_character[len(word) :]
        rows.append(row + ([sum(column) / len(word) for column in zip(*own)] or [0] * 4))
    return np.array([[float(value) for value in row] for row in rows], dtype=np.float32).reshape(len(passage), 8)


@settings(max_examples=300)
@given(questions, passages, st.lists(passages, max_size=4), st.none() | st.text("山高海ab", min_size=1, max_size=9))
def test_agrees_with_the_reference(question, passage, others, text):
    features = match_features(question, passage, others, text)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, twin(question, passage, others, text))


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 129])
def test_questions_around_the_bits_of_an_integer(length):
    # The question's columns are held in integers of 64 bits; most of the passage is cut from the question, so that
    # small distances, for which carries run through all integers, occur.
    rng = np.random.default_rng(length)
    question = [chr(0x4E00 + code) for code in rng.integers(0, 40, length)]
    passage = ["一", "丁", *question, "七"]
    features = match_features(question, passage)
    expected = np.array(twin_of_tokens(question, passage, []), dtype=np.float64).astype(np.float32)
    np.testing.assert_array_equal(features[:, :4], expected)
    np.testing.assert_array_equal(features[:, 4:], features[:, :4])  # words of one character
    assert features[:, 3].min() == 0


def test_worked_example_of_the_article():
    # Six words, of which the passage begins with one: .125, .11, .10, .09, then 0; distance .83 as long as the window
    # holds it. Three places of the first window are outside the passage and do not count.
    question = ["白云山", "的", "海拔", "是", "多少", "？"]
    passage = ["白云山", "坐落", "在", "广州", "市区", "东北部", "，", "风景", "秀丽"]
    features = match_features(question, passage)
    np.testing.assert_allclose(features[:, 2], [1 / 8, 1 / 9, 1 / 10, 1 / 11, 0, 0, 0, 0, 0], rtol=1e-7)
    np.testing.assert_allclose(features[:, 3], [5 / 6] * 4 + [1] * 5, rtol=1e-7)
    np.testing.assert_array_equal(features[:, 0], [1, 0, 0, 0, 0, 0, 0, 0, 0])


def test_cooccurrence_counts_the_other_passages_over_all():
    # The article: in 4 of the 9 others of 10 passages, 4/10.
    others = [{"北京", "是"}] * 4 + [["首都"]] * 5
    features = match_features(["哪里"], ["北京", "京都", "上海"], others)
    np.testing.assert_array_equal(features[:, 1], np.float32([0.4, 0, 0]))
    np.testing.assert_array_equal(features[:, 5], np.float32([0.4, 0.45, 0]))  # 北 and 京 in 4, 都 in 5


def test_alone_nothing_cooccurs():
    assert not match_features(["谁"], ["谁", "谁"])[:, [1, 5]].any()


def test_whole_question_in_the_passage_is_found_where_it_stands():
    question = ["世界", "最高", "峰", "是"]
    features = match_features(question, ["我们", "说", *question, "珠穆朗玛"])
    assert features[4, 2] == 1
    assert features[4, 3] == 0  # the window of the word at index n // 2
    assert (features[:, 3] == 0).sum() == 1
    assert (features[:, [2, 3, 6, 7]] <= 1).all()


def test_question_text_replaces_the_words_characters_but_for_whitespace():
    words = ["who", "is"], ["is", "he", "who"]
    np.testing.assert_array_equal(match_features(*words, question_text="who \u3000is"), match_features(*words))
    shorter = match_features(*words, question_text="is")
    np.testing.assert_array_equal(shorter[:, 4], np.float32([1, 0, 0]))
    np.testing.assert_array_equal(shorter[:, :4], match_features(*words)[:, :4])


def test_empty_passage():
    assert match_features(["谁"], []).shape == (0, 8)
    np.testing.assert_array_equal(match_features(["谁", "是"], [""]), [[0, 0, 0, 1, 0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], ["a"]), ValueError, "at least one word"),
        (([""], ["a"]), ValueError, "at least one word and character"),
        ((["a"], ["a"], (), " \n"), ValueError, "at least one word and character"),
        (("ab", ["a"]), TypeError, "question_words must be a sequence of words, got the string 'ab'"),
        ((["a"], "ab"), TypeError, "passage_words"),
        ((["a"], ["a"], [["a"], "ab"]), TypeError, r"other_passages\[1\]"),
    ],
)
def test_bad_input_raises(arguments, error, message):
    with pytest.raises(error, match=message):
        match_features(*arguments)


def test_spread_gives_every_character_its_words_row():
    values = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)
    words = [(0, 2), (2, 3), (5, 9)]
    # special token, both characters of word 0, word 1, a gap, one character in three tokens, word 2's last, beyond
    characters = [(0, 0), (0, 1), (1, 2), (2, 3), (3, 4), (5, 6), (5, 6), (5, 6), (8, 9), (9, 10), (0, 0)]
    spread = spread_over_characters(values, words, characters)
    np.testing.assert_array_equal(spread[:, 0], [0, 1, 1, 3, 0, 5, 5, 5, 5, 0, 0])
    np.testing.assert_array_equal(spread[:, 1], [0, 2, 2, 4, 0, 6, 6, 6, 6, 0, 0])
    assert spread.dtype == np.float32
    assert spread_over_characters(np.zeros((0, 8)), [], [(0, 1)]).shape == (1, 8)
    assert spread_over_characters(values, words, []).shape == (0, 2)


def test_spread_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="2 words"):
        spread_over_characters(np.zeros((3, 8)), [(0, 1), (1, 2)], [(0, 1)])
    with pytest.raises(ValueError, match="free of overlaps"):
        spread_over_characters(np.zeros((2, 8)), [(0, 2), (1, 3)], [(0, 1)])

"""The prior of known triples against plain search, and its way through the tokenizer's files."""

import json
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_kexue.dgcnn import DGCNNTokenizer, TriplePrior
from hf_kexue.dgcnn.prior_dgcnn import fingerprinted

KNOWN = [("居里夫人", 0, "镭"), ("居里夫人", 1, "居里"), ("Radium", 0, "镭"), ("镭", 2, "镭"), ("居里夫人", 0, "镭")]
TEXT = "居里夫人发现镭，镭即RADIUM。"


def spans_by_search(triples, text):
    """Every pair of places of both mentions, by a regular expression; no Latin word or number is cut."""

    def places(mention):
        before, after = ("(?<![a-z0-9])", "(?![a-z0-9])")
        low = mention.lower()
        pattern = f"{before if low[0].isascii() and low[0].isalnum() else ''}(?=({re.escape(low)}"
        pattern += f"{after if low[-1].isascii() and low[-1].isalnum() else ''}))"
        return [match.span(1) for match in re.finditer(pattern, text.lower())]

    return sorted({(*s, p, *o) for subject, p, found in triples for s in places(subject) for o in places(found)})


@pytest.mark.parametrize("known", [KNOWN, fingerprinted(KNOWN)])
def test_spans_by_hand(known):
    prior = TriplePrior(known, 3)
    assert prior.spans(TEXT) == [
        (0, 4, 0, 6, 7), (0, 4, 0, 8, 9), (0, 4, 1, 0, 2), (6, 7, 2, 6, 7), (6, 7, 2, 8, 9), (8, 9, 2, 6, 7),
        (8, 9, 2, 8, 9), (10, 16, 0, 6, 7), (10, 16, 0, 8, 9),
    ]  # fmt: skip
    assert prior.spans("居里夫人") == [(0, 4, 1, 0, 2)]
    assert prior.spans("") == []
    assert TriplePrior([("ab", 0, "ab"), ("abc", 0, "c")], 1).spans("ab") == [(0, 2, 0, 0, 2)], "the text ends first"
    assert prior.spans("发现ＲａＤＩＵＭ与镭")[:1] == [(2, 8, 0, 9, 10)]  # full width is half width


def test_the_own_triples_of_a_sample_do_not_count():
    prior = TriplePrior(KNOWN, 3)
    of_predicate_0 = [span for span in prior.spans(TEXT) if span[2] == 0 and span[0] == 0]
    once, twice = [("居里夫人", 0, "镭")], [("居里夫人", 0, "镭")] * 2
    assert of_predicate_0 == [s for s in prior.spans(TEXT, once) if s[2] == 0 and s[0] == 0], "another supports it"
    assert not [span for span in prior.spans(TEXT, twice) if span[2] == 0 and span[0] == 0]
    assert not [span for span in prior.spans(TEXT, [("RADIUM", 0, "镭")]) if span[0] == 10]
    assert prior.spans(TEXT, [("镭", 0, "镭"), ("甲", 0, "乙")]) == prior.spans(TEXT)


MENTIONS = st.text("abABc ", min_size=1, max_size=3)
TRIPLES = st.lists(st.tuples(MENTIONS, st.integers(0, 2), MENTIONS), max_size=8)


def low(triples):
    return Counter((subject.lower(), predicate, found.lower()) for subject, predicate, found in triples)


@given(TRIPLES, st.text("abABc ", max_size=12))
def test_spans_against_search(triples, text):
    prior = TriplePrior(triples, 3)
    assert prior.spans(text) == spans_by_search(triples, text)
    own = triples[: len(triples) // 2]
    assert prior.spans(text, own) == spans_by_search(low(triples) - low(own), text)
    assert prior.spans(text, triples) == []
    assert TriplePrior(fingerprinted(triples), 3).spans(text) == prior.spans(text)


@given(TRIPLES, st.text("abABc ", max_size=12))
def test_the_nearest_places_against_all(triples, text):
    spans = TriplePrior(triples, 3).spans(text)
    found = TriplePrior(triples, 3).nearest(text)
    words = {(text[a:b].lower(), p, text[c:d].lower()) for a, b, p, c, d in spans}
    assert sorted(words) == sorted((text[a:b].lower(), p, text[c:d].lower()) for (a, b), p, (c, d) in found)
    for (a, b), p, (c, d) in found:
        same = [
            s for s in spans if low([(text[a:b], p, text[c:d])]) == low([(text[s[0] : s[1]], s[2], text[s[3] : s[4]])])
        ]
        assert (abs(a - c), a, c) == min((abs(s[0] - s[3]), s[0], s[3]) for s in same)


def test_the_nearest_places_leave_out_what_the_sample_says():
    prior = TriplePrior(KNOWN, 3)
    assert ((10, 16), 0, (8, 9)) in prior.nearest(TEXT)
    assert ((10, 16), 0, (8, 9)) not in prior.nearest(TEXT, [("Radium", 0, "镭")])


@given(TRIPLES, st.text("abABc ", max_size=12))
def test_features_mark_the_ends_of_spans(triples, text):
    """Tokens are the characters that are no space, with two of padding, as the tokenizer makes them."""
    tokens = [i for i, character in enumerate(text) if character != " "]
    offsets = [(i, i + 1) for i in tokens] + [(0, 0)] * 2
    expected = np.zeros((len(offsets), 8), dtype=np.float32)
    for s0, s1, p, o0, o1 in spans_by_search(triples, text):
        for start, end, column, width in ((s0, s1, 0, 1), (o0, o1, 2 + p, 3)):
            inside = [row for row, i in enumerate(tokens) if start <= i < end]
            if inside:
                expected[inside[0], column] = expected[inside[-1], column + width] = 1
    for known in (triples, fingerprinted(triples)):
        features = TriplePrior(known, 3).features(text, offsets)
        assert features.dtype == np.float32
        np.testing.assert_array_equal(features, expected)


def test_features_of_tokens_of_several_characters_and_none():
    """The mention lies inside its tokens; offsets that are no text stand anywhere."""
    prior = TriplePrior([("b", 1, "丙丁")], 2)
    found = prior.features("甲b丙丁戊", [(0, 0), (0, 2), (2, 3), (3, 5), (0, 0)])
    assert np.argwhere(found).tolist() == [[1, 0], [1, 1], [2, 3], [3, 5]]
    assert prior.features("甲b丙丁戊", np.zeros((0, 2), dtype=int)).shape == (0, 6)
    assert not prior.features("甲b丙丁戊", [(0, 2)], exclude=[("B", 1, "丙丁")]).any()


ODD = [("a\nb", 0, "\u2028"), (' "\\', 1, "𠮷"), ("a\nb", 0, "\u2028")]


@pytest.mark.parametrize("known", [ODD, fingerprinted(KNOWN)[:3]])
def test_the_tokenizer_keeps_it(known, tmp_path):
    tokenizer = DGCNNTokenizer(triple_prior=known)
    tokenizer.save_pretrained(tmp_path)
    again = DGCNNTokenizer.from_pretrained(tmp_path)
    assert again.triple_prior == tokenizer.triple_prior == known
    assert len((tmp_path / "triple_prior.txt").read_bytes().split(b"\n")) == 4
    again.save_pretrained(tmp_path / "copy")
    assert DGCNNTokenizer.from_pretrained(tmp_path / "copy").triple_prior == known

    DGCNNTokenizer().save_pretrained(tmp_path)  # leaves the file, which is not its own
    assert (tmp_path / "triple_prior.txt").is_file()
    assert DGCNNTokenizer.from_pretrained(tmp_path).triple_prior is None
    assert DGCNNTokenizer(triple_prior_file=tmp_path / "triple_prior.txt").triple_prior == known


def test_its_file_must_fit(tmp_path):
    DGCNNTokenizer(triple_prior=ODD).save_pretrained(tmp_path)
    path = tmp_path / "triple_prior.txt"
    lines = path.read_text(encoding="utf-8").split("\n")
    path.write_text("\n".join(lines[1:]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"triple_prior\.txt .*3 .*2"):
        DGCNNTokenizer.from_pretrained(tmp_path)
    for line, message in (("{", "cannot be read"), (json.dumps(["a", "b", "c"]), "number of a predicate, got 'b'")):
        path.write_text("\n".join([line, *lines[1:]]), encoding="utf-8")
        with pytest.raises(ValueError, match=rf"triple_prior\.txt .*{message}"):
            DGCNNTokenizer.from_pretrained(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match=r"triple_prior\.txt .*3 .*missing"):
        DGCNNTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("triples", "error", "message"),
    [
        ("abc", TypeError, "must be a list of triples, got str"),
        ([("a", 0)], TypeError, r"Triple 0 \(from 0\) of the prior must be \(subject, number"),
        (["abc"], TypeError, "got 'abc'"),
        ([("a", 0, "b"), (3, 0, "b")], TypeError, r"A mention of triple 1 \(from 0\) of the prior must be a string"),
        ([("a", 0, "")], ValueError, "has an empty mention"),
        ([("a", 0, "\ud800")], ValueError, "surrogate"),
        ([("a", True, "b")], TypeError, "number of a predicate, got True"),
        ([("a", -1, "b")], ValueError, "predicate -1, which must be below 2"),
        ([("a", 2, "b")], ValueError, "predicate 2, which must be below 2, the number of predicates"),
        ([(5, 0, "b")], ValueError, r"Triple 0 \(from 0\) of the prior must have fingerprints below 2 \*\* 52"),
        ([(5, 0, 5), ("a", 0, "b")], ValueError, "Triple 1 .* as the first one"),
        ([(5, 0, 2**52)], ValueError, "must have fingerprints"),
        ([(5, 0, True)], ValueError, "must have fingerprints"),
    ],
)
def test_what_is_refused(triples, error, message):
    with pytest.raises(error, match=message):
        TriplePrior(triples, 2)
    if "below 2" not in message:
        with pytest.raises(error, match=message):
            DGCNNTokenizer(triple_prior=triples)


def test_offsets_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(tokens, 2\), got \(3,\)"):
        TriplePrior(KNOWN, 3).features(TEXT, [0, 1, 2])

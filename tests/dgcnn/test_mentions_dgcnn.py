"""Fingerprints of mentions against whole numbers of Python, and what they must not do: collide, show their words."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_kexue.dgcnn.mentions_dgcnn import BASE, MIXER, KnownFingerprints, KnownWords, fingerprint


def twin(mention):
    """The definition, in whole numbers without a limit."""
    value = 0
    for character in mention.lower():
        value = value * int(BASE) + ord(character)
    value %= 2**64
    value = (value ^ value >> 31) * int(MIXER) % 2**64
    value = (value ^ value >> 29) * int(BASE) % 2**64
    return (value >> 20) * 256 + len(mention)


@given(st.text("abAB居里夫人𠮷\0", min_size=1, max_size=20))
def test_fingerprints_are_those_of_the_definition(mention):
    assert fingerprint(mention) == twin(mention) < 2**52
    assert fingerprint(fingerprint(mention)) == fingerprint(mention)


def test_the_fingerprints_of_saved_models_stay():
    assert fingerprint("居里夫人") == 1996902547236868
    assert fingerprint("ＲａＤＩＵＭ") == fingerprint("radium")


def test_fingerprints_tell_mentions_apart_and_spread_over_all_bits():
    characters = [chr(code) for code in range(0x4E00, 0x4E00 + 250)]
    prints = np.array([fingerprint(a + b) for a, b in product(characters, characters)])
    assert len(np.unique(prints)) == len(prints)
    bits = prints[:, None] >> np.arange(8, 52) & 1
    # 62,500 fair coins: a share beyond 0.49 to 0.51 would be 5 standard deviations off.
    np.testing.assert_allclose(bits.mean(axis=0), 0.5, atol=0.01)
    together = np.abs(np.corrcoef(bits.T) - np.eye(44))
    assert together.max() < 0.03


@given(st.lists(st.text("abA ", min_size=1, max_size=3), max_size=6), st.text("abA ", max_size=12))
def test_both_ways_of_knowing_find_the_same_places(mentions, text):
    words, prints = (known(map(known.key, mentions)).places(text) for known in (KnownWords, KnownFingerprints))
    assert {fingerprint(mention): places for mention, places in words.items()} == prints


@pytest.mark.parametrize("mention", ["", "a" * 256])
def test_a_mention_without_a_fingerprint_raises(mention):
    with pytest.raises(ValueError, match=f"255 .*{len(mention)}"):
        fingerprint(mention)


@pytest.mark.parametrize(
    ("mention", "text", "places"),
    [
        ("10", "2010年共有10人，１０人，101", [(7, 9), (11, 13)]),
        ("ai", "MAINZ的AI，AI2与ai", [(6, 8), (13, 15)]),
        ("a股", "在a股，ba股，a股b", [(1, 3), (8, 10)]),
    ],
)
def test_no_mention_within_a_longer_number_or_word(mention, text, places):
    for known in (KnownWords, KnownFingerprints):
        assert known([known.key(mention)]).places(text) == {known.key(mention): places}

"""Where known mentions stand in a text: mentions given as words, or as fingerprints that nobody can read.

Upper and lower case are the same, and so are full and half width. A mention that begins or ends with an ASCII letter
or digit is no part of a longer run of them: AI is not in MAINZ.

- Words are looked up at every place and of every length that a known mention with the same first two characters has.
  That gives what an Aho-Corasick automaton gives, in time that grows with the text, and needs no library.
- A fingerprint is a whole number of 52 bits: 44 of a hash of the mention, and 8 of its length. All pieces of a text
  that are as long as a known mention are hashed at once.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Mention = str | int  # its words, or their fingerprint
Place = tuple[int, int]  # half-open character offsets
LONGEST = 255  # characters of a mention with a fingerprint
BASE, MIXER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)  # odd, and of many bits
INVERSE = np.uint64(pow(int(BASE), -1, 2**64))


class _Folding(dict[int, int]):
    """For `str.translate`: a character in NFKC and lower case where that is one character, else as it is. So the
    offsets stay."""

    def __missing__(self, code: int) -> int:
        folded = unicodedata.normalize("NFKC", chr(code)).lower()
        self[code] = ord(folded) if len(folded) == 1 else code
        return self[code]


FOLDING = _Folding()


class KnownWords:
    """Known mentions as words.

    Args:
        mentions: each as `key` returns it.
    """

    def __init__(self, mentions: Iterable[Mention]) -> None:
        self._mentions = set(map(str, mentions))
        lengths: defaultdict[str, set[int]] = defaultdict(set)
        for mention in self._mentions:
            lengths[mention[:2]].add(len(mention))
        self._lengths = {beginning: sorted(sizes) for beginning, sizes in lengths.items()}

    @staticmethod
    def key(mention: Mention) -> Mention:
        """What stands for a mention here."""
        return str(mention).translate(FOLDING)

    def places(self, text: str) -> dict[Mention, list[Place]]:
        """Where each known mention stands in a text; those that do not are left out."""
        text = text.translate(FOLDING)
        found: dict[Mention, list[Place]] = {}
        for start in range(len(text)):
            # A mention of one character begins with itself, all others with two.
            for beginning in (text[start], text[start : start + 2])[: len(text) - start]:
                for length in self._lengths.get(beginning, ()):
                    mention = text[start : start + length]
                    complete = len(mention) == length and is_whole(text, start, start + length)
                    if complete and mention in self._mentions:
                        found.setdefault(mention, []).append((start, start + length))
        return found


class KnownFingerprints:
    """Known mentions as fingerprints; otherwise as `KnownWords`."""

    def __init__(self, mentions: Iterable[Mention]) -> None:
        self._mentions = np.unique(np.array(list(mentions), dtype=np.int64))
        self._lengths = np.unique(self._mentions & LONGEST)

    @staticmethod
    def key(mention: Mention) -> Mention:
        """What stands for a mention here."""
        return fingerprint(mention)

    def places(self, text: str) -> dict[Mention, list[Place]]:
        """Where each known mention stands in a text; those that do not are left out."""
        found: dict[Mention, list[Place]] = {}
        folded = text.translate(FOLDING)
        prints = _fingerprints(text, self._lengths)
        nearest = np.searchsorted(self._mentions, prints).clip(max=len(self._mentions) - 1)
        for row, start in np.argwhere((self._mentions[nearest] == prints) & (prints > 0)).tolist():
            place = (start, start + int(self._lengths[row]))
            if is_whole(folded, *place):
                found.setdefault(int(prints[row, start]), []).append(place)
        return found


def is_whole(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` neither begins nor ends within a run of ASCII letters and digits."""
    cuts = [text[cut - 1 : cut + 1] for cut in (start, end) if 0 < cut < len(text)]
    return not any(pair.isascii() and pair.isalnum() for pair in cuts)


def fingerprint(mention: Mention) -> int:
    """A whole number below 2 ** 52 that stands for a mention. The words are not in it; whoever tries some can tell
    whether they are meant.

    Args:
        mention: words, 1 to 255 characters. A fingerprint stays as it is.

    Raises:
        ValueError: for a mention of another length.
    """
    if isinstance(mention, int):
        return mention
    if not 0 < len(mention) <= LONGEST:
        raise ValueError(f"A mention with a fingerprint has 1 to {LONGEST} characters; this one has {len(mention)}.")
    return int(_fingerprints(mention, np.array([len(mention)]))[0, 0])


def _fingerprints(text: str, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """(K, L): of the pieces of a text that have one of K lengths and begin at one of L characters; 0 where a piece
    would end beyond the text. With sums of characters over powers of BASE, modulo 2 ** 64, all at once."""
    folded = text.translate(FOLDING).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(folded, dtype=np.uint32).astype(np.uint64)
    powers = np.cumprod(np.full(len(codes) + 1, BASE)) * INVERSE  # BASE ** 0, 1, ...
    shrinking = np.cumprod(np.full(len(codes), INVERSE))
    sums = np.concatenate([[np.uint64(0)], np.cumsum(codes * shrinking)])
    starts = np.arange(len(codes))
    ends = starts + lengths[:, None]
    inside = ends <= len(codes)
    ends = np.where(inside, ends, 0)
    value = (sums[ends] - sums[starts]) * powers[ends]
    value = (value ^ (value >> np.uint64(31))) * MIXER
    value = (value ^ (value >> np.uint64(29))) * BASE
    prints = (value >> np.uint64(20) << np.uint64(8)).astype(np.int64) | lengths[:, None]
    return np.where(inside, prints, 0)

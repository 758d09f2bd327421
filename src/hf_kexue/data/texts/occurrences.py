"""Find an answer or a mention in a text, ignoring case and width.

find_occurrences("cnn", "空洞CNN与ｃｎｎ")                # [(2, 5), (6, 9)]
find_occurrences("10", "2010年共有10人参加")             # [(7, 9)]: not within a longer number or Latin word
"""

from __future__ import annotations

import unicodedata


class _Folding(dict[int, str]):
    """Code point -> its NFKC form in lower case, or itself if that is not one character."""

    def __missing__(self, code: int) -> str:
        folded = unicodedata.normalize("NFKC", chr(code)).lower()
        self[code] = folded if len(folded) == 1 else chr(code)
        return self[code]


_FOLDING = _Folding()


def find_occurrences(answer: str, passage: str) -> list[tuple[int, int]]:
    """All occurrences of an answer in a passage, overlapping ones too.

    Case and width are ignored: characters are compared in their NFKC form in lower case, if that is one character. An
    answer that begins or ends with an ASCII letter or digit does not match inside a longer run of them: 10 is not in
    2010, nor AI in MAINZ.

    Args:
        answer: what to look for; an empty one has no occurrence.
        passage: where to look.

    Returns:
        Half-open character offsets [start, end) into `passage`, in order.

    Source: all exact matches of the answer in a passage are labelled, kexue.fm/archives/5409.
    """
    answer, passage = answer.translate(_FOLDING), passage.translate(_FOLDING)
    places = []
    start = passage.find(answer) if answer else -1
    while start >= 0:
        if is_whole(passage, start, start + len(answer)):
            places.append((start, start + len(answer)))
        start = passage.find(answer, start + 1)
    return places


def is_whole(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` neither begins nor ends within a run of ASCII letters and digits."""
    cuts = [text[cut - 1 : cut + 1] for cut in (start, end) if 0 < cut < len(text)]
    return not any(pair.isascii() and pair.isalnum() for pair in cuts)

"""Augmentation: replace the mentions of a triple by those of another triple with the same predicate.

    swap_mentions(example, example.triples[0], Triple("空城未央", "作者", "夙言以信"))

Source: kexue.fm/archives/6671.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .reading import Triple, TripleExample, find_mentions


def swap_mentions(example: TripleExample, old: Triple, new: Triple) -> TripleExample:
    """Replace the mentions of one triple by those of another.

    Args:
        example: whose text holds the mentions of `old`.
        old: one of its triples.
        new: another of the same predicate.

    Returns:
        The text with each occurrence of the subject and object of `old` replaced, the longer one first, and the other
        triples rewritten likewise. The unchanged example if a mention would no longer occur in the text, or both
        mentions of `old` are equal.

    Source: kexue.fm/archives/6671.
    """
    if find_mentions(old.subject, old.object) == [(0, len(old.object))]:
        return example
    pairs = [(old.subject, new.subject), (old.object, new.object)]
    text = _rewritten(example.text, pairs)
    triples = [
        replace(triple, subject=_rewritten(triple.subject, pairs), object=_rewritten(triple.object, pairs))
        for triple in example.triples
    ]
    is_valid = all(find_mentions(mention, text) for triple in triples for mention in (triple.subject, triple.object))
    return replace(example, text=text, triples=triples) if is_valid else example


def _rewritten(text: str, pairs: Sequence[tuple[str, str]]) -> str:
    found = [(start, end, new) for old, new in pairs for start, end in find_mentions(old, text)]
    parts, done = [], 0
    taken: list[tuple[int, int]] = []
    for start, end, _ in sorted(found, key=lambda place: (place[0] - place[1], place[0])):  # the longest first
        if all(end <= first or start >= last for first, last in taken):
            taken.append((start, end))
    for start, end, new in sorted(found):
        if (start, end) in taken:
            parts += [text[done:start], new]
            done = end
    return "".join([*parts, text[done:]])

"""Triples of any number of texts, in the memory of a few hundred."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..dgcnn.checks_dgcnn import check_text, is_blank

TEXTS_AT_ONCE = 256
CHARACTERS_AT_ONCE = 100_000


def extract_each(
    pipeline: Any, lines: Iterable[tuple[int, str]], **settings: Any
) -> Iterator[tuple[int, str, list[dict[str, Any]]]]:
    """The triples of each text, as soon as those of its batch are there.

    Args:
        pipeline: `TripleExtractionPipeline`.
        lines: pairs of a line's number and its text, taken from the iterable as they are needed.
        settings: of a call of the pipeline.

    Yields:
        Number, text and triples, in the order of the lines. A text in which nothing makes a token (white space,
        zero-width characters) has none.

    Raises:
        ValueError: for half a surrogate pair, naming the line; what the pipeline refuses.
    """
    batch: list[tuple[int, str]] = []
    for number, text in lines:
        check_text(text, f"Line {number}")
        batch.append((number, text))
        if len(batch) == TEXTS_AT_ONCE or sum(len(text) for _, text in batch) >= CHARACTERS_AT_ONCE:
            yield from _extract(pipeline, batch, settings)
            batch = []
    yield from _extract(pipeline, batch, settings)


def _extract(
    pipeline: Any, batch: list[tuple[int, str]], settings: dict[str, Any]
) -> Iterator[tuple[int, str, list[dict[str, Any]]]]:
    found = iter(pipeline([text for _, text in batch if not is_blank(text)], progress=False, **settings))
    for number, text in batch:
        yield number, text, [] if is_blank(text) else next(found)


def readable(passages: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Those passages in which something makes a token, which readers ask for."""
    return [(number, text) for number, text in passages if not is_blank(text)]

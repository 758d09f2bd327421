"""Extract triples from a stream of texts, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..dgcnn.checks_dgcnn import check_text, is_blank

TEXTS_AT_ONCE = 256
CHARACTERS_AT_ONCE = 100_000


def extract_each(
    pipeline: Any, lines: Iterable[tuple[int, str]], **settings: Any
) -> Iterator[tuple[int, str, list[dict[str, Any]]]]:
    """Extract triples batch by batch, lazily.

    Args:
        pipeline: `TripleExtractionPipeline`.
        lines: pairs (line number, text), read lazily.
        settings: arguments of the pipeline.

    Yields:
        (number, text, triples) in the order of the lines; no triples for a text without a token (white space,
        zero-width characters).

    Raises:
        ValueError: for a lone surrogate, naming the line, and from the pipeline.
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
    results = iter(pipeline([text for _, text in batch if not is_blank(text)], progress=False, **settings))
    for number, text in batch:
        yield number, text, [] if is_blank(text) else next(results)


def readable(passages: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """The passages that have a token, as readers require."""
    return [(number, text) for number, text in passages if not is_blank(text)]

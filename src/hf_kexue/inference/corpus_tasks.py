"""What `corpus.run_corpus` does with the rows of a corpus: extract triples, or answer questions.

A task holds names and settings alone, so that it travels to worker processes; its pipeline is loaded at first use.
Rows that it cannot take are set aside, each with its reason, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Protocol, cast

from ..data.record_files import field as column_of
from ..data.record_files import text_field
from .extraction import is_blank
from .folder_contents import contents_of
from .kinds import READER, TRIPLES
from .part_files import ANSWER_COLUMNS, TRIPLE_COLUMNS, Columns
from .saved_models import load_pipeline

FAILURES = (ValueError, TypeError, RuntimeError, MemoryError)  # of one row; RuntimeError: memory of a GPU too


class Task(Protocol):
    """Computes the result of each row."""

    @property
    def columns(self) -> Columns:
        """Of the results."""

    def facts(self) -> dict[str, Any]:
        """What decides the results, as JSON: runs with other facts are other runs."""

    def size(self, row: Any) -> int:
        """Characters of a row, 0 for a broken one."""

    def results(self, rows: list[Any]) -> list[Any]:
        """For each row a dictionary, or the exception that says why there is none."""


class _Settings:
    """A task travels without the pipeline that it may have loaded."""

    def __getstate__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(cast(Any, self))}


@dataclass(frozen=True)
class ExtractTask(_Settings):
    """Triples of the text of each row.

    Args:
        model, device, dtype: as of `load_pipeline`.
        column: of the text.
        settings: arguments of the pipeline.
    """

    model: str
    device: str | None = None
    dtype: str | None = None
    column: str = "text"
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> Columns:
        """See `Task`."""
        return TRIPLE_COLUMNS

    def facts(self) -> dict[str, Any]:
        """See `Task`."""
        return {"extract": self.model, "model contents": contents_of(self.model), "dtype": self.dtype,
                "column": self.column, "settings": self.settings}  # fmt: skip

    def size(self, row: Any) -> int:
        """See `Task`."""
        return _characters(row, self.column)

    @cached_property
    def _extract(self) -> Callable[[list[str]], list[Any]]:
        """Texts -> triples. Faults of the model and of the settings are no faults of a row: they are raised here."""
        pipeline = load_pipeline(self.model, TRIPLES, device=self.device, dtype=self.dtype)
        pipeline([], **self.settings)  # computes nothing
        return lambda texts: pipeline(texts, progress=False, **self.settings)

    def results(self, rows: list[Any]) -> list[Any]:
        """See `Task`."""
        found = _attempted(rows, lambda row: {**_id(row), "text": text_field(row, self.column)})
        good = [number for number, row in enumerate(found) if isinstance(row, dict) and not is_blank(row["text"])]
        texts = [found[number]["text"] for number in good]
        triples = split_on_failure(self._extract, texts)
        for row in found:
            if isinstance(row, dict):
                row["triples"] = []
        for number, result in zip(good, triples):
            if isinstance(result, Exception):
                found[number] = result
            else:
                found[number]["triples"] = result
        return found


@dataclass(frozen=True)
class AskTask(_Settings):
    """Answers to the question of each row, from its context or passages, or from a text or collection for all.

    Args:
        model, device, dtype: as of `load_pipeline`.
        context: text for all questions; None: each row has "context" (a string) or "passages" (strings).
        index: folder of a `PassageCollection` instead.
        settings: arguments of the pipeline or of the collection.
    """

    model: str
    device: str | None = None
    dtype: str | None = None
    context: str | None = None
    index: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> Columns:
        """See `Task`."""
        return ANSWER_COLUMNS

    def facts(self) -> dict[str, Any]:
        """See `Task`."""
        return {"ask": self.model, "model contents": contents_of(self.model), "dtype": self.dtype,
                "context": self.context, "index": self.index, "index contents": contents_of(self.index),
                "settings": self.settings}  # fmt: skip

    def size(self, row: Any) -> int:
        """See `Task`."""
        passages = row.get("passages") if isinstance(row, dict) else None
        texts = [text for text in passages if isinstance(text, str)] if isinstance(passages, Sequence) else []
        return _characters(row, "question") + _characters(row, "context") + sum(map(len, texts))

    @cached_property
    def _answer(self) -> Callable[[list[dict[str, Any]]], list[list[dict[str, Any]]]]:
        """Records -> answers. Faults of the model, the collection and the settings are raised here."""
        settings = {**self.settings, "progress": False}
        if self.index is None:
            reader = load_pipeline(self.model, READER, device=self.device, dtype=self.dtype)
            reader([], **settings)  # computes nothing
            return lambda records: list(map(_listed, reader(records, **settings)))
        from ..collections import PassageCollection

        collection = PassageCollection.load(self.index)
        reader = load_pipeline(self.model, READER, device=self.device, dtype=self.dtype)
        collection.ask(reader, [], **settings)
        return lambda records: collection.ask(reader, [record["question"] for record in records], **settings)

    def results(self, rows: list[Any]) -> list[Any]:
        """See `Task`."""
        records = _attempted(rows, self._record)
        good = [number for number, record in enumerate(records) if isinstance(record, dict)]
        answers = split_on_failure(self._answer, [records[number] for number in good])
        for number, result in zip(good, answers):
            row = {**_id(rows[number]), "question": records[number]["question"]}
            records[number] = result if isinstance(result, Exception) else {**row, "answers": result}
        return records

    def _record(self, row: Any) -> dict[str, Any]:
        """What the reader takes."""
        question = text_field(row, "question" if "question" in row or "text" not in row else "text")
        if is_blank(question):
            raise ValueError("the question is empty")
        if self.index is not None:
            return {"question": question}
        if self.context is not None:
            return {"question": question, "context": self.context}
        if "passages" not in row:
            return {"question": question, "context": text_field(row, "context")}
        passages = column_of(row, "passages", list)
        texts = [part.get("passage", part.get("text")) if isinstance(part, dict) else part for part in passages]
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ValueError("passages is not a list of one string or more")
        return {"question": question, "passages": texts}


def split_on_failure(compute: Callable[[list[Any]], list[Any]], items: list[Any]) -> list[Any]:
    """`compute(items)`; where that fails, of halves and halves of them, so that what fails is alone.

    Returns:
        A result for each item, or the exception that it alone raises.
    """
    if not items:
        return []
    try:
        return compute(items)
    except FAILURES as error:
        if len(items) == 1:
            return [error]
    middle = len(items) // 2
    return [*split_on_failure(compute, items[:middle]), *split_on_failure(compute, items[middle:])]


def _attempted(rows: list[Any], read: Callable[[Any], Any]) -> list[Any]:
    """`read` of each row, or the exception that it raises; an exception among the rows stays."""
    found = []
    for row in rows:
        if not isinstance(row, Exception):
            try:
                row = read(row)
            except FAILURES as error:
                row = error
        found.append(row)
    return found


def _id(row: dict[str, Any]) -> dict[str, Any]:
    """The "id" of a row, where it has one."""
    value = row.get("id")
    return {} if value is None else {"id": value if isinstance(value, str | int) else str(value)}


def _characters(row: Any, column: str) -> int:
    value = row.get(column) if isinstance(row, dict) else None
    return len(value) if isinstance(value, str) else 0


def _listed(result: Any) -> list[dict[str, Any]]:
    return result if isinstance(result, list) else [result]

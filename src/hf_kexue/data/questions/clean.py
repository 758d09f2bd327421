"""Remove questions that no reader can learn, and convert examples back to records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..texts.occurrences import find_occurrences
from .reading import QAExample, content_fault


def clean_questions(examples: Iterable[QAExample]) -> Iterator[QAExample]:
    """Drop broken and duplicated questions, and answers that are not in their passage.

    A question that loses all its answers is dropped; one that had none is kept as unanswerable.

    Args:
        examples: of `scan_qa`.
    """
    seen: set[tuple[str, ...]] = set()
    for example in examples:
        key = (example.question, *example.passages)
        if content_fault(example) is not None or key in seen:
            continue
        seen.add(key)
        kept = [
            [
                (answer, start) for answer, start in zip(answers, starts)
                if start >= 0 or find_occurrences(answer, passage)
            ]
            for passage, answers, starts in zip(example.passages, example.answers, example.answer_starts)
        ]  # fmt: skip
        if any(example.answers) and not any(kept):
            continue
        answers = [[answer for answer, _ in pairs] for pairs in kept]
        yield replace(example, answers=answers, answer_starts=[[start for _, start in pairs] for pairs in kept])


def question_record(example: QAExample) -> dict[str, Any]:
    """The record of an example: flat SQuAD with one passage, else the form of many passages."""
    head = {"id": example.id, "question": example.question}
    if len(example.passages) == 1:
        answers = {"text": example.answers[0], "answer_start": example.answer_starts[0]}
        return {**head, "context": example.passages[0], "answers": answers}
    passages = [{"passage": passage, "answer": answers} for passage, answers in zip(example.passages, example.answers)]
    return {**head, "passages": passages}

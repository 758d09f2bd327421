"""Check questions before training on them: broken records, and answers that no model can learn.

    examples, broken = scan_qa("train.jsonl.gz")
    report = check_qa(examples, tokenizer, broken=broken)
    print(report)                            # a table
    report.usable                            # whether the data are fit for training

An answer can be learned if it occurs in its passage and fits into at least one window of tokens. Longer ones than
`max_answer_len` can be learned, but decoding never returns them: they are only counted. The data are usable unless

- a record is broken, a question or passage is empty, or an answer is not at its offset;
- no question has an answer;
- more than 5 % of the questions with answers have none that can be learned: the window is too short, or the answers
  belong to other passages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..data_reports import DataReport
from ..texts.occurrences import find_occurrences
from .reading import QAExample, is_at

MAX_QUESTION = 64
MAX_LOST_SHARE = 0.05

# Name of a finding -> its label in the table and the name of its total; in the order of the table.
FINDINGS = {
    "broken_records": ("broken records", "records"),
    "empty_questions": ("empty questions", "questions"),
    "empty_passages": ("empty passages", "passages"),
    "misplaced_answers": ("answers not at their offset", "answers"),
    "absent_answers": ("answers not in their passage", "answers"),
    "cut_answers": ("answers that no window holds", "answers"),
    "long_answers": ("answers longer than {max_answer_len:g}", "answers"),
    "lost_questions": ("questions without a learnable answer", "answerable"),
    "long_questions": ("questions longer than {max_question}", "questions"),
    "unanswerable_questions": ("unanswerable questions", "questions"),
    "duplicated_questions": ("duplicated questions of a passage", "questions"),
    "repeated_ids": ("repeated ids", "questions"),
    "long_passages": ("passages of several windows", "passages"),
}
FAULTS = ("broken_records", "empty_questions", "empty_passages", "misplaced_answers")


class QAReport(DataReport):
    """Result of `check_qa`.

    Args:
        settings: `max_length`, `stride`, `max_answer_len`, `max_question`, and the `unit` of the windows.
        totals: number of `records`, `questions`, `passages`, `answers`, and of `answerable` questions.
        counts, examples, broken: as of `DataReport`, for each of `FINDINGS`.
    """

    findings = FINDINGS
    faults = FAULTS
    head = (
        "{questions} questions, {passages} passages, {answers} answers; "
        "windows of {max_length} {unit}, stride {stride}"
    )

    @property
    def problems(self) -> list[str]:
        """Why the data are not usable; empty if they are."""
        problems = super().problems
        lost, answerable = self.counts["lost_questions"], self.totals["answerable"]
        if not answerable:
            problems.append("no question has an answer")
        elif lost > MAX_LOST_SHARE * answerable:
            problems.append(f"{lost} of {answerable} answerable questions have no answer that can be learned")
        return problems


def check_qa(
    examples: Iterable[QAExample],
    tokenizer: Callable[..., Any] | None = None,
    max_length: int = 512,
    stride: int = 128,
    max_answer_len: float = 30,
    broken: Sequence[str] = (),
) -> QAReport:
    """Count faults of questions, and answers that a reader with these settings cannot learn.

    Args:
        examples: of `scan_qa`, or of `read_qa`, which raises for broken ones.
        tokenizer: a fast tokenizer of transformers' kind; None counts characters and two special tokens.
        max_length: tokens of a window, question and special tokens counted.
        stride: tokens that two neighbouring windows of a passage share.
        max_answer_len: longest answer of the decoding: a letter or digit of ASCII is 0.5, whitespace 0, others 1.
        broken: messages of `scan_qa`; they are counted, and make the data unusable.

    Raises:
        ValueError: for invalid lengths, or a tokenizer without offsets.

    Source: the measure of answers, kexue.fm/archives/5409.
    """
    if not 0 <= stride < max_length or max_answer_len <= 0:
        raise ValueError(
            "0 <= stride < max_length and 0 < max_answer_len are needed; "
            f"got stride {stride}, max_length {max_length}, max_answer_len {max_answer_len}."
        )
    windows = _Windows(tokenizer, max_length, stride)
    settings = {"unit": windows.unit, "max_length": max_length, "stride": stride, "max_answer_len": max_answer_len}
    totals = dict.fromkeys(("records", "questions", "passages", "answers", "answerable"), 0)
    report = QAReport({**settings, "max_question": MAX_QUESTION}, totals, broken=list(broken))
    seen: set[tuple[str, ...]] = set()
    for example in examples:
        text, name_key = ("question", example.question, *example.passages), ("id", example.id)
        for name, key in (("duplicated_questions", text), ("repeated_ids", name_key)):
            if key in seen:
                report.add(name, example.id)
            seen.add(key)
        _check_question(example, windows, report)
    totals["records"] = totals["questions"] + len(broken)
    for message in broken:
        report.add("broken_records", message.partition(": ")[0])
    return report


def _check_question(example: QAExample, windows: _Windows, report: QAReport) -> None:
    report.totals["questions"] += 1
    if not example.question.strip():
        report.add("empty_questions", example.id)
    length = windows.question_length(example.question)
    if length > MAX_QUESTION:
        report.add("long_questions", example.id)
    findings = []
    for passage, answers, starts in zip(example.passages, example.answers, example.answer_starts):
        report.totals["passages"] += 1
        if not passage.strip():
            report.add("empty_passages", example.id)
        if windows.is_long(passage, length):
            report.add("long_passages", example.id)
        for answer, start in zip(answers, starts):
            if answer_length(answer) > report.settings["max_answer_len"]:
                report.add("long_answers", example.id)
            findings.append(_answer_finding(answer, start, passage, windows, length))
            if findings[-1] is not None:
                report.add(findings[-1], example.id)
    report.totals["answers"] += len(findings)
    if not findings:
        report.add("unanswerable_questions", example.id)
        return
    report.totals["answerable"] += 1
    if None not in findings:
        report.add("lost_questions", example.id)


def _answer_finding(answer: str, start: int, passage: str, windows: _Windows, question_length: int) -> str | None:
    """The finding that keeps an answer from being learned, or None."""
    if not is_at(answer, start, passage):
        return "misplaced_answers"
    places = find_occurrences(answer, passage) if start == -1 else [(start, start + len(answer))]
    if not places:
        return "absent_answers"
    fits = any(windows.holds(passage, question_length, *place) for place in places)
    return None if fits else "cut_answers"


def answer_length(answer: str) -> float:
    """ASCII letters and digits count 0.5, whitespace 0, all others 1. Source: kexue.fm/archives/5409."""
    halves = sum(character.isascii() and character.isalnum() for character in answer)
    return len("".join(answer.split())) - halves / 2


class _Windows:
    """The windows that a fast tokenizer cuts a passage into, with `truncation="only_second"` and a stride."""

    def __init__(self, tokenizer: Any, max_length: int, stride: int) -> None:
        if tokenizer is not None and not getattr(tokenizer, "is_fast", False):
            raise ValueError(f"{type(tokenizer).__name__} has no offsets: use a fast tokenizer.")
        self.tokenizer = tokenizer
        self.unit = "characters" if tokenizer is None else "tokens"
        special = 2 if tokenizer is None else tokenizer.num_special_tokens_to_add(pair=True)
        self.room = max_length - special  # of question and passage
        self.stride = stride
        self._offsets = lru_cache(256)(self._find_offsets)  # neighbouring questions share a passage

    def question_length(self, question: str) -> int:
        return len(self._offsets(question)[0])

    def is_long(self, passage: str, question_length: int) -> bool:
        return len(self._offsets(passage)[0]) > self.room - question_length

    def holds(self, passage: str, question_length: int, start: int, end: int) -> bool:
        """Whether one window holds all tokens of the characters [start, end), at least one."""
        starts, ends = self._offsets(passage)
        first, last = int(np.searchsorted(ends, start, "right")), int(np.searchsorted(starts, end, "left"))
        room = self.room - question_length
        if first >= last or (len(starts) > room and room <= self.stride):
            return False  # no token, or the question leaves no room for a window
        step = room - self.stride
        window_start = (
            first // step * step if len(starts) > room else 0
        )  # of the last window that begins at or before it
        return last <= window_start + room

    def _find_offsets(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """First and last + 1 character of each token: (tokens,) each."""
        if self.tokenizer is None:
            return np.arange(len(text)), np.arange(1, len(text) + 1)
        options = {"add_special_tokens": False, "return_offsets_mapping": True, "verbose": False}
        found = (
            self.tokenizer(text, **options)["offset_mapping"] if text.strip() else []
        )  # some tokenizers refuse blanks
        offsets = np.array(found, dtype=int).reshape(-1, 2)
        return offsets[:, 0], offsets[:, 1]

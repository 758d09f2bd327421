"""Questions with passages and answers: a file, a folder or a Hub id -> validated `QAExample`s.

    examples = read_qa("train.jsonl.gz")                     # or a folder, or a Hub id

Five forms are recognised from their columns:

    flat SQuAD       {"id", "question", "context", "answers": {"text": [...], "answer_start": [...]}}
    nested SQuAD     {"paragraphs": [{"context", "qas": [{"id", "question", "answers": [...]}]}]}
    many passages    {"id", "question", "passages": [{"passage", "answer": "..." or [...]}]}
    WebQA            {"Q_...": {"question", "evidences": {"Q_...#00": {"evidence", "answer": [...]}}}}
    table            columns question, context, answer, and optionally id and answer_start (.csv, .tsv)

`id` is optional. `answers` may be a list of {"text", "answer_start"} in both SQuAD forms. An `answer_start` of -1
means that the answer is not literally in the passage or its position is unknown; an empty string among the answers
means no answer. For file formats see `record_files`.

A broken record raises a `ValueError` with file, place and fault. `scan_qa` and `content_fault` are the two halves of
`read_qa`, for counting faults (`questions.check`) instead of stopping at the first.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..record_files import Located, as_object, field, kind_of, located_records, text_field


@dataclass
class QAExample:
    """A question, its passages, and the answers in each of them.

    Args:
        id: of the record, or its place in the file.
        question: text.
        passages: texts; one of them for SQuAD forms.
        answers: correct answers of each passage; all empty for an unanswerable question.
        answer_starts: offset of the first character of each answer, or -1 if not literal or unknown.
    """

    id: str
    question: str
    passages: list[str]
    answers: list[list[str]]
    answer_starts: list[list[int]]

    def with_texts(self, change: Callable[[str], str]) -> QAExample:
        """A copy with changed question, passages and answers; offsets stay valid.

        Args:
            change: text -> text of the same length, such as `dgcnn.simplified_dgcnn.simplified`.
        """
        return replace(
            self,
            question=change(self.question),
            passages=[change(passage) for passage in self.passages],
            answers=[[change(answer) for answer in answers] for answers in self.answers],
        )


def read_qa(
    source: str | Path,
    split: str = "train",
    config: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> list[QAExample]:
    """Read questions in any of the forms above.

    Args:
        source: a file; a folder, of which `<split>.jsonl` (or .json, or .gz of either) is read; another folder or a
            Hub id, which `datasets` reads.
        split: name of the split; ignored for a file.
        config: configuration of a Hub data set that has several.
        on_error: "skip" drops broken records with one warning that names the first three.

    Returns:
        Examples in file order, with non-empty passages and answers at their offsets.

    Raises:
        FileNotFoundError: if the source does not exist.
        ValueError: for a broken record, and with either `on_error` for a file that is truncated, empty or holds only
            broken records, and an unknown suffix or split.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip'; got {on_error!r}.")
    examples: list[QAExample] = []
    broken: list[str] = []
    for place, result in _examples(source, split, config):
        fault = str(result) if isinstance(result, ValueError) else content_fault(result)
        if fault is None:
            examples.append(result)
        elif on_error == "raise":
            raise ValueError(f"{place}: {fault}.")
        else:
            broken.append(f"{place}: {fault}.")
    if not examples:
        raise ValueError(f"All {len(broken)} records of {source} are broken; the first is {broken[0]}")
    if broken:
        first = " ".join(broken[:3])
        warnings.warn(f"{len(broken)} broken record(s) of {source} left out: {first}", stacklevel=2)
    return examples


def scan_qa(source: str | Path, split: str = "train", config: str | None = None) -> tuple[list[QAExample], list[str]]:
    """Read all records of a known form without checking their content.

    Args:
        source, split, config: as for `read_qa`.

    Returns:
        The examples, which `content_fault` may still reject, and one message for each record of another form.

    Raises:
        FileNotFoundError, ValueError: as `read_qa`, except for broken records.
    """
    found = list(_examples(source, split, config))
    broken = [f"{place}: {fault}." for place, fault in found if isinstance(fault, ValueError)]
    return [example for _, example in found if isinstance(example, QAExample)], broken


def content_fault(example: QAExample) -> str | None:
    """Find an empty question or passage, or an answer that is not at its offset.

    Returns:
        The fault without a full stop, or None.
    """
    if not example.question.strip():
        return "the question is empty"
    for number, passage in enumerate(example.passages):
        name = "the context" if len(example.passages) == 1 else f"passage {number + 1}"
        if not passage.strip():
            return f"{name} is empty"
        for answer, start in zip(example.answers[number], example.answer_starts[number]):
            if start < -1 or start >= len(passage):
                return f"answer_start {start} lies outside {name}, which has {len(passage)} characters"
            if not is_at(answer, start, passage):
                actual = passage[start : start + len(answer)]
                return f"{name} has {_short(actual)} at answer_start {start}, not the answer {_short(answer)}"
    return None


def is_at(answer: str, start: int, passage: str) -> bool:
    """Whether `passage` has `answer` at `start`; always true for -1, an unknown position."""
    return start == -1 or (start >= 0 and passage.startswith(answer, start))


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _examples(source: str | Path, split: str, config: str | None) -> Iterator[Located]:
    """Yield (place, `QAExample` or the `ValueError` of a broken record)."""
    place = None
    for outer, found in located_records(source, split, config):
        for place, record in _flat_records(outer, found):
            try:
                yield place, _example(record, place)
            except ValueError as error:
                yield place, error
    if place is None:
        raise ValueError(f"{source} holds no question.")


def _flat_records(place: str, record: Any) -> Iterator[Located]:
    """The questions of an article of nested SQuAD or of a WebQA file; any other record unchanged."""
    if isinstance(record, dict) and record and all(_is_webqa(value) for value in record.values()):
        for key, value in record.items():
            passages = [
                {"passage": item.get("evidence"), "answer": _webqa_answers(item)}
                for item in value["evidences"].values() if isinstance(item, dict)
            ]  # fmt: skip
            yield f"{place}, {key}", {"id": key, "question": value["question"], "passages": passages}
        return
    if not isinstance(record, dict) or "paragraphs" not in record:
        yield place, record
        return
    paragraphs = record["paragraphs"] if isinstance(record["paragraphs"], list) else [record["paragraphs"]]
    for number, paragraph in enumerate(paragraphs, 1):
        here = f"{place}, paragraph {number}"
        try:
            context, questions = field(as_object(paragraph), "context", str), field(paragraph, "qas", list)
        except ValueError as error:
            yield here, error
            continue
        for count, question in enumerate(questions, 1):
            flat = {**question, "context": context} if isinstance(question, dict) else question
            yield f"{here}, question {count}", flat


def _is_webqa(value: Any) -> bool:
    return isinstance(value, dict) and "question" in value and isinstance(value.get("evidences"), dict)


def _webqa_answers(item: dict[str, Any]) -> Any:
    """The answers without WebQA's placeholder \"no_answer\"."""
    answers = item.get("answer")
    return [answer for answer in answers if answer != "no_answer"] if isinstance(answers, list) else answers


def _example(record: Any, place: str) -> QAExample:
    if isinstance(record, ValueError):
        raise record
    as_object(record)
    question, key = text_field(record, "question"), record.get("id")
    if isinstance(key, bool) or not isinstance(key, str | int | None):
        raise ValueError(f"id is {kind_of(key)}, not a string")
    if "passages" in record:
        found = [_passage(as_object(item)) for item in field(record, "passages", list)]
    elif "context" in record:
        if "answer" in record and "answers" not in record:  # a row of a table: one answer, its place if known
            record = record | {"answers": [_answer_of_row(record)]}
        found = [(text_field(record, "context"), *_squad_answers(record))]
    else:
        raise ValueError(f"there is neither context nor passages; there are {sorted(record)}")
    if not found:
        raise ValueError("passages is an empty list")
    passages, answers, starts = (list(column) for column in zip(*found))
    return QAExample(place if key is None else str(key), question, passages, answers, starts)


def _answer_of_row(record: dict[str, Any]) -> dict[str, Any]:
    start = record.get("answer_start")
    if isinstance(start, str) and start.strip().lstrip("-").isdigit():
        start = int(start)
    return {"text": record["answer"], "answer_start": -1 if start in (None, "") else start}


def _passage(item: dict[str, Any]) -> tuple[str, list[str], list[int]]:
    given = [item["answer"]] if isinstance(item.get("answer"), str) else field(item, "answer", list)
    answers = [text for answer in given if (text := text_field({"answer": answer}, "answer")).strip()]
    return text_field(item, "passage"), answers, [-1] * len(answers)


def _squad_answers(record: dict[str, Any]) -> tuple[list[str], list[int]]:
    given = record.get("answers")
    if isinstance(given, dict):
        texts, starts = field(given, "text", list), field(given, "answer_start", list)
        if len(texts) != len(starts):
            raise ValueError(f"answers has {len(texts)} entries of text and {len(starts)} of answer_start")
        given = [{"text": text, "answer_start": start} for text, start in zip(texts, starts)]
    else:
        given = [as_object(answer) for answer in field(record, "answers", list)]
    kept = [(text, _start(answer)) for answer in given if (text := text_field(answer, "text")).strip()]
    return [text for text, _ in kept], [start for _, start in kept]


def _start(answer: dict[str, Any]) -> int:
    start = answer.get("answer_start")
    if isinstance(start, bool) or not isinstance(start, int):
        raise ValueError(f"answer_start is {kind_of(start)}, not an integer")
    return start

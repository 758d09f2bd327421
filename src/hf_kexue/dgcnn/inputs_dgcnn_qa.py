"""What a user hands to the reading pipeline: records, settings, model and tokenizer; and what is wrong with them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple, TypedDict

from .checks_dgcnn import (
    check_content,
    check_flag,
    check_integer,
    check_text,
    check_vocabularies,
    is_blank,
    is_sequence,
)
from .decoding_dgcnn import vote

DOC_STRIDE = 128
DUPLICATES = ("once", "each")


@dataclass(frozen=True)
class QASettings:
    """Arguments of a call, see `ReadingComprehensionPipeline`; checks itself."""

    top_k: int = 1
    handle_impossible_answer: bool = False
    no_answer_threshold: float = 0.5  # this and the next: the model's own unless a call overrides it
    max_answer_len: float = field(kw_only=True)
    max_seq_len: int = 1024
    doc_stride: int = None  # type: ignore[assignment]  # at most half a window
    vote: str = "article"
    duplicates: str = "once"
    batch_size: int = 16
    simplify: bool = False
    progress: bool | None = None

    def __post_init__(self) -> None:
        check_integer("max_seq_len", self.max_seq_len, 1)
        if self.doc_stride is None:
            object.__setattr__(self, "doc_stride", min(DOC_STRIDE, self.max_seq_len // 2))
        for name, least in (("top_k", 1), ("doc_stride", 0), ("batch_size", 1)):
            check_integer(name, getattr(self, name), least)
        length = self.max_answer_len
        if isinstance(length, bool) or not isinstance(length, int | float):
            raise TypeError(f"max_answer_len must be a number, got {length!r}.")
        if not length > 0:
            raise ValueError(f"max_answer_len must be positive, got {length}.")
        if not 0 < self.no_answer_threshold < 1:
            raise ValueError(f"no_answer_threshold must be in (0, 1), got {self.no_answer_threshold!r}.")
        if self.duplicates not in DUPLICATES:
            raise ValueError(f"duplicates must be one of {', '.join(DUPLICATES)}, got {self.duplicates!r}.")
        if self.doc_stride >= self.max_seq_len:
            raise ValueError(
                f"doc_stride, what neighbouring windows share, must be below max_seq_len, the length of a window; got "
                f"{self.doc_stride} and {self.max_seq_len}."
            )
        for name in ("handle_impossible_answer", "simplify", *(() if self.progress is None else ("progress",))):
            check_flag(name, getattr(self, name))
        vote([], method=self.vote)  # refuses a method that it does not know


class QAOptions(TypedDict, total=False):
    """The fields of `QASettings` as keyword arguments, for editors and type checkers."""

    top_k: int
    handle_impossible_answer: bool
    no_answer_threshold: float
    max_answer_len: float
    max_seq_len: int
    doc_stride: int
    vote: str
    duplicates: str
    batch_size: int
    simplify: bool
    progress: bool | None


class Record(NamedTuple):
    """A question and the texts that may answer it. `is_voted`: they are `passages`, not the one `context`."""

    question: str
    passages: list[str]
    is_voted: bool


def read_records(inputs: Any, question: Any, context: Any, passages: Any) -> tuple[list[Record], bool]:
    """The records of a call.

    Args:
        inputs: None, a mapping with the keys `question` and `context` or `passages` (others are ignored), or an
            iterable of such mappings.
        question: None, a string, or a sequence of strings.
        context: None or a string; with several questions one string for all or a sequence with one for each.
        passages: None or a sequence of strings; with several questions a sequence of those.

    Returns:
        The records, and whether a list of them was given (then a list of results is due).

    Raises:
        TypeError, ValueError: for anything else, for texts without a character, and for half a surrogate pair; naming
            the record where there are several.
    """
    if inputs is not None:
        if question is not None or context is not None or passages is not None:
            raise ValueError("Pass either records or question= with context= or passages=, not both.")
        if isinstance(inputs, Mapping):
            return [_record(inputs, "")], False
        if isinstance(inputs, str | bytes) or not isinstance(inputs, Iterable):
            raise TypeError(
                "A record must be a dictionary with the keys 'question' and 'context' or 'passages', or several of "
                f"them in a list; got {type(inputs).__name__}. Texts go into question=, context= and passages=."
            )
        return list(map(numbered_record, count(), inputs)), True
    given = {"question": question, "context": context, "passages": passages}
    given = {name: value for name, value in given.items() if value is not None}
    if not is_sequence(question):
        return [_record(given, "")], False
    columns = {"question": question}
    for name, values in given.items():
        if name == "context" and isinstance(context, str):
            values = [context] * len(question)
        if not is_sequence(values):
            raise TypeError(f"Several questions need a list of as many in {name}, got {type(values).__name__}.")
        if len(values) != len(question):
            raise ValueError(f"There must be as many {name} as questions, got {len(values)} for {len(question)}.")
        columns[name] = values
    rows = [dict(zip(columns, row)) for row in zip(*columns.values())]
    return list(map(numbered_record, count(), rows)), True


def numbered_record(number: int, fields: Any) -> Record:
    """The record of a mapping that is one of several: its texts may be blank."""
    return _record(fields, f"Record {number} (from 0): ", blank=True)


def check_answers(number: int, record: Any) -> list[str]:
    """The "answers" of a record to calibrate with.

    Raises:
        TypeError, ValueError: naming the record, for anything but a mapping with a list of strings there.
    """
    if not isinstance(record, Mapping):
        raise TypeError(f"Record {number} (from 0): a record must be a dictionary, got {type(record).__name__}.")
    answers = record.get("answers")
    if not isinstance(answers, list | tuple) or not all(isinstance(answer, str) for answer in answers):
        raise ValueError(
            f"Record {number} (from 0): answers must be a list of strings, empty for none; got {answers!r}."
        )
    return list(answers)


def _record(fields: Any, where: str, blank: bool = False) -> Record:
    """The record of a mapping; `where` begins an error. `blank`: whether all of its texts may be."""
    if not isinstance(fields, Mapping):
        raise TypeError(f"{where}a record must be a dictionary, got {type(fields).__name__}.")
    question: Any = fields.get("question")
    context: Any = fields.get("context")
    passages: Any = fields.get("passages")
    if question is None:
        raise ValueError(f"{where}the question is missing; got {', '.join(map(str, fields)) or 'nothing'}.")
    if (context is None) == (passages is None):
        found = "neither" if context is None else "both"
        raise ValueError(f"{where}a question needs one context or a list of passages, got {found}.")
    check_content(question, f"{where}the question")
    if context is not None:
        if is_sequence(context):
            raise TypeError(f"{where}the context must be one string, got a list; a list of texts goes into passages.")
        (check_text if blank else check_content)(context, _capital(f"{where}the context"))
        return Record(question, [context], is_voted=False)
    if not is_sequence(passages):
        raise TypeError(f"{where}the passages must be a list of strings, got {type(passages).__name__}.")
    if not len(passages):
        raise ValueError(f"{where}there must be at least one passage, the list is empty.")
    for number, passage in enumerate(passages):
        check_text(passage, _capital(f"{where}passage {number} (from 0)"))
    if not blank and all(map(is_blank, passages)):
        raise ValueError(f"{where}all {len(passages)} passages are empty or only white space.")
    return Record(question, list(passages), is_voted=True)


def _capital(where: str) -> str:
    return where[0].upper() + where[1:]


def check_fit(model: Any, tokenizer: Any) -> list[str]:
    """The columns of the tokenizer that the model wants.

    Raises:
        TypeError, ValueError: where one is not of the DGCNN family, or the two do not belong together.
    """
    if not hasattr(model, "encode_question"):
        raise TypeError(f"The model must be a DGCNNForQuestionAnswering, got {type(model).__name__}.")
    check_vocabularies(model, tokenizer)
    config = model.config
    if config.num_match_features and not tokenizer.match_features:
        raise ValueError("The model wants match features: make the tokenizer with match_features=True.")
    columns = {"word_input_ids": config.word_vocab_size, "match_features": config.num_match_features}
    return ["input_ids", *(name for name, wanted in columns.items() if wanted)]

"""From questions and texts to answers, whatever scores the windows: torch in `ReadingComprehensionPipeline`,
ONNX Runtime in `onnx.OnnxReader`.

    text       windows of `max_seq_len` characters, neighbours share `doc_stride`; they run in batches, without the
               question, which is encoded once
    window     best spans by start * end, equal strings once                      `decoding_dgcnn.best_spans`
    text       best of its windows
    passages   one vote for each string                                           `decoding_dgcnn.vote`

Words are cut and match features computed over whole texts, before windows are. Of the windows only the best spans
stay in memory; a batch exists at a time. Imports neither torch nor transformers.

Source: kexue.fm/archives/5409 and /6906 (decoding and vote).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, NamedTuple, Unpack

from numpy.typing import NDArray

from .calibration_dgcnn_qa import probability
from .calls_dgcnn import is_stream, stream
from .columns_dgcnn import CHARACTERS_WITH_PROGRESS, Columns
from .decoding_dgcnn import Span, best_per_string, best_spans, no_answer_score, vote
from .inputs_dgcnn_qa import QAOptions, QASettings, Record, numbered_record, read_records
from .simplified_dgcnn import simplified

SPANS_FOR_VOTE = 20  # of each passage: a string gets only the votes of the passages that list it


class Window(NamedTuple):
    """A piece of a passage: `num_new` characters of its text were in no window before."""

    record: int
    passage: int
    question: Columns
    columns: Columns
    offsets: NDArray
    num_new: int


class Reading:
    """Calls, windows and answers. A subclass gives the methods that raise here."""

    def __call__(
        self,
        inputs: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
        *,
        question: str | Sequence[str] | None = None,
        context: str | Sequence[str] | None = None,
        passages: Sequence[str] | Sequence[Sequence[str]] | None = None,
        **settings: Unpack[QAOptions],
    ) -> Any:
        """See the class."""
        chosen = self.chosen_settings({**settings})
        if is_stream(inputs) and question is None and context is None and passages is None:
            return stream(inputs, numbered_record, _size, lambda some: self._results(some, chosen), chosen.batch_size)
        records, is_list = read_records(inputs, question, context, passages)
        results = self._results(records, chosen)
        return results if is_list else results[0]

    def _results(self, records: list[Record], settings: QASettings) -> list[Any]:
        """The result of each record."""
        read = records
        if settings.simplify:
            read = [Record(simplified(r.question), list(map(simplified, r.passages)), r.is_voted) for r in records]
        with self._computing():
            found = self._find_spans(records, read, settings)
        return [self.postprocess(spans, settings, record.is_voted) for spans, record in zip(found, records)]

    def chosen_settings(self, settings: dict[str, Any]) -> QASettings:
        """Those of a call, over those of the constructor, over the model's own; `no_answer_threshold` is of these."""
        raise NotImplementedError

    def preprocess(self, input_: Record, **_: Any) -> tuple[Columns, list[tuple[Columns, NDArray]]]:
        """The columns of a question, and those of its passages with their character offsets, each as a whole."""
        raise NotImplementedError

    @property
    def _line(self) -> Sequence[float] | None:
        """`config.score_calibration`."""
        raise NotImplementedError

    def _score(self, batch: list[Window], questions: dict[int, Any]) -> tuple[NDArray, NDArray]:
        """Start and end of each window, (B, L) float32 in [0, 1]. `questions` keeps what is known of the questions of
        a batch for the next."""
        raise NotImplementedError

    def _computing(self) -> AbstractContextManager[Any]:
        """Entered while models run."""
        raise NotImplementedError

    def _progress(self, total: int, show: bool) -> AbstractContextManager[Any]:
        """A bar of so many characters, with `update(count)`."""
        raise NotImplementedError

    def postprocess(self, model_outputs: list[list[Span]], settings: QASettings, is_voted: bool) -> Any:
        """The result for a question from the spans of each of its passages."""
        every = [span for spans in model_outputs for span in spans]
        nothing = [Span("", no_answer_score(every, settings.no_answer_threshold), 0, 0)]
        answers: list[dict[str, Any]]
        if is_voted:
            voted = vote(model_outputs, settings.vote)
            answers = [_answer(a.text, a.score, a.start, a.end) | {"passage": a.passage} for a in voted]
            nothing_score = vote([nothing], settings.vote)[0].score
        else:
            answers = [_answer(*span) for span in model_outputs[0]]
            nothing_score = nothing[0].score
        extra: dict[str, Any] = {"passage": None} if is_voted else {}
        if self._line is not None and not is_voted:
            extra = {"probability": None}
            for answer in answers:
                answer["probability"] = float(probability(answer["score"], *self._line))
        if settings.handle_impossible_answer:
            answers.append(_answer("", nothing_score, 0, 0) | extra)
            answers.sort(key=lambda answer: -answer["score"])
        elif not answers:
            answers = [_answer("", 0.0, 0, 0) | extra]
        return answers[0] if settings.top_k == 1 else answers[: settings.top_k]

    def _find_spans(self, records: list[Record], read: list[Record], settings: QASettings) -> list[list[list[Span]]]:
        """For each passage of each record its best spans, distinct strings, as many as are needed. `read`: the same
        records as the model reads them, character for character."""
        found: list[list[list[Span]]] = [[[] for _ in record.passages] for record in records]
        keep = [max(settings.top_k, SPANS_FOR_VOTE) if record.is_voted else settings.top_k for record in records]
        sizes = [
            len(record.passages[number])
            for record in records
            for number in numbers_to_read(record.passages, settings.duplicates)
        ]
        show = sum(sizes) >= CHARACTERS_WITH_PROGRESS if settings.progress is None else settings.progress
        questions: dict[int, Any] = {}  # of those in the batch
        windows = self._windows(read, settings)
        with self._progress(sum(sizes), show) as bar:
            while batch := list(islice(windows, settings.batch_size)):
                for window, start, end in zip(batch, *self._score(batch, questions)):
                    size, count = len(window.offsets), keep[window.record]
                    context = records[window.record].passages[window.passage]
                    spans = best_spans(
                        start[:size], end[:size], window.offsets, context, settings.max_answer_len, count,
                        distinct_strings=True,
                    )  # fmt: skip
                    best = found[window.record][window.passage]
                    best[:] = best_per_string([*best, *spans])[:count]
                    bar.update(window.num_new)
        return found

    def _windows(self, records: list[Record], settings: QASettings) -> Iterator[Window]:
        """The windows of all passages; only the passages of one record exist as columns at a time."""
        step = settings.max_seq_len - settings.doc_stride
        by_length = sorted(range(len(records)), key=lambda number: max(map(len, records[number].passages)))
        for record in by_length:  # so that the windows of a batch are of like lengths
            question, passages = self.preprocess(records[record])
            for passage in numbers_to_read(records[record].passages, settings.duplicates):
                columns, offsets = passages[passage]
                seen = 0
                for first in range(0, max(len(offsets) - settings.doc_stride, 1) if len(offsets) else 0, step):
                    piece = slice(first, first + settings.max_seq_len)
                    is_last = piece.stop >= len(offsets)
                    reached = len(records[record].passages[passage]) if is_last else int(offsets[piece][-1, 1])
                    rows = {name: column[piece] for name, column in columns.items()}
                    yield Window(record, passage, question, rows, offsets[piece], reached - seen)
                    seen = reached


def numbers_to_read(passages: Sequence[str], duplicates: str) -> list[int]:
    """Of the passages; with `duplicates="once"` the first of those that differ in white space alone."""
    if duplicates == "each":
        return list(range(len(passages)))
    first: dict[tuple[str, ...], int] = {}
    for number, passage in enumerate(passages):
        first.setdefault(tuple(passage.split()), number)
    return list(first.values())


def _size(record: Record) -> int:
    return sum(map(len, record.passages))


def _answer(text: str, score: float, start: int, end: int) -> dict[str, Any]:
    return {"answer": text, "score": score, "start": start, "end": end}

"""Pipeline that answers questions from one text of any length, or from many passages.

    text       windows of `max_seq_len` characters, neighbours share `doc_stride`; they run in batches, without the
               question, which is encoded once
    window     best spans by start * end, equal strings once                      `decoding_dgcnn.best_spans`
    text       best of its windows
    passages   one vote for each string                                           `decoding_dgcnn.vote`

Words are cut and match features computed over whole texts, before windows are. Of the windows only the best spans
stay in memory; tensors exist for one batch.

Source: kexue.fm/archives/5409 and /6906 (decoding and vote).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import Pipeline
from transformers.utils import logging

from .calls_dgcnn import evaluating, is_stream, stream
from .checks_dgcnn import check_names
from .columns_dgcnn import CHARACTERS_WITH_PROGRESS, Columns, padded
from .decoding_dgcnn import Span, best_per_string, best_spans, no_answer_score, vote
from .inputs_dgcnn_qa import QAOptions, QASettings, Record, check_fit, numbered_record, read_records
from .simplified_dgcnn import simplified

if TYPE_CHECKING:
    from .modeling_dgcnn import DGCNNForQuestionAnswering
    from .tokenization_dgcnn import DGCNNTokenizer

SPANS_FOR_VOTE = 20  # of each passage: a string gets only the votes of the passages that list it


class _Window(NamedTuple):
    """A piece of a passage: `num_new` characters of its text were in no window before."""

    record: int
    passage: int
    question: Columns
    columns: Columns
    offsets: NDArray
    num_new: int


class ReadingComprehensionPipeline(Pipeline):
    """Finds the answer to a question in a text, or in many.

        qa = ReadingComprehensionPipeline(model=model, tokenizer=tokenizer)
        qa(question="谁发现了镭？", context="居里夫妇发现了镭。")
        qa(question="谁发现了镭？", passages=["居里夫妇发现了镭。", "镭由居里夫人发现。"], top_k=3)
        qa([{"question": "谁发现了镭？", "context": "居里夫妇发现了镭。"}])

    One question goes in as `question` with `context` (a string) or `passages` (a list of strings), or as a dictionary
    with these keys; several as lists of equal length in these arguments (one `context` may serve all questions), or
    as a list of dictionaries. An iterator of them, or a data set of torch such as transformers' `KeyDataset`, is read
    lazily and gives its results as they are computed. Settings of a call may be given to the constructor too.

    Args:
        model: `DGCNNForQuestionAnswering`.
        tokenizer: `DGCNNTokenizer`, the one the model was trained with.
        top_k: answers for each question, distinct strings. Fewer only where the texts hold fewer.
        handle_impossible_answer: let "no answer" compete with score 1 - best span score, so that it wins where every
            span is below 0.5. Against voted answers it counts like the vote of one passage.
        max_answer_len: in the article's unit: an ASCII letter or digit is 0.5, whitespace 0, another character 1. The
            model's own (`config.max_answer_len`) by default.
        max_seq_len: tokens of a window, all of them of the passage: the question is not in the row. A model that
            learned from windows with an answer chooses better within one than between two.
        doc_stride: tokens that neighbouring windows share; by default 128, or half a window where that is less.
        vote: how passages are put together, see `decoding_dgcnn.vote`: "article", "squares" or "best".
        batch_size: windows that run together, of one question or of several.
        simplify: read traditional characters as simplified ones, with the package opencc; answers and places are
            those of the text that was given.
        progress: show a bar; None: with 50,000 characters or more.

    Returns:
        For one question, with `top_k=1` a dictionary, with a larger one a list of at least one and at most `top_k` of
        them, best first; for several questions a list of these, in their order. Keys:

            answer    string; `context[start:end] == answer`, in the string that was given. "" for no answer, which
                      is also what remains, with score 0, where no span is short enough
            score     of a context p_start * p_end, in [0, 1]; of passages that of the vote, where one passage with
                      p_start * p_end = s gives s**2 / (1 + s)
            start     first character; 0 for no answer
            end       one past the last character; 0 for no answer
            passage   with `passages` only: which of them `start` and `end` refer to, the one with the best span
                      among those that hold the string; None for no answer

    Raises:
        TypeError, ValueError: for texts of another type, without a character or with half a surrogate pair, lists of
            different lengths, both or neither of `context` and `passages`, settings out of range; and at construction
            for a model and a tokenizer that do not fit. Nothing has been computed then.

    Source: kexue.fm/archives/5409, section on decoding.
    """

    _load_tokenizer = True
    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False

    def __init__(
        self, model: "DGCNNForQuestionAnswering", tokenizer: "DGCNNTokenizer | None" = None, **kwargs: Any
    ) -> None:
        super().__init__(model, tokenizer, **kwargs)
        self._columns = check_fit(self.model, self.tokenizer)
        self._settings({})

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
        chosen = self._settings({**settings})
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
        with evaluating(self.model):
            found = self._find_spans(records, read, settings)
        return [self.postprocess(spans, settings, record.is_voted) for spans, record in zip(found, records)]

    def _settings(self, settings: dict[str, Any]) -> QASettings:
        """Those of a call, over those of the constructor, over the model's own."""
        self._sanitize_parameters(**settings)
        own = {"max_answer_len": self.model.config.max_answer_len}
        own |= {} if self._batch_size is None else {"batch_size": self._batch_size}
        return QASettings(**{**own, **self._preprocess_params, **settings})

    def _sanitize_parameters(self, **settings: Any) -> tuple[dict, dict, dict]:
        check_names(settings, [field.name for field in fields(QASettings)])
        return settings, {}, {}

    def preprocess(self, input_: Record, **_: Any) -> tuple[Columns, list[tuple[Columns, NDArray]]]:
        """The columns of a question, and those of its passages with their character offsets, each as a whole."""
        count = len(input_.passages)
        encoded = self.tokenizer(
            [input_.question] * count,
            input_.passages,
            truncation=False,
            padding=False,
            return_offsets_mapping=True,
            verbose=False,  # long texts are fine
            **({"passage_groups": [0] * count} if "match_features" in self._columns else {}),
        )
        size = encoded["token_type_ids"][0].count(0)  # the question and its separator come first
        passages = []
        for row in range(count):
            columns = {name: np.asarray(encoded[name][row][size:]) for name in self._columns}
            offsets = np.array(encoded["offset_mapping"][row][size:], dtype=np.int64).reshape(-1, 2)
            passages.append((columns, offsets))
        of_question = [name for name in self._columns if name != "match_features"]
        return {name: np.asarray(encoded[name][0][:size]) for name in of_question}, passages

    def _forward(self, input_tensors: dict[str, Tensor], **_: Any) -> dict[str, Tensor]:
        """A batch of windows; start and end, (B, L) float32 in [0, 1]."""
        start, end = self.model.span_probabilities(self.model(**input_tensors))
        return {"start": start, "end": end}

    def postprocess(self, model_outputs: list[list[Span]], settings: QASettings, is_voted: bool) -> Any:
        """The result for a question from the spans of each of its passages."""
        nothing = [Span("", no_answer_score([span for spans in model_outputs for span in spans]), 0, 0)]
        answers: list[dict[str, Any]]
        if is_voted:
            voted = vote(model_outputs, settings.vote)
            answers = [_answer(a.text, a.score, a.start, a.end) | {"passage": a.passage} for a in voted]
            nothing_score = vote([nothing], settings.vote)[0].score
        else:
            answers = [_answer(*span) for span in model_outputs[0]]
            nothing_score = nothing[0].score
        extra = {"passage": None} if is_voted else {}
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
        sizes = [len(passage) for record in records for passage in record.passages]
        show = sum(sizes) >= CHARACTERS_WITH_PROGRESS if settings.progress is None else settings.progress
        questions: dict[int, tuple[Tensor, Tensor]] = {}  # of those in the batch
        windows = self._windows(read, settings)
        with logging.tqdm(total=sum(sizes), disable=not show, unit=" characters", unit_scale=True) as bar:
            while batch := list(islice(windows, settings.batch_size)):
                scores = self._score(batch, questions)
                for window, start, end in zip(batch, scores["start"].numpy(), scores["end"].numpy()):
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

    def _windows(self, records: list[Record], settings: QASettings) -> Iterator[_Window]:
        """The windows of all passages; only the passages of one record exist as columns at a time."""
        step = settings.max_seq_len - settings.doc_stride
        by_length = sorted(range(len(records)), key=lambda number: max(map(len, records[number].passages)))
        for record in by_length:  # so that the windows of a batch are of like lengths
            question, passages = self.preprocess(records[record])
            for passage, (columns, offsets) in enumerate(passages):
                seen = 0
                for first in range(0, max(len(offsets) - settings.doc_stride, 1) if len(offsets) else 0, step):
                    piece = slice(first, first + settings.max_seq_len)
                    is_last = piece.stop >= len(offsets)
                    reached = len(records[record].passages[passage]) if is_last else int(offsets[piece][-1, 1])
                    rows = {name: column[piece] for name, column in columns.items()}
                    yield _Window(record, passage, question, rows, offsets[piece], reached - seen)
                    seen = reached

    def _score(self, batch: list[_Window], questions: dict[int, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """Start and end of each window on the CPU. `questions` keeps the encoded questions from batch to batch."""
        wanted = {window.record: window.question for window in batch}
        for number in questions.keys() - wanted.keys():
            del questions[number]
        new = [number for number in wanted if number not in questions]
        if new:
            columns = self._ensure_tensor_on_device(padded([wanted[number] for number in new]), self.device)
            with self.device_placement(), torch.no_grad():
                questions.update(zip(new, zip(*self.model.encode_question(**columns))))
        states, masks = zip(*(questions[window.record] for window in batch))
        inputs = padded([window.columns for window in batch])
        inputs["question_states"] = pad_sequence(list(states), batch_first=True)
        inputs["question_mask"] = pad_sequence(list(masks), batch_first=True)
        return self.forward(inputs)


def _size(record: Record) -> int:
    return sum(map(len, record.passages))


def _answer(text: str, score: float, start: int, end: int) -> dict[str, Any]:
    return {"answer": text, "score": score, "start": start, "end": end}

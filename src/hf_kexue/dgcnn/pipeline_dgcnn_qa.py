"""Pipeline that answers questions from one text of any length, or from many passages: `reading_dgcnn_qa` with the
model in torch.

Source: kexue.fm/archives/5409 and /6906 (decoding and vote).
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import Pipeline
from transformers.utils import logging

from .calibration_dgcnn_qa import Calibration, calibration, is_right
from .calls_dgcnn import evaluating
from .checks_dgcnn import check_names
from .columns_dgcnn import Columns, padded
from .inputs_dgcnn_qa import QASettings, Record, check_answers, check_fit
from .reading_dgcnn_qa import Reading, Window

if TYPE_CHECKING:
    from .modeling_dgcnn import DGCNNForQuestionAnswering
    from .tokenization_dgcnn import DGCNNTokenizer


class ReadingComprehensionPipeline(Reading, Pipeline):
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
        handle_impossible_answer: let "no answer" compete, so that it wins where every span is below
            `no_answer_threshold`, see `decoding_dgcnn.no_answer_score`. Against voted answers it counts like the vote
            of one passage.
        no_answer_threshold: in (0, 1); the model's own (`config.no_answer_threshold`, 0.5 unless `calibrate` fitted
            another) by default.
        max_answer_len: in the article's unit: an ASCII letter or digit is 0.5, whitespace 0, another character 1. The
            model's own (`config.max_answer_len`) by default.
        max_seq_len: tokens of a window, all of them of the passage: the question is not in the row. A model that
            learned from windows with an answer chooses better within one than between two.
        doc_stride: tokens that neighbouring windows share; by default 128, or half a window where that is less.
        vote: how passages are put together, see `decoding_dgcnn.vote`: "article", "squares" or "best".
        duplicates: "once": passages that differ in white space alone have one vote, the place is that of the first;
            "each": every passage has its own, as in the article.
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
            probability   of a context, where the model is calibrated: that the answer is right, in [0, 1]; None for no
                      answer
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
        self.chosen_settings({})

    def chosen_settings(self, settings: dict[str, Any]) -> QASettings:
        """Those of a call, over those of the constructor, over the model's own."""
        self._sanitize_parameters(**settings)
        config = self.model.config
        own: dict[str, Any] = {name: getattr(config, name) for name in ("max_answer_len", "no_answer_threshold")}
        own |= {} if self._batch_size is None else {"batch_size": self._batch_size}
        return QASettings(**{**own, **self._preprocess_params, **settings})

    def calibrate(
        self, records: Iterable[Mapping[str, Any]], *, batch_size: int = 32, progress: bool | None = None
    ) -> Calibration:
        """Fit `config.score_calibration` and `config.no_answer_threshold`, which `save_pretrained` saves.

            reader.calibrate([{"question": "谁发现了镭？", "context": "居里夫妇发现了镭。", "answers": ["居里夫妇"]},
                              {"question": "谁发现了镭？", "context": "今天天气不错。", "answers": []}, ...])

        Args:
            records: hundreds or more, that no training saw, with "question", "context" and "answers", a list of
                strings that is empty where the context holds no answer. A share of these like that in use is best.
            batch_size: windows that run together.
            progress: show a bar; None: with 50,000 characters or more.

        Returns:
            What was fitted, and what it does on these records. Right is an answer that equals one of "answers" but for
            punctuation, spaces, width and case.

        Raises:
            TypeError, ValueError: for broken records, and where all answers, or none, are right; the model is as
                before then.
        """
        rows = list(records)
        references = [check_answers(number, row) for number, row in enumerate(rows)]
        found = self([{key: row[key] for key in ("question", "context") if key in row} for row in rows],
                     batch_size=batch_size, progress=progress, handle_impossible_answer=False, top_k=1)  # fmt: skip
        right = [is_right(answer["answer"], some) for answer, some in zip(found, references)]
        fit = calibration([answer["score"] for answer in found], right, list(map(bool, references)))
        self.model.config.score_calibration = [fit.slope, fit.intercept]
        self.model.config.no_answer_threshold = fit.threshold
        return fit

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

    def _score(self, batch: list[Window], questions: dict[int, Any]) -> tuple[NDArray, NDArray]:
        """`questions` keeps the encoded questions, on the device, from batch to batch."""
        wanted = {window.record: window.question for window in batch}
        for number in questions.keys() - wanted.keys():
            del questions[number]
        new = [number for number in wanted if number not in questions]
        if new:
            columns = self._ensure_tensor_on_device(_tensors([wanted[number] for number in new]), self.device)
            with self.device_placement(), torch.no_grad():
                questions.update(zip(new, zip(*self.model.encode_question(**columns))))
        states, masks = zip(*(questions[window.record] for window in batch))
        inputs = _tensors([window.columns for window in batch])
        inputs["question_states"] = pad_sequence(list(states), batch_first=True)
        inputs["question_mask"] = pad_sequence(list(masks), batch_first=True)
        scores = self.forward(inputs)
        return scores["start"].numpy(), scores["end"].numpy()

    @property
    def _line(self) -> Sequence[float] | None:
        return self.model.config.score_calibration

    def _computing(self) -> AbstractContextManager[Any]:
        return evaluating(self.model)

    def _progress(self, total: int, show: bool) -> AbstractContextManager[Any]:
        return logging.tqdm(total=total, disable=not show, unit=" characters", unit_scale=True)


def _tensors(rows: list[Columns]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(column) for name, column in padded(rows).items()}

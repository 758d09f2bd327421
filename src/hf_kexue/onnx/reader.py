"""Answers without torch: `ReadingComprehensionPipeline` over ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dgcnn.checks_dgcnn import check_names
from ..dgcnn.columns_dgcnn import Columns, stacked
from ..dgcnn.inputs_dgcnn_qa import QASettings, Record
from ..dgcnn.reading_dgcnn_qa import Reading, Window
from ..dgcnn.segmentation_dgcnn import Segmenter
from .sessions import Network, Progress, read_config, sigmoid, softmax
from .tokenizer import OnnxTokenizer, check_vocabularies


class OnnxReader(Reading):
    """Finds the answer to a question in a text, or in many, without torch.

        reader = OnnxReader("model_cards/dgcnn-qa-zh")
        reader(question="谁发现了镭？", context="居里夫妇发现了镭。")

    Calls, settings and results are those of `ReadingComprehensionPipeline`; of the float32 network the answers too,
    and scores to rounding.

    Args:
        folder: with `onnx/model.onnx` or `onnx/model.int8.onnx`, config.json and the files of the tokenizer.
        int8: which of the two; None: float32 where it is there, else int8.
        threads: of one call; None: as many as onnxruntime takes.
        segmenter: a function from a text to its words, for a tokenizer that was saved with one.
        **settings: of every call, see `ReadingComprehensionPipeline`.

    Raises:
        FileNotFoundError: for a missing folder or file.
        ValueError: for broken files, the files of another model, settings out of range.
        TypeError: for settings of another name or type.
        ImportError: without onnxruntime or rjieba.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        int8: bool | None = None,
        threads: int | None = None,
        segmenter: Segmenter | None = None,
        **settings: Any,
    ) -> None:
        folder = Path(folder)
        self.config = read_config(folder, "DGCNNForQuestionAnswering")
        self.tokenizer = OnnxTokenizer(folder, segmenter)
        check_vocabularies(folder, self.config, self.tokenizer)
        if self.config.num_match_features and not self.tokenizer.match_features:
            raise ValueError(f"The model in {folder} wants match features, and its tokenizer has none.")
        self._given = settings
        self.chosen_settings({})
        self._network = Network(folder, "model", int8, threads)

    @property
    def int8(self) -> bool:
        """Whether the int8 network was loaded."""
        return self._network.int8

    def chosen_settings(self, settings: dict[str, Any]) -> QASettings:
        """Those of a call, over those of the constructor, over the model's own."""
        check_names(settings | self._given, [field.name for field in fields(QASettings)])
        own = {"max_answer_len": self.config.max_answer_len,
               "no_answer_threshold": getattr(self.config, "no_answer_threshold", 0.5)}  # fmt: skip
        return QASettings(**{**own, **self._given, **settings})

    @property
    def _line(self) -> Sequence[float] | None:
        return getattr(self.config, "score_calibration", None)

    def preprocess(self, input_: Record, **_: Any) -> tuple[Columns, list[tuple[Columns, NDArray]]]:
        """The columns of a question, and those of its passages with their character offsets, each as a whole."""
        return self.tokenizer.question(input_.question, input_.passages)

    def _score(self, batch: list[Window], questions: dict[int, Any]) -> tuple[NDArray, NDArray]:
        """The network encodes the questions itself: they are short."""
        inputs = _columns([window.columns for window in batch])
        asked = _columns([window.question for window in batch])
        found = self._network(**inputs, **{f"question_{name}": column for name, column in asked.items()})
        start, end = found["start_logits"], found["end_logits"]
        if self.config.output == "tagging":
            return sigmoid(start), sigmoid(end)
        root = np.sqrt(sigmoid(found["answerability_logits"]))[:, None]
        return softmax(start) * root, softmax(end) * root

    def _computing(self) -> nullcontext[None]:
        return nullcontext()

    def _progress(self, total: int, show: bool) -> Progress:
        return Progress(total, show)


def _columns(rows: list[Columns]) -> Columns:
    """Columns of several texts as arrays, with an attention mask."""
    mask = stacked([np.ones(len(row["input_ids"]), dtype=np.int64) for row in rows])
    return {name: stacked([row[name] for row in rows]) for name in rows[0]} | {"attention_mask": mask}

"""Triples without torch: `TripleExtractionPipeline` over ONNX Runtime."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dgcnn.checks_dgcnn import check_names
from ..dgcnn.columns_dgcnn import Columns
from ..dgcnn.extraction_dgcnn_triples import Extraction, Hit, find_triples
from ..dgcnn.inputs_dgcnn_triples import TripleSettings, chosen_predicates
from ..dgcnn.prior_dgcnn import TriplePrior
from ..dgcnn.schema_dgcnn_triples import subject_types
from ..dgcnn.segmentation_dgcnn import Segmenter
from ..dgcnn.view_dgcnn_triples import to_html, to_networkx
from .sessions import Network, Progress, read_config, sigmoid
from .tokenizer import OnnxTokenizer, check_vocabularies


class OnnxTripleExtractor(Extraction):
    """Finds (subject, predicate, object) in texts, without torch.

        extract = OnnxTripleExtractor("model_cards/dgcnn-triples-zh")
        extract("《邪少兵王》是冰火未央写的网络小说")

    Calls, settings and results are those of `TripleExtractionPipeline`; of the float32 network the triples too, and
    scores to rounding.

    Args:
        folder: with `onnx/model.onnx` and `onnx/objects.onnx`, or both as int8 (`onnx/model.int8.onnx`, ...),
            config.json and the files of the tokenizer.
        int8, threads, segmenter: as of `OnnxReader`.
        **settings: of every call, see `TripleExtractionPipeline`.

    Raises:
        FileNotFoundError, ValueError, TypeError, ImportError: as of `OnnxReader`.
    """

    to_html = staticmethod(to_html)
    to_networkx = staticmethod(to_networkx)

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
        self.config = read_config(folder, "DGCNNForTripleExtraction")
        self.schema = self.config.triple_schema
        self.tokenizer = OnnxTokenizer(folder, segmenter)
        check_vocabularies(folder, self.config, self.tokenizer)
        self._prior = self._memorised(folder)
        self._given = settings
        chosen_predicates(self.schema, self._settings({}).predicates)
        self._subjects = Network(folder, "model", int8, threads)
        self._objects = Network(folder, "objects", self._subjects.int8, threads)

    @property
    def int8(self) -> bool:
        """Whether the int8 networks were loaded."""
        return self._subjects.int8

    def _memorised(self, folder: Path) -> TriplePrior | None:
        """The memorised triples, where the model wants them."""
        if not self.config.triple_prior and self.config.known_triple_scores is None:
            return None
        if not self.tokenizer.triple_prior:
            raise ValueError(f"The model in {folder} wants memorised triples, and there is no triple_prior.txt.")
        return TriplePrior(self.tokenizer.triple_prior, len(self.schema))

    def _settings(self, settings: dict[str, Any]) -> TripleSettings:
        check_names(settings | self._given, [field.name for field in fields(TripleSettings)])
        limits = self.config.triple_thresholds
        own = {"subject_threshold": limits[:2], "object_threshold": limits[2:]}
        return TripleSettings(**{**own, **self._given, **settings})

    def preprocess(self, input_: str, **_: Any) -> tuple[Columns, NDArray[np.int64]]:
        """The columns of a text as a whole, and the character offsets of its tokens."""
        return self.tokenizer.text(input_)

    def _find(
        self, columns: Columns, settings: TripleSettings, wanted: frozenset[int], sentences: list[NDArray[np.int64]]
    ) -> tuple[list[Hit], set[int]]:
        inputs = {"attention_mask": np.ones_like(columns["input_ids"]), **columns}
        states = self._subjects(**inputs)

        def objects(spans: NDArray[np.int64]) -> NDArray[np.float32]:
            return sigmoid(self._objects(**inputs, **states, subjects=spans)["object_logits"])

        return find_triples(
            sigmoid(states["subject_logits"]), objects, settings, wanted, sentences, self.schema,
            subject_types(self.config),
        )  # fmt: skip

    def _computing(self) -> nullcontext[None]:
        return nullcontext()

    def _progress(self, total: int, show: bool) -> Progress:
        return Progress(total, show)

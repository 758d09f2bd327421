"""Pipeline that extracts (subject, predicate, object) from texts of any length: `extraction_dgcnn_triples` with the
model in torch.

Source: kexue.fm/archives/6671 (model and decoding).
"""

from contextlib import AbstractContextManager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Pipeline
from transformers.utils import logging

from .calls_dgcnn import evaluating
from .checks_dgcnn import check_names
from .columns_dgcnn import Columns
from .extraction_dgcnn_triples import Extraction, Hit, find_triples
from .inputs_dgcnn_triples import TripleSettings, check_triple_fit, chosen_predicates
from .view_dgcnn_triples import to_html, to_networkx

if TYPE_CHECKING:
    from .modeling_dgcnn_triples import DGCNNForTripleExtraction
    from .tokenization_dgcnn import DGCNNTokenizer


class TripleExtractionPipeline(Extraction, Pipeline):
    """Finds triples of the predicates that its model was trained for.

        extract = TripleExtractionPipeline(model=model, tokenizer=tokenizer)
        extract("《邪少兵王》是冰火未央写的网络小说")
        extract(["一段文字。", "另一段。"], predicates=["作者"])

    One text goes in as a string, several as a list or column of strings. An iterator, or a data set of torch such as
    transformers' `KeyDataset`, is read lazily and gives its results as they are computed. Settings of a call may be
    given to the constructor too.

    Args:
        model: `DGCNNForTripleExtraction`.
        tokenizer: `DGCNNTokenizer`, the one the model was trained with.
        subject_threshold: what probabilities of the start and the end of a subject must exceed: two numbers, or one
            for both, in [0, 1]. Default: those found in training, `model.config.triple_thresholds`.
        object_threshold: the same of objects.
        predicates: names of the predicates to look for; None: all of `model.schema`.
        split_above: tokens. Each sentence is read by itself, since neighbours mix, and one without a subject once more
            with those before it, up to 128 tokens. Above 0, for a model that learned triples across sentences: a text
            of at most so many tokens is read in one piece, of a longer one neighbouring sentences up to half as many.
        max_seq_len: tokens of a piece at most. A longer sentence is cut at commas, where there are none, anywhere. A
            model with learned positions takes no more than it has of them.
        occurrences: `"found"`: every place where the model saw a triple. `"best"`: of triples of the same words only
            the one with the highest score. `"all"`: every pair of places of both mentions within a piece of the text,
            with the highest score that the model gave to a triple of these words; not within longer numbers or Latin
            words.
        known_threshold: where the model has `known_triple_scores`: a memorised triple whose two mentions stand in a
            piece of the text is found, whatever the network scores, if the score of its predicate exceeds this, in
            [0, 1]. It is at the two places that are nearest to each other, with that score; 1: none is.
        batch_size: pieces that run together, of one text or of several.
        simplify: read traditional characters as simplified ones, with the package opencc; mentions and places are
            those of the text that was given.
        progress: show a bar; None: with 50,000 characters or more.

    Returns:
        For one text a list of dictionaries, sorted by subject start, object start and predicate; empty where nothing
        is found, as in blank texts among several. For several texts a list of these, in their order. Keys:

            subject     {"text", "start", "end"}, half-open: `text[start:end]` of the string that was given; and "type"
                        where the schema has exactly one for the predicate
            predicate   name
            object      as the subject
            score       in [0, 1]

    Raises:
        TypeError, ValueError: for texts of another type, one alone without a character, with half a surrogate pair,
            predicates that the model does not know, settings out of range; and at construction for a model and a
            tokenizer that do not fit. Nothing has been computed then.

    Source: kexue.fm/archives/6671.
    """

    _load_tokenizer = True
    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False

    to_html = staticmethod(to_html)
    to_networkx = staticmethod(to_networkx)

    def __init__(
        self, model: "DGCNNForTripleExtraction", tokenizer: "DGCNNTokenizer | None" = None, **kwargs: Any
    ) -> None:
        super().__init__(model, tokenizer, **kwargs)
        self._prior = check_triple_fit(self.model, self.tokenizer)
        self.config, self.schema = self.model.config, self.model.schema
        chosen_predicates(self.schema, self._settings({}).predicates)

    def _settings(self, settings: dict[str, Any]) -> TripleSettings:
        """Those of a call, over those of the constructor, over those of the model."""
        self._sanitize_parameters(**settings)
        limits = self.model.config.triple_thresholds
        own: dict[str, Any] = {"subject_threshold": limits[:2], "object_threshold": limits[2:]}
        if self._batch_size is not None:
            own["batch_size"] = self._batch_size
        return TripleSettings(**{**own, **self._preprocess_params, **settings})

    def _sanitize_parameters(self, **settings: Any) -> tuple[dict, dict, dict]:
        check_names(settings, [field.name for field in fields(TripleSettings)])
        return settings, {}, {}

    def preprocess(self, input_: str, **_: Any) -> tuple[Columns, NDArray[np.int64]]:
        """The columns of a text as a whole, and the character offsets of its tokens."""
        encoded = self.tokenizer(
            input_, add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False
        )
        names = ["input_ids", *(["word_input_ids"] if self.model.config.word_vocab_size else [])]
        columns = {name: np.asarray(encoded[name], dtype=np.int64) for name in names}
        return columns, np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)

    def _forward(
        self,
        input_tensors: dict[str, Tensor],
        settings: TripleSettings,
        wanted: frozenset[int],
        sentences: list[NDArray[np.int64]],
    ) -> dict[str, Any]:
        """A batch of pieces; "found" and "rows" as of `find_triples`."""
        model = self.model
        logits, states = model.extract_subjects(**input_tensors)

        def objects(spans: NDArray[np.int64]) -> NDArray[np.float32]:
            return _probabilities(model.extract_objects(states, torch.from_numpy(spans).to(logits.device)))

        found, rows = find_triples(
            _probabilities(logits), objects, settings, wanted, sentences, self.schema, model.subject_types
        )
        return {"found": found, "rows": rows}

    def _find(
        self, columns: Columns, settings: TripleSettings, wanted: frozenset[int], sentences: list[NDArray[np.int64]]
    ) -> tuple[list[Hit], set[int]]:
        tensors = {name: torch.from_numpy(column) for name, column in columns.items()}
        output = self.forward(tensors, settings=settings, wanted=wanted, sentences=sentences)
        return output["found"], output["rows"]

    def _computing(self) -> AbstractContextManager[Any]:
        return evaluating(self.model)

    def _progress(self, total: int, show: bool) -> AbstractContextManager[Any]:
        return logging.tqdm(total=total, disable=not show, unit=" characters", unit_scale=True)


def _probabilities(logits: Tensor) -> NDArray[np.float32]:
    return logits.float().sigmoid().cpu().numpy()

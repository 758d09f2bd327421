"""Pipeline that extracts (subject, predicate, object) from texts of any length.

    text       if it is long, its sentences                                      `inputs_dgcnn_triples.pieces`
    batch      the trunk runs once, then all subjects of the batch together      `decoding_dgcnn_triples`
    triple     score of the subject * score of the object
    known      beside them, where the model has any: known triples             `prior_dgcnn`

Words are cut over whole texts, before pieces are. Of the pieces only the triples stay in memory; tensors exist for
one batch.

Source: kexue.fm/archives/6671 (model and decoding).
"""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Pipeline
from transformers.utils import logging

from .checks_dgcnn import check_names
from .columns_dgcnn import CHARACTERS_WITH_PROGRESS, Columns, padded
from .decoding_dgcnn_triples import (
    FoundTriples,
    Place,
    Subject,
    allowed_predicates,
    best_of_equal_words,
    decode_objects,
    decode_subjects,
    everywhere,
)
from .inputs_dgcnn_triples import (
    TripleOptions,
    TripleSettings,
    check_triple_fit,
    chosen_predicates,
    pieces,
    read_input,
)
from .view_dgcnn_triples import to_html, to_networkx

if TYPE_CHECKING:
    from .modeling_dgcnn_triples import DGCNNForTripleExtraction
    from .tokenization_dgcnn import DGCNNTokenizer

SUBJECTS_AT_ONCE = 256  # far more than a batch holds; bounds the memory where a model finds them everywhere


class _Piece(NamedTuple):
    """Some tokens of a text, and the characters they were cut from."""

    text: int
    columns: Columns
    offsets: NDArray[np.int64]
    start: int
    end: int


class TripleExtractionPipeline(Pipeline):
    """Finds triples of the predicates that its model was trained for.

        extract = TripleExtractionPipeline(model=model, tokenizer=tokenizer)
        extract("《邪少兵王》是冰火未央写的网络小说")
        extract(["一段文字。", "另一段。"], predicates=["作者"])

    One text goes in as a string, several as any iterable of strings. Settings of a call may be given to the
    constructor too.

    Args:
        model: `DGCNNForTripleExtraction`.
        tokenizer: `DGCNNTokenizer`, the one the model was trained with.
        subject_threshold: what probabilities of the start and the end of a subject must exceed: two numbers, or one
            for both, in [0, 1]. Default: those found in training, `model.config.triple_thresholds`.
        object_threshold: the same of objects.
        predicates: names of the predicates to look for; None: all of `model.schema`.
        split_above: tokens. A longer text is cut into pieces at sentence ends, and neighbouring sentences are read
            together up to half as many: a model that learned from single sentences finds little in many at once.
            Larger for one that learned triples across sentences.
        max_seq_len: tokens of a piece at most. A longer sentence is cut at commas, where there are none, anywhere. A
            model with learned positions takes no more than it has of them.
        occurrences: `"found"`: every place where the model saw a triple. `"best"`: of triples of the same words only
            the one with the highest score. `"all"`: every pair of places of both mentions within a piece of the text,
            with the highest score that the model gave to a triple of these words.
        known_threshold: where the model has `known_triple_scores`: a known triple whose two mentions stand in a piece
            of the text is found, whatever the network says, if the score of its predicate exceeds this, in [0, 1]. It
            is at the two places that are nearest to each other, with that score; 1: none is.
        batch_size: pieces that run together, of one text or of several.
        progress: show a bar; None: with 50,000 characters or more.

    Returns:
        For one text a list of dictionaries, sorted by subject start, object start and predicate; empty where nothing
        is found. For several texts a list of these, in their order. Keys:

            subject     {"text", "start", "end"}, half-open: `text[start:end]` of the string that was given; and "type"
                        where the schema has exactly one for the predicate
            predicate   name
            object      as the subject
            score       in [0, 1]

    Raises:
        TypeError, ValueError: for texts of another type, without a character or with half a surrogate pair,
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
        chosen_predicates(self.model.schema, self._settings({}).predicates)

    def __call__(self, inputs: str | Iterable[str], **settings: Unpack[TripleOptions]) -> Any:
        """See the class."""
        chosen = self._settings({**settings})
        wanted = chosen_predicates(self.model.schema, chosen.predicates)
        texts, is_list = read_input(inputs)
        was_training = self.model.training
        self.model.eval()
        try:
            results = self._extract(texts, chosen, wanted)
        finally:
            self.model.train(was_training)
        return results if is_list else results[0]

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
        self, input_tensors: dict[str, Tensor], settings: TripleSettings, wanted: frozenset[int]
    ) -> dict[str, list[tuple]]:
        """A batch of pieces. "found": (row, subject first, subject last, predicate, object first, object last, score),
        in tokens, both inclusive."""
        model = self.model
        logits, states = model.extract_subjects(**input_tensors)
        allowed: dict[tuple[int, ...], frozenset[int]] = {}
        subjects: list[tuple[int, Subject]] = []
        for row, scores in enumerate(_probabilities(logits)):
            for subject in decode_subjects(scores, *settings.subject_threshold):
                if subject.types not in allowed:
                    fitting = allowed_predicates(model.schema, model.subject_types, subject.types)
                    allowed[subject.types] = wanted.intersection(fitting)
                if allowed[subject.types]:
                    subjects.append((row, subject))
        found = []
        for first in range(0, len(subjects), SUBJECTS_AT_ONCE):
            part = subjects[first : first + SUBJECTS_AT_ONCE]
            spans = torch.tensor([[row, subject.first, subject.last] for row, subject in part], device=logits.device)
            for (row, subject), scores in zip(part, _probabilities(model.extract_objects(states, spans))):
                for predicate, *span, score in decode_objects(
                    scores, *settings.object_threshold, allowed=allowed[subject.types]
                ):
                    found.append((row, subject.first, subject.last, predicate, *span, subject.score * score))
        return {"found": found}

    def postprocess(self, model_outputs: FoundTriples, text: str, ranges: list[Place], occurrences: str) -> list[dict]:
        """The triples of a text from what was found in its pieces, which are the characters of `ranges`."""
        found = model_outputs if occurrences == "found" else best_of_equal_words(model_outputs, text)
        if occurrences == "all":
            found = everywhere(found, text, ranges)
        triples = [self._triple(text, *key, score) for key, score in found.items()]
        return sorted(triples, key=_order)

    def _triple(self, text: str, subject: Place, predicate: int, found: Place, score: float) -> dict[str, Any]:
        entry = self.model.schema[predicate]

        def mention(place: Place, role: str) -> dict[str, Any]:
            types = entry.get(f"{role}_types") or []
            typed = {"type": types[0]} if len(types) == 1 else {}
            return {"text": text[slice(*place)], "start": place[0], "end": place[1], **typed}

        return {
            "subject": mention(subject, "subject"),
            "predicate": entry["predicate"],
            "object": mention(found, "object"),
            "score": score,
        }

    def _extract(self, texts: list[str], settings: TripleSettings, wanted: frozenset[int]) -> list[list[dict]]:
        found: list[FoundTriples] = [{} for _ in texts]
        ranges: list[list[Place]] = [[] for _ in texts]
        total = sum(map(len, texts))
        show = total >= CHARACTERS_WITH_PROGRESS if settings.progress is None else settings.progress
        waiting = self._pieces(texts, settings)
        with logging.tqdm(total=total, disable=not show, unit=" characters", unit_scale=True) as bar:
            while batch := list(islice(waiting, settings.batch_size)):
                inputs = padded([piece.columns for piece in batch])
                for row, first, last, predicate, *span, score in self.forward(
                    inputs, settings=settings, wanted=wanted
                )["found"]:
                    number, _, offsets, _, _ = batch[row]
                    places = [(int(offsets[a, 0]), int(offsets[b, 1])) for a, b in ((first, last), span)]
                    key = (places[0], predicate, places[1])
                    found[number][key] = max(score, found[number].get(key, 0.0))
                for piece in batch:
                    ranges[piece.text].append((piece.start, piece.end))
                    bar.update(piece.end - piece.start)
        for one in zip(found, texts, ranges):
            self._add_known(*one, settings.known_threshold, wanted)
        return [self.postprocess(*one, settings.occurrences) for one in zip(found, texts, ranges)]

    def _add_known(
        self, found: FoundTriples, text: str, ranges: list[Place], threshold: float, wanted: frozenset[int]
    ) -> None:
        """Known triples of reliable predicates in the pieces of a text, where no triple of these words was found."""
        scores = self.model.config.known_triple_scores
        if self._prior is None or scores is None:
            return
        words = {(text[slice(*subject)], predicate, text[slice(*other)]) for subject, predicate, other in found}
        for start, end in ranges:
            for (a, b), predicate, (c, d) in self._prior.nearest(text[start:end]):
                subject, other = (start + a, start + b), (start + c, start + d)
                is_new = (text[slice(*subject)], predicate, text[slice(*other)]) not in words
                if scores[predicate] > threshold and predicate in wanted and is_new:
                    found[subject, predicate, other] = scores[predicate]

    def _pieces(self, texts: list[str], settings: TripleSettings) -> Iterator[_Piece]:
        """The pieces of all texts, from left to right; only one text exists as columns at a time."""
        size, config = settings.max_seq_len, self.model.config
        if config.position_embedding == "learned":
            size = min(size, config.max_position_embeddings)
        for number in sorted(range(len(texts)), key=lambda i: len(texts[i])):  # so that a batch is of like lengths
            text = texts[number]
            columns, offsets = self.preprocess(text)
            start = 0
            for piece in pieces(text, offsets, size, settings.split_above):
                end = int(offsets[piece.stop, 0]) if piece.stop < len(offsets) else len(text)
                rows = {name: column[piece] for name, column in columns.items()}
                if self._prior is not None and config.triple_prior:
                    rows["prior"] = self._prior.features(text[start:end], offsets[piece] - start)
                yield _Piece(number, rows, offsets[piece], start, end)
                start = end


def _probabilities(logits: Tensor) -> NDArray[np.float32]:
    return logits.float().sigmoid().cpu().numpy()


def _order(triple: dict[str, Any]) -> tuple:
    subject, found = triple["subject"], triple["object"]
    return subject["start"], found["start"], triple["predicate"], subject["end"], found["end"]

"""Pipeline that extracts (subject, predicate, object) from texts of any length.

    text       its sentences, each by itself                                     `inputs_dgcnn_triples.pieces`
               again, with those before it, a sentence without a subject         `TripleExtractionPipeline._join`
    batch      the trunk runs once, then all subjects of the batch together      `decoding_dgcnn_triples`
    triple     score of the subject * score of the object
    known      beside them, where the model has any: memorised triples             `prior_dgcnn`

Words are cut over whole texts, before pieces are. Of the pieces only the triples stay in memory; tensors exist for
one batch.

Source: kexue.fm/archives/6671 (model and decoding).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from itertools import count, islice
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Pipeline
from transformers.utils import logging

from .calls_dgcnn import evaluating, is_stream, stream
from .checks_dgcnn import check_content, check_names, check_text, is_blank
from .columns_dgcnn import CHARACTERS_WITH_PROGRESS, Columns, padded
from .constraints_dgcnn import constrained
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
from .inputs_dgcnn_triples import TripleOptions, TripleSettings, check_triple_fit, chosen_predicates, pieces
from .simplified_dgcnn import simplified
from .view_dgcnn_triples import to_html, to_networkx

if TYPE_CHECKING:
    from .modeling_dgcnn_triples import DGCNNForTripleExtraction
    from .tokenization_dgcnn import DGCNNTokenizer


JOINED_TOKENS = 128  # a sentence without a subject is read with those before it up to so many: most training texts
SUBJECTS_AT_ONCE = 256  # far more than a batch holds; bounds the memory where a model finds them everywhere


class _Piece(NamedTuple):
    """Some tokens of a text, and the characters they were cut from."""

    text: int
    columns: Columns
    offsets: NDArray[np.int64]
    start: int
    end: int
    sentences: NDArray[np.int64]
    since: int = 0  # of triples of joined pieces, those count of which a mention begins here or later


class TripleExtractionPipeline(Pipeline):
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
        chosen_predicates(self.model.schema, self._settings({}).predicates)

    def __call__(self, inputs: str | Iterable[str], **settings: Unpack[TripleOptions]) -> Any:
        """See the class."""
        chosen = self._settings({**settings})
        wanted = chosen_predicates(self.model.schema, chosen.predicates)
        if isinstance(inputs, str):
            check_content(inputs, "the text")
            return self._extract([inputs], chosen, wanted)[0]
        if is_stream(inputs):
            return stream(inputs, _read, len, lambda texts: self._extract(texts, chosen, wanted), chosen.batch_size)
        if isinstance(inputs, bytes | Mapping) or not isinstance(inputs, Iterable):
            raise TypeError(f"A text must be a string, or several of them in a list; got {type(inputs).__name__}.")
        return self._extract(list(map(_read, count(), inputs)), chosen, wanted)

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
        """A batch of pieces. "found": (row, subject first, subject last, predicate, object first, object last, score),
        in tokens, both inclusive; "rows": those that hold a subject."""
        model = self.model
        logits, states = model.extract_subjects(**input_tensors)
        allowed: dict[tuple[int, ...], frozenset[int]] = {}
        subjects: list[tuple[int, Subject]] = []
        rows: set[int] = set()
        for row, scores in enumerate(_probabilities(logits)):
            for subject in decode_subjects(scores, *settings.subject_threshold, sentences=sentences[row]):
                rows.add(row)
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
                    scores, *settings.object_threshold, allowed[subject.types], sentences[row]
                ):
                    found.append((row, subject.first, subject.last, predicate, *span, subject.score * score))
        return {"found": found, "rows": rows}

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
        """The triples of each text; none for one without a character."""
        found: list[FoundTriples] = [{} for _ in texts]
        ranges: list[list[Place]] = [[] for _ in texts]
        read = [simplified(text) for text in texts] if settings.simplify else texts
        total = sum(map(len, texts))
        show = total >= CHARACTERS_WITH_PROGRESS if settings.progress is None else settings.progress
        waiting = self._pieces(read, settings)
        joined: list[_Piece] = []  # to be read once more, with the sentences before them
        before: list[_Piece] = []  # pieces of a text from the last that holds a subject
        with (
            evaluating(self.model),
            logging.tqdm(total=total, disable=not show, unit=" characters", unit_scale=True) as bar,
        ):
            while True:
                batch = list(islice(waiting, settings.batch_size)) if len(joined) < settings.batch_size else []
                if not batch:
                    batch, joined = joined[: settings.batch_size], joined[settings.batch_size :]
                if not batch:
                    break
                rows = self._read_batch(batch, settings, wanted, found)
                for row, piece in enumerate(batch):
                    if piece.since:
                        continue
                    ranges[piece.text].append((piece.start, piece.end))
                    bar.update(piece.end - piece.start)
                    before = before if before and before[-1].text == piece.text else []
                    if row in rows:
                        before = [piece]
                    elif before:
                        before.append(piece)
                        if sum(len(part.offsets) for part in before) > min(JOINED_TOKENS, self._limit(settings)):
                            before = []
                        else:
                            joined.append(self._join(read[piece.text], before))
        for one in zip(found, read, ranges):
            self._add_known(*one, settings.known_threshold, wanted)
        for number, (text, cuts) in enumerate(zip(read, ranges)):
            starts = [start for start, _ in cuts]
            kept = constrained(found[number], text, self.model.schema, settings.constraints, starts)
            found[number] = {key: score for key, score in kept.items() if key[1] in wanted}
        return [self.postprocess(*one, settings.occurrences) for one in zip(found, texts, ranges)]

    def _read_batch(
        self, batch: list[_Piece], settings: TripleSettings, wanted: frozenset[int], found: list[FoundTriples]
    ) -> set[int]:
        """Adds the triples of a batch of pieces to those of their texts; the rows that hold a subject."""
        inputs, sentences = padded([piece.columns for piece in batch]), [piece.sentences for piece in batch]
        output = self.forward(inputs, settings=settings, wanted=wanted, sentences=sentences)
        for row, first, last, predicate, *span, score in output["found"]:
            piece = batch[row]
            (a, b), (c, d) = ((int(piece.offsets[i, 0]), int(piece.offsets[j, 1])) for i, j in ((first, last), span))
            if max(a, c) >= piece.since:
                key, triples = ((a, b), predicate, (c, d)), found[piece.text]
                triples[key] = max(score, triples.get(key, 0.0))
        return output["rows"]

    def _add_known(
        self, found: FoundTriples, text: str, ranges: list[Place], threshold: float, wanted: frozenset[int]
    ) -> None:
        """Memorised triples of reliable predicates in the pieces of a text, unless one of these words was found."""
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

    def _limit(self, settings: TripleSettings) -> int:
        """Tokens of a piece at most."""
        config = self.model.config
        learned = config.position_embedding == "learned"
        return min(settings.max_seq_len, config.max_position_embeddings) if learned else settings.max_seq_len

    def _pieces(self, texts: list[str], settings: TripleSettings) -> Iterator[_Piece]:
        """The pieces of all texts, from left to right; only one text exists as columns at a time."""
        for number in sorted(range(len(texts)), key=lambda i: len(texts[i])):  # so that a batch is of like lengths
            text = texts[number]
            if is_blank(text):
                continue
            columns, offsets = self.preprocess(text)
            start = 0
            cuts, sentences = pieces(text, offsets, self._limit(settings), settings.split_above)
            for piece in cuts:
                end = int(offsets[piece.stop, 0]) if piece.stop < len(offsets) else len(text)
                rows = {name: column[piece] for name, column in columns.items()}
                self._add_prior(rows, text, offsets[piece], start, end)
                yield _Piece(number, rows, offsets[piece], start, end, sentences[piece])
                start = end

    def _join(self, text: str, parts: list[_Piece]) -> _Piece:
        """Neighbouring pieces as one; of it only what reaches into the last is new."""
        start, end, names = parts[0].start, parts[-1].end, parts[0].columns.keys() - {"prior"}
        rows = {name: np.concatenate([part.columns[name] for part in parts]) for name in names}
        offsets = np.concatenate([part.offsets for part in parts])
        self._add_prior(rows, text, offsets, start, end)
        sentences = np.concatenate([part.sentences for part in parts])
        return _Piece(parts[0].text, rows, offsets, start, end, sentences, parts[-1].start)

    def _add_prior(self, rows: Columns, text: str, offsets: NDArray[np.int64], start: int, end: int) -> None:
        """The column of memorised triples in a piece, for a model that takes it."""
        if self._prior is not None and self.model.config.triple_prior:
            rows["prior"] = self._prior.features(text[start:end], offsets - start)


def _read(number: int, text: Any) -> str:
    """A text of several."""
    check_text(text, f"Text {number} (from 0)")
    return text


def _probabilities(logits: Tensor) -> NDArray[np.float32]:
    return logits.float().sigmoid().cpu().numpy()


def _order(triple: dict[str, Any]) -> tuple:
    subject, found = triple["subject"], triple["object"]
    return subject["start"], found["start"], triple["predicate"], subject["end"], found["end"]

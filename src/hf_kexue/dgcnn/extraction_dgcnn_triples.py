"""From texts to triples, whatever scores the pieces: torch in `TripleExtractionPipeline`, ONNX Runtime in
`onnx.OnnxTripleExtractor`.

    text       its sentences, each by itself                                     `inputs_dgcnn_triples.pieces`
               again, with those before it, a sentence without a subject         `Extraction._join`
    batch      the trunk runs once, then all subjects of the batch together      `find_triples`
    triple     score of the subject * score of the object
    known      beside them, where the model has any: memorised triples             `prior_dgcnn`
    kept       what agrees with the text and the schema                            `constraints_dgcnn`

Words are cut over whole texts, before pieces are. Of the pieces only the triples stay in memory; a batch exists at a
time. Imports neither torch nor transformers.

Source: kexue.fm/archives/6671 (model and decoding).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import count, islice
from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from .calls_dgcnn import is_stream, stream
from .checks_dgcnn import check_content, check_text, is_blank
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
from .inputs_dgcnn_triples import TripleOptions, TripleSettings, chosen_predicates, pieces
from .prior_dgcnn import TriplePrior
from .simplified_dgcnn import simplified

JOINED_TOKENS = 128  # a sentence without a subject is read with those before it up to so many: most training texts
SUBJECTS_AT_ONCE = 256  # far more than a batch holds; bounds the memory where a model finds them everywhere

Hit = tuple[int, int, int, int, int, int, float]


class Piece(NamedTuple):
    """Some tokens of a text, and the characters they were cut from."""

    text: int
    columns: Columns
    offsets: NDArray[np.int64]
    start: int
    end: int
    sentences: NDArray[np.int64]
    since: int = 0  # of triples of joined pieces, those count of which a mention begins here or later


class Extraction:
    """Calls, pieces and triples. A subclass gives the attributes, and the five methods that raise here.

    Args:
        config: with the fields of `DGCNNConfig`.
        schema: the predicates with their types, in the order of their ids.
    """

    config: Any
    schema: list[dict[str, Any]]
    _prior: TriplePrior | None

    def __call__(self, inputs: str | Iterable[str], **settings: Unpack[TripleOptions]) -> Any:
        """See the class."""
        chosen = self._settings({**settings})
        wanted = chosen_predicates(self.schema, chosen.predicates)
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
        raise NotImplementedError

    def preprocess(self, input_: str, **_: Any) -> tuple[Columns, NDArray[np.int64]]:
        """The columns of a text as a whole, and the character offsets of its tokens."""
        raise NotImplementedError

    def _find(
        self, columns: Columns, settings: TripleSettings, wanted: frozenset[int], sentences: list[NDArray[np.int64]]
    ) -> tuple[list[Hit], set[int]]:
        """What `find_triples` returns for a batch of pieces."""
        raise NotImplementedError

    def _computing(self) -> AbstractContextManager[Any]:
        """Entered while models run."""
        raise NotImplementedError

    def _progress(self, total: int, show: bool) -> AbstractContextManager[Any]:
        """A bar of so many characters, with `update(count)`."""
        raise NotImplementedError

    def postprocess(self, model_outputs: FoundTriples, text: str, ranges: list[Place], occurrences: str) -> list[dict]:
        """The triples of a text from what was found in its pieces, which are the characters of `ranges`."""
        found = model_outputs if occurrences == "found" else best_of_equal_words(model_outputs, text)
        if occurrences == "all":
            found = everywhere(found, text, ranges)
        triples = [self._triple(text, *key, score) for key, score in found.items()]
        return sorted(triples, key=_order)

    def _triple(self, text: str, subject: Place, predicate: int, found: Place, score: float) -> dict[str, Any]:
        entry = self.schema[predicate]

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
        joined: list[Piece] = []  # to be read once more, with the sentences before them
        before: list[Piece] = []  # pieces of a text from the last that holds a subject
        with self._computing(), self._progress(total, show) as bar:
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
            kept = constrained(found[number], text, self.schema, settings.constraints, starts)
            found[number] = {key: score for key, score in kept.items() if key[1] in wanted}
        return [self.postprocess(*one, settings.occurrences) for one in zip(found, texts, ranges)]

    def _read_batch(
        self, batch: list[Piece], settings: TripleSettings, wanted: frozenset[int], found: list[FoundTriples]
    ) -> set[int]:
        """Adds the triples of a batch of pieces to those of their texts; the rows that hold a subject."""
        sentences = [piece.sentences for piece in batch]
        found_here, rows = self._find(padded([piece.columns for piece in batch]), settings, wanted, sentences)
        for row, first, last, predicate, *span, score in found_here:
            piece = batch[row]
            (a, b), (c, d) = ((int(piece.offsets[i, 0]), int(piece.offsets[j, 1])) for i, j in ((first, last), span))
            if max(a, c) >= piece.since:
                key, triples = ((a, b), predicate, (c, d)), found[piece.text]
                triples[key] = max(score, triples.get(key, 0.0))
        return rows

    def _add_known(
        self, found: FoundTriples, text: str, ranges: list[Place], threshold: float, wanted: frozenset[int]
    ) -> None:
        """Memorised triples of reliable predicates in the pieces of a text, unless one of these words was found."""
        scores = self.config.known_triple_scores
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
        config = self.config
        learned = config.position_embedding == "learned"
        return min(settings.max_seq_len, config.max_position_embeddings) if learned else settings.max_seq_len

    def _pieces(self, texts: list[str], settings: TripleSettings) -> Iterator[Piece]:
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
                yield Piece(number, rows, offsets[piece], start, end, sentences[piece])
                start = end

    def _join(self, text: str, parts: list[Piece]) -> Piece:
        """Neighbouring pieces as one; of it only what reaches into the last is new."""
        start, end, names = parts[0].start, parts[-1].end, parts[0].columns.keys() - {"prior"}
        rows = {name: np.concatenate([part.columns[name] for part in parts]) for name in names}
        offsets = np.concatenate([part.offsets for part in parts])
        self._add_prior(rows, text, offsets, start, end)
        sentences = np.concatenate([part.sentences for part in parts])
        return Piece(parts[0].text, rows, offsets, start, end, sentences, parts[-1].start)

    def _add_prior(self, rows: Columns, text: str, offsets: NDArray[np.int64], start: int, end: int) -> None:
        """The column of memorised triples in a piece, for a model that takes it."""
        if self._prior is not None and self.config.triple_prior:
            rows["prior"] = self._prior.features(text[start:end], offsets - start)


def find_triples(
    probabilities: NDArray[np.float32],
    objects: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    settings: TripleSettings,
    wanted: frozenset[int],
    sentences: Sequence[NDArray[np.int64]],
    schema: Sequence[Mapping[str, Any]],
    types: Sequence[str],
) -> tuple[list[Hit], set[int]]:
    """The triples of a batch of pieces.

    Args:
        probabilities: (B, L, 2T) of starts and ends of subjects.
        objects: (N, 3) text, first and last token of subjects -> (N, L, 2C) probabilities of their objects.
        settings: its thresholds.
        wanted: numbers of the predicates to look for.
        sentences: for each piece the number of the sentence of each token.
        schema, types: the predicates, and the names of the T subject types.

    Returns:
        (row, subject first, subject last, predicate, object first, object last, score), in tokens, both inclusive;
        and the rows that hold a subject.
    """
    allowed: dict[tuple[int, ...], frozenset[int]] = {}
    subjects: list[tuple[int, Subject]] = []
    rows: set[int] = set()
    for row, scores in enumerate(probabilities):
        for subject in decode_subjects(scores, *settings.subject_threshold, sentences=sentences[row]):
            rows.add(row)
            if subject.types not in allowed:
                allowed[subject.types] = wanted.intersection(allowed_predicates(schema, types, subject.types))
            if allowed[subject.types]:
                subjects.append((row, subject))
    found: list[Hit] = []
    for start in range(0, len(subjects), SUBJECTS_AT_ONCE):
        part = subjects[start : start + SUBJECTS_AT_ONCE]
        spans = np.array([[row, subject.first, subject.last] for row, subject in part], dtype=np.int64)
        for (row, subject), scores in zip(part, objects(spans)):
            for predicate, first, last, score in decode_objects(
                scores, *settings.object_threshold, allowed[subject.types], sentences[row]
            ):
                found.append((row, subject.first, subject.last, predicate, first, last, subject.score * score))
    return found, rows


def _read(number: int, text: Any) -> str:
    """A text of several."""
    check_text(text, f"Text {number} (from 0)")
    return text


def _order(triple: dict[str, Any]) -> tuple:
    subject, found = triple["subject"], triple["object"]
    return subject["start"], found["start"], triple["predicate"], subject["end"], found["end"]

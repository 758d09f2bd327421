"""Training samples of a triple extraction cascade: sampled subjects, labels by token.

    dataset = TripleDataset(examples, schema, swap_mentions=0.5)
    loader = DataLoader(dataset, 32, collate_fn=TripleCollator(tokenizer, schema, model.subject_types))
    next(iter(loader))  # input_ids ... subjects, subject_labels, object_labels

A sample depends on (seed, epoch, index) only, so a resumed run sees the same samples as an uninterrupted one.

Source: kexue.fm/archives/6671 (one sampled subject a text, whose start and end may not belong together; mentions
swapped between triples of one predicate), /5409 (ids set to zero).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..epochs import EpochDataset
from ..texts.encoded import EncodedTexts, TokenSpans, piece_of
from .reading import Triple, TripleExample, find_mentions
from .schemas import subject_columns
from .swapped_mentions import swap_mentions

Span = tuple[int, int]


class Prior(Protocol):
    """Memorised triples as input features, such as `TriplePrior`."""

    def features(
        self, text: str, offsets: NDArray, exclude: Iterable[tuple[str, int, str]] = ()
    ) -> NDArray[np.float32]: ...


@dataclass
class TripleSample(TripleExample):
    """An example of one epoch.

    Args:
        id, text, triples: as of `TripleExample`, after augmentation.
        seed: of the collator's random draws for it.
    """

    seed: int = 0


class TripleDataset(EpochDataset):
    """One training sample for each text and epoch.

    Args:
        examples: of `read_triples`. Triples whose predicate is not in the schema are dropped.
        schema: entries as of `build_schema`.
        seed: of all random draws.
        swap_mentions: probability that the mentions of one triple of a text are replaced by those of another training
            triple with the same predicate and types.

    Raises:
        ValueError: for no examples, or a probability out of [0, 1].
    """

    def __init__(
        self,
        examples: Sequence[TripleExample],
        schema: Sequence[Mapping[str, Any]],
        seed: int = 0,
        swap_mentions: float = 0.0,
    ) -> None:
        super().__init__()
        if not examples:
            raise ValueError("examples is empty: there is no text to train on.")
        _check_share("swap_mentions", swap_mentions)
        names = {entry["predicate"] for entry in schema}
        self.examples = [
            replace(example, triples=[triple for triple in example.triples if triple.predicate in names])
            for example in examples
        ]
        self.seed = seed
        self.swap_mentions = swap_mentions
        self._like: defaultdict[tuple[str, str, str], list[Triple]] = defaultdict(list)
        for example in self.examples:
            for triple in example.triples:
                self._like[_kind(triple)].append(triple)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> TripleSample:
        example = self.examples[index]
        generator = np.random.default_rng((self.seed, self.epoch, index))
        if example.triples and generator.random() < self.swap_mentions:
            old = example.triples[int(generator.integers(len(example.triples)))]
            like = self._like[_kind(old)]
            example = swap_mentions(example, old, like[int(generator.integers(len(like)))])
        return TripleSample(example.id, example.text, example.triples, int(generator.integers(2**31)))


def _kind(triple: Triple) -> tuple[str, str, str]:
    return triple.predicate, triple.subject_type, triple.object_type


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {share}.")


class TripleCollator:
    """Samples -> tensors of a model that tags subjects, and then the objects of given subjects.

    Args:
        tokenizer: a `DGCNNTokenizer`, or any fast one.
        schema: C entries as of `build_schema`; triples of other predicates have no labels.
        subject_types: T names of the types that subjects are tagged as, `model.subject_types`; [""] for one that
            takes all. A subject without such a type is tagged as all types that its predicate has in the schema.
        sampling: "one" subject a text, its start drawn from all gold starts and its end from all gold ends that are
            not before it (the article): a pair that does not belong together has no object. "all" gold subjects.
        negatives: "one": whether such pairs are drawn, or only gold subjects. "all": one span more a text that is no
            subject, a start and an end that do not belong together or a random span. A text without subjects has one
            random span in any case.
        all_occurrences: label every occurrence of a mention, or the first (the article).
        max_characters: a longer text is cropped at a random place.
        zero_ids: share of character and word ids set to 0, without rescaling.
        prior: memorised triples, `TriplePrior`. Those of the sample itself are excluded.
        seed: of all random draws, together with that of each sample.
        multiple_of: lengths of batches are padded to a multiple of it, which is faster on GPUs.

    A call takes a list of `TripleSample` and returns the columns of the tokenizer, without `token_type_ids`; with a
    prior `prior` (B, L, 2 + 2C); `subjects` (N, 3) long, text, first and last token; `subject_labels` (B, L, 2T) and
    `object_labels` (N, L, 2C) float in {0, 1}, starts before ends. A mention without a token has no label.

    Raises:
        ValueError: for an unknown sampling, `zero_ids` out of [0, 1], an empty schema or no subject type.

    Source: kexue.fm/archives/6671.
    """

    def __init__(
        self,
        tokenizer: Any,
        schema: Sequence[Mapping[str, Any]],
        subject_types: Sequence[str] = ("",),
        sampling: Literal["one", "all"] = "one",
        negatives: bool = True,
        all_occurrences: bool = True,
        max_characters: int = 256,
        zero_ids: float = 0.0,
        prior: Prior | None = None,
        seed: int = 0,
        multiple_of: int = 1,
    ) -> None:
        if sampling not in ("one", "all"):
            raise ValueError(f"sampling must be 'one' or 'all'; got {sampling!r}.")
        if not schema or not subject_types:
            raise ValueError('A schema and at least one subject type ("" for any) are needed; one of them is empty.')
        if max_characters < 1:
            raise ValueError(f"max_characters must be at least 1, got {max_characters}.")
        _check_share("zero_ids", zero_ids)
        self.encode = EncodedTexts(tokenizer, multiple_of=multiple_of)
        self.number = {entry["predicate"]: number for number, entry in enumerate(schema)}
        self.types = [subject_columns(entry, subject_types) for entry in schema]
        self.subject_types = list(subject_types)
        self.sampling = sampling
        self.negatives = negatives
        self.all_occurrences = all_occurrences
        self.max_characters = max_characters
        self.zero_ids = zero_ids
        self.prior = prior
        self.seed = seed

    def __call__(self, samples: Sequence[TripleSample]) -> dict[str, Tensor]:
        generators = [np.random.default_rng((self.seed, sample.seed)) for sample in samples]
        texts = [
            piece_of(sample.text, self.max_characters, generator) for sample, generator in zip(samples, generators)
        ]
        arrays, offsets = self.encode(texts)
        subject_labels = np.zeros((*offsets.shape[:2], 2 * len(self.subject_types)), dtype=np.float32)
        subjects: list[tuple[int, int, int]] = []
        marks: list[tuple[int, int, int, int]] = []  # number of the subject, predicate, first and last token
        for row, (sample, text, generator) in enumerate(zip(samples, texts, generators)):
            tokens = TokenSpans(offsets[row])
            gold = self._label(sample, text, tokens, subject_labels[row])
            for span in self._sampled(list(gold), tokens, generator):
                marks += [(len(subjects), *mark) for mark in gold.get(span, ())]
                subjects.append((row, *span))
        object_labels = np.zeros((len(subjects), offsets.shape[1], 2 * len(self.number)), dtype=np.float32)
        for subject, predicate, first, last in marks:
            object_labels[subject, first, predicate] = object_labels[subject, last, predicate + len(self.number)] = 1
        if self.prior is not None:
            known = zip(texts, offsets, map(self._gold, samples))
            arrays["prior"] = np.stack([self.prior.features(*each) for each in known])
        if self.zero_ids:
            self._zero(arrays, samples)
        arrays |= {"subject_labels": subject_labels, "object_labels": object_labels}
        arrays["subjects"] = np.array(subjects, dtype=np.int64).reshape(-1, 3)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _label(self, sample: TripleExample, text: str, tokens: TokenSpans, labels: NDArray) -> dict[Span, list]:
        """Mark the subjects of a text; return for each of them (predicate, first, last token) of its objects."""
        gold: dict[Span, list[tuple[int, int, int]]] = {}
        mentions = {mention for triple in sample.triples for mention in (triple.subject, triple.object)}
        places = {mention: self._places(mention, text, tokens) for mention in mentions}
        for triple in sample.triples:
            number = self.number.get(triple.predicate)
            subjects, objects = places[triple.subject], places[triple.object]
            if number is None or not subjects or not objects:
                continue
            known = triple.subject_type in self.subject_types
            columns = [self.subject_types.index(triple.subject_type)] if known else self.types[number]
            for first, last in subjects:
                labels[first, columns] = 1
                labels[last, [len(self.subject_types) + column for column in columns]] = 1
                gold.setdefault((first, last), []).extend((number, *span) for span in objects)
        return gold

    def _places(self, mention: str, text: str, tokens: TokenSpans) -> list[Span]:
        found = find_mentions(mention, text)
        spans = [tokens.find(*place) for place in (found if self.all_occurrences else found[:1])]
        return [span for span in spans if span is not None]

    def _sampled(self, gold: list[Span], tokens: TokenSpans, generator: np.random.Generator) -> list[Span]:
        """Subject spans whose objects are scored."""
        if not gold:
            return tokens.random(generator)  # empty if the text has no token
        if self.sampling == "one" and not self.negatives:
            return [gold[int(generator.integers(len(gold)))]]
        first = gold[int(generator.integers(len(gold)))][0]
        ends = [last for _, last in gold if last >= first]
        drawn = (first, ends[int(generator.integers(len(ends)))])
        if self.sampling == "one":
            return [drawn]
        if not self.negatives:
            return gold
        others = [drawn] if drawn not in gold else tokens.random(generator)
        return gold + [span for span in others if span not in gold]

    def _gold(self, sample: TripleExample) -> list[tuple[str, int, str]]:
        """The triples of a sample in the form of the prior."""
        known = (triple for triple in sample.triples if triple.predicate in self.number)
        return [(triple.subject, self.number[triple.predicate], triple.object) for triple in known]

    def _zero(self, arrays: dict[str, NDArray], samples: Sequence[TripleSample]) -> None:
        for name in ("input_ids", "word_input_ids"):
            for ids, sample in zip(arrays.get(name, ()), samples):
                generator = np.random.default_rng((self.seed, sample.seed, len(name)))  # independent of the padding
                ids[generator.random(len(ids)) < self.zero_ids] = 0


def character_counts(batch: Mapping[str, Tensor]) -> tuple[float, float]:
    """What the two parts of the loss are means over: the characters of all texts, and those of each subject's text."""
    lengths = batch["attention_mask"].sum(dim=1)  # (B,)
    return float(lengths.sum()), float(lengths[batch["subjects"][:, 0]].sum())

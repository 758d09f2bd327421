"""Training samples of a reader: questions with passages, cropped, augmented, labelled by character.

    dataset = ReadingDataset(examples, max_characters=256)  # a passage of each question, cropped around an answer
    loader = DataLoader(dataset, 32, collate_fn=ReadingCollator(tokenizer))
    next(iter(loader))  # input_ids ... start_labels, end_labels

A sample depends on (seed, epoch, index) only, so a resumed run sees the same samples as an uninterrupted one.
The augmentations are those of kexue.fm/archives/5409: ids set to zero, passages concatenated and cropped, some of
several labels dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..epochs import EpochDataset
from ..texts.occurrences import find_occurrences
from .reading import QAExample


@dataclass
class ReadingSample:
    """A question, one passage, and the spans of its answers.

    Args:
        question: text.
        passage: text.
        spans: half-open character ranges of the passage; empty without an answer.
        seed: of the collator's random draws for this sample.
    """

    question: str
    passage: str
    spans: list[tuple[int, int]]
    seed: int = 0


class SampleSource(Protocol):
    """An endless source of samples, such as `ClozeQuestions`."""

    def make(self, generator: np.random.Generator) -> ReadingSample: ...


class ReadingDataset(EpochDataset):
    """One training sample for each question and epoch.

    Args:
        examples: of `read_qa`. With several passages an epoch takes one of them at random.
        max_characters: passages are cropped to this length.
        seed: of all random draws.
        without_answer: share of crops at a random place rather than around an answer (2019: half of them).
        concatenate: share of passages joined with another question's passage before cropping.
        drop_labels: probability that one of several occurrences of the answer loses its label.
        all_occurrences: label every literal occurrence of an answer (the articles), not only the annotated one.
        source: of synthetic samples.
        from_source: share of samples that come from `source`.

    Raises:
        ValueError: for no examples, a share out of [0, 1], a crop below one character, or `from_source` without a
            source.
    """

    def __init__(
        self,
        examples: Sequence[QAExample],
        max_characters: int = 256,
        seed: int = 0,
        without_answer: float = 0.1,
        concatenate: float = 0.0,
        drop_labels: float = 0.0,
        all_occurrences: bool = False,
        source: SampleSource | None = None,
        from_source: float = 0.0,
    ) -> None:
        super().__init__()
        if not examples:
            raise ValueError("examples is empty: there is no question to train on.")
        if max_characters < 1:
            raise ValueError(f"max_characters must be at least 1, got {max_characters}.")
        shares = {"without_answer": without_answer, "concatenate": concatenate, "drop_labels": drop_labels}
        for name, share in {**shares, "from_source": from_source}.items():
            _check_share(name, share)
        if from_source and source is None:
            raise ValueError(f"from_source is {from_source}, but source is None.")
        self.examples = examples
        self.max_characters = max_characters
        self.seed = seed
        self.without_answer = without_answer
        self.concatenate = concatenate
        self.drop_labels = drop_labels
        self.all_occurrences = all_occurrences
        self.source = source
        self.from_source = from_source

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> ReadingSample:
        generator = np.random.default_rng((self.seed, self.epoch, index))
        if self.source is not None and generator.random() < self.from_source:
            sample = self.source.make(generator)
        else:
            sample = self._read(self.examples[index], generator)
        if self.concatenate and generator.random() < self.concatenate:
            sample = self._concatenated(sample, generator)
        if self.drop_labels and len(sample.spans) > 1:
            kept = [span for span in sample.spans if generator.random() >= self.drop_labels]
            sample.spans = kept or sample.spans[:1]
        sample = cut(sample, self.max_characters, self.without_answer, generator)
        sample.seed = int(generator.integers(2**31))
        return sample

    def _read(self, example: QAExample, generator: np.random.Generator) -> ReadingSample:
        which = int(generator.integers(len(example.passages))) if len(example.passages) > 1 else 0
        passage = example.passages[which]
        spans: list[tuple[int, int]] = []
        for answer, start in zip(example.answers[which], example.answer_starts[which]):
            if start < 0 or self.all_occurrences:
                spans += find_occurrences(answer, passage)
            else:
                spans.append((start, start + len(answer)))
        return ReadingSample(example.question, passage, sorted(set(spans)))

    def _concatenated(self, sample: ReadingSample, generator: np.random.Generator) -> ReadingSample:
        """Join the passage with that of another question, which holds no answer to this one."""
        other = self.examples[int(generator.integers(len(self.examples)))].passages[0]
        if other == sample.passage:
            return sample
        if generator.random() < 0.5:
            return ReadingSample(sample.question, sample.passage + other, sample.spans)
        shifted = [(start + len(other), end + len(other)) for start, end in sample.spans]
        return ReadingSample(sample.question, other + sample.passage, shifted)


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {share}.")


def cut(
    sample: ReadingSample, max_characters: int, without_answer: float, generator: np.random.Generator
) -> ReadingSample:
    """Crop the passage to at most `max_characters`, with the spans that lie fully inside.

    Args:
        sample: is not changed.
        max_characters: length of the crop.
        without_answer: probability of a crop at a random place; else it holds one of the spans, if that is not longer,
            at a random position.
        generator: of all random draws.
    """
    length = len(sample.passage)
    if length <= max_characters:
        return sample
    low, high = 0, length - max_characters
    if sample.spans and generator.random() >= without_answer:
        start, end = sample.spans[int(generator.integers(len(sample.spans)))]
        low, high = min(max(end - max_characters, 0), high), min(start, high)
        high = max(low, high)
    begin = int(generator.integers(low, high + 1))
    inside = [(a - begin, b - begin) for a, b in sample.spans if a >= begin and b <= begin + max_characters]
    return ReadingSample(sample.question, sample.passage[begin : begin + max_characters], inside)


class ReadingCollator:
    """Samples -> tensors of the reader.

    Args:
        tokenizer: a `DGCNNTokenizer`, or any with its interface.
        zero_ids: share of character and word ids set to 0, without rescaling: the augmentation that helps most
            (archives/5409).
        max_length: tokens of question and passage together; the passage is truncated, and a truncated answer has no
            label.
        multiple_of: lengths of batches and of their questions are padded to a multiple of it, which is faster on GPUs.

    A call takes a list of `ReadingSample` and returns `input_ids`, `token_type_ids`, `attention_mask`, all other
    columns of the tokenizer, `start_labels`, `end_labels` (B, L) with 1 at first and last characters of answers, and
    `question_length`, tokens of the longest question, as a number.

    Raises:
        ValueError: for `zero_ids` out of [0, 1].
    """

    def __init__(
        self, tokenizer: Callable[..., Any], zero_ids: float = 0.0, max_length: int = 1024, multiple_of: int = 1
    ) -> None:
        _check_share("zero_ids", zero_ids)
        self.tokenizer = tokenizer
        self.zero_ids = zero_ids
        self.max_length = max_length
        self.multiple_of = multiple_of

    def __call__(self, samples: Sequence[ReadingSample]) -> dict[str, Any]:
        encoded = self.tokenizer(
            [sample.question for sample in samples],
            [sample.passage for sample in samples],
            truncation="only_second",
            max_length=self.max_length,
            padding=True,
            pad_to_multiple_of=self.multiple_of if self.multiple_of > 1 else None,
            return_offsets_mapping=True,
        )
        batch = {name: torch.from_numpy(np.asarray(rows)) for name, rows in encoded.items()}
        offsets = batch.pop("offset_mapping")
        passage = (batch["token_type_ids"] == 1) & (batch["attention_mask"] == 1)
        starts, ends = torch.zeros(passage.shape), torch.zeros(passage.shape)
        for row, sample in enumerate(samples):
            begin, end = (offsets[row, :, side].where(passage[row], -1) for side in (0, 1))
            is_cut = int(batch["attention_mask"][row].sum()) == self.max_length
            for first, last in sample.spans:
                held = torch.nonzero((begin >= first) & (end <= last)).flatten()
                if len(held) and not (is_cut and last > end.max()):
                    starts[row, held[0]] = ends[row, held[-1]] = 1.0
        if self.zero_ids:
            self._zero(batch, samples)
        question = int((batch["token_type_ids"] == 0).logical_and(batch["attention_mask"] == 1).sum(dim=1).max())
        question = min(-(-question // self.multiple_of) * self.multiple_of, passage.shape[1])
        return {**batch, "start_labels": starts, "end_labels": ends, "question_length": question}

    def _zero(self, batch: dict[str, Tensor], samples: Sequence[ReadingSample]) -> None:
        shape = batch["input_ids"].shape[1:]
        for name in ("input_ids", "word_input_ids"):
            if name in batch:
                for row, sample in enumerate(samples):
                    generator = np.random.default_rng((sample.seed, len(name)))
                    dropped = torch.from_numpy(generator.random(shape) < self.zero_ids)
                    batch[name][row][dropped] = 0


def passage_characters(batch: Mapping[str, Tensor]) -> float:
    """Characters of all passages of a batch."""
    return float(((batch["token_type_ids"] == 1) & (batch["attention_mask"] == 1)).sum())


def answered(batch: Mapping[str, Tensor]) -> Tensor:
    """(B,) in {0, 1}: whether a passage of a batch holds an answer."""
    return batch["start_labels"].amax(dim=1) * batch["end_labels"].amax(dim=1)

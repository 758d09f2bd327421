"""Synthetic (cloze) questions from plain text: a span of a sentence is replaced by a question word; the span is the
answer.

A reader pre-trained on them learns that the words around an answer are those of the question. Real questions do not
quote exactly, so the sentence is corrupted: words and clauses are dropped, the question word is moved, neighbours are
swapped.

    questions = ClozeQuestions(texts, segment=tokenizer.segment)
    questions.make(numpy.random.default_rng(0))  # ReadingSample(question=..., passage=..., spans=[(start, end)])
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from .samples import ReadingSample

Words = Sequence[tuple[str, int, int]]

SENTENCE_END = re.compile(r"[。！？；!?;\n]")
INNER_PUNCTUATION = set(",，、：:()（）《》「」“”\"'")
FOR_ANYTHING = ("什么", "谁", "哪里", "哪个", "什么", "哪些")
FOR_NUMBERS = ("多少", "何时", "什么", "哪个")
FOR_DATES = ("何时", "什么时候", "哪一年", "哪年")
OF_DATES = set("年月日")
SHORTEST, LONGEST = 10, 80  # characters of a sentence; a longer one is cut
LONGEST_QUESTION = 48
FUNCTION_WORDS = set("的了是在和与及也于之而并且则但又等被把将对为以从到着过地得都还就")
ATTEMPTS = 1000  # sentences tried for one question


class ClozeQuestions:
    """An endless source of synthetic questions.

    Args:
        texts: plain texts, of any length.
        segment: text -> words with their offsets, such as `DGCNNTokenizer.segment`; answers and dropped parts are
            whole words.

    Raises:
        ValueError: if no text has a sentence of 10 characters.
    """

    def __init__(self, texts: Sequence[str], segment: Callable[[str], Words]) -> None:
        pairs = [(text, sentences) for text in texts if (sentences := sentences_of(text))]
        if not pairs:
            raise ValueError(f"none of the {len(texts)} texts has a sentence of {SHORTEST} characters to ask about.")
        self.texts = [text for text, _ in pairs]
        self.sentences = [sentences for _, sentences in pairs]
        self.segment = segment

    def make(self, generator: np.random.Generator) -> ReadingSample:
        """One question.

        Args:
            generator: of all random draws.

        Returns:
            question, passage (the full text) and the span of the answer.

        Raises:
            ValueError: if 1000 sentences in a row have no suitable answer.
        """
        for _ in range(ATTEMPTS):
            index = int(generator.integers(len(self.texts)))
            text, sentences = self.texts[index], self.sentences[index]
            start, end = sentences[int(generator.integers(len(sentences)))]
            if end - start > LONGEST:
                start += int(generator.integers(end - start - LONGEST))
                end = start + LONGEST
            words = [(word, start + a, start + b) for word, a, b in self.segment(text[start:end])]
            answer = _choose_answer(words, generator) if len(words) > 4 else None
            if answer is not None:
                question = _corrupt(words, *answer, generator)
                return ReadingSample(question, text, [(words[answer[0]][1], words[answer[1] - 1][2])])
        raise ValueError(
            f"none of {ATTEMPTS} sentences had five words and an answer among them; the last was {text[start:end]!r}."
        )


def sentences_of(text: str) -> list[tuple[int, int]]:
    """Offsets of the sentences that are long enough, without their full stop."""
    ends = [match.start() for match in SENTENCE_END.finditer(text)] + [len(text)]
    starts = [0] + [end + 1 for end in ends[:-1]]
    return [(start, end) for start, end in zip(starts, ends) if end - start >= SHORTEST]


def _choose_answer(words: Words, generator: np.random.Generator) -> tuple[int, int] | None:
    """Half-open range of words: geometric in length, at most 13, under 60 % of the sentence, no punctuation at its
    ends; None after ten failed attempts."""
    for _ in range(10):
        first = int(generator.integers(len(words)))
        last = min(first + min(int(generator.geometric(0.3)), 13), len(words))
        characters = words[last - 1][2] - words[first][1]
        ends = {words[first][0], words[last - 1][0]}
        if ends & FUNCTION_WORDS and generator.random() < 0.9:  # annotated answers hardly ever are like this
            continue
        if characters <= 0.6 * (words[-1][2] - words[0][1]) and not ends & INNER_PUNCTUATION:
            return first, last
    return None


def _corrupt(words: Words, first: int, last: int, generator: np.random.Generator) -> str:
    """The sentence with a question word for the answer, corrupted as real questions are."""
    characters = {character for word, _, _ in words[first:last] for character in word}
    number = any(character.isdigit() for character in characters)
    choices = (FOR_DATES if characters & OF_DATES else FOR_NUMBERS) if number else FOR_ANYTHING
    question_word = choices[int(generator.integers(len(choices)))]
    reach = (6, 12, 30)[int(generator.integers(3))]
    keep = 1 - (0.1, 0.3, 0.5)[int(generator.integers(3))]

    def kept(side: Words) -> list[str]:
        return [
            word
            for word, _, _ in side
            if generator.random() < keep and not (word in INNER_PUNCTUATION and generator.random() < 0.7)
        ]

    left, right = kept(words[max(first - reach, 0) : first]), kept(words[last : last + reach])
    if generator.random() < 0.15:
        left, right = right, left
    place = generator.random()
    if place < 0.6:
        parts = [*left, question_word, *right]
    elif place < 0.7:
        parts = [question_word, *left, *right]
    else:
        parts = [*left, *right, question_word]
    if len(parts) > 2 and generator.random() < 0.2:
        swapped = int(generator.integers(len(parts) - 1))
        parts[swapped], parts[swapped + 1] = parts[swapped + 1], parts[swapped]
    return "".join(parts)[:LONGEST_QUESTION]

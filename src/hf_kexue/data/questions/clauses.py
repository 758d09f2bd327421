"""Synthetic (cloze) questions from plain text whose answers are whole clauses: "why", "how", "what about ...".

Half of all annotated answers are clauses or longer (CMRC 2018: median 12 characters, a tenth above 47) that begin and
end at punctuation. Here one or two clauses of a sentence are removed, and the rest of it, corrupted, is the question.

    questions = ClauseQuestions(texts, segment=tokenizer.segment)
    questions.make(numpy.random.default_rng(0))  # ReadingSample(question=..., passage=..., spans=[(start, end)])
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from .cloze import ATTEMPTS, INNER_PUNCTUATION, LONGEST_QUESTION, SHORTEST, Words, sentences_of
from .samples import ReadingSample

CLAUSE_END = re.compile(r"[,，、：:]")
FOR_CLAUSES = ("什么", "为什么", "怎么样", "如何", "有什么", "是什么", "怎样", "哪些")
LONGEST_ANSWER = 60


class ClauseQuestions:
    """An endless source of synthetic questions.

    Args:
        texts: plain texts, of any length.
        segment: text -> words with their offsets, such as `DGCNNTokenizer.segment`.

    Raises:
        ValueError: if no text has a sentence of two clauses.
    """

    def __init__(self, texts: Sequence[str], segment: Callable[[str], Words]) -> None:
        self.texts: list[str] = []
        self.clauses: list[list[list[tuple[int, int]]]] = []  # of each text, of each sentence
        for text in texts:
            split = [_clauses(text, *sentence) for sentence in sentences_of(text)]
            if usable := [clauses for clauses in split if len(clauses) > 1]:
                self.texts.append(text)
                self.clauses.append(usable)
        if not self.texts:
            raise ValueError(f"none of the {len(texts)} texts has a sentence of two clauses to ask about.")
        self.segment = segment

    def make(self, generator: np.random.Generator) -> ReadingSample:
        """One question.

        Args:
            generator: of all random draws.

        Raises:
            ValueError: if 1000 sentences in a row have no clause that is short enough.
        """
        for _ in range(ATTEMPTS):
            index = int(generator.integers(len(self.texts)))
            text = self.texts[index]
            clauses = self.clauses[index][int(generator.integers(len(self.clauses[index])))]
            first = int(generator.integers(len(clauses)))
            last = min(first + int(generator.random() < 0.3), len(clauses) - 1)
            start, end = clauses[first][0], clauses[last][1]
            rest = clauses[max(first - 1, 0) : first] + clauses[last + 1 : last + 2]
            if end - start > LONGEST_ANSWER or not rest:
                continue
            keep = 1 - (0.1, 0.3, 0.5)[int(generator.integers(3))]
            hint = _some(self.segment(text[start:end]), generator, 0.15)
            parts = [_some(self.segment(text[a:b]), generator, keep) for a, b in rest]
            question_word = FOR_CLAUSES[int(generator.integers(len(FOR_CLAUSES)))]
            words = [word for part in parts for word in part] + hint
            place = len(words) if generator.random() < 0.6 else int(generator.integers(len(words) + 1))
            question = "".join([*words[:place], question_word, *words[place:]])[:LONGEST_QUESTION]
            return ReadingSample(question, text, [(start, end)])
        raise ValueError(f"none of {ATTEMPTS} sentences had a clause of at most {LONGEST_ANSWER} characters.")


def _clauses(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Offsets of the clauses of a sentence, without the punctuation between them and the blanks around them."""
    ends = [match.start() for match in CLAUSE_END.finditer(text, start, end)] + [end]
    clauses = []
    for begin, stop in zip([start, *(place + 1 for place in ends[:-1])], ends):
        part = text[begin:stop]
        begin += len(part) - len(part.lstrip())
        stop -= len(part) - len(part.rstrip())
        if stop - begin >= SHORTEST // 2:
            clauses.append((begin, stop))
    return clauses


def _some(words: Words, generator: np.random.Generator, keep: float) -> list[str]:
    return [word for word, _, _ in words if generator.random() < keep and word not in INNER_PUNCTUATION]

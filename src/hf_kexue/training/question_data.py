"""The questions of the reader's training script: arguments, files, and synthetic ones from plain text or triples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..data.questions.clauses import ClauseQuestions
from ..data.questions.cloze import ClozeQuestions
from ..data.questions.from_triples import TripleQuestions
from ..data.questions.mixed import MixedQuestions
from ..data.questions.reading import QAExample, read_qa
from ..data.triples.reading import TripleExample
from .arguments import on_error, option


@dataclass
class QuestionArguments:
    """Which questions a reader learns from; the arguments of a script inherit from it."""

    # data
    train: list[str] = option([], "Files, folders or Hub ids with training questions; their split is 'train'.")
    simplify: bool = option(False, "Read traditional characters of --train as simplified ones (with opencc).")
    validation: str | None = option(None, "File, folder or Hub id with validation questions.")
    validation_split: str = option("validation", "Its split.")
    validation_questions: int = option(800, "Questions scored while it trains; at the end all are.")
    texts: list[str] = option([], "Plain text for synthetic (cloze) questions; default: the training passages.")
    cloze_share: float = option(0.0, "Share of synthetic questions, from plain text or triples; 1 is pre-training.")
    clauses: float = option(0.0, "Share of those from plain text that ask for whole clauses.")
    triples: list[str] = option(
        [], "Sentences with triples, for synthetic questions that name the relation they ask for."
    )
    triple_share: float = option(0.3, "Share of the synthetic questions that come from --triples.")
    max_characters: int = option(256, "Training passages are cut to this many.")
    without_answer: float = option(0.1, "Share of cuts made anywhere, answer or not.")
    keep_unanswerable: bool = option(False, "Train on questions without an answer too.")
    concatenate: float = option(0.0, "Share of passages joined with another question's passage.")
    drop_labels: float = option(0.0, "Probability that one of several occurrences loses its label.")
    all_occurrences: bool = option(False, "Label every occurrence of the answer, as the articles do.")
    zero_ids: float = option(0.05, "Share of ids set to zero.")


def training_questions(args: QuestionArguments, simplified: Callable[[str], str]) -> list[QAExample]:
    """All files of --train; unanswerable ones only where --keep_unanswerable asks for them.

    Args:
        args: of the run.
        simplified: text with simplified characters, of the same length; for --simplify.
    """
    examples = [example for source in args.train for example in read_qa(source, "train", on_error=on_error(args))]
    if not examples:
        raise ValueError("--train names no question: give files, folders or Hub ids.")
    examples = [example for example in examples if args.keep_unanswerable or any(example.answers)]
    if args.simplify:
        examples = [example.with_texts(simplified) for example in examples]
    if not examples:
        raise ValueError("no question of --train has an answer: --keep_unanswerable True trains on such ones too.")
    return examples


def synthetic_questions(
    args: QuestionArguments, texts: list[str], triples: list[TripleExample], segment: Callable[[str], Any]
) -> MixedQuestions | None:
    """The source of the questions of --cloze_share; None without. `segment`: of the tokenizer, text -> words."""
    if not args.cloze_share:
        return None
    sources: list[tuple[Any, float]] = []
    from_text = 1 - args.triple_share * bool(triples)
    if from_text * (1 - args.clauses):
        sources.append((ClozeQuestions(texts, segment), from_text * (1 - args.clauses)))
    if from_text * args.clauses:
        sources.append((ClauseQuestions(texts, segment), from_text * args.clauses))
    if triples:
        sources.append((TripleQuestions(triples), args.triple_share))
    return MixedQuestions(*zip(*sources))


def validation_questions(args: QuestionArguments) -> list[QAExample]:
    """Those of --validation that have an answer: the others have no score."""
    if not args.validation:
        return []
    found = read_qa(args.validation, split=args.validation_split, on_error=on_error(args))
    examples = [example for example in found if any(example.answers)]
    if not examples:
        raise ValueError(f"no question of --validation {args.validation} has an answer to score.")
    return examples

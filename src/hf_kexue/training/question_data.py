"""Questions of the reader's training script: arguments, files, and synthetic questions from text or triples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ..data.questions.clauses import ClauseQuestions
from ..data.questions.cloze import ClozeQuestions
from ..data.questions.from_triples import TripleQuestions
from ..data.questions.mixed import MixedQuestions
from ..data.questions.reading import QAExample, read_qa
from ..data.questions.samples import answered, passage_characters
from ..data.triples.reading import TripleExample
from .arguments import on_error, option


@dataclass
class QuestionArguments:
    """Arguments for the training questions of a reader."""

    # data
    train: list[str] = option([], "Files, folders or Hub ids with training questions; their split is 'train'.")
    simplify: bool = option(False, "Read traditional characters of --train as simplified ones (with opencc).")
    validation: str | None = option(None, "File, folder or Hub id with validation questions.")
    validation_split: str = option("validation", "Its split.")
    validation_questions: int = option(800, "Questions scored during training; all are scored at the end.")
    texts: list[str] = option([], "Plain text for synthetic (cloze) questions; default: the training passages.")
    cloze_share: float = option(0.0, "Share of synthetic questions, from plain text or triples; 1 is pre-training.")
    clauses: float = option(0.0, "Share of those from plain text whose answers are clauses.")
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
    """Read all files of --train; unanswerable questions only with --keep_unanswerable.

    Args:
        args: of the run.
        simplified: converts text to simplified characters of the same length; for --simplify.
    """
    examples = [example for source in args.train for example in read_qa(source, "train", on_error=on_error(args))]
    if not examples:
        raise ValueError("--train has no questions: give files, folders or Hub ids.")
    examples = [example for example in examples if args.keep_unanswerable or any(example.answers)]
    if args.simplify:
        examples = [example.with_texts(simplified) for example in examples]
    if not examples:
        raise ValueError("No question of --train has an answer: use --keep_unanswerable True to train on these.")
    return examples


def synthetic_questions(
    args: QuestionArguments, texts: list[str], triples: list[TripleExample], segment: Callable[[str], Any]
) -> MixedQuestions | None:
    """The source of synthetic questions, or None without --cloze_share. `segment`: of the tokenizer, text -> words."""
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
    """The answerable questions of --validation."""
    if not args.validation:
        return []
    found = read_qa(args.validation, split=args.validation_split, on_error=on_error(args))
    examples = [example for example in found if any(example.answers)]
    if not examples:
        raise ValueError(f"No question of --validation {args.validation} has an answer to score.")
    return examples


def loss_parts(args: Any, output: Any, batch: dict[str, Any]) -> list[Tensor]:
    """The loss by what its parts are means over, as `loss_counts` counts them."""
    if args.output == "tagging" or args.gradient_accumulation_steps == 1:
        return [output.loss]
    answerability = F.binary_cross_entropy_with_logits(output.answerability_logits.float(), answered(batch))
    return [output.loss - answerability, answerability]


def loss_counts(args: Any, batch: dict[str, Any]) -> list[float]:
    """Characters of the passages, with --output span windows with an answer and all windows."""
    if args.output == "tagging":
        return [passage_characters(batch)]
    return [float(answered(batch).sum()), float(len(batch["input_ids"]))]

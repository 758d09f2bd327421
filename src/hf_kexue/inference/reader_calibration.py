"""Questions with and without an answer for `ReadingComprehensionPipeline.calibrate`, and the plot of what it found.

Data sets in which every question can be answered teach nothing about refusing. So each of their questions is asked
once more of a wrong passage: of those of other questions the one that a search finds first and that holds none of its
answers. Such a passage is about the same things, which is what a reader meets in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.questions.reading import QAExample

if TYPE_CHECKING:
    from ..dgcnn.calibration_dgcnn_qa import Calibration

SEARCHED = 20  # passages that a question is searched in before it goes without a wrong one


def calibration_records(examples: Sequence[QAExample], wrong_passages: bool | None = None) -> list[dict[str, Any]]:
    """One record for each question and passage.

    Args:
        examples: of `read_qa`.
        wrong_passages: ask every question that has an answer of a wrong passage, too; needs the package bm25s. None:
            where no passage of the examples is without an answer.

    Returns:
        Records with "question", "context" and "answers", those with wrong passages last.

    Raises:
        ValueError: for no example.
        ImportError: if bm25s is needed and not installed (extra `collections`).
    """
    if not examples:
        raise ValueError("There is no question to calibrate with.")
    records = [
        {"question": example.question, "context": passage, "answers": answers}
        for example in examples
        for passage, answers in zip(example.passages, example.answers)
    ]
    if wrong_passages is None:
        wrong_passages = all(record["answers"] for record in records)
    return records + _with_wrong_passages(examples) if wrong_passages else records


def _with_wrong_passages(examples: Sequence[QAExample]) -> list[dict[str, Any]]:
    from ..collections import PassageCollection

    collection = PassageCollection(dict.fromkeys(text for example in examples for text in example.passages))
    records = []
    for example in examples:
        answers = {answer for some in example.answers for answer in some}
        for found in collection.search(example.question, SEARCHED) if answers else ():
            if found.text not in example.passages and not any(answer in found.text for answer in answers):
                records.append({"question": example.question, "context": found.text, "answers": []})
                break
    return records


def reliability_plot(found: Calibration, path: Path, title: str = "") -> None:
    """Draw the share of right answers over the probability that was told, as a picture of any format of matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="what a perfect one would do")
    told, right, counts = zip(*found.bins)
    axes.plot(told, right, marker="o", label=f"this reader, expected error {found.expected_error:.3f}")
    for x, y, count in zip(told, right, counts):
        axes.annotate(str(count), (x, y), textcoords="offset points", xytext=(6, -10), fontsize=8)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability that the reader tells", ylabel="share that is right",
             title=title, aspect="equal")  # fmt: skip
    axes.legend(loc="upper left")
    figure.savefig(path, dpi=120)

"""The vote over many passages against the best single passage.

    python benchmarks/reader_passages.py --data WEBQA_SAMPLE

The published reader answers questions that come with twenty passages each, not all of which hold the answer. Each
passage proposes spans; their scores are combined as in the article, sum s^2 / (1 + sum s) for each string
(kexue.fm/archives/5409), by sum s^2, or the best span overall wins. Accuracy and F1 are those of `sogouqa_scores` over
all answers that any passage of the question is labelled with. Below them the rule of WebQA's scorer (`webqa_scores`,
voting): each passage gives its best span, and the most frequent strings win. Data:
{"question", "passages": [{"passage", "answer": [...]}]}. Writes benchmarks/results/reader_passages.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from results import REPOSITORY, write_results

from hf_kexue import DGCNNForQuestionAnswering, DGCNNTokenizer, ReadingComprehensionPipeline, sogouqa_scores
from hf_kexue.data.questions.reading import QAExample, read_qa
from hf_kexue.inference.evaluation import evaluate_reader

VOTES = {
    "article": "vote, sum s² / (1 + sum s)",
    "squares": "vote, sum s²",
    "best": "best single passage",
}
DATA = {"--data": "webqa"}


def golds(example: QAExample) -> list[str]:
    """The distinct answers of all passages, in order."""
    return list(dict.fromkeys(answer for answers in example.answers for answer in answers))


def votes(reader: ReadingComprehensionPipeline, examples: list[QAExample]) -> list[dict[str, Any]]:
    """Scores of each vote, and the number of questions on which it differs from the best passage."""
    questions = [example.question for example in examples]
    passages = [example.passages for example in examples]
    accepted = {example.id: golds(example) for example in examples}
    rows, right = [], {}
    for vote, what in VOTES.items():
        answers = reader(question=questions, passages=passages, vote=vote)
        predictions = {example.id: answer["answer"] for example, answer in zip(examples, answers)}
        scores = sogouqa_scores(predictions, accepted)
        right[vote] = {
            key for key in accepted if sogouqa_scores({key: predictions[key]}, {key: accepted[key]})["accuracy"]
        }
        error = (scores["accuracy"] * (1 - scores["accuracy"]) / len(examples)) ** 0.5
        rows.append(
            {
                "vote": vote, "what": what, "accuracy": round(scores["accuracy"], 4),
                "standard_error": round(error, 4), "f1": round(scores["f1"], 4),
            }
        )  # fmt: skip
    for row in rows:
        row["right_where_best_is_wrong"] = len(right[row["vote"]] - right["best"])
        row["wrong_where_best_is_right"] = len(right["best"] - right[row["vote"]])
    return rows


def webqa_vote(reader: ReadingComprehensionPipeline, examples: list[QAExample]) -> dict[str, Any]:
    """F1 by the rule of WebQA: the most frequent of the answers of the passages."""
    scores = evaluate_reader(reader, examples, "webqa")
    return {key: round(scores[key], 4) for key in ("strict_f1", "fuzzy_f1")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="file, folder or Hub id with questions and their passages")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--model", default=str(REPOSITORY / "model_cards" / "dgcnn-qa-zh"), help="folder or Hub id")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    everything = read_qa(args.data, split=args.split)
    examples = [example for example in everything if golds(example)]
    counts = {len(example.passages) for example in examples}
    if counts in (set(), {1}):
        raise ValueError(f"{args.data} has no question with an answer and several passages; this is about many.")

    reader = ReadingComprehensionPipeline(
        model=DGCNNForQuestionAnswering.from_pretrained(args.model),
        tokenizer=DGCNNTokenizer.from_pretrained(args.model),
        batch_size=32,
        progress=False,
    )
    rows = votes(reader, examples)
    webqa = webqa_vote(reader, examples)
    print(webqa)
    figures = {
        "model": Path(args.model).name, "questions": len(examples),
        "questions_left_out_without_answer": len(everything) - len(examples),
        "passages": max(counts), "rows": rows, "webqa_vote": webqa,
    }  # fmt: skip
    write_results("reader_passages", figures)


if __name__ == "__main__":
    main()

"""Questions asked of a collection of passages: recall of the search, answers against those with the passage given.

    python benchmarks/collection.py --validation CMRC2018
    python benchmarks/collection.py --validation CMRC2018 --webqa WEBQA_SAMPLE --stride 4

The different passages of the validation split make one collection; each question is asked of all of them. Recall at k:
the question's own passage is among the k best of BM25. F1 and EM of the CMRC 2018 scorer with the best 1 and `--read`
passages read, and with the question's own passage given. `--power` is that of the BM25 score in the vote. With
`--webqa` the passages of all of its questions make another collection; there a hit is a passage that an answer is
labelled in, and answers are scored as in reader_passages.py. Writes benchmarks/results/collection.json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from results import REPOSITORY, write_results

from hf_kexue import (
    DGCNNForQuestionAnswering,
    DGCNNTokenizer,
    PassageCollection,
    ReadingComprehensionPipeline,
    cmrc2018_scores,
    sogouqa_scores,
)
from hf_kexue.data.questions.reading import read_qa

DATA = {"--validation": "cmrc2018"}
OPTIONAL_DATA = {"--webqa": "webqa"}
DEPTHS = (1, 5, 10)
AT_ONCE = 64  # questions


def indexed(passages: list[str], folder: Path) -> tuple[PassageCollection, dict[str, Any]]:
    """A collection as it is loaded from disk, and how long that took."""
    started = time.perf_counter()
    PassageCollection(passages).save(folder)
    built = time.perf_counter()
    collection = PassageCollection.load(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    seconds = {"index": round(built - started, 2), "load": round(time.perf_counter() - built, 3)}
    return collection, {"passages": len(collection), "megabytes": round(size / 1e6, 1), "seconds": seconds}


def recalls(collection: PassageCollection, questions: list[str], right: list[set[int]]) -> dict[str, Any]:
    """Shares of the questions of which a right passage is among the first k, and searches a second."""
    started = time.perf_counter()
    found = [[hit.number for hit in collection.search(question, max(DEPTHS))] for question in questions]
    seconds = time.perf_counter() - started
    shares = {
        f"recall_at_{k}": round(sum(bool(r & {*f[:k]}) for f, r in zip(found, right)) / len(right), 4) for k in DEPTHS
    }
    return {**shares, "searches_per_second": round(len(questions) / seconds, 1)}


def answers(collection: PassageCollection, reader: Any, questions: list[str], read: int, power: float) -> list[str]:
    """The best answer to each question."""
    found: list[str] = []
    for first in range(0, len(questions), AT_ONCE):
        some = questions[first : first + AT_ONCE]
        found += [a[0]["answer"] for a in collection.ask(reader, some, read=read, power=power, progress=False)]
    return found


def on_cmrc(reader: Any, args: argparse.Namespace) -> dict[str, Any]:
    """The collection of all passages; every `--stride`-th question is answered, all are searched."""
    examples = read_qa(args.validation, split="validation")
    passages = list(dict.fromkeys(example.passages[0] for example in examples))
    number = {text: place for place, text in enumerate(passages)}
    with tempfile.TemporaryDirectory() as place:
        collection, figures = indexed(passages, Path(place) / "index")
        right = [{number[example.passages[0]]} for example in examples]
        figures |= {"questions_searched": len(examples)}
        figures |= recalls(collection, [example.question for example in examples], right)
        asked = examples[:: args.stride]
        questions = [example.question for example in asked]
        accepted = {example.id: example.answers[0] for example in asked}

        def row(what: str, texts: list[str], seconds: float) -> dict[str, Any]:
            scores = cmrc2018_scores({example.id: text for example, text in zip(asked, texts)}, accepted)
            print(what, scores, flush=True)
            return {
                "what": what, "f1": round(scores["f1"], 2), "exact_match": round(scores["exact_match"], 2),
                "answers_per_second": round(len(asked) / seconds, 2),
            }  # fmt: skip

        rows = []
        for read in (1, args.read):
            started = time.perf_counter()
            texts = answers(collection, reader, questions, read, args.power)
            rows.append(row(f"{read} passages read", texts, time.perf_counter() - started))
        started = time.perf_counter()
        given = reader(question=questions, context=[example.passages[0] for example in asked], progress=False)
        rows.append(row("passage given", [a["answer"] for a in given], time.perf_counter() - started))
    lost = round(rows[-1]["f1"] - max(r["f1"] for r in rows[:-1]), 2)
    return {**figures, "questions_answered": len(asked), "f1_below_given": lost, "rows": rows}


def on_webqa(reader: Any, args: argparse.Namespace) -> dict[str, Any]:
    """All passages of all questions in one collection."""
    examples = [example for example in read_qa(args.webqa, split="validation") if any(example.answers)]
    passages = list(dict.fromkeys(text for example in examples for text in example.passages))
    number = {text: place for place, text in enumerate(passages)}
    right = [{number[text] for text, found in zip(e.passages, e.answers) if found} for e in examples]
    questions = [example.question for example in examples]
    accepted = {e.id: list(dict.fromkeys(text for found in e.answers for text in found)) for e in examples}
    rows = []
    with tempfile.TemporaryDirectory() as place:
        collection, figures = indexed(passages, Path(place) / "index")
        figures |= {"questions": len(examples), **recalls(collection, questions, right)}
        found = {read: answers(collection, reader, questions, read, args.power) for read in (1, args.read)}
    own = reader(question=questions, passages=[example.passages for example in examples], progress=False)
    results = {f"{read} passages of the collection": texts for read, texts in found.items()}
    results["its own passages given"] = [answer["answer"] for answer in own]
    for what, texts in results.items():
        scores = sogouqa_scores({e.id: text for e, text in zip(examples, texts)}, accepted)
        rows.append({"what": what, "accuracy": round(scores["accuracy"], 4), "f1": round(scores["f1"], 4)})
    return {**figures, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validation", required=True, help="questions with their passages: file, folder or Hub id")
    parser.add_argument("--webqa", help="questions with many passages: file, folder or Hub id")
    parser.add_argument("--model", default=str(REPOSITORY / "model_cards" / "dgcnn-qa-zh"), help="folder or Hub id")
    parser.add_argument("--read", type=int, default=5)
    parser.add_argument("--power", type=float, default=1.0)
    parser.add_argument("--stride", type=int, default=1, help="answer every so many questions; all are searched")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    reader = ReadingComprehensionPipeline(
        model=DGCNNForQuestionAnswering.from_pretrained(args.model),
        tokenizer=DGCNNTokenizer.from_pretrained(args.model),
    )
    figures: dict[str, Any] = {"model": Path(args.model).name, "read": args.read, "power": args.power}
    figures["cmrc2018"] = on_cmrc(reader, args)
    if args.webqa:
        figures["webqa"] = on_webqa(reader, args)
    write_results("collection", figures)


if __name__ == "__main__":
    main()

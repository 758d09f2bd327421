"""Plain sentences that nobody trained on: triples found, and false ones, by kind and by part of the decoding.

    python benchmarks/plain_sentences.py
    python benchmarks/plain_sentences.py --model FOLDER --constraints edges formats --known_threshold 1

The sentences are those of training/data/plain-triples-zh: hand-written ones with their triples, and 500 generated ones
that only mention things together, so that every triple found there is false. A triple is right if subject, predicate
and object are those of the text; one that a sentence allows without asking for it counts neither way. The second table
leaves out one constraint of the decoding at a time, all of them, and the memorised triples. Writes
benchmarks/results/plain_sentences.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from results import REPOSITORY, write_results

from hf_kexue import DGCNNForTripleExtraction, DGCNNTokenizer, TripleExtractionPipeline
from hf_kexue.data.triples.reading import Triple, TripleExample, read_triples
from hf_kexue.dgcnn.constraints_dgcnn import CONSTRAINTS

DATA: dict[str, str] = {}
SENTENCES = REPOSITORY / "training" / "data" / "plain-triples-zh"
Key = tuple[str, str, str]


def read_plain(path: Path) -> list[tuple[str, TripleExample, set[Key]]]:
    """Kind, sentence, and triples that it allows without asking for them."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        (record["kind"], example, {(t["subject"], t["predicate"], t["object"]) for t in record.get("also", ())})
        for record, example in zip(records, read_triples(path))
    ]


def key(triple: Triple) -> Key:
    return triple.subject, triple.predicate, triple.object


def count(
    pipeline: TripleExtractionPipeline, sentences: Sequence[tuple[str, TripleExample, set[Key]]], **settings: Any
) -> list[dict[str, Any]]:
    """Sentences, triples, found and false ones, a row for each kind."""
    rows: dict[str, dict[str, Any]] = {}
    results = pipeline([example.text for _, example, _ in sentences], batch_size=32, progress=False, **settings)
    for (kind, example, allowed), triples in zip(sentences, results):
        row = rows.setdefault(kind, {"kind": kind, "sentences": 0, "triples": 0, "found": 0, "false": 0})
        gold = set(map(key, example.triples))
        given = {(t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in triples}
        row["sentences"] += 1
        row["triples"] += len(gold)
        row["found"] += len(gold & given)
        row["false"] += len(given - gold - allowed)
    return list(rows.values())


def total(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {name: sum(row[name] for row in rows) for name in ("triples", "found", "false")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default=str(REPOSITORY / "model_cards" / "dgcnn-triples-zh"), help="folder or Hub id"
    )
    parser.add_argument(
        "--constraints", nargs="*", choices=CONSTRAINTS, default=list(CONSTRAINTS), help="default: all"
    )
    parser.add_argument("--known_threshold", type=float, default=0.5, help="1: no memorised triples")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pipeline = TripleExtractionPipeline(
        model=DGCNNForTripleExtraction.from_pretrained(args.model, dtype=torch.float32),
        tokenizer=DGCNNTokenizer.from_pretrained(args.model),
    )
    plain, mentioned = (read_plain(SENTENCES / name) for name in ("test.jsonl", "mentioned.jsonl"))
    chosen = {"constraints": args.constraints, "known_threshold": args.known_threshold}
    rows = count(pipeline, plain, **chosen)
    variants: dict[str, dict[str, Any]] = {"all": {}}
    variants |= {
        f"without {part}": {"constraints": [p for p in args.constraints if p != part]} for part in args.constraints
    }
    variants |= {"without any of them": {"constraints": False}, "without memorised triples": {"known_threshold": 1.0}}
    decoding = []
    for name, changed in variants.items():
        counted = total(count(pipeline, plain, **{**chosen, **changed}))
        false = total(count(pipeline, mentioned, **{**chosen, **changed}))["false"]
        decoding.append({"decoding": name, **counted, "false_among_mentioned_together": false})
    figures = {
        "model": Path(args.model).name, **chosen,
        "rows": [
            *rows, {"kind": "all", "sentences": len(plain), **total(rows)}, *count(pipeline, mentioned, **chosen),
        ],
        "decoding": decoding,
    }  # fmt: skip
    write_results("plain_sentences", figures)


if __name__ == "__main__":
    main()

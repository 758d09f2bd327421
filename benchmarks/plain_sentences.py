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
from hf_kexue.data.triples.reading import TripleExample, read_triples
from hf_kexue.dgcnn.constraints_dgcnn import CONSTRAINTS, FoundTriples, constrained
from hf_kexue.dgcnn.sentences_dgcnn import sentence_ends

DATA: dict[str, str] = {}
SENTENCES = REPOSITORY / "training" / "data" / "plain-triples-zh"
Key = tuple[str, str, str]
Plain = tuple[str, TripleExample, set[Key]]  # kind, sentence, triples that it allows without asking for them


def read_plain(path: Path) -> list[Plain]:
    """The sentences of a file."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        (record["kind"], example, {(t["subject"], t["predicate"], t["object"]) for t in record.get("also", ())})
        for record, example in zip(records, read_triples(path))
    ]


def count(
    sentences: Sequence[Plain], found: Sequence[FoundTriples], schema: Any, constraints: Sequence[str]
) -> list[dict[str, Any]]:
    """Sentences, triples, found and false ones, a row for each kind; the network's triples under these constraints."""
    rows: dict[str, dict[str, Any]] = {}
    for (kind, example, allowed), free in zip(sentences, found):
        row = rows.setdefault(kind, {"kind": kind, "sentences": 0, "triples": 0, "found": 0, "false": 0})
        gold = {(triple.subject, triple.predicate, triple.object) for triple in example.triples}
        kept = constrained(free, example.text, schema, constraints, [0, *sentence_ends(example.text)])
        given = {
            (example.text[slice(*subject)], schema[number]["predicate"], example.text[slice(*other)])
            for subject, number, other in kept
        }
        row["sentences"] += 1
        row["triples"] += len(gold)
        row["found"] += len(gold & given)
        row["false"] += len(given - gold - allowed)
    return list(rows.values())


def free_triples(
    pipeline: TripleExtractionPipeline, sentences: Sequence[Plain], known_threshold: float
) -> list[FoundTriples]:
    """What the pipeline finds in each sentence without constraints."""
    numbers = {entry["predicate"]: number for number, entry in enumerate(pipeline.model.schema)}
    texts = [example.text for _, example, _ in sentences]
    results = pipeline(texts, batch_size=32, progress=False, constraints=False, known_threshold=known_threshold)
    return [
        {
            (_place(triple["subject"]), numbers[triple["predicate"]], _place(triple["object"])): triple["score"]
            for triple in triples
        }
        for triples in results
    ]


def _place(mention: dict[str, Any]) -> tuple[int, int]:
    return mention["start"], mention["end"]


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
    schema = pipeline.model.schema
    found = {
        known: [free_triples(pipeline, sentences, known) for sentences in (plain, mentioned)]
        for known in dict.fromkeys((args.known_threshold, 1.0))
    }
    variants = {"all": (args.constraints, args.known_threshold)}
    for part in args.constraints:
        variants[f"without {part}"] = [name for name in args.constraints if name != part], args.known_threshold
    variants |= {
        "without any of them": ([], args.known_threshold),
        "without memorised triples": (args.constraints, 1.0),
    }
    decoding = []
    for name, (parts, known) in variants.items():
        counted = total(count(plain, found[known][0], schema, parts))
        false = total(count(mentioned, found[known][1], schema, parts))["false"]
        decoding.append({"decoding": name, **counted, "false_among_mentioned_together": false})
    rows, others = (
        count(sentences, free, schema, args.constraints)
        for sentences, free in zip((plain, mentioned), found[args.known_threshold])
    )
    figures = {
        "model": Path(args.model).name, "constraints": args.constraints, "known_threshold": args.known_threshold,
        "rows": [
            *rows, {"kind": "all", "sentences": len(plain), **total(rows)}, *others,
        ],
        "decoding": decoding,
    }  # fmt: skip
    write_results("plain_sentences", figures)


if __name__ == "__main__":
    main()

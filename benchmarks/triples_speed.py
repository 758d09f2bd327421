"""Sentences per second of the published triple extraction against the same cascade on BERTs.

    python benchmarks/triples_speed.py --validation DUIE2

Batches of 32 sentences from the validation data: encoder, decoding of subjects, all their objects in one pass,
decoding of objects, and for the published model the search for memorised triples; tokenising is left out. All models
have the same precision and threads and alternate in one process; the best round of each counts, since other load only
makes a pass slower. The BERTs have random weights, so each decodes what the published model scored:
all have the same subjects to look for objects of. Writes benchmarks/results/triples_speed.json.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from bert_cascade import BertForTripleExtraction
from results import REPOSITORY, write_results
from timing import best_seconds
from torch import Tensor

from hf_kexue import DGCNNForTripleExtraction, DGCNNTokenizer, TriplePrior
from hf_kexue.data.triples.reading import read_triples
from hf_kexue.dgcnn.decoding_dgcnn_triples import allowed_predicates, decode_objects, decode_subjects
from hf_kexue.training.environment import fastest_precision

DATA = {"--validation": "duie2"}
BATCH = 32
OURS = "DGCNN triples"
PEERS = {"BERT, 4 layers, 128 wide": (4, 128), "BERT, 12 layers, 768 wide (BERT-base)": (12, 768)}


class Batch(NamedTuple):
    """Texts, and the arguments of a model for them."""

    texts: list[str]
    inputs: dict[str, Tensor]


def batches(tokenizer: DGCNNTokenizer, model: DGCNNForTripleExtraction, texts: list[str]) -> list[Batch]:
    """Texts of like lengths together, as the pipeline does."""
    texts = sorted(texts, key=len)
    prior = TriplePrior(tokenizer.triple_prior or [], len(model.schema)) if model.config.triple_prior else None
    found = []
    for begin in range(0, len(texts), BATCH):
        rows = texts[begin : begin + BATCH]
        encoded = tokenizer(
            rows, add_special_tokens=False, truncation=True, max_length=256, padding=True, return_offsets_mapping=True,
            return_tensors="pt",
        )  # fmt: skip
        batch = {name: encoded[name] for name in ("input_ids", "attention_mask", "word_input_ids") if name in encoded}
        if prior is not None:
            offsets = encoded["offset_mapping"].numpy()
            batch["prior"] = torch.from_numpy(np.stack([prior.features(*row) for row in zip(rows, offsets)]))
        found.append(Batch(rows, batch))
    return found


def extract(
    model: DGCNNForTripleExtraction, batch: Batch, scored: dict[str, Any] | None, known: TriplePrior | None = None
) -> dict[str, Any]:
    """Extract the triples of one batch.

    Args:
        model, batch: of this cascade.
        scored: scores to decode; None: those of the model.
        known: memorised triples to look up, or None.

    Returns:
        `subjects` (B, L, 2T) and `objects` (N, L, 2C) probabilities, and `count`, the number of triples.
    """
    if known is not None:
        for text in batch.texts:
            known.nearest(text)
    start, end, object_start, object_end = model.config.triple_thresholds
    inputs: Any = batch.inputs
    logits, states = model.extract_subjects(**inputs)
    subject_scores = logits.float().sigmoid().numpy()
    places, allowed = [], []
    for row, table in enumerate(subject_scores if scored is None else scored["subjects"]):
        for subject in decode_subjects(table, start, end):
            places.append((row, subject.first, subject.last))
            allowed.append(allowed_predicates(model.schema, model.subject_types, subject.types))
    if not places:
        return {"subjects": subject_scores, "objects": np.zeros((0, 0, 0)), "count": 0}
    object_scores = model.extract_objects(states, torch.tensor(places)).float().sigmoid().numpy()
    tables = object_scores if scored is None else scored["objects"]
    count = sum(len(decode_objects(table, object_start, object_end, some)) for table, some in zip(tables, allowed))
    return {"subjects": subject_scores, "objects": object_scores, "count": count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validation", required=True, help="file, folder or Hub id with sentences")
    parser.add_argument("--model", type=Path, default=REPOSITORY / "model_cards" / "dgcnn-triples-zh")
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    dtype = torch.bfloat16 if fastest_precision(torch.device("cpu")) == "bf16" else torch.float32

    ours = DGCNNForTripleExtraction.from_pretrained(args.model).eval()
    everything = read_triples(args.validation, split="validation")
    texts = [example.text for example in everything[:: max(1, len(everything) // (args.batches * BATCH))]]
    tokenizer = DGCNNTokenizer.from_pretrained(args.model)
    data = batches(tokenizer, ours, texts[: args.batches * BATCH])
    finds_known = ours.config.known_triple_scores is not None
    known = TriplePrior(tokenizer.triple_prior or [], len(ours.schema)) if finds_known else None
    models = {OURS: ours} | {
        name: BertForTripleExtraction(ours.config, *shape, 21128) for name, shape in PEERS.items()
    }
    models = {name: model.to(dtype).eval() for name, model in models.items()}
    with torch.inference_mode():
        scored = [extract(models[OURS], batch, None) for batch in data]

        def extract_all(name: str) -> None:
            for batch, scores in zip(data, scored):
                extract(models[name], batch, scores, known if name == OURS else None)

        best = best_seconds({name: partial(extract_all, name) for name in models}, args.rounds)
    sentences = sum(len(batch.texts) for batch in data)
    rows = [
        {
            "model": name,
            "parameters": sum(p.numel() for p in models[name].parameters()),
            "sentences_per_second": round(sentences / seconds, 1),
            "ours_over_this": round(seconds / best[OURS], 2),
        }
        for name, seconds in best.items()
    ]
    figures = {
        "precision": str(dtype).removeprefix("torch."), "threads": args.threads, "batch": BATCH,
        "sentences": sentences, "characters_per_sentence": round(sum(map(len, texts)) / len(texts), 1),
        "triples_decoded": sum(found["count"] for found in scored), "rounds": args.rounds, "rows": rows,
    }  # fmt: skip
    write_results("triples_speed", figures)


if __name__ == "__main__":
    main()

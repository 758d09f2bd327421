"""Triples after equal CPU time: DGCNN beside both networks of gliner2, all from random weights.

    python benchmarks/peers_triples.py --train DUIE2 --validation DUIE2
    python benchmarks/peers_triples.py --train DUIE2 --validation DUIE2 --cpu_seconds 60 --limit 100    # a trial

All learn the same sentences in the same order by the recipe of timed_training.py: batches of 32 of similar length,
AdamW, a warm-up and a cosine that ends with the time, averaged weights. Nothing but the steps counts as time.

- "hf_kexue DGCNN": preset `triples` with its loss and its samples, without a pre-trained trunk.
- "gliner2 span", "gliner2 boundary": the two networks of gliner2 2.1.0, in an environment of its own, with its own
  loss and collator, over a BERT with about as many parameters outside of embeddings as the whole DGCNN has. In
  training each sentence is asked for its predicates and for random others, --asked together; for use all are asked,
  in groups of that size. See gliner2_triples.py.

200 training sentences are left out of the training: the thresholds, four of DGCNN and one of gliner2, are those with
the highest F1 on them. Then all validation sentences are scored by the scorer of DuIE 1.0, as by `hf-kexue evaluate`.
--learning_rate is that of all. Existing rows are kept. Run it with one thread. Writes
benchmarks/results/peers_triples.json.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from gliner2_triples import build_peer, character_tokenizer
from peer_environments import peer_environment
from peers_readers import sizes
from results import rows_before, write_results
from scripts import load_script, preset_arguments
from timed_training import BATCH, endless_batches, train_for_seconds
from torch import Tensor, nn

from hf_kexue import DGCNNConfig, TripleExtractionPipeline
from hf_kexue.data.triples.reading import TripleExample, read_triples
from hf_kexue.data.triples.samples import TripleCollator, TripleDataset
from hf_kexue.data.triples.schemas import build_schema
from hf_kexue.dgcnn.thresholds_dgcnn_triples import ThresholdSearch, triple_candidates
from hf_kexue.inference.evaluation import evaluate_triples

DATA = {"--train": "duie2", "--validation": "duie2"}
PEER = ["gliner2==2.1.0"]  # what it needs is here
PRESET, SWAP_MENTIONS = "triples", 0.3  # the share of swapped mentions is the preset's, for all
TUNING = 200
THRESHOLDS = [round(0.1 * number, 1) for number in range(1, 10)]

Extract = Callable[..., list[list[dict[str, Any]]]]


class Contestant(NamedTuple):
    """A network with its collator, its loss (a batch to a scalar), what changes at a step (share of the time, steps),
    and `tune`, which finds thresholds on sentences and returns them with what extracts triples by them."""

    network: nn.Module
    collate: Callable[[list[Any]], Any]
    loss: Callable[[Any], Tensor]
    tune: Callable[[list[TripleExample]], tuple[list[float], Extract]]
    at_step: Callable[[float, int], None] | None = None


def dgcnn(examples: Sequence[TripleExample], schema: list[dict[str, Any]], asked: int) -> Contestant:
    script, args = load_script("train_dgcnn_triples"), preset_arguments("train_dgcnn_triples", "--preset", PRESET)
    tokenizer = script.build_tokenizer(args, examples, schema)
    network = script.build_model(args, tokenizer, schema)
    collator = TripleCollator(
        tokenizer, schema, network.subject_types, sampling=args.sampling, negatives=args.negatives,
        all_occurrences=args.all_occurrences, max_characters=args.max_characters, zero_ids=args.zero_ids,
    )  # fmt: skip
    longest = args.max_characters

    def tune(sentences: list[TripleExample]) -> tuple[list[float], Extract]:
        texts = [example.text for example in sentences]
        search = ThresholdSearch(
            triple_candidates(network, tokenizer, texts, max_length=longest), script.gold(sentences)
        )
        network.config.triple_thresholds = search.best(DGCNNConfig().triple_thresholds)
        pipeline = TripleExtractionPipeline(
            model=network, tokenizer=tokenizer, max_seq_len=longest, split_above=longest
        )
        return network.config.triple_thresholds, pipeline

    return Contestant(network, collator, lambda batch: network(**batch).loss, tune)


def gliner2(
    architecture: str, examples: Sequence[TripleExample], schema: list[dict[str, Any]], asked: int
) -> Contestant:
    names = [entry["predicate"] for entry in schema]
    peer = build_peer(architecture, character_tokenizer([e.text for e in examples], names), names, asked)

    def tune(sentences: list[TripleExample]) -> tuple[list[float], Extract]:
        extracts = {threshold: partial(peer.extract, threshold=threshold) for threshold in THRESHOLDS}
        f1 = {threshold: evaluate_triples(extracts[threshold], sentences)["f1"] for threshold in THRESHOLDS}
        # Of equals the one that is nearest to gliner2's default.
        best = max(THRESHOLDS, key=lambda threshold: (f1[threshold], -abs(threshold - 0.5)))
        return [best], extracts[best]

    return Contestant(peer.network, peer.collate, peer.loss, tune, peer.at_step)


CONTESTANTS: dict[str, Callable[[Sequence[TripleExample], list[dict[str, Any]], int], Contestant]] = {
    "hf_kexue DGCNN": dgcnn,
    "gliner2 span": partial(gliner2, "span"),
    "gliner2 boundary": partial(gliner2, "boundary"),
}


def split_for_tuning(
    examples: Sequence[TripleExample], count: int = TUNING
) -> tuple[list[TripleExample], list[TripleExample]]:
    """Sentences to learn from, and `count` others, a random choice that is always the same."""
    order = np.random.default_rng(0).permutation(len(examples))
    return [examples[number] for number in sorted(order[count:])], [examples[number] for number in order[:count]]


def measure(
    name: str, args: argparse.Namespace, sentences: Sequence[TripleExample], held_out: Sequence[TripleExample]
) -> dict[str, Any]:
    """The row of a network."""
    torch.manual_seed(0)
    examples, tuning = split_for_tuning(sentences)
    schema = build_schema(sentences)
    contestant = CONTESTANTS[name](examples, schema, args.asked)
    dataset = TripleDataset(examples, schema, swap_mentions=SWAP_MENTIONS)
    batches = endless_batches(dataset, contestant.collate, [len(example.text) for example in examples])
    steps = train_for_seconds(
        contestant.network, contestant.loss, batches, args.cpu_seconds, args.learning_rate, contestant.at_step
    )
    contestant.network.eval()
    thresholds, extract = contestant.tune(tuning[: args.limit])
    scores = evaluate_triples(extract, held_out)
    parameters, tables = sizes(contestant.network)
    return {
        "network": name, **{key: round(scores[key], 4) for key in ("precision", "recall", "f1")},
        "thresholds": thresholds, "steps": steps, "sentences_seen": steps * BATCH, "parameters": parameters,
        "parameters_without_embeddings": parameters - tables,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--cpu_seconds", type=float, default=1800, help="in training steps, each")
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--asked", type=int, default=9, help="predicates that gliner2 is asked for together")
    parser.add_argument("--limit", type=int, help="validation sentences; then nothing is written")
    parser.add_argument("--networks", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    args = parser.parse_args()
    python = peer_environment("gliner2", PEER)
    if Path(sys.prefix) != python.parents[1]:
        os.execv(python, [str(python), *sys.argv])
    sentences = [example for source in args.train for example in read_triples(source)]
    held_out = read_triples(args.validation, split="validation")[: args.limit]
    setting = {
        "cpu_seconds": args.cpu_seconds, "learning_rate": args.learning_rate, "sentences_per_step": BATCH,
        "predicates_asked_together": args.asked, "peers": ", ".join(PEER),
    }  # fmt: skip
    rows = rows_before("peers_triples", setting)
    for name in [name for name in args.networks if not [row for row in rows if row["network"] == name]]:
        rows.append(measure(name, args, sentences, held_out))
        print(rows[-1], flush=True)
        if args.limit is None:
            write_results("peers_triples", {**setting, "rows": rows})


if __name__ == "__main__":
    main()

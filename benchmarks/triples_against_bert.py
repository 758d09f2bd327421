"""The published triple extraction against the same cascade on a BERT of its size: same data, same time.

    python benchmarks/triples_against_bert.py --train DUIE2 DUIE1 --validation DUIE2

A BERT with 4 layers of width 128 and random weights gets the published model's head, loss, tokenizer (characters
alone), sampling of subjects and augmentation, and learns for as many seconds of CPU time in training steps (excluding
the collation of batches) as all stages of `model_cards/results/dgcnn-triples-zh.json` together had. Learning rate and
warm-up are its own (--learning_rate); the schedule ends with the time. Thresholds are searched on the validation
sentences for both. Run it with as many threads as the published model was trained with. Writes
benchmarks/results/triples_against_bert.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from bert_cascade import BertForTripleExtraction
from results import REPOSITORY, write_results
from timed_training import BATCH, endless_batches, train_for_seconds

from hf_kexue import DGCNNConfig, DGCNNTokenizer, TriplePrior
from hf_kexue.data.triples.reading import add_inverses, read_triples
from hf_kexue.data.triples.samples import TripleCollator, TripleDataset
from hf_kexue.dgcnn.thresholds_dgcnn_triples import ThresholdSearch, crossed_counts, triple_candidates, triple_figures

PUBLISHED = REPOSITORY / "model_cards" / "dgcnn-triples-zh"
DATA = {"--train": "duie2", "--validation": "duie2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="+", required=True, help="the published model's training data, in its order")
    parser.add_argument("--validation", required=True)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--seconds", type=float, help="of CPU time; default: the published model's")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--save", type=Path, help="file for the weights of the trained BERT (safetensors)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    published: dict[str, Any] = json.loads((PUBLISHED.parent / "results" / f"{PUBLISHED.name}.json").read_text())
    seconds = args.seconds or sum(stage["cpu_seconds"] for stage in published["stages"])
    options = published["data_options"]

    tokenizer, config = DGCNNTokenizer.from_pretrained(PUBLISHED), DGCNNConfig.from_pretrained(PUBLISHED)
    model = BertForTripleExtraction(config, 4, 128)
    prior = TriplePrior(tokenizer.triple_prior or [], len(model.schema)) if config.triple_prior else None
    examples = [example for source in args.train for example in read_triples(source)]
    if options["inverse"] or options["symmetric"]:
        examples = add_inverses(examples, dict(pair.split("=") for pair in options["inverse"]), options["symmetric"])
    dataset = TripleDataset(examples, model.schema, 0, swap_mentions=options["swap_mentions"])
    of_collator = ("sampling", "negatives", "all_occurrences", "max_characters", "zero_ids")
    collator = TripleCollator(
        tokenizer, model.schema, model.subject_types, prior=prior, **{key: options[key] for key in of_collator}
    )
    batches = endless_batches(dataset, collator)
    steps = train_for_seconds(model, lambda batch: model(**batch).loss, batches, seconds, args.learning_rate)
    model.eval()
    held_out = read_triples(args.validation, split="validation")
    texts = [example.text for example in held_out]
    gold = [[(t.subject, t.predicate, t.object) for t in example.triples] for example in held_out]
    found = triple_candidates(model, tokenizer, texts, prior=prior, max_length=options["max_characters"])
    search, begin = ThresholdSearch(found, gold), DGCNNConfig().triple_thresholds
    scores = search.scores(search.best(begin)) | {
        "f1_of_crossed_thresholds": triple_figures(*crossed_counts(found, gold, begin))["f1"]
    }
    if args.save:
        from safetensors.torch import save_model

        save_model(model, str(args.save))
    keys = ("precision", "recall", "f1", "f1_of_crossed_thresholds")
    rows = [
        {"model": "DGCNN triples", **{key: round(published["validation"][key], 4) for key in keys}},
        {"model": "BERT, 4 layers, 128 wide", **{key: round(scores[key], 4) for key in keys}},
    ]
    figures = {
        "rows": rows, "f1_ahead": round(rows[0]["f1"] - rows[1]["f1"], 4), "cpu_seconds": seconds, "bert_steps": steps,
        "sentences_per_step": BATCH, "bert_parameters": sum(p.numel() for p in model.parameters()),
        "learning_rate": args.learning_rate, "threads": args.threads,
    }  # fmt: skip
    write_results("triples_against_bert", figures)


if __name__ == "__main__":
    main()

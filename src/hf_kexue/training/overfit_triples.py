"""Overfit a small network on a few sentences with triples: if that fails, the data are faulty.

    f1 = overfit_triples(read_triples("train.jsonl.gz"))     # about a minute on one core
    print(verdict(f1))

Covers training and extraction: schema, tokenizer, labels, model, decoding, offsets and scorer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..data.triples.reading import TripleExample
from ..data.triples.samples import TripleCollator, TripleDataset
from ..data.triples.schemas import build_schema
from ..dgcnn.configuration_dgcnn import DGCNNConfig
from ..dgcnn.modeling_dgcnn_triples import DGCNNForTripleExtraction
from ..dgcnn.pipeline_dgcnn_triples import TripleExtractionPipeline
from ..dgcnn.tokenization_dgcnn import DGCNNTokenizer
from ..metrics.triples import triple_scores

SCORE_EVERY = 20  # steps between two scores


def overfit_triples(
    examples: Sequence[TripleExample],
    schema: Sequence[Mapping[str, Any]] | None = None,
    sentences: int = 16,
    steps: int = 400,
    learning_rate: float = 1e-2,
    hidden_size: int = 48,
    seed: int = 0,
    progress: bool = True,
) -> float:
    """Train a small new network on the first sentences that have triples, and extract from the same sentences.

    Args:
        examples: of `read_triples`.
        schema: entries as of `build_schema`; triples of other predicates are dropped. None: built from the sentences.
        sentences: number to learn.
        steps: at most; stops at F1 1.
        learning_rate: of Adam.
        hidden_size: width of the network.
        seed: of its weights. The global generator of torch is restored.
        progress: show a progress bar.

    Returns:
        The highest F1 of `triple_scores`, in [0, 1]: 1 for learnable data.

    Raises:
        ValueError: if no sentence has a triple of the schema, or for numbers below 1.
    """
    from tqdm.auto import tqdm

    if sentences < 1 or steps < 1:
        raise ValueError(f"sentences and steps must be at least 1, got {sentences} and {steps}.")
    entries = build_schema(examples) if schema is None else schema
    dataset = TripleDataset(examples, entries, seed)
    dataset.examples = chosen = [example for example in dataset.examples if example.triples][:sentences]
    if not chosen:
        raise ValueError("No sentence has a triple of the schema: there is nothing to learn.")
    used_schema = build_schema(chosen)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tokenizer = DGCNNTokenizer.from_texts([e.text for e in chosen], min_count=1, segmenter="none")
        model = DGCNNForTripleExtraction(
            DGCNNConfig(
                vocab_size=len(tokenizer), hidden_size=hidden_size, dilations=[1, 2, 5, 1], gate_dropout=0.0,
                hidden_dropout=0.0, initializer_range=0.1, triple_schema=used_schema,
            )
        )  # fmt: skip
        longest = max(len(example.text) for example in chosen)
        collate = TripleCollator(
            tokenizer, used_schema, model.subject_types, sampling="all", max_characters=longest, seed=seed
        )
        pipeline = TripleExtractionPipeline(model=model, tokenizer=tokenizer)
        optimizer = torch.optim.Adam(model.parameters(), learning_rate)
        best = 0.0
        with tqdm(total=steps, desc="overfit", disable=not progress) as bar:
            for step in range(1, steps + 1):
                dataset.set_epoch(step)
                model.train()
                loss = model(**collate([dataset[index] for index in range(len(dataset))])).loss
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                bar.update()
                if step % SCORE_EVERY == 0 or step == steps:
                    best = max(best, _score(pipeline, chosen, longest))
                    bar.set_postfix(f1=f"{best:.3f}")
                    if best == 1.0:
                        break
    return best


def verdict(f1: float) -> str:
    """Explain the result of `overfit_triples`."""
    if f1 == 1.0:
        return "Overfit: F1 1.000; these sentences can be learned."
    return (
        f"Overfit: F1 {f1:.3f} instead of 1; these sentences cannot be learned. Look above for mentions that are not "
        "in their text or hidden behind a shorter one, and for equal texts with different triples."
    )


def _score(pipeline: TripleExtractionPipeline, examples: Sequence[TripleExample], longest: int) -> float:
    texts = [example.text for example in examples]
    results = pipeline(texts, max_seq_len=longest, split_above=longest)
    predicted = [[(t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in triples] for triples in results]
    gold = [[(t.subject, t.predicate, t.object) for t in example.triples] for example in examples]
    return triple_scores(list(zip(texts, predicted)), list(zip(texts, gold)))["f1"]

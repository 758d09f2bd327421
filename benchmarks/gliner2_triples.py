"""The networks of gliner2 for triples: from random weights, over a small BERT and characters, with nothing downloaded.

    peer = build_peer("boundary", tokenizer, names, asked=9, seed=0)
    peer.loss(peer.collate(samples)).backward()
    peer.extract(["《邪少兵王》是冰火未央写的小说"])

gliner2 reads the names of relations before the text, and scores spans as their heads and tails. Each sentence is asked
for all predicates that it has and for random others, `asked` together; for use all of them are asked, in groups of
that size. A predicate without a triple has an empty head and tail, as gliner2's own schemas for use have.

Importing this module does not import gliner2; `build_peer` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import BertConfig, PreTrainedTokenizerFast

from hf_kexue.data.triples.reading import TripleExample

Request = tuple[str, dict[str, Any]]
ROLES = ("head", "tail")
WIDTH, LAYERS = 128, 6  # of the BERT: 1.19 million parameters outside of embeddings
MAX_CHARACTERS, MAX_POSITIONS = 256, 1024  # of a text; of a text and what it is asked for
WIDEST = 16  # characters of a mention for the span network; 99 % of the mentions of DuIE 2.0 are no wider
# Settings of both networks: those of gliner2, but for the width of mentions and a head for records that is not used.
HEADS: dict[str, dict[str, Any]] = {
    "span": {"span_head": {"max_width": WIDEST}},
    "boundary": {"boundary_head": {"enable_records": False}},
}


def character_tokenizer(texts: Iterable[str], names: Sequence[str], min_count: int = 2) -> PreTrainedTokenizerFast:
    """A tokenizer of single characters; "head" and "tail" are one token each.

    Args:
        texts: whose characters, in lower case as gliner2 reads them, it knows from `min_count` on.
        names: predicates, whose characters it knows too.
        min_count: rarer characters are "[UNK]".
    """
    counts = Counter(character for text in texts for character in text.lower())
    known = [character for character, count in counts.items() if count >= min_count]
    pieces = dict.fromkeys(["[PAD]", "[UNK]", *"(),|", *"".join(names), *known])
    core = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]")
    tokenizer.add_tokens(list(ROLES))
    return tokenizer


def request(example: TripleExample, names: Sequence[str], asked: int, generator: np.random.Generator) -> Request:
    """A sentence with its triples and with predicates that it lacks, in the form of gliner2's training data.

    Args:
        example: its text is cut after 256 characters; triples whose mentions do not stand in the rest are left out.
        names: of all predicates.
        asked: how many are asked for together; more, where the sentence has more.
        generator: draws those that it lacks.

    Returns:
        The text, and {"relations": [{name: {"head": mention, "tail": mention}}, ...]}, empty mentions for a predicate
        that the sentence lacks.
    """
    text = example.text[:MAX_CHARACTERS]
    facts = [t for t in example.triples if t.subject in text and t.object in text and t.predicate in names]
    has = {triple.predicate for triple in facts}
    lacks = [name for name in names if name not in has]
    drawn = generator.permutation(len(lacks))[: max(asked - len(has), 0)]
    relations = [{triple.predicate: dict(zip(ROLES, (triple.subject, triple.object)))} for triple in facts]
    return text, {"relations": relations + [{lacks[number]: dict.fromkeys(ROLES, "")} for number in drawn]}


def build_peer(
    architecture: str, tokenizer: PreTrainedTokenizerFast, names: Sequence[str], asked: int, seed: int = 0
) -> Peer:
    """A network of gliner2 with random weights.

    Args:
        architecture: "span", the network of its paper (arXiv 2507.18546), or "boundary", the later one.
        tokenizer: of `character_tokenizer`; gets the marks of gliner2.
        names: of all predicates.
        asked: predicates of a request.
        seed: of what is asked.
    """
    from gliner2 import BoundaryExtractor, ExtractorConfig, SpanExtractor
    from gliner2.processor import SchemaTransformer

    SchemaTransformer(tokenizer=tokenizer)  # adds its marks, which belong to the vocabulary of the BERT
    encoder = BertConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=WIDTH // 64,
        intermediate_size=4 * WIDTH, max_position_embeddings=MAX_POSITIONS, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    config = ExtractorConfig(model_name="none", architecture=architecture, **HEADS[architecture])
    make = {"span": SpanExtractor, "boundary": BoundaryExtractor}[architecture]
    network = make(config, encoder_config=encoder, tokenizer=tokenizer, word_splitter="char")
    # gliner2 would drop each triple with this chance and still ask for its predicate where the sentence has another.
    network.processor.sampling_config.remove_relations_prob = 0.0
    return Peer(network, names, asked, seed)


class Peer:
    """A network of gliner2 with its own collator and loss.

    Args:
        network: `SpanExtractor` or `BoundaryExtractor` of gliner2.
        names, asked, seed: as of `build_peer`.
    """

    def __init__(self, network: Any, names: Sequence[str], asked: int, seed: int = 0) -> None:
        from gliner2.training.trainer import ExtractorCollator

        if asked < 1:
            raise ValueError(f"asked must be at least 1, got {asked}.")
        self.network: nn.Module = network
        self.names, self.asked = list(names), asked
        self.generator = np.random.default_rng(seed)
        self.collator = ExtractorCollator(
            network.processor, architecture=network.architecture, on_capacity_exceeded="truncate_with_warning"
        )

    def collate(self, samples: Sequence[TripleExample]) -> Any:
        """A batch of gliner2."""
        return self.collator([request(sample, self.names, self.asked, self.generator) for sample in samples])

    def loss(self, batch: Any) -> Tensor:
        """Its own loss, a scalar."""
        output = self.network(batch)
        loss: Tensor = output["total_loss"] if isinstance(output, dict) else output.total_loss
        return loss

    def at_step(self, share: float, step: int) -> None:
        """What gliner2's trainer changes on the way, for the boundary network: gold spans are given to its second
        stage always in the first 15 % of the training, then less, 25 % at its end; two parts of the loss are weighted
        by the step.

        Args:
            share: of the training that is over, in [0, 1].
            step: steps that are over.
        """
        head: Any = getattr(self.network, "boundary_head", None)
        if head is not None:
            head.set_gold_injection_prob(1 - 0.75 * max(share - 0.15, 0.0) / 0.85)
            head.set_consistency_scale(min(step / head.settings.consistency_warmup_steps, 1.0))
            head.set_soft_iou_scale(max(1 - step / head.settings.soft_iou_anneal_steps, 0.0))

    @torch.no_grad()
    def extract(
        self, texts: Sequence[str], batch_size: int = 32, threshold: float = 0.5
    ) -> list[list[dict[str, Any]]]:
        """The triples of texts, in the form of `TripleExtractionPipeline`: of each its "predicate", and the "text" of
        "subject" and "object".

        Args:
            texts: cut after 256 characters.
            batch_size: texts that run together; texts of like lengths do.
            threshold: of gliner2, in [0, 1].
        """
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        found: list[list[dict[str, Any]]] = [[] for _ in texts]
        network: Any = self.network
        for first in range(0, len(self.names), self.asked):
            answers = network.batch_extract_relations(
                [texts[number][:MAX_CHARACTERS] for number in order], self.names[first : first + self.asked],
                batch_size=batch_size, threshold=threshold,
            )  # fmt: skip
            for number, answer in zip(order, answers, strict=True):
                found[number] += [
                    {"subject": {"text": head}, "predicate": name, "object": {"text": tail}}
                    for name, pairs in answer["relation_extraction"].items()
                    for head, tail in pairs
                ]
        return found

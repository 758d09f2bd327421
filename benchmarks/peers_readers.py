"""Answers after equal CPU time: the reader beside a BERT and a QANet of its size, all from random weights.

    python benchmarks/peers_readers.py --train CMRC2018 --validation CMRC2018

All three learn the same questions in the same order, half of them made of the passages, by the recipe of
timed_training.py: batches of 32, AdamW, a warm-up and a cosine that ends with the time, averaged weights. The reader
is preset `reader-fast`. The others have about as many parameters outside of embeddings, and the same characters, QANet
(qanet.py) also the words that hold them: three layers of 256 in `BertForQuestionAnswering`; 176 wide, eight heads and
seven blocks in QANet. --learning_rate is that of all. Existing rows are kept. Writes
benchmarks/results/peers_readers.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from qanet import QANet
from reader_against_bert import COLUMNS, answer
from results import rows_before, write_results
from scripts import load_script, preset_arguments
from timed_training import BATCH, endless_batches, train_for_seconds
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import BertConfig, BertForQuestionAnswering

from hf_kexue import DGCNNTokenizer, ReadingComprehensionPipeline, cmrc2018_scores
from hf_kexue.data.questions.cloze import ClozeQuestions
from hf_kexue.data.questions.reading import QAExample, read_qa
from hf_kexue.data.questions.samples import ReadingCollator, ReadingDataset
from hf_kexue.inference.evaluation import evaluate_reader

DATA = {"--train": "cmrc2018", "--validation": "cmrc2018"}
MAX_CHARACTERS, CLOZE_SHARE, ZERO_IDS = 256, 0.5, 0.05


class Contestant(NamedTuple):
    """A network with its loss, a batch to a scalar, and its scores on questions: "exact_match" and "f1"."""

    network: nn.Module
    loss: Callable[[dict[str, Tensor]], Tensor]
    score: Callable[[list[QAExample]], dict[str, Any]]


def reader(tokenizer: DGCNNTokenizer) -> Contestant:
    script = load_script("train_dgcnn_qa")
    network = script.build_model(preset_arguments("train_dgcnn_qa", "--preset", "reader-fast"), tokenizer)

    def score(examples: list[QAExample]) -> dict[str, Any]:
        return evaluate_reader(ReadingComprehensionPipeline(model=network, tokenizer=tokenizer), examples, "cmrc2018")

    return Contestant(network, lambda batch: network(**batch).loss, score)


def peer(network: nn.Module, tokenizer: DGCNNTokenizer, columns: Sequence[str]) -> Contestant:
    """One with the interface of `BertForQuestionAnswering`."""

    def loss(batch: dict[str, Tensor]) -> Tensor:
        # Without an answer argmax is 0, the first token, as SQuAD 2 has it.
        labels = {f"{side}_positions": batch[f"{side}_labels"].argmax(1) for side in ("start", "end")}
        return network(**{key: batch[key] for key in columns}, **labels).loss

    def score(examples: list[QAExample]) -> dict[str, Any]:
        predictions = {e.id: answer(network, tokenizer, e, columns) for e in tqdm(examples, desc="validation")}
        return cmrc2018_scores(predictions, {e.id: e.answers[0] for e in examples})

    return Contestant(network, loss, score)


def bert(tokenizer: DGCNNTokenizer) -> Contestant:
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=256, num_hidden_layers=3, num_attention_heads=4, intermediate_size=1024,
        max_position_embeddings=512, pad_token_id=0,
    )  # fmt: skip
    return peer(BertForQuestionAnswering(config), tokenizer, COLUMNS)


def qanet(tokenizer: DGCNNTokenizer) -> Contestant:
    network = QANet(len(tokenizer), len(tokenizer.word_vocab or []), width=176)
    return peer(network, tokenizer, (*COLUMNS, "word_input_ids"))


CONTESTANTS: dict[str, Callable[[DGCNNTokenizer], Contestant]] = {
    "hf_kexue reader": reader,
    "BERT, 3 layers, 256 wide": bert,
    "QANet, 176 wide": qanet,
}


def sizes(network: nn.Module) -> tuple[int, int]:
    """Parameters, and how many of them are tables of embeddings."""
    tables = [module.weight for module in network.modules() if isinstance(module, nn.Embedding)]
    return sum(weight.numel() for weight in network.parameters()), sum(table.numel() for table in tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--minutes", type=float, default=30, help="of CPU time in training steps, each")
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--limit", type=int, help="validation questions; then nothing is written")
    parser.add_argument("--networks", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    args = parser.parse_args()
    examples = [example for source in args.train for example in read_qa(source) if any(example.answers)]
    held_out = read_qa(args.validation, split="validation")[: args.limit]
    passages = list(dict.fromkeys(passage for example in examples for passage in example.passages))
    tokenizer = DGCNNTokenizer.from_texts(
        [*passages, *(example.question for example in examples)], min_count=2, segmenter="rjieba", max_words=20_000,
        match_features=True,
    )  # fmt: skip
    setting = {"minutes": args.minutes, "learning_rate": args.learning_rate, "questions_per_step": BATCH}
    rows = rows_before("peers_readers", setting)
    for name in [name for name in args.networks if not [row for row in rows if row["network"] == name]]:
        torch.manual_seed(0)
        contestant = CONTESTANTS[name](tokenizer)
        source = ClozeQuestions(passages, tokenizer.segment)
        data = ReadingDataset(examples, MAX_CHARACTERS, source=source, from_source=CLOZE_SHARE)
        batches = endless_batches(data, ReadingCollator(tokenizer, zero_ids=ZERO_IDS))
        steps = train_for_seconds(contestant.network, contestant.loss, batches, 60 * args.minutes, args.learning_rate)
        contestant.network.eval()
        scores = contestant.score(held_out)
        parameters, tables = sizes(contestant.network)
        rows.append({
            "network": name, **{key: round(scores[key], 2) for key in ("exact_match", "f1")}, "steps": steps,
            "parameters": parameters, "parameters_without_embeddings": parameters - tables,
        })  # fmt: skip
        print(rows[-1], flush=True)
        if args.limit is None:
            write_results("peers_readers", {**setting, "rows": rows})


if __name__ == "__main__":
    main()

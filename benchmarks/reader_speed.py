"""Questions per second of the published reader and of the presets against BERT, and memory on a very long passage.

    python benchmarks/reader_speed.py

A question of 16 characters and a passage of 240, sixteen at a time; forward passes with the same precision and
threads, alternating in one process; the best round counts, since other load only makes a pass slower. The
peers, `BertForQuestionAnswering` in two shapes, and the presets of the training script have random weights, which do
not affect the speed. First the reader answers from 100,000 characters, and the growth of the process memory is
measured. Writes benchmarks/results/reader_speed.json.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import torch
from results import REPOSITORY, write_results
from scripts import load_script, preset_arguments
from timing import best_seconds
from transformers import BertConfig, BertForQuestionAnswering

from hf_kexue import DGCNNForQuestionAnswering, DGCNNTokenizer, ReadingComprehensionPipeline
from hf_kexue.training.environment import fastest_precision

DATA: dict[str, str] = {}  # needs none from outside the checkout
BATCH, QUESTION, PASSAGE = 16, 16, 240
PEERS = {"BERT, 4 layers, 128 wide": (4, 128), "BERT, 3 layers, 768 wide (RBT3)": (3, 768)}
PRESETS = ("reader-wide", "reader", "reader-fast", "reader-2018", "reader-2019")


def bert(layers: int, width: int) -> BertForQuestionAnswering:
    """Random weights, the vocabulary of Chinese BERTs."""
    config = BertConfig(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64, intermediate_size=4 * width,
        vocab_size=21128,
    )  # fmt: skip
    return BertForQuestionAnswering(config).eval()


def of_preset(name: str, tokenizer: DGCNNTokenizer) -> DGCNNForQuestionAnswering:
    """Random weights, vocabulary and words of the published reader."""
    args = preset_arguments("train_dgcnn_qa", "--preset", name)
    reader: DGCNNForQuestionAnswering = load_script("train_dgcnn_qa").build_model(args, tokenizer).eval()
    return reader


def bert_pass(model: BertForQuestionAnswering) -> Callable[[], object]:
    """A forward pass over question and passage in one row."""
    ids = torch.randint(5, 21128, (BATCH, QUESTION + PASSAGE))
    types = (torch.arange(QUESTION + PASSAGE) >= QUESTION).long().expand_as(ids)
    return lambda: model(input_ids=ids, attention_mask=torch.ones_like(ids), token_type_ids=types)


def reader_pass(model: DGCNNForQuestionAnswering) -> Callable[[], object]:
    """A forward pass over questions and passages, each question encoded once."""
    config = model.config
    question = torch.randint(4, config.vocab_size, (BATCH, QUESTION))
    passage = torch.randint(4, config.vocab_size, (BATCH, PASSAGE))
    features = torch.rand(BATCH, PASSAGE, 8) if config.num_match_features else None
    words = max(config.word_vocab_size, 1)

    def step() -> object:
        states, mask = model.encode_question(question, None, question % words)
        return model(
            passage,
            word_input_ids=passage % words,
            match_features=features,
            question_states=states,
            question_mask=mask,
        )

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(REPOSITORY / "model_cards" / "dgcnn-qa-zh"), help="folder or Hub id")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dtype = torch.bfloat16 if fastest_precision(torch.device("cpu")) == "bf16" else torch.float32

    model = DGCNNForQuestionAnswering.from_pretrained(args.model)
    tokenizer = DGCNNTokenizer.from_pretrained(args.model)
    reader = ReadingComprehensionPipeline(model=model, tokenizer=tokenizer)
    text = "这一段文字很长，而答案只在其中的一处。"
    passage = text * (100_000 // len(text))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    reader(question="答案在哪里？", context=passage)
    seconds = time.perf_counter() - started
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{len(passage):,} characters in {seconds:.1f} s, peak memory {growth:.0f} MiB above before")
    ours = model.to(dtype).eval()
    passes = {"published reader": reader_pass(ours)}
    passes |= {f"preset {name}": reader_pass(of_preset(name, tokenizer).to(dtype)) for name in PRESETS}
    passes |= {name: bert_pass(bert(*shape).to(dtype)) for name, shape in PEERS.items()}
    with torch.inference_mode():
        best = best_seconds(passes, args.rounds)
    rows = [
        {
            "model": name,
            "pairs_per_second": round(BATCH / seconds, 1),
            "over_small_bert": round(best["BERT, 4 layers, 128 wide"] / seconds, 2),
            "over_rbt3": round(best["BERT, 3 layers, 768 wide (RBT3)"] / seconds, 2),
        }
        for name, seconds in best.items()
    ]

    figures = {
        "precision": str(dtype).removeprefix("torch."), "threads": args.threads, "batch": BATCH,
        "question_characters": QUESTION, "passage_characters": PASSAGE, "rows": rows,
        "long_passage": {
            "characters": len(passage), "seconds": round(seconds, 1), "memory_growth_mib": round(growth)
        },
    }  # fmt: skip
    write_results("reader_speed", figures)


if __name__ == "__main__":
    main()

"""A reader against a BERT of its size: same data, same synthetic questions, same CPU time.

    python benchmarks/reader_against_bert.py --figures FIGURES --model FOLDER --train CMRC2018 --validation CMRC2018

FIGURES and FOLDER are those of a reader that was trained on a CPU, as written by `training/publish_dgcnn_qa.py`.
`BertForQuestionAnswering` with 4 layers of width 128 and random weights is trained like that reader: on the same
synthetic and real questions, stage by stage, with the reader's tokenizer, for as many seconds of CPU time in training
steps (excluding the collation of batches) as the reader had. Learning rate and warm-up are its own
(--learning_rate); the schedule ends with the time. Run it with as many threads as the reader was trained with. Writes
benchmarks/results/reader_against_bert.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from results import write_results
from timed_training import endless_batches, train_for_seconds
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import BertConfig, BertForQuestionAnswering

from hf_kexue import DGCNNTokenizer, cmrc2018_scores
from hf_kexue.data.questions.cloze import ClozeQuestions
from hf_kexue.data.questions.reading import QAExample, read_qa
from hf_kexue.data.questions.samples import ReadingCollator, ReadingDataset
from hf_kexue.dgcnn.decoding_dgcnn import best_spans, merge_windows
from hf_kexue.dgcnn.simplified_dgcnn import simplified

DATA = {"--train": "cmrc2018", "--validation": "cmrc2018", "--model": "reader", "--figures": "reader-figures"}
COLUMNS = ("input_ids", "attention_mask", "token_type_ids")


def bert(tokenizer: DGCNNTokenizer) -> BertForQuestionAnswering:
    """4 layers, 128 wide, random weights."""
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=128, num_hidden_layers=4, num_attention_heads=2, intermediate_size=512,
        max_position_embeddings=512, pad_token_id=0,
    )  # fmt: skip
    return BertForQuestionAnswering(config)


@torch.inference_mode()
def answer(model: nn.Module, tokenizer: DGCNNTokenizer, example: QAExample, columns: Sequence[str] = COLUMNS) -> str:
    """The best span of a passage, over windows of 512 that share 128, decoded as the reader's.

    Args:
        model: with the interface of `BertForQuestionAnswering`.
        tokenizer: of question and passage.
        example: with one passage.
        columns: of the tokenizer that the model takes.
    """
    encoded = tokenizer(
        example.question, example.passages[0], truncation="only_second", max_length=512, stride=128, padding=True,
        return_overflowing_tokens=True, return_offsets_mapping=True, return_tensors="pt",
    )  # fmt: skip
    output = model(**{key: encoded[key] for key in columns})
    passage = (encoded["token_type_ids"] == 1) & (encoded["attention_mask"] == 1)
    start, end = (
        logits.masked_fill(~passage, -1e4).softmax(-1).numpy() for logits in (output.start_logits, output.end_logits)
    )
    offsets = encoded["offset_mapping"].where(passage[..., None], 0).numpy()
    spans = [best_spans(start[i], end[i], offsets[i], example.passages[0]) for i in range(len(start))]
    merged = merge_windows(spans, top_k=1)
    return merged[0].text if merged else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", type=Path, required=True, help="of the reader's card")
    parser.add_argument("--model", type=Path, required=True, help="the reader's folder")
    parser.add_argument("--train", nargs="+", required=True, help="the reader's training questions, in its order")
    parser.add_argument("--validation", required=True)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--seconds", type=float, nargs=2, help="of the two stages; default: the reader's CPU seconds")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--save", type=Path, help="folder for the trained BERT")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    reader: dict[str, Any] = json.loads(args.figures.read_text())
    seconds = args.seconds or [stage["cpu_seconds"] for stage in reader["stages"]]

    tokenizer = DGCNNTokenizer.from_pretrained(args.model)
    examples = [e for source in args.train for e in read_qa(source) if any(e.answers)]
    if any(stage["simplify"] for stage in reader["stages"]):
        examples = [example.with_texts(simplified) for example in examples]
    texts = list(dict.fromkeys(passage for example in examples for passage in example.passages))
    held_out = read_qa(args.validation, split="validation")
    model = bert(tokenizer)
    source = ClozeQuestions(texts, tokenizer.segment)
    stages = [
        ReadingDataset(examples, stage["max_characters"], source=source, from_source=stage["cloze_share"])
        for stage in reader["stages"]
    ]
    collator = ReadingCollator(tokenizer, zero_ids=0.05)

    def loss_of(batch: dict[str, Tensor]) -> Tensor:
        # Without an answer argmax is 0, the first character of the question, as SQuAD 2 has it.
        labels = {f"{side}_positions": batch[f"{side}_labels"].argmax(1) for side in ("start", "end")}
        return model(**{key: batch[key] for key in COLUMNS}, **labels).loss

    steps = [
        train_for_seconds(model, loss_of, endless_batches(data, collator), time, args.learning_rate)
        for data, time in zip(stages, seconds)
    ]
    model.eval()
    predictions = {e.id: answer(model, tokenizer, e) for e in tqdm(held_out, desc="validation")}
    scores = cmrc2018_scores(predictions, {e.id: e.answers[0] for e in held_out})
    if args.save:
        model.save_pretrained(args.save)
    rows = [
        {"model": "DGCNN reader", **{key: round(reader["validation"][key], 2) for key in ("exact_match", "f1")}},
        {"model": "BERT, 4 layers, 128 wide", **{key: round(scores[key], 2) for key in ("exact_match", "f1")}},
    ]
    (device,) = (row["value"] for row in reader["training"] if row["what"] == "device")
    figures = {
        "rows": rows, "f1_ahead": round(rows[0]["f1"] - rows[1]["f1"], 2), "cpu_seconds": seconds, "bert_steps": steps,
        "bert_parameters": model.num_parameters(), "reader_parameters": reader["parameters"], "reader_device": device,
        "learning_rate": args.learning_rate, "threads": args.threads,
    }  # fmt: skip
    write_results("reader_against_bert", figures)


if __name__ == "__main__":
    main()

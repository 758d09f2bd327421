"""Pre-train the trunk of a DGCNN as a masked language model over characters, with whole-word masking.

Articles  kexue.fm archives/5409 (2018) and archives/6906 (2019) for the network; masks as in BERT, by whole words
Data      plain text: files with one text a line, records with text or passages (also of questions), folders, Hub ids
Command   accelerate launch training/pretrain_dgcnn.py --texts DATA [DATA ...]
          (again resumes); then training/train_dgcnn_qa.py --init_from outputs/dgcnn-pretrained/model
Traps     The reader inherits the tokenizer, so the texts should include the reader's passages; width, dilations and
          embeddings should be those of the reader. EMA weights are evaluated and saved.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from hf_kexue import DGCNNConfig, DGCNNForMaskedLM, DGCNNTokenizer
from hf_kexue.data.texts.masked import NOT_NAMED, MaskingCollator, TextWindows
from hf_kexue.data.texts.reading import hold_out, read_texts
from hf_kexue.data.texts.word_vectors import word_matrix, words_in_texts
from hf_kexue.data.whole_files import write_whole
from hf_kexue.training.arguments import TextArguments, on_error, option, parse_arguments
from hf_kexue.training.fine_tuning import fit_steps_to_data
from hf_kexue.training.interruption import script_main
from hf_kexue.training.loop import TrainingRun
from hf_kexue.training.processes import finish, mean_over_processes
from hf_kexue.training.setup import run_manifest, start, training_loader
from hf_kexue.training.sharding import keep_first_row, zero_first_row

HERE = Path(__file__).resolve().parent
logger = logging.getLogger("pretrain_dgcnn")


@dataclass
class Arguments(TextArguments):
    output_dir: str = option("outputs/dgcnn-pretrained", "Folder for checkpoints, figures and the model.")
    preset: str = option("pretrain", "Name in training/presets or path of a YAML file.")
    # data
    texts: list[str] = option([], "Files, folders or Hub ids with plain text; their split is 'train'.")
    validation_share: float = option(0.02, "Share of the texts held out for the validation loss; 0: none.")
    max_characters: int = option(256, "Longer texts are split into pieces.")
    mask_share: float = option(0.15, "Share of the characters to predict.")
    # tokenizer
    segmenter: str = option("rjieba", "'rjieba', 'jieba' or 'none'.")
    min_count: int = option(2, "Rarer characters become [UNK].")
    max_words: int = option(20_000, "Size of the word vocabulary.")
    word_vectors: str | None = option(None, "word2vec file, text or binary, for words and frozen vectors.")
    # network
    hidden_size: int = option(128, "Width.")
    dilations: list[int] = option([1, 2, 4, 8, 16, 1], "Of the blocks.")
    mixed_embedding: bool = option(True, "Word embeddings besides characters.")
    gate_dropout: float = option(0.1, "On the gates.")
    gate_noise: float = option(0.0, "On the gates, as in 2018.")
    hidden_dropout: float = option(0.1, "On the embeddings.")
    initializer_range: float = option(0.02, "Standard deviation of embeddings at the start.")


SHAPE = ["hidden_size", "dilations", "gate_dropout", "gate_noise", "hidden_dropout", "initializer_range"]


def build_tokenizer(args: Arguments, texts: list[str]) -> DGCNNTokenizer:
    """A tokenizer built from the texts; with --word_vectors its words are those of the file that occur in them."""
    words: dict[str, Any] = {"segmenter": args.segmenter if args.mixed_embedding else "none"}
    if args.word_vectors:
        known = words_in_texts(args.word_vectors, texts)[: args.max_words]
        words |= {"dictionary": known, "word_vocab": ["[PAD]", "[UNK]", *known]}
    return DGCNNTokenizer.from_texts(texts, min_count=args.min_count, max_words=args.max_words, **words)


def build_model(args: Arguments, tokenizer: DGCNNTokenizer) -> DGCNNForMaskedLM:
    """A newly initialised network, except for --word_vectors."""
    config = DGCNNConfig(
        vocab_size=len(tokenizer), word_vocab_size=len(tokenizer.word_vocab or []), sparse_prediction=True,
        **{key: getattr(args, key) for key in SHAPE},
    )  # fmt: skip
    if args.word_vectors:
        matrix = torch.from_numpy(word_matrix(args.word_vectors, tokenizer.word_vocab or []))
        config.update({"word_embedding_size": matrix.shape[1], "freeze_word_embeddings": True})
    model = DGCNNForMaskedLM(config)
    if args.word_vectors:
        model.get_parameter("dgcnn.embeddings.words.weight").data.copy_(matrix)
    return model


@torch.no_grad()
def validation_figures(model: DGCNNForMaskedLM, loader: DataLoader, accelerator: Accelerator) -> dict[str, float]:
    """Mean cross entropy of a masked character in nats, and perplexity; with the same masks at each call."""
    total, count = 0.0, 0
    for batch in loader:
        masked = int((batch["labels"] != NOT_NAMED).sum())
        with accelerator.autocast():
            loss = model(**{name: tensor.to(accelerator.device) for name, tensor in batch.items()}).loss
        total, count = total + float(loss) * masked, count + masked
    return {"validation/loss": total / count, "validation/perplexity": math.exp(total / count)}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    # 1. Data, network, manifest
    args = parse_arguments(Arguments, HERE / "presets", argv, pattern="pretrain*")
    output_dir, accelerator = Path(args.output_dir), start(args)
    if args.word_vectors and not args.mixed_embedding:
        raise ValueError("--word_vectors are of words, which --mixed_embedding False leaves out.")
    all_texts = list(
        dict.fromkeys(text for source in args.texts for text in read_texts(source, on_error=on_error(args)))
    )
    if not all_texts:
        raise ValueError("--texts has no texts: give files, folders or Hub ids.")
    texts, held_out = hold_out(all_texts, args.validation_share, args.seed)
    tokenizer = build_tokenizer(args, texts)
    model = build_model(args, tokenizer)
    collator = MaskingCollator(tokenizer, args.mask_share)
    dataset = TextWindows(texts, args.max_characters, args.seed)
    loader = training_loader(args, dataset, collator, processes=accelerator.num_processes)
    fit_steps_to_data(args, loader, accelerator.num_processes)
    manifest = run_manifest(
        args, accelerator, model, texts=len(texts), characters=sum(map(len, texts)), validation_texts=len(held_out)
    )

    # 2. Validation
    windows: Any = TextWindows(held_out, args.max_characters, args.seed) if held_out else None
    validation: Any = DataLoader(windows, args.train_batch_size, collate_fn=collator) if held_out else None

    def validate() -> tuple[dict[str, float], float]:
        figures = validation_figures(run.network, validation, accelerator)
        return figures, 1 / figures["validation/perplexity"]

    # 3. Prepare and resume, with optimizer, schedule and EMA
    run = TrainingRun(
        args,
        accelerator,
        model,
        loader,
        manifest,
        "dgcnn_pretraining",
        "pieces of text",
        validate if held_out else None,
    )
    characters = run.trained.get_input_embeddings().weight
    keep_first_row(characters)  # the reader drops characters to padding, so its vector must stay zero

    # 4. The loop
    for batch in run.batches():
        with accelerator.accumulate(run.model):
            with accelerator.autocast():
                loss = run.model(**batch).loss  # a mean over the masked characters of all processes
            masked = None
            if args.gradient_accumulation_steps > 1:
                (masked,) = mean_over_processes(accelerator, [float((batch["labels"] != NOT_NAMED).sum())])
            run.descend(loss, masked, lambda: zero_first_row(characters))
        run.after_step(len(batch["input_ids"]))
    if args.dry_run:
        return run.estimate()

    # 5. Final evaluation
    figures: dict[str, float] = {}
    if held_out:
        with run.averaged():
            figures, _ = validate()
        run.history.log(run.state.step, **figures)
    results = manifest | {"pieces_seen": run.state.samples, **run.costs(), **figures}

    # 6. Save
    if accelerator.is_main_process:
        write_whole(output_dir / "results.json", json.dumps(results, indent=1, ensure_ascii=False))
        with run.averaged():
            run.network.save_pretrained(output_dir / "model")
        tokenizer.save_pretrained(output_dir / "model")
        logger.info("Saved %s", output_dir / "model")
    finish(accelerator)
    return results


if __name__ == "__main__":
    script_main(main)

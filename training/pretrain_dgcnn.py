"""Pre-train the trunk of a DGCNN: name masked characters of plain text, whole words at a time.

Articles  kexue.fm archives/5409 (2018) and archives/6906 (2019) for the network; masks as in BERT, by whole words
Data      plain text: files with a text a line, records with text or passages (questions' files too), folders, Hub ids
Command   accelerate launch training/pretrain_dgcnn.py --texts DATA [DATA ...]
          (again resumes); then training/train_dgcnn_qa.py --init_from outputs/dgcnn-pretrained/model
Traps     The reader takes over the tokenizer, so the texts should hold the reader's passages; width, dilations and
          embeddings should be the reader's. EMA weights are what is evaluated and saved.
"""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, ProjectConfiguration, set_seed
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from hf_kexue import DGCNNConfig, DGCNNForMaskedLM, DGCNNTokenizer
from hf_kexue.data.masked_characters import NOT_NAMED, MaskingCollator, TextWindows
from hf_kexue.data.texts import hold_out, read_texts
from hf_kexue.data.word_vectors import word_matrix, words_in_texts
from hf_kexue.presets import option, parse_arguments
from hf_kexue.training_runs import (
    Checkpoints,
    History,
    TrainingState,
    check_finite,
    ema_weights,
    environment,
    fastest_precision,
    set_learning_rate,
)

HERE = Path(__file__).resolve().parent
logger = logging.getLogger("pretrain_dgcnn")


@dataclass
class Arguments:
    output_dir: str = option("outputs/dgcnn-pretrained", "Everything the run leaves: checkpoints, figures, the model.")
    preset: str = option("pretrain", "Name in training/presets or path of a YAML file.")
    # data
    texts: list[str] = option([], "Files, folders or Hub ids with plain text; their split is 'train'.")
    validation_share: float = option(0.02, "Share of the texts held out for the validation loss; 0: none.")
    max_characters: int = option(256, "Longer texts are read in pieces.")
    mask_share: float = option(0.15, "Share of the characters that are to be named.")
    # tokenizer
    segmenter: str = option("rjieba", "'rjieba', 'jieba' or 'none'.")
    min_count: int = option(2, "Rarer characters are unknown.")
    max_words: int = option(20_000, "Words with a vector of their own.")
    word_vectors: str | None = option(None, "word2vec file, text or binary: words and vectors from there, frozen.")
    # network
    hidden_size: int = option(128, "Width.")
    dilations: list[int] = option([1, 2, 4, 8, 16, 1], "Of the blocks.")
    mixed_embedding: bool = option(True, "Words beside characters.")
    gate_dropout: float = option(0.1, "On the gates.")
    gate_noise: float = option(0.0, "On the gates, as in 2018.")
    hidden_dropout: float = option(0.1, "On the embeddings.")
    initializer_range: float = option(0.02, "Standard deviation of embeddings at the start.")
    # optimisation
    max_train_steps: int = option(6000, "Optimizer steps.")
    train_batch_size: int = option(32, "Pieces of text per process and micro step.")
    gradient_accumulation_steps: int = option(1, "Micro steps per optimizer step.")
    learning_rate: float = option(1e-3, "Peak of the schedule.")
    lr_scheduler: str = option("cosine", "Name in diffusers.optimization.")
    lr_warmup_steps: int = option(100, "Optimizer steps.")
    weight_decay: float = option(0.01, "Of AdamW.")
    max_grad_norm: float = option(1.0, "Clip of the gradient norm.")
    ema_decay: float = option(0.998, "Final decay; it ramps up as (1 + step) / (10 + step).")
    mixed_precision: str = option("auto", "'no', 'bf16', 'fp16', or 'auto': bf16 where this device is faster with it.")
    seed: int = option(0, "Of everything.")
    # once in a while
    checkpointing_steps: int = option(500, "Optimizer steps between checkpoints.")
    checkpoints_total_limit: int = option(2, "Checkpoints kept.")
    validation_steps: int = option(500, "Optimizer steps between validations.")
    logging_steps: int = option(20, "Optimizer steps between log lines.")
    tracker: str = option("tensorboard", "Any tracker that Accelerate knows, or 'none'.")
    dry_run: bool = option(False, "Print the manifest and the size of the network, then stop.")


SHAPE = ["hidden_size", "dilations", "gate_dropout", "gate_noise", "hidden_dropout", "initializer_range"]


def build_tokenizer(args: Arguments, texts: list[str]) -> DGCNNTokenizer:
    """A tokenizer over the texts; with --word_vectors its words are those of the file that the texts hold."""
    words: dict[str, Any] = {"segmenter": args.segmenter if args.mixed_embedding else "none"}
    if args.word_vectors:
        found = words_in_texts(args.word_vectors, texts)[: args.max_words]
        words |= {"dictionary": found, "word_vocab": ["[PAD]", "[UNK]", *found]}
    return DGCNNTokenizer.from_texts(texts, min_count=args.min_count, max_words=args.max_words, **words)


def build_model(args: Arguments, tokenizer: DGCNNTokenizer) -> DGCNNForMaskedLM:
    """The network of the arguments, afresh but for --word_vectors."""
    config = DGCNNConfig(
        vocab_size=len(tokenizer), word_vocab_size=len(tokenizer.word_vocab or []), sparse_prediction=True,
        **{key: getattr(args, key) for key in SHAPE},
    )  # fmt: skip
    if args.word_vectors:
        matrix = torch.from_numpy(word_matrix(args.word_vectors, tokenizer.word_vocab))
        config.update({"word_embedding_size": matrix.shape[1], "freeze_word_embeddings": True})
    model = DGCNNForMaskedLM(config)
    if args.word_vectors:
        model.dgcnn.embeddings.words.weight.data.copy_(matrix)
    return model


@torch.no_grad()
def validation_figures(model: DGCNNForMaskedLM, loader: DataLoader, accelerator: Accelerator) -> dict[str, float]:
    """Mean cross entropy of a masked character in nats, and its exponential; the same masks at each call."""
    total, count = 0.0, 0
    for batch in loader:
        masked = int((batch["labels"] != NOT_NAMED).sum())
        with accelerator.autocast():
            loss = model(**{name: tensor.to(accelerator.device) for name, tensor in batch.items()}).loss
        total, count = total + float(loss) * masked, count + masked
    logger.info("loss %.4f, perplexity %.2f of held-out texts", total / count, math.exp(total / count))
    return {"validation/loss": total / count, "validation/perplexity": math.exp(total / count)}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    # 1. Manifest
    args = parse_arguments(Arguments, HERE / "presets", argv, pattern="pretrain*")
    output_dir = Path(args.output_dir)
    accelerator = Accelerator(
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        mixed_precision=fastest_precision() if args.mixed_precision == "auto" else args.mixed_precision,
        log_with=None if args.tracker == "none" else args.tracker,
        project_config=ProjectConfiguration(project_dir=str(output_dir), logging_dir=str(output_dir / "logs")),
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True),
    )
    logging.basicConfig(level=logging.INFO if accelerator.is_main_process else logging.ERROR, format="%(message)s")
    set_seed(args.seed)
    if args.word_vectors and not args.mixed_embedding:
        raise ValueError("--word_vectors are of words, which --mixed_embedding False leaves out.")
    found = list(dict.fromkeys(text for source in args.texts for text in read_texts(source)))
    if not found:
        raise ValueError("--texts names no text: give files, folders or Hub ids.")
    texts, held_out = hold_out(found, args.validation_share, args.seed)
    tokenizer = build_tokenizer(args, texts)
    model = build_model(args, tokenizer)
    manifest = {
        "arguments": asdict(args),
        "parameters": sum(p.numel() for p in model.parameters()),
        "parameters_without_embeddings": sum(
            p.numel() for n, p in model.named_parameters() if ".embeddings." not in n or "projection" in n
        ),
        "texts": len(texts),
        "characters": sum(map(len, texts)),
        "validation_texts": len(held_out),
        "processes": accelerator.num_processes,
        "precision": accelerator.mixed_precision,
        "environment": environment(accelerator.device),
    }
    logger.info(json.dumps(manifest, indent=1, ensure_ascii=False))
    if args.dry_run:
        return manifest

    # 2. Data, optimizer, schedule, EMA
    if accelerator.is_main_process:
        output_dir.mkdir(parents=True, exist_ok=True)
        (output_dir / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False))
    dataset = TextWindows(texts, args.max_characters, args.seed)
    collator = MaskingCollator(tokenizer, args.mask_share)
    loader: Any = DataLoader(
        dataset, args.train_batch_size, shuffle=True, drop_last=True, collate_fn=collator,
        generator=torch.Generator().manual_seed(args.seed),
    )  # fmt: skip
    if not len(loader):
        raise ValueError(f"{len(dataset)} pieces of text are not one whole batch: lower --train_batch_size.")
    windows = TextWindows(held_out, args.max_characters, args.seed) if held_out else None
    validation = DataLoader(windows, args.train_batch_size, collate_fn=collator) if windows else None
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": args.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer: Any = torch.optim.AdamW(groups, args.learning_rate, betas=(0.9, 0.98))
    # Accelerate steps the schedule once per process; the numbers here count optimizer steps.
    lr_scheduler = get_scheduler(
        args.lr_scheduler, optimizer, num_warmup_steps=args.lr_warmup_steps * accelerator.num_processes,
        num_training_steps=args.max_train_steps * accelerator.num_processes,
    )  # fmt: skip
    ema = EMAModel(model.parameters(), decay=args.ema_decay)
    ema.to(accelerator.device)

    # 3. Prepare and resume
    state = TrainingState()
    model, optimizer, lr_scheduler, loader = accelerator.prepare(model, optimizer, lr_scheduler, loader)
    accelerator.register_for_checkpointing(ema, state)
    checkpoints = Checkpoints(accelerator, output_dir / "checkpoints", args.checkpoints_total_limit)
    if resumed := checkpoints.resume():
        logger.info("Resumed from %s", resumed)
        ema.to(accelerator.device)  # comes back on the CPU
        set_learning_rate(optimizer, lr_scheduler, args.learning_rate)
    if args.tracker != "none":
        accelerator.init_trackers("dgcnn_pretraining", {key: str(value) for key, value in asdict(args).items()})
    network = accelerator.unwrap_model(model)
    characters = network.get_input_embeddings().weight
    history = History(accelerator, output_dir / "history.jsonl", resumed_at=state.step)
    running: list[float] = []

    def validate() -> dict[str, float]:
        if validation is None:
            return {}
        with ema_weights(ema, network):
            return validation_figures(network, validation, accelerator)

    # 4. The loop
    bar = tqdm(
        initial=state.step, total=args.max_train_steps, desc="training", disable=not accelerator.is_main_process
    )
    while state.step < args.max_train_steps:
        dataset.set_epoch(state.epoch)
        loader.set_epoch(state.epoch)
        for batch in accelerator.skip_first_batches(loader, state.batch) if state.batch else loader:
            started, busy = time.perf_counter(), time.process_time()

            # ---- one training step; dropout's chance is seeded by the place in the run, so that resuming repeats it
            set_seed(hash((args.seed, accelerator.process_index, state.epoch, state.batch)) % 2**32)
            with accelerator.accumulate(model):
                with accelerator.autocast():
                    loss = model(**batch).loss
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    characters.grad[0] = 0  # the reader drops characters to the zero vector of padding: it stays zero
                    norm = accelerator.clip_grad_norm_(model.parameters(), args.max_grad_norm)
                optimizer.step()
                lr_scheduler.step()
                optimizer.zero_grad()
            # ----

            state.batch += 1
            state.samples += len(batch["input_ids"]) * accelerator.num_processes
            state.seconds += time.perf_counter() - started
            state.cpu_seconds += time.process_time() - busy
            running.append(loss.item())
            good = (checkpoints, accelerator.mixed_precision, args.learning_rate)
            check_finite(running[-1], "The loss", state.step + 1, *good)
            if not accelerator.sync_gradients:
                continue
            if not optimizer.step_was_skipped:
                check_finite(float(norm), "The gradient", state.step + 1, *good)
            ema.step(network.parameters())
            state.step += 1
            bar.update()

            last = state.step == args.max_train_steps
            if state.step % args.logging_steps == 0 or last:
                bar.set_postfix(loss=f"{sum(running) / len(running):.4f}")
                history.log(
                    state.step, loss=sum(running) / len(running), gradient_norm=float(norm), samples=state.samples,
                    learning_rate=lr_scheduler.get_last_lr()[0], seconds=round(state.seconds, 2),
                )  # fmt: skip
                running.clear()
            if state.step % args.validation_steps == 0 and not last:
                history.log(state.step, **validate())
            if state.step % args.checkpointing_steps == 0 or last:
                checkpoints.save(state.step)
            if last:
                break
        else:
            state.epoch, state.batch = state.epoch + 1, 0
    bar.close()

    # 5. Final evaluation
    figures = validate()
    history.log(state.step, **figures)
    results = manifest | {
        "steps": state.step,
        "pieces_seen": state.samples,
        "seconds": round(state.seconds, 1),
        "cpu_seconds": round(state.cpu_seconds, 1),
        **figures,
    }

    # 6. Save
    if accelerator.is_main_process:
        (output_dir / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False))
        with ema_weights(ema, network):
            network.save_pretrained(output_dir / "model")
        tokenizer.save_pretrained(output_dir / "model")
        logger.info("Saved %s", output_dir / "model")
    accelerator.end_training()
    return results


if __name__ == "__main__":
    main()

"""Train a DGCNN reader: start and end of the answer to a Chinese question in one or many passages.

Articles  kexue.fm archives/5409 (2018) and archives/6906 (2019); presets `reader-2018`, `reader-2019`, and `reader`,
          the published one, with attention to the question and a softmax over the window
Data      SQuAD form or {question, passages: [{passage, answer}]}: files, a folder or a Hub id
Command   accelerate launch training/train_dgcnn_qa.py --train DATA --validation DATA
          (again resumes; training/README.md has the commands, hours and scores of the published model)
Traps     From scratch the tagging loss (2018, 2019) answers nothing for the first epochs: all scores fall to zero
          before they rise. Start from questions made of plain text (--cloze_share 1, then --init_from). EMA weights
          are what is evaluated and saved.

Longer than its siblings should be: seventy lines are the arguments, each with its help text.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, ProjectConfiguration, set_seed
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from hf_kexue import DGCNNConfig, DGCNNForQuestionAnswering, DGCNNTokenizer, ReadingComprehensionPipeline
from hf_kexue.data.cloze_questions import ClozeQuestions
from hf_kexue.data.reading_comprehension import QAExample, read_qa
from hf_kexue.data.reading_samples import ReadingCollator, ReadingDataset
from hf_kexue.data.texts import read_texts
from hf_kexue.data.word_vectors import word_matrix, words_in_texts
from hf_kexue.metrics import cmrc2018_scores
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
logger = logging.getLogger("train_dgcnn_qa")


@dataclass
class Arguments:
    output_dir: str = option("outputs/dgcnn-qa", "Everything the run leaves: checkpoints, figures, the model.")
    preset: str = option("reader", "Name in training/presets or path of a YAML file.")
    # data
    train: list[str] = option([], "Files, folders or Hub ids with training questions; their split is 'train'.")
    validation: str | None = option(None, "File, folder or Hub id with validation questions.")
    validation_split: str = option("validation", "Its split.")
    validation_questions: int = option(800, "Questions scored while it trains; at the end all are.")
    texts: list[str] = option([], "Plain text for made-up questions; default: the training passages.")
    cloze_share: float = option(0.0, "Share of questions made up from plain text; 1 is pre-training.")
    max_characters: int = option(256, "Training passages are cut to this many.")
    without_answer: float = option(0.1, "Share of cuts made anywhere, answer or not.")
    keep_unanswerable: bool = option(False, "Train on questions without an answer too.")
    concatenate: float = option(0.0, "Share of passages joined with another question's passage.")
    drop_labels: float = option(0.0, "Chance of one of several occurrences to lose its label.")
    all_occurrences: bool = option(False, "Label every occurrence of the answer, as the articles do.")
    zero_ids: float = option(0.05, "Share of ids set to zero.")
    # tokenizer
    segmenter: str = option("rjieba", "'rjieba', 'jieba' or 'none'.")
    min_count: int = option(2, "Rarer characters are unknown.")
    max_words: int = option(20_000, "Words with a vector of their own.")
    word_vectors: str | None = option(None, "word2vec file, text or binary: words and vectors from there, frozen.")
    # network
    hidden_size: int = option(128, "Width.")
    dilations: list[int] = option([1, 2, 4, 8, 16, 1], "Of the blocks that read the passage with the question.")
    question_dilations: list[int] = option([1, 2, 1], "Of the question encoder.")
    context_dilations: list[int] = option([], "Of the blocks that read the passage before, shared with the question.")
    question_attention: bool = option(False, "Attention from passage to question.")
    mixed_embedding: bool = option(True, "Words beside characters.")
    match_features: bool = option(False, "The eight features of 2018.")
    position_embedding: str = option("none", "'none' or 'sinusoidal'.")
    pointer_hidden_size: int = option(0, "Layer under the scores; 0: none.")
    gate_dropout: float = option(0.1, "On the gates.")
    gate_noise: float = option(0.0, "On the gates, as in 2018.")
    hidden_dropout: float = option(0.1, "On the embeddings.")
    output: str = option("tagging", "'tagging' or 'span'.")
    loss: str = option("focal", "'focal' or 'bce', of 'tagging'.")
    initializer_range: float = option(0.02, "Standard deviation of embeddings at the start.")
    init_from: str | None = option(None, "Folder of a saved model (reader or masked LM); brings its tokenizer along.")
    # optimisation
    max_train_steps: int = option(6000, "Optimizer steps.")
    train_batch_size: int = option(32, "Questions per process and micro step.")
    gradient_accumulation_steps: int = option(1, "Micro steps per optimizer step.")
    learning_rate: float = option(1e-3, "Peak of the schedule.")
    lr_scheduler: str = option("cosine", "Name in diffusers.optimization.")
    lr_warmup_steps: int = option(100, "Optimizer steps.")
    drop_after: int = option(0, "Validations without a new best after which the best weights return with a tenth of "
                             "the learning rate (the articles); the second time the run ends. 0: never.")  # fmt: skip
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


SHAPE = (
    "hidden_size", "dilations", "question_dilations", "context_dilations", "question_attention",
    "position_embedding", "pointer_hidden_size", "gate_dropout", "gate_noise", "hidden_dropout", "output",
    "loss", "initializer_range",
)  # fmt: skip


def build_tokenizer(args: Arguments, texts: list[str]) -> DGCNNTokenizer:
    """That of --init_from, or a new one over the texts."""
    if args.init_from:
        return DGCNNTokenizer.from_pretrained(args.init_from, match_features=args.match_features)
    words: dict[str, Any] = {"segmenter": args.segmenter if args.mixed_embedding else "none"}
    words["max_words"] = args.max_words if args.mixed_embedding else 0
    if args.word_vectors:
        found = words_in_texts(args.word_vectors, texts)[: args.max_words]
        words |= {"dictionary": found, "word_vocab": ["[PAD]", "[UNK]", *found]}
    return DGCNNTokenizer.from_texts(texts, min_count=args.min_count, match_features=args.match_features, **words)


def build_model(args: Arguments, tokenizer: DGCNNTokenizer) -> DGCNNForQuestionAnswering:
    """The network of the arguments; with --init_from its weights where names and shapes agree, the others afresh."""
    config = DGCNNConfig(
        vocab_size=len(tokenizer), word_vocab_size=len(tokenizer.word_vocab or []),
        num_match_features=8 if args.match_features else 0, **{key: getattr(args, key) for key in SHAPE},
    )  # fmt: skip
    if args.init_from:
        donor = DGCNNConfig.from_pretrained(args.init_from)
        config.update({key: getattr(donor, key) for key in ("word_embedding_size", "freeze_word_embeddings")})
        return DGCNNForQuestionAnswering.from_pretrained(args.init_from, config=config, ignore_mismatched_sizes=True)
    if not args.word_vectors:
        return DGCNNForQuestionAnswering(config)
    matrix = torch.from_numpy(word_matrix(args.word_vectors, tokenizer.word_vocab))
    config.update({"word_embedding_size": matrix.shape[1], "freeze_word_embeddings": True})
    model = DGCNNForQuestionAnswering(config)
    model.dgcnn.embeddings.words.weight.data.copy_(matrix)
    return model


def training_questions(args: Arguments) -> list[QAExample]:
    """All files of --train; unanswerable ones only where asked for."""
    examples = [example for source in args.train for example in read_qa(source, split="train")]
    if not examples:
        raise ValueError("--train names no question: give files, folders or Hub ids.")
    examples = [example for example in examples if args.keep_unanswerable or any(example.answers)]
    if not examples:
        raise ValueError("no question of --train has an answer: --keep_unanswerable True trains on such ones too.")
    return examples


def validation_questions(args: Arguments) -> list[QAExample]:
    """Those of --validation that have an answer: the others have no score."""
    if not args.validation:
        return []
    examples = [example for example in read_qa(args.validation, split=args.validation_split) if any(example.answers)]
    if not examples:
        raise ValueError(f"no question of --validation {args.validation} has an answer to score.")
    return examples


def predict(
    pipeline: ReadingComprehensionPipeline, examples: list[QAExample], batch_size: int = 32
) -> dict[str, dict[str, Any]]:
    """The best answer to each question, over all its passages."""
    answers = pipeline(
        question=[example.question for example in examples],
        passages=[example.passages for example in examples],
        batch_size=batch_size,
    )
    return {example.id: answer for example, answer in zip(examples, answers)}


def score(pipeline: ReadingComprehensionPipeline, examples: list[QAExample]) -> dict[str, float]:
    """Exact match and F1 of CMRC 2018 in percent, over all references of all passages."""
    predictions = {key: answer["answer"] for key, answer in predict(pipeline, examples).items()}
    references = {e.id: [answer for answers in e.answers for answer in answers] for e in examples}
    return cmrc2018_scores(predictions, references)


@dataclass
class Best:
    """The best validation so far, and how long ago it was; saved with each checkpoint."""

    score: float = -1.0
    misses: int = 0
    drops: int = 0

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    # 1. Manifest
    args = parse_arguments(Arguments, HERE / "presets", argv, pattern="reader*")
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
    if args.word_vectors and (args.init_from or not args.mixed_embedding):
        raise ValueError("--word_vectors need --mixed_embedding True, and no --init_from, which brings its own.")
    examples = training_questions(args)
    held_out = validation_questions(args)
    few = held_out[:: max(1, len(held_out) // max(args.validation_questions, 1))]
    passages = list(dict.fromkeys(passage for example in examples for passage in example.passages))
    texts = [text for source in args.texts for text in read_texts(source)] or passages
    tokenizer = build_tokenizer(args, list(dict.fromkeys([*passages, *texts])) + [e.question for e in examples])
    model = build_model(args, tokenizer)
    manifest = {
        "arguments": asdict(args),
        "parameters": sum(p.numel() for p in model.parameters()),
        "parameters_without_embeddings": sum(
            p.numel() for n, p in model.named_parameters() if ".embeddings." not in n or "projection" in n
        ),
        "questions": len(examples),
        "texts": len(texts),
        "validation_questions": len(held_out),
        "processes": accelerator.num_processes,
        "precision": accelerator.mixed_precision,
        "environment": environment(accelerator.device),
    }
    logger.info(json.dumps(manifest, indent=1, ensure_ascii=False))
    if args.dry_run:
        return manifest

    # 2. Data, optimizer, schedule, EMA
    source = ClozeQuestions(texts, tokenizer.segment) if args.cloze_share else None
    dataset = ReadingDataset(
        examples, args.max_characters, args.seed, args.without_answer, args.concatenate, args.drop_labels,
        args.all_occurrences, source, args.cloze_share,
    )  # fmt: skip
    loader: Any = DataLoader(
        dataset, args.train_batch_size, shuffle=True, drop_last=True,
        collate_fn=ReadingCollator(tokenizer, args.zero_ids), generator=torch.Generator().manual_seed(args.seed),
    )  # fmt: skip
    if not len(loader):
        raise ValueError(f"{len(examples)} questions are not one whole batch: lower --train_batch_size.")
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": args.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer: Any = torch.optim.AdamW(groups, args.learning_rate, betas=(0.9, 0.98), fused=True)
    # Accelerate steps the schedule once per process; the numbers here count optimizer steps.
    lr_scheduler = get_scheduler(
        args.lr_scheduler, optimizer, num_warmup_steps=args.lr_warmup_steps * accelerator.num_processes,
        num_training_steps=args.max_train_steps * accelerator.num_processes,
    )  # fmt: skip
    ema = EMAModel(model.parameters(), decay=args.ema_decay, foreach=True)
    ema.to(accelerator.device)

    # 3. Prepare and resume
    if accelerator.is_main_process:
        output_dir.mkdir(parents=True, exist_ok=True)
        (output_dir / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False))
    state, best = TrainingState(), Best()
    model, optimizer, lr_scheduler, loader = accelerator.prepare(model, optimizer, lr_scheduler, loader)
    accelerator.register_for_checkpointing(ema, state, best)
    checkpoints = Checkpoints(accelerator, output_dir / "checkpoints", args.checkpoints_total_limit)
    if resumed := checkpoints.resume():
        logger.info("Resumed from %s", resumed)
        ema.to(accelerator.device)  # comes back on the CPU
        # A checkpoint brings its learning rate along; what counts is the one asked for now.
        set_learning_rate(optimizer, lr_scheduler, args.learning_rate / 10**best.drops)
    if args.tracker != "none":
        accelerator.init_trackers("dgcnn_qa", {key: str(value) for key, value in asdict(args).items()})
    network = accelerator.unwrap_model(model)
    pipeline = ReadingComprehensionPipeline(model=network, tokenizer=tokenizer)
    history = History(accelerator, output_dir / "history.jsonl", resumed_at=state.step)
    running: list[float] = []

    def validate(questions: list[QAExample]) -> dict[str, float]:
        if not questions:
            return {}
        with ema_weights(ema, network):
            scores = score(pipeline, questions)
        logger.info("step %d: EM %.1f, F1 %.1f", state.step, scores["exact_match"], scores["f1"])
        return {f"validation/{key}": scores[key] for key in ("exact_match", "f1")}

    def after_validation(figures: dict[str, float]) -> None:
        """Keep the best weights; where they have been the best for too long, go back to them with a lower rate."""
        average = sum(figures.values()) / 2
        if average > best.score:
            best.score, best.misses = average, 0
            with ema_weights(ema, network):
                accelerator.save(network.state_dict(), str(output_dir / "best.safetensors"), safe_serialization=True)
            return
        best.misses += 1
        if best.misses >= args.drop_after:
            best.drops, best.misses = best.drops + 1, 0
            network.load_state_dict(load_file(output_dir / "best.safetensors", device=str(accelerator.device)))
            ema.shadow_params = [parameter.detach().clone() for parameter in network.parameters()]
            ema.optimization_step = 0
            optimizer.optimizer.state.clear()
            set_learning_rate(optimizer, lr_scheduler, args.learning_rate / 10**best.drops)
            logger.info("step %d: back to the best, average %.1f, with a tenth of the rate", state.step, best.score)

    # 4. The loop
    bar = tqdm(
        initial=state.step, total=args.max_train_steps, desc="training", disable=not accelerator.is_main_process
    )
    while state.step < args.max_train_steps and best.drops < 2:
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
            if few and state.step % args.validation_steps == 0 and not last:
                figures = validate(few)
                history.log(state.step, **figures)
                if args.drop_after:
                    after_validation(figures)
            if state.step % args.checkpointing_steps == 0 or last:
                checkpoints.save(state.step)
            if last or best.drops == 2:
                break
        else:
            state.epoch, state.batch = state.epoch + 1, 0
    bar.close()

    # 5. Final evaluation
    figures = validate(held_out)
    if figures:
        history.log(state.step, **figures)
    results = manifest | {
        "steps": state.step,
        "questions_seen": state.samples,
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

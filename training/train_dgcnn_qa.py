"""Train a DGCNN reader for extractive question answering over one or many Chinese passages.

Articles  kexue.fm archives/5409 (2018) and archives/6906 (2019); presets `reader-2018`, `reader-2019`, and with
          attention to the question and a softmax over the window `reader`, `reader-fast`, the published one, and
          `reader-wide`, its teacher
Data      SQuAD form or {question, passages: [{passage, answer}]}: files, a folder or a Hub id
Command   accelerate launch training/train_dgcnn_qa.py --train DATA --validation DATA
          (again resumes; training/README.md has the commands, hours and scores of the published model)
Traps     From scratch the tagging loss (2018, 2019) predicts no answers in the first epochs: all scores fall to zero
          before they rise. Pre-train on synthetic (cloze) questions (--cloze_share 1, then --init_from). EMA
          weights are evaluated and saved.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hf_kexue import DGCNNConfig, DGCNNForQuestionAnswering, DGCNNTokenizer, ReadingComprehensionPipeline
from hf_kexue.data.questions.reading import QAExample
from hf_kexue.data.questions.samples import ReadingCollator, ReadingDataset
from hf_kexue.data.texts.reading import read_texts
from hf_kexue.data.texts.word_vectors import word_matrix, words_in_texts
from hf_kexue.data.triples.reading import read_triples
from hf_kexue.data.whole_files import write_whole
from hf_kexue.dgcnn.distillation_dgcnn import distillation_loss, project_embeddings
from hf_kexue.dgcnn.simplified_dgcnn import simplified
from hf_kexue.inference.evaluation import evaluate_reader
from hf_kexue.training.arguments import TextArguments, on_error, option, parse_arguments
from hf_kexue.training.fine_tuning import (
    FINE_TUNING_EPOCHS,
    check_width,
    fit_steps_to_data,
    follow_donor,
    log_fresh_weights,
)
from hf_kexue.training.interruption import script_main
from hf_kexue.training.loop import TrainingRun
from hf_kexue.training.processes import finish
from hf_kexue.training.publishing import PublishingArguments, push_to_hub
from hf_kexue.training.question_data import (
    QuestionArguments,
    loss_counts,
    loss_parts,
    synthetic_questions,
    training_questions,
    validation_questions,
)
from hf_kexue.training.setup import length_multiple, run_manifest, start, training_loader

HERE = Path(__file__).resolve().parent
logger = logging.getLogger("train_dgcnn_qa")


@dataclass
class Arguments(PublishingArguments, QuestionArguments, TextArguments):
    output_dir: str = option("outputs/dgcnn-qa", "Folder for checkpoints, figures and the model.")
    preset: str = option("reader", "Name in training/presets or path of a YAML file.")
    # tokenizer
    segmenter: str = option("rjieba", "'rjieba', 'jieba' or 'none'.")
    min_count: int = option(2, "Rarer characters become [UNK].")
    max_words: int = option(20_000, "Size of the word vocabulary.")
    word_vectors: str | None = option(None, "word2vec file, text or binary, for words and frozen vectors.")
    # network
    hidden_size: int = option(128, "Width.")
    dilations: list[int] = option([1, 2, 4, 8, 16, 1], "Of the blocks on the passage with the question.")
    patch_dilations: list[int] = option([], "Of blocks before those, on patches of characters.")
    patch_size: int = option(4, "Characters of a patch.")
    patch_hidden_size: int = option(0, "Width of the patch blocks; 0: --hidden_size.")
    question_dilations: list[int] = option([1, 2, 1], "Of the question encoder.")
    context_dilations: list[int] = option([], "Of the blocks before, shared by passage and question.")
    question_attention: bool = option(False, "Attention from passage to question.")
    mixed_embedding: bool = option(True, "Word embeddings besides characters.")
    match_features: bool = option(False, "The eight features of 2018.")
    position_embedding: str = option("none", "'none' or 'sinusoidal'.")
    second_dilations: list[int] = option(
        [], "Of the blocks after a second cross-attention to the question; empty: none."
    )
    num_attention_heads: int = option(0, "Of the second cross-attention; 0: one.")
    conditional_end: bool = option(False, "The end is conditioned on the start, with --output span.")
    pointer_hidden_size: int = option(0, "Layer under the scores; 0: none.")
    gate_dropout: float = option(0.1, "On the gates.")
    gate_noise: float = option(0.0, "On the gates, as in 2018.")
    hidden_dropout: float = option(0.1, "On the embeddings.")
    feature_dropout: float = option(0.0, "Share of questions whose match features are set to zero.")
    max_answer_len: float = option(30.0, "Longest answer of the saved reader; an ASCII letter or digit counts 0.5.")
    output: str = option("tagging", "'tagging' or 'span'.")
    loss: str = option("focal", "'focal' or 'bce', of 'tagging'.")
    initializer_range: float = option(0.02, "Standard deviation of embeddings at the start.")
    r_drop: float = option(0.0, "Weight of R-Drop, the divergence between two dropout masks (2106.14448).")
    init_from: str | None = option(None, "Folder of a saved model (reader or masked LM); its tokenizer is used.")
    teacher: str | None = option(None, "Folder of a teacher reader; its tokenizer and embeddings are used.")
    distillation: float = option(0.0, "Weight of the teacher's soft labels against those of the data.")


SHAPE = (
    "hidden_size", "dilations", "patch_dilations", "patch_size", "patch_hidden_size", "question_dilations",
    "context_dilations", "question_attention", "second_dilations", "num_attention_heads", "conditional_end",
    "position_embedding", "pointer_hidden_size", "gate_dropout", "gate_noise", "hidden_dropout", "feature_dropout",
    "max_answer_len", "output", "loss", "initializer_range",
)  # fmt: skip
FOLLOWED = (*SHAPE[: SHAPE.index("gate_dropout")], "output")  # determine the shapes of the weights


def build_tokenizer(args: Arguments, texts: list[str]) -> DGCNNTokenizer:
    """The tokenizer of --init_from or --teacher, or a new one built from the texts."""
    if donor := args.init_from or args.teacher:
        return DGCNNTokenizer.from_pretrained(donor, match_features=args.match_features)
    words: dict[str, Any] = {"segmenter": args.segmenter if args.mixed_embedding else "none"}
    words["max_words"] = args.max_words if args.mixed_embedding else 0
    if args.word_vectors:
        known = words_in_texts(args.word_vectors, texts)[: args.max_words]
        words |= {"dictionary": known, "word_vocab": ["[PAD]", "[UNK]", *known]}
    return DGCNNTokenizer.from_texts(texts, min_count=args.min_count, match_features=args.match_features, **words)


def build_model(args: Arguments, tokenizer: DGCNNTokenizer) -> DGCNNForQuestionAnswering:
    """The network; with --init_from the weights whose names and shapes agree are loaded, others newly initialised."""
    config = DGCNNConfig(
        vocab_size=len(tokenizer), word_vocab_size=len(tokenizer.word_vocab or []),
        num_match_features=8 if args.match_features else 0, **{key: getattr(args, key) for key in SHAPE},
    )  # fmt: skip
    if args.init_from:
        donor: Any = DGCNNConfig.from_pretrained(args.init_from)
        check_width(args, donor)
        config.update({key: getattr(donor, key) for key in ("word_embedding_size", "freeze_word_embeddings")})
        # Published weights may be stored as float16; they are trained in float32.
        model, report = DGCNNForQuestionAnswering.from_pretrained(
            args.init_from, config=config, ignore_mismatched_sizes=True, dtype=torch.float32, output_loading_info=True
        )
        log_fresh_weights(args, report)
        return model
    if not args.word_vectors:
        return DGCNNForQuestionAnswering(config)
    matrix = torch.from_numpy(word_matrix(args.word_vectors, tokenizer.word_vocab or []))
    config.update({"word_embedding_size": matrix.shape[1], "freeze_word_embeddings": True})
    model = DGCNNForQuestionAnswering(config)
    model.get_parameter("dgcnn.embeddings.words.weight").data.copy_(matrix)
    return model


def build_teacher(args: Arguments, tokenizer: DGCNNTokenizer, model: DGCNNForQuestionAnswering) -> Any:
    """The reader of --teacher in float32, or None; without --init_from the model gets its embeddings."""
    if not 0 <= args.distillation <= 1 or (args.distillation and not args.teacher):
        raise ValueError(f"--distillation must be in [0, 1] and needs --teacher, got {args.distillation}.")
    if not args.teacher:
        return None
    teacher = DGCNNForQuestionAnswering.from_pretrained(args.teacher, dtype=torch.float32).eval().requires_grad_(False)
    its_tokenizer = DGCNNTokenizer.from_pretrained(args.teacher)
    if (its_tokenizer.get_vocab(), its_tokenizer.word_vocab) != (tokenizer.get_vocab(), tokenizer.word_vocab):
        raise ValueError(f"--teacher {args.teacher} and --init_from {args.init_from} have different vocabularies.")
    if {teacher.config.output, args.output} != {"span"}:
        raise ValueError(
            "--teacher needs --output span for teacher and student: soft labels are softmaxes over the window."
        )
    if not args.init_from:
        share = project_embeddings(model, teacher)
        logger.info("embeddings of %s: %.1f%% of their squared norm kept", args.teacher, 100 * share)
    return teacher


def repeated(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch concatenated with itself."""
    return {key: torch.cat([value, value]) if torch.is_tensor(value) else value for key, value in batch.items()}


def consistency(output: Any) -> torch.Tensor:
    """R-Drop: symmetric Kullback-Leibler divergence of starts and ends between the two halves of a batch, which hold
    the same questions."""
    divergences = []
    for logits in (output.start_logits, output.end_logits):
        one, two = logits.float().log_softmax(-1).chunk(2)
        divergences.append(((one.exp() - two.exp()) * (one - two)).sum(-1).mean() / 2)
    return sum(divergences[1:], divergences[0])


def score(pipeline: ReadingComprehensionPipeline, examples: list[QAExample]) -> dict[str, Any]:
    """Exact match and F1 of CMRC 2018 in percent, over all references of all passages; "total" counts the questions,
    also those that share an id."""
    scores = evaluate_reader(pipeline, examples, "cmrc2018")
    return scores | {"total": scores["questions"]}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    # 1. Data, network, manifest
    args = parse_arguments(Arguments, HERE / "presets", argv, pattern="reader*")
    output_dir, accelerator = Path(args.output_dir), start(args)
    if args.word_vectors and (args.init_from or args.teacher or not args.mixed_embedding):
        raise ValueError("--word_vectors needs --mixed_embedding True, and excludes --init_from and --teacher.")
    examples = training_questions(args, simplified)
    held_out = validation_questions(args)
    few = held_out[:: max(1, len(held_out) // max(args.validation_questions, 1))]
    passages = list(dict.fromkeys(passage for example in examples for passage in example.passages))
    texts = [text for source in args.texts for text in read_texts(source, on_error=on_error(args))] or passages
    triples = [
        example for source in args.triples for example in read_triples(source, "train", on_error=on_error(args))
    ]
    known = dict.fromkeys([*passages, *texts, *(example.text for example in triples)])
    donor: Any = DGCNNConfig.from_pretrained(args.init_from) if args.init_from else None
    continues = donor is not None and "DGCNNForQuestionAnswering" in (donor.architectures or [])
    if continues:
        follow_donor(args, donor, FOLLOWED)
        if "match_features" not in args.explicit:
            args.match_features = donor.num_match_features > 0
    tokenizer = build_tokenizer(args, list(known) + [e.question for e in examples])
    model = build_model(args, tokenizer)
    teacher = build_teacher(args, tokenizer, model)
    source = synthetic_questions(args, texts, triples, tokenizer.segment)
    dataset = ReadingDataset(
        examples, args.max_characters, args.seed, args.without_answer, args.concatenate, args.drop_labels,
        args.all_occurrences, source, args.cloze_share,
    )  # fmt: skip
    collator = ReadingCollator(tokenizer, args.zero_ids, multiple_of=length_multiple())
    loader = training_loader(args, dataset, collator, processes=accelerator.num_processes)
    fit_steps_to_data(args, loader, accelerator.num_processes, FINE_TUNING_EPOCHS if continues else 0)
    if continues and all(any(example.answers) for example in examples):
        logger.warning(
            "All questions have an answer, so the reader will forget to predict none. If that matters, add "
            "unanswerable questions and --keep_unanswerable True."
        )
    manifest = run_manifest(
        args, accelerator, model, questions=len(examples), texts=len(texts), validation_questions=len(held_out)
    )

    # 2. Validation
    def validate(questions: list[QAExample]) -> dict[str, float]:
        scores = score(pipeline, questions)
        return {f"validation/{key}": scores[key] for key in ("exact_match", "f1")}

    def validate_few() -> tuple[dict[str, float], float]:
        figures = validate(few)
        return figures, sum(figures.values()) / 2

    # 3. Prepare and resume, with optimizer, schedule and EMA
    run = TrainingRun(
        args, accelerator, model, loader, manifest, "dgcnn_qa", "questions", validate_few if few else None,
        first_score=donor is not None, counts=partial(loss_counts, args),
    )  # fmt: skip
    pipeline = ReadingComprehensionPipeline(model=run.network, tokenizer=tokenizer)

    # 4. The loop
    teacher = teacher.to(accelerator.device) if args.distillation else None
    for batch in run.batches():
        with accelerator.accumulate(run.model):
            with accelerator.autocast():
                inputs = repeated(batch) if args.r_drop else batch
                output = run.model(**inputs)
                loss = run.weighted(*loss_parts(args, output, inputs))
                if teacher is not None:
                    with torch.no_grad():
                        teacher_output = teacher(**batch)
                    loss = (1 - args.distillation) * loss + args.distillation * distillation_loss(
                        output, teacher_output
                    )
                if args.r_drop:
                    loss = loss + args.r_drop * consistency(output)
            run.descend(loss)
        run.after_step(len(batch["input_ids"]))
    if args.dry_run:
        return run.estimate()

    # 5. Save before the final evaluation, so that an interruption keeps the model
    if accelerator.is_main_process:
        with run.averaged():
            run.network.save_pretrained(output_dir / "model")
        tokenizer.save_pretrained(output_dir / "model")
        logger.info("Saved %s", output_dir / "model")
    figures = {}
    if held_out:
        with run.averaged():
            figures = validate(held_out)
        logger.info("step %d: EM %.1f, F1 %.1f", run.state.step, *figures.values())
        run.history.log(run.state.step, **figures)
    results = manifest | {"questions_seen": run.state.samples, **run.costs(), **figures}

    if accelerator.is_main_process:
        write_whole(output_dir / "results.json", json.dumps(results, indent=1, ensure_ascii=False))
        with run.averaged():
            push_to_hub(args, pipeline, results)
    finish(accelerator)
    return results


if __name__ == "__main__":
    script_main(main)

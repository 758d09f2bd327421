"""Train a DGCNN for triple extraction: overlapping (subject, predicate, object) triples of Chinese sentences.

Articles  kexue.fm archives/6671 (2019) and archives/7161 (powers of sigmoids); presets `triples-2019`, `triples-fast`
          (its author's faster variant), `triples`, and `triples-wide`, the published one
Data      DuIE form {text, spo_list: [{subject, predicate, object, subject_type, object_type}]}: files, a folder or a
          Hub id; check it first with `hf-kexue check-data triples DATA`
Command   accelerate launch training/train_dgcnn_triples.py --train DATA --validation DATA
          (again resumes; training/README.md has the commands, hours and scores of the published model)
Traps     An F1 of 0 at first is normal: scores below 0.1 are ignored, and they fall before they rise. An EMA of 0.9999
          needs 5,000 steps or more. Thresholds are tuned on the validation sentences; `f1_of_crossed_thresholds`
          is the F1 with thresholds tuned on the other half.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from hf_kexue import DGCNNConfig, DGCNNForTripleExtraction, DGCNNTokenizer, TripleExtractionPipeline, TriplePrior
from hf_kexue.data.triples.folds import without_fold
from hf_kexue.data.triples.known import known_triple_scores, memorised_share, memorised_triples
from hf_kexue.data.triples.reading import TripleExample, add_inverses, read_triples
from hf_kexue.data.triples.samples import TripleCollator, TripleDataset, character_counts
from hf_kexue.data.triples.schemas import build_schema, check_schema, read_schema
from hf_kexue.data.whole_files import write_whole
from hf_kexue.dgcnn.thresholds_dgcnn_triples import (
    Candidate,
    ThresholdSearch,
    Triple,
    crossed_counts,
    triple_candidates,
    triple_figures,
)
from hf_kexue.inference.evaluation import evaluate_triples
from hf_kexue.inference.triple_constraints import learn_constraints
from hf_kexue.training.arguments import TextArguments, on_error, option, parse_arguments
from hf_kexue.training.fine_tuning import (
    FINE_TUNING_EPOCHS,
    blend_weights,
    check_width,
    fit_steps_to_data,
    follow_donor,
    init_prior_columns,
    log_fresh_weights,
)
from hf_kexue.training.interruption import script_main
from hf_kexue.training.loop import TrainingRun
from hf_kexue.training.processes import finish
from hf_kexue.training.publishing import PublishingArguments, push_to_hub
from hf_kexue.training.setup import length_multiple, run_manifest, start, training_loader

HERE = Path(__file__).resolve().parent
logger = logging.getLogger("train_dgcnn_triples")


@dataclass
class Arguments(PublishingArguments, TextArguments):
    output_dir: str = option("outputs/dgcnn-triples", "Folder for checkpoints, figures and the model.")
    preset: str = option("triples", "Name in training/presets or path of a YAML file.")
    # data
    train: list[str] = option([], "Files, folders or Hub ids with training sentences; their split is 'train'.")
    train_share: float = option(1.0, "Random share of them to use.")
    without_fold: str = option("", "Leave out fold k of K of the sentences, such as 0/2, for other networks to label.")
    validation: str | None = option(None, "File, folder or Hub id with validation sentences.")
    validation_split: str = option("validation", "Its split.")
    validation_sentences: int = option(500, "Sentences scored while it trains; at the end all are.")
    schema: str | None = option(None, "JSON file with predicates and types; default: those of the training sentences.")
    learn_constraints: bool = option(
        True, "Add to the schema what triples of a predicate have in common, for decoding."
    )
    inverse: list[str] = option([], "Pairs such as 丈夫=妻子: each triple says the other one the other way round.")
    symmetric: list[str] = option([], "Predicates that hold the other way round too.")
    skip_broken: bool = option(False, "Leave broken records of --train out, with a warning, in place of an error.")
    swap_mentions: float = option(0.0, "Chance of a sentence to get mentions of another triple of its predicate.")
    sampling: Literal["one", "all"] = option("all", "Subjects of a sentence that a step learns the objects of.")
    negatives: bool = option(True, "Subjects with a wrong end among them, which have no objects.")
    all_occurrences: bool = option(True, "Label every occurrence of a mention; the article labels the first.")
    max_characters: int = option(256, "Sentences are cropped to this length.")
    zero_ids: float = option(0.05, "Share of ids set to zero.")
    prior: bool = option(False, "Condition on memorised triples with both mentions in the sentence.")
    find_known: bool = option(False, "Also return memorised triples of reliable predicates.")
    # tokenizer
    segmenter: str = option("rjieba", "'rjieba', 'jieba' or 'none'.")
    mixed_embedding: bool = option(True, "Word embeddings besides characters.")
    min_count: int = option(2, "Rarer characters become [UNK].")
    max_words: int = option(20_000, "Size of the word vocabulary.")
    # network
    hidden_size: int = option(128, "Width.")
    dilations: list[int] = option([1, 2, 5, 1, 2, 5], "Of the blocks of the trunk.")
    object_dilations: list[int] = option([], "Of blocks between the subject encoding and the object scores.")
    position_embedding: str = option("none", "'none' or 'learned'.")
    num_attention_heads: int = option(0, "Of the self-attention besides the convolutions; 0: none.")
    subject_encoder: str = option("ends", "'ends' or 'gru'.")
    typed_subjects: bool = option(False, "Tag the subjects of each type separately.")
    predicate_gate: bool = option(False, "Multiply by the probability that the sentence has the predicate.")
    character_gate: bool = option(False, "Multiply by the probability that a character belongs to any triple.")
    subject_power: int = option(1, "n of sigmoid(x) ** n for subjects.")
    object_power: int = option(1, "The same for objects.")
    gate_dropout: float = option(0.1, "On the gates of the convolutions.")
    hidden_dropout: float = option(0.1, "On the embeddings.")
    initializer_range: float = option(0.02, "Standard deviation of embeddings at the start.")
    init_from: str | None = option(
        None, "Folder of a saved model (reader, masked LM, triples); its tokenizer is used."
    )
    blend_with: str | None = option(
        None, "Folder of a model that --init_from was fine-tuned from: the run starts from a mean of both."
    )
    blend: float = option(0.5, "Share of --init_from in that mean.")


SHAPE = (
    "hidden_size", "dilations", "object_dilations", "position_embedding", "num_attention_heads",
    "subject_encoder", "typed_subjects", "predicate_gate", "character_gate", "subject_power", "object_power",
    "gate_dropout", "hidden_dropout", "initializer_range",
)  # fmt: skip
FOLLOWED = SHAPE[: SHAPE.index("subject_power")]  # determine the shapes of the weights


def training_examples(args: Arguments) -> list[TripleExample]:
    """All files of --train, or folds or a share of them, with what their triples say the other way round."""
    examples = [example for source in args.train for example in read_triples(source, "train", on_error=on_error(args))]
    if not examples:
        raise ValueError("--train has no sentences: give files, folders or Hub ids.")
    if not 0 < args.train_share <= 1:
        raise ValueError(f"--train_share must be above 0 and at most 1, got {args.train_share}.")
    if args.without_fold:
        examples = without_fold(examples, args.without_fold)
    kept = np.random.default_rng(args.seed).permutation(len(examples))[: round(args.train_share * len(examples))]
    return with_inverses(args, [examples[number] for number in sorted(kept)])


def run_schema(examples: list[TripleExample], donor: Any) -> list[dict[str, Any]]:
    """The schema of the sentences; that of a donor with the same predicates, since its weights are in its order."""
    schema = build_schema(examples)
    known = getattr(donor, "triple_schema", None) or []
    same = {entry["predicate"] for entry in schema} == {entry["predicate"] for entry in known}
    return known if same else schema


def with_inverses(args: Arguments, examples: list[TripleExample]) -> list[TripleExample]:
    """Add the triples of --inverse and --symmetric."""
    pairs = dict(pair.split("=", 1) for pair in args.inverse if "=" in pair)
    if len(pairs) < len(args.inverse):
        raise ValueError(f"--inverse must be pairs of predicates such as 丈夫=妻子, got {' '.join(args.inverse)}.")
    return add_inverses(examples, pairs, args.symmetric) if pairs or args.symmetric else examples


def build_tokenizer(
    args: Arguments, examples: Sequence[TripleExample], schema: list[dict[str, Any]]
) -> DGCNNTokenizer:
    """The tokenizer of --init_from, or a new one built from the sentences; stores their triples for --prior and
    --find_known.

    Memorised triples of a donor are dropped, since they refer to its schema.
    """
    memorised: dict[str, Any] = {"triple_prior": []}
    if args.prior or args.find_known:
        memorised["triple_prior"] = memorised_triples(examples, schema)
    if args.init_from:
        if donor_size := DGCNNTokenizer.from_pretrained(args.init_from).triple_prior_size:
            use = (
                "those of --train replace them" if memorised["triple_prior"] else "--prior True uses those of --train"
            )
            logger.info("The %d memorised triples of %s belong to its schema: %s.", donor_size, args.init_from, use)
        return DGCNNTokenizer.from_pretrained(args.init_from, match_features=False, **memorised)
    return DGCNNTokenizer.from_texts(
        [example.text for example in examples], min_count=args.min_count,
        segmenter=args.segmenter if args.mixed_embedding else "none",
        max_words=args.max_words if args.mixed_embedding else 0, **memorised,
    )  # fmt: skip


def build_model(args: Arguments, tokenizer: DGCNNTokenizer, schema: list[dict[str, Any]]) -> DGCNNForTripleExtraction:
    """The network; with --init_from the weights whose names and shapes agree are loaded, others newly initialised."""
    config = DGCNNConfig(
        vocab_size=len(tokenizer), word_vocab_size=len(tokenizer.word_vocab or []), triple_schema=schema,
        triple_prior=args.prior, **{key: getattr(args, key) for key in SHAPE},
    )  # fmt: skip
    if not args.init_from:
        return DGCNNForTripleExtraction(config)
    donor = DGCNNConfig.from_pretrained(args.init_from)
    check_width(args, donor)
    config.update({key: getattr(donor, key) for key in ("word_embedding_size", "freeze_word_embeddings")})
    # Published weights may be stored as float16; they are trained in float32.
    model, report = DGCNNForTripleExtraction.from_pretrained(
        args.init_from, config=config, ignore_mismatched_sizes=True, dtype=torch.float32, output_loading_info=True
    )
    log_fresh_weights(args, report)
    if donor.triple_schema and (args.prior or donor.triple_prior):
        init_prior_columns(model, DGCNNForTripleExtraction.from_pretrained(args.init_from, dtype=torch.float32))
    if args.blend_with:
        blend_weights(
            model, DGCNNForTripleExtraction.from_pretrained(args.blend_with, dtype=torch.float32), args.blend
        )
    return model


def gold(examples: Sequence[TripleExample]) -> list[list[Triple]]:
    """Triples as tuples of strings."""
    return [[(t.subject, t.predicate, t.object) for t in example.triples] for example in examples]


def final_figures(pipeline: Any, examples: Sequence[TripleExample], batch_size: int = 32) -> dict[str, Any]:
    """Scores of DuIE 1.0 in [0, 1], overall and by predicate."""
    scores = evaluate_triples(pipeline, examples, batch_size)
    return {f"validation/{key}": scores[key] for key in ("precision", "recall", "f1", "per_predicate")}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    # 1. Data, network, manifest
    args = parse_arguments(Arguments, HERE / "presets", argv, pattern="triples*")
    output_dir, accelerator = Path(args.output_dir), start(args)
    examples = training_examples(args)
    donor: Any = DGCNNConfig.from_pretrained(args.init_from) if args.init_from else None
    schema = read_schema(args.schema) if args.schema else run_schema(examples, donor)
    for message in check_schema(schema, examples):
        logger.warning(message)
    if args.learn_constraints:
        schema = learn_constraints(schema, examples)
    held_out = []
    if args.validation:
        held_out = read_triples(args.validation, args.validation_split, on_error=on_error(args))
    held_out = with_inverses(args, held_out)
    few = held_out[:: max(1, len(held_out) // max(args.validation_sentences, 1))]
    continues = donor is not None and "DGCNNForTripleExtraction" in (donor.architectures or [])
    if continues:
        follow_donor(args, donor, FOLLOWED)
    tokenizer = build_tokenizer(args, examples, schema)
    model = build_model(args, tokenizer, schema)
    prior = TriplePrior(tokenizer.triple_prior, len(schema)) if tokenizer.triple_prior else None
    if args.find_known and prior is not None:
        model.config.known_triple_scores = known_triple_scores(examples, schema, prior)
    dataset = TripleDataset(examples, schema, args.seed, swap_mentions=args.swap_mentions)
    collator = TripleCollator(
        tokenizer, schema, model.subject_types, sampling=args.sampling, negatives=args.negatives,
        all_occurrences=args.all_occurrences, max_characters=args.max_characters, zero_ids=args.zero_ids,
        prior=prior if args.prior else None,
        seed=args.seed, multiple_of=length_multiple(),
    )  # fmt: skip
    lengths = [len(example.text) for example in examples]
    loader = training_loader(args, dataset, collator, lengths, accelerator.num_processes)
    fit_steps_to_data(args, loader, accelerator.num_processes, FINE_TUNING_EPOCHS if continues else 0)
    manifest = run_manifest(
        args, accelerator, model, sentences=len(examples), predicates=len(schema),
        triples=sum(len(example.triples) for example in examples), validation_sentences=len(held_out),
    )  # fmt: skip

    # 2. Validation
    def candidates(sentences: list[TripleExample]) -> list[Candidate]:
        texts = [example.text for example in sentences]
        return triple_candidates(run.network, tokenizer, texts, prior=prior, max_length=args.max_characters)

    def validate() -> tuple[dict[str, float], float]:
        search = ThresholdSearch(candidates(few), gold(few))
        scores = search.scores(search.best(DGCNNConfig().triple_thresholds))
        return {f"validation/{key}": value for key, value in scores.items()}, scores["f1"]

    # 3. Prepare and resume, with optimizer, schedule and EMA
    run = TrainingRun(
        args, accelerator, model, loader, manifest, "dgcnn_triples", "sentences", validate if few else None,
        first_score=continues, counts=character_counts,
    )  # fmt: skip

    # 4. The loop
    for batch in run.batches():
        with accelerator.accumulate(run.model):
            with accelerator.autocast():
                output = run.model(**batch)
            run.descend(run.weighted(output.subject_loss, output.object_loss))
        run.after_step(len(batch["input_ids"]))
    if args.dry_run:
        return run.estimate()

    # 5. Save before the final evaluation, so that an interruption keeps the model
    def save() -> None:
        with run.averaged():
            run.network.save_pretrained(output_dir / "model")
        tokenizer.save_pretrained(output_dir / "model")
        logger.info("Saved %s", output_dir / "model")

    if accelerator.is_main_process:
        save()
    figures: dict[str, Any] = {}
    if held_out:
        with run.averaged():
            scored, begin = candidates(held_out), list(DGCNNConfig().triple_thresholds)
            search = ThresholdSearch(scored, gold(held_out))
            run.network.config.triple_thresholds = search.best(begin)
            longest = args.max_characters  # same truncation as in training
            pipeline = TripleExtractionPipeline(
                model=run.network, tokenizer=tokenizer, max_seq_len=longest, split_above=longest
            )
            figures = final_figures(pipeline, held_out)
        crossed = triple_figures(*crossed_counts(scored, gold(held_out), begin))
        if tokenizer.triple_prior_size:
            figures["validation/known_share"] = memorised_share(
                held_out, list[Any](tokenizer.triple_prior or []), schema
            )
        figures["validation/f1_of_default_thresholds"] = search.scores(begin)["f1"]
        figures["validation/f1_of_crossed_thresholds"] = crossed["f1"]
        numbers = {key: value for key, value in figures.items() if isinstance(value, float)}
        logger.info("step %d: %s, thresholds %s", run.state.step, numbers, run.network.config.triple_thresholds)
        run.history.log(run.state.step, **numbers)
        figures["thresholds"] = run.network.config.triple_thresholds
    results = manifest | {"sentences_seen": run.state.samples, **run.costs(), **figures}

    # 6. Save again, with the thresholds
    if accelerator.is_main_process:
        write_whole(output_dir / "results.json", json.dumps(results, indent=1, ensure_ascii=False))
        save()
        with run.averaged():
            push_to_hub(args, TripleExtractionPipeline(model=run.network, tokenizer=tokenizer), results)
    finish(accelerator)
    return results


if __name__ == "__main__":
    script_main(main)

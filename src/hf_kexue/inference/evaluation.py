"""Score saved models on public data: questions, triples, images.

    evaluate_reader(pipeline, read_qa("cmrc2018", split="validation"))          # scorer of CMRC 2018
    evaluate_triples(pipeline, read_triples("duie2", split="validation"))       # scorer of DuIE 1.0
    evaluate_images(pipeline, load_images("clothing-64", split="validation", label_column="auto"))  # KID-EffLite0

The scorers of `metrics` follow the published ones exactly. The parts of KID-EffLite0 are public, for scripts that draw
their own samples: `photographs`, `class_mix`, `picture_features` and `picture_distance`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data.images import ImageDataset, ImageSource
from ..data.questions.reading import QAExample
from ..data.triples.reading import TripleExample
from ..metrics import (
    cmrc2018_scores,
    efficientnet_lite0_features,
    extract_features,
    kernel_distance,
    sogouqa_scores,
    triple_scores,
    webqa_scores,
)
from .drawing import Labels, draw_in_batches
from .kinds import kind_of
from .triple_constraints import named_constraints

logger = logging.getLogger(__name__)

SCORERS = ("cmrc2018", "sogouqa", "webqa")
BATCH_SIZE = 50  # of drawn images; the noise of a diffusion depends on it


def evaluate_reader(
    pipeline: Any,
    examples: Sequence[QAExample],
    scorer: str | None = None,
    batch_size: int = 32,
    limit: int | None = None,
) -> dict[str, Any]:
    """Score a reader; unanswerable questions are skipped.

    Args:
        pipeline: `ReadingComprehensionPipeline`.
        examples: of `read_qa`.
        scorer: of `SCORERS`; None: "cmrc2018" where every question has one passage, else "sogouqa". The first two
            score the vote over all passages; "webqa" the best span of each passage, then the most frequent ones.
        batch_size: windows of a batch.
        limit: use only the first examples.

    Returns:
        "scorer", "questions", "left_out" and the figures of the scorer.

    Raises:
        ValueError: for an unknown scorer, or if no question has an answer.
    """
    examples = examples[:limit]
    answerable = [example for example in examples if any(example.answers)]
    if not answerable:
        raise ValueError(f"None of the {len(examples)} questions has an answer to score.")
    if scorer is None:
        scorer = "cmrc2018" if all(len(example.passages) == 1 for example in answerable) else "sogouqa"
    if scorer not in SCORERS:
        raise ValueError(f"scorer must be one of {', '.join(SCORERS)}; got {scorer!r}.")
    if scorer == "webqa":
        scores = _webqa(pipeline, answerable, batch_size)
    else:
        results = pipeline(
            question=[example.question for example in answerable],
            passages=[example.passages for example in answerable],
            batch_size=batch_size,
        )
        keys = [f"{number}: {example.id}" for number, example in enumerate(answerable)]  # ids may repeat
        golds = {
            key: list(dict.fromkeys(answer for answers in example.answers for answer in answers))
            for key, example in zip(keys, answerable)
        }
        predictions = {key: answer["answer"] for key, answer in zip(keys, results)}
        scores = (cmrc2018_scores if scorer == "cmrc2018" else sogouqa_scores)(predictions, golds)
    scores = {key: value for key, value in scores.items() if key not in ("total", "missing")}
    return {"scorer": scorer, "questions": len(answerable), "left_out": len(examples) - len(answerable), **scores}


def _webqa(pipeline: Any, examples: Sequence[QAExample], batch_size: int) -> dict[str, Any]:
    """F1 by the scorer of WebQA, with strict and with fuzzy matching."""
    pairs = [(example.question, passage) for example in examples for passage in example.passages]
    questions, contexts = (list(column) for column in zip(*pairs))
    answers = iter(pipeline(question=questions, context=contexts, batch_size=batch_size))
    records = [
        {
            "id": number,
            "evidences": [{"golds": golds, "predictions": [next(answers)["answer"]]} for golds in example.answers],
        }
        for number, example in enumerate(examples)
    ]
    return {
        f"{matching}_{figure}": value
        for matching in ("strict", "fuzzy")
        for figure, value in webqa_scores(records, voting=True, matching=matching).items()
        if figure in ("precision", "recall", "f1")
    }


def evaluate_triples(
    pipeline: Any,
    examples: Sequence[TripleExample],
    batch_size: int = 32,
    limit: int | None = None,
    constraints: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Precision, recall and F1 in [0, 1] by the scorer of DuIE 1.0, without aliases.

    Args:
        pipeline: `TripleExtractionPipeline`.
        examples: of `read_triples`.
        batch_size: texts of a batch.
        limit: use only the first examples.
        constraints: of `named_constraints`; None: those of the pipeline.

    Returns:
        "scorer", "texts", the figures of `triple_scores`, and "per_predicate" with the same figures by predicate.
    """
    examples = examples[:limit]
    settings = {"constraints": named_constraints(constraints)} if constraints else {}
    results = pipeline([example.text for example in examples], batch_size=batch_size, **settings)
    predictions = [
        (example.text, [(t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in triples])
        for example, triples in zip(examples, results)
    ]
    gold = [(example.text, [(t.subject, t.predicate, t.object) for t in example.triples]) for example in examples]
    return {"scorer": "duie", "texts": len(examples), **triple_scores(predictions, gold, per_predicate=True)}


def evaluate_images(
    pipeline: Any, source: ImageSource, images: int = 400, seed: int = 0, progress: bool = True, **options: Any
) -> dict[str, Any]:
    """Kernel distance of samples to images of a data set, KID-EffLite0.

    Images are a random subset of all, since folders are usually sorted by class, and samples have the class
    proportions of the data, or the captions of that subset. The same pipeline, data, seed and options give the same
    samples. Images that cannot be decoded are skipped and logged.

    Args:
        pipeline: of images, of any kind.
        source: of `load_images`, with its labels if the pipeline has classes; not streamed.
        images: number of samples, and at most as many images of the data.
        seed: of the subset, the classes and the noise.
        progress: show a progress bar.
        options: of the `draw` function of this kind.

    Returns:
        "scorer", the numbers of "images" and "samples", "kid_efflite0" and its "standard_error"; "broken", the names
        of images that could not be decoded, where there are any.

    Raises:
        ValueError: for fewer than 4 images, an unknown class, or invalid options.
    """
    if images < 4:
        raise ValueError(f"A kernel distance needs at least 4 images, got {images}.")
    if "sampler" in options and not pipeline.config.get("num_inference_steps"):  # a few-step model draws as saved
        options = {**options, "steps": options.get("steps") or 20, "sampler": options["sampler"] or "dpm"}
    config = getattr(pipeline, kind_of(pipeline).network).config
    labels: Labels = [None] * images
    if config.num_class_embeds is not None and source.label_column is not None:
        labels = class_mix(source, images, seed)
        if source.label_names and pipeline.class_names:
            labels = [source.label_names[index] for index in labels]
        pipeline.label_ids(sorted(set(labels)))
    if source.captions is not None:  # of the same pictures, in the same order
        order = np.random.default_rng(seed).permutation(len(source.rows))
        texts = source.rows.select_columns(source.captions.names)
        labels = [source.captions.all_of(texts[int(order[place % len(order)])])[0] for place in range(images)]
    real = photographs(source, config.sample_size, images, seed)
    if real.broken:
        logger.warning("Skipped %d image(s) that cannot be decoded: %s", len(real.broken), ", ".join(real.broken))
    if len(real.images) < 4:
        raise ValueError(f"A kernel distance needs at least 4 images, and the data have {len(real.images)}.")
    device = str(getattr(pipeline, "device", "cpu"))
    held_out = picture_features(real.images, device)
    samples = draw_in_batches(
        pipeline, labels, BATCH_SIZE, generator=torch.Generator().manual_seed(seed), progress=False, **options
    )
    figures = picture_distance(held_out, _counted(samples, images, progress), device)
    scores = {"scorer": "KID-EffLite0", "images": len(real.images), "samples": images, **figures}
    return scores | ({"broken": real.broken} if real.broken else {})


@dataclass
class Photographs:
    """Decoded images of a data set, their class indices (None without classes), and the names of broken ones."""

    images: list[Image.Image] = field(default_factory=list)
    labels: list[int | None] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def photographs(
    source: ImageSource, resolution: int, count: int | None = None, seed: int | None = None
) -> Photographs:
    """Load images of a data set as the training scripts do.

    Args:
        source: of `load_images`; not streamed.
        resolution: side in pixels.
        count: maximum number; None: all.
        seed: of a random subset; None: take the first ones, for data in random order, such as the embedded
            photographs, whose first 400 the published figures are measured against.

    Returns:
        `count` images if there are enough; broken ones are skipped.
    """
    examples, result = ImageDataset(source, resolution), Photographs()
    order = range(len(examples)) if seed is None else np.random.default_rng(seed).permutation(len(examples))
    for index in order:
        if len(result.images) == count:
            break
        example = examples[int(index)]
        if "broken" in example:
            result.broken.append(example["broken"])
            continue
        pixels = ((example["pixel_values"] + 1) * 127.5).round().byte()
        result.images.append(Image.fromarray(pixels.permute(1, 2, 0).numpy()))
        result.labels.append(example.get("class_labels"))
    return result


def class_mix(source: ImageSource, count: int, seed: int = 0) -> list[int]:
    """Draw class indices in the class proportions of a data set.

    Args:
        source: with labels; images without one (None or negative) are ignored.
        count: drawn without replacement if there are enough images.
        seed: of the draw.

    Raises:
        ValueError: if no image has a label.
    """
    labels = [label for label in source.rows[source.label_column] if label is not None and label >= 0]
    if not labels:
        raise ValueError(f"No image has a label in {source.label_column!r}, so there are no classes to draw.")
    return np.random.default_rng(seed).choice(np.asarray(labels), size=count, replace=count > len(labels)).tolist()


def picture_features(images: Iterable[Image.Image] | Tensor, device: str = "cpu") -> Tensor:
    """Features of EfficientNet-Lite0, (N, 1280).

    Args:
        images: pictures, or tensors (C, H, W) in [0, 1].
        device: of the network.
    """
    return extract_features(efficientnet_lite0_features(), images, device=device, progress=False)


def picture_distance(
    held_out: Tensor, images: Iterable[Image.Image] | Tensor, device: str = "cpu"
) -> dict[str, float]:
    """KID-EffLite0, "kid_efflite0", and its "standard_error".

    Args:
        held_out: (N, 1280) of `picture_features`.
        images, device: as of `picture_features`.
    """
    distance = kernel_distance(held_out, picture_features(images, device))
    return {"kid_efflite0": distance.value, "standard_error": distance.standard_error}


def _counted(items: Iterator[Any], total: int, progress: bool) -> Iterator[Any]:
    from tqdm.auto import tqdm

    yield from tqdm(items, total=total, desc="samples", unit="image", disable=not progress)

"""Scores of saved models on data that other people may have too: questions, triples, images.

    evaluate_reader(pipeline, read_qa("cmrc2018", split="validation"))          # scorer of CMRC 2018
    evaluate_triples(pipeline, read_triples("duie2", split="validation"))       # scorer of DuIE 1.0
    evaluate_images(pipeline, load_images("clothing-64", split="validation", label_column="auto"))

The scorers are those of `metrics`, to the letter of the published ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

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
from .drawing import Labels, draw_by_diffusion, draw_by_gan

SCORERS = ("cmrc2018", "sogouqa", "webqa")
AT_ONCE = 50  # images drawn together; the noise of a diffusion depends on it


def evaluate_reader(
    pipeline: Any, examples: Sequence[QAExample], scorer: str | None = None, batch_size: int = 32
) -> dict[str, Any]:
    """Scores of a reader, questions without any answer left out.

    Args:
        pipeline: `ReadingComprehensionPipeline`.
        examples: of `read_qa`.
        scorer: of `SCORERS`; None: "cmrc2018" where every question has one passage, else "sogouqa". The first two
            judge the vote of all passages; "webqa" the best span of each passage, and then the most frequent ones.
        batch_size: windows that run together.

    Returns:
        "scorer", "questions", "left_out" and the figures of the scorer.

    Raises:
        ValueError: for another scorer, or if no question has an answer.
    """
    known = [example for example in examples if any(example.answers)]
    if not known:
        raise ValueError(f"None of the {len(examples)} questions has an answer to score.")
    if scorer is None:
        scorer = "cmrc2018" if all(len(example.passages) == 1 for example in known) else "sogouqa"
    if scorer not in SCORERS:
        raise ValueError(f"scorer must be one of {', '.join(SCORERS)}; got {scorer!r}.")
    if scorer == "webqa":
        scores = _webqa(pipeline, known, batch_size)
    else:
        found = pipeline(
            question=[example.question for example in known],
            passages=[example.passages for example in known],
            batch_size=batch_size,
        )
        keys = [f"{number}: {example.id}" for number, example in enumerate(known)]  # ids need not differ
        golds = {
            key: list(dict.fromkeys(answer for answers in example.answers for answer in answers))
            for key, example in zip(keys, known)
        }
        predictions = {key: answer["answer"] for key, answer in zip(keys, found)}
        scores = (cmrc2018_scores if scorer == "cmrc2018" else sogouqa_scores)(predictions, golds)
    scores = {key: value for key, value in scores.items() if key not in ("total", "missing")}
    return {"scorer": scorer, "questions": len(known), "left_out": len(examples) - len(known), **scores}


def _webqa(pipeline: Any, examples: Sequence[QAExample], batch_size: int) -> dict[str, Any]:
    """F1 of WebQA's own rule, of equal strings and of strings that its fuzzy rules take for equal."""
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


def evaluate_triples(pipeline: Any, examples: Sequence[TripleExample], batch_size: int = 32) -> dict[str, Any]:
    """Precision, recall and F1 in [0, 1] by the scorer of DuIE 1.0, without aliases.

    Args:
        pipeline: `TripleExtractionPipeline`.
        examples: of `read_triples`.
        batch_size: texts that run together.

    Returns:
        "scorer", "texts", the figures of `triple_scores`, and "per_predicate" with the same of each predicate.
    """
    found = pipeline([example.text for example in examples], batch_size=batch_size)
    predictions = [
        (example.text, [(t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in triples])
        for example, triples in zip(examples, found)
    ]
    gold = [(example.text, [(t.subject, t.predicate, t.object) for t in example.triples]) for example in examples]
    return {"scorer": "duie", "texts": len(examples), **triple_scores(predictions, gold, per_predicate=True)}


def evaluate_images(
    pipeline: Any, source: ImageSource, images: int = 400, seed: int = 0, progress: bool = True, **options: Any
) -> dict[str, Any]:
    """Kernel distance of samples to the first images of a data set, over features of EfficientNet-Lite0.

    Classes are drawn as often as they are there. The same pipeline, data, seed and options give the same samples.

    Args:
        pipeline: `SimpleDiffusionPipeline` or `RSGANPipeline`.
        source: of `load_images`, with its labels if the pipeline has classes; not streamed.
        images: how many to draw, and to compare with at most.
        seed: of classes and noise.
        progress: show a bar.
        options: of `draw_by_diffusion` or `draw_by_gan`.

    Returns:
        "scorer", the numbers of "images" and "samples", "kid_efflite0" and its "standard_error".

    Raises:
        ValueError: for fewer than 4 images, a class that the pipeline does not know, or refused options.
    """
    if images < 4:
        raise ValueError(f"A kernel distance needs at least 4 images, got {images}.")
    diffusion = hasattr(pipeline, "unet")
    network = pipeline.unet if diffusion else pipeline.generator
    labels = _labels_like(pipeline, network.config.num_class_embeds, source, images, seed)
    photographs = ImageDataset(source, network.config.sample_size)
    if len(photographs) < 4:
        raise ValueError(f"A kernel distance needs at least 4 images, and the data have {len(photographs)}.")
    pixels = [photographs[index]["pixel_values"] / 2 + 0.5 for index in range(min(images, len(photographs)))]
    generator = torch.Generator().manual_seed(seed)

    def samples() -> Iterator[Any]:
        for start in range(0, images, AT_ONCE):
            part = labels[start : start + AT_ONCE]
            if diffusion:
                yield from draw_by_diffusion(pipeline, part, generator=generator, progress=False, **options)
            else:
                yield from draw_by_gan(pipeline, part, generator=generator, **options)

    network_of_features = efficientnet_lite0_features()
    real = extract_features(network_of_features, pixels, progress=False)
    fake = extract_features(network_of_features, _counted(samples(), images, progress), progress=False)
    distance = kernel_distance(real, fake)
    return {
        "scorer": network_of_features.kernel_metric_name, "images": len(real), "samples": len(fake),
        "kid_efflite0": distance.value, "standard_error": distance.standard_error,
    }  # fmt: skip


def _counted(items: Iterator[Any], total: int, progress: bool) -> Iterator[Any]:
    from tqdm.auto import tqdm

    yield from tqdm(items, total=total, desc="samples", unit="image", disable=not progress)


def _labels_like(pipeline: Any, known: int | None, source: ImageSource, count: int, seed: int) -> Labels:
    """Classes drawn from those of the data; names where both have them."""
    if known is None or source.label_column is None:
        return [None] * count
    indices = np.asarray(source.rows[source.label_column])
    drawn = np.random.default_rng(seed).choice(indices, size=count, replace=count > len(indices)).tolist()
    names = source.label_names if pipeline.class_names else []
    labels = [names[index] for index in drawn] if names else drawn
    pipeline.label_ids(sorted(set(labels)))
    return labels

"""Backend of the page to try the models: published models, loaded on first use, and their outputs as pictures and
HTML.

    page = Page("model_cards")              # or Page("user"): repositories of the Hub
    page.prompted("cat face", "noto", 3.0, 4, 20, 0)

Invalid input raises a `ValueError`. The user interface is `app.py`.
"""

from __future__ import annotations

import copy
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from PIL import Image

from ..inference.drawing import draw_by_diffusion, draw_interpolated, draw_interpolation
from ..inference.grids import image_grid
from ..inference.kinds import KINDS
from ..inference.saved_models import load_pipeline
from .editing import edit_by_hand
from .graph import triples_svg
from .html import mentions, table
from .prompts import STYLES, in_styles
from .questions import marked

MODELS = {kind.tab.lower(): kind for kind in KINDS if kind.tab}
"""The kind of model that each tab shows."""

MOST_CHARACTERS = 20_000  # of a text, to answer within seconds
MOST_IMAGES = 16
INTERPOLATION_STEPS = 9  # pictures of the strip between two seeds
NO_CLASS = "(no class)"
ALL_STYLES = "*"


class Page:
    """The models behind the page.

    Args:
        source: folder with the folders of the models, or their owner on the Hub.
        names: folders or repositories in place of the published ones, by the keys of `MODELS`.
    """

    def __init__(self, source: str = "model_cards", names: Mapping[str, str] | None = None) -> None:
        self.source = source
        self.names = dict(names or {})
        self._loaded: dict[str, Any] = {}
        self._lock = Lock()

    def where(self, key: str) -> str:
        """Folder or repository of a model."""
        return self.names.get(key) or f"{self.source}/{MODELS[key].published}"

    def model(self, key: str) -> Any:
        """The pipeline, kept after the first call; several threads may ask at once.

        Raises:
            ValueError: if it is missing.
        """
        with self._lock:
            if key not in self._loaded:
                if self.absence(key):
                    raise ValueError(self.absence(key))
                kind = MODELS[key]
                self._loaded[key] = load_pipeline(self.where(key), kind, dtype=kind.drawn_in)
            return self._loaded[key]

    def absence(self, key: str) -> str:
        """A message if the folder of models lacks this one, else ""."""
        where = self.where(key)
        if key in self.names or not Path(self.source).is_dir() or Path(where).is_dir():
            return ""
        return f"The model {Path(where).name} is not published yet, so there is nothing to try here."

    def classes(self, key: str) -> list[str]:
        """Class names of an image model; empty if it is missing or has none."""
        try:
            return self.model(key).class_names
        except (ValueError, OSError):
            return []

    def guidance(self, key: str = "images") -> float:
        """The saved guidance scale of a diffusion model; 1, which is off, if it is missing."""
        try:
            return self.model(key).config.guidance_scale
        except (ValueError, OSError):
            return 1.0

    def steps(self, key: str = "images") -> int:
        """The saved number of steps of a diffusion model; 20 if it has none, or is missing."""
        try:
            return self.model(key).config.num_inference_steps or 20
        except (ValueError, OSError):
            return 20

    def prompted(
        self, text: str, style: str, guidance: float, count: int, steps: int, seed: int
    ) -> list[tuple[Image.Image, str]]:
        """Pictures of a prompt, each with its style; the sampler as of `images`.

        Args:
            text: of a visitor; one that begins with a style and a colon keeps it.
            style: of `STYLES`, or `ALL_STYLES`.
            guidance, steps, seed: as of `images`.
            count: pictures of each style.

        Raises:
            ValueError: for no text or one that the model would cut, an unknown style, or a number out of range.
        """
        prompts = in_styles(text, STYLES if style == ALL_STYLES else [style])
        _check("The number of images", count, 1, MOST_IMAGES // len(prompts))
        self._check_prompts(prompts)
        prompts = [prompt for prompt in prompts for _ in range(int(count))]
        names = [prompt.partition(":")[0] for prompt in prompts]
        return list(zip(self._drawn("prompts", prompts, guidance, steps, seed), names))

    def images(self, label: str, guidance: float, count: int, steps: int, seed: int) -> list[Image.Image]:
        """Samples of simple diffusion, by DPM-Solver++, or by the saved sampler of a model of few steps.

        Args:
            label: name of a class, or `NO_CLASS`.
            guidance: scale; 1 is off.
            count, steps, seed: images, network evaluations for each, and the seed of the noise.

        Raises:
            ValueError: for an unknown class, or a number out of range.
        """
        _check("The number of images", count, 1, MOST_IMAGES)
        labels = [None if label in ("", NO_CLASS, None) else label] * int(count)
        return self._drawn("images", labels, guidance, steps, seed)

    def _drawn(self, key: str, labels: Sequence[str | None], guidance: float, steps: int, seed: int) -> Any:
        pipeline, options = self._sampling(key, guidance, steps, seed)
        return draw_by_diffusion(pipeline, list(labels), guidance_scale=guidance, progress=False, **options)

    def _sampling(self, key: str, guidance: float, steps: int, seed: int) -> tuple[Any, dict[str, Any]]:
        """A diffusion model with a scheduler of its own, and the options that tell how it samples."""
        _check("The number of steps", steps, 1, 256)
        _check("The guidance scale", guidance, 0, 20, integer=False)
        _check_seed(seed)
        pipeline = self.model(key)
        sampler = None if pipeline.config.num_inference_steps else "dpm"
        # A scheduler counts its steps: with one for all, visitors at the same time would disturb each other.
        pipeline = type(pipeline).from_pipe(pipeline, scheduler=copy.deepcopy(pipeline.scheduler))
        generator = torch.Generator().manual_seed(int(seed))
        return pipeline, {"steps": int(steps), "sampler": sampler, "generator": generator}

    def _check_prompts(self, prompts: Sequence[str]) -> None:
        tokenizer = self.model("prompts").tokenizer
        for prompt in prompts:
            count = len(tokenizer(prompt, verbose=False)["input_ids"])
            if count > tokenizer.model_max_length:
                raise ValueError(
                    f"The prompt has {count} tokens with its style; the model reads {tokenizer.model_max_length}."
                )

    def edited(
        self, editor: Mapping[str, Any] | None, way: str, strength: float, label: str, guidance: float, steps: int,
        seed: int, prompt: str | None = None,
    ) -> Image.Image:  # fmt: skip
        """A visitor's picture, edited by simple diffusion and enlarged; the sampler as of `images`.

        Args:
            editor, way, strength: as of `edit_by_hand`.
            label, guidance, steps, seed: as of `images`.
            prompt: None for the model of classes; else for that of prompts, "" for none, and `label` is not used.

        Raises:
            ValueError: as `edit_by_hand`, for an unknown class, a prompt that is too long, or a number out of range.
        """
        _check("The strength", strength, 0, 1, integer=False)
        pipeline, options = self._sampling("images" if prompt is None else "prompts", guidance, steps, seed)
        if prompt is not None:
            self._check_prompts([prompt])
            options["prompt"] = prompt.strip() or None
        elif label not in ("", NO_CLASS, None):
            options["label"] = label
        return _enlarged(edit_by_hand(pipeline, editor, way, strength, guidance_scale=guidance, **options), 384)

    def answer(self, question: str, text: str, impossible: bool, top_k: int) -> str:
        """The passage with the best answer marked, and a table of answers.

        Args:
            question, text: input of a visitor.
            impossible: allow no answer.
            top_k: rows of the table.

        Returns:
            HTML.

        Raises:
            ValueError: for an empty or an overlong text, or a number out of range.
        """
        if not (question or "").strip():
            raise ValueError("Type a question first.")
        _check_text(text)
        _check("The number of answers", top_k, 1, 10)
        reader = self.model("questions")
        result = reader(
            question=question,
            context=text,
            top_k=int(top_k),
            handle_impossible_answer=bool(impossible),
            progress=False,
        )
        answers = result if isinstance(result, list) else [result]
        best = answers[0]
        answer_html = f"<mark>{html.escape(best['answer'])}</mark>" if best["answer"] else "The text does not say."
        return (
            f'<p class="answer" lang="zh">{answer_html}</p>'
            f'<blockquote lang="zh">{marked(text, best)}</blockquote>'
            + table(("answer", "score"), [(one["answer"] or "(no answer)", f"{one['score']:.3f}") for one in answers])
        )

    def triples(self, text: str) -> str:
        """A graph of the triples, the text with its mentions marked, and a table.

        Args:
            text: input of a visitor.

        Returns:
            HTML.

        Raises:
            ValueError: for an empty or an overlong text.
        """
        _check_text(text)
        extract = self.model("triples")
        found = extract(text, occurrences="best", progress=False)
        if not found:
            predicates = "、".join(entry["predicate"] for entry in extract.model.schema[:8])
            return (
                "<p>No triples found. The model knows "
                f"{len(extract.model.schema)} predicates, such as {html.escape(predicates)}.</p>"
            )
        rows = [(t["subject"]["text"], t["predicate"], t["object"]["text"], f"{t['score']:.3f}") for t in found]
        return (
            f'<div class="graph" lang="zh">{triples_svg(found)}</div>'
            f'<blockquote lang="zh">{mentions(text, found)}</blockquote>'
            + table(("subject", "predicate", "object", "score"), rows)
        )

    def interpolation(self, label: str, first: int, last: int, truncation: float) -> Image.Image:
        """A strip of pictures that interpolates a GAN between two seeds, enlarged.

        Args:
            label: name of a class.
            first, last: seeds of the ends.
            truncation: above 0, up to 1.

        Raises:
            ValueError: for an unknown class, or a number out of range.
        """
        label_or_first, seeds = self._ends(label, first, last, truncation)
        return _enlarged(
            image_grid(
                draw_interpolation(self.model("gan"), label_or_first, seeds, INTERPOLATION_STEPS, truncation),
                INTERPOLATION_STEPS,
            ),
            640,
        )

    def between(self, label: str, first: int, last: int, place: float, truncation: float) -> Image.Image:
        """One picture of the interpolation, enlarged.

        Args:
            label, first, last, truncation: as of `interpolation`.
            place: 0 (first) to 1 (last).

        Raises:
            ValueError: as `interpolation`.
        """
        _check("The place between the two", place, 0, 1, integer=False)
        label_or_first, seeds = self._ends(label, first, last, truncation)
        return _enlarged(draw_interpolated(self.model("gan"), label_or_first, seeds, place, truncation), 384)

    def _ends(self, label: str, first: int, last: int, truncation: float) -> tuple[str | None, tuple[int, int]]:
        for seed in (first, last):
            _check_seed(seed)
        _check("The truncation", truncation, 0.05, 1, integer=False)
        return label or next(iter(self.classes("gan")), None), (int(first), int(last))


def _enlarged(picture: Image.Image, width: int) -> Image.Image:
    """Enlarge by the largest integer factor that fits into the width."""
    times = max(1, width // picture.width)
    return picture.resize((times * picture.width, times * picture.height), Image.Resampling.NEAREST)


def _check(what: str, value: Any, least: float, most: float, integer: bool = True) -> None:
    if value is None or not least <= value <= most or (integer and value != int(value)):
        kind = "a whole number" if integer else "a number"
        raise ValueError(f"{what} must be {kind} from {least} to {most}, got {value}.")


def _check_seed(seed: Any) -> None:
    _check("A seed", seed, 0, 2**31 - 1)


def _check_text(text: str) -> None:
    if not (text or "").strip():
        raise ValueError("Type or paste a text first.")
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"The text has {len(text)} characters; this page reads {MOST_CHARACTERS} at most.")

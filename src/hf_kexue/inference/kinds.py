"""The kinds of saved models: a row holds all that commands, pages and cards need to know of one.

    kind = kind_of(pipeline)
    kind.evaluate("model_cards/dgcnn-qa-zh", "validation.jsonl", "validation", limit=100)

Classes and functions are named as "module:name" and imported when they are used, so the table itself imports nothing.
A new family needs its folder, the functions that its row names, and the row.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HERE = __name__.rpartition(".")[0]
PACKAGE = HERE.rpartition(".")[0]


@dataclass(frozen=True)
class Option:
    """An option of `hf-kexue evaluate` or `generate` that some kinds have; `least` is its smallest value."""

    name: str
    type: type
    default: Any
    help: str
    least: float | None = None


@dataclass(frozen=True)
class Kind:
    """One kind of saved model.

    Args:
        class_name: what the saved configuration names as its class.
        words, label: for messages and for the help.
        file: configuration in the folder, of diffusers (model_index.json) or transformers (config.json).
        network: attribute of the pipeline that is the network.
        pipeline: class of what the model is used through.
        parts: of a pipeline of transformers: its arguments and their classes.
        read, read_options: (data, split=, **read_options) -> examples.
        data_options: of `hf-kexue evaluate`, for `read`.
        score: (pipeline, examples, **options) -> scores.
        facts: (pipeline) -> size and arithmetic, see `model_facts`.
        draw: (pipeline, labels, per_class, generator=, **options) -> pictures; None for models of texts.
        evaluate_options, generate_options: of the two commands.
        task, tag, call: task of the exported pipeline, its tag on the Hub, and the line of a card that uses `pipe`.
        tab, published: tab of the page, and the published model that it shows; "" for none.
    """

    class_name: str
    words: str
    label: str
    file: str
    network: str
    pipeline: str
    read: str
    score: str
    facts: str
    task: str
    tag: str
    call: str
    draw: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    read_options: Mapping[str, Any] = field(default_factory=dict)
    data_options: Sequence[Option] = ()
    evaluate_options: Sequence[Option] = ()
    generate_options: Sequence[Option] = ()
    tab: str = ""
    published: str = ""

    @property
    def library(self) -> str:
        """ "diffusers" or "transformers"."""
        return "diffusers" if self.file == "model_index.json" else "transformers"

    def chosen(self, options: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Any]:
        """Values of these options: the given ones that are not None, over the defaults.

        Raises:
            ValueError: for one that belongs to another kind of model.
        """
        names = {option.name for option in options}
        for name, value in given.items():
            if value is not None and name not in names:
                allowed = ", ".join(f"--{option.name.replace('_', '-')}" for option in options)
                raise ValueError(f"--{name.replace('_', '-')} is not for {self.words}; allowed are {allowed}.")
        return {option.name: option.default if given.get(option.name) is None else given[option.name]
                for option in options}  # fmt: skip

    def load(self, model: str, device: str | None = None, dtype: str | None = None) -> Any:
        """The pipeline of a saved model.

        Args:
            model: folder, or repository id.
            device: such as "cpu", "cuda:1" or "mps"; None: a CUDA GPU if there is one, else the CPU.
            dtype: of the weights, a name of torch; None: as the model was saved for use, float32.

        Raises:
            ValueError: for a device that is not there.
            OSError: for files that are missing or broken.
        """
        import torch

        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:  # an assertion where torch was built without CUDA
            raise ValueError(f"The device {device!r} cannot be used: {str(error).splitlines()[0]}") from error
        pipeline: Any = named(self.pipeline)
        if self.library == "diffusers":
            kept = {} if dtype is None else {"torch_dtype": getattr(torch, dtype)}
            return pipeline.from_pretrained(model, **kept).to(device)
        kept = {} if dtype is None else {"dtype": getattr(torch, dtype)}
        parts = {name: named(part).from_pretrained(model, **(kept if name == self.network else {}))
                 for name, part in self.parts.items()}  # fmt: skip
        return pipeline(**parts, device=device)

    def evaluate(
        self, model: str, data: str, split: str, device: str | None = None, dtype: str | None = None, **given: Any
    ) -> dict[str, Any]:
        """Scores of a saved model on data.

        Args:
            model, device, dtype: as of `load`.
            data, split: what `read` takes.
            given: options of `data_options` and `evaluate_options`; None is the default.

        Raises:
            ValueError: for an option of another kind, or data that cannot be scored.
        """
        options = self.chosen([*self.evaluate_options, *self.data_options], given)
        reading = {**self.read_options, **{option.name: options.pop(option.name) for option in self.data_options}}
        if "skip_broken" in reading:
            reading["on_error"] = "skip" if reading.pop("skip_broken") else "raise"
        # before the model is loaded: mistakes in the data are frequent
        examples = named(self.read)(data, split=split, **reading)
        return named(self.score)(self.load(model, device, dtype), examples, **options)


def named(name: str) -> Any:
    """The class or function "module:name"."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def kind_of(pipeline: Any) -> Kind:
    """The row of a pipeline: by its class or that of its model, subclasses too; else by the network that it has.

    Raises:
        ValueError: for a pipeline of none of these kinds.
    """
    classes = [base.__name__ for part in (pipeline, getattr(pipeline, "model", None)) for base in type(part).__mro__]
    for kind in KINDS:
        if kind.class_name in classes:
            return kind
    for kind in KINDS:
        if kind.draw is not None and hasattr(pipeline, kind.network):
            return kind
    known = ", ".join(kind.class_name for kind in KINDS)
    raise ValueError(f"{type(pipeline).__name__} is none of the kinds of models that are known here: {known}.")


IMAGES = Option("images", int, 400, "How many to draw, and to compare with at most", 4)
SEED = Option("seed", int, 0, "Of the samples and of the images that they are compared with", 0)
GUIDANCE = Option("guidance_scale", float, None, "1 is off; default: as the model was saved")
SAMPLER = "ancestral, ddim or dpm (DPM-Solver++)"
TRUNCATION = Option("truncation", float, None, "Above 0, up to 1; less is more typical and less varied; default 1")
WITH_LABELS = {"label_column": "auto"}
BACKGROUND = Option("background", str, "white", "Colour below transparent pictures, a name or #rrggbb")
SKIP_BROKEN = Option("skip_broken", bool, False, "Leave broken records out, with a warning, in place of an error")
TEXTS = (Option("limit", int, None, "Only the first so many", 1), Option("batch_size", int, 32, "At once", 1))

KINDS = [
    Kind(
        class_name="SimpleDiffusionPipeline", words="a pipeline of simple diffusion", label="Simple diffusion",
        file="model_index.json", network="unet", pipeline=f"{PACKAGE}.simple_diffusion:SimpleDiffusionPipeline",
        read=f"{PACKAGE}.data.images:load_images", read_options=WITH_LABELS,
        score=f"{HERE}.evaluation:evaluate_images",
        facts=f"{HERE}.model_facts:diffusion_facts", draw=f"{HERE}.drawing:draw_by_diffusion",
        evaluate_options=(
            IMAGES, SEED, GUIDANCE, Option("steps", int, 20, "Network evaluations per image", 1),
            Option("sampler", str, "dpm", SAMPLER),
        ),
        data_options=(BACKGROUND,),
        generate_options=(
            GUIDANCE, Option("steps", int, 64, "Network evaluations per image", 1),
            Option("sampler", str, "ancestral", SAMPLER),
            Option("size", int, None, "Pixels; default: the training size", 1),
        ),
        task="unconditional-image-generation", tag="unconditional-image-generation",
        call='pipe().images[0].save("sample.png")',
        tab="Images", published="simple-diffusion-clothing-64",
    ),
    Kind(
        class_name="RSGANPipeline", words="a pipeline of a GAN", label="GAN",
        file="model_index.json", network="generator", pipeline=f"{PACKAGE}.rsgan:RSGANPipeline",
        read=f"{PACKAGE}.data.images:load_images", read_options=WITH_LABELS,
        score=f"{HERE}.evaluation:evaluate_images",
        facts=f"{HERE}.model_facts:gan_facts", draw=f"{HERE}.drawing:draw_by_gan",
        evaluate_options=(IMAGES, SEED, TRUNCATION), data_options=(BACKGROUND,),
        generate_options=(
            TRUNCATION,
            Option("to_seed", int, None, "Each row is the way from the image of --seed to that of this one", 0),
        ),
        task="unconditional-image-generation", tag="unconditional-image-generation",
        call='pipe().images[0].save("sample.png")',
        tab="GAN", published="rsgan-clothing-64",
    ),
    Kind(
        class_name="DGCNNForQuestionAnswering", words="a reader", label="Reader",
        file="config.json", network="model", pipeline=f"{PACKAGE}.dgcnn:ReadingComprehensionPipeline",
        parts={"model": f"{PACKAGE}.dgcnn:DGCNNForQuestionAnswering", "tokenizer": f"{PACKAGE}.dgcnn:DGCNNTokenizer"},
        read=f"{PACKAGE}.data.questions.reading:read_qa", score=f"{HERE}.evaluation:evaluate_reader",
        facts=f"{HERE}.model_facts:reader_facts",
        evaluate_options=(
            Option("scorer", str, None, "cmrc2018, sogouqa or webqa; default cmrc2018, with many passages sogouqa"),
            *TEXTS,
        ),
        data_options=(SKIP_BROKEN,),
        task="question-answering", tag="question-answering",
        call='pipe(question="镭由谁发现？", context="1898年，居里夫妇发现了镭。")',
        tab="Questions", published="dgcnn-qa-zh",
    ),
    Kind(
        class_name="DGCNNForTripleExtraction", words="a model for triples", label="Triples",
        file="config.json", network="model", pipeline=f"{PACKAGE}.dgcnn:TripleExtractionPipeline",
        parts={"model": f"{PACKAGE}.dgcnn:DGCNNForTripleExtraction", "tokenizer": f"{PACKAGE}.dgcnn:DGCNNTokenizer"},
        read=f"{PACKAGE}.data.triples.reading:read_triples", score=f"{HERE}.evaluation:evaluate_triples",
        facts=f"{HERE}.model_facts:triples_facts", evaluate_options=TEXTS,
        data_options=(SKIP_BROKEN,),
        task="triple-extraction", tag="token-classification",
        call='pipe("1898年，居里夫妇发现了镭。")',
        tab="Triples", published="dgcnn-triples-zh",
    ),
]  # fmt: skip
SIMPLE_DIFFUSION, GAN, READER, TRIPLES = KINDS

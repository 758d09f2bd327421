"""Table of the kinds of saved models, with everything that commands, pages and cards need for each.

    kind = kind_of(pipeline)
    kind.evaluate("model_cards/dgcnn-qa-zh", "validation.jsonl", "validation", limit=100)

Classes and functions are given as "module:name" and imported on use, so the table itself imports nothing. A new family
needs its folder, the functions of its row, and the row.
"""

from __future__ import annotations

import importlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HERE = __name__.rpartition(".")[0]
PACKAGE = HERE.rpartition(".")[0]


@dataclass(frozen=True)
class Option:
    """An option of `hf-kexue evaluate` or `generate` for some kinds; `least` is its minimum."""

    name: str
    type: type
    default: Any
    help: str
    least: float | None = None


@dataclass(frozen=True)
class Kind:
    """One kind of saved model.

    Args:
        class_name: class in the saved configuration.
        also, has_words: other classes whose folders it loads, those with a text encoder or those without.
        words, label: name in messages and in the help.
        file: configuration in the folder, of diffusers (model_index.json) or transformers (config.json).
        network: attribute of the pipeline that holds the network.
        pipeline: class of the pipeline.
        parts: arguments of a transformers pipeline and their classes.
        read, read_options: (data, split=, **read_options) -> examples.
        data_options: of `hf-kexue evaluate`, for `read`.
        score: (pipeline, examples, **options) -> scores.
        facts: (pipeline) -> parameters and FLOPs, see `model_facts`.
        draw: (pipeline, labels, per_class, generator=, **options) -> pictures; None for models of texts.
        drawn_in: dtype of the command and the page where none is named; None: float32. A GAN stays with it: one pass
            leaves little to save.
        evaluate_options, generate_options: of the two commands.
        task, tag, call: task of the exported pipeline, its tag on the Hub, and the line of a card that calls `pipe`.
        tab, published: tab of the page, and its published model; "" for none.
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
    also: Sequence[str] = ()
    has_words: bool = False
    draw: str | None = None
    drawn_in: str | None = None
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

    def holds(self, class_names: Container[str], parts: Container[str]) -> bool:
        """Whether a pipeline, loaded or saved, is of this kind.

        Args:
            class_names: of the pipeline, its model and their bases.
            parts: names of its components, without those that are absent.
        """
        if self.class_name in class_names:
            return True
        return any(name in class_names for name in self.also) and ("text_encoder" in parts) == self.has_words

    def chosen(self, options: Sequence[Option], values: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in the defaults of options that are missing or None.

        Raises:
            ValueError: for an option of another kind of model.
        """
        names = {option.name for option in options}
        for name, value in values.items():
            if value is not None and name not in names:
                allowed = ", ".join(f"--{option.name.replace('_', '-')}" for option in options)
                raise ValueError(f"--{name.replace('_', '-')} is not for {self.words}; allowed are {allowed}.")
        return {option.name: option.default if values.get(option.name) is None else values[option.name]
                for option in options}  # fmt: skip

    def load(self, model: str, device: str | None = None, dtype: str | None = None) -> Any:
        """The pipeline of a saved model.

        Args:
            model: folder, or repository id.
            device: such as "cpu", "cuda:1" or "mps"; None: a CUDA GPU if there is one, else the CPU.
            dtype: of the weights, such as "bfloat16"; "auto": of `chosen_dtype`; None: float32.

        Raises:
            ValueError: for an unavailable device.
            OSError: for missing or broken files.
        """
        import torch

        device = device or named(f"{HERE}.precision:default_device")()
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:  # AssertionError if torch was built without CUDA
            raise ValueError(f"The device {device!r} cannot be used: {str(error).splitlines()[0]}") from error
        dtype = named(f"{HERE}.precision:chosen_dtype")(dtype, device)
        argument = named(f"{HERE}.precision:dtype_argument")(self.library)
        kept = {} if dtype is None else {argument: getattr(torch, dtype)}
        pipeline: Any = named(self.pipeline)
        if self.library == "diffusers":
            return pipeline.from_pretrained(model, **kept).to(device)
        parts = {name: named(part).from_pretrained(model, **(kept if name == self.network else {}))
                 for name, part in self.parts.items()}  # fmt: skip
        return pipeline(**parts, device=device)

    def evaluate(
        self, model: str, data: str, split: str, device: str | None = None, dtype: str | None = None, **options: Any
    ) -> dict[str, Any]:
        """Score a saved model on data.

        Args:
            model, device, dtype: as of `load`.
            data, split: arguments of `read`.
            options: of `data_options` and `evaluate_options`; None is the default.

        Raises:
            ValueError: for an option of another kind, or data that cannot be scored.
        """
        options = self.chosen([*self.evaluate_options, *self.data_options], options)
        reading = {**self.read_options, **{option.name: options.pop(option.name) for option in self.data_options}}
        if "skip_broken" in reading:
            reading["on_error"] = "skip" if reading.pop("skip_broken") else "raise"
        # Before loading the model, since faults in the data are frequent.
        examples = named(self.read)(data, split=split, **reading)
        return named(self.score)(self.load(model, device, dtype), examples, **options)


def named(name: str) -> Any:
    """Import the class or function "module:name"."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def kind_of(pipeline: Any) -> Kind:
    """The kind of a pipeline: by its class or that of its model, subclasses included; else by its network.

    Raises:
        ValueError: for any other pipeline.
    """
    classes = [base.__name__ for part in (pipeline, getattr(pipeline, "model", None)) for base in type(part).__mro__]
    parts = [name for name, part in getattr(pipeline, "components", {}).items() if part is not None]
    for kind in KINDS:
        if kind.holds(classes, parts):
            return kind
    for kind in KINDS:
        if kind.draw is not None and hasattr(pipeline, kind.network):
            return kind
    known = ", ".join(kind.class_name for kind in KINDS)
    raise ValueError(f"{type(pipeline).__name__} is not a known kind of model; known are {known}.")


IMAGES = Option("images", int, 400, "Number of samples, and at most as many images of the data", 4)
SEED = Option("seed", int, 0, "Of the samples and of the subset of images", 0)
GUIDANCE = Option("guidance_scale", float, None, "1 is off; default: the saved one")
STEPS = "Network evaluations per image; default: the saved ones"
SAMPLER = "ancestral, ddim or dpm (DPM-Solver++); on the flow: flow, flow-heun, flow-ancestral or flow-dpm"
TRUNCATION = Option("truncation", float, None, "Above 0, up to 1; less is more typical and less varied; default 1")
WITH_LABELS = {"label_column": "auto"}
EDITING = tuple(f"SimpleDiffusion{task}Pipeline" for task in ("ImageToImage", "Inpaint", "Upscale"))
BACKGROUND = Option("background", str, "white", "Colour below transparent pictures, a name or #rrggbb")
SKIP_BROKEN = Option("skip_broken", bool, False, "Skip broken records with a warning instead of an error")
CONSTRAINTS = (
    "Constraints of the schema to apply: all, none, or one of edges, formats, lists, types, nesting, cardinality and "
    "inverse, which may be repeated; default all"
)
TEXTS = (
    Option("limit", int, None, "Use only the first examples", 1),
    Option("batch_size", int, 32, "Texts of a batch", 1),
)

KINDS = [
    Kind(
        class_name="SimpleDiffusionPipeline", also=EDITING, words="a pipeline of simple diffusion",
        label="Simple diffusion",
        file="model_index.json", network="unet", pipeline=f"{PACKAGE}.simple_diffusion:SimpleDiffusionPipeline",
        read=f"{PACKAGE}.data.images:load_images", read_options=WITH_LABELS,
        score=f"{HERE}.evaluation:evaluate_images",
        facts=f"{HERE}.model_facts:diffusion_facts", draw=f"{HERE}.drawing:draw_by_diffusion",
        drawn_in="auto",
        evaluate_options=(
            IMAGES, SEED, GUIDANCE, Option("steps", int, None, f"{STEPS}, else 20", 1),
            Option("sampler", str, None, f"{SAMPLER}; default: as saved with steps, else dpm"),
        ),
        data_options=(BACKGROUND,),
        generate_options=(
            GUIDANCE, Option("steps", int, None, f"{STEPS}, else 64", 1),
            Option("sampler", str, None, f"{SAMPLER}; default: as saved, which is ancestral but for few-step models"),
            Option("size", int, None, "Pixels; default: the training size", 1),
        ),
        task="unconditional-image-generation", tag="unconditional-image-generation",
        call='pipe().images[0].save("sample.png")',
        tab="Images", published="simple-diffusion-clothing-64",
    ),
    Kind(
        class_name="SimpleDiffusionTextToImagePipeline", also=EDITING, has_words=True,
        words="a text-to-image pipeline", label="Text to image",
        file="model_index.json", network="unet",
        pipeline=f"{PACKAGE}.simple_diffusion:SimpleDiffusionTextToImagePipeline",
        read=f"{PACKAGE}.data.images:load_captioned_images", score=f"{HERE}.evaluation:evaluate_images",
        facts=f"{HERE}.model_facts:prompted_facts", draw=f"{HERE}.drawing:draw_by_diffusion",
        drawn_in="auto",
        evaluate_options=(
            IMAGES, SEED, GUIDANCE, Option("steps", int, None, f"{STEPS}, else 20", 1),
            Option("sampler", str, None, f"{SAMPLER}; default: as saved with steps, else dpm"),
        ),
        data_options=(
            Option("caption_column", str, None, "Columns of captions, comma-separated; the first is drawn"),
            Option("caption_prefix", str, None, "Column of a text before each caption, such as a style"),
            BACKGROUND,
        ),
        generate_options=(
            Option("negative_prompt", str, None, "What pictures move away from; default: the empty prompt"),
            GUIDANCE, Option("steps", int, None, f"{STEPS}, else 64", 1),
            Option("sampler", str, None, f"{SAMPLER}; default: as saved, which is ancestral but for few-step models"),
            Option("size", int, None, "Pixels; default: the training size", 1),
        ),
        task="text-to-image", tag="text-to-image", call='pipe("noto: red apple").images[0].save("sample.png")',
        tab="Prompts", published="simple-diffusion-emoji-64",
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
            Option("to_seed", int, None, "Interpolate each row from the image of --seed to that of this seed", 0),
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
        facts=f"{HERE}.model_facts:triples_facts",
        evaluate_options=(*TEXTS, Option("constraints", list[str], None, CONSTRAINTS)),
        data_options=(SKIP_BROKEN,),
        task="triple-extraction", tag="token-classification",
        call='pipe("1898年，居里夫妇发现了镭。")',
        tab="Triples", published="dgcnn-triples-zh",
    ),
]  # fmt: skip
SIMPLE_DIFFUSION, TEXT_TO_IMAGE, GAN, READER, TRIPLES = KINDS

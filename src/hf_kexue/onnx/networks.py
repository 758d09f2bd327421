"""Models as networks of tensors alone, as ONNX wants them, with the sizes that stay free.

    reader      model       question and passage, any number and length     -> start_logits, end_logits, ...
    triples     model       texts                                           -> subject_logits, and states
                objects     states of `model`, subjects (N, 3)              -> object_logits
    U-ViT       unet, ...   sample of any multiple of the total stride      -> out_sample
    generator   generator   latents                                         -> sample

The names of inputs and outputs are those of `forward` in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from ..dgcnn.layers_dgcnn_triples import TripleStates
from .draws import Draws, Sizes

CHECKED: list[Sizes] = [  # other sizes than the traced ones, single ones and lengths that no patch divides among them
    {"batch": 1, "question_length": 1, "length": 1, "count": 1, "height": 1, "width": 1, "text_length": 1},
    {"batch": 3, "question_length": 5, "length": 71, "count": 4, "height": 3, "width": 2, "text_length": 7},
]
TRACED: Sizes = {"batch": 2, "question_length": 9, "length": 30, "count": 5, "height": 2, "width": 4, "text_length": 6}


@dataclass
class Network:
    """A module and what is needed to trace it.

    Args:
        name: of its file.
        module: takes the inputs in their order, returns a tensor or a tuple of them.
        inputs: sizes -> example inputs by name.
        shapes: for each input the free axes: number -> name of a size, or (name, multiple).
        outputs: names.
        longest: largest values of sizes, where there are limits.
    """

    name: str
    module: nn.Module
    inputs: Callable[[Sizes], dict[str, Tensor]]
    shapes: Mapping[str, Mapping[int, str | tuple[str, int]]]
    outputs: list[str]
    longest: Mapping[str, int]

    def dynamic_shapes(self) -> dict[str, dict[int, Any]]:
        """As `torch.export` takes them."""
        names = {axis if isinstance(axis, str) else axis[0] for axes in self.shapes.values() for axis in axes.values()}
        free: dict[str, Any] = {name: Dim(name, min=1, max=self.longest.get(name)) for name in sorted(names)}
        return {
            name: {at: free[axis] if isinstance(axis, str) else axis[1] * free[axis[0]] for at, axis in axes.items()}
            for name, axes in self.shapes.items()
        }


class ReaderNetwork(nn.Module):
    """`DGCNNForQuestionAnswering` with question and passage apart."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        question_input_ids: Tensor,
        question_attention_mask: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        question_word_input_ids: Tensor | None = None,
        word_input_ids: Tensor | None = None,
        match_features: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Columns (B, Q) and (B, L) -> start and end logits (B, L), answerability logits (B,)."""
        states, mask = self.model.encode_question(question_input_ids, question_attention_mask, question_word_input_ids)
        length, fill = input_ids.shape[1], Filled(self.model.config, input_ids)
        found = self.model(
            fill(input_ids), fill.mask(attention_mask), word_input_ids=fill(word_input_ids),
            match_features=fill(match_features), question_states=states, question_mask=mask,
        )  # fmt: skip
        return found.start_logits[:, :length], found.end_logits[:, :length], found.answerability_logits


class SubjectNetwork(nn.Module):
    """`DGCNNForTripleExtraction.extract_subjects`."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        word_input_ids: Tensor | None = None,
        prior: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Columns (B, L) -> subject logits (B, L, 2T), and of `TripleStates` what there is but the mask."""
        length, fill = input_ids.shape[1], Filled(self.model.config, input_ids)
        logits, states = self.model.extract_subjects(
            fill(input_ids), fill.mask(attention_mask), fill(word_input_ids), fill(prior)
        )
        gates = None if states.character_gates is None else states.character_gates[..., :length]
        kept = [states.hidden[..., :length], states.context[..., :length], gates, states.predicate_gate]
        return logits[:, :length], *(state for state in kept if state is not None)


class ObjectNetwork(nn.Module):
    """`DGCNNForTripleExtraction.extract_objects`."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        attention_mask: Tensor,
        hidden: Tensor,
        context: Tensor,
        subjects: Tensor,
        character_gates: Tensor | None = None,
        predicate_gate: Tensor | None = None,
    ) -> Tensor:
        """The states, and subjects (N, 3) -> object logits (N, L, 2C)."""
        mask = attention_mask[:, None].to(hidden.dtype)
        return self.model.extract_objects(
            TripleStates(hidden, mask, context, character_gates, predicate_gate), subjects
        )


class UViTNetwork(nn.Module):
    """`SimpleDiffusionUViT2DModel` without its options."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        sample: Tensor,
        logsnr: Tensor,
        class_labels: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        pooled_projections: Tensor | None = None,
    ) -> Tensor:
        """(B, C, H, W), (B,), ... -> (B, out_channels, H, W)."""
        of_text = (encoder_hidden_states, encoder_attention_mask)
        vector = {"pooled_projections": pooled_projections}
        return self.model(sample, logsnr, class_labels, *of_text, return_dict=False, **vector)[0]


class GeneratorNetwork(nn.Module):
    """`RSGANGenerator` without its options."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, latents: Tensor, class_labels: Tensor | None = None) -> Tensor:
        """(B, latent_dim), (B,) -> (B, C, H, W)."""
        return self.model(latents, class_labels, return_dict=False)[0]


class Filled:
    """Columns filled up to whole patches: the trunk traced alone would take only lengths that the patches divide."""

    def __init__(self, config: Any, input_ids: Tensor) -> None:
        self.size = config.patch_size if config.patch_dilations else 1
        self.length = input_ids.shape[1]
        steps = torch.arange((self.length + self.size - 1) // self.size * self.size, device=input_ids.device)
        self.places, self.there = steps.clamp(max=self.length - 1), steps < self.length

    def __call__(self, column: Tensor | None) -> Tensor | None:
        """(B, L, ...) -> (B, whole patches, ...), the last one again where nothing is."""
        return column if column is None or self.size == 1 else column[:, self.places]

    def mask(self, mask: Tensor) -> Tensor:
        """(B, L) -> (B, whole patches), 0 where nothing is."""
        return mask if self.size == 1 else mask[:, self.places] * self.there


def networks_of(model: Any, name: str = "model") -> list[Network]:
    """The networks of a model in evaluation mode on the CPU.

    Args:
        model: reader, model for triples, U-ViT or generator of the package.
        name: of the file of an image model.

    Raises:
        TypeError: for another model.
    """
    from ..dgcnn import DGCNNForQuestionAnswering, DGCNNForTripleExtraction
    from ..rsgan import RSGANGenerator
    from ..simple_diffusion import SimpleDiffusionUViT2DModel

    if isinstance(model, DGCNNForQuestionAnswering):
        return [_reader(model)]
    if isinstance(model, DGCNNForTripleExtraction):
        return [_subjects(model), _objects(model)]
    if isinstance(model, SimpleDiffusionUViT2DModel):
        return [_uvit(model, name)]
    if isinstance(model, RSGANGenerator):
        return [_generator(model, name)]
    raise TypeError(
        "Models that can be exported to ONNX are DGCNNForQuestionAnswering, DGCNNForTripleExtraction, "
        f"SimpleDiffusionUViT2DModel and RSGANGenerator; got {type(model).__name__}."
    )


def _reader(model: Any) -> Network:
    config = model.config

    def inputs(sizes: Sizes) -> dict[str, Tensor]:
        draw = Draws(sizes)
        question, passage = ("batch", "question_length"), ("batch", "length")
        columns = {
            "question_input_ids": draw.ids(config.vocab_size, *question),
            "question_attention_mask": draw.mask(*question),
            "input_ids": draw.ids(config.vocab_size, *passage),
            "attention_mask": draw.mask(*passage),
        }
        if config.word_vocab_size:
            columns["question_word_input_ids"] = draw.ids(config.word_vocab_size, *question)
            columns["word_input_ids"] = draw.ids(config.word_vocab_size, *passage)
        if config.num_match_features:
            columns["match_features"] = draw.uniform(*passage, config.num_match_features)
        return columns

    shapes: dict[str, dict[int, str | tuple[str, int]]] = {
        name: {0: "batch", 1: "question_length" if name.startswith("question_") else "length"}
        for name in inputs(TRACED)
    }
    outputs = ["start_logits", "end_logits", "answerability_logits"]
    return Network("model", ReaderNetwork(model), inputs, shapes, outputs, {})


def _subjects(model: Any) -> Network:
    config = model.config

    def inputs(sizes: Sizes) -> dict[str, Tensor]:
        draw = Draws(sizes)
        text = ("batch", "length")
        columns = {"input_ids": draw.ids(config.vocab_size, *text), "attention_mask": draw.mask(*text)}
        if config.word_vocab_size:
            columns["word_input_ids"] = draw.ids(config.word_vocab_size, *text)
        if config.triple_prior:
            columns["prior"] = draw.uniform(*text, 2 + 2 * len(model.schema)).round()
        return columns

    shapes: dict[str, dict[int, str | tuple[str, int]]] = {name: {0: "batch", 1: "length"} for name in inputs(TRACED)}
    return Network(
        "model", SubjectNetwork(model), inputs, shapes, ["subject_logits", *_states(config)], _limit(config)
    )


def _objects(model: Any) -> Network:
    config = model.config
    widths = {"hidden": config.hidden_size, "context": config.hidden_size, "character_gates": 2}

    def inputs(sizes: Sizes) -> dict[str, Tensor]:
        draw = Draws(sizes)
        columns: dict[str, Tensor] = {"attention_mask": draw.mask("batch", "length")}
        for name in _states(config):
            if name == "predicate_gate":
                columns[name] = draw.normal("batch", len(model.schema))
            else:
                columns[name] = draw.normal("batch", widths[name], "length") * columns["attention_mask"][:, None]
        columns["subjects"] = draw.spans()
        return columns

    shapes: dict[str, dict[int, str | tuple[str, int]]] = {
        name: {0: "batch", 2: "length"} for name in _states(config) if name != "predicate_gate"
    }
    if config.predicate_gate:
        shapes["predicate_gate"] = {0: "batch"}
    shapes |= {"attention_mask": {0: "batch", 1: "length"}, "subjects": {0: "count"}}
    return Network("objects", ObjectNetwork(model), inputs, shapes, ["object_logits"], _limit(config))


def _states(config: Any) -> list[str]:
    """The fields of `TripleStates` that a model has, but the mask."""
    gates = {"character_gates": config.character_gate, "predicate_gate": config.predicate_gate}
    return ["hidden", "context", *(name for name, there in gates.items() if there)]


def _limit(config: Any) -> dict[str, int]:
    return {"length": config.max_position_embeddings} if config.position_embedding == "learned" else {}


def _uvit(model: Any, name: str) -> Network:
    config, stride = model.config, model.total_stride

    def inputs(sizes: Sizes) -> dict[str, Tensor]:
        draw = Draws(sizes | {"pixel_rows": sizes["height"] * stride, "pixel_columns": sizes["width"] * stride})
        columns = {
            "sample": draw.normal("batch", config.in_channels, "pixel_rows", "pixel_columns"),
            "logsnr": draw.normal("batch") * 4,
        }
        if config.num_class_embeds is not None:
            columns["class_labels"] = draw.ids(config.num_class_embeds + 1, "batch")
        if config.cross_attention_dim is not None:
            columns["encoder_hidden_states"] = draw.normal("batch", "text_length", config.cross_attention_dim)
            columns["encoder_attention_mask"] = draw.mask("batch", "text_length")
        if config.pooled_projection_dim is not None:
            columns["pooled_projections"] = draw.normal("batch", config.pooled_projection_dim)
        return columns

    shapes: dict[str, dict[int, str | tuple[str, int]]] = {name: {0: "batch"} for name in inputs(TRACED)}
    shapes["sample"] |= {2: ("height", stride), 3: ("width", stride)}
    for of_text in shapes.keys() & {"encoder_hidden_states", "encoder_attention_mask"}:
        shapes[of_text][1] = "text_length"
    return Network(name, UViTNetwork(model), inputs, shapes, ["out_sample"], {})


def _generator(model: Any, name: str) -> Network:
    config = model.config

    def inputs(sizes: Sizes) -> dict[str, Tensor]:
        draw = Draws(sizes)
        columns = {"latents": draw.normal("batch", config.latent_dim)}
        if config.num_class_embeds is not None:
            columns["class_labels"] = draw.ids(config.num_class_embeds, "batch")
        return columns

    shapes: dict[str, dict[int, str | tuple[str, int]]] = {name: {0: "batch"} for name in inputs(TRACED)}
    return Network(name, GeneratorNetwork(model), inputs, shapes, ["sample"], {})

"""Parameters of a saved model and FLOPs of one forward pass, counted while it runs.

    reader_facts(load_pipeline("model_cards/dgcnn-qa-zh"))

One function for each kind of model, taking a pipeline on any device. All return "class", "parameters", "flops" and
"flops_of" (the input they were counted on); text models also "parameters_without_embeddings", image models
"sample_size" and "classes", triple extraction "predicates".

FLOPs are those that `torch.utils.flop_counter` sees: matrix products and convolutions, a multiplication and an
addition counted as two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ..simple_diffusion.prompts_simple_diffusion import EncodedPrompts

QUESTION_LENGTH, TEXT_LENGTH, PROMPT_LENGTH = 16, 240, 16  # characters; as in the measurements of README


def diffusion_facts(pipeline: Any) -> dict[str, Any]:
    """Facts of a `SimpleDiffusionPipeline`."""
    unet = pipeline.unet
    side, channels = unet.config.sample_size, unet.config.in_channels
    place = {"device": unet.device, "dtype": unet.dtype}
    sample, logsnr = torch.zeros(1, channels, side, side, **place), torch.zeros(1, device=unet.device)
    flops = _flops(lambda: unet(sample, logsnr))
    return _image_facts(pipeline, unet, flops, f"one image of {side} x {side} pixels, one network evaluation")


def prompted_facts(pipeline: Any) -> dict[str, Any]:
    """Facts of a `SimpleDiffusionTextToImagePipeline`; its text encoder runs once an image and is not counted in the
    FLOPs."""
    unet = pipeline.unet
    side, channels = unet.config.sample_size, unet.config.in_channels
    place = {"device": unet.device, "dtype": unet.dtype}
    sample, logsnr = torch.zeros(1, channels, side, side, **place), torch.zeros(1, device=unet.device)
    states, pooled, mask = pipeline.encode_prompt("文" * PROMPT_LENGTH)
    text = pipeline.network_inputs(EncodedPrompts(states, mask, pooled).to(unet.device, unet.dtype))
    flops = _flops(lambda: unet(sample, logsnr, **text))
    of = f"one image of {side} x {side} pixels, a prompt of {PROMPT_LENGTH} characters, one network evaluation"
    return _image_facts(pipeline, unet, flops, of) | {"text_encoder_parameters": _parameters(pipeline.text_encoder)}


def gan_facts(pipeline: Any) -> dict[str, Any]:
    """Facts of an `RSGANPipeline`."""
    network = pipeline.generator
    latents = torch.zeros(1, network.config.latent_dim, device=network.device, dtype=network.dtype)
    labels = torch.zeros(1, dtype=torch.long, device=network.device) if network.config.num_class_embeds else None
    flops, side = _flops(lambda: network(latents, labels)), network.config.sample_size
    return _image_facts(pipeline, network, flops, f"one image of {side} x {side} pixels")


def _image_facts(pipeline: Any, network: nn.Module, flops: int, of: str) -> dict[str, Any]:
    config: Any = network.config
    return {
        "class": type(network).__name__, "parameters": _parameters(network), "flops": flops, "flops_of": of,
        "sample_size": config.sample_size, "classes": config.num_class_embeds or 0,
    }  # fmt: skip


def reader_facts(pipeline: Any) -> dict[str, Any]:
    """Facts of a `ReadingComprehensionPipeline`."""
    question, text = "问" * QUESTION_LENGTH, "文" * TEXT_LENGTH
    flops = _flops(lambda: pipeline(question=question, context=text, progress=False))
    of = f"a question of {QUESTION_LENGTH} characters and a text of {TEXT_LENGTH}"
    return _text_facts(pipeline.model, flops, of)


def triples_facts(pipeline: Any) -> dict[str, Any]:
    """Facts of a `TripleExtractionPipeline`, with the objects of one subject, since their number is data-dependent."""
    columns, _ = pipeline.preprocess("文" * TEXT_LENGTH)
    model = pipeline.model
    inputs = {name: torch.from_numpy(column)[None] for name, column in columns.items()}
    inputs["subjects"] = torch.tensor([[0, 0, 1]])
    if model.config.triple_prior:
        inputs["prior"] = torch.zeros(1, inputs["input_ids"].shape[1], 2 + 2 * len(model.schema), dtype=model.dtype)
    flops = _flops(lambda: model(**{name: value.to(model.device) for name, value in inputs.items()}))
    of = f"a text of {TEXT_LENGTH} characters, one subject in it"
    return {**_text_facts(model, flops, of), "predicates": len(model.schema)}


def _text_facts(model: nn.Module, flops: int, of: str) -> dict[str, Any]:
    embeddings = sum(_parameters(part) for part in model.modules() if isinstance(part, nn.Embedding))
    total = _parameters(model)
    return {
        "class": type(model).__name__, "parameters": total, "parameters_without_embeddings": total - embeddings,
        "flops": flops, "flops_of": of,
    }  # fmt: skip


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _flops(run: Callable[[], Any]) -> int:
    # The counter does not see the fused attention of the CPU; the math backend computes the same products.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return counter.get_total_flops()

"""Released weights of JiT (github.com/LTH14/JiT, MIT licence) as a `SimpleDiffusionPipeline`.

    pipe = pipeline_from_jit("checkpoint-last.pth")
    pipe.save_pretrained("jit-b-16")

What differs between the two is order alone, so that outputs are equal:

    qkv           one layer there, to_q and to_kv here; pairs that turn (2 i, 2 i + 1) there, (i, i + d / 2) here
    last layer    pixels of a patch in the order (row, column, channel) there, (channel, row, column) here
    positions     a table there, computed here; another table is refused
    time          t from noise to the image, z = t x_0 + (1 - t) s noise: `conditioning="flow_time"`, `noise_scale` s

Sampling: the flow with `sample_size / base_size` = s starts at noise and takes the same Euler steps, since those move
between one image and one noise on whatever scale; of Heun's the same where s is 1. JiT divides by 1 - t, but not by
less than 0.05, so that its last step stops short of the predicted image; here it lands there.

Source: arXiv 2511.13720.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from .checks_simple_diffusion import require, require_positive
from .layers_vit import sincos_positions, swiglu_dim
from .modeling_vit import SimpleDiffusionViT2DModel
from .pipeline_simple_diffusion import SimpleDiffusionPipeline
from .scheduling_shifted_flow import ShiftedFlowScheduler

AVERAGED = ("model_ema1", "model_ema2", "model")  # of a checkpoint; JiT samples with the first
NAMES = {
    "y_embedder.embedding_table": "class_embedding",
    "x_embedder.proj2": "patch_embedding.linear_2",
    "t_embedder.mlp.0": "time_embedding.linear_1",
    "t_embedder.mlp.2": "time_embedding.linear_2",
    "final_layer.norm_final": "head_out.norm",
    "final_layer.adaLN_modulation.1": "head_out.modulation",
}
BLOCK_NAMES = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.proj": "attn.to_out",
    "mlp.w12": "mlp.linear_1",
    "mlp.w3": "mlp.linear_2",
    "adaLN_modulation.1": "modulation",
}
STARTS = {12: 4, 24: 8, 32: 10}  # of the released sizes B, L and H: depth to the block where class tokens join


def pipeline_from_jit(
    source: str | Path,
    *,
    weights: str | None = None,
    noise_scale: float | None = None,
    context_start: int | None = None,
    guidance_scale: float | None = None,
) -> SimpleDiffusionPipeline:
    """The pipeline of a checkpoint of JiT. Pickled files are read as tensors alone; no code in them runs.

    Args:
        source: a checkpoint (.pth) with arguments and averaged weights, or a state dict (.pth or .safetensors).
        weights: `"model_ema1"`, `"model_ema2"` or `"model"` of a checkpoint; None: the first of them that it has.
        noise_scale: s; None: as the checkpoint says, else 1 up to 256 pixels and above in proportion to the side.
        context_start: the block where class tokens join; None: that of the released size with the same depth.
        guidance_scale: of the pipeline; None: as the checkpoint says, else 1.

    Raises:
        ValueError: for a file of another kind, weights that are missing or too many or of another arrangement, and
            for what neither the file nor the arguments say.
        OSError: where there is no such file.
    """
    state, arguments = _read(Path(source), weights)
    config = jit_config(state, context_start)
    side: int = config["sample_size"]
    if noise_scale is None:
        noise_scale = float(getattr(arguments, "noise_scale", max(1.0, side / 256)))
    require_positive("noise_scale", noise_scale)
    network = SimpleDiffusionViT2DModel(**config, noise_scale=noise_scale)
    converted = convert_jit_state_dict(state, network)
    own = {name: value.shape for name, value in network.state_dict().items()}
    wrong = sorted(name for name in own.keys() | converted if name not in converted or name not in own)
    wrong += sorted(name for name in own.keys() & converted if own[name] != converted[name].shape)
    require(not wrong, f"{source} is another network than JiT; missing, unknown or misshapen: {', '.join(wrong[:3])}.")
    network.load_state_dict(converted)
    scheduler = ShiftedFlowScheduler(
        sample_size=side, base_size=side / noise_scale, logsnr_min=-30.0, network_prediction_type="sample",
        solver="heun", clip_sample=False,
    )  # fmt: skip
    if guidance_scale is None:
        guidance_scale = float(getattr(arguments, "cfg", 1.0))
    return SimpleDiffusionPipeline(network, scheduler, guidance_scale=guidance_scale, num_inference_steps=50)


def convert_jit(source: str | Path, output: str | Path, **options: Any) -> SimpleDiffusionPipeline:
    """Save the pipeline of a checkpoint as a folder for `SimpleDiffusionPipeline.from_pretrained`.

    Args:
        source, **options: as of `pipeline_from_jit`.
        output: the folder.
    """
    pipeline = pipeline_from_jit(source, **options)
    pipeline.save_pretrained(output)
    return pipeline


def jit_config(state: dict[str, Tensor], context_start: int | None = None) -> dict[str, Any]:
    """Arguments of `SimpleDiffusionViT2DModel`, but noise_scale, from the shapes of JiT's weights.

    Raises:
        ValueError: for weights of another kind of network.
    """
    needed = [
        *("x_embedder.proj1.weight", "y_embedder.embedding_table.weight", "pos_embed", "blocks.0.attn.q_norm.weight"),
        *("blocks.0.mlp.w3.weight", "final_layer.linear.weight"),
    ]
    missing = [name for name in needed if name not in state]
    require(not missing, f"The file holds no weights of JiT: there is no {', '.join(missing)}.")
    bottleneck, channels, patch, _ = state["x_embedder.proj1.weight"].shape
    classes, hidden = state["y_embedder.embedding_table.weight"].shape
    depth = 1 + max(int(match[1]) for name in state if (match := re.match(r"blocks\.(\d+)\.", name)))
    context = state["in_context_posemb"].shape[1] if "in_context_posemb" in state else 0
    start = STARTS.get(depth, 0) if context_start is None else context_start
    require(
        not context or context_start is not None or depth in STARTS,
        f"The file has {depth} blocks; say at which the class tokens join (context_start).",
    )
    inner = state["blocks.0.mlp.w3.weight"].shape[1]
    mlp_ratio = round(inner * 6 / hidden) / 4  # quarters; the width is two thirds of it
    require(swiglu_dim(hidden, mlp_ratio) == inner, f"The SwiGLU of width {inner} is no known multiple of {hidden}.")
    return {
        "sample_size": patch * round(state["pos_embed"].shape[1] ** 0.5), "patch_size": patch,
        "in_channels": channels, "out_channels": state["final_layer.linear.weight"].shape[0] // patch**2,
        "bottleneck_dim": bottleneck, "hidden_size": hidden, "num_transformer_layers": depth,
        "num_attention_heads": hidden // state["blocks.0.attn.q_norm.weight"].shape[0], "mlp_ratio": mlp_ratio,
        "num_class_embeds": classes - 1, "num_context_tokens": context, "context_start": start,
        "prediction_type": "sample", "conditioning": "flow_time",
    }  # fmt: skip


def convert_jit_state_dict(state: dict[str, Tensor], network: SimpleDiffusionViT2DModel) -> dict[str, Tensor]:
    """Weights of JiT under the names, in the order and on the scale of the network; unknown names stay as they are.

    Raises:
        ValueError: for a table of positions that was trained.
    """
    c = network.config
    grid, hidden, patch = c.sample_size // c.patch_size, c.hidden_size, c.patch_size
    table = sincos_positions(grid, grid, hidden, grid**2, torch.device("cpu"))[None]
    given = state["pos_embed"].float()
    fixed = given.shape == table.shape and torch.allclose(given, table, rtol=0, atol=1e-4)
    require(fixed, "pos_embed is not the table of sines and cosines that JiT starts with: it cannot be left out.")
    head = hidden // c.num_attention_heads
    halves = torch.cat([torch.arange(0, head, 2), torch.arange(1, head, 2)])
    heads = torch.cat([halves + head * i for i in range(c.num_attention_heads)])
    pixels = torch.arange(patch**2 * c.out_channels).view(patch, patch, -1).permute(2, 0, 1).flatten()
    converted: dict[str, Tensor] = {}
    for name, value in state.items():
        if name == "pos_embed":
            continue
        if name == "in_context_posemb":
            converted["context_embedding"] = value[0]
        elif name in ("x_embedder.proj1.weight", "x_embedder.proj2.weight"):  # convolutions of one patch, of one token
            converted[f"patch_embedding.linear_{name[15]}.weight"] = value.flatten(1)
        elif name.startswith("final_layer.linear."):
            converted[f"head_out.linear.{name.rpartition('.')[2]}"] = value[pixels]
        elif match := re.fullmatch(r"blocks\.(\d+)\.(.+)\.(weight|bias)", name):
            place, part, kind = f"transformer_blocks.{match[1]}", match[2], match[3]
            if part == "attn.qkv":
                q, k, v = value.chunk(3)
                converted[f"{place}.attn.to_q.{kind}"] = q[heads]
                converted[f"{place}.attn.to_kv.{kind}"] = torch.cat([k[heads], v])
            elif part in ("attn.q_norm", "attn.k_norm"):
                converted[f"{place}.attn.norm_{part[5]}.{kind}"] = value[halves]
            else:
                converted[f"{place}.{BLOCK_NAMES.get(part, part)}.{kind}"] = value
        else:
            layer, _, kind = name.rpartition(".")
            converted[f"{NAMES.get(layer, layer)}.{kind}"] = value
    return {name: value.float().contiguous() for name, value in converted.items()}


def _read(path: Path, weights: str | None) -> tuple[dict[str, Tensor], Any]:
    """State dict of the network, and the arguments of the training where the file has them."""
    if not path.is_file():
        raise OSError(f"{path} is no file; a checkpoint of JiT (.pth) or a state dict (.safetensors) is needed.")
    if path.suffix == ".safetensors":
        content: Any = load_file(path)
    else:
        try:
            with torch.serialization.safe_globals([argparse.Namespace]):
                content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # of pickle, zip and torch
            raise ValueError(f"{path} is no checkpoint of tensors and arguments alone: {error}") from error
    require(isinstance(content, dict), f"{path} holds a {type(content).__name__}; a state dict is needed.")
    found = [key for key in AVERAGED if isinstance(content.get(key), dict)]
    require(
        weights is None or weights in found,
        f"weights is {weights!r}; the file has {', '.join(found) or 'one state dict without a name'}.",
    )
    state = content[weights or found[0]] if found else content
    named = {str(key).removeprefix("net."): value for key, value in state.items() if isinstance(value, Tensor)}
    return named, content.get("args")

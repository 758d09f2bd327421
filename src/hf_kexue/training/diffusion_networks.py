"""Arguments of the networks of simple diffusion, U-ViT and ViT, and the presets that belong to each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .arguments import option
from .image_data import preset_of

SHARED = ("patch_size", "hidden_size", "num_transformer_layers", "num_attention_heads", "mlp_ratio", "dropout")
OWN = {
    "uvit": ("input_transform", "block_out_channels", "layers_per_block", "embedding_dim", "skip"),
    "vit": ("bottleneck_dim", "num_context_tokens", "context_start", "readout_sizes"),
}


@dataclass
class NetworkArguments:
    """Arguments of both networks; each takes those that it has."""

    network: str = option("uvit", "'uvit', or 'vit': a transformer without convolutions on large patches.")
    patch_size: int = option(2, "Pixels folded into channels at the input.")
    hidden_size: int = option(256, "Width of the transformer.")
    num_transformer_layers: int = option(6, "Blocks of the transformer.")
    num_attention_heads: int = option(4, "Heads of the transformer.")
    mlp_ratio: float = option(4.0, "Inner width of the transformer's MLP over its width.")
    dropout: float = option(0.0, "In the transformer only.")
    input_transform: str = option("patch", "'patch' or 'dwt'; uvit.")
    block_out_channels: list[int] = option([48, 96], "Channels of the convolutional levels; uvit.")
    layers_per_block: list[int] = option([2, 2], "Residual blocks of each level, each way; uvit.")
    embedding_dim: int | None = option(None, "Width of the conditioning vector, default: hidden_size; uvit.")
    skip: str = option("residual", "'concat' or 'residual'; uvit.")
    bottleneck_dim: int = option(64, "Width between the pixels of a patch and its token; vit.")
    num_context_tokens: int = option(8, "Tokens that carry the class; vit.")
    context_start: int = option(2, "The block before which they join the patches; vit.")
    readout_sizes: list[int] = option([], "Lower sizes at which the image is predicted too, descending: the "
                                      "multiscale loss within the network; vit.")  # fmt: skip


def network_options(args: Any) -> dict[str, Any]:
    """Arguments of the network's class that --network names.

    Raises:
        ValueError: for another name, or lower sizes that a network has no heads for or is trained on twice.
    """
    if args.network not in OWN:
        raise ValueError(f"--network must be 'uvit' or 'vit', got {args.network!r}.")
    if args.readout_sizes and (args.network != "vit" or args.multiscale):
        raise ValueError("--readout_sizes is for --network vit, in place of --multiscale.")
    values = {key: getattr(args, key) for key in (*SHARED, *OWN[args.network])}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def preset_of_network(requested: Any) -> str:
    """Preset of a run: as `preset_of`, with "jit-" before it for a ViT."""
    return f"jit-{preset_of(requested)}" if requested.network == "vit" else preset_of(requested)

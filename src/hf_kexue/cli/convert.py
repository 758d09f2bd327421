"""`hf-kexue convert-jit`: released weights of JiT as a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert_jit(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Of JiT (.pth), or a state dict (.safetensors).")
    ],
    output: Annotated[Path, typer.Option(help="Folder of the pipeline.")],
    weights: Annotated[
        str | None, typer.Option(help="model_ema1, model_ema2 or model of the checkpoint; default: the first it has.")
    ] = None,
    noise_scale: Annotated[
        float | None, typer.Option(help="Deviation of the noise; default: as saved, else by the size of the image.")
    ] = None,
    context_start: Annotated[
        int | None, typer.Option(min=0, help="Block where class tokens join; default: of the released sizes.")
    ] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="Saved with it; default: of the checkpoint.")] = None,
) -> None:
    """Convert released weights of JiT (github.com/LTH14/JiT) to a pipeline.

    The folder loads with `SimpleDiffusionPipeline.from_pretrained`. Only tensors and arguments of the file are read.
    """
    from ..inference.kinds import PACKAGE, named

    pipeline = named(f"{PACKAGE}.simple_diffusion:convert_jit")(
        checkpoint, output, weights=weights, noise_scale=noise_scale, context_start=context_start,
        guidance_scale=guidance_scale,
    )  # fmt: skip
    config = pipeline.unet.config
    typer.echo(
        f"{output}: {config.sample_size} x {config.sample_size} pixels, patches of {config.patch_size}, "
        f"{config.num_transformer_layers} blocks of width {config.hidden_size}, {config.num_class_embeds} classes"
    )

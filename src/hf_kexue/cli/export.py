"""`hf-kexue export-onnx`: a saved model as ONNX networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import MODEL_HELP


def export_onnx(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help=MODEL_HELP.format("a reader, triples or an image model"))
    ],
    output: Annotated[Path, typer.Option(help="Folder; that of the model gets the networks in onnx/.")],
    int8: Annotated[bool, typer.Option("--int8", help="Write int8 networks too; for models of texts.")] = False,
) -> None:
    """Export a saved model to ONNX, for use without torch.

    Batches and lengths are free, of a U-ViT height and width too. Every network is compared with torch before it is
    kept. Prints the files.
    """
    from ..onnx import export_onnx as export

    for path in export(model, output, int8=int8):
        typer.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB")

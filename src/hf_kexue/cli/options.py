"""Shared options of the commands: device, dtype of the weights, and the options of each kind of model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from ..inference.kinds import CONSTRAINTS, KINDS, Kind, Option

MODEL_HELP = "Folder of {}; or a repository id of the Hub."
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; default: a CUDA GPU if there is one.")]
Constraints = Annotated[
    list[str] | None,
    typer.Option(help=f"{CONSTRAINTS}."),
]
Precision = Literal["auto", "float32", "bfloat16", "float16"] | None
AUTO = "auto is bfloat16 where this device has units for it, else float32"
Dtype = Annotated[Precision, typer.Option(help=f"Of the weights; {AUTO}; default: float32.")]
DrawingDtype = Annotated[Precision, typer.Option(help=f"Of the weights; {AUTO}; default: auto, float32 for GANs.")]


def with_options_of_kinds(options_of: Callable[[Kind], Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command that takes `**options`: add the options of all kinds of models, None by default.

    Args:
        options_of: row of `kinds` -> its options of this command. Options of the same name are merged.
    """
    rows: dict[str, list[tuple[Kind, Option]]] = {}
    for kind in KINDS:
        for option in options_of(kind):
            rows.setdefault(option.name, []).append((kind, option))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        fixed = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(kinds))
            for name, kinds in rows.items()
        ]
        command.__signature__ = signature.replace(parameters=[*fixed, *added])  # type: ignore[attr-defined]
        return command

    return decorate


def _annotation(rows: list[tuple[Kind, Option]]) -> Any:
    option = rows[0][1]
    text = f"{', '.join(kind.label for kind, _ in rows)}: {option.help[0].lower()}{option.help[1:]}"
    text += "" if option.default is None else f"; default {option.default}"
    most = 2**63 - 1 if option.name.endswith("seed") else None  # limit of torch.Generator
    return Annotated[option.type | None, typer.Option(help=f"{text}.", min=option.least, max=most)]

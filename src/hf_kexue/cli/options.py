"""Options that commands share: the device, the type of weights, and those that the kinds of models bring along."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from ..inference.kinds import KINDS, Kind, Option

MODEL_HELP = "Folder of {}; or a repository id of the Hub."
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; default: a CUDA GPU if there is one.")]
Dtype = Annotated[
    Literal["float32", "bfloat16", "float16"] | None, typer.Option(help="Of the weights; default: float32.")
]


def with_options_of_kinds(options_of: Callable[[Kind], Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a command that takes `**given`: each option of any kind becomes one of its own, None by default.

    Args:
        options_of: row of `kinds` -> its options of this command. Options of one name and default are one option.
    """
    rows: dict[str, list[tuple[Kind, Option]]] = {}
    for kind in KINDS:
        for option in options_of(kind):
            rows.setdefault(option.name, []).append((kind, option))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        fixed = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(found))
            for name, found in rows.items()
        ]
        command.__signature__ = signature.replace(parameters=[*fixed, *added])  # type: ignore[attr-defined]
        return command

    return decorate


def _annotation(found: list[tuple[Kind, Option]]) -> Any:
    option = found[0][1]
    told = f"{', '.join(kind.label for kind, _ in found)}: {option.help[0].lower()}{option.help[1:]}"
    told += "" if option.default is None else f"; default {option.default}"
    most = 2**63 - 1 if option.name.endswith("seed") else None  # for a generator of torch
    return Annotated[option.type | None, typer.Option(help=f"{told}.", min=option.least, max=most)]

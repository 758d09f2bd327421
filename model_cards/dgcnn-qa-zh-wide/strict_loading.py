"""What a model refuses to load, in one sentence each: pickled weights, weights that are cut off, of another shape or
for another network, and fields that its configuration does not have.

Without this, the libraries unpickle where there is no safetensors, start what is missing at random and pass over
fields that they do not know, so that a model comes back that is not the one that was saved.

The same file lies in every family, because a family travels to the Hub alone; a test keeps the copies equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Any

from safetensors import SafetensorError

SHAPES = re.compile(r"(\S+) expected shape torch\.Size\((\[[\d, ]*\])\), but got torch\.Size\((\[[\d, ]*\])\)")
SHOWN = 3  # names in a sentence


def safetensors_only(options: dict[str, Any]) -> dict[str, Any]:
    """Options of `from_pretrained` that never read a pickled file.

    Raises:
        ValueError: if they ask for one.
    """
    if options.get("use_safetensors") is False:
        raise ValueError("use_safetensors=False asks for pickled weights, which can run code: only safetensors load.")
    return {**options, "use_safetensors": True}


@contextmanager
def clear_errors(source: Any) -> Iterator[None]:
    """What the libraries raise about files, as one sentence.

    Args:
        source: folder or repository id, for the sentence.

    Raises:
        ValueError: for weights that are cut off or damaged, or of another shape, and for JSON that is cut off.
        OSError: where there are no weights in safetensors.
    """
    try:
        yield
    except (SafetensorError, OSError, ValueError) as error:
        broken = next((cause for cause in _chain(error) if isinstance(cause, SafetensorError)), None)
        shape = SHAPES.search(str(error))
        if broken is not None:
            raise ValueError(
                f"The weights of {source} are cut off or damaged ({broken}): save or download them again."
            ) from error
        if shape is not None:
            check_loaded(source, {"mismatched_keys": [(shape[1], shape[3], shape[2])]})
        if isinstance(error, JSONDecodeError):
            raise ValueError(f"A file of {source} is no whole JSON ({error}): save or download it again.") from error
        if isinstance(error, OSError) and "safetensors" in str(error):
            raise OSError(
                f"{source} has no weights in safetensors; pickled ones (.bin, .pt) can run code and are not loaded."
            ) from error
        raise


def check_loaded(source: Any, info: dict[str, Any]) -> None:
    """Refuse what was loaded in part.

    Args:
        source: folder or repository id, for the sentence.
        info: what `from_pretrained(output_loading_info=True)` tells.

    Raises:
        ValueError: if weights are missing, too many, or of another shape.
    """
    shapes = [f"{name} is {_plain(there)}, not {_plain(own)}" for name, there, own in info.get("mismatched_keys", ())]
    for what, names in (
        ("of another shape", shapes),
        ("missing", info.get("missing_keys", ())),
        ("not of this network", info.get("unexpected_keys", ())),
    ):
        if names:
            raise ValueError(f"The weights of {source} do not fit its configuration; {what}: {_first(names)}.")


def refuse_unknown_fields(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a configuration with fields that no one reads: a newer version or a slip of the pen wrote them.

    Args:
        where: whose configuration, for the sentence.
        given: names; those that begin with an underscore belong to the libraries.
        known: names.

    Raises:
        ValueError: with the unknown names and the known ones.
    """
    known = set(known)
    if unknown := sorted(name for name in given if name not in known and not name.startswith("_")):
        raise ValueError(f"The configuration of {where} has unknown fields {unknown}; known are {sorted(known)}.")


def _plain(shape: Any) -> str:
    return str(shape).removeprefix("torch.Size(").removesuffix(")")


def _first(names: Iterable[Any]) -> str:
    names = sorted(map(str, names))
    return "; ".join(names[:SHOWN]) + (f"; and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

"""An extension of griffe: types in the docstrings' own form, ``unet ([`SimpleDiffusionUViT2DModel`]): ...``, are shown
without its brackets and quotes."""

from __future__ import annotations

import re
from typing import Any

import griffe

TYPE = re.compile(r"^(?P<name> +[\w, ]+) \((?P<type>[^()\n]*`[^()\n]*)\): ", re.M)


class PlainTypes(griffe.Extension):
    """Changes what is shown, not the source."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for each object that was read."""
        if obj.docstring:
            obj.docstring.value = TYPE.sub(_plain, obj.docstring.value)


def _plain(match: re.Match[str]) -> str:
    plain = re.sub(r"\[`|`\]|`", "", match["type"])
    return f"{match['name']} ({plain}): "

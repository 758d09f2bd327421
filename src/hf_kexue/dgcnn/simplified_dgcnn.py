"""Traditional characters as simplified ones, one for one, so that offsets stay: DRCD beside CMRC 2018, say.

The table is that of OpenCC (`pip install opencc`).
"""

from __future__ import annotations

from functools import cache
from typing import Any


def simplified(text: str) -> str:
    """The text with each traditional character as the simplified one; of the same length.

    A character that stands for several (乾, 后) becomes the one that is most frequent, for no context is looked at.

    Raises:
        ModuleNotFoundError: without the package `opencc`.
    """
    converter = _converter()
    return "".join(map(converter, text))


@cache
def _converter() -> Any:
    try:
        from opencc import OpenCC
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("traditional characters need the package opencc: pip install opencc") from error
    convert = OpenCC("t2s").convert

    @cache
    def character(of: str) -> str:
        found = convert(of)
        return found if len(found) == 1 else of

    return character

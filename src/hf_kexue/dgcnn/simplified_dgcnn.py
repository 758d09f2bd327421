"""Traditional characters as simplified ones, so that offsets stay: DRCD beside CMRC 2018, say.

The tables are those of OpenCC (`pip install opencc`), words before characters: 乾隆 stays, 乾淨 becomes 干净.
"""

from __future__ import annotations

import importlib
import re
from functools import cache
from typing import Any

LINE = re.compile(r"[^。！？!?\r\n]*[。！？!?\r\n]*")  # OpenCC's words do not cross these marks


def simplified(text: str) -> str:
    """The text in simplified characters, of the same length.

    OpenCC converts words; where that changes the length of a sentence, its characters are converted one by one, and a
    character that stands for several becomes the most frequent one. A text that is simplified already need not stay
    as it is: 畢昇 becomes 毕昇, and 毕昇 becomes 毕升, since such words are known in traditional spelling alone.

    Raises:
        ModuleNotFoundError: without the package `opencc`.
    """
    return "".join(map(_same_length, LINE.findall(text)))


def _same_length(part: str) -> str:
    convert = _converter()
    whole = convert(part)
    return whole if len(whole) == len(part) else "".join(map(_character, part))


@cache
def _character(character: str) -> str:
    found = _converter()(character)
    return found if len(found) == 1 else character


@cache
def _converter() -> Any:
    try:  # by name: transformers refuses remote code with an import that is not installed
        library = importlib.import_module("opencc")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("traditional characters need the package opencc: pip install opencc") from error
    return library.OpenCC("t2s").convert

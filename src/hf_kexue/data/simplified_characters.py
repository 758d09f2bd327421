"""Traditional characters as simplified ones, one for one, so that offsets stay: DRCD beside CMRC 2018, say.

The table is that of OpenCC (`pip install opencc`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from .reading_comprehension import QAExample


def simplified(text: str) -> str:
    """The text with each traditional character as the simplified one; of the same length.

    A character that stands for several (乾, 后) becomes the one that is most frequent, for no context is looked at.

    Raises:
        ModuleNotFoundError: without the package `opencc`.
    """
    converter = _converter()
    return "".join(map(converter, text))


def simplified_question(example: QAExample) -> QAExample:
    """Question, passages and answers simplified; the answers keep their places."""
    return replace(
        example,
        question=simplified(example.question),
        passages=[simplified(passage) for passage in example.passages],
        answers=[[simplified(answer) for answer in answers] for answers in example.answers],
    )


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

"""Where the sentences and the clauses of a text end. A full-width semicolon ends a sentence: what follows it mostly
has a subject of its own.

Quotation marks and brackets stay whole: an end within them is none. A single line break is a wrapped line, not an end;
a blank line is, and so is a line that begins with an ideographic space, as Chinese paragraphs do.

    他说：“来吧！走吧。”|《你好，李焕英！》是一部电影。|3.14 is J. Smith's number. |Yes
"""

import re

PAIRS = dict(zip("”’」』）)】]》〉", "“‘「『（(【[《〈"))
OPENING = frozenset(PAIRS.values())
QUOTES = "“‘「『"
DEEPEST = 8  # marks within marks
LONGEST_PAIR = 200  # characters; a mark whose partner is farther away has none
TERMINAL = re.compile(r"[。！？；]|[!?](?![A-Za-z0-9])|(?<!\b[A-Za-z])\.(?=\s)")
AFTER_TERMINAL = re.compile(r"[。！？；!?]*[”’」』）)\]】》\"']*")
PARAGRAPH = re.compile(r"(?:\r\n|(?!\r\n)[\r\n\u2028\u2029])\s*(?:[\r\n\u2028\u2029]\s*|(?<=\u3000))|\u2029")
CLAUSE_END = re.compile(r"[，、：…]|[,:;](?!\d)")


def sentence_ends(text: str) -> list[int]:
    """The offset after each sentence, closing marks included; the end of the text only where a sentence ends there.

    Args:
        text: any string.

    Returns:
        Character offsets, ascending. Linear in the text.
    """
    paragraphs = [match.end() for match in PARAGRAPH.finditer(text)]
    closed_by = _pairs(text, paragraphs)  # opening place -> closing place
    ends, place, colon = set(paragraphs), 0, False
    while place < len(text):
        if place in closed_by:
            close = closed_by[place]
            last, following = text[close - 1], text[close + 1 : close + 2]
            speech = text[place] in QUOTES and (last == "。" or (colon and last in "！？!?"))
            if speech and following not in tuple("，、；：,;:。！？!?"):
                ends.add(close + 1)
            place = close + 1
        elif match := TERMINAL.match(text, place):
            place = AFTER_TERMINAL.match(text, match.end()).end()  # type: ignore[union-attr]  # may be empty
            ends.add(place)
        else:
            place += 1
        colon = text[place - 1 : place] in ("：", ":")
    return sorted(ends)


def clause_ends(text: str) -> list[int]:
    """The offset after each comma, colon, ASCII semicolon and ellipsis."""
    return [match.end() for match in CLAUSE_END.finditer(text)]


def _pairs(text: str, paragraphs: list[int]) -> dict[int, int]:
    """Place of an opening mark -> that of its closing mark, in the same paragraph and not too far away."""
    found: dict[int, int] = {}
    breaks = iter([*paragraphs, len(text) + 1])
    following = next(breaks)
    waiting: list[int] = []
    for place, mark in enumerate(text):
        if place >= following:
            following, waiting = next(breaks), []
        if mark in OPENING:
            waiting.append(place)
        elif opening := PAIRS.get(mark):
            depth = next((i for i, start in enumerate(waiting[: -DEEPEST - 1 : -1], 1) if text[start] == opening), 0)
            if depth:
                if place - waiting[-depth] <= LONGEST_PAIR:
                    found[waiting[-depth]] = place
                del waiting[-depth:]
    return found

"""What mentions and triples look like: dates and quantities in full, names without punctuation, one object where a
predicate has one.

    mentions     no punctuation at their edges, no word such as 由 behind a subject            `whole_mentions`
                 dates with year, month and day, numbers with their units                      `object_format`
                 "甲、乙和丙" is three names                                                   `object_lists`
    triples      no date where a name belongs; of mentions that overlap the best
                 the best object alone                                                         `cardinality`
                 the other way round                                                            `inverse_of`

The keys stand in entries of a schema; `inference.triple_constraints.learn_constraints` writes those that hold in 98 %
of the training sentences. Spans are character offsets. Imports neither torch nor transformers.
"""

import re
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from typing import Any

Place = tuple[int, int]  # half-open character offsets
FoundTriples = dict[tuple[Place, int, Place], float]  # subject, number of the predicate, object -> score
Schema = Sequence[Mapping[str, Any]]

CONSTRAINTS = ("edges", "formats", "lists", "types", "nesting", "cardinality", "inverse")
DIGIT = r"[\d〇零一二两三四五六七八九十]"
DATE = re.compile(
    rf"(?:公元前?|前)?(?:{DIGIT}{{1,4}}\s?年(?:代|\s?{DIGIT}{{1,3}}\s?月(?:份|\s?{DIGIT}{{1,3}}\s?[日号])?)?"
    rf"|{DIGIT}{{1,3}}\s?月\s?{DIGIT}{{1,3}}\s?[日号]|\d{{4}}\s?[-./]\s?\d{{1,2}}(?:\s?[-./]\s?\d{{1,2}})?(?!\d))"
)
UNITS = (  # the longer first
    "平方公里|平方千米|平方英里|元人民币|平方米|km2|km²|人民币|"
    "公顷|公里|千米|英里|厘米|公分|毫米|英尺|cm|CM|Cm|km|美元|美金|港元|港币|"
    "欧元|日元|韩元|英镑|亩|米|㎡|m|M|元|块|人|户"
)
QUANTITY = re.compile(rf"(?<![\d.])\d[\d,，]*(?:\.\d+)?(?:\s?[十百千万亿]+)?[余多]?[万亿]?(?:\s?(?:{UNITS}))?")
FORMATS = {"date": DATE, "quantity": QUANTITY}
YEAR = re.compile(r"\d{4}")
PUNCTUATION = " \t\r\n\u3000，。、；：！？,;:!?…·-—~"
CLOSING = dict(zip("”’」』）)】]》〉", "“‘「『（(【[《〈"))
OPENING = {opening: closing for closing, opening in CLOSING.items()}
AFTER_SUBJECTS = re.compile(r"(?<=.[^自理缘来事])由$")  # 某公司由某人创办; not 自由, 理由
CONJUNCTION = re.compile(r"[、/]|(?<=[^、/和与及]{2})(?:以及|[和与及])(?=[^、/和与及]{2})")
CLAUSE = re.compile(r"[，。；！？,;!?“”]")
LONGEST_NAME = 16  # characters; what is longer and holds a comma or a quotation mark is no name
LONGEST_REST = 2  # characters beside a date or quantity, such as 底 of 2000年底
LITERAL = ("Date", "Number", "Text")  # types of objects that are no names


def constrained(
    found: FoundTriples, text: str, schema: Schema, parts: Collection[str] = CONSTRAINTS, starts: Sequence[int] = (0,)
) -> FoundTriples:
    """Triples that keep to what a schema says.

    Args:
        found: places in `text`, with scores in [0, 1].
        text: any string.
        schema: entries with the keys named at the head of the file; one without a key is not constrained by it.
        parts: of `CONSTRAINTS`.
        starts: where the sentences of the text start, ascending: a subject has its one object in each of them.

    Returns:
        Triples with the scores of those that they come from, the highest of several.
    """
    for part in CONSTRAINTS:
        if part in parts:
            found = RULES[part](found, text, schema, starts)
    return found


def _edges(found: FoundTriples, text: str, schema: Schema, starts: Sequence[int]) -> FoundTriples:
    """Without punctuation and lone brackets at the edges of mentions, and the word 由 behind a subject."""
    kept: FoundTriples = {}
    for (subject, predicate, other), score in found.items():
        one, two = _trimmed(subject, text), _trimmed(other, text)
        if AFTER_SUBJECTS.search(text[slice(*one)]):
            one = (one[0], one[1] - 1)
        if one[0] < one[1] and two[0] < two[1] and not _runs_on(one, text) and not _runs_on(two, text):
            _add(kept, one, predicate, two, score)
    return kept


def _runs_on(place: Place, text: str) -> bool:
    """Whether a mention goes on into the next clause; a title in 《》 may hold a comma."""
    start, end = place
    titled = text[start - 1 : start] == "《" and text[end : end + 1] == "》"
    return end - start > LONGEST_NAME and not titled and CLAUSE.search(text, start, end) is not None


def _trimmed(place: Place, text: str) -> Place:
    start, end = place
    while start < end:
        first, last = text[start], text[end - 1]
        if first in PUNCTUATION or first in CLOSING or (first in OPENING and OPENING[first] not in text[start:end]):
            start += 1
        elif last in PUNCTUATION or last in OPENING or (last in CLOSING and CLOSING[last] not in text[start:end]):
            end -= 1
        elif first == "《" and text.find("》", start) == end - 1:
            start, end = start + 1, end - 1
        else:
            break
    return start, end


def _formats(found: FoundTriples, text: str, schema: Schema, starts: Sequence[int]) -> FoundTriples:
    """Dates and quantities in full."""
    kept: FoundTriples = {}
    spans: dict[str, list[Place]] = {}
    for (subject, predicate, other), score in found.items():
        name = schema[predicate].get("object_format")
        if name in FORMATS:
            if name not in spans:
                spans[name] = [match.span() for match in FORMATS[name].finditer(text)]
            other = next((span for span in spans[name] if _is_form_of(span, other)), other)
        _add(kept, subject, predicate, other, score)
    return kept


def _is_form_of(span: Place, mention: Place) -> bool:
    """Whether a date or quantity holds a mention, or begins it and is much shorter."""
    start, end = mention
    return (span[0] <= start and end <= span[1]) or (span[0] == start and span[1] + LONGEST_REST < end)


def _lists(found: FoundTriples, text: str, schema: Schema, starts: Sequence[int]) -> FoundTriples:
    """Each of several names by itself."""
    kept: FoundTriples = {}
    for (subject, predicate, other), score in found.items():
        start, names = other[0], [other]
        if schema[predicate].get("object_lists") is False and "《" not in text[slice(*other)]:
            ends = [match.span() for match in CONJUNCTION.finditer(text[slice(*other)])]
            edges = [0, *(edge for span in ends for edge in span), other[1] - start]
            names = [(start + a, start + b) for a, b in zip(edges[::2], edges[1::2]) if a < b]
        for name in names:
            _add(kept, subject, predicate, name, score)
    return kept


def _types(found: FoundTriples, text: str, schema: Schema, starts: Sequence[int]) -> FoundTriples:
    """No dates and quantities where a name belongs."""

    def fits(predicate: int, other: str) -> bool:
        types = schema[predicate].get("object_types") or ()
        literal = not types or not set(LITERAL).isdisjoint(types)
        return literal or not DATE.fullmatch(other)

    return {key: score for key, score in found.items() if fits(key[1], text[slice(*key[2])])}


def _nesting(found: FoundTriples, text: str, schema: Schema, starts: Sequence[int]) -> FoundTriples:
    """Of mentions that overlap, beside the same predicate and the same other mention, the best alone."""
    kept: FoundTriples = {}
    for key, score in sorted(found.items(), key=_rank):
        subject, predicate, other = key
        nested = any(
            number == predicate
            and ((one == subject and _overlap(two, other)) or (two == other and _overlap(one, subject)))
            for one, number, two in kept
        )
        if not nested:
            kept[key] = score
    return kept


def _cardinality(found: FoundTriples, text: str, schema: Schema, starts: Sequence[int]) -> FoundTriples:
    """One object of a subject in a sentence, all places of it, where the predicate has one."""
    best: dict[tuple[str, int, int], str] = {}
    kept: FoundTriples = {}
    for key, score in sorted(found.items(), key=_rank):
        subject, predicate, other = text[slice(*key[0])], key[1], text[slice(*key[2])]
        sentence = bisect_right(starts, key[2][0])
        if (
            schema[predicate].get("cardinality") != "one"
            or best.setdefault((subject, predicate, sentence), other) == other
        ):
            kept[key] = score
    return kept


def _inverse(found: FoundTriples, text: str, schema: Schema, starts: Sequence[int]) -> FoundTriples:
    """Each triple the other way round."""
    numbers = {entry["predicate"]: number for number, entry in enumerate(schema)}
    kept = dict(found)
    for (subject, predicate, other), score in found.items():
        inverse = numbers.get(schema[predicate].get("inverse_of", ""))
        if inverse is not None:
            kept.setdefault((other, inverse, subject), score)
    return kept


def _add(found: FoundTriples, subject: Place, predicate: int, other: Place, score: float) -> None:
    key = (subject, predicate, other)
    found[key] = max(score, found.get(key, 0.0))


def _rank(item: tuple[tuple[Place, int, Place], float]) -> tuple:
    return -item[1], item[0]


def _overlap(one: Place, two: Place) -> bool:
    return one[0] < two[1] and two[0] < one[1]


RULES = {
    "edges": _edges,
    "formats": _formats,
    "lists": _lists,
    "types": _types,
    "nesting": _nesting,
    "cardinality": _cardinality,
    "inverse": _inverse,
}

"""The scorer of WebQA: chunks that a tagger found in the evidences of a question, against the right answers.

    P = units with a right chunk / chunks predicted,   R = units with a right chunk / units,   F1 = 2PR / (P + R)

A unit is an evidence ("tagging", the annotated setting) or a question whose evidences vote ("voting", the retrieved
setting). Any one right chunk makes its unit right, and every further chunk costs precision. Matching is strict
(equal after removing whitespace and case) or fuzzy (`WebQAFuzzyMatcher`).

Source: Li et al. 2016, "Dataset and Neural Recurrent Sequence Labeling Model for Open-Domain Factoid Question
Answering", arXiv 1607.06275, and the scorer published with the data.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

_NUMBER = r"[〇一二三四五六七八九十百千万亿兆\d]+"
_MONTH = r"(?:十[一二]|[〇一二三四五六七八九十]|\d+)"
_DYNASTY = "(?:南北|[夏商周秦汉晋南北隋唐宋金元明清])"
_ELEMENTS = (  # hydrogen to fermium
    "氢氦锂铍硼碳氮氧氟氖钠镁铝硅磷硫氯氩钾钙钪钛钒铬锰铁钴镍铜锌镓锗砷硒溴氪铷锶钇锆铌钼锝钌铑钯银镉铟锡锑碲碘氙"
    "铯钡镧铈镨钕钷钐铕钆铽镝钬铒铥镱镥铪钽钨铼锇铱铂金汞铊铅铋钋砹氡钫镭锕钍镤铀镎钚镅锔锫锎锿镄"
)


class _Rule(NamedTuple):
    """Two answers are alike if the longer one is the shorter one with something before or after it."""

    shorter: re.Pattern[str]
    before: re.Pattern[str]
    after: re.Pattern[str]
    longer: str  # "either", "gold" or "predicted": which of the two may be the longer one


class WebQAFuzzyMatcher:
    """The scorer's fuzzy comparison of two answers: synonyms, rules on what stands before and after, and places.

    The scorer comes with lists that are not part of this package: synonyms, units of measure, names of countries and
    of Chinese administrative divisions. Without them, the rules that need no list remain ("3" = "3岁", "宋" = "宋朝",
    "茶馆" = "《茶馆》", ...); F1 is then a lower bound of the published script's. With the lists it is the script's.

    Args:
        synonyms: groups of answers that mean the same. They are looked up as they are written here among answers
            without whitespace and in lower case: a word with a blank or a capital is never found, as in the script.
        measures: units of measure and measure words ("个", "公里"), for "3" = "3个" = "第3个" and "3个" = "第3个".
        countries: names of countries and regions, for "法国" = "法国人" (names that end in 国 need no list).
        same_place: called with (right answer, predicted answer); whether both name the same place ("北京", "北京市").
    """

    def __init__(
        self,
        synonyms: Iterable[Collection[str]] = (),
        measures: Collection[str] = (),
        countries: Collection[str] = (),
        same_place: Callable[[str, str], bool] | None = None,
    ) -> None:
        self._groups: dict[str, set[int]] = defaultdict(set)
        for number, group in enumerate(synonyms):
            if isinstance(group, str):
                raise TypeError(f"synonyms holds the string {group!r}; each entry must be a group of strings.")
            for word in group:
                self._groups[word].add(number)
        self._rules = _rules(_any_of(measures), _any_of(countries))
        self._same_place = same_place

    def __call__(self, gold: str, predicted: str) -> bool:
        """Whether a predicted answer means the right one; some rules hold in one direction only."""
        gold, predicted = _key(gold), _key(predicted)
        if gold == predicted or self._groups.get(gold, set()) & self._groups.get(predicted, set()):
            return True
        return self._by_rule(gold, predicted) or (self._same_place is not None and self._same_place(gold, predicted))

    def _by_rule(self, gold: str, predicted: str) -> bool:
        predicted_is_longer = len(gold) < len(predicted)
        shorter, longer = (gold, predicted) if predicted_is_longer else (predicted, gold)
        starts = [start for start in range(len(longer)) if longer.startswith(shorter, start)]
        sides = [(longer[:start], longer[start + len(shorter) :]) for start in starts]
        directions = ("either", "predicted" if predicted_is_longer else "gold")
        return any(
            rule.longer in directions
            and rule.shorter.fullmatch(shorter)
            and any(rule.before.fullmatch(before) and rule.after.fullmatch(after) for before, after in sides)
            for rule in self._rules
        )


def webqa_scores(
    records: Iterable[Mapping[str, Any]],
    *,
    voting: bool = False,
    matching: Literal["strict", "fuzzy"] | Callable[[str, str], bool] = "strict",
) -> dict[str, float]:
    """Precision, recall and F1 of the WebQA scorer.

    Votes: chunks without whitespace are counted over the evidences of a question, and all that reach the largest
    count are its answers; if that count is 1, the chunks of the first evidence that has any are. The right answers of
    the question are those of its first evidence that has some other than "no_answer" (in the published data all
    evidences of a question share them).

    Args:
        records: one mapping per question, `{"id": str, "evidences": [...]}`, ids all different. An evidence is
            `{"golds": [str, ...], "predictions": [str, ...]}`, or in place of predictions `"tokens"` and `"tags"`,
            from which `webqa_chunks` makes them. Golds of `["no_answer"]` are matched by the prediction
            "no_result"; golds may be empty, then nothing matches.
        voting: False to score each evidence for itself, True to score each question by the votes of its evidences.
        matching: "strict", "fuzzy" (a `WebQAFuzzyMatcher()` without lists), or a callable of (right answer, predicted
            answer), such as a `WebQAFuzzyMatcher` with lists. Both answers come without whitespace, in lower case.

    Returns:
        `{"f1", "precision", "recall"}` in 0..1; `total` units, `predicted` chunks, `right` units.

    Raises:
        TypeError: records, evidences or answers of a wrong type.
        ValueError: no records, an id twice, a question without evidences, an unknown tag or matching, keys missing.

    Source: Li et al. 2016, arXiv 1607.06275, and the scorer published with the data.
    """
    matches = _matcher(matching)
    total = predicted = right = 0
    for evidences in _questions(records):
        for golds, chunks in [_vote(evidences)] if voting else evidences:
            known = list(filter(None, map(_key, golds)))
            total += 1
            predicted += len(chunks)
            right += any(_is_right(gold, _key(chunk), matches) for chunk in chunks for gold in known)
    if not total:
        raise ValueError("records is empty; a score needs at least one question.")
    precision, recall = (right / predicted if predicted else 0.0), right / total
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    scores = {"f1": f1, "precision": precision, "recall": recall}
    return scores | {"total": total, "predicted": predicted, "right": right}


def webqa_chunks(tokens: Sequence[str], tags: Sequence[str]) -> list[str]:
    """The chunks that tags mark: B closes an open chunk and opens one, I goes on or opens one, O closes.

    Args:
        tokens: words or characters of an evidence.
        tags: one for each token: "B", "I", or "O" with or without a number ("O1", "O2": the data tells them apart).

    Returns:
        The chunks in their order, each its tokens joined by a blank (which the scorer removes before it compares).

    Raises:
        ValueError: unequal lengths, or a tag that is none of these.
    """
    if len(tokens) != len(tags):
        raise ValueError(f"There are {len(tokens)} tokens and {len(tags)} tags; each token must have one tag.")
    chunks: list[list[str]] = []
    is_open = False
    for token, tag in zip(tokens, tags):
        if not re.fullmatch(r"B|I|O\d*", tag):
            raise ValueError(f"The tag {tag!r} is unknown; allowed are B, I, and O with or without a number.")
        if tag == "B" or (tag == "I" and not is_open):
            chunks.append([])
        is_open = tag in ("B", "I")
        if is_open:
            chunks[-1].append(token)
    return [" ".join(chunk) for chunk in chunks]


def _questions(records: Iterable[Mapping[str, Any]]) -> Iterator[list[tuple[list[str], list[str]]]]:
    """(right answers, predicted chunks) of each evidence of each question, checked."""
    seen = set()
    for number, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise TypeError(f"Record {number} is a {type(record).__name__}; it must be a mapping.")
        if not {"id", "evidences"} <= record.keys() or not record["evidences"]:
            raise ValueError(f"Record {number} must have the keys 'id' and 'evidences', with at least one evidence.")
        if record["id"] in seen:
            raise ValueError(f"Record {number} has the id {record['id']!r} a second time; ids must differ.")
        seen.add(record["id"])
        where = f"Record {number} ({record['id']!r})"
        yield [_evidence(item, f"{where}, evidence {i}") for i, item in enumerate(record["evidences"])]


def _evidence(item: Mapping[str, Any], where: str) -> tuple[list[str], list[str]]:
    keys = set(item) if isinstance(item, Mapping) else set()
    if "golds" not in keys or ("predictions" in keys) == ({"tokens", "tags"} <= keys):
        raise ValueError(f"{where} must be a mapping with 'golds' and either 'predictions' or 'tokens' and 'tags'.")
    for key in keys & {"golds", "predictions", "tokens", "tags"}:
        if not isinstance(item[key], list | tuple) or not all(isinstance(text, str) for text in item[key]):
            raise TypeError(f"{where}: {key!r} is {item[key]!r}; it must be a list of strings.")
    return item["golds"], item["predictions"] if "predictions" in keys else webqa_chunks(item["tokens"], item["tags"])


def _vote(evidences: list[tuple[list[str], list[str]]]) -> tuple[list[str], list[str]]:
    votes = [["".join(chunk.split()) for chunk in chunks] for _, chunks in evidences]
    counts = Counter(chunk for chunks in votes for chunk in chunks)
    most = max(counts.values(), default=0)
    winners = next(filter(None, votes), []) if most == 1 else [chunk for chunk in counts if counts[chunk] == most]
    known = (golds for golds, _ in evidences if golds and [gold.lower() for gold in golds] != ["no_answer"])
    return next(known, evidences[0][0]), winners


def _matcher(matching: str | Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    if callable(matching):
        return matching
    if matching not in ("strict", "fuzzy"):
        raise ValueError(f"matching is {matching!r}; it must be 'strict', 'fuzzy' or a callable of two answers.")
    return WebQAFuzzyMatcher() if matching == "fuzzy" else str.__eq__


def _is_right(gold: str, predicted: str, matches: Callable[[str, str], bool]) -> bool:
    return (predicted == "no_result" and gold == "no_answer") or bool(matches(gold, predicted))


def _key(text: str) -> str:
    return "".join(text.split()).lower()


def _any_of(words: Collection[str]) -> str:
    if isinstance(words, str):
        raise TypeError(f"A list of words is the string {words!r}; it must be a collection of strings.")
    return "|".join(map(re.escape, words)) or "(?!)"  # without words: what matches nothing


def _rules(measures: str, countries: str) -> list[_Rule]:
    either = [
        (_NUMBER, "第?", measures),
        (f"{_NUMBER}(?:{measures})", "第", ""),
        (_NUMBER, "", "岁"),
        (f"{_NUMBER}个", "", "[人月]"),
        (_MONTH, "", "月份"),
        (f"{_MONTH}月", "", "份"),
        (_NUMBER, "公元前?", "年?"),
        (f"{_NUMBER}年", "公元前?", ""),
        (f"{_NUMBER}[分秒]", "", "钟"),
        (".+", "[《<]?<?", ">?[>》]?"),
        ("..", "", "座"),
        (f".+国|{countries}", "", "人"),
        ("[男女]", "", "性"),
        (".+", "", "地区|族|民族|色"),
        (_DYNASTY, "", "朝"),
        ("正比|反比", "成", ""),
        ("正比|反比", "", "例"),
        (f"[{_ELEMENTS}]", "", "元素"),
    ]
    gold = [(".+", "", "的"), ("[鼠牛虎兔龙蛇马羊猴鸡狗猪]", "", "年"), (".+", "[“‘'\"]", "[”’'\"]")]
    predicted = [(".+", "", "公司|大学|罪|国")]
    return [
        _Rule(re.compile(shorter), re.compile(before), re.compile(after), longer)
        for longer, rules in (("either", either), ("gold", gold), ("predicted", predicted))
        for shorter, before, after in rules
    ]

"""Synthetic questions from triples: (《生活启示录》, 导演, 刘雪松) asks 《生活启示录》的导演是谁？

A triple gives the relation that a question names and, by the type of its object, the question word. The passage is the
sentence of the triple between other sentences.

    questions = TripleQuestions(read_triples("train.jsonl.gz"))
    questions.make(numpy.random.default_rng(0))  # ReadingSample(question=..., passage=..., spans=[(start, end), ...])
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..triples.reading import TripleExample, find_mentions
from .samples import ReadingSample

OF_TYPE = {
    "人物": ("谁", "谁", "什么人"),
    "Date": ("什么时候", "何时", "哪一年", "哪天"),
    "Number": ("多少", "多少", "几"),
    "地点": ("哪里", "什么地方", "哪儿", "何地"),
    "城市": ("哪里", "哪个城市", "哪座城市"),
    "国家": ("哪个国家", "哪国", "什么国家"),
    "学校": ("哪所学校", "哪所大学", "哪个学校"),
    "企业": ("哪家公司", "哪个公司", "哪些公司"),
    "音乐专辑": ("哪张专辑", "什么专辑"),
    "歌曲": ("哪首歌", "什么歌"),
    "影视作品": ("哪部电影", "哪部电视剧", "哪部作品"),
    "出版社": ("哪家出版社", "哪个出版社"),
    "网站": ("哪个网站", "什么网站"),
}
OF_ANYTHING = ("什么", "什么", "哪个", "哪些")
AS_VERB = {
    "作者": "写", "导演": "执导", "主演": "主演", "歌手": "唱", "作词": "作词", "作曲": "作曲", "编剧": "编剧",
    "出品公司": "出品", "出版社": "出版", "创始人": "创办", "成立日期": "成立", "上映时间": "上映", "出生日期": "出生",
    "出生地": "出生", "毕业院校": "毕业", "饰演": "饰演", "配音": "配音", "制片人": "制片", "主持人": "主持",
    "连载网站": "连载", "获奖": "获得", "改编自": "改编", "地理分布": "分布", "功用价值": "使用",
    "嘉宾": "参加", "代言人": "代言", "总部地点": "设立总部",
}  # fmt: skip
OF_WORKS = ("导演", "主演", "作者", "歌手", "作词", "作曲", "所属专辑", "编剧")
BETWEEN = ("、", "，", ",", " ", "/", "和", "与", "及", "以及", "》《", "》、《", "》和《")
MOST_SENTENCES = 8


class TripleQuestions:
    """An endless source of synthetic questions.

    Args:
        examples: of `read_triples`.

    Raises:
        ValueError: if no triple has both of its mentions in its text.
    """

    def __init__(self, examples: Sequence[TripleExample]) -> None:
        self.texts = [example.text for example in examples]
        self.triples = [
            (number, triple)
            for number, example in enumerate(examples)
            for triple in example.triples
            if find_mentions(triple.subject, example.text) and find_mentions(triple.object, example.text)
        ]
        if not self.triples:
            raise ValueError(f"none of the {len(examples)} texts holds both mentions of a triple to ask about.")
        self.answers: dict[tuple[int, str, str], list[str]] = {}
        for number, triple in self.triples:
            self.answers.setdefault((number, triple.subject, triple.predicate), []).append(triple.object)

    def make(self, generator: np.random.Generator) -> ReadingSample:
        """One question; all objects of its subject and predicate answer it.

        Args:
            generator: of all random draws.
        """
        number, triple = self.triples[int(generator.integers(len(self.triples)))]
        objects = self.answers[number, triple.subject, triple.predicate]
        question = _question(triple.subject, triple.predicate, triple.object_type, generator)
        drawn = generator.integers(len(self.texts), size=generator.integers(MOST_SENTENCES)).tolist()
        others = [self.texts[other] for other in drawn if triple.subject not in self.texts[other]]
        place = int(generator.integers(len(others) + 1))
        before = "".join(others[:place])
        text = self.texts[number]
        found = joined([span for answer in objects for span in find_mentions(answer, text)], text)
        spans = [(len(before) + start, len(before) + end) for start, end in found]
        return ReadingSample(question, before + text + "".join(others[place:]), spans)


def joined(spans: Sequence[tuple[int, int]], text: str) -> list[tuple[int, int]]:
    """Merge neighbouring spans with an "and" between them: a list is one answer."""
    result: list[tuple[int, int]] = []
    for start, end in sorted(set(spans)):
        if result and (start <= result[-1][1] or text[result[-1][1] : start] in BETWEEN):
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def _question(subject: str, predicate: str, object_type: str, generator: np.random.Generator) -> str:
    """A random phrasing of the question for the object of a subject and predicate."""
    words = OF_TYPE.get(object_type, OF_ANYTHING)
    word = words[int(generator.integers(len(words)))]
    name, _, part = predicate.partition("_")
    if name in OF_WORKS and generator.random() < 0.5:
        subject = f"《{subject}》"
    verb = AS_VERB.get(name)
    forms = [f"{subject}的{name}是{word}", f"{word}是{subject}的{name}", f"{subject}{name}{word}"]
    if part:
        forms = [f"{subject}{verb or name}{word}", f"{subject}在{word}{verb or name}"]
    elif object_type == "人物" and verb:
        forms += [f"{subject}是{word}{verb}的", f"{word}{verb}了{subject}", f"{subject}由{word}{verb}"]
    elif verb:
        forms += [f"{subject}是{word}{verb}的", f"{subject}在{word}{verb}", f"{subject}{verb}于{word}"]
    form = forms[int(generator.integers(len(forms)))]
    return form + ("？", "?", "")[int(generator.integers(3))]

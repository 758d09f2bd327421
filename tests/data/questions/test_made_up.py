"""Questions for clauses and from triples, and their mixture: the spans are what was asked for."""

import numpy as np
import pytest

from hf_kexue.data.questions.clauses import FOR_CLAUSES, LONGEST_ANSWER, ClauseQuestions
from hf_kexue.data.questions.cloze import LONGEST_QUESTION
from hf_kexue.data.questions.from_triples import OF_TYPE, TripleQuestions, joined
from hf_kexue.data.questions.mixed import MixedQuestions
from hf_kexue.data.questions.samples import ReadingSample
from hf_kexue.data.triples.reading import Triple, TripleExample

RIVER = "多瑙河在德国的黑森林发源，流经维也纳、布达佩斯和贝尔格莱德，最后在罗马尼亚注入黑海。太短。"
CLAUSES = ["多瑙河在德国的黑森林发源", "布达佩斯和贝尔格莱德", "最后在罗马尼亚注入黑海", "流经维也纳"]
FILMS = [
    TripleExample(
        "0",
        "《生活启示录》由刘雪松导演，胡歌、闫妮主演。",
        [
            Triple("生活启示录", "导演", "刘雪松", "影视作品", "人物"),
            Triple("生活启示录", "主演", "胡歌", "影视作品", "人物"),
            Triple("生活启示录", "主演", "闫妮", "影视作品", "人物"),
            Triple("生活启示录", "主演", "没有这个人", "影视作品", "人物"),
        ],
    ),
    TripleExample("1", "多瑙河很长。", []),
    TripleExample("2", "公司成立于1999年5月。", [Triple("公司", "成立日期", "1999年5月", "机构", "Date")]),
]


def characters(text):
    return [(c, n, n + 1) for n, c in enumerate(text) if not c.isspace()]


def answers(sample):
    return [sample.passage[start:end] for start, end in sample.spans]


def test_clauses_are_masked_and_their_neighbours_kept():
    source, seen = ClauseQuestions([RIVER, "没有分句的一句话而已。"], characters), set()
    for seed in range(300):
        sample = source.make(np.random.default_rng(seed))
        (answer,) = answers(sample)
        assert sample.passage == RIVER
        assert 5 <= len(answer) <= LONGEST_ANSWER
        assert RIVER[sample.spans[0][1]] in "，。、"
        assert any(word in sample.question for word in FOR_CLAUSES)
        assert len(sample.question) <= LONGEST_QUESTION
        assert set(sample.question) <= set(RIVER) | set("".join(FOR_CLAUSES))
        seen.add(answer)
    assert set(CLAUSES) <= seen  # each alone
    assert any("，" in answer for answer in seen)  # and two together


def test_texts_without_two_clauses_raise():
    with pytest.raises(ValueError, match="1 texts"):
        ClauseQuestions(["没有分句的一句话而已。"], characters)


def test_a_triple_asks_for_its_objects():
    source, questions = TripleQuestions(FILMS), {"导演": set(), "主演": set(), "成立日期": set()}
    for seed in range(400):
        sample = source.make(np.random.default_rng(seed))
        expected = {"导演": ["刘雪松"], "主演": ["胡歌、闫妮"], "成立日期": ["1999年5月"]}
        name = next(name for name, found in expected.items() if answers(sample) == found)
        questions[name].add(sample.question)
        assert ("公司" if name == "成立日期" else "生活启示录") in sample.question
        assert any(word in sample.question for word in OF_TYPE["Date" if name == "成立日期" else "人物"])
    assert all(len(found) > 5 for found in questions.values())
    assert {"《生活启示录》的导演是谁？", "公司的成立日期是什么时候？"} <= set().union(*questions.values())


def test_other_sentences_stand_before_and_behind():
    source = TripleQuestions(FILMS[:2])
    passages = [source.make(np.random.default_rng(seed)).passage for seed in range(100)]
    assert any(passage.startswith(FILMS[1].text) for passage in passages)
    assert any(passage.endswith(FILMS[1].text) for passage in passages)
    assert all(passage.count(FILMS[0].text) == 1 for passage in passages)


def test_triples_whose_mentions_are_nowhere_raise():
    with pytest.raises(ValueError, match="1 texts"):
        TripleQuestions([TripleExample("0", "甲", [Triple("乙", "作者", "丙")])])


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(3, 4), (0, 2)], [(0, 4)]),  # 、 between them
        ([(0, 2), (4, 5)], [(0, 2), (4, 5)]),
        ([(0, 2), (1, 4)], [(0, 4)]),
        ([], []),
    ],
)
def test_lists_are_one_answer(spans, expected):
    assert joined(spans, "胡歌、闫妮演") == expected


class Always:
    def __init__(self, word):
        self.word = word

    def make(self, generator):
        generator.random()
        return ReadingSample(self.word, "p", [])


def test_a_mixture_draws_by_weight():
    mixed = MixedQuestions([Always("a"), Always("b"), Always("never")], [3, 1, 0])
    generator = np.random.default_rng(0)
    drawn = [mixed.make(generator).question for _ in range(2000)]
    assert drawn.count("a") / 2000 == pytest.approx(0.75, abs=0.03)
    assert "never" not in drawn

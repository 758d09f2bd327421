"""Traditional characters as simplified ones."""

import pytest

from hf_kexue.data.questions.reading import QAExample
from hf_kexue.dgcnn.simplified_dgcnn import simplified

pytest.importorskip("opencc", reason="opencc is not installed: pip install opencc")


def test_characters_one_for_one():
    assert simplified("在歐洲，梵語的學術研究") == "在欧洲，梵语的学术研究"
    assert simplified("简体 abc 😀\n") == "简体 abc 😀\n"


@pytest.mark.parametrize(
    ("traditional", "expected"),
    [
        ("五年計畫", "五年计划"), ("乾隆皇帝", "乾隆皇帝"), ("乾淨的藉口", "干净的借口"), ("樊於期", "樊於期"),
        ("答覆", "答复"), ("宮商角徵羽", "宫商角徵羽"),
    ],
)  # fmt: skip
def test_words_before_characters(traditional, expected):
    assert simplified(traditional) == expected
    assert simplified(f"他說：{traditional}。{traditional}") == f"他说：{expected}。{expected}"


def test_every_character_stays_one():
    text = "".join(map(chr, range(0x3400, 0xA000)))
    converted = simplified(text)
    assert len(converted) == len(text)
    assert sum(a != b for a, b in zip(text, converted)) > 2000


def test_answers_keep_their_places():
    example = QAExample("1", "哪一個國家？", ["位於歐洲的法國"], [["法國"]], [[5]])
    ours = example.with_texts(simplified)
    assert ours.question == "哪一个国家？"
    assert ours.passages[0][5:7] == ours.answers[0][0] == "法国"
    assert ours.answer_starts == [[5]]
    assert example.question == "哪一個國家？"

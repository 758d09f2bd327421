"""Where sentences and clauses end: by hand, and that nothing is lost or slow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_kexue.dgcnn.sentences_dgcnn import clause_ends, sentence_ends


@pytest.mark.parametrize(
    "sentences",
    [
        ["第一句。", "第二句！", "第三句？！", "第四句；", "没有句号"],
        ["他说：“来吧！走吧。”", "《你好，李焕英！》是一部电影。", "3.14 is J. Smith's number.", " Yes"],
        ["他（1990年生。男）是人。", "‘没有后引号。", "好"],
        ["一行\n二行\r\n三行。", "三\r\n\r\n", "四\n\u3000\u3000", "五行"],
        ["“来。”", "他说。", "他问：“好吗？”，走了。", "她答：“好！”", "“你好！”乐队"],
        ["Yahoo!", "网。", "OK!", " 好 a.b J. word.", " d"],
        ["「甲。乙」丙『丁！』。", "（戊【己。】庚。）辛。"],
    ],
)
def test_sentences(sentences):
    text = "".join(sentences)
    ends = [sum(map(len, sentences[: number + 1])) for number in range(len(sentences))]
    assert [end for end in sentence_ends(text) if end < len(text)] == ends[:-1]


@given(st.text("甲a1 。！?.；，\n\u3000“”（）《》\"'", max_size=80))
def test_ends_ascend_within_the_text(text):
    for ends in (sentence_ends(text), clause_ends(text)):
        assert ends == sorted(set(ends))
        assert all(0 < end <= len(text) for end in ends)
    for closed in ("（" + text.translate(dict.fromkeys(map(ord, "“”（）《》\n\u3000"))) + "）",):
        inner = [end for end in sentence_ends(closed) if end < len(closed)]
        assert not inner, "a bracket stays whole"


def test_a_mark_without_a_partner_closes_nothing():
    assert sentence_ends("（甲。" * 3000) == [3 * n for n in range(1, 3001)]
    assert len(sentence_ends("（" + "甲。" * 300 + "）")) >= 300  # its partner is too far away

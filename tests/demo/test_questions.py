"""The three questions of the demonstration, and what the page shows of their answers."""

import re
from html.parser import HTMLParser

import pytest
import torch

from hf_kexue import DGCNNConfig, DGCNNForQuestionAnswering, DGCNNTokenizer, ReadingComprehensionPipeline
from hf_kexue.demo.questions import QUESTIONS, answers_html


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(0)
    texts = [text for *_, given in QUESTIONS for text in given.get("passages", [given.get("context")])]
    tokenizer = DGCNNTokenizer.from_texts(texts, min_count=1, segmenter="none")
    config = DGCNNConfig(vocab_size=len(tokenizer), hidden_size=8, output="span", initializer_range=0.5)
    return ReadingComprehensionPipeline(model=DGCNNForQuestionAnswering(config), tokenizer=tokenizer)


class Page(HTMLParser):
    """Texts of the passages, of the marks and of the table's cells; every element must be closed in its order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.found = [], {"blockquote": [], "mark": [], "td": []}
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag in self.found:
            self.found[tag].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in self.open:
            if tag in self.found:
                self.found[tag][-1] += data


def test_each_kind_of_question_is_asked():
    kinds = [given.keys() for *_, given in QUESTIONS]
    assert [("context" in kind, "passages" in kind, "handle_impossible_answer" in kind) for kind in kinds] == [
        (True, False, False), (False, True, False), (True, False, True),
    ]  # fmt: skip


def test_answers_stand_in_their_passages(reader):
    page = Page(answers_html(reader)).found
    passages = [text for *_, given in QUESTIONS for text in given.get("passages", [given.get("context")])]
    assert page["blockquote"] == passages
    firsts = [reader(question=question, **(given | {"top_k": 1})) for _, _, question, given in QUESTIONS]
    assert page["mark"] == [answer["answer"] for answer in firsts if answer["answer"]]
    assert all(re.fullmatch(r"[01]\.\d{4}", score) for score in page["td"][1::2])
    assert len(page["td"]) // 2 == sum(given.get("top_k", 1) for *_, given in QUESTIONS)


def test_no_answer_marks_nothing(reader):
    """The window is long and the weights are random: each span has a small score."""
    question = (
        "t",
        "r",
        "赵州桥是谁主持修建的？",
        {"context": "<b>赵州桥</b>" * 20, "handle_impossible_answer": True},
    )
    page = answers_html(reader, [question])
    assert Page(page).found["mark"] == []
    assert Page(page).found["td"][0] == "(no answer)"


def test_text_is_escaped(reader):
    """Whichever passage the answer is in: each string there is has characters of HTML."""
    passages = ["<<<<", "&lt;&lt;"]
    page = answers_html(reader, [("a < b", "<i>", "<u>谁？</u>", {"passages": passages, "top_k": 2})])
    assert not re.search("a < b|<i>|<u>|<<", page)
    found = Page(page).found
    assert found["blockquote"] == passages
    assert found["mark"] == [found["td"][0]]

"""The questions of the demonstration, and HTML that shows their answers in the passages."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

BRIDGE = (
    "赵州桥横跨在河北省赵县的洨河上，由隋代工匠李春主持修建，距今已有一千四百多年。整座桥只有一个大拱，"
    "大拱两端的肩上各开了两个小拱，既省了石料，又能在涨水时多排一些洪水。"
)
RIVER = [
    "武汉长江大桥在1957年建成通车，是长江上第一座公路和铁路两用的大桥。",
    "南京长江大桥在1968年建成通车，全部由中国自行设计。",
    "1957年，武汉长江大桥建成，火车不必再靠渡轮过江。",
    "武汉长江大桥的桥头堡是游客喜欢拍照的地方。",
    "黄鹤楼在1985年重新建成，站在楼上可以看到武汉长江大桥。",
]
PANDA = "大熊猫生活在中国西南的山林里，九成以上的食物是竹子。它一天有十多个小时在进食，其余的时间大多用来睡觉。"

Question = tuple[str, str, str, dict[str, Any]]  # title, remark, question, other arguments

QUESTIONS: list[Question] = [
    ("One text", "The best span of the text.", "赵州桥是谁主持修建的？", {"context": BRIDGE}),
    (
        "Many passages",
        "Each passage proposes spans; equal ones add up in a vote.",
        "武汉长江大桥是哪一年建成通车的？",
        {"passages": RIVER, "top_k": 3},
    ),
    (
        "No answer",
        "No answer in the text. The null answer competes with the spans.",
        "京杭大运河全长多少公里？",
        {"context": PANDA, "handle_impossible_answer": True},
    ),
]


def answers_html(reader: Callable[..., Any], questions: Sequence[Question] = QUESTIONS) -> str:
    """Answer the questions.

    Args:
        reader: called with `question` and `context` or `passages`, as `ReadingComprehensionPipeline` is.
        questions: to answer.

    Returns:
        HTML: for each question the passages with the best answer marked, and the answers with their scores.
    """
    return "\n".join(_one(title, remark, question, texts, reader) for title, remark, question, texts in questions)


def _one(title: str, remark: str, question: str, arguments: dict[str, Any], reader: Callable[..., Any]) -> str:
    result = reader(question=question, **arguments)
    answers = result if isinstance(result, list) else [result]
    passages = arguments.get("passages") or [arguments["context"]]
    best = answers[0]
    texts = [
        marked(text, best) if best.get("passage", 0) == i else html.escape(text) for i, text in enumerate(passages)
    ]
    rows = "".join(
        f"<tr><td>{html.escape(answer['answer']) or '(no answer)'}</td><td>{answer['score']:.4f}</td></tr>"
        for answer in answers
    )
    title, remark, question = html.escape(title), html.escape(remark), html.escape(question)
    return (
        f"<h3>{title}</h3><p>{remark}</p><div lang='zh'><p><b>{question}</b></p>"
        + "".join(f"<blockquote>{text}</blockquote>" for text in texts)
        + f"</div><table><tr><th>answer</th><th>score</th></tr>{rows}</table>"
    )


def marked(text: str, answer: dict[str, Any]) -> str:
    """The text with the answer in a <mark>, or none without an answer."""
    before, inside, after = text[: answer["start"]], text[answer["start"] : answer["end"]], text[answer["end"] :]
    return html.escape(before) + (f"<mark>{html.escape(inside)}</mark>" if inside else "") + html.escape(after)

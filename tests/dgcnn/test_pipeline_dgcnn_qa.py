"""The reading pipeline: answers against a search over all spans, windows, votes, and what it says about bad input."""

import json
import math
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForQuestionAnswering, pipeline
from transformers.pipelines.base import PipelineRegistry
from transformers.pipelines.pt_utils import KeyDataset

import hf_kexue  # noqa: F401  registers the task
from hf_kexue.dgcnn import DGCNNConfig, DGCNNForQuestionAnswering, DGCNNTokenizer, ReadingComprehensionPipeline
from hf_kexue.dgcnn.checks_dgcnn import is_blank
from hf_kexue.dgcnn.decoding_dgcnn import answer_length

QUESTION = "谁发现了镭？"
PASSAGES = [
    "1898年12月，居里夫妇发现了镭。",
    "镭由居里夫人 (Marie Curie) 发现。",
    "　居里夫妇\r\n后来得了诺贝尔奖ＡＢ；今天天气不错。",
]
LONG = "".join(f"第{i}年，{'居里夫妇天气镭学人'[i % 7 :]}发现了{i * i}种元素ab c。" for i in range(60))
SPAN = {"output": "span", "question_attention": True, "context_dilations": (1,)}
EXACT = {"rel": 1e-4, "abs": 1e-9}  # float32 sums in another order


def make_pipeline(words=True, features=False, shape=None, **options):
    torch.manual_seed(0)
    tokenizer = DGCNNTokenizer.from_texts(
        [QUESTION, LONG, *PASSAGES], min_count=1, word_min_count=1, match_features=features,
        segmenter="rjieba" if words else "none",
    )  # fmt: skip
    config = DGCNNConfig(
        vocab_size=len(tokenizer), hidden_size=16, dilations=(1, 2), question_dilations=(1, 2),
        word_vocab_size=tokenizer.word_vocab_size, word_embedding_size=12, num_match_features=8 * features,
        **(shape or {}),
    )  # fmt: skip
    model = DGCNNForQuestionAnswering(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return ReadingComprehensionPipeline(model=model, tokenizer=tokenizer, device="cpu", **options)


KINDS = {"2019": {}, "span with features": {"features": True, "shape": SPAN}, "characters": {"words": False}}


@pytest.fixture(scope="module", params=KINDS)
def qa(request):
    return make_pipeline(**KINDS[request.param])


@pytest.fixture(scope="module")
def plain():
    return make_pipeline()


@torch.no_grad()
def best_of_all_spans(qa, question, passages, room, stride, max_answer_len=30):
    """For each passage the best score of each string, from question and passage in one row, span by span."""
    tokenizer, model, count = qa.tokenizer, qa.model.eval(), len(passages)
    size = len(tokenizer(question)["input_ids"])
    rows = tokenizer(
        [question] * count, passages, max_length=size + room, stride=stride, truncation="only_second", padding=True,
        return_overflowing_tokens=True, return_offsets_mapping=True, return_tensors="pt",
        passage_groups=[0] * count,
    )  # fmt: skip
    owner, offsets = rows.pop("overflow_to_sample_mapping").tolist(), rows.pop("offset_mapping").tolist()
    starts, ends = model.span_probabilities(model(**rows))
    best = [defaultdict(float) for _ in passages]
    for row, passage in enumerate(owner):
        places = [i for i in range(size, len(offsets[row])) if rows["attention_mask"][row, i]]
        for i in places:
            for j in places:
                text = passages[passage][offsets[row][i][0] : offsets[row][j][1]]
                if i <= j and answer_length(text) <= max_answer_len:
                    best[passage][text] = max(best[passage][text], float(starts[row, i] * ends[row, j]))
    return best, len(owner)


def highest(scores, count):
    return sorted(scores.items(), key=lambda item: -item[1])[:count]


def close_to(answer):
    return {**answer, "score": pytest.approx(answer["score"], **EXACT)}


def check_place(answer, text):
    assert text[answer["start"] : answer["end"]] == answer["answer"]


@pytest.mark.parametrize("context", [*PASSAGES, LONG], ids=["short", "Latin", "odd", "long"])
def test_a_context_against_all_spans(qa, context):
    """Windows without the question, in batches, find what windows with it do."""
    answers = qa(
        question=QUESTION, context=context, top_k=6, max_seq_len=40, doc_stride=15, max_answer_len=7.5, batch_size=3
    )
    (scores,), _ = best_of_all_spans(qa, QUESTION, [context], 40, 15, max_answer_len=7.5)
    assert [answer["score"] for answer in answers] == [
        pytest.approx(score, **EXACT) for _, score in highest(scores, 6)
    ]
    for answer in answers:
        assert answer.keys() == {"answer", "score", "start", "end"}
        assert answer["score"] == pytest.approx(scores[answer["answer"]], **EXACT)
        check_place(answer, context)
    assert len({answer["answer"] for answer in answers}) == 6
    one = qa(question=QUESTION, context=context, max_seq_len=40, doc_stride=15, max_answer_len=7.5)
    assert one == close_to(answers[0])


@pytest.mark.parametrize("method", ["article", "squares", "best"])
def test_passages_against_all_spans(qa, method):
    answers = qa(question=QUESTION, passages=PASSAGES, top_k=4, vote=method)
    best, _ = best_of_all_spans(qa, QUESTION, PASSAGES, 512, 128)
    kept = [dict(highest(scores, 20)) for scores in best]  # a passage votes for its 20 best strings
    votes = {}
    for text in set().union(*kept):
        s = [scores[text] for scores in kept if text in scores]
        squares = sum(x * x for x in s)
        votes[text] = {"article": squares / (1 + sum(s)), "squares": squares, "best": max(s)}[method]
    assert [answer["score"] for answer in answers] == [pytest.approx(score, **EXACT) for _, score in highest(votes, 4)]
    for answer in answers:
        check_place(answer, PASSAGES[answer["passage"]])
        held = [scores.get(answer["answer"], 0) for scores in kept]
        assert held[answer["passage"]] == max(held)


def test_features_see_the_other_passages():
    qa = make_pipeline(features=True)
    alone, together = (
        qa(question=QUESTION, passages=texts, vote="best") for texts in (PASSAGES[:1], PASSAGES[:1] * 2)
    )
    assert alone["score"] != pytest.approx(together["score"], **EXACT)


def test_lists_answer_as_one_by_one(qa):
    """Questions and texts of different lengths share batches, and results keep their order."""
    records = [
        {"question": QUESTION, "context": LONG[:90], "id": "ignored"},
        {"question": "镭？", "context": PASSAGES[1]},
        {"question": "谁得了诺贝尔奖？", "passages": PASSAGES},
        {"question": "天气", "context": LONG[:200]},
    ]
    small = {"max_seq_len": 30, "doc_stride": 10, "top_k": 3}
    one_by_one = [[close_to(answer) for answer in qa(record, **small)] for record in records]
    assert qa(records, **small) == one_by_one
    assert list(qa((record for record in records), batch_size=5, **small)) == one_by_one
    assert qa(KeyDataset([{"record": record} for record in records], "record"), **small) == one_by_one


def test_forms_of_input_and_output(plain):
    one = plain(question=QUESTION, context=LONG)
    assert isinstance(one, dict)
    assert plain({"question": QUESTION, "context": LONG}) == one
    assert plain([{"question": QUESTION, "context": LONG}]) == [one]
    assert plain(question=[QUESTION], context=[LONG]) == [one]
    assert [r["answer"] for r in plain(question=[QUESTION, QUESTION], context=LONG)] == [one["answer"]] * 2
    voted = plain(question=QUESTION, passages=tuple(PASSAGES))
    assert voted.keys() == {"answer", "score", "start", "end", "passage"}
    assert plain(question=[QUESTION], passages=[PASSAGES]) == [voted]
    assert isinstance(plain(question=QUESTION, context="镭", top_k=2), list)
    assert plain([]) == plain(question=[], context=[]) == []
    blank = {"question": QUESTION, "context": " \u200b"}
    nothing = {"answer": "", "score": 0.0, "start": 0, "end": 0}
    assert plain([blank, {"question": QUESTION, "context": LONG}]) == [nothing, one]
    assert plain(question=QUESTION, passages=["\n", *PASSAGES])["passage"] == voted["passage"] + 1


def test_the_stride_is_at_most_half_a_window(plain):
    ask = {"question": QUESTION, "context": LONG, "top_k": 5}
    for size, stride in ((64, 32), (1, 0), (256, 128), (2000, 128)):
        assert plain(**ask, max_seq_len=size) == plain(**ask, max_seq_len=size, doc_stride=stride)


def test_threads_answer_without_dropout_and_leave_the_mode():
    qa = make_pipeline(shape={"hidden_dropout": 0.5, "gate_dropout": 0.5})
    contexts = [LONG[i * 20 :] for i in range(24)]
    expected = [qa(question=QUESTION, context=context) for context in contexts]
    for training in (True, False):
        qa.model.train(training)
        qa.model.dgcnn.embeddings.eval()  # a part that is frozen stays so
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda context: qa(question=QUESTION, context=context), contexts)) == expected
        assert qa.model.training is qa.model.dgcnn.encoder.training is training
        assert not qa.model.dgcnn.embeddings.training


def test_traditional_characters_are_read_as_simplified_ones(plain):
    pytest.importorskip("opencc", reason="opencc is not installed: pip install opencc")
    simple = {"question": "谁发现了镭？", "context": "居里夫妇发现了镭，后来得了诺贝尔奖。"}
    traditional = {"question": "誰發現了鐳？", "context": "居里夫婦發現了鐳，後來得了諾貝爾獎。"}
    expected, found = plain(simple, top_k=5), plain(traditional, top_k=5, simplify=True)
    assert [(a["score"], a["start"], a["end"]) for a in found] == [
        (a["score"], a["start"], a["end"]) for a in expected
    ]
    for answer in found:
        check_place(answer, traditional["context"])


def test_top_k_is_filled_where_strings_exist(plain):
    """Five characters hold 15 spans but 12 distinct strings: 镭, 。 and 镭。 stand there twice."""
    answers = plain(question=QUESTION, context="镭。a镭。", top_k=99)
    assert len(answers) == len({answer["answer"] for answer in answers}) == 12
    long = plain(question=QUESTION, context="镭居里" * 100, top_k=25, max_seq_len=20, doc_stride=10, max_answer_len=10)
    assert len(long) == 25
    assert len(plain(question=QUESTION, passages=["镭", "镭居", "天"], top_k=9)) == 4


def test_no_answer(plain):
    """It has 1 - score of the best span, and competes with the spans."""
    spans = plain(question=QUESTION, context=LONG, top_k=3)
    answers = plain(question=QUESTION, context=LONG, top_k=4, handle_impossible_answer=True)
    nothing = {"answer": "", "score": pytest.approx(1 - spans[0]["score"]), "start": 0, "end": 0}
    assert sorted([*spans, nothing], key=lambda a: -float(getattr(a["score"], "expected", a["score"]))) == answers
    voted = plain(question=QUESTION, passages=PASSAGES, top_k=99, handle_impossible_answer=True)
    best = plain(question=QUESTION, passages=PASSAGES, vote="best")["score"]
    (index,) = (i for i, answer in enumerate(voted) if not answer["answer"])
    assert voted[index] == {
        "answer": "", "start": 0, "end": 0, "passage": None, "score": pytest.approx((1 - best) ** 2 / (2 - best)),
    }  # fmt: skip
    assert [a["score"] for a in voted] == sorted((a["score"] for a in voted), reverse=True)


@pytest.mark.parametrize(("bias", "is_answer"), [(9.0, True), (-9.0, False)])
def test_no_answer_wins_where_the_best_span_is_below_a_half(bias, is_answer):
    """A model that is sure of every character, or of none."""
    qa = make_pipeline(handle_impossible_answer=True)
    with torch.no_grad():
        for parameter in (*qa.model.pointer.parameters(), *qa.model.pointer_question.parameters()):
            parameter.zero_()
        qa.model.pointer.bias.fill_(bias)
        qa.model.answerability.weight.zero_()
        qa.model.answerability.bias.fill_(bias)
    for texts in ({"context": PASSAGES[0]}, {"passages": PASSAGES}):
        assert bool(qa(question=QUESTION, **texts)["answer"]) is is_answer


def test_no_span_is_short_enough(plain):
    nothing = {"answer": "", "score": 0.0, "start": 0, "end": 0}
    assert plain(question=QUESTION, context="居里", max_answer_len=0.5) == nothing
    assert plain(question=QUESTION, context="居里", max_answer_len=0.5, top_k=2) == [nothing]
    assert plain(question=QUESTION, passages=["居里"], max_answer_len=0.5) == {**nothing, "passage": None}
    impossible = plain(question=QUESTION, context="居里", max_answer_len=0.5, handle_impossible_answer=True)
    assert impossible == {**nothing, "score": 1.0}


def test_the_longest_answer_is_the_model_s_own_unless_a_call_says_otherwise(plain, monkeypatch):
    ask = {"question": QUESTION, "context": "镭居里" * 20, "top_k": 200}
    longest = [max(answer["end"] - answer["start"] for answer in plain(**ask))]
    monkeypatch.setattr(plain.model.config, "max_answer_len", 7)
    longest.append(max(answer["end"] - answer["start"] for answer in plain(**ask)))
    longest.append(max(answer["end"] - answer["start"] for answer in plain(**ask, max_answer_len=9)))
    assert longest == [30, 7, 9]


def test_settings_of_the_constructor():
    qa = make_pipeline(top_k=3, batch_size=2)
    assert len(qa(question=QUESTION, context=LONG)) == 3
    assert isinstance(qa(question=QUESTION, context=LONG, top_k=1), dict)


def test_memory_is_bounded_and_the_question_is_read_once(capsys):
    """100,000 characters: the model never sees more than a batch of windows, and every window of them once."""
    qa = make_pipeline()
    sizes, questions = [], []
    qa.model.dgcnn.encoder.register_forward_hook(lambda _, args, __: sizes.append(args[0].shape))
    qa.model.question_encoder.register_forward_hook(lambda _, args, __: questions.append(args[0].shape))
    context = ("".join(chr(0x4E00 + i * 37 % 9000) for i in range(999)) + "镭") * 100
    answer = qa(question=QUESTION, context=context, batch_size=6)
    check_place(answer, context)
    step, num_tokens = 1024 - 128, len(context)
    assert sum(shape[0] for shape in sizes) == math.ceil((num_tokens - 128) / step)
    assert max(shape[0] for shape in sizes) == 6
    assert max(shape[2] for shape in sizes) == 1024
    assert [tuple(shape) for shape in questions] == [(1, 16, len(QUESTION) + 1)]
    assert "100%" in capsys.readouterr().err  # of the progress bar


def test_progress_is_shown_when_asked_for(plain, capfd):
    plain(question=QUESTION, context=LONG)
    assert capfd.readouterr().err == ""
    plain(question=[QUESTION] * 2, passages=[PASSAGES, PASSAGES[:1]], progress=True)
    assert "100%" in capfd.readouterr().err


def test_answers_do_not_depend_on_training_mode():
    qa = make_pipeline()
    first = qa(question=QUESTION, context=LONG)
    qa.model.train()
    assert qa(question=QUESTION, context=LONG) == first
    assert qa.model.training
    qa.model.eval()
    qa(question=QUESTION, context=LONG)
    assert not qa.model.training


def test_bfloat16():
    """Eight bits of mantissa through a few layers: two digits of the score."""
    qa = make_pipeline(features=True, shape=SPAN)
    scores = {a["answer"]: a["score"] for a in qa(question=QUESTION, context=PASSAGES[0], top_k=200)}
    qa.model.bfloat16()
    best = qa(question=QUESTION, context=PASSAGES[0])
    assert best["score"] == pytest.approx(scores[best["answer"]], rel=0.1)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(question=TEXTS, contexts=st.lists(TEXTS, min_size=1, max_size=3), data=st.data())
def test_any_text(qa_for_any_text, question, contexts, data):
    """What has a character is answered with a piece of it and a finite score; what has none is refused."""
    options = {"max_seq_len": data.draw(st.integers(2, 20)), "doc_stride": 1, "top_k": data.draw(st.integers(2, 5))}
    if is_blank(question) or all(map(is_blank, contexts)):
        with pytest.raises(ValueError, match="empty"):
            qa_for_any_text(question=question, passages=contexts, **options)
        return
    answers = qa_for_any_text(question=question, passages=contexts, **options)
    of_one = []
    if not is_blank(contexts[0]):
        of_one = qa_for_any_text(question=question, context=contexts[0], **options)
    for answer in answers + [{**answer, "passage": 0} for answer in of_one]:
        assert math.isfinite(answer["score"])
        assert 0 <= answer["score"] <= 1
        if answer["passage"] is not None:
            check_place(answer, contexts[answer["passage"]])


@pytest.fixture(scope="module")
def qa_for_any_text():
    return make_pipeline(features=True, shape=SPAN)


GOOD = {"question": "谁？", "context": "镭。"}
MANY = {"question": "谁？", "passages": ["镭。", "居里"]}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"question": "", "context": "镭"}, ValueError, "question .*''"),
        ({"question": "谁", "context": " \u200b\t"}, ValueError, "context"),
        ({"question": "谁", "passages": ["\u200b", "\n"]}, ValueError, "passages"),
        ({"question": "谁", "passages": []}, ValueError, "passage.*empty"),
        ({"question": 3, "context": "镭"}, TypeError, "question .*int"),
        ({"question": "谁", "context": b"x"}, TypeError, "context .*bytes"),
        ({"question": "谁", "context": ["镭"]}, TypeError, "passages"),
        ({"question": "谁", "passages": "镭"}, TypeError, "passages .*str"),
        ({"question": "谁", "passages": ["镭", None]}, TypeError, "Passage 1 .*None"),
        ({"question": "谁\ud800", "context": "镭"}, ValueError, r"question .*U\+D800 at character 1"),
        ({"question": "谁", "context": "\udfff"}, ValueError, r"context .*U\+DFFF at character 0"),
        ({"question": ["谁", "谁"], "context": ["镭"]}, ValueError, "context.*1 for 2"),
        ({"question": ["谁"], "passages": ["镭", "居"]}, ValueError, "passages.*2 for 1"),
        ({"question": ["谁"], "passages": ["镭"]}, TypeError, "Record 0 .*passages"),
        ({"question": ["谁"], "passages": "镭"}, TypeError, "passages.*str"),
        ({"question": ["谁", ""], "context": "镭"}, ValueError, "Record 1 .*question"),
        ({**GOOD, "passages": ["镭"]}, ValueError, "both"),
        ({"question": "谁"}, ValueError, "neither"),
        ({"context": "镭"}, ValueError, "question.*context"),
        ({}, ValueError, "question"),
        ({"inputs": "谁"}, TypeError, "dictionary .*str"),
        ({"inputs": 5}, TypeError, "A record must be a dictionary .*; got int"),
        ({"inputs": GOOD, "question": "谁"}, ValueError, "Pass either records or question="),
        ({"inputs": [GOOD, "谁"]}, TypeError, r"Record 1 \(from 0\): a record must be a dictionary, got str"),
        ({"inputs": [GOOD, {"question": "谁", "text": "镭"}]}, ValueError, r"Record 1 .* got neither"),
        ({"inputs": [GOOD, {"context": "镭"}]}, ValueError, r"Record 1 .* question is missing; got context"),
        ({**GOOD, "top_k": 0}, ValueError, "top_k .*got 0"),
        ({**GOOD, "top_k": 1.5}, TypeError, "top_k must be an integer, got 1.5"),
        ({**GOOD, "top_k": True}, TypeError, "top_k must be an integer, got True"),
        ({**GOOD, "batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({**GOOD, "doc_stride": -1}, ValueError, "doc_stride must be at least 0, got -1"),
        ({**GOOD, "doc_stride": 1024}, ValueError, "doc_stride.* must be below max_seq_len.* got 1024 and 1024"),
        (
            {**GOOD, "max_seq_len": 9, "doc_stride": 9},
            ValueError,
            "doc_stride.* must be below max_seq_len.* got 9 and 9",
        ),
        ({**GOOD, "max_answer_len": 0}, ValueError, "max_answer_len must be positive, got 0"),
        ({**GOOD, "max_answer_len": math.nan}, ValueError, "max_answer_len must be positive, got nan"),
        ({**GOOD, "max_answer_len": "9"}, TypeError, "max_answer_len must be a number, got '9'"),
        ({**GOOD, "handle_impossible_answer": 1}, TypeError, "handle_impossible_answer must be True or False, got 1"),
        ({**MANY, "vote": "loudest"}, ValueError, "must be one of article, squares, best, got 'loudest'"),
        ({**GOOD, "topk": 3}, TypeError, "no setting 'topk'; there are top_k, handle_impossible_answer"),
    ],
)
def test_mistakes(plain, arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        plain(**arguments)
    assert "\n" not in str(caught.value)


def test_mistakes_of_the_constructor(plain):
    model, tokenizer = plain.model, plain.tokenizer
    bare = DGCNNTokenizer(vocab={**tokenizer.get_vocab()}, segmenter="none")
    with pytest.raises(TypeError, match="NoneType"):
        ReadingComprehensionPipeline(model=model)
    with pytest.raises(TypeError, match="DGCNNModel"):
        ReadingComprehensionPipeline(model=model.dgcnn, tokenizer=tokenizer)
    with pytest.raises(ValueError, match="0 words"):
        ReadingComprehensionPipeline(model=model, tokenizer=bare)
    small = DGCNNForQuestionAnswering(DGCNNConfig(vocab_size=9, hidden_size=4))
    with pytest.raises(ValueError, match=f"{len(bare)} characters, the model 9"):
        ReadingComprehensionPipeline(model=small, tokenizer=bare)
    wants = DGCNNForQuestionAnswering(DGCNNConfig(vocab_size=len(bare), hidden_size=4, num_match_features=8))
    with pytest.raises(ValueError, match="make the tokenizer with match_features=True"):
        ReadingComprehensionPipeline(model=wants, tokenizer=bare)
    with pytest.raises(ValueError, match="top_k"):
        ReadingComprehensionPipeline(model=model, tokenizer=tokenizer, top_k=0)


def test_the_task_of_the_package(plain):
    qa = pipeline("kexue-question-answering", model=plain.model, tokenizer=plain.tokenizer, device="cpu", top_k=2)
    assert isinstance(qa, ReadingComprehensionPipeline)
    assert qa(question=QUESTION, context=LONG) == plain(question=QUESTION, context=LONG, top_k=2)


def save_as_repository(qa, folder, monkeypatch):
    """Weights, tokenizer, and the code that runs them, under the task name that every user knows.

    The classes are marked for the time of saving only: they would pass for remote code ever after.
    """
    for part, auto_class in (
        (DGCNNConfig, "AutoConfig"),
        (DGCNNForQuestionAnswering, "AutoModelForQuestionAnswering"),
        (DGCNNTokenizer, "AutoTokenizer"),
    ):
        monkeypatch.setattr(part, "_auto_class", None)
        part.register_for_auto_class(auto_class)
    monkeypatch.setattr(ReadingComprehensionPipeline, "_registered_impl", {}, raising=False)
    PipelineRegistry(supported_tasks={}, task_aliases={}).register_pipeline(
        "question-answering", ReadingComprehensionPipeline, pt_model=AutoModelForQuestionAnswering, type="text"
    )
    qa.save_pretrained(folder)
    monkeypatch.undo()


ASK_ELSEWHERE = """
import json, sys
sys.modules["hf_kexue"] = None
from transformers import pipeline
folder, question, context = sys.argv[1:]
options = {"device": "cpu", "trust_remote_code": True}
named = pipeline("question-answering", model=folder, **options)(question=question, context=context, top_k=2)
unnamed = pipeline(model=folder, **options)(question=question, context=context, top_k=2)
assert "hf_kexue" not in {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}
print(json.dumps([named, unnamed]))
"""


def test_a_repository_answers_without_the_package(tmp_path, monkeypatch):
    qa = make_pipeline(features=True, shape=SPAN)
    expected = qa(question=QUESTION, context=LONG, top_k=2)
    save_as_repository(qa, tmp_path / "repository", monkeypatch)
    assert DGCNNForQuestionAnswering._auto_class is None
    config = json.loads((tmp_path / "repository" / "config.json").read_text())
    assert list(config["custom_pipelines"]) == ["question-answering"]
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    finished = subprocess.run(
        [sys.executable, "-c", ASK_ELSEWHERE, str(tmp_path / "repository"), QUESTION, LONG],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    for found in json.loads(finished.stdout):
        assert found == [close_to(answer) for answer in expected]

"""Collections of passages: BM25 against its formula, ties, zero scores, adding and removing, saving, and the vote."""

import json
import math
import threading
import unicodedata
from collections import Counter

import numpy as np
import pytest
from tiny_models import save_reader
from typer.testing import CliRunner

pytest.importorskip("bm25s", reason="the extra hf-kexue[collections] is not installed")
pytest.importorskip("rjieba", reason="rjieba is not installed")

from hf_kexue import PassageCollection
from hf_kexue.cli.main import app
from hf_kexue.inference.saved_models import load_pipeline

PASSAGES = [
    "镭由居里夫人发现。",
    "今天天气不错，适合去公园。",
    "居里夫妇发现了镭，1903年获奖。",
    "赵州桥由隋代工匠李春主持修建。",
    "今天天气不错，适合去公园。",
    "Radium was found in 1898 by Marie Curie.",
]
QUESTIONS = ["谁发现了镭？", "天气", "RADIUM 1898", "ＲＡＤＩＵＭ", "李春修建了什么桥？", "天气天气"]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    save_reader(folder)
    return folder


def bm25(collection, passages, question, k1=1.5, b=0.75):
    """Ten lines of the formula in float64: scores of all passages."""
    rows = [Counter(collection.terms(text)) for text in passages]
    sizes = [sum(row.values()) for row in rows]
    mean = sum(sizes) / len(sizes)
    scores = np.zeros(len(rows))
    for term in collection.terms(question):
        holding = sum(term in row for row in rows)
        idf = math.log(1 + (len(rows) - holding + 0.5) / (holding + 0.5))
        for number, row in enumerate(rows):
            scores[number] += idf * row[term] / (row[term] + k1 * (1 - b + b * sizes[number] / mean))
    return scores


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("segmenter", ["rjieba", "none"])
def test_scores_are_the_formula(question, segmenter):
    collection = PassageCollection(PASSAGES, segmenter=segmenter)
    expected = bm25(collection, PASSAGES, question)
    found = collection.search(question, 100)
    order = sorted(np.flatnonzero(expected).tolist(), key=lambda number: (-round(expected[number], 5), number))
    assert [hit.number for hit in found] == order
    assert order
    for hit in found:
        assert hit.score == pytest.approx(expected[hit.number], rel=1e-5)
        assert (hit.id, hit.text) == (str(hit.number), PASSAGES[hit.number])
    for k in range(1, len(order) + 1):
        assert collection.search(question, k) == found[:k]


def test_terms():
    """Words and pairs of characters in normal form; nothing goes over punctuation."""
    terms = PassageCollection().terms("居里夫人，ＡＫ-47")
    pairs = ["居里", "里夫", "夫人", "ak", "47"]
    assert terms[-len(pairs) :] == pairs
    words = terms[: -len(pairs)]
    assert "".join(words).replace(" ", "") == "居里夫人ak47"
    assert all(word.endswith(" ") for word in words)


def test_ties_are_in_the_order_of_the_passages():
    assert [hit.number for hit in PassageCollection(PASSAGES).search("天气", 2)] == [1, 4]
    assert [hit.number for hit in PassageCollection(PASSAGES).search("天气", 1)] == [1]
    same = PassageCollection(["天气"] * 50)
    assert [hit.number for hit in same.search("天气", 7)] == list(range(7))


@pytest.mark.parametrize("question", ["", "？", "xyz", "量子"])
def test_what_shares_no_term_is_not_found(reader, question):
    collection = PassageCollection(PASSAGES)
    assert collection.search(question) == []
    nothing = {"answer": "", "score": 0.0, "start": 0, "end": 0, "passage": None}
    assert collection.ask(load_pipeline(str(reader)), question) == [nothing]
    assert PassageCollection().search("镭") == []


def test_adding_and_removing_is_building_anew(tmp_path):
    """In memory, and in a saved collection; ids stay."""
    collection = PassageCollection(PASSAGES[:3])
    assert collection.add([("bridge", PASSAGES[3]), PASSAGES[4]]) == ["bridge", "3"]
    collection.remove(["1", "3"])
    collection.save(tmp_path / "index")
    loaded = PassageCollection.load(tmp_path / "index")
    assert loaded.add([PASSAGES[5]]) == ["3"]
    loaded.save(tmp_path / "index")
    again = PassageCollection.load(tmp_path / "index")
    expected = PassageCollection([("0", PASSAGES[0]), ("2", PASSAGES[2]), ("bridge", PASSAGES[3]), ("3", PASSAGES[5])])
    for question in QUESTIONS:
        assert again.search(question) == loaded.search(question) == expected.search(question)
    assert again.ids == expected.ids == ["0", "2", "bridge", "3"]
    assert again["bridge"] == PASSAGES[3]
    assert "1" not in again
    assert len(list((tmp_path / "index").glob("data-*"))) == 1


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda c: c.add([("new", "镭"), ("0", "镭")]), ValueError),
        (lambda c: c.add([("new", "镭"), ("new", "桥")]), ValueError),
        (lambda c: c.add([("new", "镭"), " "]), ValueError),
        (lambda c: c.add([("new", "镭"), "\ud800"]), ValueError),
        (lambda c: c.add([("new", "镭"), 3]), TypeError),
        (lambda c: c.add([(1, "镭")]), TypeError),
        (lambda c: c.remove(["0", "gone"]), ValueError),
        (lambda c: c.remove("0"), TypeError),
        (lambda c: c.search("镭", 0), ValueError),
        (lambda c: c.search("镭", 2.0), TypeError),
        (lambda c: c.search(None), TypeError),
        (lambda c: c.ask(None, "镭", power=-1), ValueError),
        (lambda c: c.ask(None, "镭", top_k=0), ValueError),
    ],
)
def test_wrong_calls_change_nothing(call, error):
    collection = PassageCollection(PASSAGES)
    with pytest.raises(error):
        call(collection)
    assert collection.ids == [str(number) for number in range(6)]
    assert collection.search("镭") == PassageCollection(PASSAGES).search("镭")


def test_folders_of_others_are_left_alone(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    collection = PassageCollection(PASSAGES)
    with pytest.raises(ValueError, match="folder"):
        collection.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    with pytest.raises(ValueError, match="index"):
        PassageCollection.load(tmp_path)
    collection.save(tmp_path / "index")
    (data,) = (tmp_path / "index").glob("data-*")
    texts = data / "passages.txt"
    texts.write_bytes(texts.read_bytes()[:-5])
    with pytest.raises(ValueError, match="damaged"):
        PassageCollection.load(tmp_path / "index")


@pytest.mark.parametrize("facts", [[], {"version": 0}, {"version": 1}, {"version": 1, "data": "../data-0"}, "cut"])
def test_a_description_that_is_none(facts, tmp_path):
    PassageCollection(PASSAGES).save(tmp_path / "index")
    path = tmp_path / "index" / "collection.json"
    whole = json.loads(path.read_text())
    if facts == "cut":
        path.write_text(path.read_text()[:-9])
    else:
        path.write_text(json.dumps({**whole, **facts} if facts and "data" in facts else facts))
    with pytest.raises(ValueError, match="collection"):
        PassageCollection.load(tmp_path / "index")


def test_a_loaded_collection_maps_its_arrays(tmp_path):
    PassageCollection(PASSAGES).save(tmp_path / "index")
    loaded = PassageCollection.load(tmp_path / "index")
    assert all(isinstance(loaded._index.scores[name], np.memmap) for name in ("data", "indices"))
    found = [None] * 8
    searches = [threading.Thread(target=lambda i=i: found.__setitem__(i, loaded.search("镭"))) for i in range(8)]
    for search in searches:
        search.start()
    for search in searches:
        search.join()
    assert found == [PassageCollection(PASSAGES).search("镭")] * 8


@pytest.mark.parametrize("power", [0.0, 1.0, 2.5])
def test_the_vote_weighs_both_scores(reader, power):
    """Each string: sum of (s w)**2 over 1 + sum of s w, over the passages that were found, read one by one."""
    pipeline = load_pipeline(str(reader))
    collection = PassageCollection(["发现了镭。", "镭，发现", "今天", "谁发现镭"])
    question = "谁发现了镭？"
    votes = {}
    hits = collection.search(question, 3)
    for hit in hits:
        for answer in pipeline(question=question, context=hit.text, top_k=20):
            votes.setdefault(answer["answer"], []).append(answer["score"] * (hit.score / hits[0].score) ** power)
    expected = {text: sum(s * s for s in scores) / (1 + sum(scores)) for text, scores in votes.items()}
    answers = collection.ask(pipeline, question, read=3, top_k=1000, power=power)
    assert any(len(scores) > 1 for scores in votes.values())
    top = {
        answer["answer"]: answer["score"]
        for answer in collection.ask(pipeline, question, read=3, top_k=20, power=power)
    }
    best = sorted(expected.values(), reverse=True)[:20]
    assert list(top.values()) == pytest.approx(best, rel=1e-4)
    for answer in answers:
        assert collection[answer["passage"]][answer["start"] : answer["end"]] == answer["answer"]
    assert [len(some) for some in collection.ask(pipeline, [question, "xyz", "发现"], top_k=2)] == [2, 1, 2]


@pytest.mark.parametrize("given", ["model", "constructor", "call"])
@pytest.mark.parametrize("side", [-0.001, 0.001])
def test_no_answer_wins_below_the_threshold_of_the_reader(reader, given, side):
    """Right beside the best s w, which is far from 0.5; its score is that of one vote for (1 - best) t / (1 - t)."""
    question, passages = "谁发现了镭？", ["发现了镭。", "镭，发现", "今天", "谁发现镭"]
    collection, pipeline = PassageCollection(passages), load_pipeline(str(reader))
    hits = collection.search(question)
    best = max(
        answer["score"] * (hit.score / hits[0].score) ** 6
        for hit in hits
        for answer in pipeline(question=question, context=hit.text, top_k=20)
    )
    threshold = best + side
    assert 0.002 < threshold < 0.498
    options = {"handle_impossible_answer": True, "no_answer_threshold": threshold}
    if given == "model":
        pipeline.model.config.no_answer_threshold = options.pop("no_answer_threshold")
    elif given == "constructor":
        pipeline = type(pipeline)(model=pipeline.model, tokenizer=pipeline.tokenizer, device="cpu", **options)
        options = {}
    answers = collection.ask(pipeline, question, top_k=100, **options)
    (nothing,) = [answer for answer in answers if not answer["answer"]]
    score = (1 - best) * threshold / (1 - threshold)
    assert nothing["score"] == pytest.approx(score**2 / (1 + score), rel=1e-5)
    assert nothing["passage"] is None
    single = best**2 / (1 + best)  # of the best s w alone: a string that several passages hold may have more
    assert (nothing["score"] > single) == (side > 0)
    assert [one["score"] for one in answers] == sorted((one["score"] for one in answers), reverse=True)


def test_votes_and_duplicates_are_the_readers(reader):
    """Passages that differ in white space alone have one vote unless they are to have each; other votes are those of
    `vote`."""
    pipeline, question = load_pipeline(str(reader)), "谁发现了镭？"
    text = "居里夫妇发现了镭。"
    once, thrice = PassageCollection([text]), PassageCollection([("a", text), ("b", f"{text}\n"), ("c", text)])
    (alone,) = once.ask(pipeline, question)
    (same,) = thrice.ask(pipeline, question, power=0)
    assert same == {**alone, "score": pytest.approx(alone["score"]), "passage": "a"}
    s = pipeline(question=question, context=text)["score"]
    (each,) = thrice.ask(pipeline, question, power=0, duplicates="each")
    assert each["score"] == pytest.approx(3 * s * s / (1 + 3 * s), rel=1e-5)
    (best,) = thrice.ask(pipeline, question, power=0, duplicates="each", vote="best")
    assert best["score"] == pytest.approx(s, rel=1e-5)
    with pytest.raises(TypeError, match="setting"):
        once.ask(pipeline, question, votes="best")


def invoke(*argv):
    return CliRunner().invoke(app, [str(argument) for argument in argv])


def test_index_and_ask_from_a_terminal(reader, tmp_path):
    path = tmp_path / "passages.jsonl"
    rows = [
        {"id": "a", "passage": PASSAGES[0]},
        {"text": PASSAGES[1]},
        {"text": PASSAGES[1]},
        {"text": 3},
        PASSAGES[2],
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    result = invoke("index", path, "--output", tmp_path / "index")
    assert result.exit_code == 0, result.output
    assert "3 passages" in result.stdout
    assert "line 4" in result.stderr
    collection = PassageCollection.load(tmp_path / "index")
    assert collection.ids == ["a", "1", "4"]
    answers = invoke(
        "ask", reader, "--index", tmp_path / "index", "--question", "谁发现了镭？", "--top-k", 3, "--json"
    )
    assert answers.exit_code == 0, answers.output
    expected = collection.ask(load_pipeline(str(reader)), "谁发现了镭？", top_k=3)
    found = json.loads(answers.stdout)
    assert [answer["answer"] for answer in found] == [answer["answer"] for answer in expected]
    shown = invoke("ask", reader, "--index", tmp_path / "index", "--question", "谁发现了镭？").stdout
    assert f"passage {expected[0]['passage']}, characters {expected[0]['start']}" in shown
    (tmp_path / "more.txt").write_text(f"{PASSAGES[3]}\n{PASSAGES[4]}。\n", encoding="utf-8")
    assert invoke("index", tmp_path / "more.txt", "--output", tmp_path / "index", "--add").exit_code == 0
    assert PassageCollection.load(tmp_path / "index").ids == ["a", "1", "4", "3", "5"]
    (tmp_path / "questions.jsonl").write_text('{"question": "谁发现了镭？"}\n{"question": "xyz"}', encoding="utf-8")
    result = invoke("ask", reader, "--index", tmp_path / "index", "--questions", tmp_path / "questions.jsonl",
                    "--to", tmp_path / "out")  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "out" / "part-1-of-1-00000.jsonl").open(encoding="utf-8")]
    assert [row["answers"][0]["passage"] for row in rows][1] is None
    assert rows[0]["answers"][0]["answer"] == expected[0]["answer"]
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    assert invoke("index", tmp_path / "empty.txt", "--output", tmp_path / "new").exit_code == 1
    assert not (tmp_path / "new").exists()


def test_normal_form_is_that_of_the_terms():
    text = "ＡＢ㎏"
    assert PassageCollection(segmenter="none").terms(text) == ["ab", "bk", "kg"]
    assert unicodedata.normalize("NFKC", text).lower() == "abkg"

"""Questions from files of three forms, folders and rows of `datasets`; and errors that name the place of a fault."""

import gzip
import json
import re
import unicodedata
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_kexue.data.questions.reading import QAExample, content_fault, read_qa, scan_qa
from hf_kexue.data.texts.occurrences import find_occurrences

# A machine that is busy is no failure, and nothing is written beside the tests.
anything = settings(deadline=None, database=None)
some = settings(anything, max_examples=50)

WHOLE = {
    "id": "q1",
    "question": "多瑙河注入哪个海？",
    "context": "多瑙河注入黑海，莱茵河注入北海。",
    "answers": {"text": ["黑海"], "answer_start": [5]},
}
EXAMPLE = QAExample("q1", WHOLE["question"], [WHOLE["context"]], [["黑海"]], [[5]])


def changed(**columns):
    return {**WHOLE, **columns}


def answered(*pairs):
    return changed(answers={"text": [text for text, _ in pairs], "answer_start": [start for _, start in pairs]})


def write_lines(path, records):
    data = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def write_json(path, document):
    data = json.dumps(document, ensure_ascii=False).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def nested(*questions, context=WHOLE["context"]):
    return {"version": "1", "data": [{"title": "河", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


QUESTION = {"id": "q1", "question": WHOLE["question"], "answers": [{"text": "黑海", "answer_start": 5}]}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.json.gz"])
def test_flat_squad_in_every_kind_of_file(tmp_path, name):
    write = write_lines if ".jsonl" in name else write_json
    path = write(tmp_path / name, [WHOLE, WHOLE])
    assert read_qa(path) == read_qa(str(path)) == [EXAMPLE, EXAMPLE]


@pytest.mark.parametrize(
    "document",
    [
        nested(QUESTION), nested(QUESTION)["data"], {"data": [WHOLE]}, WHOLE,
        changed(answers=[{"text": "黑海", "answer_start": 5, "more": 1}]), changed(title="河", more=None),
    ],
    ids=["nested", "articles", "data of records", "one record", "list of answers", "more columns"],
)  # fmt: skip
def test_forms_of_squad(tmp_path, document):
    assert read_qa(write_json(tmp_path / "a.json", document)) == [EXAMPLE]


def test_lines_in_a_json_file(tmp_path):
    assert read_qa(write_lines(tmp_path / "a.json", [WHOLE, WHOLE, WHOLE])) == [EXAMPLE] * 3


def test_byte_order_mark_blank_lines_and_separators_inside_strings(tmp_path):
    context = "一\u2028二\x85三\x0c黑海"
    line = json.dumps(changed(context=context, answers=[]), ensure_ascii=False)
    (tmp_path / "a.jsonl").write_bytes(f"\ufeff{line}\r\n\n  \n{line}".encode())
    assert [example.passages for example in read_qa(tmp_path / "a.jsonl")] == [[context], [context]]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_many_passages(tmp_path, name):
    record = {
        "question": "多瑙河注入哪个海？",
        "passages": [
            {"passage": "注入黑海", "answer": "黑海"},
            {"passage": "不知道", "answer": ""},
            {"passage": "黑海，即Black Sea", "answer": ["黑海", "black sea"]},
            {"passage": "也不知道", "answer": []},
        ],
    }
    path = (write_json if name == "a.json" else write_lines)(tmp_path / name, [record, {**record, "id": 7}])
    first, second = read_qa(path)
    assert first.id == ("a.json, record 1" if name == "a.json" else "a.jsonl, line 1")
    assert second.id == "7"
    assert first.passages == ["注入黑海", "不知道", "黑海，即Black Sea", "也不知道"]
    assert first.answers == [["黑海"], [], ["黑海", "black sea"], []]
    assert first.answer_starts == [[-1], [], [-1, -1], []]


def test_unanswerable_and_answers_that_are_not_literal(tmp_path):
    records = [answered(), answered(("", -1)), answered(("黑海", 5), ("黑的海", -1)), changed(answers=[])]
    none, empty, mixed, also_none = read_qa(write_lines(tmp_path / "a.jsonl", records))
    assert none.answers == empty.answers == also_none.answers == [[]]
    assert (mixed.answers, mixed.answer_starts) == ([["黑海", "黑的海"]], [[5, -1]])


BROKEN = {
    "not json": ('{"question": "谁', "JSON"),
    "not utf-8": (b'{"question": "\xff"}', "JSON"),
    "a list": ([1], "an object, got a list"),
    "no columns": ({}, "'question' is missing"),
    "no question": ({"context": "c"}, "'question' is missing; there are ['context']"),
    "no context": ({"question": "q", "text": "c"}, "['question', 'text']"),
    "no answers": ({"question": "q", "context": "c"}, "'answers' is missing"),
    "number for a question": (changed(question=3), "question is 3, not a string"),
    "null for a context": (changed(context=None), "context is null, not a string"),
    "answers are a string": (changed(answers="黑海"), "answers is a string, not a list"),
    "answers without text": (changed(answers={"answer_start": []}), "'text' is missing"),
    "answers of two lengths": (
        changed(answers={"text": ["黑"], "answer_start": []}),
        "1 entries of text and 0 of answer_start",
    ),
    "start is a string": (answered(("黑海", "5")), "answer_start is a string, not an integer"),
    "start is true": (answered(("多", True)), "answer_start is True, not an integer"),
    "start is missing": (changed(answers=[{"text": "黑海"}]), "answer_start is null, not an integer"),
    "id is a list": (changed(id=[]), "id is a list, not a string"),
    "empty question": (changed(question=" \u3000"), "the question is empty"),
    "empty context": (changed(context="\n"), "the context is empty"),
    "start beyond the end": (
        answered(("黑海", 99)),
        "answer_start 99",
    ),
    "start at the end": (answered(("黑海", 16)), "answer_start 16"),
    "start below -1": (answered(("黑海", -2)), "answer_start -2"),
    "answer elsewhere": (answered(("黑海", 4)), "'入黑' at answer_start 4"),
    "answer runs over the end": (answered(("。二", 15)), "'。' at answer_start 15"),
    "second answer elsewhere": (answered(("黑海", 5), ("黑海", 0)), "'多瑙' at answer_start 0"),
    "lone surrogate": (
        changed(context="黑\ud83d海"),
        "U+D83D at 1",
    ),
    "surrogate in an answer": (answered(("\udc00", 5)), "U+DC00 at 0"),
    "passages are a string": ({"question": "q", "passages": "p"}, "passages is a string"),
    "no passage at all": ({"question": "q", "passages": []}, "passages is an empty list"),
    "passage is a string": ({"question": "q", "passages": ["p"]}, "an object, got a string"),
    "passage without answer": ({"question": "q", "passages": [{"passage": "p"}]}, "'answer' is missing"),
    "empty second passage": (
        {"question": "q", "passages": [{"passage": "p", "answer": []}, {"passage": "", "answer": []}]},
        "passage 2 is empty",
    ),
    "answer of a passage is a number": (
        {"question": "q", "passages": [{"passage": "p", "answer": [1]}]},
        "answer is 1, not a string",
    ),
}


def write_broken(path, broken):
    """Three lines, the second of them broken."""
    whole = json.dumps(WHOLE).encode()
    # json.dumps writes lone surrogates as escapes, as such files have them.
    data = (
        broken if isinstance(broken, bytes) else (broken if isinstance(broken, str) else json.dumps(broken)).encode()
    )
    path.write_bytes(b"\n".join([whole, data, whole]))
    return path


@pytest.mark.parametrize(("broken", "fault"), BROKEN.values(), ids=BROKEN)
def test_a_broken_record_is_named(tmp_path, broken, fault):
    path = write_broken(tmp_path / "a.jsonl", broken)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - all of the message is looked at
        read_qa(path)
    message = str(raised.value)
    assert message.startswith("a.jsonl, line 2: ")
    assert fault in message
    assert message.endswith(".")
    with pytest.warns(UserWarning, match=r"^1 .*a\.jsonl, line 2: ") as caught:
        assert read_qa(path, on_error="skip") == [EXAMPLE, EXAMPLE]
    assert len(caught) == 1
    assert fault in str(caught[0].message)


def test_scan_keeps_what_has_the_right_form(tmp_path):
    """The form makes a sentence; what is in it stays, and `content_fault` finds it."""
    examples, broken = scan_qa(write_broken(tmp_path / "a.jsonl", changed(question=3)))
    assert examples == [EXAMPLE, EXAMPLE]
    assert broken == ["a.jsonl, line 2: question is 3, not a string."]
    examples, broken = scan_qa(write_broken(tmp_path / "a.jsonl", changed(question="")))
    assert broken == []
    assert [content_fault(example) for example in examples] == [None, "the question is empty", None]


def test_skipping_warns_once_and_only_when_it_skips(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [changed(question="")] * 5 + [WHOLE])
    with pytest.warns(UserWarning, match="^5 broken") as caught:
        assert len(read_qa(path, on_error="skip")) == 1
    assert len(caught) == 1
    assert str(caught[0].message).count("the question is empty") == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_qa(write_lines(tmp_path / "b.jsonl", [WHOLE]), on_error="skip")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (nested({**QUESTION, "question": ""}), "a.json, record 1, paragraph 1, question 1: the question is empty."),
        (nested(QUESTION, 3), "a.json, record 1, paragraph 1, question 2: expected an object, got 3."),
        (nested(QUESTION, context=None), "a.json, record 1, paragraph 1: context is null, not a string."),
        ([{"paragraphs": 3}], "a.json, record 1, paragraph 1: expected an object, got 3."),
        ([{"paragraphs": [{"context": "c"}]}], "record 1, paragraph 1: the column 'qas'"),
        ([{"paragraphs": []}], "a.json holds no question."),
        ({"data": "nothing"}, "a.json must hold a list of records, got a string"),
        (3, "a.json must hold a list of records, got 3"),
        ([WHOLE, changed(question="")], "a.json, record 2: the question is empty."),
        ([], "a.json is empty"),
    ],
)
def test_a_broken_json_file(tmp_path, document, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        read_qa(write_json(tmp_path / "a.json", document))
    assert message in str(raised.value)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b"", "a.jsonl is empty"),
        ("a.jsonl", b"\n \n", "a.jsonl is empty"),
        ("a.json", b" ", "a.json is empty"),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0), "a.jsonl.gz is empty"),
        ("a.json", b'[{"question": ', "a.json is not valid JSON"),
        ("a.json", b"[" * 100_000, "a.json is not valid JSON"),
        (
            "a.jsonl.gz",
            b"no gzip at all",
            "a.jsonl.gz cannot be read past line 0",
        ),
        ("a.xlsx", b"question,context\n", "a.xlsx"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, name, data, message, on_error):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        read_qa(tmp_path / name, on_error=on_error)
    assert message in str(raised.value)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_gzip_file_cut_in_the_middle(tmp_path, on_error):
    path = write_lines(tmp_path / "a.jsonl.gz", [changed(id=f"q{n * n * 7919 % 104729}") for n in range(5000)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"a.jsonl.gz .* line \d{3,4}"):
        read_qa(path, on_error=on_error)


def test_when_every_record_is_broken(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [changed(question=""), changed(context="")])
    with pytest.raises(ValueError, match=r"2 records .*a\.jsonl, line 1"):
        read_qa(path, on_error="skip")


def test_unknown_on_error(tmp_path):
    with pytest.raises(ValueError, match=r"on_error.*'ignore'"):
        read_qa(write_lines(tmp_path / "a.jsonl", [WHOLE]), on_error="ignore")


@pytest.mark.parametrize("source", ["./nothing", "/nothing", "nothing.jsonl"])
def test_a_file_that_is_not_there(source):
    with pytest.raises(FileNotFoundError, match=source):
        read_qa(source)


@pytest.fixture
def datasets_folder(monkeypatch, tmp_path):
    """A folder for data, where `datasets` keeps its cache beside it."""
    datasets = pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_folder_of_files_named_like_splits(tmp_path):
    """Read without `datasets`, so that lines keep their numbers."""
    write_lines(tmp_path / "train.jsonl.gz", [WHOLE])
    write_lines(tmp_path / "trial.jsonl", [WHOLE, changed(question="")])
    assert read_qa(tmp_path) == read_qa(tmp_path, "train") == [EXAMPLE]
    with pytest.raises(ValueError, match=r"^trial\.jsonl, line 2: "):
        read_qa(tmp_path, "trial")


def test_unknown_split(datasets_folder):
    for name in ("train.jsonl.gz", "trial.jsonl", "validation.json"):
        write_lines(datasets_folder / name, [WHOLE])
    with pytest.raises(ValueError, match=r"'test'.* train, trial, validation\.$"):
        read_qa(datasets_folder, "test")


@pytest.mark.parametrize(("split", "number"), [("train", 3), ("train[:2]", 2), ("train+train", 6)])
def test_folder_that_datasets_reads(datasets_folder, split, number):
    write_lines(datasets_folder / "questions.jsonl", [WHOLE] * 3)
    assert read_qa(datasets_folder, split) == [EXAMPLE] * number


def test_parquet_names_its_row(datasets_folder):
    from datasets import Dataset

    records = [WHOLE, answered(("黑海", 4))]
    Dataset.from_list(records).to_parquet(str(datasets_folder / "train.parquet"))
    with pytest.raises(ValueError, match=r"row 2 of train: .*'入黑' at answer_start 4"):
        read_qa(datasets_folder)
    with pytest.raises(ValueError, match=r"'test'.* train\.$"):
        read_qa(datasets_folder, "test")
    with pytest.warns(UserWarning, match="^1 broken record"):
        assert read_qa(str(datasets_folder), on_error="skip") == [EXAMPLE]


def test_dates_that_datasets_made_of_answers(datasets_folder):
    record = {**answered(("1998-05-01", 4)), "context": "成立于 1998-05-01。"}
    path = write_lines(datasets_folder / "questions.jsonl", [record])
    with pytest.raises(ValueError, match="the date 1998-05-01"):
        read_qa(datasets_folder)
    assert read_qa(path)[0].answers == [["1998-05-01"]]


def test_what_datasets_cannot_read(datasets_folder):
    (datasets_folder / "questions.jsonl").write_text('{"question": 3, "con\n')
    with pytest.raises(ValueError, match="data cannot be read"):
        read_qa(datasets_folder)
    (datasets_folder / "questions.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match="doesn't contain any data files"):
        read_qa(datasets_folder)


def test_find_occurrences():
    assert find_occurrences("黑海", "黑海，多瑙河注入黑海") == [(0, 2), (8, 10)]
    assert find_occurrences("哈哈", "哈哈哈") == [(0, 2), (1, 3)]
    assert find_occurrences("cnn", "CNN与ｃｎｎ、Ｃnn") == [(0, 3), (4, 7), (8, 11)]
    assert find_occurrences("１９６３年", "生于1963年") == [(2, 7)]
    assert find_occurrences("红海", "黑海") == []
    assert find_occurrences("", "黑海") == []
    assert find_occurrences("黑海", "") == []


def test_folding_keeps_lengths():
    """What becomes several characters stays as it is: an ellipsis, a ligature, a capital I with its dot."""
    passage = "…ﬁİ黑海"
    assert find_occurrences("黑海", passage) == [(3, 5)]
    assert find_occurrences("...", passage) == find_occurrences("fi", passage) == []
    assert find_occurrences("ﬁ", passage) == [(1, 2)]


TEXT = st.text(st.sampled_from("黑海Aaａ1１ ，…ﬁ😀"), max_size=12)


def cuts_a_run(text, start, end):
    """Whether a place begins or ends within a longer number or Latin word; full width counts as its half width."""
    text = "".join(unicodedata.normalize("NFKC", c) if len(unicodedata.normalize("NFKC", c)) == 1 else c for c in text)
    return any(re.match(r"[A-Za-z0-9]{2}", text[max(cut - 1, 0) : cut + 1]) for cut in (start, end) if cut)


@anything
@given(st.text(max_size=30), st.data())
def test_every_literal_place_is_found(passage, data):
    start = data.draw(st.integers(0, len(passage)))
    end = data.draw(st.integers(start, len(passage)))
    answer = passage[start:end]
    found = find_occurrences(answer, passage)
    literal = [(i, i + len(answer)) for i in range(len(passage)) if answer and passage[i:].startswith(answer)]
    assert {place for place in literal if not cuts_a_run(passage, *place)} <= set(found)
    assert found == sorted(set(found))
    assert all(0 <= a < b <= len(passage) and b - a == len(answer) for a, b in found)


@anything
@given(TEXT, TEXT, TEXT)
def test_places_do_not_depend_on_case_or_width(before, answer, after):
    variants = str.maketrans("Aaａ1１", "aａA１1")
    expected = find_occurrences(answer, before + answer + after)
    assert find_occurrences(answer.translate(variants), before + answer + after) == expected
    if answer:
        place = (len(before), len(before) + len(answer))
        text = (before + answer + after).translate(str.maketrans("ａ１", "a1"))
        assert (place in expected) == (not cuts_a_run(text, *place))


VISIBLE = st.text(min_size=1, max_size=20).filter(str.strip)


@st.composite
def squad_records(draw):
    context = draw(VISIBLE)
    pairs = []
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(context) - 1))
        end = draw(st.integers(start + 1, len(context)))
        if context[start:end].strip():
            pairs.append((context[start:end], start))
    texts, starts = [text for text, _ in pairs], [start for _, start in pairs]
    answers = {"text": texts, "answer_start": starts}
    return {"id": draw(st.text(max_size=5)), "question": draw(VISIBLE), "context": context, "answers": answers}


@some
@given(st.lists(squad_records(), min_size=1, max_size=5), st.booleans(), st.sampled_from(["a.jsonl", "a.jsonl.gz"]))
def test_what_is_written_is_read(tmp_path_factory, records, ascii_only, name):
    path = tmp_path_factory.getbasetemp() / name
    data = "\n".join(json.dumps(record, ensure_ascii=ascii_only) for record in records).encode()
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)
    read = read_qa(path)
    for record, example in zip(records, read, strict=True):
        assert (example.id, example.question, example.passages) == (
            record["id"], record["question"], [record["context"]],
        )  # fmt: skip
        assert example.answers == [record["answers"]["text"]]
        assert example.answer_starts == [record["answers"]["answer_start"]]
        for answer, start in zip(example.answers[0], example.answer_starts[0]):
            assert example.passages[0][start : start + len(answer)] == answer


@some
@given(st.lists(squad_records(), min_size=1, max_size=3))
def test_nested_and_flat_are_the_same(tmp_path_factory, records):
    folder = tmp_path_factory.getbasetemp()
    flat = read_qa(write_json(folder / "flat.json", records))
    paragraphs = []
    for record in records:
        pairs = zip(record["answers"]["text"], record["answers"]["answer_start"])
        answers = [{"text": text, "answer_start": start} for text, start in pairs]
        question = {"id": record["id"], "question": record["question"], "answers": answers}
        paragraphs.append({"context": record["context"], "qas": [question]})
    assert read_qa(write_json(folder / "nested.json", {"data": [{"paragraphs": paragraphs}]})) == flat

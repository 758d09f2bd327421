"""Plain texts out of text files, records of several forms, and folders; and a sentence for what is wrong there."""

import gzip
import json

import pytest

from hf_kexue.data.texts.reading import hold_out, read_texts

LINES = "\ufeff白云山下\n\n  科学 空间\t\n\u3000\n白云山下\r\n一行\u2028里的分隔符\n末行"
TEXTS = ["白云山下", "科学 空间", "一行\u2028里的分隔符", "末行"]


def write(path, data):
    data = data.encode() if isinstance(data, str) else data
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def lines_of(records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_text_a_line(tmp_path, name):
    path = write(tmp_path / name, LINES)
    assert read_texts(path) == read_texts(str(path)) == TEXTS


RECORDS = {
    "text": [{"text": "甲"}, {"text": " \n"}, {"text": " 乙\n丙 "}, {"text": "甲"}],
    "flat SQuAD": [{"id": "1", "question": "?", "context": "甲", "answers": []}, {"context": "乙\n丙"}],
    "passages": [{"question": "?", "passages": [{"passage": "甲", "answer": ["甲"]}, {"passage": "乙\n丙"}]}],
    "nested SQuAD": [{"title": "t", "paragraphs": [{"context": "甲", "qas": []}, {"context": "乙\n丙"}]}],
}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.json.gz"])
@pytest.mark.parametrize("records", RECORDS.values(), ids=RECORDS)
def test_records(tmp_path, records, name):
    whole = lines_of(records) if ".jsonl" in name else json.dumps({"data": records})
    assert read_texts(write(tmp_path / name, whole)) == ["甲", "乙\n丙"]


def test_folders(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "train.jsonl", lines_of([{"context": "甲"}]))
    write(tmp_path / "validation.jsonl.gz", lines_of([{"text": "乙"}]))
    assert read_texts(tmp_path) == ["甲"]
    assert read_texts(str(tmp_path), split="validation") == ["乙"]
    (tmp_path / "others").mkdir()
    write(tmp_path / "others" / "train.txt", "丙\n\n丁\n丙")
    assert read_texts(tmp_path / "others") == ["丙", "丁"]
    with pytest.raises(ValueError, match="has no split 'test'; it has train"):
        read_texts(tmp_path / "others", split="test")


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.txt", b"", r"a\.txt holds no text: all its lines or records are empty"),
        ("a.txt", b" \n\n", "holds no text"),
        ("a.txt", "好\n".encode() + "好\n".encode("gbk"), r"a\.txt, line 2: byte 1 is no UTF-8\. Convert the file"),
        ("a.jsonl", b'{"text": ""}\n', r"a\.jsonl holds no text"),
        ("a.jsonl", b"", r"a\.jsonl is empty: it holds no record"),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": \n', r"a\.jsonl, line 3: the line is no JSON"),
        ("a.jsonl", b'{"text": "a"}\n{"title": "b"}\n', r"line 2: there is none of the col.*; there are \['title'\]"),
        ("a.jsonl", b'{"text": 3}\n', "line 1: text is 3, not a string"),
        ("a.jsonl", b'{"text": null}\n', "line 1: text is null, not a string"),
        ("a.jsonl", b'{"text": "a\\ud800"}\n', r"line 1: text holds half a char.* surrogate U\+D800 at 1"),
        ("a.jsonl", b'["a"]\n', "line 1: there is a list in the place of an object"),
        ("a.jsonl", b'{"passages": "a"}\n', "line 1: passages is a string, not a list"),
        ("a.jsonl", b'{"passages": ["a"]}\n', "line 1: there is a string in the place of an object"),
        ("a.jsonl", b'{"passages": [{"text": "a"}]}\n', "line 1: the column 'passage' is missing"),
        ("a.xml", b"<text>a</text>\n", r"a\.xml is of no known kind"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences_that_name_the_place(tmp_path, name, data, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_texts(write(tmp_path / name, data))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", "甲\n".encode() + "好\n".encode("gbk") + "乙\n甲\n".encode()),
        ("a.jsonl", '{"text": "甲"}\n{"text": 3}\n{"context": "乙"}\n'.encode()),
    ],
)
def test_broken_records_can_be_left_out(tmp_path, name, data):
    path = write(tmp_path / name, data)
    with pytest.raises(ValueError, match="line 2"):
        read_texts(path)
    with pytest.warns(UserWarning, match=r"1 broken record\(s\).*line 2"):
        assert read_texts(path, on_error="skip") == ["甲", "乙"]
    (broken,) = [line for number, line in enumerate(data.split(b"\n")) if number == 1]
    with pytest.raises(ValueError, match="line 1"):
        read_texts(write(tmp_path / name, broken), on_error="skip")  # nothing else is there
    with pytest.raises(ValueError, match="on_error"):
        read_texts(path, on_error="ignore")


@pytest.mark.parametrize("name", ["nowhere.txt", "./nowhere", "nowhere.jsonl", "nowhere.txt.gz"])
def test_nothing_there(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"There is no file .*{name}"):
        read_texts(name)


@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.gz"])
def test_half_a_gzip(tmp_path, name):
    path = write(tmp_path / name, lines_of([{"text": f"{number} 号"} for number in range(9999)]))
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ValueError, match=r"cannot be read past line \d+: the gzip data are cut off"):
        read_texts(path)


# ---- texts held out


def test_texts_held_out():
    texts = [str(number) for number in range(100)]
    training, held_out = hold_out(texts, 0.151, seed=3)
    assert len(held_out) == 16  # rounded up
    assert sorted(training + held_out, key=int) == texts
    assert training == sorted(training, key=int)
    assert held_out == sorted(held_out, key=int)
    assert hold_out(texts, 0.151, seed=3) == (training, held_out)
    assert hold_out(texts, 0.151, seed=4)[1] != held_out
    assert len(hold_out(texts, 0.0001)[1]) == 1
    assert hold_out(texts, 0.0) == (texts, [])


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_is_none(share):
    with pytest.raises(ValueError, match=f"must be at least 0 and below 1, got {share}"):
        hold_out(["a", "b"], share)
    with pytest.raises(ValueError, match="leaves none to train on"):
        hold_out(["a"], 0.1)

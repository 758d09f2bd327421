"""Plain texts out of text files, records of several forms, and folders; and errors that name the place of a fault."""

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
    with pytest.raises(ValueError, match=r"'test'.*train"):
        read_texts(tmp_path / "others", split="test")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"", r"a\.txt"),
        ("a.txt", b" \n\n", "holds no text"),
        ("a.txt", "好\n".encode() + "好\n".encode("gbk"), r"a\.txt, line 2: byte 1"),
        ("a.jsonl", b'{"text": ""}\n', r"a\.jsonl holds no text"),
        ("a.jsonl", b"", r"a\.jsonl is empty"),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": \n', r"a\.jsonl, line 3: .*JSON"),
        ("a.jsonl", b'{"text": "a"}\n{"title": "b"}\n', r"line 2: .*\['title'\]"),
        ("a.jsonl", b'{"text": 3}\n', "line 1: text is 3"),
        ("a.jsonl", b'{"text": null}\n', "line 1: text is null"),
        ("a.jsonl", b'{"text": "a\\ud800"}\n', r"line 1: text .*U\+D800 at 1"),
        ("a.jsonl", b'["a"]\n', "line 1: .* a list"),
        ("a.jsonl", b'{"passages": "a"}\n', "line 1: passages is a string"),
        ("a.jsonl", b'{"passages": ["a"]}\n', "line 1: .* a string"),
        ("a.jsonl", b'{"passages": [{"text": "a"}]}\n', "line 1: .*'passage'"),
        ("a.xml", b"<text>a</text>\n", r"a\.xml"),
    ],
)  # fmt: skip
def test_bad_data_raise_and_name_the_place(tmp_path, name, data, message):
    with pytest.raises(ValueError, match=message):
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
    with pytest.raises(FileNotFoundError, match=name):
        read_texts(name)


@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.gz"])
def test_half_a_gzip(tmp_path, name):
    path = write(tmp_path / name, lines_of([{"text": f"{number} 号"} for number in range(9999)]))
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ValueError, match=rf"{name} .* line \d+"):
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
def test_a_share_out_of_range_raises(share):
    with pytest.raises(ValueError, match=f"share .*{share}"):
        hold_out(["a", "b"], share)
    with pytest.raises(ValueError, match=r"0\.1 of 1 text"):
        hold_out(["a"], 0.1)

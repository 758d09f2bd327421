"""The runtimes without torch beside the pipelines: the same columns, and of float32 networks the same results."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the extra hf-kexue[onnx] is not installed")
pytest.importorskip("rjieba", reason="the extra hf-kexue[onnx] is not installed")

from tiny_models import RADIUM, save_extractor

from hf_kexue import DGCNNTokenizer, PassageCollection
from hf_kexue.data.questions.reading import read_qa
from hf_kexue.data.triples.reading import read_triples
from hf_kexue.inference.saved_models import load_pipeline
from hf_kexue.onnx import OnnxReader, OnnxTripleExtractor, export_onnx
from hf_kexue.onnx.tokenizer import OnnxTokenizer

ROOT = Path(__file__).resolve().parents[2]
READER, TRIPLES = (ROOT / "model_cards" / name for name in ("dgcnn-qa-zh", "dgcnn-triples-zh"))
SHARED = ROOT.parent / "shared" / "data"
if not (READER.is_dir() and TRIPLES.is_dir()):
    pytest.skip("the published models lie in a checkout", allow_module_level=True)

BRIDGE = "赵州桥坐落在河北省赵县，由隋代工匠李春主持修建，距今已有1400多年。它是世界上现存最古老的单孔敞肩石拱桥。"
STRANGE = [
    "ﬁn 《ＡＢＣ》 I\u0307stanbul Ⅷ ㍿ ①②", "e\u0301cole \u0916\u093c \u1112\u1161\u11ab 각", "𠮷野家 👩‍🚀\u200b零宽",
    "[SEP] 和 [MASK] 在文中 [UNK]x", "3.14 AK-47 1958-1965年，it's", "\t空 格\r\n　全角 ", "", "ΑΣ ΑΣ. ẞ",
]  # fmt: skip


def questions(limit):
    if not (SHARED / "cmrc2018").is_dir():
        pytest.skip("CMRC 2018 is not beside the checkout")
    return read_qa(str(SHARED / "cmrc2018"), split="validation")[:limit]


def sentences(limit):
    if not (SHARED / "duie2").is_dir():
        pytest.skip("DuIE 2.0 is not beside the checkout")
    return [example.text for example in read_triples(str(SHARED / "duie2"), split="validation")[:limit]]


def test_columns_are_those_of_the_tokenizer():
    texts = STRANGE + [BRIDGE] + [example.passages[0] for example in (questions(40) if SHARED.is_dir() else [])]
    theirs, own = DGCNNTokenizer.from_pretrained(READER), OnnxTokenizer(READER)
    assert (len(own), own.word_vocab_size) == (len(theirs), theirs.word_vocab_size)
    for text in texts:
        columns, offsets = own.text(text)
        expected = theirs(text, add_special_tokens=False, return_offsets_mapping=True)
        for name, values in columns.items():
            assert values.tolist() == expected[name], (text, name)
        assert offsets.tolist() == [list(place) for place in expected["offset_mapping"]]
    question = "赵州桥是谁建的[SEP]？ﬁ"
    expected = theirs([question] * len(texts), texts, passage_groups=[0] * len(texts), return_offsets_mapping=True)
    asked, passages = own.question(question, texts)
    size = len(asked["input_ids"])
    for row, (columns, offsets) in enumerate(passages):
        for name, values in columns.items():
            np.testing.assert_array_equal(values, np.asarray(expected[name][row][size:]).reshape(values.shape))
        assert offsets.tolist() == [list(place) for place in expected["offset_mapping"][row][size:]]
    for name, values in asked.items():
        assert values.tolist() == expected[name][0][:size]


def close(found, expected, tolerance=1e-4):
    """Equal but for scores and probabilities."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            if key == "score" or (key == "probability" and value is not None):
                assert abs(found[key] - value) < tolerance
            else:
                close(found[key], value, tolerance)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            close(one, other, tolerance)
    else:
        assert found == expected


@pytest.mark.slow
def test_reader_answers_like_the_pipeline(tmp_path):
    """In all ways of calling, over real texts."""
    export_onnx(READER, tmp_path)
    own, theirs = OnnxReader(tmp_path, threads=1), load_pipeline(str(READER), device="cpu")
    assert not own.int8
    examples = questions(60)
    calls = {"question": [example.question for example in examples], "context": [e.passages[0] for e in examples]}
    close(own(**calls), theirs(**calls))
    some = [example.passages[0] for example in examples[:12:4]]
    for options in ({"top_k": 4}, {"handle_impossible_answer": True}, {"vote": "best"}):
        close(own(question="谁？", passages=some, **options), theirs(question="谁？", passages=some, **options))
    small = {"max_seq_len": 50, "doc_stride": 20, "batch_size": 3, "top_k": 3}
    one = {"question": examples[0].question, "context": some[0]}
    close(own(**one, **small), theirs(**one, **small))
    records = [{"question": e.question, "context": e.passages[0]} for e in examples[:5]]
    close(list(own(iter(records))), theirs(records))


@pytest.mark.slow
def test_extractor_finds_like_the_pipeline(tmp_path):
    export_onnx(TRIPLES, tmp_path)
    own, theirs = OnnxTripleExtractor(tmp_path, threads=1), load_pipeline(str(TRIPLES), device="cpu")
    texts = sentences(300)
    expected = theirs(texts)
    assert sum(map(len, expected)) > 300
    close(own(texts), expected)
    long = "".join(texts[:20])
    for options in (
        {"occurrences": "all"},
        {"predicates": ["主演", "作者"]},
        {"split_above": 200},
        {"known_threshold": 1},
    ):
        close(own(long, **options), theirs(long, **options))
    assert own.to_html(long, own(long)).startswith("<!DOCTYPE html>")


@pytest.mark.slow
def test_typed_subjects_and_own_segmenters(tmp_path):
    """A tiny model whose tokenizer knows no library."""
    model = save_extractor(tmp_path / "tiny")
    export_onnx(tmp_path / "tiny", tmp_path / "tiny")
    own, theirs = OnnxTripleExtractor(tmp_path / "tiny"), load_pipeline(str(tmp_path / "tiny"), device="cpu")
    expected = theirs([RADIUM, "", "镭。"])
    assert expected[0]
    assert model is not None
    close(own([RADIUM, "", "镭。"]), expected)


def test_int8_networks_of_the_published_models():
    """Rounding moves some answers: most are the same."""
    reader, theirs = OnnxReader(READER, threads=1), load_pipeline(str(READER), device="cpu")
    assert reader.int8
    assert reader(question="赵州桥是谁修建的？", context=BRIDGE)["answer"] == "隋代工匠李春"
    call = {"question": "他为什么辞职？", "context": BRIDGE}
    score = reader(**call)["score"]
    threshold = json.loads((READER / "config.json").read_text(encoding="utf-8"))["no_answer_threshold"]
    refusal = reader(**call, handle_impossible_answer=True)
    assert score < threshold < 0.5
    assert (refusal["answer"], refusal["score"]) == ("", pytest.approx((1 - score) * threshold / (1 - threshold)))
    (nothing,) = PassageCollection([BRIDGE]).ask(reader, "他为什么离开赵州桥？", handle_impossible_answer=True)
    assert nothing["answer"] == ""
    extract, theirs_triples = OnnxTripleExtractor(TRIPLES, threads=1), load_pipeline(str(TRIPLES), device="cpu")
    text = "《邪少兵王》是冰火未央写的网络小说，连载于旗峰天下"
    words = {(t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in extract(text)}
    assert ("邪少兵王", "作者", "冰火未央") in words
    for file in [*READER.glob("onnx/*"), *TRIPLES.glob("onnx/*")]:
        assert file.stat().st_size <= 25e6
    examples = questions(30)
    calls = {"question": [e.question for e in examples], "context": [e.passages[0] for e in examples]}
    same = [one["answer"] == other["answer"] for one, other in zip(reader(**calls), theirs(**calls))]
    assert sum(same) >= 26
    texts = sentences(60)
    found, expected = (
        {
            (i, t["subject"]["text"], t["predicate"], t["object"]["text"])
            for i, some in enumerate(results)
            for t in some
        }
        for results in (extract(texts), theirs_triples(texts))
    )
    assert 2 * len(found & expected) / (len(found) + len(expected)) > 0.95


WITHOUT = """
import json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "diffusers", "safetensors", "PIL", "typer"}:
            raise ImportError(f"{name} is not to be imported")

sys.meta_path.insert(0, Blocked())
from hf_kexue.onnx import OnnxReader, OnnxTripleExtractor

reader, extract = OnnxReader(sys.argv[1], threads=1), OnnxTripleExtractor(sys.argv[2], threads=1)
answer = reader(question="赵州桥是谁修建的？", context=sys.argv[3])["answer"]
triples = [(t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in extract(sys.argv[4])]
print(json.dumps([answer, triples, sorted({"torch", "transformers"} & sys.modules.keys())]))
"""
NOVEL = "《邪少兵王》是冰火未央写的网络小说，连载于旗峰天下"


def check_without(python, folder):
    command = [str(python), "-c", WITHOUT, str(READER), str(TRIPLES), BRIDGE, NOVEL]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer, triples, heavy = json.loads(done.stdout)
    assert answer == "隋代工匠李春"
    assert ["邪少兵王", "作者", "冰火未央"] in triples
    assert heavy == []


def test_no_torch_is_imported(tmp_path):
    check_without(sys.executable, tmp_path)


@pytest.mark.slow
def test_the_wheel_beside_four_packages(tmp_path):
    """The wheel without what it depends on, in an environment with onnxruntime, numpy, tokenizers and rjieba alone."""
    pytest.importorskip("hatchling", reason="the extra hf-kexue[test] is not installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / "bin" / "python"
    needed = ["onnxruntime", "numpy", "tokenizers", "rjieba"]
    done = subprocess.run(
        [*pip, "--python", str(python), "install", "-q", *needed, "-c", str(ROOT / "constraints.txt")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no package index: {done.stderr.strip().splitlines()[-1]}")
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "--python", str(python), "install", "-q", "--no-deps", str(wheel)], check=True)
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    assert not (packages / "torch").exists()
    assert not (packages / "transformers").exists()
    check_without(python, tmp_path)


def test_importing_needs_no_onnxruntime(tmp_path):
    code = (
        "import sys\nfor name in ('onnx', 'onnxruntime', 'onnxscript'): sys.modules[name] = None\n"
        "import hf_kexue.onnx as o\n"
        "for call in (lambda: o.OnnxReader(sys.argv[1]), lambda: o.export_onnx(sys.argv[1], 'x')):\n"
        "    try: call()\n"
        "    except ImportError as error: assert 'hf-kexue[onnx]' in str(error), error\n"
        "    else: raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(READER)], check=True, cwd=tmp_path)


def copied(tmp_path):
    return shutil.copytree(READER, tmp_path / "model")


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        (lambda f: shutil.rmtree(f / "onnx"), FileNotFoundError, "onnx/model.onnx"),
        (lambda f: (f / "onnx" / "model.int8.onnx").write_bytes(b"no network"), ValueError, "model.int8.onnx"),
        (lambda f: (f / "config.json").unlink(), FileNotFoundError, "config.json"),
        (lambda f: (f / "config.json").write_text("{"), ValueError, "config.json"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), ValueError, "tokenizer.json"),
        (lambda f: (f / "word_vocab.txt").unlink(), ValueError, "word_vocab.txt"),
        (lambda f: shutil.copy(TRIPLES / "config.json", f), ValueError, "DGCNNForTripleExtraction"),
        (lambda f: shutil.rmtree(f), FileNotFoundError, "export-onnx"),
    ],
)
def test_broken_folders(change, error, named, tmp_path):
    folder = copied(tmp_path)
    change(folder)
    with pytest.raises(error, match=named):
        OnnxReader(folder)


def test_bad_calls():
    with pytest.raises(FileNotFoundError):
        OnnxReader(READER, int8=False)
    with pytest.raises(TypeError, match="top"):
        OnnxReader(READER, top=3)
    reader, extract = OnnxReader(READER, threads=1, top_k=2), OnnxTripleExtractor(TRIPLES, threads=1)
    assert len(reader(question="谁？", context=BRIDGE)) == 2
    for call in (
        lambda: reader(question="", context=BRIDGE), lambda: reader(question="谁？"), lambda: extract(" "),
        lambda: reader(question="谁？", context="\ud800"), lambda: extract(BRIDGE, predicates=["没有"]),
    ):  # fmt: skip
        with pytest.raises(ValueError):  # noqa: PT011 - what each says is tested with the pipelines
            call()
    with pytest.raises(TypeError):
        extract(3)

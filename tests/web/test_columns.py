"""JavaScript cuts texts exactly as Python does: characters, words, match features, sentences, memorised triples.

Needs node, and `npm ci` in web/.
"""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rjieba", reason="the extra hf-kexue[onnx] is not installed")

from hf_kexue.dgcnn.inputs_dgcnn_triples import pieces
from hf_kexue.dgcnn.prior_dgcnn import TriplePrior
from hf_kexue.onnx.tokenizer import OnnxTokenizer

ROOT = Path(__file__).resolve().parents[2]
READER, TRIPLES = (ROOT / "model_cards" / name for name in ("dgcnn-qa-zh", "dgcnn-triples-zh"))
SHARED = ROOT.parent / "shared" / "data"
STRANGE = [
    "ﬁn 《ＡＢＣ》 I\u0307stanbul Ⅷ ㍿ ①②", "e\u0301cole \u0916\u093c \u1112\u1161\u11ab 각 ｶﾞｷﾞ q\u0307\u0323 \u1e69",
    "𠮷野家 👩‍🚀\u200b零宽 𠮷", "[SEP] 和 [MASK] 在文中 [UNK]x", "3.14 AK-47 1958-1965年，it's J. Smith。Yes! 中A. B",
    "\t空 格\r\n　全角 \r\n\r\n段", "", "ΑΣ ΑΣ. ẞ ǅ", "“没有完", "a" * 300,
    "他说：“来吧！走吧。”《你好，李焕英！》是一部电影（2021）。「是。」好；对",
]  # fmt: skip
LOOKUPS = 300  # texts in which memorised triples are looked up: that takes longest
QUESTION = "《你好，李焕英》是谁导演的？2021年ＡＢ"

if shutil.which("node") is None:
    pytest.skip("node is not installed", allow_module_level=True)
if not (ROOT / "web" / "node_modules").is_dir():
    pytest.skip("run `npm ci` in web/", allow_module_level=True)


def texts_of(limit):
    """Passages and questions of CMRC 2018, and sentences of DuIE 2.0."""
    from hf_kexue.data.questions.reading import read_qa
    from hf_kexue.data.triples.reading import read_triples

    passages = {text for e in read_qa(str(SHARED / "cmrc2018"), split="train") for text in [e.question, e.passages[0]]}
    sentences = {example.text for example in read_triples(str(SHARED / "duie2"), split="validation")}
    return (sorted(sentences) + sorted(passages))[:limit]


def compare(texts):
    tokenizer, schema = OnnxTokenizer(READER), json.loads((TRIPLES / "config.json").read_text())["triple_schema"]
    prior = TriplePrior(OnnxTokenizer(TRIPLES).triple_prior, len(schema))
    given = {"folder": str(READER), "prior": str(TRIPLES / "triple_prior.txt"), "question": QUESTION}
    given |= {"texts": texts, "lookups": LOOKUPS}
    done = subprocess.run(
        ["node", ROOT / "web" / "test" / "columns.mjs"], input=json.dumps(given), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(texts)
    for number, (text, line) in enumerate(zip(texts, lines)):
        theirs = json.loads(line)
        asked, ((columns, offsets),) = tokenizer.question(QUESTION, [text])
        assert theirs["asked"]["ids"] == asked["input_ids"].tolist()
        assert theirs["asked"]["words"] == asked["word_input_ids"].tolist()
        assert theirs["found"]["ids"] == columns["input_ids"].tolist(), text
        assert theirs["found"]["words"] == columns["word_input_ids"].tolist(), text
        assert list(zip(theirs["found"]["starts"], theirs["found"]["ends"])) == [tuple(p) for p in offsets.tolist()], (
            text
        )
        features = np.array(theirs["features"], dtype=np.float32).reshape(-1, 8)
        np.testing.assert_allclose(features, columns["match_features"], rtol=0, atol=1e-6, err_msg=text)
        cuts, sentences = pieces(text, offsets, 40, 0)
        assert [tuple(cut) for cut in theirs["cuts"]["cuts"]] == [(cut.start, cut.stop) for cut in cuts], text
        assert theirs["cuts"]["sentences"] == sentences.tolist(), text
        if number < LOOKUPS:
            triples = sorted((tuple(s), p, tuple(o)) for s, p, o in theirs["triples"])
            assert triples == prior.nearest(text), text


def test_strange_texts():
    compare(STRANGE)


@pytest.mark.slow
def test_five_thousand_texts():
    if not SHARED.is_dir():
        pytest.skip("the data sets are not beside the checkout")
    texts = texts_of(5000)
    assert len(texts) == 5000
    compare(texts)

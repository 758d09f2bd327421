"""The DGCNN tokenizer: offsets for any text, words aligned to characters, windows, padding, files, bad input.

What is compared with: Python's own Unicode tables for the normal form, segmentations written out by hand, the match
features called directly.
"""

import copy
import importlib
import json
import pickle
import subprocess
import sys
import unicodedata
import warnings
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_kexue.dgcnn.features_dgcnn import match_features
from hf_kexue.dgcnn.segmentation_dgcnn import PROBE, load_segmenter
from hf_kexue.dgcnn.tokenization_dgcnn import DGCNNTokenizer

CORPUS = ["北京大学在北京，清华大学也在北京。", "科学空间 讲 CNN，也讲 GAN。", "苏剑林写科学空间。"]
QUESTION = "科学空间在哪？"
CONTEXT = "苏剑林在北京大学，写\n科学空间（ＣＮＮ）…😀。也讲①㎡。"
ODD = [
    "ＡＢＣ１２３", "İstanbul", "12㎡和㍿", "等等…", "好😀👨\u200d👩\u200d👧好", "e\u0301a\u0300\u0323", "\u0301a",
    "a\x00b\x1f\u200bc\ufeff", "ﷺ", "\u1112\u1161\u11ab글", "①½ﬃ", "\U00020000字",
]  # fmt: skip
needs_jieba = pytest.mark.skipif(find_spec("jieba") is None, reason="compares with jieba, which is not installed")


@pytest.fixture(scope="module")
def tokenizer():
    return DGCNNTokenizer.from_texts(CORPUS, 1, 1, dictionary=["科学空间", "苏剑林"])


@pytest.fixture(scope="module")
def with_features(tokenizer):
    vocabularies = {"vocab": tokenizer.get_vocab(), "word_vocab": tokenizer.word_vocab}
    return DGCNNTokenizer(**vocabularies, dictionary=tokenizer.dictionary, match_features=True)


def in_fresh_process(script, *arguments):
    finished = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return finished


def blank(character):
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf", "Zs", "Zl", "Zp")


def ids_of(tokenizer, words):
    known = tokenizer.word_vocab
    normal = [unicodedata.normalize("NFKC", word).lower() for word in words]
    return [known.index(word) if word in known else 1 for word in normal]


def words_of(tokenizer, text, offsets):
    """For each token the word it starts in, by looking at every word."""
    found = tokenizer.segment(text)
    return [next(word for word, first, last in found if first <= start < last) for start, _ in offsets]


# Vocabularies


def test_vocabulary_is_most_frequent_first_with_ties_by_code_point():
    made = DGCNNTokenizer.from_texts(
        ["乙甲甲丙丙 Ａ a\n", "乙甲\u200b"], min_count=2, word_min_count=1, segmenter=list
    )
    assert made.convert_ids_to_tokens(list(range(len(made)))) == [
        "[PAD]", "[UNK]", "[SEP]", "[MASK]", "甲", "a", "丙", "乙"
    ]  # fmt: skip
    assert made.word_vocab == ["[PAD]", "[UNK]", "甲", "a", "丙", "乙"]
    assert DGCNNTokenizer.from_texts(["甲乙甲丙"], 1, 2, segmenter=list).word_vocab[2:] == ["甲"]
    assert DGCNNTokenizer.from_texts(["甲乙甲丙"], 1, 1, 2, segmenter=list).word_vocab[2:] == ["甲", "丙"]
    assert DGCNNTokenizer.from_texts(["甲"], 1, segmenter="none").word_vocab is None


def test_special_tokens_and_names(tokenizer, with_features):
    assert [tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id] == [
        0, 1, 2, 3
    ]  # fmt: skip
    usual = ["input_ids", "token_type_ids", "attention_mask"]
    assert tokenizer.model_input_names == [*usual, "word_input_ids"]
    assert with_features.model_input_names == [*usual, "word_input_ids", "match_features"]
    assert DGCNNTokenizer().model_input_names == usual
    assert DGCNNTokenizer.model_input_names == [*usual, "word_input_ids"]
    assert tokenizer.model_max_length == 512
    assert (tokenizer.dictionary, tokenizer.segmenter) == (["科学空间", "苏剑林"], "rjieba")
    assert tokenizer.word_vocab_size == len(tokenizer.word_vocab)


def test_pair_and_single_form_by_hand(tokenizer):
    encoded = tokenizer("Ｃnn在 哪", "北京大学 也", return_offsets_mapping=True)
    assert encoded.tokens() == ["c", "n", "n", "在", "[UNK]", "[SEP]", "北", "京", "大", "学", "也"]
    assert encoded["token_type_ids"] == [0] * 6 + [1] * 5
    assert encoded["attention_mask"] == [1] * 11
    assert encoded["offset_mapping"] == [
        (0, 1), (1, 2), (2, 3), (3, 4), (5, 6), (0, 0), (0, 1), (1, 2), (2, 3), (3, 4), (5, 6)
    ]  # fmt: skip
    row = tokenizer.word_vocab.index
    assert encoded["word_input_ids"] == [1, 1, 1, row("在"), 1, 0, *[row("北京大学")] * 4, row("也")]
    single = tokenizer("北京", add_special_tokens=False)
    assert single.tokens() == ["北", "京"]
    assert single["word_input_ids"] == [row("北京")] * 2
    assert tokenizer("北京").tokens() == ["北", "京", "[SEP]"]
    assert tokenizer.decode(tokenizer("北京CNN").input_ids, skip_special_tokens=True) == "北京cnn"


def test_words_are_found_as_spelled_first_and_then_in_normal_form():
    made = DGCNNTokenizer(word_vocab=["[PAD]", "[UNK]", "Apple", "apple"], segmenter=str.split)
    assert made("Apple APPLE ａpple", add_special_tokens=False)["word_input_ids"] == [2] * 5 + [3] * 5 + [3] * 5


def test_characters_only_needs_no_segmenter(tokenizer):
    made = DGCNNTokenizer(vocab=tokenizer.get_vocab())
    assert "word_input_ids" not in made(QUESTION, CONTEXT)
    assert made(QUESTION, CONTEXT)["input_ids"] == tokenizer(QUESTION, CONTEXT)["input_ids"]
    assert made.segmentation_fingerprint is None


def test_special_tokens_in_a_text(tokenizer):
    assert tokenizer("北[MASK]京").tokens() == ["北", "[MASK]", "京", "[SEP]"]
    assert tokenizer("北[MASK]京")["word_input_ids"][1] == 0
    assert len(tokenizer("北[MASK]京", split_special_tokens=True).tokens()) == 9


# Offsets


@pytest.mark.parametrize("text", [*ODD, CONTEXT])
def test_offsets_go_to_the_text_of_the_user(tokenizer, text):
    encoded = tokenizer(text, "前" + text, return_offsets_mapping=True, return_special_tokens_mask=True)
    for start, end in np.array(encoded["offset_mapping"])[np.array(encoded["special_tokens_mask"]) == 0]:
        assert 0 <= start < end <= len(text) + 1
    separator = encoded["input_ids"].index(2)
    expected = [c for c in unicodedata.normalize("NFKC", text).lower() if not blank(c)]
    assert separator == len(expected)
    assert len(encoded["input_ids"]) == 2 * len(expected) + 2
    for word_text, span in [(text, slice(0, separator)), ("前" + text, slice(separator + 1, None))]:
        words = words_of(tokenizer, word_text, encoded["offset_mapping"][span])
        assert encoded["word_input_ids"][span] == ids_of(tokenizer, words)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="Σ"), max_size=30))
def test_offsets_and_words_of_any_text(tokenizer, text):
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    spans = encoded["offset_mapping"]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(one[0] <= two[0] for one, two in pairwise(spans))
    assert len(spans) == sum(not blank(c) for c in unicodedata.normalize("NFKC", text).lower())
    assert all(text[start:end] == word for word, start, end in tokenizer.segment(text))
    assert encoded["word_input_ids"] == ids_of(tokenizer, words_of(tokenizer, text, spans))


# Windows


@pytest.mark.parametrize(("max_length", "stride"), [(12, 0), (14, 3), (20, 11), (200, 5)])
@pytest.mark.parametrize("side", ["right", "left"])
def test_windows_cover_the_context_and_keep_the_words_of_the_whole(with_features, max_length, stride, side):
    made = copy.deepcopy(with_features)
    made.truncation_side = side
    whole = made(QUESTION, CONTEXT, return_offsets_mapping=True)
    length = whole["input_ids"].index(2) + 1
    of_whole = dict(
        zip(whole["offset_mapping"][length:], zip(whole["word_input_ids"][length:], whole["match_features"][length:]))
    )
    cut = made(
        [CONTEXT[:3], QUESTION], [QUESTION, CONTEXT], truncation="only_second", max_length=max_length, stride=stride,
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    windows = [i for i, sample in enumerate(cut["overflow_to_sample_mapping"]) if sample == 1]
    spans = []
    for i in windows:
        assert len(cut["input_ids"][i]) <= max_length
        assert cut["input_ids"][i][:length] == whole["input_ids"][:length]
        assert cut["word_input_ids"][i][:length] == whole["word_input_ids"][:length]
        spans.append(cut["offset_mapping"][i][length:])
        for span, row, values in zip(spans[-1], cut["word_input_ids"][i][length:], cut["match_features"][i][length:]):
            assert row == of_whole[span][0]
            np.testing.assert_array_equal(values, of_whole[span][1])
    spans.sort()
    assert len(windows) == 1 if max_length == 200 else len(windows) > 1
    for one, two in pairwise(spans):
        assert one[len(one) - stride :] == two[:stride]
    assert sum((span[stride:] for span in spans[1:]), spans[0]) == whole["offset_mapping"][length:]


def test_windows_without_the_question(tokenizer):
    whole = tokenizer(CONTEXT, add_special_tokens=False)
    cut = tokenizer(
        CONTEXT, add_special_tokens=False, truncation=True, max_length=6, stride=2, return_overflowing_tokens=True
    )
    assert 2 not in cut["input_ids"][0]
    assert [row for rows in cut["word_input_ids"][:-1] for row in rows[:4]] + cut["word_input_ids"][-1] == whole[
        "word_input_ids"
    ]


# Padding


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_by_call_and_by_pad(with_features, side):
    questions, contexts = [QUESTION, "京"], [CONTEXT, "北京 苏剑林"]
    rows = [with_features(*pair) for pair in zip(questions, contexts)]
    padded = with_features(questions, contexts, padding=True, padding_side=side, return_tensors="pt")
    assert {name: column.dtype for name, column in padded.items()} == {
        **dict.fromkeys(("input_ids", "token_type_ids", "attention_mask", "word_input_ids"), torch.int64),
        "match_features": torch.float32,
    }
    length = len(rows[0]["input_ids"])
    assert padded["match_features"].shape == (2, length, 8)
    missing = length - len(rows[1]["input_ids"])
    assert missing > 0
    pad, real = (slice(missing), slice(missing, None)) if side == "left" else (slice(-missing, None), slice(-missing))
    for name in padded:
        assert not padded[name][1, pad].any()
        assert torch.equal(padded[name][1, real], torch.tensor(np.array(rows[1][name])))
    lists = [
        {name: value.tolist() if name == "match_features" else value for name, value in row.items()} for row in rows
    ]
    tensors = [{name: torch.tensor(np.array(value)) for name, value in row.items()} for row in rows]
    for given_rows in (rows, lists, tensors):
        again = with_features.pad(given_rows, padding_side=side, return_tensors="pt")
        assert again.keys() == padded.keys()
        for name in padded:
            assert again[name].dtype == padded[name].dtype
            assert torch.equal(again[name], padded[name]), name
    as_arrays = with_features.pad(rows, padding="max_length", max_length=50, return_tensors="np")
    assert {column.shape[1] for column in as_arrays.values()} == {50}
    assert as_arrays["match_features"].dtype == np.float32
    alone = with_features.pad(with_features(QUESTION, CONTEXT), padding="max_length", max_length=50)
    assert [len(alone[name]) for name in padded] == [50] * 5


def test_padding_to_a_multiple_and_tensors_of_one_record(with_features):
    encoded = with_features(QUESTION, CONTEXT, padding=True, pad_to_multiple_of=32, return_tensors="pt")
    assert {tuple(column.shape[:2]) for column in encoded.values()} == {(1, 64)}


# Features


def test_match_features_are_those_of_the_words(with_features):
    encoded = with_features(QUESTION, CONTEXT, return_offsets_mapping=True)
    question = ["科学空间", "在", "哪", "?"]
    context = [
        "苏剑林",
        "在",
        "北京大学",
        ",",
        "写",
        "科学空间",
        "(",
        "c",
        "n",
        "n",
        ")",
        "...",
        "😀",
        "。",
        "也",
        "讲",
        "1",
        "m2",
        "。",
    ]
    assert [unicodedata.normalize("NFKC", word).lower() for word, _, _ in with_features.segment(CONTEXT)] == context
    by_word = match_features(question, context)
    values, length = encoded["match_features"], encoded["input_ids"].index(2) + 1
    assert values.dtype == np.float32
    assert values.shape == (len(encoded["input_ids"]), 8)
    assert not values[:length].any()
    starts = [start for _, start, _ in with_features.segment(CONTEXT)]
    for (start, _), row in zip(encoded["offset_mapping"][length:], values[length:]):
        np.testing.assert_array_equal(row, by_word[np.searchsorted(starts, start, "right") - 1])
    assert values[length + 3, 0] == 1  # 在
    assert values[length, 0] == 0  # 苏剑林
    assert "match_features" not in with_features(QUESTION)


def test_passages_of_one_question_see_each_other(with_features):
    contexts = ["苏剑林在北京。", "北京大学在北京。", "科学空间。"]
    alone = with_features([QUESTION] * 3, contexts)["match_features"]
    grouped = with_features([QUESTION] * 3, contexts, passage_groups=[7, 7, 4])["match_features"]
    np.testing.assert_array_equal(alone[2], grouped[2])
    words = [[word for word, _, _ in with_features.segment(context)] for context in contexts]
    for one, other in [(0, 1), (1, 0)]:
        expected = match_features(["科学空间", "在", "哪", "?"], words[one], [words[other]])
        lengths = [len(word) for word in words[one]]
        np.testing.assert_array_equal(grouped[one][8:], np.repeat(expected, lengths, axis=0))
        assert (grouped[one] != alone[one]).any()


def test_each_text_of_a_call_is_cut_once():
    seen = []
    made = DGCNNTokenizer(word_vocab=["[PAD]", "[UNK]"], segmenter=lambda text: seen.append(text) or [text])
    seen.clear()
    made(["甲", "乙", "甲"], ["长", "长", "短"])
    assert sorted(seen) == ["乙", "甲", "短", "长"]


# Saving and loading

LOAD = """
import json, sys
from transformers import AutoTokenizer

def report(tokenizer):
    encoded = tokenizer(*sys.argv[2:])
    print(json.dumps({
        "class": type(tokenizer).__name__, "ids": encoded["input_ids"], "words": encoded["word_input_ids"],
        "features": encoded["match_features"].tolist(), "dictionary": tokenizer.dictionary,
        "segmenter": tokenizer.segmenter, "fingerprint": tokenizer.segmentation_fingerprint,
        "columns": tokenizer.model_input_names, "length": tokenizer.model_max_length,
    }))

sys.modules["hf_kexue"] = None  # the code that travels with the files does without the package
report(AutoTokenizer.from_pretrained(sys.argv[1] + "/remote", trust_remote_code=True))
del sys.modules["hf_kexue"]
from hf_kexue.dgcnn.configuration_dgcnn import DGCNNConfig
from hf_kexue.dgcnn.tokenization_dgcnn import DGCNNTokenizer
AutoTokenizer.register(DGCNNConfig, tokenizer_class=DGCNNTokenizer, exist_ok=True)
report(AutoTokenizer.from_pretrained(sys.argv[1] + "/plain"))
"""


def test_round_trip_through_files_in_a_fresh_process(with_features, tmp_path, monkeypatch):
    made = copy.deepcopy(with_features)
    made.model_max_length = 300
    made(QUESTION, CONTEXT, padding="max_length", max_length=99, truncation=True)  # leaves no trace in the files
    made.save_pretrained(tmp_path / "plain")
    monkeypatch.setattr(DGCNNTokenizer, "_auto_class", "AutoTokenizer")  # what register_for_auto_class does
    made.save_pretrained(tmp_path / "remote")
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    expected = made(QUESTION, CONTEXT)
    finished = in_fresh_process(LOAD, tmp_path, QUESTION, CONTEXT)
    for line in finished.stdout.splitlines():
        assert json.loads(line) == {
            "class": "DGCNNTokenizer", "ids": expected["input_ids"], "words": expected["word_input_ids"],
            "features": expected["match_features"].tolist(), "dictionary": ["科学空间", "苏剑林"],
            "segmenter": "rjieba", "fingerprint": made.segmentation_fingerprint,
            "columns": made.model_input_names, "length": 300,
        }  # fmt: skip
    assert len(finished.stdout.splitlines()) == 2
    state = json.loads((tmp_path / "plain" / "tokenizer.json").read_text(encoding="utf-8"))
    assert (state["truncation"], state["padding"]) == (None, None)
    assert (tmp_path / "plain" / "dictionary.txt").read_text(encoding="utf-8") == "科学空间\n苏剑林\n"
    written = (tmp_path / "plain" / "word_vocab.txt").read_text(encoding="utf-8")
    assert written.split("\n")[:-1] == made.word_vocab


def test_loading_with_another_dictionary_warns_with_both_fingerprints(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = DGCNNTokenizer.from_pretrained(tmp_path)
    assert loaded(CONTEXT)["word_input_ids"] == tokenizer(CONTEXT)["word_input_ids"]
    other = DGCNNTokenizer(word_vocab=tokenizer.word_vocab).segmentation_fingerprint
    with pytest.warns(UserWarning, match=f"(?s){other}.*{tokenizer.segmentation_fingerprint}"):
        DGCNNTokenizer.from_pretrained(tmp_path, dictionary=[])
    assert DGCNNTokenizer.from_pretrained(tmp_path, match_features=True)("甲", "乙")["match_features"].shape == (3, 8)


def test_word_files_must_fit(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    words = tmp_path / "word_vocab.txt"
    size = tokenizer.word_vocab_size
    words.write_text(words.read_text(encoding="utf-8") + "又\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"word_vocab\.txt .*{size} .*{size + 1}"):
        DGCNNTokenizer.from_pretrained(tmp_path)
    words.unlink()
    with pytest.raises(ValueError, match=r"word_vocab\.txt .* must hold .* missing"):
        DGCNNTokenizer.from_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    DGCNNTokenizer(vocab=tokenizer.get_vocab()).save_pretrained(tmp_path)  # over the old files: theirs are not taken
    loaded = DGCNNTokenizer.from_pretrained(tmp_path)
    assert (loaded.word_vocab, loaded.dictionary) == (None, [])


def test_words_of_any_spelling_survive_the_file(tmp_path):
    words = ["[PAD]", "[UNK]", " ", "New York", "a\r", "b\u2028c", "\x85", "\ufeff"]
    DGCNNTokenizer(word_vocab=words, segmenter="none").save_pretrained(tmp_path)
    assert DGCNNTokenizer.from_pretrained(tmp_path).word_vocab == words


def test_copies_for_the_workers_of_a_loader(with_features):
    expected = with_features(QUESTION, CONTEXT)
    for made in (pickle.loads(pickle.dumps(with_features)), copy.deepcopy(with_features)):
        encoded = made(QUESTION, CONTEXT)
        assert encoded["word_input_ids"] == expected["word_input_ids"]
        np.testing.assert_array_equal(encoded["match_features"], expected["match_features"])


# Segmenters


def spaces_and_pairs(text):
    return [part[i : i + 2] for part in text.split() for i in range(0, len(part), 2)]


def test_a_function_as_segmenter(tmp_path):
    made = DGCNNTokenizer.from_texts(["甲乙丙 甲乙"], 1, 1, segmenter=spaces_and_pairs)
    assert made.segment(" 甲乙丙\n丁") == [("甲乙", 1, 3), ("丙", 3, 4), ("丁", 5, 6)]
    assert made("甲乙丙")["word_input_ids"] == [2, 2, 3, 0]
    assert made.segmenter == "custom"
    assert pickle.loads(pickle.dumps(made))("甲乙丙")["word_input_ids"] == [2, 2, 3, 0]
    made.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"function of someone's own.*segmenter=function"):
        DGCNNTokenizer.from_pretrained(tmp_path)
    assert DGCNNTokenizer.from_pretrained(tmp_path, segmenter=spaces_and_pairs)("甲乙")["word_input_ids"] == [2, 2, 0]
    with pytest.warns(UserWarning, match="cuts otherwise"):
        DGCNNTokenizer.from_pretrained(tmp_path, segmenter=str.split)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda text: ["甲", "丁"], ValueError, "'丁', which does not stand in the text after character 1"),
        (lambda text: ["乙", "甲"], ValueError, "'甲', which does not stand in the text after character 2"),
        (lambda text: [("甲", 0, 1)], TypeError, "must give a list of strings, it gave tuple"),
    ],
)
def test_a_function_that_gives_no_words_of_the_text(function, error, message):
    made = DGCNNTokenizer(segmenter=function)
    with pytest.raises(error, match=message):
        made.segment("甲乙")


@needs_jieba
def test_rjieba_and_jieba_cut_alike_and_give_the_text_back():
    dictionary = ("科学空间", "苏剑林", "在北京大学")
    one, other = (load_segmenter(name, dictionary) for name in ("rjieba", "jieba"))
    for text in [*CORPUS, *ODD, CONTEXT, PROBE, "a b\r\n c\u3000d", "3.14%的C++ x-y"]:
        assert one(text) == other(text)
        assert "".join(one(text)) == text
    assert "在北京大学" in one(CONTEXT)
    assert "在北京大学" not in load_segmenter("rjieba")(CONTEXT)


@needs_jieba
def test_frequent_words_in_the_dictionary_change_neither_segmenter():
    """Words that jieba knows already: it would count their frequencies twice."""
    known = importlib.import_module("jieba").Tokenizer()
    known.initialize()
    texts = ["特别是在夏天", "会议内容丰富", "势力领先于对手", "他欺负人了", *CORPUS, CONTEXT]
    words = sorted((word for word in known.FREQ if len(word) > 1), key=lambda word: -known.FREQ[word])
    dictionary = tuple(word for word in words[:200] if not any(word in text for text in texts))
    one, other = (load_segmenter(name, dictionary) for name in ("rjieba", "jieba"))
    for text in texts:
        assert one(text) == other(text) == load_segmenter("rjieba")(text)


FALL_BACK = """
import sys
sys.modules["rjieba"] = None
from hf_kexue.dgcnn.tokenization_dgcnn import DGCNNTokenizer
for _ in range(3):
    tokenizer = DGCNNTokenizer(segmenter="rjieba", match_features=True)
print(tokenizer.segmentation_fingerprint, *tokenizer.segment(sys.argv[1]))
"""


@needs_jieba
def test_jieba_stands_in_for_rjieba_with_one_warning():
    finished = in_fresh_process(FALL_BACK, PROBE)
    assert finished.stderr.count("UserWarning") == 1
    assert "'rjieba' is not installed; jieba is taken instead" in finished.stderr
    assert "Building prefix dict" not in finished.stderr
    made = DGCNNTokenizer(match_features=True)
    assert finished.stdout.strip() == " ".join(map(str, [made.segmentation_fingerprint, *made.segment(PROBE)]))


def test_no_segmenter_at_all_raises(monkeypatch):
    for name in ("rjieba", "jieba"):
        monkeypatch.setitem(sys.modules, name, None)
    words = {"word_vocab": ["[PAD]", "[UNK]"], "dictionary": ["不在别处"]}  # a segmenter not loaded before
    with pytest.raises(ImportError, match=r"pip install rjieba"):
        DGCNNTokenizer(**words)
    with pytest.raises(ImportError, match="pip install jieba"):
        DGCNNTokenizer(**words, segmenter="jieba")
    assert DGCNNTokenizer()("好")["input_ids"] == [1, 2]


# What is refused


@pytest.mark.parametrize(
    ("texts", "pairs", "error", "message"),
    [
        (["好", "a\ud83d"], ["甲", "乙"], ValueError, r"Record 1 .*question holds U\+D83D at character 1, one half"),
        (["好", "好"], ["甲", "\udc00"], ValueError, r"Record 1 .*context holds U\+DC00"),
        ("\ud800", None, ValueError, r"Record 0 .*text holds U\+D800"),
        (["好", None], ["甲", "乙"], TypeError, "Record 1 .*question must be a string, got NoneType"),
        (["好", "好"], ["甲", None], TypeError, "Record 1 .*context must be a string, got NoneType"),
        (["好"], [7], TypeError, "Record 0 .*context must be a string, got int"),
        (7, None, TypeError, "text must be a string, or a list of strings .* got int"),
        ("好", ["甲"], TypeError, "two strings or two lists of strings, got str and list"),
        (["好"], "甲", TypeError, "two strings or two lists of strings, got list and str"),
        (["好", "好"], ["甲"], ValueError, "one context a question, got 2 questions, 1 contexts"),
        ([], None, ValueError, "at least one text, the list is empty"),
        ([], [], ValueError, "at least one question, the list is empty"),
    ],
)
def test_bad_input_raises_with_the_number_of_the_record(tokenizer, texts, pairs, error, message):
    with pytest.raises(error, match=message):
        tokenizer(texts, pairs)


def test_pairs_in_a_list_and_empty_strings(tokenizer, with_features):
    pairs = [("好的", "甲"), ("", "乙丙"), (" \u200b", "")]
    for one in (tokenizer, with_features):
        columns = one(*map(list, zip(*pairs)))
        together = one(pairs)
        assert together["input_ids"] == columns["input_ids"]
        assert together["token_type_ids"] == columns["token_type_ids"]
        assert one("")["input_ids"] == one("", "")["input_ids"] == [2]
    assert not with_features("", "乙丙")["match_features"].any()


def test_train_new_from_iterator():
    """The settings of the old one, the characters and words of the new corpus, most frequent first."""
    old = DGCNNTokenizer.from_texts(["白云山下的科学空间"] * 3, dictionary=["科学空间"], match_features=True)
    batches = iter([["镭镭镭居里居里", "居里夫人"], ["夫人"], "镭"])
    new = old.train_new_from_iterator(batches, 7)
    assert sorted(new.get_vocab(), key=new.get_vocab().get) == [
        *["[PAD]", "[UNK]", "[SEP]", "[MASK]"],
        "镭",
        "居",
        "里",
    ]
    assert (new.dictionary, new.match_features, new.segmenter) == (old.dictionary, True, "rjieba")
    assert new.word_vocab[:2] == ["[PAD]", "[UNK]"]
    characters = DGCNNTokenizer.from_texts(["甲乙"], min_count=1, segmenter="none")
    assert characters.train_new_from_iterator(["丙"], 100).word_vocab is None


def test_an_empty_context_is_allowed(with_features):
    assert with_features("好", "").tokens() == ["[UNK]", "[SEP]"]
    encoded = with_features(["好", "好"], ["", " \n"])
    assert encoded["input_ids"] == [[1, 2], [1, 2]]
    assert [features.shape for features in encoded["match_features"]] == [(2, 8), (2, 8)]
    assert with_features("", add_special_tokens=False)["word_input_ids"] == []


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        (CONTEXT, {"max_length": 8}, "a question of 7 leaves 0 tokens for the context, .* more than the stride 0"),
        (CONTEXT, {"max_length": 12, "stride": 4}, "leaves 4 tokens for the context, .* more than the stride 4"),
        (None, {"max_length": 7}, "question of 7 does not fit, .*only_second.* no context to cut"),
    ],
)
def test_windows_without_room_raise(tokenizer, pairs, options, message):
    contexts = None if pairs is None else ["短", pairs]
    with pytest.raises(ValueError, match=f"Record 1 .*{message}"):
        tokenizer(["好", QUESTION], contexts, truncation="only_second", **options)
    tokenizer(["好", QUESTION], contexts, truncation="only_second", max_length=100, stride=options.get("stride", 0))


def test_windows_with_just_enough_room(tokenizer):
    cut = {"truncation": "only_second", "return_overflowing_tokens": True}
    assert len(tokenizer(QUESTION, "在" * 5, max_length=9, **cut)["input_ids"]) == 5
    assert len(tokenizer(QUESTION, "在" * 6, max_length=13, stride=4, **cut)["input_ids"]) == 2
    assert len(tokenizer(QUESTION, "在" * 4, max_length=12, stride=4, **cut)["input_ids"]) == 1  # nothing to cut


def test_other_arguments_that_are_refused(tokenizer):
    with pytest.raises(ValueError, match="word"):
        tokenizer(["好"], is_split_into_words=True)
    with pytest.raises(ValueError, match="2, got 1"):
        tokenizer(["好", "好"], ["甲", "乙"], passage_groups=[0])
    with pytest.raises(TypeError, match="NoneType"):
        tokenizer.segment(None)
    with pytest.raises(TypeError, match="string"):
        DGCNNTokenizer.from_texts("甲乙")
    with pytest.raises(ValueError, match=r"Text 1 .*U\+D800"):
        DGCNNTokenizer.from_texts(["甲", "\ud800"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"vocab": {"a": 0}}, ValueError, r"first for \[PAD\], .* the first 'a'"),
        ({"vocab": {"[PAD]": 0, "[UNK]": 1, "[SEP]": 2, "[MASK]": 4}}, ValueError, "once each"),
        ({"vocab": ["a"]}, TypeError, "dictionary from characters to ids, got list"),
        ({"word_vocab": ["[UNK]", "[PAD]"]}, ValueError, r"must start with \[PAD\], \[UNK\]"),
        ({"word_vocab": ["[PAD]", "[UNK]", "甲", "甲"]}, ValueError, "every word once; number 3, '甲'"),
        ({"word_vocab": ["[PAD]", "[UNK]", "a\nb"]}, ValueError, "line feeds; number 2"),
        ({"word_vocab": "词"}, TypeError, "word_vocab must be a list of words, got str"),
        ({"dictionary": ["甲 乙"]}, ValueError, "white space, .* number 0 is '甲 乙'"),
        ({"dictionary": ["甲", ""]}, ValueError, "number 1 is ''"),
        ({"dictionary": ["甲", 3]}, TypeError, "Number 1 of dictionary must be a string, got int"),
        ({"dictionary": ["\ud800"]}, ValueError, r"Number 0 of dictionary holds U\+D800"),
        ({"segmenter": "pkuseg"}, ValueError, "rjieba, jieba, none or a function .* got 'pkuseg'"),
        ({"segmenter": 3}, TypeError, "rjieba, jieba, none or a function .* got int"),
        ({"segmenter": "none", "dictionary": ["甲"]}, ValueError, r"segmenter is 'none'.*dictionary=\[\]"),
        ({"segmenter": list, "dictionary": ["甲"]}, ValueError, r"a function of your own.*dictionary=\[\]"),
    ],
)
def test_constructor_says_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        DGCNNTokenizer(**arguments)

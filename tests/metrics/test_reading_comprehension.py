"""CMRC 2018 and SogouQA: each rule of the definitions by hand, brute-force twins, and properties."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_kexue.metrics import cmrc2018_metric, cmrc2018_scores, sogouqa_metric, sogouqa_scores

CMRC_VALIDATION = Path(__file__).resolve().parents[3] / "shared" / "data" / "cmrc2018" / "validation.jsonl.gz"
CMRC_PUNCTUATION = list("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")  # and the entry "……", of two characters
KEPT = list("‘.,!?()…;[]")

few_characters = st.text(st.sampled_from("中国人民ab，。（）?… "), max_size=8)
answers = st.lists(few_characters, min_size=1, max_size=3)


def cmrc(prediction, *golds):
    scores = cmrc2018_scores({"q": prediction}, {"q": golds})
    return scores["exact_match"], scores["f1"]


def sogou(prediction, *accepted):
    scores = sogouqa_scores({"q": prediction}, {"q": accepted})
    return scores["accuracy"], scores["f1"]


def f1(common, predicted, gold):
    precision, recall = common / predicted, common / gold
    return 100 * 2 * precision * recall / (precision + recall)


# CMRC 2018 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", CMRC_PUNCTUATION)
def test_cmrc_deletes_its_punctuation(mark):
    assert cmrc(f"中{mark}国{mark}", "中国") == (100, 100)
    assert cmrc(f"a{mark}b", "ab") == (100, 100)  # deleted, not turned into a space


@pytest.mark.parametrize("mark", KEPT)
def test_cmrc_keeps_all_other_marks(mark):
    exact, overlap = cmrc(f"中{mark}国", "中国")
    assert exact == 0
    assert overlap == pytest.approx(f1(1, 3, 2))  # the mark is a segment of its own and breaks the run


def test_cmrc_keeps_an_ellipsis():
    """Its entry has two characters, so it meets neither one character nor two."""
    assert cmrc("中国……", "中国")[0] == 0
    assert cmrc("中国……", "中国……") == (100, 100)


@pytest.mark.parametrize(
    ("prediction", "gold", "common", "predicted_segments", "gold_segments"),
    [
        ("北京大学", "北京的大学", 2, 4, 5),  # a run: as a subsequence or a bag 4 would be common
        ("大学北京", "北京大学", 2, 4, 4),
        ("人人", "人", 1, 2, 1),
        ("共三十年", "三十年间", 3, 4, 4),
        ("New York City", "new york", 2, 3, 2),  # words, in lower case
        ("don't", "do", 1, 2, 1),  # the tokenizer makes "do" and "n't"
        ("在Windows 10中", "windows10", 0, 4, 1),
        ("在Windows 10中", "windows 10", 2, 4, 2),
        ("iphone 6s手机", "手机iphone 6s", 2, 4, 4),
        ("3.5%", "3.5", 1, 2, 1),
        ("龥a龦b", "a龦b", 1, 2, 1),  # U+9FA5 is the last character that stands alone, the next is part of a word
        ("龦b", "b", 0, 1, 1),
    ],
)
def test_cmrc_f1_by_hand(prediction, gold, common, predicted_segments, gold_segments):
    expected = f1(common, predicted_segments, gold_segments) if common else 0
    assert cmrc(prediction, gold) == (0, pytest.approx(expected))


def test_cmrc_exact_match_compares_strings():
    assert cmrc(" ABC，", "abc") == (100, 100)
    assert cmrc("a b", "ab")[0] == 0
    assert cmrc("new  york", "new york") == (0, 100)  # equal segments, yet not equal strings
    assert cmrc("。", "，") == (100, 0)  # nothing is left of either: equal, and no segment in common


def test_cmrc_takes_the_best_reference():
    assert cmrc("中国人", "人民", "中国人民", "中国") == (0, pytest.approx(f1(3, 3, 4)))
    assert cmrc("人民", "中国", "人民")[0] == 100


def test_cmrc_counts_what_is_missing():
    references = {"a": ["中国"], "b": ["人民"], "c": ["北京"], "d": ["上海"]}
    scores = cmrc2018_scores({"a": "中国", "b": "人", "elsewhere": "x"}, references)
    expected = (100 + f1(1, 1, 2)) / 4
    assert scores == {
        "exact_match": 25,
        "f1": pytest.approx(expected),
        "average": pytest.approx((25 + expected) / 2),
        "total": 4,
        "missing": 2,
    }


def longest_run_by_search(first, second):
    """Every run of the one, looked for everywhere in the other."""
    runs = {second[i:j] for i in range(len(second)) for j in range(i + 1, len(second) + 1)}
    return max(
        (j - i for i in range(len(first)) for j in range(i + 1, len(first) + 1) if first[i:j] in runs), default=0
    )


@settings(deadline=None)  # the first call may import a library, and machines may be busy
@given(st.text("中国人民", min_size=1, max_size=12), st.text("中国人民", min_size=1, max_size=12))
def test_cmrc_longest_run_against_search(prediction, gold):
    common = longest_run_by_search(prediction, gold)
    expected = f1(common, len(prediction), len(gold)) if common else 0
    assert cmrc(prediction, gold)[1] == pytest.approx(expected)


@settings(deadline=None)
@given(few_characters, answers)
def test_cmrc_properties(prediction, golds):
    exact, overlap = cmrc(prediction, *golds)
    assert exact in (0, 100)
    assert 0 <= overlap <= 100
    assert cmrc(golds[0], prediction)[1] == pytest.approx(cmrc(prediction, golds[0])[1])
    assert cmrc(f" {prediction}，", *golds[::-1]) == (exact, overlap) or prediction != prediction.strip()
    assert cmrc(prediction, *golds, prediction)[0] == 100
    assert cmrc(prediction, *golds, "民")[1] >= overlap


@settings(deadline=None)
@given(st.text(), st.lists(st.text(), min_size=1, max_size=2))
def test_any_text_has_scores(prediction, golds):
    assert 0 <= cmrc(prediction, *golds)[1] <= 100
    assert 0 <= sogou(prediction, *golds)[1] <= 1


@pytest.mark.skipif(not CMRC_VALIDATION.is_file(), reason="needs the validation split of CMRC 2018 beside the project")
def test_cmrc_of_its_own_references():
    with gzip.open(CMRC_VALIDATION, "rt", encoding="utf-8") as lines:
        references = {row["id"]: row["answers"]["text"] for row in map(json.loads, lines)}
    scores = cmrc2018_scores({key: golds[-1] for key, golds in references.items()}, references)
    assert scores == {"exact_match": 100, "f1": 100, "average": 100, "total": 3219, "missing": 0}


def test_without_nltk():
    code = "import sys; sys.modules['nltk'] = None\nimport hf_kexue; hf_kexue.cmrc2018_scores({}, {'a': ['b']})"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = finished.stderr.strip().splitlines()[-1]
    assert last == 'ImportError: cmrc2018_scores needs the package nltk: pip install "hf-kexue[metrics]".'


# SogouQA -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prediction", "accepted", "accuracy", "overlap"),
    [
        ("林海音", ["林海音", "林含英"], 1, 1),
        ("林含英", ["林海音", "林含英"], 1, 1),
        ("ＡＧＭ　Ｘ２", ["agmx2"], 1, 1),  # full width, case and blanks
        ("《三国 演义》！", ["三国演义"], 1, 1),
        ("三国演义", ["《三国演义》"], 1, 1),  # the accepted answer is normalised too
        ("……", ["中国"], 0, 0),
        ("", ["中国"], 0, 0),
        (" \t", ["中国"], 0, 0),
        ("ｘ９", ["X9"], 1, 1),
        ("", [""], 0, 0),
        (" ", [""], 0, 0),  # an empty prediction is wrong, whatever is accepted
        ("印度、巴西", ["巴西 印度"], 1, 1),  # the same set of parts
        (" 印度、巴西 ", ["巴西 印度"], 1, 1),
        ("印度，巴西", ["巴西 印度", "巴西印度"], 1, 1),
        ("印度 巴西 印度", ["巴西 印度"], 1, 4 / 5),  # sets do not count
        ("印度、 巴西", ["巴西 印度"], 0, 1),  # two separators leave an empty part
        ("Ｂ、a", ["A b"], 1, 1),
        ("印度 巴西", ["金砖", "巴西 印度"], 0, 1),  # parts are those of the standard answer alone
        ("人人民", ["人民民"], 0, 2 / 3),  # multisets: one 人 and one 民 in common
        ("10年", ["十年", "10"], 0, 4 / 5),  # the best over the accepted answers
        ("10年", ["10", "十年"], 0, 4 / 5),
        ("上海", ["北京"], 0, 0),
    ],
)
def test_sogou_by_hand(prediction, accepted, accuracy, overlap):
    assert sogou(prediction, *accepted) == (accuracy, pytest.approx(overlap))


@pytest.mark.parametrize("mark", ["`", "@", "%", "…", "‰", "→", "☆", "·", "、", "【", "×", "￥", "＿", "～", "\u3000"])
def test_sogou_drops_its_punctuation(mark):
    assert sogou(f"中{mark}国", "中国") == (1, 1)
    assert sogou(f"b{mark}a", "a b")[0] == 1  # it separates


@pytest.mark.parametrize("mark", ["‐", "a", "㎡", "⑴"])
def test_sogou_keeps_other_marks(mark):
    assert sogou(f"中{mark}国", "中国") == (0, pytest.approx(4 / 5))


def test_sogou_means():
    answers = {"a": ["中国"], "b": ["人民"], "c": ["北京"]}
    scores = sogouqa_scores({"a": "中国", "b": "人"}, answers)
    accuracy, overlap = 1 / 3, (1 + 2 / 3) / 3
    assert scores == {
        "accuracy": pytest.approx(accuracy),
        "f1": pytest.approx(overlap),
        "final": pytest.approx((accuracy + overlap) / 2),
        "total": 3,
        "missing": 1,
    }


def multiset_f1_by_removal(prediction, accepted):
    """Characters of the prediction are crossed out of the answer one by one."""
    left, common = list(accepted), 0
    for character in prediction:
        if character in left:
            left.remove(character)
            common += 1
    return f1(common, len(prediction), len(accepted)) / 100 if common else 0


@settings(deadline=None)
@given(st.text("中国人民ab1", min_size=1, max_size=9), st.lists(st.text("中国人民ab1", max_size=9), min_size=1))
def test_sogou_f1_against_crossing_out(prediction, accepted):
    accuracy, overlap = sogou(prediction, *accepted)
    assert overlap == pytest.approx(max(multiset_f1_by_removal(prediction, answer) for answer in accepted))
    assert accuracy == (prediction in accepted)


@settings(deadline=None)
@given(few_characters, answers)
def test_sogou_properties(prediction, accepted):
    accuracy, overlap = sogou(prediction, *accepted)
    assert sogou(f"《{prediction.upper()}》", *accepted)[1] == overlap
    assert sogou(prediction, *accepted, prediction)[0] == (prediction.strip() != "")
    assert sogou(prediction, *accepted, "民")[0] == accuracy or prediction.strip("，。（）?… ") == "民"


# Both --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scores", [cmrc2018_scores, sogouqa_scores])
@pytest.mark.parametrize(
    ("predictions", "references", "error", "message"),
    [
        (["中国"], {"a": ["中国"]}, TypeError, "predictions is a list"),
        ({"a": "中国"}, [["中国"]], TypeError, "is a list"),
        ({"a": None}, {"a": ["中国"]}, TypeError, r"predictions\['a'\] is a NoneType"),
        ({"a": "中国"}, {"a": "中国"}, TypeError, r"\['a'\] is '中国'; .* list of strings"),
        ({"a": "中国"}, {"a": ["中国", 3]}, TypeError, "list of strings"),
        ({"a": "中国"}, {"a": []}, ValueError, r"\['a'\] is empty"),
        ({}, {}, ValueError, "at least one question"),
    ],
)
def test_bad_input(scores, predictions, references, error, message):
    with pytest.raises(error, match=message):
        scores(predictions, references)


def test_sogou_refuses_unknown_questions():
    with pytest.raises(ValueError, match="'b', which answers has not"):
        sogouqa_scores({"b": "中国"}, {"a": ["中国"]})


@pytest.mark.parametrize(("make", "function"), [(cmrc2018_metric, cmrc2018_scores), (sogouqa_metric, sogouqa_scores)])
def test_evaluate_metrics_return_what_the_functions_return(make, function, tmp_path):
    pytest.importorskip("evaluate", reason='needs pip install "hf-kexue[metrics]"')
    predictions, references = ["北京大学", "", "10年"], [["北京", "北大"], ["上海"], ["十年", "10年"]]
    metric = make(cache_dir=str(tmp_path))
    for part in (slice(0, 1), slice(1, 3)):
        metric.add_batch(predictions=predictions[part], references=references[part])
    assert metric.compute() == function(dict(enumerate(predictions)), dict(enumerate(references)))


@pytest.mark.parametrize(
    ("prediction", "gold", "f1"),
    [
        # segments: left . he | he: without sentences "left." would be one word
        ("left. he", "left", 2 * 1 / (3 + 1)),
        ("dr. smith", "dr. smith", 1.0),
        ("dr. smith", "dr", 0.0),  # "dr." is one word, since an abbreviation ends no sentence
        ("yes! no", "yes!", 2 * 2 / (3 + 2)),
        ("etc. more", "etc", 2 * 1 / (3 + 1)),  # the model that nltk hands out does not know this one
        ("a.d. vision", "vision", 2 * 1 / (2 + 1)),
        ("3. managers", "3", 0.0),  # neither does a number before a word in lower case
        ("3. administrators", "3", 2 * 1 / (3 + 1)),  # but for words that begin sentences in lower case there
    ],
)
def test_cmrc_splits_sentences_before_words(prediction, gold, f1):
    assert cmrc2018_scores({"a": prediction}, {"a": [gold]})["f1"] == pytest.approx(100 * f1)

"""The scorer of triples against a twin that reads the published rule line by line, and against numbers by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_kexue.dgcnn.thresholds_dgcnn_triples import Candidate, ThresholdSearch
from hf_kexue.metrics import triple_metric, triple_scores

GOLD = [("一", [("甲", "作者", "乙"), ("甲", "歌手", "丙")]), ("二", [("丁", "作者", "戊")])]


def scores(predictions, references=GOLD, **kwargs):
    return triple_scores(predictions, references, **kwargs)


def numbers(result):
    return tuple(result[name] for name in ("correct", "found", "predicted", "gold"))


def test_by_hand():
    result = scores([("一", [("甲", "作者", "乙"), ("乙", "作者", "甲")]), ("二", [("丁", "作者", "戊")])])
    assert numbers(result) == (2, 2, 3, 3)
    assert result == {
        "precision": 2 / 3, "recall": 2 / 3, "f1": pytest.approx(2 / 3), "correct": 2, "found": 2, "predicted": 3,
        "gold": 3,
    }  # fmt: skip


def test_nothing_predicted_and_nothing_there():
    assert scores([])["f1"] == scores([("一", [])])["precision"] == 0
    assert numbers(scores([])) == (0, 0, 0, 3)
    nothing = triple_scores([("一", [("甲", "作者", "乙")])], [("一", [])])
    assert (nothing["precision"], nothing["recall"], numbers(nothing)) == (0, 0, (0, 0, 1, 0))


def test_texts_are_the_keys():
    """The last record of a text counts; texts without a reference do not; a triple counts once."""
    right = ("甲", "作者", "乙")
    twice = [("一", [right]), ("一", [right, right, ("甲", "歌手", "丙")]), ("三", [right])]
    assert numbers(scores(twice, [*GOLD, ("二", [])])) == (2, 2, 2, 2)


@pytest.mark.parametrize(
    ("given_", "gold", "equal"),
    [
        ("ABC", "abc", True), ("《甲》", "甲", True), ("《甲》", "《甲》", True), ("《《甲》》", "《甲》", False),
        ("《《甲》》", "甲", False), ("《甲", "甲", False), ("甲 ", "甲", False), ("ＡＢＣ", "abc", False),
        ("“甲”", "甲", False),
    ],
)  # fmt: skip
def test_what_is_equal(given_, gold, equal):
    for side in (0, 2):
        triples = [["x", "p", "y"], ["x", "p", "y"]]
        triples[0][side], triples[1][side] = given_, gold
        assert triple_scores([("一", [triples[0]])], [("一", [triples[1]])])["correct"] == equal
    assert triple_scores([("一", [("x", "P", "y")])], [("一", [("x", "p", "y")])])["correct"] == 0


def test_aliases_and_locations_by_hand():
    aliases = {"鲁迅": ["周树人"], "Zhou": ["鲁迅"]}
    gold = [("一", [("阿Q正传", "作者", "鲁迅"), ("鲁迅", "出生地", "浙江")])]

    def of(*triples, **kwargs):
        return numbers(triple_scores([("一", triples)], gold, aliases=aliases, **kwargs))

    assert of(("阿q正传", "作者", "ZHOU")) == (1, 1, 1, 2)
    assert of(("阿Q正传", "作者", "周树人")) == (0, 0, 1, 2)  # an alias leads one way
    assert of(("阿Q正传", "作者", "鲁迅"), ("阿Q正传", "作者", "Zhou")) == (1, 1, 1, 2)  # aliases of each other
    assert of(("鲁迅", "出生地", "绍兴")) == (0, 0, 1, 2)
    places = {"locations": {"浙江": ["绍兴"]}}
    assert of(("鲁迅", "出生地", "绍兴"), **places) == (1, 1, 1, 2)
    assert of(("zhou", "出生地", "绍兴"), **places) == (1, 1, 1, 2)
    assert of(("鲁迅", "出生地", "绍兴"), ("鲁迅", "出生地", "浙江"), **places) == (2, 1, 2, 2)


NAMES = st.sampled_from(["甲", "乙", "丙", "A", "a", "《甲》"])
TRIPLE = st.tuples(NAMES, st.sampled_from("pq"), NAMES)
RECORDS = st.lists(st.tuples(st.sampled_from("一二三"), st.lists(TRIPLE, max_size=4)), max_size=4)
DICTIONARY = st.dictionaries(NAMES, st.lists(NAMES, max_size=3), max_size=3)


def published(predictions, references, aliases, locations):
    """The rule of the published script in its own order: sets by text, aliases taken out, two counts of hits."""

    def tidy(mention):
        mention = mention.lower()
        return mention[1:-1] if mention[:1] == "《" and mention[-1:] == "》" else mention

    def table(records):
        return {text: list(dict.fromkeys((tidy(s), p, tidy(o)) for s, p, o in triples)) for text, triples in records}

    def names(mention, dictionary):
        return {other.lower() for key in dictionary if key.lower() == mention for other in dictionary[key]}

    def last(dictionary):  # of keys that differ in case the last counts
        return {key.lower(): value for key, value in dictionary.items()}

    aliases, locations = last(aliases), last(locations)
    gold, given_ = table(references), table(predictions)
    correct = found = predicted = total = 0
    for text, right in gold.items():
        kept = []
        for s, p, o in given_.get(text, []):
            variants = {(a, p, b) for a in names(s, aliases) | {s} for b in names(o, aliases) | {o}}
            if not variants & set(kept):
                kept.append((s, p, o))
        for s, p, o in kept:
            variants = {(a, p, b) for a in names(s, aliases) | {s} for b in names(o, aliases) | {o}}
            place = any(
                gs in names(s, aliases) | {s} and gp == p and o in names(go, locations) for gs, gp, go in right
            )
            correct += bool(variants & set(right)) or place
        for gs, gp, go in right:
            found += any(
                p == gp
                and gs in names(s, aliases) | {s}
                and (go in names(o, aliases) | {o} or o in names(go, locations))
                for s, p, o in given_.get(text, [])
            )
        predicted += len(kept)
        total += len(right)
    return correct, found, predicted, total


@settings(deadline=None, max_examples=300)
@given(RECORDS, RECORDS.filter(len), DICTIONARY, DICTIONARY)
def test_the_published_rule(predictions, references, aliases, locations):
    result = triple_scores(predictions, references, aliases=aliases, locations=locations)
    correct, found, predicted, total = published(predictions, references, aliases, locations)
    assert numbers(result) == (correct, found, predicted, total)
    precision, recall = correct / predicted if predicted else 0, found / total if total else 0
    assert (result["precision"], result["recall"]) == (precision, recall)
    assert result["f1"] == pytest.approx(2 * precision * recall / (precision + recall) if precision + recall else 0)


@settings(deadline=None, max_examples=100)
@given(RECORDS, RECORDS.filter(len))
def test_predicates_add_up(predictions, references):
    result = triple_scores(predictions, references, per_predicate=True)
    table = result.pop("per_predicate")
    assert result == triple_scores(predictions, references)
    for name in ("correct", "found", "predicted", "gold"):
        assert sum(row[name] for row in table.values()) == result[name]
    for predicate, row in table.items():
        alone = [
            [(text, [triple for triple in triples if triple[1] == predicate]) for text, triples in records]
            for records in (predictions, references)
        ]
        assert row == triple_scores(*alone)


def test_the_most_frequent_predicate_comes_first():
    table = scores([("一", [("甲", "曲", "乙")])], per_predicate=True)["per_predicate"]
    assert list(table) == ["作者", "歌手", "曲"]


MENTIONS = st.text("《》aAéÉİ甲", max_size=4)
TRIPLE = st.tuples(MENTIONS, st.sampled_from(["作者", "歌手"]), MENTIONS)


@given(st.lists(TRIPLE, min_size=1, max_size=6), st.lists(TRIPLE, max_size=6))
def test_the_search_for_thresholds_compares_by_the_same_rule(found, gold):
    """A family imports no metrics, so its search has the rule of DuIE a second time."""
    search = ThresholdSearch([Candidate(0, triple, (1.0, 1.0, 0.0) * 2) for triple in found], [gold])
    scored = triple_scores([("一", found)], [("一", gold)])
    assert search.counts([0.5] * 4) == (scored["correct"], scored["predicted"], scored["gold"])


def test_spans():
    gold = [("甲乙丙", [((0, 1), "作者", (2, 3)), ((0, 2), "作者", (2, 3))])]
    found = [("甲乙丙", [((0, 1), "作者", (2, 3)), ([0, 1], "作者", [2, 3]), ((0, 1), "作者", (1, 3))])]
    assert numbers(triple_scores(found, gold, match="span")) == (1, 1, 2, 2)


@pytest.mark.parametrize(
    ("predictions", "kwargs", "error", "message"),
    [
        ([], {"references": []}, ValueError, "references is empty"),
        ([], {"match": "token"}, ValueError, "match .*'token'"),
        ([], {"match": "span", "aliases": {"甲": ["乙"]}}, ValueError, "match='span'"),
        (["一"], {}, TypeError, r"predictions\[0\] .*'一'"),
        ([(3, [])], {}, TypeError, r"predictions\[0\] .*int"),
        ([("一", ["甲乙丙"])], {}, TypeError, "'甲乙丙'; a triple is"),
        ([("一", [("甲", "乙")])], {}, TypeError, "a triple is"),
        ([("一", [("甲", 1, "乙")])], {}, TypeError, "predicate 1"),
        ([("一", [((0, 1), "p", "乙")])], {}, TypeError, r"mention \(0, 1\)"),
        ([("一", [((0, 1), "p", "乙")])], {"match": "span", "references": [("一", [])]}, TypeError, "the span '乙'"),
        (
            [("一", [((0, 1.5), "p", (0, 1))])],
            {"match": "span", "references": [("一", [])]},
            TypeError,
            "two integers",
        ),
    ],
)
def test_bad_arguments_raise(predictions, kwargs, error, message):
    with pytest.raises(error, match=message):
        scores(predictions, **kwargs)


def test_as_a_metric_of_evaluate():
    metric = triple_metric(experiment_id="triples")
    given_ = [[("甲", "作者", "乙"), ("甲", "歌手", "丁")], []]
    for prediction, (_, reference) in zip(given_, GOLD):
        metric.add(prediction=prediction, reference=reference)
    result = metric.compute(per_predicate=True)
    assert result == scores([("一", given_[0]), ("二", given_[1])], per_predicate=True)
    assert numbers(result) == (1, 1, 2, 3)

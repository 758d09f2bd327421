"""The search for thresholds: candidates against the decoding at those thresholds, counts against the scorer, and that
the search finds what is there."""

import numpy as np
import pytest
import torch

from hf_kexue import DGCNNConfig, DGCNNTokenizer
from hf_kexue.dgcnn import thresholds_dgcnn_triples
from hf_kexue.dgcnn.decoding_dgcnn_triples import allowed_predicates, decode_objects, decode_subjects
from hf_kexue.dgcnn.modeling_dgcnn_triples import DGCNNForTripleExtraction
from hf_kexue.dgcnn.prior_dgcnn import TriplePrior
from hf_kexue.dgcnn.thresholds_dgcnn_triples import (
    Candidate,
    ThresholdSearch,
    crossed_counts,
    triple_candidates,
    triple_figures,
)
from hf_kexue.metrics.triples import triple_scores

TEXTS = ["《长江》与CNN在甲乙丙", "丁", "甲乙丙丁戊己庚辛", "", "cnn 《长江》"]
SCHEMA = [
    {"predicate": "一", "subject_types": ["人物"], "object_types": []},
    {"predicate": "二", "subject_types": ["地点", "人物"], "object_types": []},
    {"predicate": "三", "subject_types": [], "object_types": []},
]


def tiny(seed, **options):
    """A network with scores all over [0, 1]."""
    torch.manual_seed(seed)
    tokenizer = DGCNNTokenizer.from_texts(TEXTS, min_count=1, segmenter="none")
    config = DGCNNConfig(
        vocab_size=len(tokenizer), hidden_size=8, dilations=[1], triple_schema=SCHEMA, initializer_range=1.0, **options
    )
    model = DGCNNForTripleExtraction(config).eval()
    for pointer in (model.head.subject_pointer, model.head.object_pointer):
        torch.nn.init.normal_(pointer.weight, std=2.0)
        torch.nn.init.constant_(pointer.bias, -2.0)
    return model, tokenizer


def decoded(model, tokenizer, text, thresholds, prior=None):
    """What the decoding finds in one text, alone in its batch."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    if not encoded["input_ids"]:
        return set()
    offsets = encoded["offset_mapping"]
    extra = {} if prior is None else {"prior": torch.from_numpy(prior.features(text, offsets))[None]}
    with torch.no_grad():
        logits, states = model.extract_subjects(torch.tensor([encoded["input_ids"]]), **extra)
        found = set()
        for subject in decode_subjects(logits[0].sigmoid().numpy(), *thresholds[:2]):
            scores = model.extract_objects(states, torch.tensor([[0, subject.first, subject.last]]))[0].sigmoid()
            allowed = allowed_predicates(model.schema, model.subject_types, subject.types)
            for o in decode_objects(scores.numpy(), *thresholds[2:], allowed):
                mentions = [text[offsets[a][0] : offsets[b][1]] for a, b in (subject[:2], (o.first, o.last))]
                found.add((mentions[0], SCHEMA[o.predicate]["predicate"], mentions[1]))
    return found


def chosen(candidates, thresholds):
    start, end, object_start, object_end = thresholds
    return [
        (c.text, c.triple)
        for c in candidates
        if c.bounds[0] > start and c.bounds[1] > end >= c.bounds[2]
        and c.bounds[3] > object_start and c.bounds[4] > object_end >= c.bounds[5]
    ]  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"typed_subjects": True, "object_power": 2}, {"triple_prior": True}])
def test_candidates_hold_what_any_thresholds_decode(monkeypatch, options):
    monkeypatch.setattr(thresholds_dgcnn_triples, "MOST", 999)
    total = 0
    for seed in range(4):
        model, tokenizer = tiny(seed, **options)
        prior = TriplePrior([("长江", 0, "cnn"), ("甲", 1, "丙")], 3) if options.get("triple_prior") else None
        candidates = triple_candidates(model, tokenizer, TEXTS, lowest=0.3, prior=prior, batch_size=2)
        for thresholds in np.random.default_rng(seed).uniform(0.3, 0.9, size=(8, 4)).tolist():
            expected = {
                (n, t) for n, text in enumerate(TEXTS) for t in decoded(model, tokenizer, text, thresholds, prior)
            }
            assert set(chosen(candidates, thresholds)) == expected
            total += len(expected)
    assert total > 30


def test_memorised_triples_are_candidates_at_all_thresholds():
    """Of reliable predicates, in what is read of the text; the network finds what it found."""
    known = TriplePrior([("长江", 0, "cnn"), ("甲", 1, "丙"), ("甲", 0, "丙")], 3)
    model, tokenizer = tiny(0)
    text = "甲乙丙丁长江CNN"
    before = triple_candidates(model, tokenizer, [text, "长江"], lowest=0.3, prior=known)
    model.config.known_triple_scores = [0.9, 0.5, 0.9]
    after = triple_candidates(model, tokenizer, [text, "长江"], lowest=0.3, prior=known)
    names = [entry["predicate"] for entry in SCHEMA]
    expected = {(0, ("长江", names[0], "CNN")), (0, ("甲", names[0], "丙"))}
    assert {(c.text, c.triple) for c in set(after) - set(before)} == expected
    assert set(before) <= set(after)
    assert set(chosen(set(after) - set(before), [0.99] * 4)) == expected
    short = triple_candidates(model, tokenizer, [text], lowest=0.3, prior=known, max_length=3)
    assert set(chosen(short, [0.99] * 4)) == {(0, ("甲", names[0], "丙"))}


def test_of_too_many_starts_the_highest_stay():
    """A network that has not learned: everything is above `lowest`, and 24 subjects with 24 starts each are enough."""
    model, tokenizer = tiny(0)
    text = "".join(np.random.default_rng(0).choice(list("甲乙丙丁戊己庚辛与《》长江"), size=60))
    candidates = triple_candidates(model, tokenizer, [text], lowest=1e-6)
    subjects = {c.bounds[:2] for c in candidates}
    assert len(subjects) == 24
    with torch.no_grad():
        encoded = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        scores = model.extract_subjects(encoded["input_ids"])[0][0].sigmoid()
    best = scores[:, 0] * scores[:, 1].flip(0).cummax(0).values.flip(0)  # of each start with its best end
    assert max(start * end for start, end in subjects) == pytest.approx(float(best.max()), rel=1e-5)
    for subject in subjects:
        assert len({c.bounds[3] for c in candidates if c.bounds[:2] == subject}) <= 24


def test_texts_are_cut_and_nothing_is_nothing():
    model, tokenizer = tiny(0)
    cut = triple_candidates(model, tokenizer, ["甲乙丙丁戊己庚辛"], lowest=0.01, max_length=3)
    assert {mention for c in cut for mention in (c.triple[0], c.triple[2])} <= {
        "甲",
        "乙",
        "丙",
        "甲乙",
        "乙丙",
        "甲乙丙",
    }
    assert cut
    assert triple_candidates(model, tokenizer, ["", " "]) == []
    assert ThresholdSearch([], [[], [("甲", "一", "乙")]]).counts([0.5] * 4) == (0, 0, 1)


def test_the_counts_are_those_of_the_scorer():
    model, tokenizer = tiny(3)
    candidates = triple_candidates(model, tokenizer, TEXTS, lowest=0.3)
    some = sorted({(c.text, c.triple) for c in candidates}, key=lambda pair: (pair[0], pair[1]))[::3]
    gold = [[(s.upper(), p, f"《{o}》") for n, (s, p, o) in some if n == number] for number in range(len(TEXTS))]
    gold[1].append(("没", "有", "的"))
    search = ThresholdSearch(candidates, gold, lowest=0.3)
    for thresholds in ([0.3] * 4, [0.5, 0.4, 0.5, 0.4], [0.6, 0.5, 0.4, 0.7]):
        found = chosen(candidates, thresholds)
        predictions = [(text, [t for n, t in found if n == number]) for number, text in enumerate(TEXTS)]
        scores = triple_scores(predictions, list(zip(TEXTS, gold)))
        assert search.counts(thresholds) == (scores["correct"], scores["predicted"], scores["gold"])
        assert search.scores(thresholds) == pytest.approx({key: scores[key] for key in ("precision", "recall", "f1")})
    assert search.counts([0.3] * 4)[0] > 3


def made(text, right, *bounds):
    return Candidate(text, ("甲", "一", "乙" if right else "丙"), bounds)


def test_the_search_finds_the_thresholds_that_are_there():
    """Right triples have ends above 0.62 and object starts below 0.37 ... what is wrong lies on the other side."""
    candidates = []
    for number in range(40):
        high = 0.7 if number % 2 else 0.9
        candidates.append(made(number, True, 0.45, high, 0.0, 0.35, 0.8, 0.0))
        candidates.append(made(number, False, 0.45, 0.6, 0.0, 0.35, 0.8, 0.0))  # too low an end
        candidates.append(made(number, False, 0.45, high, 0.0, 0.2, 0.8, 0.0))  # too low an object start
    gold = [[("甲", "一", "乙")] for _ in range(40)]
    search = ThresholdSearch(candidates, gold)
    assert search.scores([0.5, 0.4, 0.5, 0.4])["f1"] == 0
    best = search.best([0.4, 0.4, 0.3, 0.4])
    assert search.scores(best) == {"precision": 1, "recall": 1, "f1": 1}
    assert best[0] == 0.4
    assert 0.6 <= best[1] < 0.7
    assert crossed_counts(candidates, gold, [0.4, 0.4, 0.3, 0.4]) == (40, 40, 40)


def test_crossed_thresholds_are_those_of_the_other_half():
    """Even texts want a low start threshold, odd ones a high one: each half is scored with what is wrong for it."""
    low = [made(n, True, 0.3, 0.9, 0.0, 0.9, 0.9, 0.0) for n in range(0, 10, 2)]
    noise = [made(n, False, 0.5, 0.9, 0.0, 0.9, 0.9, 0.0) for n in range(1, 10, 2)]
    high = [made(n, True, 0.8, 0.9, 0.0, 0.9, 0.9, 0.0) for n in range(1, 10, 2)]
    gold = [[("甲", "一", "乙")] for _ in range(10)]
    correct, predicted, total = crossed_counts(low + noise + high, gold, [0.2, 0.4, 0.4, 0.4])
    # Even texts at 0.5 lose theirs, odd ones at 0.2 keep theirs and their noise.
    assert (correct, predicted, total) == (5, 10, 10)
    assert ThresholdSearch(low + noise + high, gold).scores([0.2] * 4)["f1"] == pytest.approx(20 / 25)


def test_figures_of_nothing_are_zero():
    assert triple_figures(0, 0, 0) == triple_figures(0, 3, 5) == {"precision": 0, "recall": 0, "f1": 0}
    assert triple_figures(2, 4, 8) == {"precision": 0.5, "recall": 0.25, "f1": pytest.approx(1 / 3)}


def test_thresholds_below_the_candidates_are_refused():
    with pytest.raises(ValueError, match=r"0\.1, got \[0\.05, "):
        ThresholdSearch([], [[]]).scores([0.05, 0.4, 0.5, 0.4])

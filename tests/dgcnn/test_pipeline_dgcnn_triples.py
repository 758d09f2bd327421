"""The triple pipeline: triples against one text and one subject at a time, pieces of long texts, and bad input."""

import json
import re
import subprocess
import sys
from bisect import bisect_left
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForTokenClassification, pipeline
from transformers.pipelines.pt_utils import KeyDataset

import hf_kexue  # noqa: F401  registers the task
from hf_kexue.dgcnn import (
    DGCNNConfig,
    DGCNNForQuestionAnswering,
    DGCNNForTripleExtraction,
    DGCNNTokenizer,
    TripleExtractionPipeline,
    TriplePrior,
)
from hf_kexue.dgcnn.checks_dgcnn import is_blank
from hf_kexue.dgcnn.constraints_dgcnn import CONSTRAINTS, constrained
from hf_kexue.dgcnn.inputs_dgcnn_triples import pieces
from hf_kexue.dgcnn.sentences_dgcnn import clause_ends, sentence_ends

TEXTS = [
    "《邪少兵王》是冰火未央写的网络小说。",
    "周杰伦的《菊花台》由方文山作词，周杰伦作曲！ Marie Curie 是谁？",
    "　居里\r\n夫人㈱后来得了诺贝尔奖ＡＢ e\u0301e\u0301；",
]
LONG = "".join(f"第{i}年，{'居里夫妇周杰伦作'[i % 7 :]}写了{i * i}首歌。" for i in range(24))
SCHEMA = [
    {"predicate": "作者", "subject_types": ["图书"], "object_types": ["人物"]},
    {"predicate": "歌手", "subject_types": ["歌曲"], "object_types": ["人物", "组合"]},
    {"predicate": "别名", "subject_types": [], "object_types": []},
]
KNOWN = [("邪少兵王", 0, "冰火未央"), ("菊花台", 1, "周杰伦"), ("居里", 2, "作")]
SHAPES = {
    "untyped": {},
    "everything": {
        "typed_subjects": True, "triple_prior": True, "subject_encoder": "gru", "num_attention_heads": 2,
        "predicate_gate": True, "character_gate": True, "position_embedding": "learned",
    },
}  # fmt: skip


def make_pipeline(shape="untyped", words=True, config=None, **options):
    torch.manual_seed(11)
    tokenizer = DGCNNTokenizer.from_texts(
        [*TEXTS, LONG], min_count=1, word_min_count=1, segmenter="rjieba" if words else "none",
        triple_prior=KNOWN if "triple_prior" in SHAPES[shape] else None,
    )  # fmt: skip
    config = DGCNNConfig(
        vocab_size=len(tokenizer), hidden_size=16, dilations=(1, 2), word_vocab_size=tokenizer.word_vocab_size,
        word_embedding_size=12, triple_schema=SCHEMA, **SHAPES[shape], **(config or {}),
    )  # fmt: skip
    model = DGCNNForTripleExtraction(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Predicates of one probability or so, that thresholds leave something of each.
            alike = "predicate_gate" in name or name.startswith("head.object_pointer.bias")
            parameter.add_((0.02 if alike else 0.25) * torch.randn(parameter.shape))
    set_thresholds(model.eval(), tokenizer)
    options = {"constraints": False, **options}
    return TripleExtractionPipeline(model=model, tokenizer=tokenizer, device="cpu", **options)


def inputs_of(model, tokenizer, text):
    """Arguments of the model for one text, and the offsets of its tokens."""
    row = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, return_tensors="pt")
    offsets = row["offset_mapping"][0].tolist()
    inputs = {"input_ids": row["input_ids"]}
    if model.config.word_vocab_size:
        inputs["word_input_ids"] = row["word_input_ids"]
    if model.config.triple_prior:
        inputs["prior"] = torch.from_numpy(TriplePrior(KNOWN, len(SCHEMA)).features(text, offsets))[None]
    return inputs, offsets


@torch.no_grad()
def set_thresholds(model, tokenizer):
    """Such that an untrained model finds a few mentions in each text, and no score of these texts lies near them."""
    scores = [[], [], [], []]
    for text in TEXTS:
        inputs, _ = inputs_of(model, tokenizer, text)
        subjects = torch.tensor([[0, i, i] for i in range(0, inputs["input_ids"].shape[1], 3)])
        output = model(**inputs, subjects=subjects)
        for number, logits in enumerate((output.subject_logits, output.object_logits)):
            for part, half in enumerate(logits.sigmoid().chunk(2, dim=-1)):
                scores[2 * number + part] += half.flatten().tolist()
    for part, share in enumerate((0.65, 0.6, 0.75, 0.7)):
        values = sorted(scores[part])
        places = range(int(share * len(values)), int((share + 0.08) * len(values)))
        widest = max(places, key=lambda i: values[i] - values[i - 1])
        scores[part] = (values[widest] + values[widest - 1]) / 2
    model.config.triple_thresholds = scores


@pytest.fixture(scope="module", params=SHAPES)
def extract(request):
    return make_pipeline(request.param)


@pytest.fixture(scope="module")
def plain():
    return make_pipeline(words=False)


def spans(starts, ends, limits, sentences):
    """Each start with the nearest end, if it is of the same sentence; tokens inclusive."""
    found = []
    for first in range(len(starts)):
        lasts = [last for last in range(first, len(ends)) if ends[last] > limits[1]]
        if starts[first] > limits[0] and lasts and sentences[first] == sentences[lasts[0]]:
            found.append((first, lasts[0], (starts[first] * ends[lasts[0]]) ** 0.5))
    return found


@torch.no_grad()
def one_at_a_time(pipe, text):
    """Triples of a text that is one piece: one text, one subject, one predicate at a time, from logits to places."""
    model = pipe.model.eval()
    inputs, offsets = inputs_of(model, pipe.tokenizer, text)
    limits = model.config.triple_thresholds
    sentences = [sum(text[:start].count(mark) for mark in "。！？；") for start, _ in offsets]
    scores = model(**inputs).subject_logits[0].double().sigmoid()
    subjects = {}
    for number, name in enumerate(model.subject_types):
        starts, ends = scores[:, number].tolist(), scores[:, number + len(model.subject_types)].tolist()
        for first, last, score in spans(starts, ends, limits[:2], sentences):
            types, best = subjects.get((first, last), ([], 0.0))
            subjects[first, last] = [*types, name], max(best, score)
    found = {}
    for (first, last), (types, of_subject) in subjects.items():
        of_objects = model(**inputs, subjects=torch.tensor([[0, first, last]])).object_logits[0].double().sigmoid()
        for number, entry in enumerate(SCHEMA):
            if types != [""] and entry["subject_types"] and not {*types} & {*entry["subject_types"]}:
                continue
            starts, ends = of_objects[:, number].tolist(), of_objects[:, number + len(SCHEMA)].tolist()
            for begin, end, score in spans(starts, ends, limits[2:], sentences):
                key = (offsets[first][0], offsets[last][1], entry["predicate"], offsets[begin][0], offsets[end][1])
                found[key] = max(found.get(key, 0.0), of_subject * score)
    return found


def keyed(triples):
    found = {}
    for triple in triples:
        (s0, s1), (o0, o1) = ((triple[role]["start"], triple[role]["end"]) for role in ("subject", "object"))
        found[s0, s1, triple["predicate"], o0, o1] = triple["score"]
    return found


def check_places(triples, text):
    for triple in triples:
        assert triple.keys() == {"subject", "predicate", "object", "score"}
        assert 0 <= triple["score"] <= 1
        for role in ("subject", "object"):
            mention = triple[role]
            assert mention["text"] == text[mention["start"] : mention["end"]] != ""


def test_texts_against_one_at_a_time(extract):
    """Batches of texts of several lengths find what one text alone, with one subject after the other, has."""
    expected = [one_at_a_time(extract, text) for text in TEXTS]
    assert min(map(len, expected)) > 3, "too little to compare: take another seed"
    for batch_size in (1, 2, 16):
        found = extract(TEXTS, batch_size=batch_size, split_above=200)
        for text, triples, wanted in zip(TEXTS, found, expected, strict=True):
            assert keyed(triples) == pytest.approx(wanted, rel=1e-4)
            assert len(triples) == len(wanted)
            check_places(triples, text)
    alone = extract(TEXTS[1], split_above=200)
    assert keyed(alone) == pytest.approx(expected[1], rel=1e-4)


def test_order_and_types(extract):
    triples = extract(LONG, split_above=200)
    places = [(t["subject"]["start"], t["object"]["start"], t["predicate"]) for t in triples]
    assert places == sorted(places)
    assert {t["predicate"] for t in triples} == {"作者", "歌手", "别名"}, "take another seed"
    for triple in triples:
        types = {"作者": ("图书", "人物"), "歌手": ("歌曲", None), "别名": (None, None)}[triple["predicate"]]
        assert (triple["subject"].get("type"), triple["object"].get("type")) == types


def test_a_long_text_is_its_pieces(extract):
    """Each piece gives what it gives alone, at its place; words are those of the whole text."""
    triples = extract(LONG, split_above=100)
    check_places(triples, LONG)
    sentences = [part + "。" for part in LONG.split("。")[:-1]]
    expected, piece = {}, ""
    for sentence in [*sentences, None]:  # as many whole sentences as are at most 50 characters
        if sentence is None or len(piece) + len(sentence) > 50:
            at = LONG.index(piece)
            for (s0, s1, predicate, o0, o1), score in one_at_a_time(extract, piece).items():
                expected[at + s0, at + s1, predicate, at + o0, at + o1] = score
            piece = ""
        piece += sentence or ""
    assert len(expected) > 50
    assert keyed(triples) == pytest.approx(expected, rel=1e-4)
    with_others = extract([TEXTS[0], LONG, TEXTS[1]], split_above=100, batch_size=4)
    assert keyed(with_others[1]) == pytest.approx(expected, rel=1e-4)


def test_no_more_tokens_than_positions():
    """Learned positions end: pieces are as long as they are."""
    pipe = make_pipeline("everything", config={"max_position_embeddings": 40})
    text = LONG.replace("。", "")
    assert keyed(pipe(text)) == pytest.approx(keyed(pipe(text, max_seq_len=40)), rel=1e-4)
    assert keyed(pipe(text)) != keyed(pipe(text, max_seq_len=30))


@settings(max_examples=150)
@given(
    text=st.text("甲乙丙a1 。，,.!?\n”", min_size=1, max_size=60), size=st.integers(1, 12), above=st.integers(0, 30)
)
@example(text="1\n1，11", size=3, above=6)
@example(text="11111?”?", size=2, above=1)
def test_pieces_cut_where_it_hurts_least(text, size, above):
    """Sentences, together up to half of `split_above`; too long ones at the last comma that fits."""
    places = [i for i, character in enumerate(text) if not character.isspace()]
    found, sentences = pieces(text, np.array([(i, i + 1) for i in places]).reshape(-1, 2), size, above)
    assert [i for piece in found for i in places[piece]] == places
    assert all(0 < piece.stop - piece.start <= size for piece in found)
    assert sentences.tolist() == [
        len({bisect_left(places, end) for end in sentence_ends(text) if end <= i}) for i in places
    ]
    if len(places) <= min(size, above):
        assert len(found) <= 1
        return
    half = min(above // 2, size)
    ends, commas = ({bisect_left(places, end) for end in find(text)} for find in (sentence_ends, clause_ends))
    for piece, following in zip(found, [*found[1:], None]):
        assert not ends.intersection(range(piece.start + 1, piece.stop)) or piece.stop - piece.start <= half
        if following is None:
            continue
        if piece.stop in ends:
            next_end = min((end for end in ends if end > piece.stop), default=len(places))
            assert next_end - piece.start > half, "one more sentence would not stay within half"
        else:
            reach = range(piece.start + 1, piece.start + size + 1)
            assert not ends.intersection(reach), "a sentence that is too long"
            assert piece.stop == max(commas.intersection(reach), default=reach[-1])


def test_thresholds(plain):
    """A number is both; the setting of a call comes before that of the constructor, and that before the model's."""
    by_model = keyed(plain(TEXTS[1]))
    limits = plain.model.config.triple_thresholds
    assert keyed(plain(TEXTS[1], subject_threshold=limits[:2], object_threshold=tuple(limits[2:]))) == by_model
    low = [min(limits[:2]), min(limits[2:])]
    one = {"subject_threshold": low[0], "object_threshold": low[1]}
    both = {"subject_threshold": (low[0], low[0]), "object_threshold": [low[1]] * 2}
    changed = keyed(plain(TEXTS[1], **one))
    assert changed == keyed(plain(TEXTS[1], **both))
    assert changed not in ({}, by_model)
    other = make_pipeline(words=False, **one)
    assert keyed(other(TEXTS[1])) == changed
    assert keyed(other(TEXTS[1], subject_threshold=limits[:2], object_threshold=limits[2:])) == by_model
    assert plain(TEXTS[1], subject_threshold=1) == []


def test_constraints_of_the_schema(plain):
    """All of them by default, some by name; of the predicates that are asked for."""
    plain.model.schema[1].update(inverse_of="作者", cardinality="one")
    try:
        for text in TEXTS:
            free, names = keyed(plain(text)), [entry["predicate"] for entry in plain.model.schema]
            found = {((a, b), names.index(name), (c, d)): score for (a, b, name, c, d), score in free.items()}
            for chosen, parts in ((True, CONSTRAINTS), (["inverse"], ["inverse"]), ("nesting", ["nesting"])):
                starts = [0, *(end for end in sentence_ends(text) if end < len(text))]
                wanted = constrained(found, text, plain.model.schema, parts, starts)
                assert keyed(plain(text, constraints=chosen)) == {
                    (*one, names[number], *two): score for (one, number, two), score in wanted.items()
                }
            assert {t["predicate"] for t in plain(text, constraints=True, predicates="歌手")} <= {"歌手"}
    finally:
        del plain.model.schema[1]["inverse_of"], plain.model.schema[1]["cardinality"]


def finds_known(scores, known=KNOWN):
    """The plain pipeline with a prior that its network does not hear."""
    model = make_pipeline(words=False).model
    model.config.known_triple_scores = scores
    tokenizer = DGCNNTokenizer.from_texts([*TEXTS, LONG], min_count=1, segmenter="none", triple_prior=known)
    return TripleExtractionPipeline(model=model, tokenizer=tokenizer, device="cpu", constraints=False)


def test_memorised_triples_join_those_of_the_network(plain):
    """Those of predicates whose score exceeds the threshold, once, at the nearest places, with that score."""
    text = TEXTS[1] + TEXTS[1]
    limits = {"subject_threshold": 1, "object_threshold": 1, "split_above": 200}  # the network finds nothing
    pipe = finds_known([0.9, 0.7, 0.3])
    (song,) = pipe(text, **limits)
    assert (song["subject"]["text"], song["predicate"], song["object"]["text"]) == ("菊花台", "歌手", "周杰伦")
    assert song["score"] == 0.7
    assert song["subject"] == {"text": "菊花台", "start": 5, "end": 8, "type": "歌曲"}
    assert (song["object"]["start"], song["object"]["end"]) == (0, 3)
    assert pipe(text, **limits, known_threshold=0.7) == pipe(text, **limits, predicates="作者") == []
    assert len(pipe(text, **limits, occurrences="all")) == 8  # two and four places
    assert len(pipe(text, **{**limits, "split_above": 0})) == 2  # one in each sentence
    aliases = finds_known([0.0, 0.0, 0.8])(LONG, **limits)
    assert {(t["subject"]["text"], t["object"]["text"]) for t in aliases} == {("居里", "作")}
    for text in TEXTS:
        found = keyed(plain(text))
        both = keyed(pipe(text))
        limits["split_above"] = 0
        assert {key: both[key] for key in found} == found
        assert set(both) - set(found) <= set(keyed(pipe(text, **limits)))


def test_memorised_triples_that_the_network_found_are_not_repeated():
    plain = make_pipeline(words=False)
    first = next(triple for text in TEXTS for triple in plain(text))
    number = [entry["predicate"] for entry in SCHEMA].index(first["predicate"])
    pipe = finds_known([0.9] * 3, [(first["subject"]["text"], number, first["object"]["text"])])
    for text in TEXTS:
        assert pipe(text) == plain(text)


def test_predicates(extract):
    every = extract(TEXTS)
    for wanted in (["作者"], ["别名", "作者"], "歌手"):
        names = [wanted] if isinstance(wanted, str) else wanted
        expected = [[t for t in triples if t["predicate"] in names] for triples in every]
        found = extract(TEXTS, predicates=wanted)
        assert [[keyed([t]) for t in triples] for triples in found] == [
            [pytest.approx(keyed([t]), rel=1e-5) for t in triples] for triples in expected
        ]
    assert extract(TEXTS[0], predicates=[]) == []


def words(triple):
    return triple["subject"]["text"], triple["predicate"], triple["object"]["text"]


def whole(mention):
    """A mention where it is no part of a longer number or Latin word; overlapping places too."""
    before, after = (r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])")
    first, last = (character.isascii() and character.isalnum() for character in (mention[0], mention[-1]))
    return re.compile(f"{before if first else ''}(?={re.escape(mention)}{after if last else ''})")


def test_occurrences(plain):
    text = TEXTS[1] * 2
    found, best, everywhere = (plain(text, occurrences=o, split_above=200) for o in ("found", "best", "all"))
    top = {}
    for triple in found:
        top[words(triple)] = max(top.get(words(triple), 0), triple["score"])
    assert len(top) < len(found)
    assert {words(t): t["score"] for t in best} == top
    assert len(best) == len(top)
    assert all(triple in found for triple in best)
    expected = keyed(best)
    for (subject, predicate, other), score in top.items():
        at = [[m.start() for m in whole(mention).finditer(text)] for mention in (subject, other)]
        for s, o in product(*at):
            expected[s, s + len(subject), predicate, o, o + len(other)] = score
    assert keyed(everywhere) == expected
    assert len(everywhere) == len(expected) > len(found)
    check_places(everywhere, text)


def test_all_occurrences_stay_within_a_piece(plain):
    text = TEXTS[1] * 2
    for triple in plain(text, occurrences="all", split_above=len(TEXTS[1])):
        assert (triple["subject"]["start"] < len(TEXTS[1])) == (triple["object"]["start"] < len(TEXTS[1]))


@settings(max_examples=40, deadline=None)
@given(text=st.text(st.sampled_from("镭居 里㈱ﬁ𠮷e\u0301\u200bＡ。\n\r\0!🦩İ"), min_size=1, max_size=40))
def test_any_unicode(plain, text):
    if is_blank(text):
        return
    for options in ({}, {"max_seq_len": 5, "occurrences": "all"}):
        check_places(plain(text, subject_threshold=0.3, object_threshold=0.4, **options), text)


def test_several_texts_in_any_form(plain):
    expected = plain(TEXTS)
    assert list(plain(iter(TEXTS))) == plain(tuple(TEXTS)) == expected
    assert named(plain([TEXTS[0], " \n\u200b", TEXTS[1]])) == named([expected[0], [], expected[1]])
    assert plain([]) == []
    assert plain([TEXTS[0]]) == [plain(TEXTS[0])]


def named(results):
    """Without scores, whose last digits depend on the batch."""
    return [[words(triple) for triple in one] for one in results]


def test_streams_are_read_chunk_by_chunk(plain):
    """An iterator gives an iterator, a data set of torch an object with its length; neither is read at once."""
    taken = []

    def texts():
        for number in range(100):
            taken.append(number)
            yield TEXTS[number % 3]

    expected = plain(TEXTS)
    results = plain(texts(), batch_size=1)
    assert not taken
    assert named([next(results)]) == named(expected[:1])
    assert len(taken) == 16
    assert named(next(results) for _ in range(20)) == named(expected[i % 3] for i in range(1, 21))
    results = plain(KeyDataset([{"text": text} for text in TEXTS], "text"))
    assert len(results) == 3
    assert results == expected
    with pytest.raises(TypeError):
        list(plain(iter(["镭", None])))


SONGS = [
    "《月亮代表我的心》由孙仪作词，翁清溪作曲，邓丽君演唱。",
    "《霸王别姬》是陈凯歌执导的电影，由张国荣、巩俐主演。",
    "《边城》是沈从文创作的中篇小说，由开明书店出版。",
]


def all_words(triples):
    return {(t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in triples}


def test_sentences_of_the_published_model_do_not_mix():
    """A text has the triples of its sentences; one without a subject is read with the one before it."""
    folder = Path(__file__).parents[2] / "model_cards" / "dgcnn-triples-zh"
    pipe = pipeline("kexue-triple-extraction", model=str(folder), device="cpu")
    alone = set().union(*map(all_words, pipe(SONGS)))
    assert len(alone) > 5
    for text in ("".join(SONGS), "".join(reversed(SONGS)), "\n\n".join(SONGS)):
        assert all_words(pipe(text)) == alone
    wrapped = "".join(SONGS).replace("陈凯歌", "陈\n凯歌").replace("开明书店", "开明\n书店")
    assert {(s, p, o.replace("\n", "")) for s, p, o in all_words(pipe(wrapped))} == alone
    together = "《红高粱》是张艺谋执导的电影。由姜文、巩俐主演。"
    assert ("红高粱", "主演", "姜文") in all_words(pipe(together))
    pytest.importorskip("opencc", reason="opencc is not installed: pip install opencc")
    traditional = "《邊城》是沈從文創作的中篇小說，由開明書店出版。"
    found = pipe(traditional, simplify=True)
    check_typed_places(found, traditional)
    simple = pipe("《边城》是沈从文创作的中篇小说，由开明书店出版。")
    assert [(t["predicate"], t["score"], t["object"]["start"]) for t in found] == [
        (t["predicate"], t["score"], t["object"]["start"]) for t in simple
    ]


def check_typed_places(triples, text):
    assert triples
    for triple in triples:
        for role in ("subject", "object"):
            assert triple[role]["text"] == text[triple[role]["start"] : triple[role]["end"]]


def test_it_leaves_the_model_as_it_was(plain):
    expected = plain(TEXTS[0])
    plain.model.train()
    assert plain(TEXTS[0]) == expected, "dropout is off"
    assert plain.model.training
    plain.model.eval()
    plain(TEXTS[0])
    assert not plain.model.training


def test_bar(plain, capsys):
    plain(TEXTS[0])
    assert capsys.readouterr().err == ""
    plain([TEXTS[0], LONG], progress=True, max_seq_len=20)
    shown = capsys.readouterr().err.replace("\r", "\n").split("\n")
    assert "100%" in shown[-2]
    assert "characters" in shown[-2]


FRESH = """
import json, sys
import hf_kexue
from transformers import pipeline
extract = pipeline("kexue-triple-extraction", model=sys.argv[1], device="cpu")
print(json.dumps(extract(json.loads(sys.argv[2]), batch_size=2)))
"""


def test_from_files_in_a_fresh_process(tmp_path):
    """Thresholds, schema, words and known triples come along."""
    extract = make_pipeline("everything")
    extract.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.py"))
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(tmp_path), json.dumps(TEXTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [keyed(one) for one in found] == [
        pytest.approx(keyed(one), rel=1e-4) for one in extract(TEXTS, constraints=True)
    ]
    model = AutoModelForTokenClassification.from_pretrained(tmp_path)
    assert type(model) is DGCNNForTripleExtraction
    named = pipeline("kexue-triple-extraction", model=model, tokenizer=extract.tokenizer, occurrences="best")
    assert [words(t) for t in named(TEXTS[0])] == [
        words(t) for t in extract(TEXTS[0], occurrences="best", constraints=True)
    ]


@pytest.mark.parametrize(
    ("inputs", "options", "error", "message"),
    [
        ("", {}, ValueError, "The text is empty or only white space: ''"),
        (["镭", None], {}, TypeError, r"Text 1 \(from 0\) must be a string, got NoneType"),
        ("a\ud800", {}, ValueError, r"The text holds U\+D800 at character 1"),
        (b"abc", {}, TypeError, "A text must be a string, or several of them in a list; got bytes"),
        ({"text": "镭"}, {}, TypeError, "got dict"),
        (3, {}, TypeError, "got int"),
        ("镭", {"predicates": ["作者", "作家"]}, ValueError, "does not know the predicate '作家'; near it: 作者"),
        ("镭", {"predicates": ["xyz"]}, ValueError, "the predicate 'xyz'; it knows 作者, 歌手, 别名"),
        ("镭", {"predicates": 3}, TypeError, "predicates must be a list of names, got int"),
        ("镭", {"occurrences": "every"}, ValueError, "occurrences must be one of found, best, all, got 'every'"),
        ("镭", {"subject_threshold": 1.5}, ValueError, r"subject_threshold must be in \[0, 1\], got 1\.5"),
        ("镭", {"object_threshold": (0.5, float("nan"))}, ValueError, "object_threshold must be in"),
        ("镭", {"object_threshold": (0.5, 0.4, 0.3)}, TypeError, "must be a number, or two: for starts and for ends"),
        ("镭", {"object_threshold": "0.5"}, TypeError, "got '0.5'"),
        ("镭", {"subject_threshold": True}, TypeError, "got True"),
        ("镭", {"max_seq_len": 0}, ValueError, "max_seq_len .*got 0"),
        ("镭", {"batch_size": 2.0}, TypeError, "batch_size must be an integer, got 2.0"),
        ("镭", {"known_threshold": 1.5}, ValueError, r"known_threshold must be in \[0, 1\], got 1.5"),
        ("镭", {"known_threshold": "all"}, TypeError, "known_threshold must be a number, got 'all'"),
        ("镭", {"constraints": 1}, TypeError, "got 1"),
        ("镭", {"constraints": ["edges", "dates"]}, ValueError, "got 'dates'"),
        ("镭", {"progress": 1}, TypeError, "progress must be True or False, got 1"),
        ("镭", {"threshold": 0.5}, TypeError, "There is no setting 'threshold'; there are subject_threshold, "),
    ],
)
def test_what_is_refused(plain, inputs, options, error, message):
    with pytest.raises(error, match=message):
        plain(inputs, **options)


def test_what_does_not_fit_is_refused_at_once(plain):
    model, tokenizer = plain.model, plain.tokenizer
    reader = DGCNNForQuestionAnswering(DGCNNConfig(vocab_size=len(tokenizer), hidden_size=8))
    with pytest.raises(TypeError, match="DGCNNForQuestionAnswering"):
        TripleExtractionPipeline(model=reader, tokenizer=tokenizer)
    other = DGCNNTokenizer.from_texts([LONG, *TEXTS, "更多的字"], min_count=1, segmenter="none")
    with pytest.raises(ValueError, match="characters"):
        TripleExtractionPipeline(model=model, tokenizer=other)
    config = DGCNNConfig(vocab_size=len(tokenizer), hidden_size=8, triple_schema=SCHEMA, triple_prior=True)
    hears = DGCNNForTripleExtraction(config)
    with pytest.raises(ValueError, match="prior"):
        TripleExtractionPipeline(model=hears, tokenizer=tokenizer)
    config = DGCNNConfig(vocab_size=len(tokenizer), hidden_size=8, triple_schema=SCHEMA, known_triple_scores=[0.5] * 3)
    with pytest.raises(ValueError, match="prior"):
        TripleExtractionPipeline(model=DGCNNForTripleExtraction(config), tokenizer=tokenizer)
    with pytest.raises(ValueError, match="'作家'"):
        TripleExtractionPipeline(model=model, tokenizer=tokenizer, predicates=["作家"])
    with pytest.raises(ValueError, match="max_seq_len"):
        TripleExtractionPipeline(model=model, tokenizer=tokenizer, max_seq_len=0)

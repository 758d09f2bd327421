"""The extractors of triples that are trained side by side: of like size, and each learns from and finds its triples.

What needs no gliner2 is tested without it; `outputs/peers/gliner2/bin/python -m pytest` on this file tests the rest.
"""

import numpy as np
import pytest
import torch

from hf_kexue.data.triples.reading import Triple, TripleExample
from hf_kexue.data.triples.schemas import build_schema
from hf_kexue.inference.evaluation import evaluate_triples

pytest.importorskip("rjieba", reason="rjieba is not installed")
helper = pytest.importorskip("gliner2_triples", reason="benchmarks/ belongs to the repository, not to the package")
peers = pytest.importorskip("peers_triples", reason="benchmarks/ belongs to the repository, not to the package")

TEXT = "《邪少兵王》是冰火未央写的网络小说,连载于旗峰天下,作者冰火未央"
AUTHOR = Triple("邪少兵王", "作者", "冰火未央", "图书作品", "人物")
SITE = Triple("邪少兵王", "连载网站", "旗峰天下", "网络小说", "网站")
PLACE = Triple("李春", "国籍", "隋", "人物", "国家")
EXAMPLES = [
    TripleExample("1", TEXT, [AUTHOR, SITE]),
    TripleExample("2", "李春,隋代人", [PLACE]),
    TripleExample("3", "今天下雨", []),
]
SCHEMA = build_schema(EXAMPLES)
NAMES = [entry["predicate"] for entry in SCHEMA]


def generator():
    return np.random.default_rng(0)


def test_what_a_sentence_is_asked_for():
    text, schema = helper.request(EXAMPLES[0], NAMES, 3, generator())
    assert text == TEXT
    assert schema == {
        "relations": [
            {"作者": {"head": "邪少兵王", "tail": "冰火未央"}},
            {"连载网站": {"head": "邪少兵王", "tail": "旗峰天下"}},
            {"国籍": {"head": "", "tail": ""}},
        ]
    }
    assert len(helper.request(EXAMPLES[0], NAMES, 1, generator())[1]["relations"]) == 2
    names = [f"p{number}" for number in range(40)]
    drawn = [next(iter(entry)) for entry in helper.request(EXAMPLES[2], names, 9, generator())[1]["relations"]]
    assert len(set(drawn)) == 9
    assert set(drawn) < set(names)


def test_a_mention_beyond_the_end_is_not_learned():
    long = TripleExample("4", "雨" * helper.MAX_CHARACTERS + TEXT, [AUTHOR])
    text, schema = helper.request(long, ["作者"], 1, generator())
    assert len(text) == helper.MAX_CHARACTERS
    assert schema == {"relations": [{"作者": {"head": "", "tail": ""}}]}


def test_the_tokenizer_has_characters_names_and_roles():
    tokenizer = helper.character_tokenizer([TEXT, "AB ab"], ["国籍"], min_count=2)
    assert tokenizer.tokenize("head(冰a国籍,B") == ["head", "(", "冰", "a", "国", "籍", ",", "[UNK]"]
    assert tokenizer.tokenize("春") == ["[UNK]"]


def test_sentences_for_thresholds_are_not_learned_from():
    sentences = [TripleExample(str(number), "雨", []) for number in range(300)]
    learned, tuning = peers.split_for_tuning(sentences, 200)
    assert len(tuning) == 200
    assert sorted([*learned, *tuning], key=lambda e: int(e.id)) == sentences
    assert peers.split_for_tuning(sentences, 200) == (learned, tuning)


@pytest.fixture(scope="module")
def contestants():
    def get(name):
        if name not in made:
            if name.startswith("gliner2"):
                pytest.importorskip("gliner2", reason="gliner2 is not installed: the benchmark makes its environment")
            made[name] = peers.CONTESTANTS[name](EXAMPLES * 2, SCHEMA, 2)
        return made[name]

    made: dict = {}
    return get


@pytest.mark.parametrize("name", list(peers.CONTESTANTS))
def test_each_learns_and_finds(name, contestants, capsys):
    contestant = contestants(name)
    dataset = peers.TripleDataset(EXAMPLES, SCHEMA)
    if contestant.at_step is not None:
        contestant.at_step(0.0, 0)
    contestant.network.train()
    loss = contestant.loss(contestant.collate([dataset[index] for index in range(3)]))
    loss.backward()
    assert loss.ndim == 0
    assert loss.item() > 0
    contestant.network.eval()
    thresholds, extract = contestant.tune(EXAMPLES)
    assert all(0 < threshold < 1 for threshold in thresholds)
    scores = evaluate_triples(extract, EXAMPLES)
    assert 0 <= scores["f1"] <= 1
    assert "Error" not in capsys.readouterr().out  # the span network prints what it leaves out of its loss


@pytest.mark.parametrize("architecture", ["span", "boundary"])
def test_the_encoder_has_the_size_of_dgcnn(architecture):
    """With as many predicates as DuIE 2.0 has."""
    pytest.importorskip("gliner2", reason="gliner2 is not installed: the benchmark makes its environment")
    schema = [{"predicate": f"p{number}", "subject_types": [], "object_types": []} for number in range(54)]
    examples = [
        TripleExample(str(number), TEXT, [Triple("邪少兵王", f"p{number}", "冰火未央")]) for number in range(54)
    ]
    ours = peers.CONTESTANTS["hf_kexue DGCNN"](examples, schema, 9).network
    encoder = peers.CONTESTANTS[f"gliner2 {architecture}"](examples, schema, 9).network.encoder
    outside = [parameters - tables for parameters, tables in map(peers.sizes, (encoder, ours))]
    assert abs(outside[0] - outside[1]) < 0.05 * outside[1], outside


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "steps"), [("span", 150), ("boundary", 300)])
def test_gliner2_learns_by_heart(architecture, steps, monkeypatch):
    """Heads and tails that it is given as gold are those that it finds: training and use agree."""
    pytest.importorskip("gliner2", reason="gliner2 is not installed: the benchmark makes its environment")
    monkeypatch.setattr(helper, "WIDTH", 64)
    monkeypatch.setattr(helper, "LAYERS", 2)
    torch.manual_seed(0)
    examples = [TripleExample("1", "《邪少兵王》是冰火未央写的", [AUTHOR]), EXAMPLES[1]]
    names = ["作者", "国籍"]
    tokenizer = helper.character_tokenizer([example.text for example in examples], names, min_count=1)
    peer = helper.build_peer(architecture, tokenizer, names, asked=2)
    optimizer = torch.optim.AdamW(peer.network.parameters(), 1e-3)
    peer.network.train()
    for step in range(steps):
        peer.at_step(step / steps, step)
        loss = peer.loss(peer.collate(examples))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(peer.network.parameters(), 1.0)
        optimizer.step()
    peer.network.eval()
    for example, triples in zip(examples, peer.extract([example.text for example in examples], threshold=0.3)):
        pairs = {(triple["subject"]["text"], triple["object"]["text"]) for triple in triples}
        assert pairs == {(triple.subject, triple.object) for triple in example.triples}

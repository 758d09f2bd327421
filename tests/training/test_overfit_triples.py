"""A small network learns sentences with triples by heart, unless the data forbid it."""

from pathlib import Path

import pytest
import torch

from hf_kexue.data.triples.reading import Triple, TripleExample, read_triples
from hf_kexue.data.triples.schemas import build_schema
from hf_kexue.training.overfit_triples import overfit_triples, verdict

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def example(text, *triples):
    return TripleExample(text[:2], text, [Triple(*triple) for triple in triples])


EXAMPLES = [
    example("今天天气很好"),
    example("《空城未央》是夙言以信的小说", ("空城未央", "作者", "夙言以信")),
    example("《晨曲》由王一作词，李二作曲", ("晨曲", "作词", "王一"), ("晨曲", "作曲", "李二")),
    example(
        "张三生于北京，妻子是赵四", ("张三", "妻子", "赵四"), ("张三", "出生地", "北京"), ("赵四", "丈夫", "张三")
    ),
]
SMALL = {"hidden_size": 16, "steps": 200, "progress": False}


def test_sentences_that_can_be_learned():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert overfit_triples(EXAMPLES, **SMALL) == 1.0
    assert torch.equal(torch.get_rng_state(), state)
    assert "can be learned" in verdict(1.0)


def test_sentences_that_cannot():
    """A mention that is not in its text costs recall; the rest is learned."""
    broken = [*EXAMPLES[1:3], example("钱五生于上海", ("钱五", "出生地", "上海"), ("钱五", "妻子", "孙六"))]
    f1 = overfit_triples(broken, **SMALL)
    assert f1 == pytest.approx(2 * 4 / (4 + 5))
    assert "F1 0.889" in verdict(f1)


def test_what_is_learned(capfd):
    """The first sentences with triples of the schema, and nothing of other predicates."""
    schema = [entry for entry in build_schema(EXAMPLES) if entry["predicate"] != "作词"]
    far = example("周七的作者", ("周八", "作者", "周九"))
    assert overfit_triples([*EXAMPLES, far], schema, sentences=3, hidden_size=16, steps=200) == 1.0
    assert "f1=1.000" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"examples": EXAMPLES[:1], "schema": [{"predicate": "作者"}]}, "schema"),
        ({"examples": EXAMPLES, "schema": [{"predicate": "国籍"}]}, "schema"),
        ({"examples": EXAMPLES, "sentences": 0}, "must be at least 1, got 0 and 400"),
        ({"examples": EXAMPLES, "steps": 0}, "must be at least 1, got 16 and 0"),
    ],
)
def test_nothing_to_learn(kwargs, message):
    with pytest.raises(ValueError, match=message):
        overfit_triples(**kwargs)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data sets beside this checkout are not there")
def test_real_sentences():
    examples = read_triples(SHARED / "duie2")[:8]
    assert overfit_triples(examples, progress=False) == 1.0

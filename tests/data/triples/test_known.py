"""Known triples and their scores by hand, and against a plain count over all pairs of sentences."""

from fractions import Fraction

import numpy as np

from hf_kexue.data.triples.known import known_triple_scores, memorised_share, memorised_triples
from hf_kexue.data.triples.reading import Triple, TripleExample
from hf_kexue.data.triples.schemas import build_schema
from hf_kexue.dgcnn import TriplePrior


def example(text, *triples):
    return TripleExample("", text, [Triple(s, p, o, "", "") for s, p, o in triples])


EXAMPLES = [
    example("居里的妻子是玛丽。", ("居里", "妻子", "玛丽")),
    example("玛丽嫁给了居里。", ("居里", "妻子", "玛丽")),
    example("居里与玛丽得了奖。"),
    example("长江注入东海。", ("长江", "注入", "东海")),
]


def test_by_hand():
    """Each of the three sentences with both names holds the known triple of another one, and two of them say it."""
    schema = build_schema(EXAMPLES)
    names = [entry["predicate"] for entry in schema]
    assert memorised_triples(EXAMPLES, schema) == [
        ("居里", names.index("妻子"), "玛丽"), ("居里", names.index("妻子"), "玛丽"),
        ("长江", names.index("注入"), "东海"),
    ]  # fmt: skip
    scores = known_triple_scores(EXAMPLES, schema, TriplePrior(memorised_triples(EXAMPLES, schema), len(schema)))
    assert scores[names.index("妻子")] == (2 + 1) / (3 + 2)
    assert scores[names.index("注入")] == 1 / 2  # no other sentence says so
    assert memorised_triples(EXAMPLES, schema[:1]) == memorised_triples(EXAMPLES[:2], schema)


def test_the_share_of_memorised_triples():
    schema = build_schema(EXAMPLES)
    held_out = [
        example("居里和玛丽", ("居里", "妻子", "玛丽"), ("居里", "妻子", "玛丽"), ("玛丽", "妻子", "居里")),
        example("长江与东海", ("长江", "注入", "东海"), ("长江", "流经", "东海")),
    ]
    assert memorised_share(held_out, memorised_triples(EXAMPLES, schema), schema) == 2 / 3  # the schema knows no 流经
    assert memorised_share([], [], schema) == 0


def test_against_a_count_over_pairs():
    random = np.random.default_rng(0)
    examples = []
    for _ in range(60):
        a, b, c, d = random.choice(list("abcdeABC"), size=4)
        said = [(a, str(random.choice(["p", "q"])), b)] if random.random() < 0.7 else []
        examples.append(example("、".join((a, b, c, d)), *said))
    schema = build_schema(examples)
    prior = TriplePrior(memorised_triples(examples, schema), len(schema))
    for entry, score in zip(schema, known_triple_scores(examples, schema, prior), strict=True):
        right = found = 0
        for one in examples:
            own = {(t.subject.lower(), t.object.lower()) for t in one.triples if t.predicate == entry["predicate"]}
            others = {
                (t.subject.lower(), t.object.lower())
                for other in examples
                if other is not one
                for t in other.triples
                if t.predicate == entry["predicate"]
            }
            for subject, object_ in others:
                if subject in one.text.lower() and object_ in one.text.lower():
                    found += 1
                    right += (subject, object_) in own
        assert found > 20
        assert score == float(Fraction(right + 1, found + 2))

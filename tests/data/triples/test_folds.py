"""data/triples/folds.py: folds part the sentences, by their texts alone."""

import hashlib

import pytest

from hf_kexue.data.triples.folds import fold_of, without_fold
from hf_kexue.data.triples.reading import TripleExample


def test_folds_part_the_sentences():
    examples = [TripleExample(str(n), f"第{n}句话。", []) for n in range(300)]
    left = [{example.id for example in without_fold(examples, f"{fold}/3")} for fold in range(3)]
    out = [{example.id for example in examples} - ids for ids in left]
    assert set.union(*out) == {example.id for example in examples}
    assert sum(map(len, out)) == 300
    assert min(map(len, out)) > 70
    assert all(fold_of(examples[int(n)].text, 3) == fold for fold in range(3) for n in out[fold])


def test_the_text_alone_decides():
    text = "周星驰主演的喜剧之王由李力持执导。"
    for folds in (2, 3, 10):
        assert fold_of(text, folds) == int(hashlib.sha256(text.encode("utf-8")).hexdigest()[:16], 16) % folds
        assert fold_of(f" {text}\n", folds) == fold_of(text, folds)


@pytest.mark.parametrize("part", ["", "2/2", "0/1", "1", "-1/2", "0/2/3", "a/b"])
def test_other_forms_are_refused(part):
    with pytest.raises(ValueError, match="k/K"):
        without_fold([TripleExample("", "一", [])], part)


def test_nothing_left_is_refused():
    fold = fold_of("一", 2)
    with pytest.raises(ValueError, match="none"):
        without_fold([TripleExample("", "一", [])], f"{fold}/2")

"""Training samples: after cutting, joining and dropping the spans still hold the answer, and so do the labels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from hf_kexue import DGCNNTokenizer
from hf_kexue.data.questions.reading import QAExample
from hf_kexue.data.questions.samples import ReadingCollator, ReadingDataset, ReadingSample, cut

# Letters stand nowhere but in answers, so that a wrong span shows.
FILL = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"


def example(number, answer, before=40, after=40, times=1):
    """A passage with the answer `times` times; only the first is given."""
    between = FILL[:7] * 2
    passage = FILL[: before % 20] + "，" * (before // 20 * 20) + between.join([answer] * times) + "。" * after
    return QAExample(f"{number}", f"第{number}问？", [passage], [[answer]], [[passage.index(answer)]])


EXAMPLES = [example(n, answer, 15 * n, 60 - 9 * n) for n, answer in enumerate(["abc", "d", "efghijkl", "mn", "op qr"])]
ANSWERS = {e.question: e.answers[0][0] for e in EXAMPLES}


def held(sample):
    return [sample.passage[start:end] for start, end in sample.spans]


def samples(dataset, epochs=1):
    for epoch in range(epochs):
        dataset.set_epoch(epoch)
        yield from (dataset[index] for index in range(len(dataset)))


# ---- one window


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_window_holds_whole_spans_and_all_of_them(data):
    """Offsets as text: the passage says at every place where that place was."""
    length, size = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 70))
    passage = "".join(chr(0x4E00 + place) for place in range(length))
    bounds = st.integers(0, length - 1).flatmap(lambda a: st.tuples(st.just(a), st.integers(a + 1, length)))
    spans = data.draw(st.lists(bounds, max_size=4))
    share = data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    sample = ReadingSample("？", passage, list(spans))
    window = cut(sample, size, share, np.random.default_rng(data.draw(st.integers(0, 999))))

    assert (sample.passage, sample.spans) == (passage, spans)
    assert len(window.passage) == min(length, size)
    assert window.passage in passage
    begin = ord(window.passage[0]) - 0x4E00
    inside = [span for span in spans if begin <= span[0] and span[1] <= begin + size]
    assert held(window) == [passage[start:end] for start, end in inside]
    if share == 0 and any(end - start <= size for start, end in spans):
        fits = [span for span in spans if span[1] - span[0] <= size]
        assert inside or len(fits) < len(spans)  # a span that is longer than the window may have been chosen


def test_a_window_lies_anywhere_around_the_answer_or_anywhere_at_all():
    passage = "".join(chr(0x4E00 + place) for place in range(100))
    sample = ReadingSample("？", passage, [(50, 53)])

    def begins(share):
        windows = (cut(sample, 10, share, np.random.default_rng(seed)) for seed in range(2000))
        return [ord(window.passage[0]) - 0x4E00 for window in windows]

    assert set(begins(0.0)) == set(range(43, 51))
    assert set(begins(1.0)) == set(range(91))
    at_the_answer = np.mean([43 <= begin <= 50 for begin in begins(0.5)])
    assert at_the_answer == pytest.approx(0.5 + 0.5 * 8 / 91, abs=0.05)  # 4 standard errors


# ---- the data set


@pytest.mark.parametrize("options", [{}, {"concatenate": 1.0}, {"concatenate": 0.5, "all_occurrences": True}])
def test_spans_are_the_answer(options):
    dataset = ReadingDataset(EXAMPLES, 24, without_answer=0.2, **options)
    seen = [(sample.question, text) for sample in samples(dataset, 40) for text in held(sample)]
    assert all(ANSWERS[question] == text for question, text in seen)
    assert {question for question, _ in seen} == set(ANSWERS)
    assert all(len(sample.passage) <= 24 for sample in samples(dataset, 4))


def test_every_sample_has_its_answer_where_no_cut_is_made_without():
    assert all(held(sample) for sample in samples(ReadingDataset(EXAMPLES, 10, without_answer=0.0), 20))
    empty = [not sample.spans for sample in samples(ReadingDataset(EXAMPLES, 10, without_answer=1.0), 20)]
    assert np.mean(empty) > 0.5


def test_a_sample_depends_on_seed_epoch_and_index_alone():
    def build(seed=3):
        return ReadingDataset(EXAMPLES, 20, seed, 0.5, concatenate=0.5, drop_labels=0.5)

    whole = list(samples(build(), 3))
    dataset = build()
    dataset.set_epoch(2)
    assert [dataset[index] for index in (4, 0, 2)] == [whole[14], whole[10], whole[12]]
    assert len({sample.seed for sample in whole}) == len(whole)
    assert whole[:5] != whole[5:10]
    assert list(samples(build(seed=4), 3)) != whole


def test_the_given_occurrence_or_all():
    double = [example(0, "AB", 3, 3, times=3)]
    start = double[0].answer_starts[0][0]
    assert ReadingDataset(double)[0].spans == [(start, start + 2)]
    everywhere = ReadingDataset(double, all_occurrences=True)[0]
    assert held(everywhere) == ["AB"] * 3
    double[0].answer_starts = [[-1]]
    assert ReadingDataset(double)[0].spans == everywhere.spans
    # Two annotators of one mind make one span.
    double[0].answers, double[0].answer_starts = [["AB", "AB"]], [[start, start]]
    assert ReadingDataset(double)[0].spans == [(start, start + 2)]


def test_dropping_labels_keeps_one_at_least():
    double = [example(0, "AB", 3, 3, times=3)]
    places = ReadingDataset(double, all_occurrences=True)[0].spans
    dataset = ReadingDataset(double, all_occurrences=True, drop_labels=0.6)
    kept = [sample.spans for sample in samples(dataset, 400)]
    assert all(spans and set(spans) <= set(places) for spans in kept)
    # 3 x 0.4, and one where 0.6^3 would leave none; four standard errors
    assert np.mean([len(spans) for spans in kept]) == pytest.approx(1.2 + 0.6**3, abs=0.15)
    assert held(ReadingDataset(double, all_occurrences=True, drop_labels=1.0)[0]) == ["AB"]
    assert held(ReadingDataset([example(0, "AB")], drop_labels=1.0)[0]) == ["AB"]


def test_joined_passages():
    """Both orders; the question's own passage is one of the two, whole."""
    dataset = ReadingDataset(EXAMPLES, 10_000, concatenate=1.0)
    own = {e.question: e.passages[0] for e in EXAMPLES}
    joined = [sample for sample in samples(dataset, 30) if sample.passage != own[sample.question]]
    kinds = set()
    for sample in joined:
        passage = own[sample.question]
        first = sample.passage.removeprefix(passage) in own.values()
        last = sample.passage.removesuffix(passage) in own.values()
        assert first or last
        kinds |= {first, not last}
        assert held(sample) == [ANSWERS[sample.question]]
    assert kinds == {True, False}
    assert len(joined) == pytest.approx(0.8 * 150, abs=20)  # one of five draws is its own passage
    alone = ReadingDataset(EXAMPLES, 10_000, concatenate=0.3)
    share = np.mean([sample.passage != own[sample.question] for sample in samples(alone, 60)])
    assert share == pytest.approx(0.24, abs=0.1)


def test_one_of_many_passages():
    many = QAExample("0", "谁？", ["甲乙", "丙x丁x", "戊"], [["没有"], ["x"], []], [[-1], [-1], []])
    seen = [(sample.passage, tuple(sample.spans)) for sample in samples(ReadingDataset([many]), 300)]
    assert set(seen) == {("甲乙", ()), ("丙x丁x", ((1, 2), (3, 4))), ("戊", ())}
    for passage in many.passages:
        assert np.mean([found == passage for found, _ in seen]) == pytest.approx(1 / 3, abs=0.11)


class Source:
    """Says which numbers it was given."""

    def make(self, generator):
        return ReadingSample("造？", f"造{generator.random()}造", [(0, 1), (0, 2)])


def test_samples_from_a_source():
    whole = list(samples(ReadingDataset(EXAMPLES, 20, source=Source(), from_source=1.0, drop_labels=1.0), 2))
    assert {sample.question for sample in whole} == {"造？"}
    assert len({sample.passage for sample in whole}) == 10
    assert all(len(sample.spans) <= 1 and len(sample.passage) <= 20 for sample in whole)
    some = [s.question == "造？" for s in samples(ReadingDataset(EXAMPLES, source=Source(), from_source=0.4), 60)]
    assert np.mean(some) == pytest.approx(0.4, abs=0.12)
    none = ReadingDataset(EXAMPLES, source=Source(), from_source=0.0)
    assert "造？" not in {sample.question for sample in samples(none, 3)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"examples": []}, "examples is empty"),
        ({"max_characters": 0}, "max_characters must be at least 1, got 0"),
        ({"without_answer": -0.1}, r"without_answer .*-0\.1"),
        ({"concatenate": 20.0}, r"concatenate .*20\.0"),
        ({"drop_labels": 1.5}, r"drop_labels .*1\.5"),
        ({"source": Source(), "from_source": 2.0}, r"from_source .*2\.0"),
        ({"from_source": 0.5}, r"from_source is 0\.5"),
    ],
)
def test_bad_arguments_raise(options, message):
    with pytest.raises(ValueError, match=message):
        ReadingDataset(**{"examples": EXAMPLES, **options})
    with pytest.raises(ValueError, match=r"zero_ids .*5"):
        ReadingCollator(lambda: None, zero_ids=5)


# ---- labels


@pytest.fixture(scope="module")
def tokenizer():
    texts = [text for e in EXAMPLES for text in (e.question, e.passages[0])]
    return DGCNNTokenizer.from_texts(texts, min_count=1, segmenter="none", word_vocab=["[PAD]", "[UNK]", "天"])


def labelled(tokenizer, batch, sample, row):
    """Pieces of the passage from each start label to the end label beside it, by the tokenizer's own offsets."""
    offsets = tokenizer(sample.question, sample.passage, return_offsets_mapping=True)["offset_mapping"]
    starts, ends = (batch[name][row].nonzero().flatten().tolist() for name in ("start_labels", "end_labels"))
    assert len(starts) == len(ends)
    assert all(batch["token_type_ids"][row, place] == 1 for place in starts + ends)
    return [sample.passage[offsets[start][0] : offsets[end][1]] for start, end in zip(starts, ends)]


def test_labels_are_the_answers(tokenizer):
    dataset = ReadingDataset(EXAMPLES, 30, without_answer=0.3, concatenate=0.4, all_occurrences=True)
    rows = list(samples(dataset, 6))
    batch = ReadingCollator(tokenizer)(rows)
    assert batch["start_labels"].shape == batch["end_labels"].shape == batch["input_ids"].shape
    assert batch["start_labels"].dtype == torch.float32
    for row, sample in enumerate(rows):
        assert labelled(tokenizer, batch, sample, row) == held(sample)


# Characters that make no token, two tokens or half a token, and what looks like a special token.
ODD = st.text(st.sampled_from("天地abＡ　 \n\u200b\u0301é㎏ﬁ①👍🏽한\u1100\u1161[SEP]PAD"), min_size=1, max_size=14)


@settings(deadline=None, max_examples=200)
@given(ODD, st.data())
def test_labels_of_any_text(tokenizer, passage, data):
    """The label covers just the tokens that lie whole in the span; none there, no label."""
    start = data.draw(st.integers(0, len(passage) - 1))
    span = (start, data.draw(st.integers(start + 1, len(passage))))
    sample = ReadingSample("谁？", passage, [span])
    batch = ReadingCollator(tokenizer)([sample, ReadingSample("什么呢？", "天" * 30, [])])
    places = tokenizer(passage, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    inside = [(a, b) for a, b in places if span[0] <= a and b <= span[1]]
    expected = [passage[inside[0][0] : inside[-1][1]]] if inside else []
    assert labelled(tokenizer, batch, sample, 0) == expected
    assert not batch["start_labels"][1].any()


def test_an_answer_that_is_truncated_has_no_label(tokenizer):
    sample = ReadingSample("谁？", "天地" * 10, [(0, 2), (8, 12), (11, 14), (16, 18)])
    batch = ReadingCollator(tokenizer, max_length=3 + 12)([sample])
    assert batch["start_labels"].nonzero()[:, 1].tolist() == [3, 3 + 8]
    assert batch["end_labels"].nonzero()[:, 1].tolist() == [3 + 1, 3 + 11]
    # White space at the end of a passage that just fits is not cut off.
    sample = ReadingSample("谁？", "天地" * 6 + " ", [(10, 13)])
    batch = ReadingCollator(tokenizer, max_length=3 + 13)([sample])
    assert batch["end_labels"].nonzero()[:, 1].tolist() == [3 + 11]


# ---- ids that are set to zero


def test_zeroed_ids(tokenizer):
    rows = [ReadingSample("谁" * 50, "天地" * 200, [(4, 6)], seed) for seed in range(40)]
    plain, zeroed = ReadingCollator(tokenizer)(rows), ReadingCollator(tokenizer, zero_ids=0.3)(rows)
    assert plain.keys() == zeroed.keys()
    for name in ("input_ids", "word_input_ids"):
        there = plain[name] != 0
        gone = there & (zeroed[name] == 0)
        assert gone.sum() / there.sum() == pytest.approx(0.3, abs=0.015)  # of 18,000: four standard errors
        torch.testing.assert_close(zeroed[name][~gone], plain[name][~gone], rtol=0, atol=0)
    for name in plain.keys() - {"input_ids", "word_input_ids"}:
        torch.testing.assert_close(zeroed[name], plain[name], rtol=0, atol=0)
    both = (zeroed["input_ids"] == 0) & (zeroed["word_input_ids"] == 0) & (plain["word_input_ids"] != 0)
    assert both.sum() / (plain["word_input_ids"] != 0).sum() == pytest.approx(0.09, abs=0.015)  # independently


def test_zeroed_ids_depend_on_the_sample_alone(tokenizer):
    collator = ReadingCollator(tokenizer, zero_ids=0.5)
    rows = [ReadingSample("谁？", "天地玄黄" * size, [(1, 2)], seed=size) for size in (2, 9, 5)]
    together = collator(rows)
    for row, sample in enumerate(rows):
        (alone,) = collator([sample])["input_ids"]
        torch.testing.assert_close(together["input_ids"][row, : len(alone)], alone, rtol=0, atol=0)
    again = collator([ReadingSample(rows[0].question, rows[0].passage, [], seed=77)])["input_ids"][0]
    assert not torch.equal(again, together["input_ids"][0, : len(again)])


def test_a_loader_gives_what_the_reader_takes(tokenizer):
    loader = DataLoader(ReadingDataset(EXAMPLES, 12), 5, collate_fn=ReadingCollator(tokenizer))
    (batch,) = loader
    columns = {"input_ids", "token_type_ids", "attention_mask", "word_input_ids", "start_labels", "end_labels"}
    assert set(batch) == columns | {"question_length"}
    assert batch.pop("question_length") == max(len(e.question) for e in EXAMPLES) + 1  # and [SEP]
    assert all(len(column) == 5 for column in batch.values())

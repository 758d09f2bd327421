"""Pieces of texts and the masks on them: whole words, shares, words masked with their characters, draws by index."""

import numpy as np
import pytest
import torch

from hf_kexue import DGCNNTokenizer
from hf_kexue.data.texts.masked import MaskingCollator, TextWindow, TextWindows, choose_words

MASK, UNKNOWN = 3, 1
SENTENCE = "白云山下的科学空间发布了阅读理解式问答模型，南京市长江大桥也研究生命起源。"


@pytest.fixture(scope="module")
def tokenizer():
    """Cuts before each of a few characters, so that a test can say where words end without a library."""

    def cut(text):
        words = [""]
        for character in text:
            if character in "的空了，南也。" and words[-1]:
                words.append("")
            words[-1] += character
        return words

    return DGCNNTokenizer.from_texts([SENTENCE] * 3, segmenter=cut)


def windows(count, text=SENTENCE):
    return [TextWindow(text, seed) for seed in range(count)]


# ---- pieces


def test_pieces_cover_every_text_and_stay_in_it():
    texts = ["".join(chr(0x4E00 + 100 * n + i) for i in range(length)) for n, length in enumerate([1, 9, 10, 11, 57])]
    dataset = TextWindows(texts, max_characters=10, seed=0)
    assert len(dataset) == 1 + 1 + 1 + 2 + 6
    seen = {text: np.zeros(len(text)) for text in texts}
    for epoch in range(60):
        dataset.set_epoch(epoch)
        for index in range(len(dataset)):
            piece = dataset[index].text
            (text,) = [text for text in texts if piece in text]
            assert len(piece) == min(len(text), 10)
            seen[text][text.index(piece) :][: len(piece)] += 1
    for text, counts in seen.items():
        assert counts.min() >= 20, "a place that is read too seldom"
        assert counts.max() <= 60 * (1 if len(text) <= 10 else 3)
    starts = {dataset.texts[4].index(dataset[index].text) for index in range(5, 11)}
    assert starts != {0, 10, 20, 30, 40, 47}, "always the same places"


def test_draws_depend_on_seed_epoch_and_index():
    texts = [SENTENCE * 4, SENTENCE * 3]

    def look(dataset):
        return [(piece.text, piece.seed) for piece in (dataset[index] for index in range(len(dataset)))]

    first = TextWindows(texts, 20, seed=0)
    start = look(first)
    assert look(first) == look(TextWindows(texts, 20, seed=0)) == start
    first.set_epoch(1)
    assert look(first) != start
    first.set_epoch(0)
    assert look(first) == start
    assert look(TextWindows(texts, 20, seed=1)) != start
    assert len({seed for _, seed in start}) == len(start)


def test_blank_and_control_characters_leave_no_blank_piece(tokenizer):
    text = "白" + " \u3000\t\x00\u200b\ufeff" * 50 + "云\u200b山"
    dataset = TextWindows(["\u3000", text, "\u200b"], max_characters=2)
    assert dataset.texts == ["白 云山"]
    for epoch in range(9):
        dataset.set_epoch(epoch)
        batch = MaskingCollator(tokenizer)([dataset[0], dataset[1]])
        assert (batch["labels"] != -100).any(dim=1).all()


@pytest.mark.parametrize(
    ("texts", "size", "message"),
    [
        ([], 9, "0 texts"),
        ([" ", "\u200b"], 9, "2 texts"),
        (["a"], 1, "max_characters .*1"),
    ],
)
def test_bad_arguments_raise(texts, size, message):
    with pytest.raises(ValueError, match=message):
        TextWindows(texts, size)


# ---- masks


def test_only_what_is_chosen_changes(tokenizer):
    pieces = [*windows(50), *windows(50, SENTENCE[:20])]
    batch = MaskingCollator(tokenizer)(pieces)
    plain = tokenizer([piece.text for piece in pieces], add_special_tokens=False, padding=True, return_tensors="pt")
    chosen = batch["labels"] != -100
    assert set(batch) == {"input_ids", "attention_mask", "word_input_ids", "labels"}
    assert all(column.dtype == torch.int64 for column in batch.values())
    for name in ("input_ids", "word_input_ids"):
        assert torch.equal(batch[name][~chosen], plain[name][~chosen])
    assert torch.equal(batch["attention_mask"], plain["attention_mask"])
    assert torch.equal(batch["labels"][chosen], plain["input_ids"][chosen])
    assert not chosen[plain["attention_mask"] == 0].any()
    assert (plain["word_input_ids"][chosen] > UNKNOWN).any()
    assert (batch["word_input_ids"][chosen] == UNKNOWN).all()


def test_words_are_chosen_whole(tokenizer):
    """Neighbours with the same word id, or none, are different words all the same."""
    text = "的空间的空间了甲乙了丙丁"
    batch = MaskingCollator(tokenizer)(windows(300, text))
    bounds = [(start, end) for _, start, end in tokenizer.segment(text)]
    assert bounds == [(0, 1), (1, 3), (3, 4), (4, 6), (6, 9), (9, 12)]
    taken = np.zeros(len(bounds))
    for row in (batch["labels"] != -100).numpy():
        whole = [row[start:end].all() for start, end in bounds]
        assert whole == [row[start:end].any() for start, end in bounds]
        taken += whole
    assert (taken > 20).all(), "a word that is never masked"


def test_the_share_and_what_becomes_of_it(tokenizer):
    batch = MaskingCollator(tokenizer)(windows(250, SENTENCE * 6))
    ids, labels = batch["input_ids"], batch["labels"]
    chosen = labels != -100
    count = int(chosen.sum())
    # Words of up to nine characters among 222: at most 4.5 away from the 33.3 that are wanted, on average much less.
    assert count / chosen.numel() == pytest.approx(0.15, abs=0.005)
    masked, stays = (ids == MASK) & chosen, (ids == labels) & chosen
    error = 4 * (0.16 / count) ** 0.5  # four standard errors of a share of 0.8
    assert int(masked.sum()) / count == pytest.approx(0.8, abs=error)
    # A random character is the right one as often as any other is.
    others = len(tokenizer) - 4
    assert int(stays.sum()) / count == pytest.approx(0.1 + 0.1 / others, abs=error)
    random = ids[chosen & ~masked & ~stays]
    assert int(random.min()) == 4, "a special token is no character"
    assert set(random.tolist()) == set(range(4, len(tokenizer)))


def test_another_share(tokenizer):
    chosen = MaskingCollator(tokenizer, share=0.5)(windows(99, SENTENCE * 3))["labels"] != -100
    assert float(chosen.float().mean()) == pytest.approx(0.5, abs=0.02)
    for share in (0.0, 1.0):
        with pytest.raises(ValueError, match=f"share .*{share}"):
            MaskingCollator(tokenizer, share)


def test_a_piece_has_its_masks_whatever_stands_beside_it(tokenizer):
    collate = MaskingCollator(tokenizer)
    alone, together = collate([TextWindow(SENTENCE[:9], 7)]), collate([*windows(3), TextWindow(SENTENCE[:9], 7)])
    for name, column in alone.items():
        assert torch.equal(column[0], together[name][3, :9]), name
    assert not torch.equal(together["labels"][0], together["labels"][1])
    assert torch.equal(collate(windows(3))["labels"], together["labels"][:3])


def test_characters_that_become_several_tokens(tokenizer):
    """㈱ is （株） in NFKC: three tokens of one character, so of one word."""
    batch = MaskingCollator(tokenizer)(windows(40, "白的㈱南山"))
    assert batch["labels"].shape == (40, 7)
    rows = {tuple(row) for row in (batch["labels"] != -100).int().tolist()}
    assert rows == {(1, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 1, 1), (0, 1, 1, 1, 1, 0, 0)}


def test_without_words():
    tokenizer = DGCNNTokenizer.from_texts([SENTENCE] * 2, segmenter="none")
    batch = MaskingCollator(tokenizer)(windows(20))
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    # 0.15 of 37 characters are 5.55: six single ones
    assert ((batch["labels"] != -100).sum(dim=1) == 6).all()


@pytest.mark.parametrize(
    ("words", "share", "counts"),
    [
        ([5], 0.15, {1}),
        ([1, 1, 1, 1], 0.5, {4}),
        ([1, 2], 0.15, {1}),
        ([3, 1, 1, 2, 2, 2, 2, 2, 2, 9], 0.2, {1, 2, 6}),
    ],
)
def test_as_many_words_as_come_closest(words, share, counts):
    """The last: of 10 characters two are wanted; where the word of six comes first, six are closer than seven."""
    chosen = [choose_words(np.array(words), share, np.random.default_rng(seed)) for seed in range(200)]
    assert {int(row.sum()) for row in chosen} == counts

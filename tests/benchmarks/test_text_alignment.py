"""The benchmark of prompts: ranks, shares and candidates on features whose neighbours are known."""

import numpy as np
import pytest
import torch

benchmark = pytest.importorskip("text_alignment", reason="benchmarks/ belongs to the repository, not to the package")


def test_ranks_count_what_lies_nearer():
    """Directions in the plane: their length does not matter, and a tie is no first place."""
    true = torch.tensor([[2.0, 0.0]] * 3)
    others = torch.tensor([[[0.0, 1.0], [5.0, 5.0], [-1.0, 0.0]]] * 3)
    drawn = torch.tensor([[3.0, 0.1], [1.0, 1.0], [0.1, 3.0]])
    assert benchmark.ranks(drawn, true, others).tolist() == [0, 2, 2]


def test_shares_and_their_errors():
    figures = benchmark.shares(torch.tensor([0, 0, 3, 50]))
    assert (figures["top_1"], figures["top_5"]) == (0.5, 0.75)
    assert figures["top_1_standard_error"] == 0.25


def test_noise_finds_the_true_picture_at_chance_level():
    generator = torch.Generator().manual_seed(0)
    drawn, true, others = (torch.randn(2000, *shape, generator=generator) for shape in ((8,), (8,), (99, 8)))
    figures = benchmark.shares(benchmark.ranks(drawn, true, others))
    assert figures["top_1"] == pytest.approx(0.01, abs=0.01)
    assert figures["top_5"] == pytest.approx(0.05, abs=0.02)


def test_candidates_share_the_style_and_are_other_emoji():
    pool = [{"style": style, "hexcode": str(i)} for i in range(20) for style in ("noto", "blob")]
    rows = [{"style": "noto", "hexcode": "3"}, {"style": "blob", "hexcode": "7"}, {"style": "noto", "hexcode": "40"}]
    places = benchmark.candidates(rows, pool, 15, seed=0)
    for row, chosen in zip(rows, places, strict=True):
        assert len(set(chosen.tolist())) == 15
        assert {pool[place]["style"] for place in chosen} == {row["style"]}
        assert row["hexcode"] not in {pool[place]["hexcode"] for place in chosen}
    assert np.array_equal(places, benchmark.candidates(rows, pool, 15, seed=0))
    assert not np.array_equal(places, benchmark.candidates(rows, pool, 15, seed=1))

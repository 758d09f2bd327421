"""Batches of texts of like lengths."""

import numpy as np
import pytest

from hf_kexue.data.length_groups import LengthGroupedSampler

LENGTHS = np.random.default_rng(0).integers(5, 300, size=1003)


def padding(order):
    """Share of the places of all batches of 16 that hold nothing."""
    batches = [LENGTHS[order[first : first + 16]] for first in range(0, len(order), 16)]
    return 1 - LENGTHS.sum() / sum(len(batch) * batch.max() for batch in batches)


def test_every_sample_comes_once_and_little_is_padding():
    sampler = LengthGroupedSampler(LENGTHS, 16)
    order = list(sampler)
    assert len(sampler) == len(order) == 1003
    assert sorted(order) == list(range(1003))
    assert padding(np.random.default_rng(0).permutation(1003)) > 0.4
    assert padding(order) < 0.1


def test_seed_and_epoch_decide():
    def order(seed, epoch):
        sampler = LengthGroupedSampler(LENGTHS, 16, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_short_batches_do_not_come_first():
    """Batches are shuffled: no drift from short to long."""
    order = np.array(list(LengthGroupedSampler(LENGTHS, 16))[:512]).reshape(-1, 16)
    means = LENGTHS[order].mean(axis=1)
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.5


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0)])
def test_sizes_below_one_raise(sizes):
    with pytest.raises(ValueError, match="batch_size and batches_per_group"):
        LengthGroupedSampler([1, 2], sizes[0], batches_per_group=sizes[1])

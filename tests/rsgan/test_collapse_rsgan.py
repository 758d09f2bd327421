"""The guard that ends runs whose discriminator has collapsed."""

import pytest

from hf_kexue.rsgan.collapse_rsgan import CollapseGuard


def test_a_discriminator_that_is_certain_for_long_has_won():
    guard = CollapseGuard(margin=20.0, patience=3)
    for step in (1, 2):
        guard.update(25.0, 1.0, step)
    with pytest.raises(RuntimeError, match=r"3 steps, up to step 3, .*20 .*25"):
        guard.update(25.0, 1.0, 3)


def test_one_step_below_the_bound_starts_the_count_again():
    guard = CollapseGuard(margin=20.0, patience=3)
    for step, margin in enumerate([25.0, 25.0, 19.0, 25.0, 25.0]):
        guard.update(margin, 1.0, step)
    assert guard.won == 2


def test_a_generator_without_gradient_learns_nothing():
    guard = CollapseGuard(patience=2, gradient=1e-7)
    guard.update(0.0, 1e-9, 1)
    with pytest.raises(RuntimeError, match=r"1e-09, bound 1e-07"):
        guard.update(0.0, 1e-9, 2)


def test_a_margin_of_zero_is_never_passed():
    guard = CollapseGuard(margin=0.0, patience=1)
    guard.update(1e9, 1.0, 1)


def test_the_count_is_saved():
    guard, other = CollapseGuard(patience=3), CollapseGuard(patience=3)
    guard.update(25.0, 1e-9, 1)
    other.load_state_dict(guard.state_dict())
    assert (other.won, other.blind) == (1, 1)

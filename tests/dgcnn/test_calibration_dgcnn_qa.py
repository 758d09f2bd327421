"""Calibration of the reader: the fit against scikit-learn's, the error against torchmetrics', a threshold against all
of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torchmetrics.classification import BinaryCalibrationError

from hf_kexue.dgcnn.calibration_dgcnn_qa import (
    best_threshold,
    calibration,
    expected_error,
    fit_line,
    is_right,
    probability,
    reliability,
)

SCORES = np.random.default_rng(0).beta(1.5, 1, 300)
RIGHT = np.random.default_rng(1).random(300) < SCORES**2


def test_the_line_is_that_of_a_logistic_regression():
    """Which takes Platt's targets as weights: each question once as right, once as wrong."""
    slope, intercept = fit_line(SCORES, RIGHT)
    target = np.where(RIGHT, (RIGHT.sum() + 1) / (RIGHT.sum() + 2), 1 / ((~RIGHT).sum() + 2))
    x = np.log(SCORES / (1 - SCORES))[:, None]
    other = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000)
    other.fit(np.concatenate([x, x]), np.repeat([1, 0], 300), np.concatenate([target, 1 - target]))
    assert slope == pytest.approx(other.coef_[0, 0], abs=1e-5)
    assert intercept == pytest.approx(other.intercept_[0], abs=1e-5)
    np.testing.assert_allclose(probability(SCORES, slope, intercept), other.predict_proba(x)[:, 1], atol=1e-6)


def test_scores_that_part_right_and_wrong_have_a_line():
    slope, intercept = fit_line([0.0, 0.1, 0.2, 0.8, 0.9, 1.0], [False] * 3 + [True] * 3)
    assert 0 < slope < 10
    said = probability([0.0, 0.2, 0.8, 1.0], slope, intercept)
    assert said[0] <= said[1] < 0.5 < said[2] <= said[3]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10), st.sampled_from(["right", "wrong", "nothing"])), min_size=1))
def test_no_threshold_decides_better(rows):
    scores = np.array([score / 10 for score, _ in rows])
    right, nothing = (np.array([kind == name for _, kind in rows]) for name in ("right", "nothing"))

    def decided_well(threshold):
        return int(np.where(scores < threshold, nothing, right).sum())

    found = best_threshold(scores, right, nothing)
    assert 0 < found < 1
    assert decided_well(found) == max(decided_well(number / 20) for number in range(1, 20))


def test_the_expected_error_is_that_of_torchmetrics():
    metric = BinaryCalibrationError(n_bins=10, norm="l1")
    expected = metric(torch.from_numpy(SCORES), torch.from_numpy(RIGHT.astype(int))).item()
    bins = reliability(SCORES, RIGHT)
    assert expected_error(bins) == pytest.approx(expected, abs=1e-6)
    assert sum(row.questions for row in bins) == 300


def test_figures_of_refusing():
    """Six questions, counted by hand: the threshold of 0.25 refuses two of three, both rightly."""
    answerable = [False, False, True, False, True, True]  # and each of these has a right answer
    fit = calibration([0.1, 0.2, 0.3, 0.4, 0.6, 0.9], answerable, answerable)
    assert fit.threshold == pytest.approx(0.25)
    assert (fit.questions, fit.unanswerable, fit.precision) == (6, 3, 1.0)
    assert fit.recall == pytest.approx(2 / 3)
    assert fit.right == pytest.approx(5 / 6)
    assert fit.right_before == pytest.approx(5 / 6)  # at 0.5 three are refused rightly, one wrongly
    assert fit.right_always == pytest.approx(3 / 6)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (([], [], []), "length"),
        (([0.5], [True, False], [True]), "length"),
        (([0.5, 1.5], [True, False], [True, True]), r"\[0, 1\]"),
        (([0.5, float("nan")], [True, False], [True, True]), r"\[0, 1\]"),
        (([0.5, 0.4], [True, False], [False, True]), "unanswerable"),
        (([0.5, 0.4], [True, True], [True, True]), "All"),
        (([0.5, 0.4], [False, False], [True, True]), "None"),
        (([0.5, 0.4, 0.3], [False, True, True], [True, True, True]), "more often"),
    ],
)
def test_what_cannot_be_fitted(arguments, fault):
    with pytest.raises(ValueError, match=fault):
        calibration(*arguments)


@pytest.mark.parametrize(
    ("answer", "references", "expected"),
    [
        ("居里夫妇", ["居里夫人", "居里夫妇。"], True),
        ("ＡＢ 12", ["ab12"], True),
        ("居里", ["居里夫妇"], False),
        ("", ["镭"], False),
        ("。", ["！"], False),  # nothing is left of either
        ("镭", [], False),
    ],
)
def test_what_counts_as_right(answer, references, expected):
    assert is_right(answer, references) is expected

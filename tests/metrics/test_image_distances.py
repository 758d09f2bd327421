"""Kernel and Frechet distance against double loops, closed forms, torchmetrics and repeated sampling."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from hf_kexue.metrics import (
    frechet_distance,
    frechet_distance_metric,
    gaussian_frechet_distance,
    kernel_distance,
    kernel_distance_metric,
    kernel_distance_subsets,
)
from hf_kexue.metrics import image_distances as module

# float64 sums of some thousand terms of size one to ten: rounding of 1e-13, with two digits to spare
CLOSE = {"rtol": 1e-11, "atol": 1e-11}


def normal(count, width, seed, scale=1.0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64) * scale + shift


def kernel(a, b, degree=3, gamma=None, coef=1.0):
    gamma = 1 / len(a) if gamma is None else gamma
    return (gamma * sum(p * q for p, q in zip(a, b)) + coef) ** degree


def double_loop(x, y, **arguments):
    """The definition, one pair at a time in Python floats."""
    x, y = x.tolist(), y.tolist()
    within_x = [kernel(a, b, **arguments) for a, b in itertools.permutations(x, 2)]
    within_y = [kernel(a, b, **arguments) for a, b in itertools.permutations(y, 2)]
    across = [kernel(a, b, **arguments) for a in x for b in y]
    return sum(within_x) / len(within_x) + sum(within_y) / len(within_y) - 2 * sum(across) / len(across)


class Identity(nn.Module):
    """Features that are their own images, for torchmetrics."""

    def __init__(self, width):
        super().__init__()
        self.num_features = width

    def forward(self, x):
        return x


class TestKernelDistance:
    @pytest.mark.parametrize(
        "arguments",
        [{}, {"degree": 1}, {"degree": 2, "gamma": 0.5, "coef": 0.0}, {"degree": 4, "gamma": 0.01, "coef": 2.0}],
    )
    def test_equals_the_double_loop(self, arguments):
        x, y = normal(9, 4, 0), normal(7, 4, 1, shift=0.5)
        torch.testing.assert_close(kernel_distance(x, y, **arguments).value, double_loop(x, y, **arguments), **CLOSE)

    def test_linear_kernel_has_a_closed_form(self):
        # degree 1, coef 0: over the samples it is |mean difference|^2 - tr S_x / n - tr S_y / m
        x, y = normal(50, 6, 0), normal(40, 6, 1, shift=1.0)
        bias = x.var(dim=0).sum() / len(x) + y.var(dim=0).sum() / len(y)
        expected = (x.mean(dim=0) - y.mean(dim=0)).square().sum() - bias
        result = kernel_distance(x, y, degree=1, gamma=1.0, coef=0.0)
        torch.testing.assert_close(result.value, float(expected), **CLOSE)

    def test_blocks_change_nothing(self, monkeypatch):
        x, y = normal(50, 5, 0), normal(33, 5, 1, shift=0.2)
        whole = kernel_distance(x, y)
        monkeypatch.setattr(module, "_BLOCK_ROWS", 7)
        torch.testing.assert_close(tuple(kernel_distance(x, y)), tuple(whole), **CLOSE)

    def test_order_of_samples_and_of_sets_does_not_matter(self):
        x, y = normal(30, 5, 0), normal(20, 5, 1, shift=0.2)
        shuffled = kernel_distance(x[torch.randperm(30)], y[torch.randperm(20)])
        torch.testing.assert_close(tuple(shuffled), tuple(kernel_distance(x, y)), **CLOSE)
        torch.testing.assert_close(tuple(kernel_distance(y, x)), tuple(kernel_distance(x, y)), **CLOSE)

    def test_takes_arrays_and_other_dtypes(self):
        x, y = normal(30, 5, 0).float(), normal(20, 5, 1).float()
        expected = kernel_distance(x.double(), y.double())
        assert kernel_distance(x, y) == expected  # the products are taken in float64
        assert kernel_distance(x.numpy(), y.numpy()) == expected
        assert kernel_distance(x.requires_grad_(), y) == expected
        assert isinstance(expected.value, float)
        assert isinstance(expected.standard_error, float)

    @pytest.mark.parametrize(("shift", "law"), [(0.0, "equal"), (0.4, "shifted")])
    def test_is_unbiased_and_its_standard_error_is_the_spread_over_repeated_samples(self, shift, law):
        # n = 30 against m = 45
        repeats, width = 800, 5
        results = [
            kernel_distance(normal(30, width, 2 * i), normal(45, width, 2 * i + 1, shift=shift))
            for i in range(repeats)
        ]
        values = torch.tensor([result.value for result in results])
        variances = torch.tensor([result.standard_error**2 for result in results])
        spread = values.var()
        truth = expected_mmd2(shift, width)
        assert abs(values.mean() - truth) < 4 * spread.sqrt() / math.sqrt(repeats)  # four sigma of the mean
        # Equal laws: the floor at the second-order part costs up to a half of the variance, never less than it.
        # Different laws: unbiased; the sampling error of 800 heavy-tailed variances is some 7 %.
        ratio = float(variances.mean() / spread)
        assert (0.9 < ratio < 1.6) if law == "equal" else (0.8 < ratio < 1.25)

    def test_value_of_equal_laws_lies_within_its_errors(self):
        features = normal(800, 64, 3)
        result = kernel_distance(features[:400], features[400:])
        assert abs(result.value) < 4 * result.standard_error

    def test_standard_error_against_the_distance_from_zero(self):
        result = kernel_distance(normal(400, 64, 3), normal(400, 64, 4, scale=1.3))
        assert result.value > 4 * result.standard_error

    def test_standard_error_without_its_correction_is_the_jackknife(self):
        """Delete-one values, really computed, less the excess that the double-centred matrices give."""
        x, y = normal(12, 3, 0), normal(10, 3, 1, shift=1.5)
        n, m = len(x), len(y)
        without_x = torch.tensor(
            [double_loop(torch.cat([x[:i], x[i + 1 :]]), y) for i in range(n)], dtype=torch.float64
        )
        without_y = torch.tensor(
            [double_loop(x, torch.cat([y[:i], y[i + 1 :]])) for i in range(m)], dtype=torch.float64
        )
        jackknife = (n - 1) * without_x.var(unbiased=False) + (m - 1) * without_y.var(unbiased=False)
        k_xx, k_yy, k_xy = ((a @ b.T / 3 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
        z_xx, z_yy = u_centred_square(k_xx), u_centred_square(k_yy)
        c = k_xy - k_xy.mean(0, keepdim=True) - k_xy.mean(1, keepdim=True) + k_xy.mean()
        z_xy = c.square().sum() / ((n - 1) * (m - 1))
        excess = z_xx * (4 / (n * (n - 2)) - 2 / (n * (n - 1))) + z_yy * (4 / (m * (m - 2)) - 2 / (m * (m - 1)))
        second_order = z_xx * 2 / (n * (n - 1)) + z_yy * 2 / (m * (m - 1)) + z_xy * 4 / (n * m)
        expected = max(jackknife - excess - 4 * z_xy / (n * m), second_order)
        torch.testing.assert_close(kernel_distance(x, y).standard_error ** 2, float(expected), rtol=1e-9, atol=0)


def u_centred_square(k):
    """Mean square of the U-centred matrix, entry by entry as Szekely and Rizzo write it."""
    n = len(k)
    k = k - torch.diag(k.diagonal())
    rows, total = k.sum(dim=1), k.sum()
    centred = k - rows[:, None] / (n - 2) - rows[None, :] / (n - 2) + total / ((n - 1) * (n - 2))
    centred = centred - torch.diag(centred.diagonal())
    return centred.square().sum() / (n * (n - 3))


def expected_mmd2(shift, width):
    """MMD^2 of N(0, 1) and N(shift, 1) in each of `width` independent coordinates, from their moments."""

    def raw_moments(mu):
        return 1.0, mu, mu**2 + 1, mu**3 + 3 * mu  # E t^p of N(mu, 1), p = 0..3

    def mean_kernel(a, b):
        p = [q * r for q, r in zip(raw_moments(a), raw_moments(b))]  # E (s t)^p of one coordinate
        d = width
        m_1 = d * p[1]
        m_2 = d * p[2] + d * (d - 1) * p[1] ** 2
        m_3 = d * p[3] + 3 * d * (d - 1) * p[2] * p[1] + d * (d - 1) * (d - 2) * p[1] ** 3
        return 1 + 3 * m_1 / d + 3 * m_2 / d**2 + m_3 / d**3

    return mean_kernel(0, 0) + mean_kernel(shift, shift) - 2 * mean_kernel(0, shift)


class TestSubsets:
    def test_equal_torchmetrics(self):
        from torchmetrics.image.kid import KernelInceptionDistance

        x, y = normal(60, 8, 0), normal(50, 8, 1, shift=0.3)
        peer = KernelInceptionDistance(feature=Identity(8), subsets=20, subset_size=25)
        peer.update(x, real=True)
        peer.update(y, real=False)
        torch.manual_seed(5)
        mean, deviation = peer.compute()
        torch.manual_seed(5)
        values = kernel_distance_subsets(x, y, subset_size=25, num_subsets=20)
        torch.testing.assert_close(values.mean(), mean, **CLOSE)
        torch.testing.assert_close(values.std(unbiased=False), deviation, **CLOSE)
        own = torch.Generator().manual_seed(5)
        result = kernel_distance(x, y, subset_size=25, num_subsets=20, generator=own)
        torch.testing.assert_close(result.value, float(mean), **CLOSE)

    def test_whole_sample_as_the_one_subset_is_torchmetrics_too(self):
        from torchmetrics.image.kid import KernelInceptionDistance

        x, y = normal(40, 8, 0), normal(40, 8, 1, shift=0.3)
        peer = KernelInceptionDistance(feature=Identity(8), subsets=1, subset_size=40, degree=2, gamma=0.3, coef=0.5)
        peer.update(x, real=True)
        peer.update(y, real=False)
        ours = kernel_distance(x, y, degree=2, gamma=0.3, coef=0.5)
        torch.testing.assert_close(ours.value, float(peer.compute()[0]), **CLOSE)

    def test_standard_error_covers_the_draw_of_subsets_too(self):
        x, y = normal(60, 8, 0), normal(60, 8, 1, shift=0.3)
        whole = kernel_distance(x, y)
        own = torch.Generator().manual_seed(0)
        draws = [kernel_distance(x, y, subset_size=20, num_subsets=5, generator=own) for _ in range(100)]
        values = torch.tensor([draw.value for draw in draws])
        # the full statistic is the mean over all subsets; four sigma of 100 draws
        assert abs(values.mean() - whole.value) < 4 * values.std() / math.sqrt(100)
        added = torch.tensor([draw.standard_error**2 for draw in draws]).mean() - whole.standard_error**2
        assert 0.6 < added / values.var() < 1.7  # the deviation over 100 draws: three sigma of 14 %

    def test_one_proper_subset_has_no_standard_error(self):
        x, y = normal(30, 4, 0), normal(30, 4, 1)
        assert math.isnan(kernel_distance(x, y, subset_size=10, num_subsets=1).standard_error)
        assert kernel_distance(x, y, subset_size=30, num_subsets=1).standard_error > 0

    @pytest.mark.parametrize(("size", "count"), [(1, 5), (31, 5), (10, 0), (2.5, 5)])
    def test_refuse_impossible_subsets(self, size, count):
        with pytest.raises(ValueError, match=r"subset_size must be|num_subsets must be"):
            kernel_distance(normal(40, 4, 0), normal(30, 4, 1), subset_size=size, num_subsets=count)


class TestFrechetDistance:
    def test_equals_torchmetrics(self):
        from torchmetrics.image.fid import FrechetInceptionDistance

        x, y = normal(300, 16, 0), normal(250, 16, 1, scale=1.4, shift=0.3)
        peer = FrechetInceptionDistance(feature=Identity(16))
        peer.set_dtype(torch.float64)
        peer.update(x, real=True)
        peer.update(y, real=False)
        # the peer takes eigenvalues of an unsymmetric product, covariances as differences of sums: its error is 1e-8
        torch.testing.assert_close(frechet_distance(x, y), float(peer.compute()), rtol=1e-8, atol=1e-8)

    def test_equals_the_gaussian_form_of_its_moments(self):
        x, y = normal(80, 10, 0) @ normal(10, 10, 5), normal(60, 10, 1, shift=0.5) @ normal(10, 10, 6)
        expected = gaussian_frechet_distance(x.mean(0), torch.cov(x.T), y.mean(0), torch.cov(y.T))
        torch.testing.assert_close(frechet_distance(x, y), expected, rtol=1e-10, atol=1e-10)

    def test_equals_scipy_square_root(self):
        linalg = pytest.importorskip("scipy.linalg")
        x, y = normal(80, 10, 0) @ normal(10, 10, 5), normal(60, 10, 1, shift=0.5)
        s_x, s_y = torch.cov(x.T).numpy(), torch.cov(y.T).numpy()
        mean = (x.mean(0) - y.mean(0)).square().sum().item()
        expected = mean + np.trace(s_x + s_y - 2 * linalg.sqrtm(s_x @ s_y).real)
        torch.testing.assert_close(frechet_distance(x, y), float(expected), rtol=1e-9, atol=1e-9)

    def test_commuting_gaussians_have_a_closed_form(self):
        # diagonal covariances: sum of (mean difference)^2 + (deviation difference)^2
        a, b = torch.tensor([1.0, 2.0, 0.0, 5.0]), torch.tensor([3.0, 2.0, 1.0, 0.5])
        shift = torch.tensor([0.0, 1.0, -2.0, 0.5])
        expected = float((shift.square() + (a - b).square()).sum())
        result = gaussian_frechet_distance(torch.zeros(4), torch.diag(a**2), shift, torch.diag(b**2))
        torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)

    def test_samples_scaled_and_shifted_have_a_closed_form(self):
        # y = c x + shift: S_y = c^2 S_x, so the distance is |mean difference|^2 + (c - 1)^2 tr S_x, for any S_x
        x = normal(200, 12, 0) @ normal(12, 12, 1)
        y = 1.7 * x + 0.3
        expected = (y.mean(0) - x.mean(0)).square().sum() + 0.7**2 * x.var(dim=0).sum()
        torch.testing.assert_close(frechet_distance(x, y), float(expected), rtol=1e-12, atol=1e-12)

    def test_converges_to_the_distance_of_the_laws(self):
        x, y = normal(20000, 4, 0), normal(20000, 4, 1, scale=2.0, shift=1.0)
        assert frechet_distance(x, y) == pytest.approx(4 * (1 + 1), rel=0.03)  # sampling error of 20000: about 1 %

    def test_fewer_samples_than_features_stay_exact_and_are_announced(self):
        x, y = normal(20, 50, 0), normal(15, 50, 1)
        with pytest.warns(UserWarning, match="15 samples of 50 features"):
            result = frechet_distance(x, y)
        expected = gaussian_frechet_distance(x.mean(0), torch.cov(x.T), y.mean(0), torch.cov(y.T))
        # the Gaussian form takes square roots of zero eigenvalues with rounding 1e-15: an error of 50 * 3e-8 at most
        torch.testing.assert_close(result, expected, rtol=0, atol=2e-6)

    def test_is_zero_for_one_set_with_itself_in_any_order(self):
        x = normal(100, 8, 0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert frechet_distance(x, x[torch.randperm(100)]) == pytest.approx(0, abs=1e-11)

    def test_refuses_moments_that_do_not_fit(self):
        with pytest.raises(ValueError, match=r"cov_2 \(3, 3\)"):
            gaussian_frechet_distance(torch.zeros(2), torch.eye(2), torch.zeros(2), torch.eye(3))


@pytest.mark.parametrize("distance", [kernel_distance, frechet_distance])
class TestArguments:
    def test_shape(self, distance):
        with pytest.raises(ValueError, match=r"features_fake .*\(10, 4, 2\)"):
            distance(normal(10, 4, 0), torch.zeros(10, 4, 2))

    def test_width(self, distance):
        with pytest.raises(ValueError, match=r"features_real .*4 .*features_fake 5"):
            distance(normal(10, 4, 0), normal(10, 5, 0))

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_not_finite(self, distance, value):
        x = normal(10, 4, 0)
        x[3, 2] = value
        with pytest.raises(ValueError, match=r"features_real .*1 of 40"):
            distance(x, normal(10, 4, 0))

    def test_too_few(self, distance):
        with pytest.raises(ValueError, match=r"features_fake .*got 1"):
            distance(normal(10, 4, 0), normal(1, 4, 0))

    def test_type(self, distance):
        with pytest.raises(TypeError, match=r"features_real .*list"):
            distance([[0.0, 1.0]] * 5, normal(5, 2, 0))
        with pytest.raises(TypeError, match="must hold real numbers"):
            distance(torch.zeros(5, 2, dtype=torch.complex64), normal(5, 2, 0))


@pytest.mark.parametrize(
    "arguments", [{"degree": 0}, {"degree": 1.5}, {"gamma": -1.0}, {"gamma": math.nan}, {"coef": -1}]
)
def test_kernel_refuses_its_numbers_by_name(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        kernel_distance(normal(5, 2, 0), normal(5, 2, 1), **arguments)


def test_evaluate_metrics_return_what_the_functions_return(tmp_path):
    pytest.importorskip("evaluate", reason='needs pip install "hf-kexue[metrics]"')
    x, y = normal(40, 6, 0).float().numpy(), normal(40, 6, 1, shift=0.4).float().numpy()
    metric = kernel_distance_metric(cache_dir=str(tmp_path))
    for part in (slice(0, 15), slice(15, 40)):
        metric.add_batch(predictions=y[part], references=x[part])
    expected = kernel_distance(x, y)
    assert metric.compute() == {"kernel_distance": expected.value, "standard_error": expected.standard_error}
    metric = frechet_distance_metric(cache_dir=str(tmp_path))
    assert metric.compute(predictions=y, references=x) == {"frechet_distance": frechet_distance(x, y)}

"""The quartic integral: exact values against Bessel functions in mpmath, the articles' table, domains, gradients."""

import math
from itertools import pairwise

import mpmath
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from hf_kexue.numerics.quartic import log_quartic_gaussian_integral, optimal_series_order, quartic_gaussian_integral

F64 = torch.float64
COEFFICIENTS = [-50, -21, -13, -12.8, -7, -3, -1, -0.3, -1e-3, 0, 1e-6, 0.2, 1, 4, 15, 50]
QUARTICS = [1e-6, 1e-4, 1e-2, 0.1, 0.25, 0.5, 0.8, 1, 10, 1e3]


def log_integral(a, eps):
    """log I from the closed forms, in the working precision of mpmath."""
    a, eps, quarter = mpmath.mpf(a), mpmath.mpf(eps), mpmath.mpf(1) / 4
    if a == 0:
        return mpmath.log(mpmath.gamma(quarter) / (2 * eps**quarter))
    z = a * a / (8 * eps)
    if a > 0:
        return mpmath.log(mpmath.sqrt(a / eps) / 2 * mpmath.besselk(quarter, z)) + z
    bessel = mpmath.besseli(-quarter, z) + mpmath.besseli(quarter, z)
    return mpmath.log(mpmath.pi / 2 * mpmath.sqrt(-a / (2 * eps)) * bessel) + z


def pairs():
    a, eps = torch.meshgrid(torch.tensor(COEFFICIENTS, dtype=F64), torch.tensor(QUARTICS, dtype=F64), indexing="ij")
    return a.reshape(-1), eps.reshape(-1)


def test_exact_value_over_the_whole_range():
    a, eps = pairs()
    value, log_value = quartic_gaussian_integral(a, eps), log_quartic_gaussian_integral(a, eps)
    scaled = log_quartic_gaussian_integral(a, eps, scaled=True)
    with mpmath.workdps(40):
        reference = [log_integral(*pair) for pair in zip(a.tolist(), eps.tolist())]
        depths = [mpmath.mpf(p) ** 2 / (4 * mpmath.mpf(e)) if p < 0 else 0 for p, e in zip(a.tolist(), eps.tolist())]
        scaled_reference = torch.tensor([float(log - depth) for log, depth in zip(reference, depths)], dtype=F64)
        fits = torch.tensor([log < 709 for log in reference])
        values = torch.tensor([float(mpmath.exp(log)) if log < 709 else math.inf for log in reference], dtype=F64)
    # the scaled logarithm carries the relative error of the sum itself
    assert_close(scaled, scaled_reference, rtol=1e-15, atol=2e-15)
    assert_close(log_value, torch.tensor([float(log) for log in reference], dtype=F64), rtol=1e-15, atol=2e-15)
    # e^{depth} rounds depths up to 709 by about one epsilon each: 709 * 2.2e-16
    assert_close(value[fits], values[fits], rtol=2e-13, atol=0)
    assert (value[~fits] == math.inf).all()
    assert fits.sum() > 100


@pytest.mark.parametrize("a", [-12.9, -12.81, -12.80, -12.7, -9.0, -5.0, -2.0])
def test_window_that_splits_in_two(a):
    with mpmath.workdps(30):
        expected = float(log_integral(a, 1) - mpmath.mpf(a) ** 2 / 4)
    assert_close(
        log_quartic_gaussian_integral(a, 1.0, scaled=True), torch.tensor(expected, dtype=F64), rtol=0, atol=1e-15
    )


def test_gradients_over_the_whole_range():
    """Minus the gradient of log I is (<x^2>, <x^4>), compared with numerical derivatives in 50 digits."""
    for a, eps in [(50.0, 1e-6), (-50.0, 1e-6), (0.0, 1e-6), (-50.0, 0.05), (50.0, 1e3), (0.1, 1e3), (-13.0, 1.0)]:
        inputs = (
            torch.tensor(a, dtype=F64, requires_grad=True),
            torch.tensor(eps, dtype=F64, requires_grad=True),
        )
        got = torch.autograd.grad(log_quartic_gaussian_integral(*inputs), inputs)
        with mpmath.workdps(50):
            step = mpmath.mpf(10) ** -15
            by_a = mpmath.diff(lambda t, e=eps: log_integral(t, e), mpmath.mpf(a), h=step)
            by_eps = mpmath.diff(lambda t, p=a: log_integral(p, t), mpmath.mpf(eps), h=step * mpmath.mpf(eps))
        expected = (torch.tensor(float(by_a), dtype=F64), torch.tensor(float(by_eps), dtype=F64))
        assert_close(got, expected, rtol=1e-14, atol=0)  # sums of positive terms again


def test_gradcheck_and_torch_func():
    a = torch.tensor([-3.0, -0.5, 0.0, 1.0, 7.0], dtype=F64, requires_grad=True)
    eps = torch.tensor([0.3, 1.0, 2.0, 0.1, 0.5], dtype=F64, requires_grad=True)
    for function in (quartic_gaussian_integral, log_quartic_gaussian_integral):
        assert gradcheck(function, (a, eps))
        assert gradgradcheck(function, (a, eps))
    a, eps = a.detach(), eps.detach()
    per_sample = torch.func.vmap(torch.func.grad(quartic_gaussian_integral, argnums=(0, 1)))(a, eps)
    batched = torch.func.grad(lambda p, e: quartic_gaussian_integral(p, e).sum(), argnums=(0, 1))(a, eps)
    assert_close(per_sample, batched)
    # d^2 I / d a^2 = <x^4> I = -d I / d eps
    curvature = torch.func.vmap(torch.func.grad(torch.func.grad(quartic_gaussian_integral)))(a, eps)
    assert_close(curvature, -per_sample[1], rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    ("method", "order"),
    [("series", 3), ("exponent", 3), ("renormalized", 1), ("combined", None), ("combined", 3)],
)
def test_gradients_of_the_approximations(method, order):
    a = torch.tensor([1.0, 2.0], dtype=F64, requires_grad=True)
    eps = torch.tensor([0.05, 0.1], dtype=F64, requires_grad=True)
    assert gradcheck(lambda p, e: quartic_gaussian_integral(p, e, method, order), (a, eps))


COLUMNS = [
    ("exact", None),
    ("series", 1),
    ("renormalized", None),
    ("combined", None),
    ("exponent", 1),
    ("exponent", 2),
    ("exponent", 3),
    ("combined", 2),
    ("combined", 3),
]
TABLE = {  # columns: exact, (3), (4), (14), (5) of order 1, 2, 3, (11) to the second and the third order
    (10, 1): ".5564657 .5562954 .5564020 .5564677 .556342 .556476 .556464 .556472 .556465",
    (1, 0.1): "1.674086 1.639520 1.665576 1.675403 1.65282 1.68901 1.65837 1.68084 1.66724",
    (1, 0.01): "1.7596991 1.7591604 1.7594975 1.7597054 1.759308 1.759731 1.759695 1.759719 1.759697",
    (1, 1): "1.368427 .443113 1.312794 1.387149 1.1210 - .2850 1.7440 .7629",
    (0, 1): "1.812805 - 1.601593 1.943122 - - - - -",
    (1, 10): ".921961 -11.5 .844493 .959766",
    (-1, 1): "2.761349 - 1.953925 5.774 - - - - -",
    (-2, 1): "5.365160 - 2.325064 - - - - - -",
    (-4, 1): "73.185824 - 3.016717 - - - - - -",
}


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_table_of_the_articles(row):
    for (method, order), printed in zip(COLUMNS, TABLE[row].split()):
        if printed == "-":
            with pytest.raises(ValueError, match=r"needs a >|no positive radicand"):
                quartic_gaussian_integral(*row, method, order)
            continue
        digits = len(printed.split(".")[1])
        value = quartic_gaussian_integral(*row, method, order).item()
        # the printed digits are rounded or cut: less than one unit of the last one
        assert abs(value - float(printed)) < 1.0 * 10**-digits, (method, order, value, printed)


def test_coefficients_of_the_series():
    eps = torch.tensor(0.01, dtype=F64)
    expected = 1 - 3 * 0.01 / 4 + 105 * 0.01**2 / 32 - 3465 * 0.01**3 / 128
    assert_close(quartic_gaussian_integral(1.0, eps, "series", 3), torch.tensor(expected * math.pi**0.5, dtype=F64))
    by_factorials = sum(
        (-0.01) ** n * math.factorial(4 * n) / (16**n * math.factorial(2 * n) * math.factorial(n)) for n in range(9)
    )
    by_factorials = torch.tensor(by_factorials * math.pi**0.5, dtype=F64)
    assert_close(quartic_gaussian_integral(1.0, eps, "series", 8), by_factorials)


@pytest.mark.parametrize("eps", [0.01, 0.03, 0.1, 1.0, 10.0])
def test_the_series_is_best_near_its_optimal_order(eps):
    best = optimal_series_order(1.0, eps).item()
    partial = [quartic_gaussian_integral(1.0, eps, "series", n).item() for n in range(best + 3)]
    terms = [abs(after - before) for before, after in pairwise(partial)]
    assert best == 0 or terms[best - 1] <= min(terms[:best]) * (1 + 1e-6)
    assert terms[best] > (terms[best - 1] if best else partial[0])
    assert abs(best - 1 / (4 * eps)) <= 1
    error = abs(partial[best] - quartic_gaussian_integral(1.0, eps).item())
    # the scale e^{-a^2 / 4 eps} of the article, with a factor of order one
    assert error < 2 * math.exp(-1 / (4 * eps)) or eps == 10.0


def test_relations_between_the_methods():
    a, eps = torch.tensor([0.5, 1.0, 3.0], dtype=F64), torch.tensor([0.2, 1.0, 5.0], dtype=F64)
    assert_close(quartic_gaussian_integral(a, eps, "combined", 1), quartic_gaussian_integral(a, eps, "renormalized"))
    gaussian = (math.pi / a).sqrt()
    for method, order in [*COLUMNS, ("series", 7)]:
        assert_close(quartic_gaussian_integral(a, 0.0, method, order), gaussian)
    exact = quartic_gaussian_integral(a, eps)
    assert (quartic_gaussian_integral(a, eps, "renormalized") < exact).all()
    assert (quartic_gaussian_integral(a, eps, "combined") > exact).all()


def test_relative_errors_at_a_zero_do_not_depend_on_eps():
    eps = torch.tensor([1e-6, 1.0, 1e3], dtype=F64)
    exact = quartic_gaussian_integral(0.0, eps)
    low = quartic_gaussian_integral(0.0, eps, "renormalized") / exact - 1
    high = quartic_gaussian_integral(0.0, eps, "combined") / exact - 1
    assert_close(low, torch.full_like(low, -0.1165), rtol=0, atol=5e-5)
    assert_close(high, torch.full_like(high, 0.0719), rtol=0, atol=5e-5)


def test_float32_and_broadcasting():
    a = torch.linspace(-5, 50, 300)
    value = quartic_gaussian_integral(a[:, None], torch.tensor([0.5, 1.0]))
    assert value.dtype == torch.float32
    assert value.shape == (300, 2)
    # the depth up to 12.5 adds as many float32 epsilons to the roundings of the sum
    expected = quartic_gaussian_integral(a.double()[:, None], torch.tensor([0.5, 1.0]).double())
    assert_close(value.double(), expected, rtol=2e-6, atol=0)
    assert quartic_gaussian_integral(1.0, 1.0).dtype == torch.float64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, -1.0), r"eps .*eps = -1"),
        ((0.0, 0.0), "eps must be > 0"),
        ((math.nan, 1.0), "a must not be NaN"),
        ((math.inf, 1.0), "a = inf, eps = 1"),
        ((torch.ones(2), torch.ones(3)), r"shapes must broadcast .* got a \(2,\), eps \(3,\)"),
        ((1.0, 1.0, "laplace"), "method .*'laplace'"),
        ((1.0, 1.0, "exact", 2), "'exact' .*2"),
        ((1.0, 1.0, "exponent", 4), "order .*'exponent' .*4"),
        ((1.0, 1.0, "exponent", 2), "radicand.*a = 1, eps = 1"),
        ((1.0, 1.0, "renormalized", 2), "order of 'renormalized' must be"),
        ((1.0, 1.0, "combined", 0), "order of 'combined' must be"),
        ((-2.0, 1.0, "combined"), r"needs a > -sqrt\(9 eps / 7\); got a = -2, eps = 1"),
        ((-1.0, 1.0, "series"), "needs a > 0; got a = -1"),
    ],
)
def test_bad_input_raises(arguments, message):
    with pytest.raises(ValueError, match=message):
        quartic_gaussian_integral(*arguments)


def test_the_first_offender_is_named():
    with pytest.raises(ValueError, match=r"eps = -2 at index \(0, 1\)"):
        quartic_gaussian_integral(torch.ones(1, 3), torch.tensor([1.0, -2.0, 3.0]))
    with pytest.raises(TypeError, match=r"a .*torch\.int64"):
        quartic_gaussian_integral(torch.ones(2, dtype=torch.int64), 1.0)

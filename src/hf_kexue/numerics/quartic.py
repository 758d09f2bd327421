"""The integral I(a, eps) = int e^{-a x^2 - eps x^4} dx over the real line: its value and the articles' approximations.

Source: kexue.fm, "Perturbative expansion of integrals of Gaussian type", parts one to three (archives/3217, 3241,
3280). The exact value, which the articles do not give, is in `quartic_quadrature`.
"""

import math

import torch
from torch import Tensor

from ._checks import Real, as_float_tensors, check_choice, check_count, require
from .quartic_distribution import QuarticGaussian
from .quartic_quadrature import check_domain, depth, log_partition

__all__ = ["QuarticGaussian", "log_quartic_gaussian_integral", "optimal_series_order", "quartic_gaussian_integral"]

_METHODS = ("exact", "series", "exponent", "renormalized", "combined")
_MAX_SERIES_ORDER = 1000


def quartic_gaussian_integral(a: Real, eps: Real, method: str = "exact", order: int | None = None) -> Tensor:
    """I(a, eps) = int e^{-a x^2 - eps x^4} dx, exact or by one of the articles' approximations.

    | method | formula | order | domain |
    |---|---|---|---|
    | exact | closed forms in K_{1/4}, Gamma(1/4), I_{+-1/4} | None | eps > 0, or eps = 0 and a > 0 |
    | series | (3): sqrt(pi/a) sum_n (-eps/a^2)^n (4n)! / (16^n (2n)! n!) | n <= order, 0 to 1000, default 1 | a > 0 |
    | exponent | (5): sqrt(pi / (a + 3 eps/2a - 39 eps^2/8a^3 + 657 eps^3/16a^5)) | 0 to 3, default 1 | a > 0 |
    | renormalized | (4): sqrt(2 pi / (a + sqrt(a^2 + 6 eps))) | 1 | as exact |
    | combined | (14): sqrt(13 pi / (10 a + 3 sqrt(a^2 + 13 eps))) | None | a > -sqrt(9 eps / 7) |
    | combined | (11): sqrt(pi / (a + l - 7 l^2/6a + 47 l^3/6a^2)), l = (sqrt(a^2 + 6 eps) - a)/2 | 1 to 3 | a > 0 |

    Where a domain says a > 0, eps >= 0. (5) and (11) also need a positive radicand.

    Error: "exact" has a relative error below 1e-13 in float64 (2e-6 in float32) apart from the rounding of the factor
    e^{a^2/4eps} for a < 0, which adds a^2/4eps machine epsilons; where that factor overflows the value is infinity and
    `log_quartic_gaussian_integral` is the way. (3), (5) and (11) are asymptotic in eps/a^2: no order makes them exact.
    The best truncation of (3) is `optimal_series_order`, and leaves an error of the order e^{-a^2/4eps}. (4) is never
    above the exact value and (14) never below it for a >= 0; at a = 0 they are off by -11.65 % and +7.19 %.

    Args:
        a: Quadratic coefficient, number or tensor.
        eps: Quartic coefficient, number or tensor that broadcasts with `a`.
        method: One of "exact", "series", "exponent", "renormalized", "combined".
        order: Where the expansion stops; see the table.

    Returns:
        Tensor of the broadcast shape; float64 for Python numbers. Differentiable in `a` and `eps` to every order.

    Raises:
        ValueError: Outside the domain, or for an unknown method or order. Inside `torch.func.vmap`, where values
            cannot be looked at, the result is NaN or infinity instead.
        TypeError: If a tensor is neither float32 nor float64.

    Relations: "combined" of order 1 equals "renormalized"; all equal sqrt(pi / a) at eps = 0.

    Source: kexue.fm archives/3217 (3), (4); 3241 (5); 3280 (11), (13) with its misprint 2 lambda for 2 a lambda, (14).
    """
    a, eps = as_float_tensors(a=a, eps=eps)
    check_choice("method", method, _METHODS)
    check_domain(a, eps)
    if method == "exact":
        if order is not None:
            raise ValueError(f"method 'exact' takes no order; got {order!r}")
        return torch.exp(log_partition(a, eps)) * torch.exp(depth(a, eps))
    if method == "renormalized":
        check_count("order of 'renormalized'", 1 if order is None else order, 1, 1)
        return (math.pi / _renormalized_coefficient(a, eps)).sqrt()
    if method == "combined" and order is None:
        radicand = (10 * a + 3 * (a * a + 13 * eps).sqrt()) / 13  # (14)
        require(radicand > 0, "method 'combined' needs a > -sqrt(9 eps / 7)", a=a, eps=eps)
        return (math.pi / radicand).sqrt()

    require(a > 0, f"method {method!r} with an order expands in eps / a^2 and needs a > 0", a=a, eps=eps)
    order = 1 if order is None else order
    if method == "series":
        check_count("order of 'series'", order, 0, _MAX_SERIES_ORDER)
        return (math.pi / a).sqrt() * _series_factor(eps / (a * a), order)
    if method == "exponent":
        check_count("order of 'exponent'", order, 0, 3)
        coefficients, small = (1.0, 3 / 2, -39 / 8, 657 / 16), eps / (a * a)  # (5)
    else:
        check_count("order of 'combined'", order, 1, 3)
        coefficients, small = (1.0, 1.0, -7 / 6, 47 / 6), _renormalized_coefficient(a, eps) / a - 1  # (11)
    effective = a * _polynomial(coefficients[: order + 1], small)
    require(effective > 0, f"method {method!r} of order {order} has no positive radicand here", a=a, eps=eps)
    return (math.pi / effective).sqrt()


def log_quartic_gaussian_integral(a: Real, eps: Real, scaled: bool = False) -> Tensor:
    """log I(a, eps), exact where I itself would overflow: for a < 0 it grows like a^2 / (4 eps).

    Args:
        a: Quadratic coefficient, number or tensor.
        eps: Quartic coefficient, number or tensor that broadcasts with `a`.
        scaled: Leave out the depth a^2 / (4 eps) of the double well (a < 0). What remains is the log of
            int e^{-eps (x^2 - m^2)^2} dx, m^2 = |a| / 2 eps, and keeps an absolute error of 1e-13 for every a; it has
            a jump in its second derivative at a = 0.

    Returns:
        Tensor of the broadcast shape. Differentiable in `a` and `eps` to every order.

    Raises:
        ValueError: Unless eps > 0, or eps = 0 and a > 0.
        TypeError: If a tensor is neither float32 nor float64.

    Relations: exp of it equals `quartic_gaussian_integral(a, eps)`; minus its gradient in (a, eps) is (<x^2>, <x^4>).
    """
    a, eps = as_float_tensors(a=a, eps=eps)
    check_domain(a, eps)
    return log_partition(a, eps) if scaled else log_partition(a, eps) + depth(a, eps)


def optimal_series_order(a: Real, eps: Real) -> Tensor:
    """Order at which the terms of the series (3) are smallest, about a^2 / (4 eps): beyond it the series gets worse.

    The ratio of consecutive terms is (4n + 1)(4n + 3) eps / (4 (n + 1) a^2), about 4 n eps / a^2.

    Args:
        a: Quadratic coefficient, > 0.
        eps: Quartic coefficient, > 0.

    Returns:
        int64 tensor of the broadcast shape: the last n whose term is not larger than the one before it.

    Raises:
        ValueError: Unless a > 0 and eps > 0.
    """
    a, eps = as_float_tensors(a=a, eps=eps)
    require((a > 0) & (eps > 0), "the series has an optimal order for a > 0 and eps > 0", a=a, eps=eps)
    # (4n + 1)(4n + 3) = q (n + 1) with q = 4 a^2 / eps, solved for the largest n; term n + 1 is then not larger
    q = 4 * a * a / eps
    half = (q - 16) / 2
    root = (half + (half * half - 16 * (3 - q)).clamp_min(0).sqrt()) / 16
    return torch.where(q < 3, -1, root.floor()).to(torch.int64) + 1


def _renormalized_coefficient(a: Tensor, eps: Tensor) -> Tensor:
    """A = (a + sqrt(a^2 + 6 eps)) / 2, the root of 2 A (a - A) + 3 eps = 0, without cancellation for a < 0."""
    root = (a * a + 6 * eps).sqrt()
    negative = a < 0
    return torch.where(negative, 3 * eps / torch.where(negative, root - a, torch.ones_like(a)), (a + root) / 2)


def _series_factor(ratio: Tensor, order: int) -> Tensor:
    """Sum over n <= order of (-ratio)^n (4n)! / (16^n (2n)! n!); term n + 1 over n is -(4n+1)(4n+3)/(4(n+1)) ratio."""
    term = torch.ones_like(ratio)
    total = term
    for n in range(order):
        term = term * (-ratio) * ((4 * n + 1) * (4 * n + 3) / (4 * (n + 1)))
        total = total + term
    return total


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    value = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value

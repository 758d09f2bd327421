"""The Gaussian integral by differentiation under the integral sign, and an error function made from it.

With f(x) = (int_0^x e^{-t^2} dt)^2 and g(x) = int_0^1 e^{-x^2 (1 + t^2)} / (1 + t^2) dt the derivatives cancel,
f' + g' = 0, and f(0) + g(0) = pi/4. Hence for every real x

    f(x) + g(x) = pi/4,        erf(x)^2 = 1 - (4/pi) g(x).

The right-hand side is an average of 1 - e^{-k x^2} over k = 1 + t^2 in [1, 2]. Replacing the average by a few nodes
gives a smooth approximation of erf (`erf_feynman`) and of GELU (`gelu_feynman`); replacing it by one exponential gives
bounds (`erf_bounds`).

Source: kexue.fm, the eighth article on Feynman's way of integrating, "Gaussian integral" (2013-04-14).
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ._checks import Real, as_float_tensors, check_count
from ._legendre import Rule, symmetric_rule

__all__ = [
    "GELUFeynman",
    "erf_bounds",
    "erf_feynman",
    "erf_feynman_error_bound",
    "feynman_remainder",
    "gelu_feynman",
    "register_gelu_feynman",
]

_MAX_NODES = 64
# The integrand is cut at |x| t = 6.5, where e^{-(x t)^2} < 5e-19; 24 nodes carry the rest to 1e-16.
_REACH, _REMAINDER_NODES = 6.5, 24


def _even_rule(num_nodes: int) -> Rule:
    """The positive half of the Gauss-Legendre rule with 2 num_nodes nodes on [-1, 1].

    For an even function it integrates over [0, 1] with num_nodes evaluations, exactly up to degree 4 num_nodes - 1.
    """
    nodes, weights = symmetric_rule(2 * num_nodes)
    return nodes[num_nodes:], weights[num_nodes:]


class _Mixture(NamedTuple):
    """The average over k = 1 + t^2 by nodes: rates k_i and shares p_i that sum to 1.

    `series` are the coefficients of sum_i p_i (1 - e^{-k_i v}) / v in powers of v, as many as float64 can need for
    v < 1/4: (-1)^j (sum_i p_i k_i^{j+1}) / (j+1)!.
    """

    rates: tuple[float, ...]
    shares: tuple[float, ...]
    series: tuple[float, ...]


def _mixture_of(rates: tuple[float, ...], shares: tuple[float, ...]) -> _Mixture:
    series = []
    for j in range(14):  # (k v)^14 / 15! < 1e-16 for k <= 2
        moment = math.fsum(share * rate ** (j + 1) for rate, share in zip(rates, shares))
        series.append((-1) ** j * moment / math.factorial(j + 1))
    return _Mixture(rates, shares, tuple(series))


@lru_cache(maxsize=_MAX_NODES)
def _feynman_mixture(num_nodes: int) -> tuple[_Mixture, float]:
    """The mixture of `erf_feynman`, and the sum of its shares before they were made to sum to 1.

    The shares are (4/pi) w_i / k_i; dividing them by their sum makes the approximation of erf 0 at 0 and 1 at infinity
    for every number of nodes.
    """
    nodes, weights = _even_rule(num_nodes)
    rates = tuple(1 + node * node for node in nodes)
    raw = [4 / math.pi * weight / rate for weight, rate in zip(weights, rates)]
    total = math.fsum(raw)
    return _mixture_of(rates, tuple(share / total for share in raw)), total


_INNER = _mixture_of((1.0,), (1.0,))
_OUTER = _mixture_of((4 / math.pi,), (1.0,))


def _chord(v: Tensor, mixture: _Mixture, below: float, terms: int) -> Tensor:
    """Sum of p_i (1 - e^{-k_i v}) / v for v >= 0, smooth at v = 0.

    For v < below, where the quotient and its derivatives suffer from cancellation, it is the power series of so many
    terms.
    """
    # Not v.clamp: torch 2.14 gives it no gradient where v equals the bound, 2.13 and older gave 1.
    small = v < below
    v_large = torch.where(small, below, v)
    decay: Tensor | float = 0.0
    for rate, share in zip(mixture.rates, mixture.shares):
        decay = torch.exp(-rate * v_large) * share + decay
    v_small = torch.where(small, v, below)
    power: Tensor | float = 0.0
    for coefficient in reversed(mixture.series[:terms]):
        power = power * v_small + coefficient
    return torch.where(small, power, (1 - decay) / v_large)


def _erf_by_mixture(x: Tensor, mixture: _Mixture, below: float = 0.25, terms: int = 14) -> Tensor:
    """sign(x) sqrt(sum_i p_i (1 - e^{-k_i x^2})), the power series taken for x^2 < below."""
    x = x.clamp(-30.0, 30.0)  # erf is 1 in float64 from 6 on; the clamp keeps x^2 finite
    return x * _chord(x * x, mixture, below, terms).sqrt()


def feynman_remainder(x: Real) -> Tensor:
    """g(x) = int_0^1 e^{-x^2 (1 + t^2)} / (1 + t^2) dt, the part of pi/4 that the squared integral has not reached.

    g(0) = pi/4, g decreases in |x|, 0 < g(x) <= (pi/4) e^{-x^2}, and (pi/4) erf(x)^2 + g(x) = pi/4.

    Algorithm: Gauss-Legendre with 48 symmetric nodes (24 evaluations) on |t| <= min(1, 6.5 / |x|). The integrand is
    analytic up to t = +-i; the ellipse of parameter 2.3 gives a relative error below 1e-16 for every real x, so what
    is left is rounding, x^2 machine epsilons in e^{-x^2}.

    Args:
        x: Real number or float32/float64 tensor of any shape, infinity allowed.

    Returns:
        Tensor of the same shape, in [0, pi/4]. Differentiable to every order.

    Raises:
        TypeError: If `x` is not float32 or float64.
        ValueError: If `x` has a NaN.

    Source: kexue.fm, Feynman's way of integrating (8); derivation of the closed form in the module docstring.
    """
    (x,) = as_float_tensors(x=x)
    x = x.clamp(-1e3, 1e3)  # e^{-x^2} is 0 long before
    reach = (_REACH / x.detach().abs().clamp_min(_REACH)).clamp_max(1.0)
    nodes, weights = _even_rule(_REMAINDER_NODES)
    total = torch.zeros_like(x)
    for node, weight in zip(nodes, weights):
        t = node * reach
        total = total + weight * torch.exp(-((x * t) ** 2)) / (1 + t * t)
    return torch.exp(-x * x) * total * reach


def erf_feynman(x: Real, num_nodes: int = 10) -> Tensor:
    """erf(x) = sign(x) sqrt(1 - (4/pi) g(x)) with g by Gauss-Legendre on [0, 1].

    With nodes t_i in (0, 1) and shares p_i, sum p_i = 1, the value is sign(x) sqrt(sum_i p_i (1 - e^{-k_i x^2})),
    k_i = 1 + t_i^2: no cancellation near 0, exactly odd, exactly 0 at 0 and 1 at infinity. The nodes are the positive
    half of the symmetric rule with 2 num_nodes nodes, because the integrand is even: the error falls as
    (1 + sqrt 2)^{-4 n} instead of the 4.61^{-2 n} of the n-point rule laid on [0, 1].

    Error: relative error at most `erf_feynman_error_bound(num_nodes)` for |x| <= 6; beyond, both erf and the
    approximation lie within 1.2e-16 of 1. Bounds (rounding apart): 5 nodes 1.4e-6, 7 nodes 1.2e-9, 9 nodes 1.0e-12,
    10 nodes 3.0e-14, 11 nodes 1.0e-15. Twelve digits need 9 nodes, float32 needs 7.

    Args:
        x: Real number or float32/float64 tensor of any shape, infinity allowed.
        num_nodes: Exponentials per value, between 1 and 64.

    Returns:
        Tensor of the same shape, in [-1, 1]. Differentiable to every order, at 0 too.

    Raises:
        TypeError: If `x` is not float32 or float64.
        ValueError: If `x` has a NaN or `num_nodes` is out of range.

    Relations: one node gives the shape of `erf_bounds`, sqrt(1 - e^{-4 x^2 / 3}).

    Source: kexue.fm, Feynman's way of integrating (8): erf(x)^2 = 1 - (4/pi) g(x).
    """
    check_count("num_nodes", num_nodes, 1, _MAX_NODES)
    (x,) = as_float_tensors(x=x)
    return _erf_by_mixture(x, _feynman_mixture(num_nodes)[0])


def erf_feynman_error_bound(num_nodes: int, x_max: float = 6.0) -> float:
    """Proven bound of the relative error of `erf_feynman` over 0 < |x| <= x_max, rounding apart.

    Proof. The integrand (1 - e^{-w}) / (1 + t^2), w = x^2 (1 + t^2), is entire in t, and for Re w >= 0 it is at most
    x^2, since (1 - e^{-w}) / w is an average of e^{-s w} over s in [0, 1]. Re w >= 0 holds for |Im t| <= 1, which is
    the Bernstein ellipse of parameter rho = 1 + sqrt 2 around [-1, 1]. The 2n-point Gauss rule is exact to degree
    4n - 1 and its error on T_k is at most 2 + 2/(k^2 - 1), so with Chebyshev coefficients at most 2 x^2 rho^{-k} the
    integral over [0, 1] is off by at most (32/15) x^2 rho^{-4n} / (1 - rho^{-2}). The integral itself is at least
    (pi/4)(1 - e^{-x^2}). The shares are divided by their sum S, which adds |S - 1|; the square root about halves it.

    Args:
        num_nodes: As in `erf_feynman`.
        x_max: Largest |x|, positive.

    Returns:
        The bound; infinity where it says nothing (one or two nodes over a wide range).

    Raises:
        ValueError: If an argument is out of range.
    """
    check_count("num_nodes", num_nodes, 1, _MAX_NODES)
    if not x_max > 0:
        raise ValueError(f"x_max must be positive; got {x_max!r}")
    rho = 1 + math.sqrt(2)
    truncation = 32 / 15 * rho ** (-4 * num_nodes) / (1 - rho**-2)
    total = _feynman_mixture(num_nodes)[1]
    square = (4 / math.pi * truncation * x_max**2 / -math.expm1(-(x_max**2)) + abs(total - 1)) / total
    return square / (1 + math.sqrt(1 - square)) if square < 1 else math.inf


def erf_bounds(x: Real) -> tuple[Tensor, Tensor]:
    """Lower and upper bound of erf(x): sqrt(1 - e^{-x^2}) <= erf(x) <= sqrt(1 - e^{-4 x^2 / pi}) for x >= 0.

    The quarter disc of radius x lies in the square of side x, and the quarter disc of the same area takes more of the
    Gaussian than the square does. For x < 0 the two change sign and places. The upper bound is exact to first order at
    0 and at most 0.0063 above erf; the lower one has the right exponent in the tail.

    Args:
        x: Real number or float32/float64 tensor of any shape.

    Returns:
        (lower, upper), tensors of the shape of `x` with lower <= erf(x) <= upper up to rounding. Differentiable
        but at 0, where the two cross with slopes 1 and 2 / sqrt(pi).

    Raises:
        TypeError: If `x` is not float32 or float64.
        ValueError: If `x` has a NaN.

    Source: kexue.fm, Feynman's way of integrating (8), by-products of f + g = pi/4.
    """
    (x,) = as_float_tensors(x=x)
    inner = _erf_by_mixture(x, _INNER)
    outer = _erf_by_mixture(x, _OUTER)
    return torch.where(x < 0, outer, inner), torch.where(x < 0, inner, outer)


def gelu_feynman(x: Tensor, num_nodes: int = 4) -> Tensor:
    """GELU, x Phi(x) = (x/2)(1 + erf(x / sqrt 2)), with `erf_feynman` in the place of erf.

    The largest absolute error over the real line falls by about 34 per node; `benchmarks/numerics_speed.py` measures
    it beside the tanh and sigmoid forms. As an activation it lets NaN pass, and computes half types in float32.

    Args:
        x: Floating-point tensor of any shape.
        num_nodes: Exponentials per value, between 1 and 64.

    Returns:
        Tensor of the shape and type of `x`. Differentiable to every order.

    Raises:
        ValueError: If `num_nodes` is out of range.

    Relations: equals `torch.nn.functional.gelu(x)` as `num_nodes` grows.

    Source: kexue.fm, Feynman's way of integrating (8), applied to the GELU of arXiv 1606.08415.
    """
    check_count("num_nodes", num_nodes, 1, _MAX_NODES)
    return _gelu_by_mixture(x, _feynman_mixture(num_nodes)[0])


def _gelu_by_mixture(x: Tensor, mixture: _Mixture) -> Tensor:
    y = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    # a short series is enough here: it is good to (2e-3)^4 / 5! < 2e-13
    erf = _erf_by_mixture(y * math.sqrt(0.5), mixture, below=1e-3, terms=4)
    return (0.5 * y * (1 + erf)).to(x.dtype)


class GELUFeynman(nn.Module):
    """`gelu_feynman` as a module, and its form for `torch.compile`, which cannot trace the making of the nodes.

    Args:
        num_nodes: Exponentials per value, between 1 and 64.
    """

    def __init__(self, num_nodes: int = 4) -> None:
        super().__init__()
        check_count("num_nodes", num_nodes, 1, _MAX_NODES)
        self.num_nodes = num_nodes
        self._mixture = _feynman_mixture(num_nodes)[0]

    def forward(self, x: Tensor) -> Tensor:
        return _gelu_by_mixture(x, self._mixture)

    def extra_repr(self) -> str:
        return f"num_nodes={self.num_nodes}"


def register_gelu_feynman(name: str = "gelu_feynman", num_nodes: int = 4) -> None:
    """Enter `GELUFeynman` in the activation table of transformers, so that `hidden_act=name` finds it.

    Nothing is registered on import: call this once before the model is built.

    Args:
        name: Key in the table; must not be one of another activation.
        num_nodes: Exponentials per value, between 1 and 64.

    Raises:
        ValueError: If `name` belongs to another activation or `num_nodes` is out of range.
        ImportError: If transformers is not installed.
    """
    from transformers.activations import ACT2CLS, ACT2FN

    check_count("num_nodes", num_nodes, 1, _MAX_NODES)
    known = ACT2CLS.get(name)
    if known is not None and (known[0] if isinstance(known, tuple) else known) is not GELUFeynman:
        raise ValueError(f"name must not be taken in transformers' activation table; got {name!r}")
    ACT2CLS[name] = (GELUFeynman, {"num_nodes": num_nodes})
    ACT2FN[name] = ACT2CLS[name]

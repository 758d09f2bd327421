"""The probability density proportional to e^{-a x^2 - eps x^4}, a `torch.distributions.Distribution`."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.kl import register_kl
from torch.distributions.utils import broadcast_all

from ._legendre import gauss_legendre
from .quartic_quadrature import (
    ENERGY_CUT,
    boltzmann_rule,
    energy,
    energy_from_well,
    innermost,
    log_partition,
    outermost,
    well,
)

__all__ = ["QuarticGaussian"]

# Gauss-Legendre nodes for a tail of the distribution: 64 resolve the narrowest well in the widest window to 1e-15.
_TAIL_NODES = 64
# Below a = -1.6 sqrt(eps) proposals around the wells are accepted more often than proposals around 0.
_WELL_PROPOSAL = 1.6


class QuarticGaussian(Distribution):
    """Density p(x) = e^{-a x^2 - eps x^4} / I(a, eps) on the real line; for a < 0 two wells at +-sqrt(|a| / 2 eps).

    A known one-dimensional target: density, distribution function, quantiles, moments and samples are exact, for wells
    of any depth, because nothing ever forms e^{a^2 / 4 eps}.

    Args:
        a: Quadratic coefficient, any real number or tensor.
        eps: Quartic coefficient, > 0, broadcast with `a`.
        validate_args: As in every torch distribution: on, until torch.compile has been used in the process.

    Relations: tends to `Normal(0, 1 / sqrt(2 a))` as eps -> 0 for a > 0.

    Source: the integrand of kexue.fm archives/3217; the double well a < 0 is outside the articles.
    """

    arg_constraints = {"a": constraints.real, "eps": constraints.positive}  # noqa: RUF012 (torch's own convention)
    support = constraints.real
    has_rsample = True

    def __init__(self, a: Tensor | float, eps: Tensor | float, validate_args: bool | None = None) -> None:
        self.a, self.eps = broadcast_all(a, eps)
        super().__init__(self.a.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "QuarticGaussian":
        new = self._get_checked_instance(QuarticGaussian, _instance)
        new.a = self.a.expand(batch_shape)
        new.eps = self.eps.expand(batch_shape)
        super(QuarticGaussian, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x), any shape that broadcasts with the batch shape."""
        if self._validate_args:
            self._validate_sample(value)
        value, a, eps = torch.broadcast_tensors(value, self.a, self.eps)
        return -energy(value, a, eps) - log_partition(self.a, self.eps)

    @property
    def mean(self) -> Tensor:
        """0, by symmetry."""
        return torch.zeros_like(self.a)

    @property
    def mode(self) -> Tensor:
        """0 for a >= 0, and the positive one of the two modes +-sqrt(|a| / 2 eps) for a < 0."""
        return well(self.a, self.eps)

    @property
    def variance(self) -> Tensor:
        """<x^2> = -d log I / d a, exact."""
        rule = boltzmann_rule(self.a, self.eps)
        return rule.mean(rule.x.square())

    def entropy(self) -> Tensor:
        """Differential entropy log I + a <x^2> + eps <x^4>, in nats."""
        rule = boltzmann_rule(self.a, self.eps)
        return rule.mean(rule.energy) + rule.mass.sum(-1).log()

    def cdf(self, value: Tensor) -> Tensor:
        """P(X <= x); the lower tail has full relative accuracy. Differentiable in `value`, `a` and `eps`."""
        if self._validate_args:
            self._validate_sample(value)
        tail = self._upper_tail(torch.where(value < 0, -value, value))
        return torch.where(value < 0, tail, 1 - tail)

    def icdf(self, value: Tensor) -> Tensor:
        """The x with P(X <= x) = `value` in (0, 1), by bisection; first derivatives are implicit ones."""
        if self._validate_args and not bool(((value > 0) & (value < 1)).all()):
            raise ValueError("value must be a probability strictly between 0 and 1")
        value, a, eps = torch.broadcast_tensors(value, self.a, self.eps)
        with torch.no_grad():
            target = torch.minimum(value, 1 - value)
            low = torch.zeros_like(target)
            # the tail beyond E(x) = level is below e^{-level}, so this level brackets every probability in the type
            level = ENERGY_CUT - target.log()
            high = well(a, eps) + outermost(level, a, eps)
            for _ in range(64):
                middle = (low + high) / 2
                beyond = self._upper_tail(middle) > target
                low, high = torch.where(beyond, middle, low), torch.where(beyond, high, middle)
            root = torch.where(value < 0.5, -low, low)
        return self._attach_gradient(root, value)

    @torch.no_grad()
    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 (torch's own signature)
        """Independent exact samples, by rejection from a Gaussian; at least one proposal in two is accepted."""
        shape = self._extended_shape(sample_shape)
        a, eps = (parameter.expand(shape).reshape(-1) for parameter in (self.a, self.eps))
        x = torch.empty_like(a)
        pending = torch.arange(a.numel(), device=a.device)
        while pending.numel():
            proposal, accepted = _propose(a[pending], eps[pending])
            x[pending[accepted]] = proposal[accepted]
            pending = pending[~accepted]
        return x.reshape(shape)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 (torch's own signature)
        """Exact samples with implicit gradients dx/d(a, eps) = -(dP(X <= x)/d(a, eps)) / p(x), first order only."""
        return self._attach_gradient(self.sample(sample_shape), None)

    def _attach_gradient(self, x: Tensor, probability: Tensor | None) -> Tensor:
        """x with the derivative of the solution of cdf(x; a, eps) = probability (a constant where None)."""
        needs = [self.a, self.eps] + ([] if probability is None else [probability])
        if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in needs):
            return x
        tail = self._upper_tail(x.abs())
        cdf = torch.where(x < 0, tail, -tail)  # up to a constant, without the rounding of 1 - tail
        difference = cdf - cdf.detach()
        if probability is not None:
            difference = difference - (probability - probability.detach())
        return x - difference / self.log_prob(x).exp().detach()

    def _upper_tail(self, x: Tensor) -> Tensor:
        """P(X > x) for x >= 0, to full relative accuracy."""
        x, a, eps = torch.broadcast_tensors(x, self.a, self.eps)
        m = well(a, eps)
        below = x - m < innermost(a, eps)
        low = torch.where(below, innermost(a, eps), x - m)
        # integrate until the energy has risen by the cut above where it stands at the start of the tail
        level = energy_from_well(low.clamp_min(0), a, eps) + ENERGY_CUT
        high = outermost(level, a, eps)
        nodes, weights = gauss_legendre(_TAIL_NODES, x)
        u = low[..., None] + (high - low)[..., None] * nodes  # (..., _TAIL_NODES)
        density = torch.exp(-energy_from_well(u, a[..., None], eps[..., None]))
        return (density * weights).sum(-1) * (high - low) * torch.exp(-log_partition(self.a, self.eps))


def _propose(a: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    """One Gaussian proposal per entry and whether it is accepted.

    Around 0: eps (x^2 - c)^2 >= 0 bounds the density by a Gaussian of precision a + 2 eps c for any c; the best c
    solves (a + 2 eps c) c = 1/2, and a proposal is accepted with probability e^{-eps (x^2 - c)^2}.
    Around a well: (x + m)^2 >= m^2 for x >= 0 bounds it by a Gaussian at m with exponent eps m^2 (x - m)^2, accepted
    with probability e^{-eps (x - m)^2 ((x + m)^2 - m^2)}; the sign is drawn afterwards.
    """
    normal, uniform = torch.randn_like(a), torch.rand_like(a)
    m = well(a, eps)
    root = torch.hypot(a, 2 * eps.sqrt())
    c = torch.where(a < 0, (root - a) / (4 * eps), 1 / (root + a.clamp_min(0)))
    x_centre = c.sqrt() * normal  # the variance is 1 / (2 (a + 2 eps c)) = c
    cost_centre = eps * (x_centre.square() - c).square()
    at_well = a < -_WELL_PROPOSAL * eps.sqrt()
    step = normal / (m * (2 * eps).sqrt())
    x_well = m + torch.where(at_well, step, torch.zeros_like(step))
    cost_well = eps * (x_well - m).square() * x_well * (x_well + 2 * m)
    cost_well = torch.where(x_well < 0, math.inf, cost_well)
    sign = torch.where(torch.rand_like(a) < 0.5, -1.0, 1.0).to(a.dtype)
    accepted = uniform < torch.exp(-torch.where(at_well, cost_well, cost_centre))
    return torch.where(at_well, sign * x_well, x_centre), accepted


@register_kl(QuarticGaussian, QuarticGaussian)
def _kl_quartic_quartic(p: QuarticGaussian, q: QuarticGaussian) -> Tensor:
    """KL(p || q) = <E_q - E_p>_p + log Z_q - log Z_p."""
    a, eps, q_a, q_eps = torch.broadcast_tensors(p.a, p.eps, q.a, q.eps)
    rule = boltzmann_rule(a, eps)
    difference = energy(rule.x, q_a[..., None], q_eps[..., None]) - rule.energy
    return rule.mean(difference) + log_partition(q_a, q_eps) - log_partition(a, eps)

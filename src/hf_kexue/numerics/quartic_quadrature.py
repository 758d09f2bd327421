"""Exact evaluation of I(a, eps) = int e^{-a x^2 - eps x^4} dx, by one quadrature rule for all real a.

The closed forms (z = a^2 / 8 eps) are

    a > 0   (1/2) sqrt(a / eps) e^z K_{1/4}(z)
    a = 0   Gamma(1/4) / (2 eps^{1/4})
    a < 0   (pi/2) sqrt(|a| / 2 eps) e^z (I_{-1/4}(z) + I_{1/4}(z))

but Bessel functions of order 1/4 have no torch implementation, overflow, and know no derivative. Here the integral is
a trapezoidal sum instead. The integrand is entire and falls like e^{-eps x^4}, so the sum converges exponentially, and
all its terms are positive: no cancellation, and each derivative in a or eps is the same sum with another power of x.

The energy is counted from its minimum,

    E(x) = a x^2 + eps x^4            for a >= 0,
    E(x) = eps (x^2 - m^2)^2          for a < 0, with wells at +-m, m^2 = |a| / 2 eps, depth a^2 / 4 eps,

and the nodes fill the set E(x) <= 41 on the half line (e^{-41} = 1.6e-18). `depth` is added back in the logarithm.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ._checks import require

__all__ = ["BoltzmannRule", "boltzmann_rule", "check_domain", "depth", "energy", "log_partition", "outermost", "well"]

ENERGY_CUT = 41.0
# The hardest case is a = -2 sqrt(41 eps), just before the window splits in two. 40 steps reach the rounding error
# there and everywhere else; 64 leave room for the powers of x that derivatives bring.
NUM_STEPS = 64


class BoltzmannRule(NamedTuple):
    """Nodes of the trapezoidal rule, each field of shape (..., NUM_STEPS + 1); sums run over the last axis.

    int h(x) e^{-E(x)} dx = sum_k weight_k h(x_k) e^{-E_k} for even h. `x` and `weight` are constants for autograd,
    `energy` depends on a and eps.
    """

    x: Tensor
    weight: Tensor
    energy: Tensor

    @property
    def mass(self) -> Tensor:
        """Weight of each node in the integral of e^{-E}."""
        return self.weight * torch.exp(-self.energy)

    def mean(self, values: Tensor) -> Tensor:
        """<h> (...,) under the density e^{-E} / Z of the even function with `values` h(x_k) (..., NUM_STEPS + 1)."""
        return (self.mass * values).sum(-1) / self.mass.sum(-1)


def check_domain(a: Tensor, eps: Tensor) -> None:
    """Raise a `ValueError` unless the integral converges: eps > 0, or eps = 0 with a > 0."""
    require(a.isfinite() & eps.isfinite(), "a and eps must be finite", a=a, eps=eps)
    require((eps > 0) | ((eps == 0) & (a > 0)), "eps must be > 0 (0 is allowed where a > 0)", a=a, eps=eps)


def depth(a: Tensor, eps: Tensor) -> Tensor:
    """a^2 / (4 eps) for a < 0, else 0: how far the wells lie below E(0)."""
    double_well = a < 0
    return torch.where(double_well, a * a / (4 * torch.where(double_well, eps, torch.ones_like(eps))), 0.0)


def well(a: Tensor, eps: Tensor) -> Tensor:
    """m = sqrt(|a| / 2 eps) for a < 0, else 0: where the density is largest. A constant for autograd."""
    a, eps = a.detach(), eps.detach()
    return torch.where(a < 0, (-a).clamp_min(0) / (2 * torch.where(a < 0, eps, torch.ones_like(eps))), 0.0).sqrt()


def outermost(level: Tensor, a: Tensor, eps: Tensor) -> Tensor:
    """Distance from `well` to the largest x with E(x) = level, without cancellation. A constant for autograd."""
    a, eps, level = a.detach(), eps.detach(), level.detach()
    m = well(a, eps)
    spread = (level / torch.where(a < 0, eps, torch.ones_like(eps))).sqrt()  # of x^2 around m^2
    single = (2 * level / (a.clamp_min(0) + torch.hypot(a, 2 * (level * eps).sqrt()))).sqrt()
    return torch.where(a < 0, spread / ((m * m + spread).sqrt() + m), single)


def innermost(a: Tensor, eps: Tensor) -> Tensor:
    """Distance (<= 0) from `well` to the smallest x >= 0 with E(x) <= ENERGY_CUT. A constant for autograd."""
    m = well(a, eps)
    spread = (ENERGY_CUT / torch.where(a < 0, eps, torch.ones_like(eps)).detach()).sqrt()
    low = (m * m - spread).clamp_min(0).sqrt()
    return torch.where(low > 0, -spread / (low + m), -m)


def energy_from_well(u: Tensor, a: Tensor, eps: Tensor) -> Tensor:
    """E(m + u): differentiable in u, a and eps, and free of cancellation in x^2 - m^2 = u (u + 2 m)."""
    m = well(a, eps)
    x_squared = (m + u).square()
    # the value of m^2 is in the first term; the second, zero in value, carries its derivative -d(-a / 2 eps)
    minus_m_squared = a / (2 * torch.where(a < 0, eps, torch.ones_like(eps)))
    delta = u * (u + 2 * m) + (minus_m_squared - minus_m_squared.detach())
    return torch.where(a < 0, eps * delta * delta, x_squared * (a + eps * x_squared))


def energy(x: Tensor, a: Tensor, eps: Tensor) -> Tensor:
    """E(x) >= 0, the energy counted from its minimum; differentiable in all three."""
    return energy_from_well(x.abs() - well(a, eps), a, eps)


def boltzmann_rule(a: Tensor, eps: Tensor) -> BoltzmannRule:
    """Nodes and weights for the pair (a, eps), each of shape (...)."""
    low = innermost(a, eps)
    high = outermost(torch.full_like(a, ENERGY_CUT), a, eps)
    fraction = torch.linspace(0, 1, NUM_STEPS + 1, dtype=a.dtype, device=a.device)
    u = low[..., None] + (high - low)[..., None] * fraction  # (..., NUM_STEPS + 1)
    ends = torch.ones_like(fraction)
    ends[0] = ends[-1] = 0.5
    weight = 2 * (high - low)[..., None] / NUM_STEPS * ends
    return BoltzmannRule(
        x=well(a, eps)[..., None] + u, weight=weight, energy=energy_from_well(u, a[..., None], eps[..., None])
    )


def log_partition(a: Tensor, eps: Tensor) -> Tensor:
    """log int e^{-E(x)} dx, that is log I(a, eps) - depth(a, eps); differentiable to every order."""
    return boltzmann_rule(a, eps).mass.sum(-1).log()

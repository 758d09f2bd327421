"""Curvature of a metric: Christoffel symbols, Riemann, Ricci, scalar and Gaussian curvature.

Derivatives of the metric are exact (forward-mode automatic differentiation, twice for curvature); everything after
them is algebra. Index conventions are in `riemannian`, which re-exports the public names.

With the Christoffel symbols of the first kind, [ij, k] = (d_i g_jk + d_j g_ik - d_k g_ij) / 2, equation (49) with its
first index lowered reads R_mabc = S_mabc - S_macb, S_mabc = T_mabc - g^{kl} [ac, k] [mb, l], where T_mabc is
d_b [ac, m]; for an embedding f in flat space <f_mb, f_ac> does as well, since the rest of d_b <f_ac, f_m> is symmetric
in b and c (the Gauss equation).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ._metric import CHUNK, Metric, check_dimension, check_metric, check_points, connection, first_kind, metric_jet
from .pullback import PullbackMetric, embedding_jet

__all__ = ["christoffel", "gaussian_curvature", "ricci_tensor", "riemann_tensor", "scalar_curvature"]


def christoffel(metric: Metric, x: Tensor) -> Tensor:
    """Gamma^k_ij = (1/2) g^{kl} (d_i g_lj + d_j g_il - d_l g_ij).

    Args:
        metric: Maps coordinates (n,) to the symmetric, invertible matrix g (n, n); of any signature.
        x: Points, (..., n), float32 or float64.

    Returns:
        (..., n, n, n), the contravariant index first: `[..., k, i, j]` is Gamma^k_ij, symmetric in i and j.

    Raises:
        ValueError: If `x` is not finite, or g is not finite, not symmetric, singular, or of the wrong shape.
        TypeError: If `x` is not float32 or float64.

    Source: kexue.fm archives/3998; used in archives/4033 (45).
    """
    check_points(x)
    g, dg = metric_jet(metric, x, 1)
    check_metric(g)
    return connection(g, dg)


def riemann_tensor(metric: Metric, x: Tensor, lower: bool = False) -> Tensor:
    """R^m_abc = d_b Gamma^m_ac - d_c Gamma^m_ab + Gamma^m_nb Gamma^n_ac - Gamma^m_nc Gamma^n_ab   (49).

    A vector A carried round the small parallelogram dx, dy, -dx, -dy comes back changed by -R^m_abc A^a dx^b dy^c,
    equation (48).

    Args:
        metric: Maps coordinates (n,) to the symmetric, invertible matrix g (n, n); of any signature.
        x: Points, (..., n), float32 or float64.
        lower: Lower the first index: R_mabc = g_mn R^n_abc.

    Returns:
        (..., n, n, n, n), `[..., m, a, b, c]`, antisymmetric in b and c. On the unit sphere R_0101 = det g > 0.

    Raises:
        ValueError: If `x` is not finite, or g is not finite, not symmetric, singular, or of the wrong shape.
        TypeError: If `x` is not float32 or float64.

    Relations: the convention of Misner, Thorne and Wheeler.

    Source: kexue.fm archives/4014 (49), archives/4033 (48), (49).
    """
    g, riemann = _evaluate(metric, x, _lowered_riemann if lower else _riemann)
    check_metric(g)
    return riemann


def ricci_tensor(metric: Metric, x: Tensor) -> Tensor:
    """R_ac = R^m_amc, positive on spheres: (n - 1) g on the unit sphere of dimension n.

    Args:
        metric: Maps coordinates (n,) to the symmetric, invertible matrix g (n, n); of any signature.
        x: Points, (..., n), float32 or float64.

    Returns:
        (..., n, n), symmetric.

    Raises:
        ValueError: As `riemann_tensor`.
        TypeError: As `riemann_tensor`.

    Source: the contraction of kexue.fm archives/4033 (49).
    """
    g, ricci = _evaluate(metric, x, lambda *jet: torch.einsum("...mamc->...ac", _riemann(*jet)))
    check_metric(g)
    return ricci


def scalar_curvature(metric: Metric, x: Tensor) -> Tensor:
    """R = g^{ac} R_ac; n (n - 1) on the unit sphere.

    Args:
        metric: Maps coordinates (n,) to the symmetric, invertible matrix g (n, n); of any signature.
        x: Points, (..., n), float32 or float64.

    Returns:
        (...,).

    Raises:
        ValueError: As `riemann_tensor`.
        TypeError: As `riemann_tensor`.

    Relations: twice `gaussian_curvature` in two dimensions.

    Source: the contraction of kexue.fm archives/4033 (49).
    """
    g, scalar = _evaluate(metric, x, _scalar)
    check_metric(g)
    return scalar


def gaussian_curvature(metric: Metric, x: Tensor) -> Tensor:
    """K = R_1212 / det g of a two-dimensional metric (indices counted from 1 as in the article).

    Args:
        metric: Maps coordinates (2,) to the symmetric positive-definite matrix g (2, 2).
        x: Points, (..., 2), float32 or float64.

    Returns:
        (...,): 1/r^2 on a sphere of radius r, -1 on the hyperbolic plane.

    Raises:
        ValueError: If `x` is not finite, or g is not finite, not symmetric, not positive definite, or not 2 by 2.
        TypeError: If `x` is not float32 or float64.

    Relations: half of `scalar_curvature`.

    Source: kexue.fm archives/4033 (56)-(61).
    """
    g, curvature = _evaluate(metric, x, _gaussian)
    check_metric(g, positive=True)
    return curvature


def _evaluate(metric: Metric, x: Tensor, algebra: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
    """The metric and `algebra(g, [ij, k], T)` at the points, some at a time; g is still to be checked."""
    check_points(x)
    n = x.shape[-1]
    parts = []
    for points in x.reshape(-1, n).split(max(1, CHUNK // n**2)):
        jet = _curvature_jet(metric, points)
        parts.append((jet[0], algebra(*jet)))
    g, value = (torch.cat(tensors) for tensors in zip(*parts))
    return g.reshape(x.shape[:-1] + g.shape[1:]), value.reshape(x.shape[:-1] + value.shape[1:])


def _curvature_jet(metric: Metric, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """g (..., n, n), [ij, k] as (..., k, i, j), and T of the module docstring as (..., m, a, b, c)."""
    if isinstance(metric, PullbackMetric) and metric.ambient_metric is None:
        return embedding_jet(metric.embedding, x)
    g, dg, ddg = metric_jet(metric, x, 2)
    d_first = first_kind(torch.movedim(ddg, -1, -4))  # (..., b, m, a, c): d_b [ac, m]
    return g, first_kind(dg), torch.einsum("...bmac->...mabc", d_first)


def _inverse(g: Tensor) -> Tensor:
    return torch.linalg.inv_ex(g).inverse  # a singular metric is reported by `check_metric`


def _lowered_riemann(g: Tensor, first: Tensor, second: Tensor) -> Tensor:
    raised = torch.einsum("...kl,...lij->...kij", _inverse(g), first)
    half = second - torch.einsum("...kac,...kmb->...mabc", first, raised)
    return half - half.transpose(-1, -2)


def _riemann(g: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return torch.einsum("...mn,...nabc->...mabc", _inverse(g), _lowered_riemann(g, first, second))


def _scalar(g: Tensor, first: Tensor, second: Tensor) -> Tensor:
    inverse = _inverse(g)
    return torch.einsum("...mb,...ac,...mabc->...", inverse, inverse, _lowered_riemann(g, first, second))


def _gaussian(g: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """R_1212 / det g, term by term: several times faster than the general contraction."""
    check_dimension(g, 2)
    det = g[..., 0, 0] * g[..., 1, 1] - g[..., 0, 1].square()
    u, v, w = first[..., 0, 0], first[..., 0, 1], first[..., 1, 1]  # [11, .], [12, .], [22, .], each (..., 2)

    def adjugate(p: Tensor, q: Tensor) -> Tensor:  # det g times g^{kl} p_k q_l
        mixed = p[..., 0] * q[..., 1] + p[..., 1] * q[..., 0]
        return g[..., 1, 1] * p[..., 0] * q[..., 0] - g[..., 0, 1] * mixed + g[..., 0, 0] * p[..., 1] * q[..., 1]

    riemann = second[..., 0, 1, 0, 1] - second[..., 0, 1, 1, 0] + (adjugate(v, v) - adjugate(u, w)) / det
    return riemann / det

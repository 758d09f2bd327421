"""Riemannian geometry of a metric given as a function: curvature, geodesics, parallel transport, Gauss-Bonnet.

A metric is a function from coordinates (n,) to the matrix g (n, n), written with torch operations; functions written
for whole batches with `x[..., i]` work as well. It comes from a formula, or from an embedding or a network through
`pullback_metric`. Points are batched: (..., n). Every derivative of the metric is exact, and results are
differentiable with respect to points, vectors, and tensors inside the metric.

A metric must be written smoothly: `x.norm() ** 2` is smooth, its parts are not, and at the origin automatic
differentiation cannot see through them. Curvature is NaN there; `x.square().sum()` gives the right value.

Conventions (kexue.fm archives/4033, indices counted from 0 in code):

- Christoffel symbols Gamma^k_ij carry the contravariant index first.
- R^m_abc = d_b Gamma^m_ac - d_c Gamma^m_ab + Gamma^m_nb Gamma^n_ac - Gamma^m_nc Gamma^n_ab (49), contravariant index
  first; R_ac = R^m_amc; spheres have positive curvature, and K = R_0101 / det g.
- Angles on a surface are positive from the first coordinate towards the second.

Curvature and Christoffel symbols, geodesics and parallel transport allow any signature (Lorentzian metrics too); what
speaks of angles, areas or Gaussian curvature needs a positive-definite metric.
"""

from ._metric import Metric
from .curvature import christoffel, gaussian_curvature, ricci_tensor, riemann_tensor, scalar_curvature
from .gauss_bonnet import GaussBonnet, gauss_bonnet
from .geodesics import Geodesic, geodesic
from .pullback import PullbackMetric, pullback_inner, pullback_metric
from .transport import Curve, geodesic_curvature, holonomy, holonomy_angle, parallel_transport

__all__ = [
    "Curve",
    "GaussBonnet",
    "Geodesic",
    "Metric",
    "PullbackMetric",
    "christoffel",
    "gauss_bonnet",
    "gaussian_curvature",
    "geodesic",
    "geodesic_curvature",
    "holonomy",
    "holonomy_angle",
    "parallel_transport",
    "pullback_inner",
    "pullback_metric",
    "ricci_tensor",
    "riemann_tensor",
    "scalar_curvature",
]

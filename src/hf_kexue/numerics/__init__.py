"""The mathematics of the articles, usable alone with torch.

Gaussian integrals (`gaussian_integrals`), the quartic integral and its distribution (`quartic`), Riemannian
geometry (`riemannian`).
"""

from .gaussian_integrals import (
    GELUFeynman,
    erf_bounds,
    erf_feynman,
    erf_feynman_error_bound,
    feynman_remainder,
    gelu_feynman,
    register_gelu_feynman,
)
from .quartic import QuarticGaussian, log_quartic_gaussian_integral, optimal_series_order, quartic_gaussian_integral
from .riemannian import (
    GaussBonnet,
    Geodesic,
    christoffel,
    gauss_bonnet,
    gaussian_curvature,
    geodesic,
    geodesic_curvature,
    holonomy,
    holonomy_angle,
    parallel_transport,
    pullback_inner,
    pullback_metric,
    ricci_tensor,
    riemann_tensor,
    scalar_curvature,
)

__all__ = [
    "GELUFeynman",
    "GaussBonnet",
    "Geodesic",
    "QuarticGaussian",
    "christoffel",
    "erf_bounds",
    "erf_feynman",
    "erf_feynman_error_bound",
    "feynman_remainder",
    "gauss_bonnet",
    "gaussian_curvature",
    "gelu_feynman",
    "geodesic",
    "geodesic_curvature",
    "holonomy",
    "holonomy_angle",
    "log_quartic_gaussian_integral",
    "optimal_series_order",
    "parallel_transport",
    "pullback_inner",
    "pullback_metric",
    "quartic_gaussian_integral",
    "register_gelu_feynman",
    "ricci_tensor",
    "riemann_tensor",
    "scalar_curvature",
]

"""The Gauss-Bonnet theorem, term by term."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from ._checks import check_count
from ._legendre import gauss_legendre
from ._metric import Metric, check_dimension, check_metric, check_points, first_derivatives, metric_jet
from .curvature import gaussian_curvature
from .transport import Curve, check_same_metric, curve_velocity, geodesic_curvature

__all__ = ["GaussBonnet", "gauss_bonnet"]

Intervals = tuple[tuple[float, float], tuple[float, float]]


class GaussBonnet(NamedTuple):
    """The terms of int K dA + int kappa_g ds + sum of exterior angles = 2 pi chi, each a scalar tensor.

    Attributes:
        curvature: Integral of the Gaussian curvature over the region.
        boundary: Integral of the geodesic curvature along the boundary, the region on its left.
        corners: Sum of the exterior angles.
        euler_characteristic: chi as given, or the whole number nearest to the sum over 2 pi.
        residual: Sum of the three terms minus 2 pi chi.
    """

    curvature: Tensor
    boundary: Tensor
    corners: Tensor
    euler_characteristic: int
    residual: Tensor


def gauss_bonnet(
    metric: Metric,
    region: Intervals | Callable[[Tensor], Tensor],
    boundary: Sequence[Curve] = (),
    *,
    exterior_angles: Sequence[float] | None = None,
    euler_characteristic: int | None = None,
    num_nodes: int = 64,
    dtype: torch.dtype = torch.float64,
) -> GaussBonnet:
    """Evaluate the three terms of the Gauss-Bonnet theorem and what they miss of 2 pi chi.

    Integrals use Gauss-Legendre nodes, which lie inside the region: poles of coordinates on its edge do no harm, and
    for smooth metrics and curves the error falls exponentially in `num_nodes`.

    Args:
        metric: Maps coordinates (2,) to the symmetric positive-definite matrix g (2, 2).
        region: Two coordinate intervals ((u0, u1), (v0, v1)), or a smooth map from the unit square, (2,) -> (2,), onto
            the region.
        boundary: Curves on [0, 1] that follow each other with the region on their left (turning from the first
            coordinate towards the second); empty for a closed surface, also one cut open along coordinate lines.
        exterior_angles: Angles between one curve and the next, where they cannot be computed because the coordinates
            are singular at a corner; otherwise they come from the tangents, in (-pi, pi].
        euler_characteristic: chi of the region: 1 for a disc, 2 for a sphere, 0 for a torus or a ring; the nearest
            whole number if None.
        num_nodes: Nodes per direction and per curve.
        dtype: Type of the computation, float32 or float64.

    Returns:
        `GaussBonnet`.

    Raises:
        ValueError: If consecutive curves do not meet, the numbers of curves and angles differ, or the metric is not
            symmetric, positive definite and two-dimensional.

    Source: kexue.fm archives/4033 (69) for the curvature term; the boundary and the corners are the full theorem.
    """
    check_count("num_nodes", num_nodes, 2)
    if exterior_angles is not None and len(exterior_angles) != len(boundary):
        raise ValueError(f"there must be one exterior angle per curve; got {len(exterior_angles)} for {len(boundary)}")
    nodes, weights = gauss_legendre(num_nodes, torch.empty(0, dtype=dtype))
    curvature = _curvature_integral(metric, region, nodes, weights)
    edges = corners = torch.zeros((), dtype=dtype)
    for curve in boundary:
        edges = edges + (geodesic_curvature(metric, curve, nodes) * _speed(metric, curve, nodes) * weights).sum()
    if exterior_angles is not None:
        corners = torch.tensor(exterior_angles, dtype=dtype).sum()
    else:
        for curve, following in zip(boundary, [*boundary[1:], *boundary[:1]]):
            corners = corners + _exterior_angle(metric, curve, following, dtype)
    total = curvature + edges + corners
    chi = round(total.item() / (2 * math.pi)) if euler_characteristic is None else euler_characteristic
    return GaussBonnet(curvature, edges, corners, chi, total - 2 * math.pi * chi)


def _curvature_integral(
    metric: Metric, region: Intervals | Callable[[Tensor], Tensor], nodes: Tensor, weights: Tensor
) -> Tensor:
    square = torch.cartesian_prod(nodes, nodes)  # (N^2, 2)
    if callable(region):
        points, jacobian = first_derivatives(vmap(region), square)
        check_points(points)
        stretch = torch.linalg.det(jacobian).abs()
    else:
        low = torch.tensor([interval[0] for interval in region], dtype=nodes.dtype)
        size = torch.tensor([interval[1] for interval in region], dtype=nodes.dtype) - low
        points, stretch = low + size * square, size.prod().abs()
    g = metric_jet(metric, points, 0)[0]
    area = torch.linalg.det(g).clamp_min(0).sqrt() * stretch * torch.outer(weights, weights).reshape(-1)
    return (gaussian_curvature(metric, points) * area).sum()


def _speed(metric: Metric, curve: Curve, times: Tensor) -> Tensor:
    points, velocity = curve_velocity(curve, times)
    return torch.einsum("ti,tij,tj->t", velocity, metric_jet(metric, points, 0)[0], velocity).sqrt()


def _exterior_angle(metric: Metric, curve: Curve, following: Curve, dtype: torch.dtype) -> Tensor:
    """Angle from the last tangent of a curve to the first of the next, positive to the left."""
    end, before = curve_velocity(curve, torch.ones(1, dtype=dtype))
    start, after = curve_velocity(following, torch.zeros(1, dtype=dtype))
    g = metric_jet(metric, torch.cat([end, start]), 0)[0]
    check_dimension(g, 2)
    check_metric(g, positive=True)
    check_same_metric(g[0], g[1], "the curves of the boundary must meet")
    cross = torch.linalg.det(g[0]).sqrt() * (before[0, 0] * after[0, 1] - before[0, 1] * after[0, 0])
    return torch.atan2(cross, before[0] @ g[0] @ after[0])

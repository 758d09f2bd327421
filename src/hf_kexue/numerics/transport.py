"""Parallel transport along curves, holonomy of loops, and geodesic curvature.

A curve is a function from a parameter t (a scalar tensor) to coordinates (n,); its derivatives are exact, by
forward-mode automatic differentiation.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vmap

from ._checks import check_count, require
from ._metric import Metric, check_dimension, check_metric, check_points, connection, metric_jet, push

__all__ = [
    "Curve",
    "check_same_metric",
    "curve_velocity",
    "geodesic_curvature",
    "holonomy",
    "holonomy_angle",
    "parallel_transport",
]

Curve = Callable[[Tensor], Tensor]


def parallel_transport(
    metric: Metric,
    curve: Curve,
    vector: Tensor,
    *,
    interval: tuple[float, float] = (0.0, 1.0),
    num_steps: int = 200,
    path: bool = False,
) -> Tensor:
    """Carry vectors along a curve without turning them: dA^m/dt = -Gamma^m_ab A^a dx^b/dt   (45).

    Classical Runge-Kutta, error of order num_steps^-4. The equation is linear, so its matrices at all times are
    computed in one batch and any number of vectors costs as much as one. Inner products are preserved to that order.

    Args:
        metric: Maps coordinates (n,) to the symmetric, invertible matrix g (n, n); of any signature.
        curve: Maps a scalar parameter to coordinates (n,).
        vector: Components at the start of the curve, (..., n), float32 or float64.
        interval: First and last parameter; the first may be the larger one.
        num_steps: Number S of equal steps.
        path: Return the vectors at all S + 1 parameters instead of the last only.

    Returns:
        Components at the end, (..., n), or along the way, (S + 1, ..., n).

    Raises:
        ValueError: If a value is not finite, the metric is not symmetric and invertible on the curve, or the
            dimensions of curve and vector differ.
        TypeError: If `vector` is not float32 or float64.

    Source: kexue.fm archives/3998, archives/4033 (45).
    """
    check_points(vector)
    check_count("num_steps", num_steps, 1)
    times = torch.linspace(*interval, 2 * num_steps + 1, dtype=vector.dtype, device=vector.device)
    step = (interval[1] - interval[0]) / num_steps
    points, velocities = curve_velocity(curve, times)
    if points.shape[-1] != vector.shape[-1]:
        raise ValueError(f"curve has {points.shape[-1]} coordinates and vector {vector.shape[-1]} components")
    g, dg = metric_jet(metric, points, 1)
    check_metric(g)
    # the matrix of the linear equation at each time, (2S + 1, n, n)
    matrix = -torch.einsum("tmab,tb->tma", connection(g, dg), velocities)
    start, middle, end = matrix[:-1:2], matrix[1::2], matrix[2::2]
    one = torch.eye(points.shape[-1], dtype=vector.dtype, device=vector.device)
    k1 = start
    k2 = middle @ (one + step / 2 * k1)
    k3 = middle @ (one + step / 2 * k2)
    k4 = end @ (one + step * k3)
    propagators = one + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)  # (S, n, n)
    vectors = [vector]
    for propagator in propagators:
        vectors.append(vectors[-1] @ propagator.T)
    return torch.stack(vectors) if path else vectors[-1]


def holonomy(
    metric: Metric,
    loop: Curve,
    *,
    interval: tuple[float, float] = (0.0, 1.0),
    num_steps: int = 200,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """The matrix P of parallel transport once round a loop: A becomes P A.

    Args:
        metric: Maps coordinates (n,) to the symmetric, invertible matrix g (n, n); of any signature.
        loop: Maps a scalar parameter to coordinates (n,); first and last point are the same point of the manifold,
            though angles may have advanced by a period.
        interval: First and last parameter.
        num_steps: Number of equal steps; the error is of order num_steps^-4.
        dtype: Type of the parameter, float32 or float64.

    Returns:
        (n, n), orthogonal with respect to g at the base point: P^T g P = g.

    Raises:
        ValueError: If the metric differs between the ends of the loop, so that it cannot be closed, or as in
            `parallel_transport`.

    Relations: for a small loop P - 1 is minus the Riemann tensor times the enclosed area element (48).

    Source: kexue.fm archives/4033.
    """
    ends = torch.tensor(interval, dtype=dtype)
    g = metric_jet(metric, curve_velocity(loop, ends)[0], 0)[0]
    check_same_metric(g[0], g[1], "loop must be closed")
    basis = torch.eye(g.shape[-1], dtype=dtype)
    return parallel_transport(metric, loop, basis, interval=interval, num_steps=num_steps).T


def holonomy_angle(
    metric: Metric,
    loop: Curve,
    *,
    interval: tuple[float, float] = (0.0, 1.0),
    num_steps: int = 200,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Angle by which parallel transport round a loop on a surface turns a vector: the integral of K dS (69).

    Args:
        metric: Maps coordinates (2,) to the symmetric positive-definite matrix g (2, 2).
        loop: As in `holonomy`.
        interval: First and last parameter.
        num_steps: Number of equal steps; the error is of order num_steps^-4.
        dtype: Type of the parameter, float32 or float64.

    Returns:
        Scalar in (-pi, pi], positive from the first coordinate towards the second. It equals the integral of the
        curvature over the region on the left of the loop up to multiples of 2 pi.

    Raises:
        ValueError: If the metric is not two-dimensional and positive definite, or as in `holonomy`.

    Source: kexue.fm archives/4033 (68), (69).
    """
    matrix = holonomy(metric, loop, interval=interval, num_steps=num_steps, dtype=dtype)
    g = metric_jet(metric, curve_velocity(loop, torch.tensor(interval[:1], dtype=dtype))[0], 0)[0][0]
    check_dimension(g, 2)
    check_metric(g, positive=True)
    # components in an orthonormal frame are L^T A with g = L L^T
    lower = torch.linalg.cholesky(g)
    rotation = lower.T @ torch.linalg.solve(lower, matrix.T).T
    return torch.atan2(rotation[1, 0] - rotation[0, 1], rotation[0, 0] + rotation[1, 1])


def geodesic_curvature(metric: Metric, curve: Curve, t: Tensor) -> Tensor:
    """kappa_g = sqrt(det g) (x'^1 a^2 - x'^2 a^1) / |x'|^3 with a^k = x''^k + Gamma^k_ij x'^i x'^j.

    Args:
        metric: Maps coordinates (2,) to the symmetric positive-definite matrix g (2, 2).
        curve: Maps a scalar parameter to coordinates (2,), twice differentiable.
        t: Parameters, any shape, float32 or float64.

    Returns:
        Shape of `t`: 0 on geodesics, positive where the curve bends to its left (from the first coordinate towards the
        second), cot(theta) on the circle of colatitude theta of the unit sphere run through eastwards.

    Raises:
        ValueError: If the curve stands still at some t, or the metric is not two-dimensional and positive definite.
        TypeError: If `t` is not float32 or float64.

    Source: the boundary term of the Gauss-Bonnet theorem, which kexue.fm archives/4033 stops short of.
    """
    check_points(t[..., None])
    times = t.reshape(-1)
    (points, velocity), (_, acceleration) = push(lambda s: curve_velocity(curve, s), times, torch.ones_like(times))
    g, dg = metric_jet(metric, points, 1)
    check_dimension(g, 2)
    check_metric(g, positive=True)
    speed = torch.einsum("ti,tij,tj->t", velocity, g, velocity).sqrt()
    require(speed > 0, "the curve must not stand still", t=times)
    acceleration = acceleration + torch.einsum("tkij,ti,tj->tk", connection(g, dg), velocity, velocity)
    cross = velocity[:, 0] * acceleration[:, 1] - velocity[:, 1] * acceleration[:, 0]
    return (torch.linalg.det(g).sqrt() * cross / speed**3).reshape(t.shape)


def curve_velocity(curve: Curve, times: Tensor) -> tuple[Tensor, Tensor]:
    """Points and velocities of a curve at `times` (T,), each (T, n)."""
    points, velocities = push(vmap(curve), times, torch.ones_like(times))
    if points.dim() != 2:
        raise ValueError(f"a curve must map a scalar to coordinates (n,); got {tuple(points.shape[1:])}")
    return points, velocities


def check_same_metric(first: Tensor, second: Tensor, sentence: str) -> None:
    """Necessary for two coordinate points to be the same point, and independent of periods of the coordinates."""
    gap = (first - second).abs().max()
    # a thousandth of the square root: generous to rounded periods, far below any honest gap
    allowed = 1e-3 * torch.finfo(first.dtype).eps ** 0.5 * first.abs().max().clamp_min(1)
    require(gap <= allowed, f"{sentence}: the metric differs between its ends", difference=gap)

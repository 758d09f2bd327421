"""A metric at given points: its value, exact partial derivatives, Christoffel symbols, and what it must satisfy.

Shapes: ... the leading dimensions of the points, n the dimension of the manifold.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vmap
from torch.overrides import TorchFunctionMode

from ._checks import holds, require

__all__ = [
    "Metric",
    "check_dimension",
    "check_metric",
    "check_points",
    "connection",
    "first_derivatives",
    "first_kind",
    "metric_jet",
    "push",
    "second_derivatives",
]

Metric = Callable[[Tensor], Tensor]
# torch gives their derivative at 0 as 0, where there is none: the square of one gets second derivative 0 instead of 2.
NORMS = (torch.norm, Tensor.norm, torch.linalg.norm, torch.linalg.vector_norm, torch.dist, torch.hypot, Tensor.hypot)
# Points times n^2 per batch in the curvature functions: the derivatives of a small metric then still fit in the cache.
CHUNK = 16384


def metric_jet(metric: Metric, x: Tensor, order: int) -> tuple[Tensor, ...]:
    """The metric and its partial derivatives at the points `x` (..., n).

    Returns:
        g (..., n, n); for order >= 1 also dg (..., n, n, n), the last index that of the derivative; for order 2 also
        ddg (..., n, n, n, n).
    """
    n = x.shape[-1]

    def value(point: Tensor) -> Tensor:
        g = metric(point)
        if g.shape != (n, n):
            raise ValueError(f"metric must map coordinates ({n},) to a matrix ({n}, {n}); got {tuple(g.shape)}")
        return g

    flat = x.reshape(-1, n)
    if order == 0:
        jet: tuple[Tensor, ...] = (vmap(value)(flat),)
    elif order == 1:
        jet = first_derivatives(vmap(value), flat)
    else:
        jet = second_derivatives(vmap(value), flat)
    return tuple(tensor.reshape(*x.shape[:-1], *tensor.shape[1:]) for tensor in jet)


class _KinkedNorms(TorchFunctionMode):
    """Norms whose derivatives are NaN where the norm is 0, instead of 0 without a word."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        value = func(*args, **(kwargs or {}))
        return torch.where(value == 0, value.sqrt(), value) if func in NORMS else value


def push(function: Callable[[Tensor], Any], x: Tensor, v: Tensor) -> tuple[Any, Any]:
    """Value of `function` at `x` and its derivative along `v`."""
    # without grad mode torch takes backward kernels of some activations (SiLU) that have no forward derivative
    with torch.enable_grad():
        return jvp(function, (x,), (v,))[:2]


def first_derivatives(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Value (B, ...) and derivatives (B, ..., n) of a batched function at `x` (B, n).

    One Jacobian-vector product on a batch in which each point stands n times, once per direction: for small functions
    this is several times faster than `vmap` of `jacfwd`, whose nested levels each cost more than the arithmetic.
    """
    count, n = x.shape
    directions = torch.eye(n, dtype=x.dtype, device=x.device).repeat(count, 1)
    value, slope = push(function, x.repeat_interleave(n, 0), directions)
    return value[::n], slope.unflatten(0, (count, n)).movedim(1, -1)


def second_derivatives(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value (B, ...), first (B, ..., n) and second derivatives (B, ..., n, n) of a batched function at `x` (B, n).

    Derivatives are NaN where the function takes the norm of a zero vector.
    """
    count, n = x.shape
    first, second = torch.triu_indices(n, n, device=x.device)
    pairs = len(first)  # n (n + 1) / 2, each with two directions
    basis = torch.eye(n, dtype=x.dtype, device=x.device)

    def along_first(points: Tensor) -> tuple[Tensor, Tensor]:
        return push(function, points, basis[first].repeat(count, 1))

    with _KinkedNorms():
        (value, slope), (_, bend) = push(along_first, x.repeat_interleave(pairs, 0), basis[second].repeat(count, 1))
    slope = slope.unflatten(0, (count, pairs))[:, first == second].movedim(1, -1)
    pair_of = torch.empty(n, n, dtype=torch.int64, device=x.device)
    pair_of[first, second] = pair_of[second, first] = torch.arange(pairs, device=x.device)
    bend = bend.unflatten(0, (count, pairs))[:, pair_of].movedim((1, 2), (-2, -1))
    return value[::pairs], slope, bend


def first_kind(dg: Tensor) -> Tensor:
    """[ij, k] = (d_i g_jk + d_j g_ik - d_k g_ij) / 2, as (..., k, i, j)."""
    derivative_of_j = torch.einsum("...jki->...kij", dg)  # d_i g_jk
    return (derivative_of_j + derivative_of_j.transpose(-1, -2) - torch.einsum("...ijk->...kij", dg)) / 2


def connection(g: Tensor, dg: Tensor) -> Tensor:
    """Christoffel symbols (..., k, i, j) from the metric and its first derivatives."""
    return torch.einsum("...kl,...lij->...kij", torch.linalg.inv(g), first_kind(dg))


def check_points(x: Tensor) -> None:
    """Raise unless `x` is a finite float32 or float64 tensor (..., n)."""
    if not isinstance(x, Tensor) or x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"points must be a float32 or float64 tensor; got {getattr(x, 'dtype', type(x).__name__)}")
    if x.dim() == 0:
        raise ValueError("points must have shape (..., n); got a scalar")
    require(x.isfinite(), "coordinates must be finite", value=x)


def check_dimension(g: Tensor, n: int) -> None:
    """Raise unless the metric is n by n."""
    if g.shape[-1] != n:
        raise ValueError(f"this quantity is defined for metrics of dimension {n}; got dimension {g.shape[-1]}")


def check_metric(g: Tensor, positive: bool = False) -> None:
    """Raise unless the matrices `g` (..., n, n) are finite, symmetric, and invertible or positive definite."""
    require(g.isfinite().flatten(-2).all(-1), "metric must be finite at every point")
    size = g.abs().amax((-2, -1))
    gap = (g - g.mT).abs().amax((-2, -1))
    # rounding in a product J^T J reaches a few hundred machine epsilons; a wrong formula is off by far more
    allowed = 1e4 * torch.finfo(g.dtype).eps * size
    require(gap <= allowed, "metric must be symmetric", largest_asymmetry=gap)
    if positive:
        if g.shape[-1] == 2:
            definite = (g[..., 0, 0] > 0) & (g[..., 0, 0] * g[..., 1, 1] > g[..., 0, 1] * g[..., 1, 0])
        else:
            definite = torch.linalg.cholesky_ex(g).info == 0
        if not holds(definite):
            require(definite, "metric must be positive definite", smallest_eigenvalue=torch.linalg.eigvalsh(g)[..., 0])
    else:
        require(torch.linalg.det(g) != 0, "metric must be invertible; its determinant is 0 at a point")

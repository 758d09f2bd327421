"""Metrics that an embedding, or the decoder of a generative model, induces on its coordinates."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vmap

from ._metric import Metric, check_points, push, second_derivatives

__all__ = ["PullbackMetric", "embedding_jet", "pullback_inner", "pullback_metric"]

Embedding = Callable[[Tensor], Tensor]


class PullbackMetric:
    """g = J^T h J as a function of the coordinates; see `pullback_metric`."""

    def __init__(self, embedding: Embedding, ambient_metric: Metric | None = None) -> None:
        self.embedding = embedding
        self.ambient_metric = ambient_metric

    def __call__(self, x: Tensor) -> Tensor:
        basis = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        columns = vmap(lambda v: push(self.embedding, x, v)[1].reshape(-1))(basis)  # (n, D)
        if self.ambient_metric is None:
            return columns @ columns.T  # (n, n)
        return columns @ self.ambient_metric(self.embedding(x).reshape(-1)) @ columns.T


def pullback_metric(embedding: Embedding, ambient_metric: Metric | None = None) -> PullbackMetric:
    """The metric g = J^T h J that an embedding, or the decoder of a generative model, induces on its coordinates.

    J is made of n Jacobian-vector products, one per coordinate and all in one batch: the cost is n times that of the
    embedding, whatever the dimension of its output. For the product of two given vectors `pullback_inner` needs two.
    In a Euclidean ambient space the curvature functions use the Gauss equation, which needs two derivatives of the
    embedding where differentiating g twice needs three.

    Args:
        embedding: Maps coordinates (n,) to a tensor of any shape; a network that wants a batch dimension is wrapped as
            `lambda z: net(z[None])[0]`.
        ambient_metric: Maps a point of the output space, flattened (D,), to its metric (D, D); Euclidean if None.

    Returns:
        Function from coordinates (n,) to the matrix (n, n), for use in every function of `riemannian`.
    """
    return PullbackMetric(embedding, ambient_metric)


def pullback_inner(embedding: Embedding, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """g(u, v) = <J u, J v> of the Euclidean pullback metric, by two Jacobian-vector products and no matrix.

    Args:
        embedding: Maps coordinates (n,) to a tensor of any shape.
        x: Points, (..., n).
        u: Tangent vectors at the points, (..., n).
        v: Tangent vectors at the points, (..., n).

    Returns:
        (...,).

    Raises:
        ValueError: If the shapes do not match or a coordinate is not finite.
        TypeError: If `x` is not float32 or float64.
    """
    check_points(x)
    if u.shape != x.shape or v.shape != x.shape:
        raise ValueError(f"x, u and v must have one shape; got {tuple(x.shape)}, {tuple(u.shape)}, {tuple(v.shape)}")

    def inner(x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return (push(embedding, x, u)[1] * push(embedding, x, v)[1]).sum()

    n = x.shape[-1]
    return vmap(inner)(x.reshape(-1, n), u.reshape(-1, n), v.reshape(-1, n)).reshape(x.shape[:-1])


def embedding_jet(embedding: Embedding, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Inner products of the first two derivatives f_i, f_ij of an embedding in Euclidean space at `x` (B, n).

    Returns:
        g_ij = <f_i, f_j> (B, n, n); [ij, k] = <f_k, f_ij> as (B, k, i, j); <f_mb, f_ac> as (B, m, a, b, c).
    """
    flattened = vmap(lambda point: embedding(point).reshape(-1))
    _, first, second = second_derivatives(flattened, x)  # (B, D, n), (B, D, n, n)
    return (
        first.mT @ first,
        torch.einsum("zdk,zdij->zkij", first, second),
        torch.einsum("zdmb,zdac->zmabc", second, second),
    )

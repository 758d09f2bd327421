"""Distances between two sets of images, over the features that some network gives: pure functions.

    kernel distance    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y),    k(x, y) = (gamma <x, y> + coef)^degree
    Frechet distance   |mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2))

With the 2048 pooled features of FID's InceptionV3 these are KID (gamma = 1/D, coef = 1, degree = 3) and FID. With any
other network they are neither, and their figures compare only among themselves: give them the network's name,
`KID-EffLite0`, `FD-EffLite0` (hf_kexue.metrics.feature_extractors). A few hundred images are enough for the kernel
distance, which is unbiased; the Frechet distance needs several times as many images as features.

Shapes: N real samples, M fake samples, D features. Everything is computed in float64. Longer than the house's
aim because both distances share the checks of their arguments.

Source: Binkowski, Sutherland, Arbel and Gretton 2018, "Demystifying MMD GANs" (kernel distance); Heusel et al. 2017,
"GANs trained by a two time-scale update rule" (Frechet distance); Efron and Stein 1981, "The jackknife estimate of
variance" (standard error).
"""

import math
import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_BLOCK_ROWS = 2048  # kernel rows held at once: 2048 x 50000 float64 is 0.8 GB

Features = Tensor | np.ndarray


class KernelDistance(NamedTuple):
    """A kernel distance with its uncertainty; both in units of the kernel.

    Attributes:
        value: the unbiased estimate of MMD^2. Zero in expectation for equal laws, so a negative value is no mistake.
        standard_error: the standard deviation that the estimate would have over fresh draws of both sets.
    """

    value: float
    standard_error: float


class _PairSums(NamedTuple):
    """What the estimates need of one kernel matrix: sums over each row and each column, and of all squares."""

    rows: Tensor
    columns: Tensor
    squares: Tensor


def kernel_distance(
    features_real: Features,
    features_fake: Features,
    *,
    degree: int = 3,
    gamma: float | None = None,
    coef: float = 1.0,
    subset_size: int | None = None,
    num_subsets: int = 100,
    generator: torch.Generator | None = None,
) -> KernelDistance:
    """Unbiased squared maximum mean discrepancy with a polynomial kernel, and its standard error.

    By default one U-statistic over all samples: no randomness, and the least variance that an unbiased estimate can
    have. `subset_size` gives the mean over random subsets that the first implementations report.

    Standard error: the square root of an unbiased estimate of the variance (held above the part named second). It is
    the two-sample delete-one jackknife, corrected for its bias: the jackknife counts the second-order part of a
    U-statistic's variance about twice (Efron and Stein), and that part is all there is when the two laws are equal.
    The excess has a closed form in the kernel matrices' doubly centred squares, and is subtracted. Of the subset
    mean: that variance plus the variance over subsets divided by their number, since a random subset's value has the
    full statistic as its conditional mean.

    Args:
        features_real: (N, D), any real dtype, N at least 4.
        features_fake: (M, D), M at least 4; M may differ from N.
        degree: power of the kernel, at least 1.
        gamma: factor of the inner product, positive; None is 1/D.
        coef: constant inside the power, not negative.
        subset_size: None for the full sample, or the number of samples of each set in a subset, 2 to min(N, M).
        num_subsets: how many subsets; used only with `subset_size`.
        generator: random source of the subsets, on the CPU; None is torch's global one.

    Returns:
        `KernelDistance(value, standard_error)`, two floats.

    Raises:
        TypeError: features that are no real tensor or array.
        ValueError: not two dimensions, different D, NaN or infinity, too few samples, or an argument out of its range.

    Relations: with `subset_size`, `value` is the mean of torchmetrics' `KernelInceptionDistance` at the same random
    state; with `subset_size` = N = M every subset is the whole and gives the full-sample value.
    """
    x, y = _check_pair(features_real, features_fake, minimum=4)
    gamma = _check_kernel(degree, gamma, coef, x.shape[1])
    n, m = len(x), len(y)
    xx, yy, xy = (_pair_sums(a, b, degree, gamma, coef) for a, b in ((x, x), (y, y), (x, y)))
    value = _mmd2(xx, yy, xy)
    variance = _variance(xx, yy, xy, n, m)
    if subset_size is not None:
        values = kernel_distance_subsets(
            x,
            y,
            subset_size=subset_size,
            num_subsets=num_subsets,
            degree=degree,
            gamma=gamma,
            coef=coef,
            generator=generator,
        )
        value = values.mean()
        if len(values) > 1:
            variance = variance + values.var(unbiased=True) / len(values)
        elif subset_size < max(n, m):
            variance = torch.full_like(variance, math.nan)  # one subset says nothing of the spread over subsets
    return KernelDistance(float(value), math.sqrt(float(variance)))


def kernel_distance_subsets(
    features_real: Features,
    features_fake: Features,
    *,
    subset_size: int,
    num_subsets: int = 100,
    degree: int = 3,
    gamma: float | None = None,
    coef: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The unbiased kernel distance of random subsets: what other implementations average and take the deviation of.

    Each subset draws one permutation of the real and one of the fake samples, in this order, and takes their first
    `subset_size` entries. The deviation over subsets describes the spread at that size; it is no error of the mean.

    Args:
        features_real: (N, D).
        features_fake: (M, D).
        subset_size: samples of each set in a subset, 2 to min(N, M).
        num_subsets: at least 1.
        degree: see `kernel_distance`.
        gamma: see `kernel_distance`.
        coef: see `kernel_distance`.
        generator: random source on the CPU; None is torch's global one.

    Returns:
        (num_subsets,) float64, on the CPU.

    Raises:
        TypeError: features that are no real tensor or array.
        ValueError: as `kernel_distance`.
    """
    x, y = _check_pair(features_real, features_fake, minimum=2)
    gamma = _check_kernel(degree, gamma, coef, x.shape[1])
    fewest = min(len(x), len(y))
    if not isinstance(subset_size, int) or not 2 <= subset_size <= fewest:
        raise ValueError(f"subset_size must be an integer from 2 to the smaller set's {fewest}, got {subset_size}.")
    if not isinstance(num_subsets, int) or num_subsets < 1:
        raise ValueError(f"num_subsets must be an integer of at least 1, got {num_subsets}.")
    values = []
    for _ in range(num_subsets):
        a = x[torch.randperm(len(x), generator=generator)[:subset_size].to(x.device)]  # (S, D)
        b = y[torch.randperm(len(y), generator=generator)[:subset_size].to(y.device)]  # (S, D)
        values.append(_mmd2(*(_pair_sums(p, q, degree, gamma, coef) for p, q in ((a, a), (b, b), (a, b)))))
    return torch.stack(values).cpu()  # (num_subsets,)


def frechet_distance(features_real: Features, features_fake: Features) -> float:
    """Frechet distance of the two Gaussians that have the sets' means and (unbiased) covariances.

    tr (S_x S_y)^(1/2) is the sum of the singular values of X Y^T, where X and Y are the centred samples over
    sqrt(N - 1) and sqrt(M - 1): S_x S_y = X^T X Y^T Y has the eigenvalues of (X Y^T)(X Y^T)^T. So no square root of a
    matrix is taken and nothing is squared, singular covariances included; X and Y enter by their QR factors.

    Args:
        features_real: (N, D), any real dtype, N at least 2.
        features_fake: (M, D), M at least 2.

    Returns:
        The distance, squared as everyone reports it, never negative.

    Raises:
        TypeError: features that are no real tensor or array.
        ValueError: not two dimensions, different D, NaN or infinity, fewer than 2 samples.

    Warns:
        UserWarning: when a set has no more samples than features. The covariance is then singular and the distance far
            too large, for equal laws too; compare such figures only at the same N and M, or use `kernel_distance`.

    Relations: equals `gaussian_frechet_distance` of the sets' means and covariances.
    """
    x, y = _check_pair(features_real, features_fake, minimum=2)
    width, fewest = x.shape[1], min(len(x), len(y))
    if fewest <= width:
        warnings.warn(
            f"The Frechet distance of {fewest} samples of {width} features rests on a singular covariance and is "
            "biased upwards, for equal laws too. Use more samples than features, or the unbiased kernel_distance.",
            UserWarning,
            stacklevel=2,
        )
    mean_x, mean_y = x.mean(dim=0), y.mean(dim=0)  # (D,)
    x = (x - mean_x) / math.sqrt(len(x) - 1)  # (N, D)
    y = (y - mean_y) / math.sqrt(len(y) - 1)  # (M, D)
    root_x = torch.linalg.qr(x, mode="r").R  # (min(N, D), D)
    root_y = torch.linalg.qr(y, mode="r").R  # (min(M, D), D)
    cross = torch.linalg.svdvals(root_x @ root_y.T).sum()
    distance = (mean_x - mean_y).square().sum() + x.square().sum() + y.square().sum() - 2 * cross
    return max(float(distance), 0.0)  # rounding leaves about -1e-13 for equal sets


def gaussian_frechet_distance(mean_1: Features, cov_1: Features, mean_2: Features, cov_2: Features) -> float:
    """Frechet distance of two Gaussians, given their moments: for published reference statistics and closed forms.

    tr (S_1 S_2)^(1/2) from the eigenvalues of the symmetric product S_1^(1/2) S_2 S_1^(1/2).

    Args:
        mean_1: (D,).
        cov_1: (D, D), symmetric and positive semidefinite.
        mean_2: (D,).
        cov_2: (D, D).

    Returns:
        The squared distance, never negative.

    Raises:
        TypeError: arguments that are no real tensors or arrays.
        ValueError: shapes that do not fit, NaN or infinity.
    """
    names = ("mean_1", "cov_1", "mean_2", "cov_2")
    m_1, s_1, m_2, s_2 = (_as_float64(value, name) for value, name in zip((mean_1, cov_1, mean_2, cov_2), names))
    width = m_1.numel()
    if m_1.shape != (width,) or m_2.shape != (width,) or s_1.shape != (width, width) or s_2.shape != (width, width):
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in zip(names, (m_1, s_1, m_2, s_2)))
        raise ValueError(f"The moments of two Gaussians have the shapes (D,), (D, D), (D,), (D, D); got {shapes}.")
    values, vectors = torch.linalg.eigh(s_1)
    root_1 = (vectors * values.clamp(min=0).sqrt()) @ vectors.T  # (D, D)
    cross = torch.linalg.eigvalsh(root_1 @ s_2 @ root_1).clamp(min=0).sqrt().sum()
    distance = (m_1 - m_2).square().sum() + s_1.trace() + s_2.trace() - 2 * cross
    return max(float(distance), 0.0)


def _pair_sums(x: Tensor, y: Tensor, degree: int, gamma: float, coef: float) -> _PairSums:
    """Sums of k(x_i, y_j) over j, over i, and of squares, block by block; i = j is left out when `x` is `y`."""
    rows, columns, squares = [], x.new_zeros(len(y)), x.new_zeros(())
    for start in range(0, len(x), _BLOCK_ROWS):
        block = (x[start : start + _BLOCK_ROWS] @ y.T * gamma + coef) ** degree  # (block, M)
        if x is y:
            block.diagonal(offset=start).zero_()
        rows.append(block.sum(dim=1))
        columns = columns + block.sum(dim=0)
        squares = squares + block.square().sum()
    return _PairSums(torch.cat(rows), columns, squares)


def _mmd2(xx: _PairSums, yy: _PairSums, xy: _PairSums) -> Tensor:
    """The U-statistic: mean over pairs i != j within the sets, less twice the mean over all pairs across."""
    n, m = len(xy.rows), len(xy.columns)
    return xx.rows.sum() / (n * (n - 1)) + yy.rows.sum() / (m * (m - 1)) - 2 * xy.rows.sum() / (n * m)


def _variance(xx: _PairSums, yy: _PairSums, xy: _PairSums, n: int, m: int) -> Tensor:
    """Unbiased variance of `_mmd2`: jackknife less its excess, never below the second-order part.

    Hoeffding: Var = first order + 2 z_xx / (n (n-1)) + 2 z_yy / (m (m-1)) + 4 z_xy / (n m), z the mean squares of the
    doubly centred kernels. The jackknife's mean has the first order once, and of the second order
    4 z_xx / (n (n-2)) + 4 z_yy / (m (m-2)) + 8 z_xy / (n m).
    """
    # value without x_i, without y_j, each less a constant that the variance does not see
    dropped_x = xx.rows * (-2 / ((n - 1) * (n - 2))) + xy.rows * (2 / ((n - 1) * m))  # (N,)
    dropped_y = yy.rows * (-2 / ((m - 1) * (m - 2))) + xy.columns * (2 / (n * (m - 1)))  # (M,)
    jackknife = (n - 1) * dropped_x.var(unbiased=False) + (m - 1) * dropped_y.var(unbiased=False)
    z_xx, z_yy = _centred_square_within(xx), _centred_square_within(yy)
    total = xy.rows.sum()
    centred = xy.squares - xy.rows.square().sum() / m - xy.columns.square().sum() / n + total.square() / (n * m)
    z_xy = centred.clamp(min=0) / ((n - 1) * (m - 1))
    second_order = 2 * z_xx / (n * (n - 1)) + 2 * z_yy / (m * (m - 1)) + 4 * z_xy / (n * m)
    held = 4 * z_xx / (n * (n - 2)) + 4 * z_yy / (m * (m - 2)) + 8 * z_xy / (n * m)
    return torch.maximum(jackknife - (held - second_order), second_order)


def _centred_square_within(sums: _PairSums) -> Tensor:
    """Unbiased mean square of the doubly centred kernel within one set (the U-centring of distance covariance)."""
    n, total = len(sums.rows), sums.rows.sum()
    centred = sums.squares - 2 * sums.rows.square().sum() / (n - 2) + total.square() / ((n - 1) * (n - 2))
    return centred.clamp(min=0) / (n * (n - 3))


def _as_float64(value: Features, name: str) -> Tensor:
    if not isinstance(value, (Tensor, np.ndarray)):
        raise TypeError(f"{name} must be a torch tensor or a numpy array, got {type(value).__name__}.")
    tensor = torch.as_tensor(value).detach()
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise TypeError(f"{name} must hold real numbers, got {tensor.dtype}.")
    if tensor.device.type == "mps":  # has no float64
        tensor = tensor.cpu()
    tensor = tensor.to(torch.float64)
    bad = int((~torch.isfinite(tensor)).sum())
    if bad:
        raise ValueError(f"{name} must be finite, but {bad} of {tensor.numel()} entries are NaN or infinite.")
    return tensor


def _check_pair(features_real: Features, features_fake: Features, minimum: int) -> tuple[Tensor, Tensor]:
    """Both sets as float64 matrices of one width, or a sentence."""
    x, y = _as_float64(features_real, "features_real"), _as_float64(features_fake, "features_fake")
    for tensor, name in ((x, "features_real"), (y, "features_fake")):
        if tensor.ndim != 2 or tensor.shape[1] == 0:
            raise ValueError(f"{name} must have the shape (samples, features), got {tuple(tensor.shape)}.")
        if len(tensor) < minimum:
            raise ValueError(f"{name} must hold at least {minimum} samples, got {len(tensor)}.")
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"Both sets must come from one network: features_real is {x.shape[1]} wide, features_fake {y.shape[1]}."
        )
    return x, y.to(x.device)


def _check_kernel(degree: int, gamma: float | None, coef: float, width: int) -> float:
    """The kernel's gamma, after a look at all three of its numbers."""
    if isinstance(degree, bool) or not isinstance(degree, int) or degree < 1:
        raise ValueError(f"degree must be an integer of at least 1, got {degree}.")
    if gamma is not None and not (math.isfinite(gamma) and gamma > 0):
        raise ValueError(f"gamma must be positive, or None for one over the number of features, got {gamma}.")
    if not (math.isfinite(coef) and coef >= 0):
        raise ValueError(f"coef must not be negative, got {coef}.")
    return 1.0 / width if gamma is None else float(gamma)

"""Curvature in closed form, symmetries and Bianchi identities on random metrics, pullback metrics, input checks."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.func import jacfwd, vmap
from torch.testing import assert_close

from hf_kexue.numerics.riemannian import (
    christoffel,
    gaussian_curvature,
    pullback_inner,
    pullback_metric,
    ricci_tensor,
    riemann_tensor,
    scalar_curvature,
)

F64 = torch.float64
# second derivatives of metrics of size one, sums of a few dozen products: a few hundred float64 roundings
TIGHT = {"rtol": 1e-12, "atol": 1e-12}


def sphere(x):
    """Unit sphere of dimension n in nested angles: diag(1, sin^2 x_0, sin^2 x_0 sin^2 x_1, ...)."""
    squares = torch.cumprod(torch.sin(x[..., :-1]) ** 2, -1)
    return torch.diag_embed(torch.cat([torch.ones_like(x[..., :1]), squares], -1))


def half_space(x):
    """Hyperbolic space of curvature -1, the last coordinate being the height."""
    return torch.eye(x.shape[-1], dtype=x.dtype) / x[..., -1] ** 2


def torus(p, big=2.0, small=0.7):
    ring = big + small * torch.cos(p[1])
    return torch.stack([ring * torch.cos(p[0]), ring * torch.sin(p[0]), small * torch.sin(p[1])])


def schwarzschild(x, mass=1.0):
    f = 1 - 2 * mass / x[1]
    return torch.diag(torch.stack([-f, 1 / f, x[1] ** 2, (x[1] * torch.sin(x[2])) ** 2]))


def random_metric(n, seed):
    """A smooth positive-definite metric without symmetries: g = 1 + L L^T with trigonometric entries of L."""
    generator = torch.Generator().manual_seed(seed)
    frequency = torch.randn(n, n, n, generator=generator, dtype=F64) * 0.5
    phase = torch.randn(n, n, generator=generator, dtype=F64)

    def metric(x):
        factor = torch.sin(frequency @ x + phase)
        return torch.eye(n, dtype=x.dtype) + factor @ factor.T / 2

    return metric


@pytest.mark.parametrize("n", [2, 3, 4])
def test_spheres(n):
    x = torch.rand(5, n, dtype=F64, generator=torch.Generator().manual_seed(0)) + 0.8
    g = sphere(x)
    assert_close(ricci_tensor(sphere, x), (n - 1) * g, **TIGHT)
    assert_close(scalar_curvature(sphere, x), torch.full((5,), float(n * (n - 1)), dtype=F64), **TIGHT)
    # R_mabc = g_mb g_ac - g_mc g_ab
    product = torch.einsum("zmb,zac->zmabc", g, g)
    assert_close(riemann_tensor(sphere, x, lower=True), product - product.transpose(-1, -2), **TIGHT)


@pytest.mark.parametrize("n", [2, 3])
def test_hyperbolic_space(n):
    x = torch.rand(5, n, dtype=F64, generator=torch.Generator().manual_seed(1)) + 0.5
    expected = -(n - 1) * torch.stack([half_space(point) for point in x])
    # g reaches 4, its second derivatives 100
    assert_close(ricci_tensor(half_space, x), expected, rtol=1e-11, atol=1e-11)
    assert_close(scalar_curvature(half_space, x), torch.full((5,), -float(n * (n - 1)), dtype=F64), rtol=1e-11, atol=0)


def test_gaussian_curvature_of_surfaces():
    x = torch.rand(50, 2, dtype=F64, generator=torch.Generator().manual_seed(2)) * 4 + 0.2
    torus_curvature = torch.cos(x[:, 1]) / (0.7 * (2 + 0.7 * torch.cos(x[:, 1])))
    assert_close(gaussian_curvature(pullback_metric(torus), x), torus_curvature, **TIGHT)
    assert_close(gaussian_curvature(half_space, x), torch.full((50,), -1.0, dtype=F64), rtol=1e-10, atol=0)
    for radius in (0.5, 3.0):
        curvature = gaussian_curvature(lambda p, r=radius: r * r * sphere(p), x / 2)
        assert_close(curvature, torch.full((50,), 1 / radius**2, dtype=F64), rtol=1e-10, atol=0)

    def revolution(p):  # catenoid, r(u) = cosh u: K = -1 / cosh^4 u
        return torch.stack([torch.cosh(p[0]) * torch.cos(p[1]), torch.cosh(p[0]) * torch.sin(p[1]), p[0]])

    assert_close(gaussian_curvature(pullback_metric(revolution), x / 2), -1 / torch.cosh(x[:, 0] / 2) ** 4, **TIGHT)
    assert_close(2 * gaussian_curvature(half_space, x), scalar_curvature(half_space, x), rtol=1e-10, atol=0)


def test_monge_patch_against_the_hessian_formula():
    """For the graph of h, K = (h_uu h_vv - h_uv^2) / (1 + |grad h|^2)^2."""
    x = torch.randn(20, 2, dtype=F64, generator=torch.Generator().manual_seed(3))

    def height(p):
        return torch.sin(p[0]) * torch.cos(2 * p[1]) + 0.3 * p[0] * p[1] ** 2

    gradient = vmap(torch.func.grad(height))(x)
    hessian = vmap(torch.func.hessian(height))(x)
    expected = torch.linalg.det(hessian) / (1 + gradient.square().sum(-1)) ** 2
    metric = pullback_metric(lambda p: torch.cat([p, height(p)[None]]))
    assert_close(gaussian_curvature(metric, x), expected, rtol=1e-11, atol=1e-11)


def test_schwarzschild_is_ricci_flat_with_the_known_invariant():
    x = torch.tensor([[0.3, 5.0, 1.1, 0.4], [1.0, 3.0, 0.5, 2.0]], dtype=F64)
    assert_close(ricci_tensor(schwarzschild, x), torch.zeros(2, 4, 4, dtype=F64), **TIGHT)
    riemann = riemann_tensor(schwarzschild, x, lower=True)
    inverse = torch.linalg.inv(torch.stack([schwarzschild(point) for point in x]))
    raised = torch.einsum("zabcd,zae,zbf,zcg,zdh->zefgh", riemann, inverse, inverse, inverse, inverse)
    assert_close((riemann * raised).sum((1, 2, 3, 4)), 48 / x[:, 1] ** 6, rtol=1e-11, atol=0)
    # a known symbol: Gamma^r_tt = f f' / 2 = (1 - 2/r) / r^2
    assert_close(christoffel(schwarzschild, x)[:, 1, 0, 0], (1 - 2 / x[:, 1]) / x[:, 1] ** 2, **TIGHT)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_riemann_is_equation_49_literally(n):
    metric = random_metric(n, n)
    x = torch.randn(3, n, dtype=F64, generator=torch.Generator().manual_seed(4))
    gamma = christoffel(metric, x)
    slope = vmap(jacfwd(lambda p: christoffel(metric, p)))(x)  # [m, a, c, b] = d_b Gamma^m_ac
    expected = torch.einsum("zmacb->zmabc", slope) - torch.einsum("zmabc->zmabc", slope)
    expected = expected + torch.einsum("zmnb,znac->zmabc", gamma, gamma)
    expected = expected - torch.einsum("zmnc,znab->zmabc", gamma, gamma)
    assert_close(riemann_tensor(metric, x), expected, **TIGHT)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_symmetries_and_first_bianchi_identity(n):
    x = torch.randn(4, n, dtype=F64, generator=torch.Generator().manual_seed(5))
    metric = random_metric(n, 10 + n)
    gamma = christoffel(metric, x)
    assert_close(gamma, gamma.mT)
    riemann = riemann_tensor(metric, x, lower=True)  # (z, m, a, b, c)
    assert riemann.abs().max() > 0.01
    assert_close(riemann, -riemann.transpose(3, 4), **TIGHT)
    assert_close(riemann, -riemann.transpose(1, 2), **TIGHT)
    assert_close(riemann, riemann.permute(0, 3, 4, 1, 2), **TIGHT)
    cyclic = riemann + riemann.permute(0, 1, 3, 4, 2) + riemann.permute(0, 1, 4, 2, 3)
    assert_close(cyclic, torch.zeros_like(cyclic), **TIGHT)
    ricci = ricci_tensor(metric, x)
    assert_close(ricci, ricci.mT, **TIGHT)


@pytest.mark.parametrize("n", [2, 3])
def test_second_bianchi_identity(n):
    """D_d R^m_abc + D_b R^m_acd + D_c R^m_adb = 0; the third derivative of the metric, by a further jacfwd."""
    x = torch.randn(2, n, dtype=F64, generator=torch.Generator().manual_seed(6))
    metric = random_metric(n, 20 + n)
    gamma, riemann = christoffel(metric, x), riemann_tensor(metric, x)
    derivative = vmap(jacfwd(lambda p: riemann_tensor(metric, p)))(x)  # (z, m, a, b, c, d)
    derivative = derivative + torch.einsum("zmnd,znabc->zmabcd", gamma, riemann)
    derivative = derivative - torch.einsum("znad,zmnbc->zmabcd", gamma, riemann)
    derivative = derivative - torch.einsum("znbd,zmanc->zmabcd", gamma, riemann)
    derivative = derivative - torch.einsum("zncd,zmabn->zmabcd", gamma, riemann)
    cyclic = derivative + derivative.permute(0, 1, 2, 4, 5, 3) + derivative.permute(0, 1, 2, 5, 3, 4)
    assert derivative.abs().max() > 0.01
    assert_close(cyclic, torch.zeros_like(cyclic), rtol=0, atol=1e-11)


def test_metric_compatibility():
    """d_k g_ij = g_lj Gamma^l_ik + g_il Gamma^l_jk."""
    x = torch.randn(3, 3, dtype=F64, generator=torch.Generator().manual_seed(7))
    metric = random_metric(3, 30)
    slope = vmap(jacfwd(metric))(x)
    lowered = torch.einsum("zlj,zlik->zijk", vmap(metric)(x), christoffel(metric, x))
    assert_close(slope, lowered + lowered.transpose(1, 2), **TIGHT)


def small_network(seed=0):
    torch.manual_seed(seed)
    layers = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 12)).double()
    return layers.requires_grad_(False)


def test_pullback_of_a_network():
    network = small_network()
    x = torch.randn(4, 2, dtype=F64)
    metric = pullback_metric(network)
    jacobian = vmap(jacfwd(network))(x)
    assert_close(vmap(metric)(x), jacobian.mT @ jacobian, **TIGHT)
    # the Gauss equation (used for PullbackMetric) against the derivatives of g itself (used for a plain function)
    assert_close(riemann_tensor(metric, x), riemann_tensor(lambda p: metric(p), x), **TIGHT)
    assert_close(gaussian_curvature(metric, x), gaussian_curvature(lambda p: metric(p), x), **TIGHT)
    u, v = torch.randn(2, 4, 2, dtype=F64)
    assert_close(pullback_inner(network, x, u, v), torch.einsum("zi,zij,zj->z", u, vmap(metric)(x), v), **TIGHT)


def test_silu_networks_inside_no_grad():
    """Without grad mode torch has no second forward derivative of SiLU; the package switches the mode on itself."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.SiLU(), torch.nn.Linear(8, 5)).double()
    network.requires_grad_(False)
    x = torch.randn(3, 2, dtype=F64)
    expected = gaussian_curvature(pullback_metric(network), x)
    with torch.no_grad():
        assert_close(gaussian_curvature(pullback_metric(network), x), expected)
        assert_close(gaussian_curvature(lambda p: pullback_metric(network)(p), x), expected, **TIGHT)


def test_pullback_through_an_ambient_metric():
    """The unit sphere as a section of stereographic coordinates: the same curvature through two maps."""

    def ambient(y):
        return torch.eye(2, dtype=y.dtype) * 4 / (1 + (y * y).sum()) ** 2

    def chart(p):
        return torch.stack([p[0] + 0.3 * p[1] ** 2, p[1] - 0.2 * p[0] * p[1]])

    x = torch.rand(5, 2, dtype=F64)
    assert_close(gaussian_curvature(pullback_metric(chart, ambient), x), torch.ones(5, dtype=F64), **TIGHT)


def test_gradients_reach_the_metric():
    x = torch.tensor([[0.8, 0.1], [1.2, 0.4]], dtype=F64, requires_grad=True)
    radius = torch.tensor(1.5, dtype=F64, requires_grad=True)
    (slope,) = torch.autograd.grad(gaussian_curvature(lambda p: radius**2 * sphere(p), x).sum(), radius)
    assert_close(slope, 2 * -2 / radius.detach() ** 3)
    assert gradcheck(lambda p: gaussian_curvature(pullback_metric(torus), p), x)
    assert gradcheck(lambda p: christoffel(sphere, p), x)


def test_batches_chunks_and_single_points_agree():
    x = torch.rand(3, 1000, 2, dtype=F64) + 0.5  # more than one chunk
    curvature = gaussian_curvature(sphere, x)
    assert curvature.shape == (3, 1000)
    assert_close(curvature[1, 7], gaussian_curvature(sphere, x[1, 7]))
    assert riemann_tensor(sphere, x[0, :2]).shape == (2, 2, 2, 2, 2)
    assert gaussian_curvature(sphere, x[0].float()).dtype == torch.float32


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda p: torch.ones(2, 3, dtype=F64), r"matrix \(2, 2\); got \(2, 3\)"),
        (lambda p: torch.stack([p, p]), "largest_asymmetry = 1"),
        (lambda p: -torch.eye(2, dtype=F64), "smallest_eigenvalue = -1"),
        (lambda p: torch.eye(2, dtype=F64) * torch.log(-p[0]), "metric must be finite"),
    ],
)
def test_bad_metric_raises(metric, message):
    with pytest.raises(ValueError, match=message):
        gaussian_curvature(metric, torch.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=F64))


def test_other_bad_input_raises():
    point = torch.ones(2, dtype=F64)
    with pytest.raises(ValueError, match=r"coordinates .*nan at index \(0,\)"):
        christoffel(sphere, torch.tensor([math.nan, 1.0], dtype=F64))
    with pytest.raises(ValueError, match="its determinant is 0"):
        christoffel(lambda p: torch.ones(2, 2, dtype=F64), point)
    with pytest.raises(ValueError, match="dimension 2; got dimension 3"):
        gaussian_curvature(sphere, torch.ones(3, dtype=F64))
    with pytest.raises(TypeError, match=r"points .*list"):
        christoffel(sphere, [1.0, 2.0])
    with pytest.raises(ValueError, match=r"\(\.\.\., n\)"):
        christoffel(sphere, torch.tensor(1.0))
    with pytest.raises(ValueError, match="x, u and v"):
        pullback_inner(torus, point, point, torch.ones(3, dtype=F64))


@pytest.mark.parametrize("norm", [torch.norm, torch.linalg.vector_norm, torch.linalg.norm, torch.Tensor.norm])
def test_curvature_through_the_norm_of_zero_is_nan_and_right_elsewhere(norm):
    """g = (1 + |x|^2) I has K = -2 / (1 + |x|^2)^3: -laplace(log(1 + r^2)) / (2 (1 + r^2))."""
    x = torch.tensor([[0.0, 0.0], [0.3, 0.1]], dtype=torch.float64)
    eye = torch.eye(2, dtype=torch.float64)
    expected = -2 / (1 + x.square().sum(-1)) ** 3
    torch.testing.assert_close(gaussian_curvature(lambda p: eye * (1 + p.square().sum()), x), expected)
    curvature = gaussian_curvature(lambda p: eye * (1 + norm(p) ** 2), x)
    assert curvature[0].isnan()
    torch.testing.assert_close(curvature[1], expected[1])

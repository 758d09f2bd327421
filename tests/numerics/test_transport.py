"""Geodesics, parallel transport, holonomy, geodesic curvature and Gauss-Bonnet against closed forms."""

import math
from itertools import pairwise

import pytest
import torch
from torch.autograd import gradcheck
from torch.func import jvp
from torch.testing import assert_close

from hf_kexue.numerics.riemannian import (
    gauss_bonnet,
    geodesic,
    geodesic_curvature,
    holonomy,
    holonomy_angle,
    parallel_transport,
    pullback_metric,
)

F64 = torch.float64
QUARTER = math.pi / 2


def point(*values):
    return torch.tensor(values, dtype=F64)


def sphere(x):
    return torch.diag(torch.stack([torch.ones_like(x[0]), torch.sin(x[0]) ** 2]))


def on_sphere(p):
    return torch.stack(
        [
            torch.sin(p[..., 0]) * torch.cos(p[..., 1]),
            torch.sin(p[..., 0]) * torch.sin(p[..., 1]),
            torch.cos(p[..., 0]),
        ],
        -1,
    )


def half_plane(x):
    return torch.eye(2, dtype=x.dtype) / x[1] ** 2


def stereographic(x):
    return torch.eye(2, dtype=x.dtype) * 4 / (1 + (x * x).sum()) ** 2


def ellipsoid(p):
    return on_sphere(p) * torch.tensor([1.0, 1.5, 2.0], dtype=p.dtype)


def torus(p):
    ring = 2 + torch.cos(p[1])
    return torch.stack([ring * torch.cos(p[0]), ring * torch.sin(p[0]), torch.sin(p[1])])


def latitude(colatitude):
    return lambda t: torch.stack([colatitude + 0 * t, 2 * math.pi * t])


def order_of(errors):
    """Observed order of convergence from errors at steps h, h/2, h/4."""
    return [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]


def test_geodesics_of_the_sphere_are_great_circles_to_fourth_order():
    start, velocity = point(1.0, 0.0), point(0.3, 1.2)
    position, tangent = jvp(on_sphere, (start,), (velocity,))
    speed = tangent.norm()
    errors = []
    for num_steps in (8, 16, 32):
        path = geodesic(sphere, start, velocity, num_steps=num_steps)
        exact = position * torch.cos(speed * path.times[:, None]) + tangent / speed * torch.sin(
            speed * path.times[:, None]
        )
        errors.append((on_sphere(path.points) - exact).abs().max().item())
        assert_close(path.length, speed)
    assert all(3.7 < order < 4.4 for order in order_of(errors)), errors
    assert errors[-1] < 1e-8


def test_geodesics_between_points_of_the_sphere_to_fourth_order():
    start, end = torch.stack([point(1.0, 0.0), point(0.5, 0.1)]), torch.stack([point(1.5, 1.2), point(1.2, 1.6)])
    distance = torch.acos((on_sphere(start) * on_sphere(end)).sum(-1))
    errors = []
    for num_steps in (8, 16, 32):
        path = geodesic(sphere, start, end=end, num_steps=num_steps)
        errors.append((path.length - distance).abs().max().item())
        assert_close(path.points[:, 0], start, rtol=0, atol=1e-12)
        assert_close(path.points[:, -1], end, rtol=0, atol=1e-12)
    assert all(3.6 < order < 4.6 for order in order_of(errors)), errors


def test_distance_in_the_hyperbolic_plane():
    start, end = point(0.0, 1.0), point(1.0, 2.0)
    expected = torch.acosh(1 + ((end - start) ** 2).sum() / (2 * start[1] * end[1]))
    assert_close(geodesic(half_plane, start, end=end, num_steps=64).length, expected, rtol=1e-7, atol=0)  # order 4
    # the two ways agree: shooting with the velocity found arrives at the end
    path = geodesic(half_plane, start, end=end, num_steps=64, duration=2.0)
    again = geodesic(half_plane, start, path.velocities[0], num_steps=64, duration=2.0)
    assert_close(again.points[-1], end, rtol=0, atol=1e-6)
    assert_close(again.length, expected, rtol=1e-7, atol=0)


def test_a_line_over_a_hill_relaxes_to_a_geodesic():
    """Over a steep hill Newton's method fails from the straight line; the way round is found, and is shorter."""

    def hill(p):
        return torch.cat([p, 4 * torch.exp(-4 * (p * p).sum())[None]])

    metric = pullback_metric(hill)
    start, end = point(-1.5, 0.05), point(1.5, 0.05)
    path = geodesic(metric, start, end=end, num_steps=48)
    line = start + torch.linspace(0, 1, 401, dtype=F64)[:, None] * (end - start)
    over = torch.stack([hill(p) for p in line]).diff(dim=0).norm(dim=1).sum()
    assert 3.0 < path.length < 0.6 * over
    speed = torch.stack([v @ metric(p) @ v for p, v in zip(path.points, path.velocities)]).sqrt()
    assert_close(speed, path.length.expand_as(speed), rtol=1e-3, atol=0)  # 48 steps of order 4


def test_no_geodesic_raises():
    def two_halves(x):  # undefined between the points
        return torch.eye(2, dtype=x.dtype) * torch.sqrt(x[0] ** 2 - 0.25)

    with pytest.raises(RuntimeError, match="no geodesic"):
        geodesic(two_halves, point(-1.0, 0.0), end=point(1.0, 0.0), num_steps=8)


def test_speed_is_constant_and_lorentzian_metrics_are_allowed():
    def schwarzschild(x):  # the plane of the equator, coordinates (t, r, phi)
        f = 1 - 2 / x[1]
        return torch.diag(torch.stack([-f, 1 / f, x[1] ** 2]))

    # circular orbit: (d phi / d t)^2 = M / r^3
    radius = 10.0
    start, velocity = point(0.0, radius, 0.0), point(1.0, 0.0, radius**-1.5)
    path = geodesic(schwarzschild, start, velocity, num_steps=50, duration=40.0)
    assert_close(path.points[:, 1], torch.full((51,), radius, dtype=F64), rtol=1e-10, atol=0)
    assert path.squared_speed < 0


def test_end_point_gradients():
    start, end = point(1.0, 0.0).requires_grad_(), point(1.4, 0.9).requires_grad_()
    assert gradcheck(lambda p, q: geodesic(sphere, p, end=q, num_steps=6).length, (start, end))
    length = geodesic(sphere, start, end=end, num_steps=24).length
    got = torch.autograd.grad(length, (start, end))
    expected = torch.autograd.grad(torch.acos(on_sphere(start) @ on_sphere(end)), (start, end))
    assert_close(got, expected, rtol=0, atol=2e-5)  # the error of 24 steps


def test_transport_keeps_inner_products_and_the_tangent_of_a_geodesic():
    path = geodesic(sphere, point(1.0, 0.0), point(0.3, 1.2), num_steps=40)
    vectors = torch.stack([path.velocities[0], point(1.0, -0.5)])
    carried = parallel_transport(sphere, path.at, vectors, num_steps=40, path=True)  # (41, 2, 2)
    assert_close(carried[:, 0], path.velocities, rtol=0, atol=1e-7)  # both of order 4 with 40 steps
    g = torch.stack([sphere(p) for p in path.points])
    products = torch.einsum("svi,sij,swj->svw", carried, g, carried)
    assert_close(products, products[:1].expand_as(products), rtol=0, atol=1e-7)


def test_transport_is_of_fourth_order_and_reversible():
    angle = 2 * math.pi * (1 - math.cos(0.7))
    errors = [abs(holonomy_angle(sphere, latitude(0.7), num_steps=n).item() - angle) for n in (25, 50, 100)]
    assert all(3.8 < order < 4.2 for order in order_of(errors)), errors
    vector = point(0.4, -1.0)
    there = parallel_transport(sphere, latitude(0.7), vector, interval=(0.0, 0.4))
    back = parallel_transport(sphere, latitude(0.7), there, interval=(0.4, 0.0))
    assert_close(back, vector, rtol=0, atol=1e-8)


@pytest.mark.parametrize("colatitude", [0.2, 0.7, 1.2, QUARTER])
def test_holonomy_of_latitude_circles(colatitude):
    angle = holonomy_angle(sphere, latitude(colatitude), num_steps=800)
    expected = 2 * math.pi * (1 - math.cos(colatitude))
    assert abs(math.remainder(angle.item() - expected, 2 * math.pi)) < 1e-9  # 800 steps of order 4
    matrix = holonomy(sphere, latitude(colatitude), num_steps=400)
    g = sphere(point(colatitude, 0.0))
    assert_close(matrix.T @ g @ matrix, g, rtol=0, atol=1e-8)


def test_holonomy_equals_enclosed_curvature_on_a_random_metric():
    def metric(x):
        factor = torch.stack([torch.sin(x + 0.3), torch.cos(1.5 * x[0] - x)])
        return torch.eye(2, dtype=x.dtype) + factor @ factor.T / 2

    def disc(s):
        return point(0.2, -0.1) + 0.8 * s[0] * torch.stack(
            [torch.cos(2 * math.pi * s[1]), torch.sin(2 * math.pi * s[1])]
        )

    def circle(t):
        return disc(torch.stack([torch.ones_like(t), t]))

    enclosed = gauss_bonnet(metric, disc, [circle], euler_characteristic=1)
    assert abs(enclosed.curvature) > 1e-2
    assert_close(holonomy_angle(metric, circle, num_steps=400), enclosed.curvature, rtol=0, atol=1e-8)
    assert abs(enclosed.residual) < 1e-10


def test_small_loop_is_the_riemann_tensor():
    """(48): round a square of side h, P - 1 = -R^m_a01 h^2 + O(h^3)."""
    from hf_kexue.numerics.riemannian import riemann_tensor

    corner, side = point(1.0, 0.3), 1e-3
    corners = corner + side * torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], dtype=F64)
    matrix = torch.eye(2, dtype=F64)
    for here, there in pairwise(corners):
        step = parallel_transport(
            sphere, lambda t, a=here, b=there: a + t * (b - a), torch.eye(2, dtype=F64), num_steps=2
        ).T
        matrix = step @ matrix
    riemann = riemann_tensor(sphere, corner + side / 2)
    assert_close((torch.eye(2, dtype=F64) - matrix) / side**2, riemann[:, :, 0, 1], rtol=0, atol=5e-3)  # O(h)


def test_geodesic_curvature():
    t = torch.linspace(0, 1, 5, dtype=F64)
    assert_close(geodesic_curvature(sphere, latitude(0.7), t), torch.full_like(t, 1 / math.tan(0.7)))
    assert_close(geodesic_curvature(sphere, latitude(QUARTER), t), torch.zeros_like(t), rtol=0, atol=1e-15)
    # horocycles of the hyperbolic plane have curvature 1; run to the right the region above lies on the left
    assert_close(geodesic_curvature(half_plane, lambda s: torch.stack([s, 2 + 0 * s]), t).abs(), torch.ones_like(t))
    # flat plane, counter-clockwise circle of radius 2, any speed
    flat = lambda p: torch.eye(2, dtype=p.dtype)  # noqa: E731
    circle = lambda s: 2 * torch.stack([torch.cos(s + s**2), torch.sin(s + s**2)])  # noqa: E731
    assert_close(geodesic_curvature(flat, circle, t), torch.full_like(t, 0.5))


def test_octant_triangle():
    """Three geodesic sides, three right angles: the area pi/2 is the excess; in angles and in a regular chart."""
    sides = [
        lambda t: torch.stack([QUARTER * t, 0 * t]),
        lambda t: torch.stack([QUARTER + 0 * t, QUARTER * t]),
        lambda t: torch.stack([QUARTER * (1 - t), QUARTER + 0 * t]),
    ]
    terms = gauss_bonnet(sphere, ((0, QUARTER), (0, QUARTER)), sides, exterior_angles=(QUARTER,) * 3)
    assert_close(terms.curvature, torch.tensor(QUARTER, dtype=F64))
    assert abs(terms.boundary) < 1e-14
    assert terms.euler_characteristic == 1
    assert abs(terms.residual) < 1e-12

    sides = [
        lambda t: torch.stack([t, 0 * t]),
        lambda t: torch.stack([torch.cos(QUARTER * t), torch.sin(QUARTER * t)]),
        lambda t: torch.stack([0 * t, 1 - t]),
    ]
    terms = gauss_bonnet(
        stereographic,
        lambda s: s[0] * torch.stack([torch.cos(QUARTER * s[1]), torch.sin(QUARTER * s[1])]),
        sides,
        euler_characteristic=1,
    )
    assert_close(terms.corners, torch.tensor(3 * QUARTER, dtype=F64))
    assert abs(terms.residual) < 1e-12


@pytest.mark.parametrize("colatitude", [0.3, 1.0, 2.5])
def test_gauss_bonnet_of_a_polar_cap(colatitude):
    terms = gauss_bonnet(sphere, ((0, colatitude), (0, 2 * math.pi)), [latitude(colatitude)])
    assert_close(terms.curvature, torch.tensor(2 * math.pi * (1 - math.cos(colatitude)), dtype=F64))
    assert_close(terms.boundary, torch.tensor(2 * math.pi * math.cos(colatitude), dtype=F64))
    assert terms.euler_characteristic == 1
    assert abs(terms.residual) < 1e-12


def test_gauss_bonnet_of_closed_surfaces():
    ball = gauss_bonnet(pullback_metric(ellipsoid), ((0, math.pi), (0, 2 * math.pi)))
    assert ball.euler_characteristic == 2
    assert abs(ball.residual) < 1e-8
    ring = gauss_bonnet(pullback_metric(torus), ((0, 2 * math.pi), (0, 2 * math.pi)))
    assert ring.euler_characteristic == 0
    assert abs(ring.residual) < 1e-8


def test_bad_input_raises():
    a, b = point(1.0, 0.0), point(1.2, 0.5)
    with pytest.raises(ValueError, match=r"velocity or end.*neither"):
        geodesic(sphere, a)
    with pytest.raises(ValueError, match=r"velocity or end.*both"):
        geodesic(sphere, a, b, b)
    with pytest.raises(ValueError, match=r"start and end .*\(2,\) torch\.float64 and \(3,\)"):
        geodesic(sphere, a, end=point(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match=r"num_steps .*1"):
        geodesic(sphere, a, b, num_steps=1)
    with pytest.raises(ValueError, match="duration must not be 0"):
        geodesic(sphere, a, b, duration=0.0)
    with pytest.raises(ValueError, match="coordinates must be finite"):
        geodesic(sphere, a, end=point(1.0, math.inf))
    with pytest.raises(ValueError, match="closed"):
        holonomy(sphere, lambda t: torch.stack([0.5 + t, t]))
    with pytest.raises(ValueError, match=r"curve .*2 .*vector 3"):
        parallel_transport(sphere, latitude(0.7), point(1.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="stand still"):
        geodesic_curvature(sphere, lambda t: torch.stack([1.0 + 0 * t, 0 * t]), torch.zeros(1, dtype=F64))
    with pytest.raises(ValueError, match="1 for 0"):
        gauss_bonnet(sphere, ((0, 1), (0, 1)), exterior_angles=(0.0,))
    with pytest.raises(ValueError, match="meet"):
        gauss_bonnet(sphere, ((0.5, 1), (0, 1)), [lambda t: torch.stack([0.5 + 0.5 * t, 0 * t])])

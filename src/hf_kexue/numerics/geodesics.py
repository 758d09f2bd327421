"""Geodesics: from a point and a velocity, or between two points."""

from typing import NamedTuple

import torch
from torch import Tensor

from ._checks import check_count, require
from ._metric import Metric, check_metric, check_points, first_derivatives, metric_jet

__all__ = ["Geodesic", "geodesic"]


class Geodesic(NamedTuple):
    """A geodesic at equally spaced parameters.

    Attributes:
        times: (S + 1,), from 0 to the duration.
        points: (..., S + 1, n).
        velocities: (..., S + 1, n), derivatives of the points by the parameter.
        squared_speed: (...,), g(v, v) at the start, constant along a geodesic.
    """

    times: Tensor
    points: Tensor
    velocities: Tensor
    squared_speed: Tensor

    @property
    def length(self) -> Tensor:
        """Length (...,): the constant speed times the duration (proper time of a timelike geodesic)."""
        return self.squared_speed.abs().sqrt() * (self.times[-1] - self.times[0]).abs()

    def at(self, t: Tensor) -> Tensor:
        """Points (..., n) at one parameter `t`, by the cubic through the neighbouring points and velocities.

        The error is of fourth order in the step, as that of the points; `path.at` serves as a curve for
        `parallel_transport` when the start was a single point.
        """
        step = self.times[1] - self.times[0]
        cell = ((t - self.times[0]) / step).detach().floor().clamp(0, len(self.times) - 2).long()
        s = (t - self.times[cell]) / step
        x0, x1 = self.points[..., cell, :], self.points[..., cell + 1, :]
        v0, v1 = self.velocities[..., cell, :] * step, self.velocities[..., cell + 1, :] * step
        return x0 + s * (v0 + s * (3 * (x1 - x0) - 2 * v0 - v1 + s * (v0 + v1 - 2 * (x1 - x0))))


def geodesic(
    metric: Metric,
    start: Tensor,
    velocity: Tensor | None = None,
    end: Tensor | None = None,
    *,
    num_steps: int = 100,
    duration: float = 1.0,
) -> Geodesic:
    """Solution of x''^k + Gamma^k_ij x'^i x'^j = 0 from `start`, with a given velocity or to a given end.

    Given `velocity`: classical Runge-Kutta, error of order num_steps^-4.
    Given `end`: Hermite-Simpson collocation, also of order 4, solved by damped Newton iteration from the straight line
    in coordinates or, where that fails and the metric is positive definite, from the curve to which the line relaxes
    under its energy. It finds a geodesic, which need not be the shortest. First derivatives with respect to the end
    points and to tensors inside `metric` come from the implicit function theorem.

    Args:
        metric: Maps coordinates (n,) to the symmetric, invertible matrix g (n, n); of any signature.
        start: Points, (..., n), float32 or float64.
        velocity: Velocities at the start, (..., n).
        end: End points, (..., n); give either this or `velocity`.
        num_steps: Number S of equal steps.
        duration: Parameter interval, not 0.

    Returns:
        `Geodesic` with S + 1 points for each start.

    Raises:
        ValueError: If not exactly one of `velocity` and `end` is given, shapes differ, a coordinate is not finite, or
            the metric is not symmetric and invertible at the start.
        TypeError: If the points are not float32 or float64.
        RuntimeError: If no geodesic to `end` was found; more steps or a nearer end may help.

    Source: kexue.fm archives/3977.
    """
    if velocity is not None and end is not None:
        raise ValueError("give either velocity or end; got both")
    other, role = (end, "end") if velocity is None else (velocity, "velocity")
    if other is None:
        raise ValueError("give either velocity or end; got neither")
    check_points(start)
    check_points(other)
    check_count("num_steps", num_steps, 2)
    if duration == 0:
        raise ValueError("duration must not be 0")
    if start.shape != other.shape or start.dtype != other.dtype:
        raise ValueError(
            f"start and {role} must agree in shape and type; "
            f"got {tuple(start.shape)} {start.dtype} and {tuple(other.shape)} {other.dtype}"
        )
    n = start.shape[-1]
    x, other = start.reshape(-1, n), other.reshape(-1, n)
    g = metric_jet(metric, x, 0)[0]
    check_metric(g)
    if velocity is None:
        states = _connect(metric, x, other, num_steps)
        states = torch.cat([states[..., :n], states[..., n:] / duration], -1)
    else:
        states = _shoot(metric, torch.cat([x, other], -1), num_steps, duration / num_steps)
    first = states[:, 0, n:]
    states = states.reshape(*start.shape[:-1], num_steps + 1, 2 * n)
    return Geodesic(
        times=torch.linspace(0, duration, num_steps + 1, dtype=start.dtype, device=start.device),
        points=states[..., :n],
        velocities=states[..., n:],
        squared_speed=torch.einsum("bi,bij,bj->b", first, g, first).reshape(start.shape[:-1]),
    )


def _flow(metric: Metric, state: Tensor) -> Tensor:
    """d(x, v)/dt = (v, -Gamma(v, v)) for states (B, 2n)."""
    x, v = state.chunk(2, -1)
    g, dg = metric_jet(metric, x, 1)
    # g_kl Gamma^k_ij v^i v^j = (v^i d_i g_lj) v^j - (1/2) d_l g_ij v^i v^j, without the whole of Gamma
    lowered = torch.einsum("blji,bi,bj->bl", dg, v, v) - torch.einsum("bijl,bi,bj->bl", dg, v, v) / 2
    return torch.cat([v, -(torch.linalg.inv_ex(g).inverse @ lowered[..., None])[..., 0]], -1)


def _shoot(metric: Metric, state: Tensor, num_steps: int, step: float) -> Tensor:
    """Classical Runge-Kutta from states (B, 2n); returns (B, S + 1, 2n)."""
    states = [state]
    for _ in range(num_steps):
        k1 = _flow(metric, state)
        k2 = _flow(metric, state + step / 2 * k1)
        k3 = _flow(metric, state + step / 2 * k2)
        k4 = _flow(metric, state + step * k3)
        state = state + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states.append(state)
    path = torch.stack(states, 1)
    require(path.isfinite(), "the geodesic left the domain of the metric", value=path)
    return path


def _residual(metric: Metric, states: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Hermite-Simpson defects on [0, 1], then the two boundary conditions: (B, 2n (S + 1))."""
    batch, count, width = states.shape
    step = 1 / (count - 1)
    flow = _flow(metric, states.reshape(-1, width)).reshape(states.shape)
    middle = (states[:, :-1] + states[:, 1:]) / 2 + step / 8 * (flow[:, :-1] - flow[:, 1:])
    flow_middle = _flow(metric, middle.reshape(-1, width)).reshape(middle.shape)
    defect = states[:, 1:] - states[:, :-1] - step / 6 * (flow[:, :-1] + 4 * flow_middle + flow[:, 1:])
    n = width // 2
    return torch.cat([defect.reshape(batch, -1), states[:, 0, :n] - start, states[:, -1, :n] - end], -1)


def _residual_jacobian(metric: Metric, states: Tensor) -> Tensor:
    """Derivative of `_residual` by the states: (B, 2n (S + 1), 2n (S + 1)), two blocks per step."""
    batch, count, width = states.shape
    n, steps, step = width // 2, count - 1, 1 / (count - 1)

    def slope(points: Tensor) -> tuple[Tensor, Tensor]:
        flow, jacobian = first_derivatives(lambda flat: _flow(metric, flat), points.reshape(-1, width))
        return flow.reshape(points.shape), jacobian.reshape(*points.shape, width)

    flow, at_node = slope(states)
    middle = (states[:, :-1] + states[:, 1:]) / 2 + step / 8 * (flow[:, :-1] - flow[:, 1:])
    _, at_middle = slope(middle)
    one = torch.eye(width, dtype=states.dtype, device=states.device)
    left = -one - step / 6 * (at_node[:, :-1] + 4 * at_middle @ (one / 2 + step / 8 * at_node[:, :-1]))
    right = one - step / 6 * (at_node[:, 1:] + 4 * at_middle @ (one / 2 - step / 8 * at_node[:, 1:]))

    blocks = states.new_zeros(batch, steps, width, count, width)
    index = torch.arange(steps, device=states.device)
    blocks[:, index, :, index] = left.transpose(0, 1)
    blocks[:, index, :, index + 1] = right.transpose(0, 1)
    ends = states.new_zeros(batch, 2, n, count, width)
    ends[:, 0, :, 0, :n] = one[:n, :n]
    ends[:, 1, :, -1, :n] = one[:n, :n]
    size = count * width
    return torch.cat([blocks.reshape(batch, -1, size), ends.reshape(batch, -1, size)], 1)


def _connect(metric: Metric, start: Tensor, end: Tensor, num_steps: int) -> Tensor:
    """States (B, S + 1, 2n) over [0, 1]: from the straight line, else from a curve of small energy."""
    ends = (start.detach(), end.detach())
    fraction = torch.linspace(0, 1, num_steps + 1, dtype=start.dtype, device=start.device)[:, None]
    line = ends[0][:, None] + (ends[1] - ends[0])[:, None] * fraction
    states = _newton(metric, _with_velocities(line), ends, max_iterations=10)
    if states is None and bool((torch.linalg.cholesky_ex(metric_jet(metric, line, 0)[0]).info == 0).all()):
        states = _newton(metric, _with_velocities(_relax(metric, *ends, num_steps)), ends)
    if states is None:
        raise RuntimeError("no geodesic between the points was found; try more steps or an end nearer to the start")
    # one more Newton step, this time seen by autograd: it carries the derivative of the solution
    jacobian = _residual_jacobian(metric, states).detach()
    correction = torch.linalg.solve(jacobian, _residual(metric, states, start, end))
    return states - correction.reshape(states.shape)


def _with_velocities(points: Tensor) -> Tensor:
    """States (B, S + 1, 2n) from points (B, S + 1, n) at equal steps over [0, 1], by differences."""
    return torch.cat([points, torch.gradient(points, spacing=1 / (points.shape[1] - 1), dim=1)[0]], -1)


def _relax(metric: Metric, start: Tensor, end: Tensor, num_steps: int) -> Tensor:
    """Points (B, S + 1, n) that make the energy sum g(dx, dx) small, by L-BFGS on the increments dx.

    The energy of a positive-definite metric has a minimum where Newton's method has nothing to hold on to; taking the
    increments as unknowns makes its Hessian about 2 g, whatever the number of steps.
    """

    def points_of(increments: Tensor) -> tuple[Tensor, Tensor]:
        steps = increments - increments.mean(1, keepdim=True) + (end - start)[:, None] / num_steps
        return steps, torch.cat([start[:, None], start[:, None] + steps.cumsum(1)], 1)

    with torch.enable_grad():
        increments = start.new_zeros(len(start), num_steps, start.shape[-1]).requires_grad_()
        optimizer = torch.optim.LBFGS([increments], max_iter=300, history_size=30, line_search_fn="strong_wolfe")

        def energy() -> Tensor:
            optimizer.zero_grad()
            steps, points = points_of(increments)
            at_point = metric_jet(metric, points, 0)[0]
            at_middle = metric_jet(metric, (points[:, :-1] + points[:, 1:]) / 2, 0)[0]
            g = (at_point[:, :-1] + 4 * at_middle + at_point[:, 1:]) / 6  # no leaping over ridges between the nodes
            value = num_steps * torch.einsum("bsi,bsij,bsj->", steps, g, steps)
            increments.grad = torch.autograd.grad(value, increments)[0].contiguous()
            return value.detach()

        optimizer.step(energy)
    return points_of(increments.detach())[1]


def _newton(metric: Metric, states: Tensor, ends: tuple[Tensor, Tensor], max_iterations: int = 25) -> Tensor | None:
    """Damped Newton iteration on the defects of collocation; None where it does not converge."""
    tolerance = torch.finfo(states.dtype).eps ** 0.6
    defect = _residual(metric, states, *ends).detach()
    for _ in range(max_iterations):
        jacobian = _residual_jacobian(metric, states).detach()
        update = torch.linalg.solve_ex(jacobian, defect).result.reshape(states.shape)
        states, defect = _damped_step(metric, states, update, defect, ends, tolerance)
        if not bool(states.isfinite().all()):
            return None
        if update.abs().max() <= tolerance * (1 + states.abs().max()):
            return states
    return None


def _damped_step(
    metric: Metric, states: Tensor, update: Tensor, defect: Tensor, ends: tuple[Tensor, Tensor], tolerance: float
) -> tuple[Tensor, Tensor]:
    """Go along the Newton update, halving the step of each geodesic until its defect shrinks."""
    scale = torch.ones_like(states[:, :1, :1])
    for _ in range(12):
        trial = states - scale * update
        trial_defect = _residual(metric, trial, *ends).detach()
        # written so that NaN counts as no progress
        worse = ~(trial_defect.norm(dim=-1) <= (1 - scale[:, 0, 0] / 4) * defect.norm(dim=-1) + tolerance**2)
        if not worse.any():
            break
        scale = torch.where(worse[:, None, None], scale / 2, scale)
    return trial, trial_defect

"""Speed and error of the numerics: GELU, the exact quartic integral, Gaussian curvature, each beside an alternative.

    python benchmarks/numerics_speed.py

- GELU forms on 2^20 float32 values (inference) and their largest error over the real line; the module `GELUFeynman`
  also compiled, where torch.compile finds a C++ compiler.
- The exact quartic integral on 10,000 pairs (a, eps), a > 0, beside SciPy's scaled Bessel function, which has no
  gradient.
- Gaussian curvature at 10,000 points, from a torus given by its metric and by its embedding, and from a metric without
  symmetries, beside the formula that SymPy derives from the same metric and turns into NumPy code.

Each figure is the fastest of several runs in milliseconds. Writes
benchmarks/results/numerics_speed.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy
import torch
from results import write_results
from scipy import special
from torch import Tensor
from torch.nn.functional import gelu

from hf_kexue.numerics import GELUFeynman, gaussian_curvature, gelu_feynman, pullback_metric, quartic_gaussian_integral

DATA: dict[str, str] = {}  # needs none from outside the checkout


def milliseconds(function: Callable[[], Any], repeats: int = 30) -> float:
    """Fastest of several runs after one for warming up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return round(1e3 * min(times), 3)


def gelu_figures() -> dict[str, Any]:
    forms: dict[str, Callable[[Tensor], Tensor]] = {
        "exact": gelu,
        "tanh": lambda x: gelu(x, approximate="tanh"),
        "sigmoid": lambda x: x * torch.sigmoid(1.702 * x),
        **{f"feynman_{n}": lambda x, n=n: gelu_feynman(x, n) for n in (2, 3, 4, 6)},  # type: ignore[misc]
    }
    try:
        compiled = torch.compile(GELUFeynman(4))
        compiled(torch.zeros(2**20))
        forms["feynman_4_compiled"] = compiled
    except Exception as error:
        print(f"torch.compile is not available here: {error}")
    values = torch.randn(2**20, generator=torch.Generator().manual_seed(0))
    line = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    figures = {}
    with torch.no_grad():
        for name, form in forms.items():
            figures[name] = {
                "milliseconds": milliseconds(lambda form=form: form(values)),  # type: ignore[misc]
                "largest_error": float(f"{(form(line) - gelu(line)).abs().max().item():.2e}"),
            }
    return figures


def quartic_figures() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(10_000, generator=generator, dtype=torch.float64) * 50 + 1e-3
    eps = 10.0 ** (torch.rand(10_000, generator=generator, dtype=torch.float64) * 9 - 6)

    def by_bessel() -> np.ndarray:
        z = (a * a / (8 * eps)).numpy()
        return (a / eps).sqrt().numpy() / 2 * special.kve(0.25, z)

    a_grad, eps_grad = a.clone().requires_grad_(), eps.clone().requires_grad_()
    difference = (quartic_gaussian_integral(a, eps).numpy() / by_bessel() - 1).max()
    return {
        "exact_milliseconds": milliseconds(lambda: quartic_gaussian_integral(a, eps)),
        "exact_with_gradients_milliseconds": milliseconds(
            lambda: torch.autograd.grad(quartic_gaussian_integral(a_grad, eps_grad).sum(), (a_grad, eps_grad))
        ),
        "scipy_bessel_milliseconds": milliseconds(by_bessel),
        "largest_relative_difference": float(f"{abs(difference):.1e}"),
    }


def torus(p: Tensor) -> Tensor:
    ring = 2 + torch.cos(p[1])
    return torch.stack([ring * torch.cos(p[0]), ring * torch.sin(p[0]), torch.sin(p[1])])


def torus_metric(u: Any, v: Any, f: Any) -> list[list[Any]]:
    """Entries of g with the functions of `f`, a module with sin and cos; so for the next one."""
    return [[(2 + f.cos(v)) ** 2, 0 * u], [0 * u, 1 + 0 * u]]


def uneven_metric(u: Any, v: Any, f: Any) -> list[list[Any]]:
    """g = 1 + L L^T / 2 with trigonometric entries of L."""
    p, q, r, s = f.sin(u + 0.3 * v), f.cos(0.7 * u - v), f.sin(1.1 * v), f.cos(u * 0.5 + 1)
    return [[1 + (p * p + q * q) / 2, (p * r + q * s) / 2], [(p * r + q * s) / 2, 1 + (r * r + s * s) / 2]]


def as_torch(entries: Callable[..., list[list[Any]]]) -> Callable[[Tensor], Tensor]:
    return lambda p: torch.stack([torch.stack(row) for row in entries(p[0], p[1], torch)])


def as_sympy_curvature(entries: Callable[..., list[list[Any]]]) -> Callable[..., np.ndarray]:
    """K = R_1212 / det g by symbolic differentiation, as NumPy code."""
    x = sympy.symbols("u v")
    g = sympy.Matrix(entries(*x, sympy))
    inverse = g.inv()

    def gamma(k: int, i: int, j: int) -> sympy.Expr:
        return sum(
            inverse[k, m] * (g[m, j].diff(x[i]) + g[i, m].diff(x[j]) - g[i, j].diff(x[m])) / 2 for m in range(2)
        )

    def riemann(m: int) -> sympy.Expr:  # R^m_101, equation (49)
        terms = gamma(m, 1, 1).diff(x[0]) - gamma(m, 1, 0).diff(x[1])
        return terms + sum(gamma(m, n, 0) * gamma(n, 1, 1) - gamma(m, n, 1) * gamma(n, 1, 0) for n in range(2))

    curvature = sum(g[0, m] * riemann(m) for m in range(2)) / g.det()
    return sympy.lambdify(x, curvature, "numpy", cse=True)


def curvature_figures() -> dict[str, Any]:
    points = torch.rand(10_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 6
    figures: dict[str, Any] = {"points": len(points)}
    for name, entries in (("torus", torus_metric), ("uneven", uneven_metric)):
        metric, formula, arrays = as_torch(entries), as_sympy_curvature(entries), points.T.numpy().copy()
        difference = np.abs(gaussian_curvature(metric, points).numpy() - formula(*arrays)).max()
        own = milliseconds(lambda metric=metric: gaussian_curvature(metric, points))  # type: ignore[misc]
        other = milliseconds(lambda formula=formula, arrays=arrays: formula(*arrays))  # type: ignore[misc]
        figures[name] = {
            "milliseconds": own,
            "sympy_formula_milliseconds": other,
            "over_sympy_formula": round(own / other, 1),
            "largest_difference": float(f"{difference:.1e}"),
        }
    embedded = pullback_metric(torus)
    figures["torus"]["from_embedding_milliseconds"] = milliseconds(lambda: gaussian_curvature(embedded, points))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    figures = {
        "threads": arguments.threads,
        "gelu_1048576_values": gelu_figures(),
        "quartic_10000_pairs": quartic_figures(),
        "gaussian_curvature": curvature_figures(),
    }
    print(json.dumps(figures, indent=1))
    write_results("numerics_speed", figures)


if __name__ == "__main__":
    main()

"""Scalar curvature from a metric: hf_kexue beside geomstats and beside the formula that SymPy derives.

    python benchmarks/peers_curvature.py

Three metrics, a torus, a plane and a space without symmetries, written once for all (metrics_by_formula.py). geomstats
runs in an environment of its own, outputs/peers/geomstats, with both of its backends that take derivatives; it
and hf_kexue compute in turn, in one process. SymPy derives the formula of the curvature, which takes its time once,
and turns it into NumPy code. The error is that to the same formula evaluated with 30 digits by mpmath at some of the
points, relative to the largest curvature there. Writes benchmarks/results/peers_curvature.json.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import sympy
import torch
from metrics_by_formula import METRICS
from peer_environments import peer_environment, run_in
from results import write_results
from timing import best_seconds

from hf_kexue.numerics import scalar_curvature

DATA: dict[str, str] = {}  # needs none from outside the checkout
# geomstats 2.8.0 imports numpy.trapz, which newer versions of NumPy have no more.
PEER = ["geomstats==2.8.0", "autograd==1.8.0", "numpy==2.0.0"]
BACKENDS = ("autograd", "pytorch")


def scalar_formula(entries: Callable[..., list[list[Any]]], dimension: int) -> tuple[Any, list[sympy.Symbol]]:
    """R = g^{ac} R^m_amc by symbolic differentiation, and its variables."""
    x = list(sympy.symbols(f"x:{dimension}"))
    g = sympy.Matrix(entries(x, sympy))
    inverse, every = g.inv(method="ADJ"), range(dimension)
    gamma = [
        [
            [
                sum(inverse[k, m] * (g[m, j].diff(x[i]) + g[m, i].diff(x[j]) - g[i, j].diff(x[m])) for m in every) / 2
                for j in every
            ]
            for i in every
        ]
        for k in every
    ]
    scalar: Any = 0
    for a in every:
        for c in every:
            ricci = sum(gamma[m][a][c].diff(x[m]) - gamma[m][a][m].diff(x[c]) for m in every)
            ricci += sum(
                gamma[m][n][m] * gamma[n][a][c] - gamma[m][n][c] * gamma[n][a][m] for m in every for n in every
            )
            scalar += inverse[a, c] * ricci
    return scalar, x


def largest_error(found: Any, exact: np.ndarray) -> float:
    """Largest distance, relative to the largest value."""
    values = np.asarray(found)[: len(exact)]
    return float(f"{np.abs(values - exact).max() / np.abs(exact).max():.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--checked", type=int, default=20, help="points that the error is measured at")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    python = peer_environment("geomstats", PEER)
    generator = np.random.default_rng(0)
    points = {name: generator.uniform(0, 6, (args.points, dimension)) for name, (_, dimension) in METRICS.items()}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "points.npz"
        np.savez(file, **points)  # type: ignore[arg-type]
        peers = {}
        for backend in BACKENDS:
            os.environ["GEOMSTATS_BACKEND"] = backend
            peers[backend] = run_in(
                python, "peers/curvature_geomstats.py", "--points", str(file), "--rounds", str(args.rounds)
            )
    rows = []
    for name, (entries, dimension) in METRICS.items():
        started = time.process_time()
        formula, x = scalar_formula(entries, dimension)
        compiled = sympy.lambdify(x, formula, "numpy", cse=True)
        derived = time.process_time() - started
        with mpmath.workdps(30):
            precise = sympy.lambdify(x, formula, "mpmath", cse=True)
            exact = np.array([float(precise(*map(mpmath.mpf, p))) for p in points[name][: args.checked].tolist()])
        arrays, at = points[name].T.copy(), torch.from_numpy(points[name])

        def own(p: torch.Tensor, entries: Any = entries) -> torch.Tensor:
            return torch.stack([torch.stack(row) for row in entries(list(p), torch)])

        values = {"hf_kexue": scalar_curvature(own, at).numpy(), "SymPy's formula": compiled(*arrays)}
        seconds = best_seconds(
            {
                "hf_kexue": lambda own=own, at=at: scalar_curvature(own, at),  # type: ignore[misc]
                "SymPy's formula": lambda compiled=compiled, arrays=arrays: compiled(*arrays),  # type: ignore[misc]
            },
            max(20, args.rounds),
        )
        for method in seconds:
            rows.append({
                "metric": name, "method": method, "largest_error": largest_error(values[method], exact),
                "over_hf_kexue": round(seconds[method] / seconds["hf_kexue"], 3),
                "seconds_once": round(derived, 2) if method.startswith("SymPy") else 0.0,
            })  # fmt: skip
        for backend, found in peers.items():
            theirs, beside = found[name]["geomstats"], found[name]["hf_kexue"]
            rows.append({
                "metric": name, "method": f"geomstats, {backend}",
                "largest_error": largest_error(theirs["values"], exact),
                "over_hf_kexue": round(theirs["seconds"] / beside["seconds"], 1), "seconds_once": 0.0,
            })  # fmt: skip
    figures = {"points": args.points, "checked_points": args.checked, "peers": ", ".join(PEER), "rows": rows}
    write_results("peers_curvature", figures)


if __name__ == "__main__":
    main()

"""Riemannian metrics written once, for whatever module has the functions: torch, SymPy, geomstats' backends."""

from __future__ import annotations

from typing import Any

Entries = list[list[Any]]


def torus(x: Any, f: Any) -> Entries:
    """Of a torus with radii 2 and 1."""
    u, v = x
    return [[(2 + f.cos(v)) ** 2, 0 * u], [0 * u, 1 + 0 * u]]


def uneven(x: Any, f: Any) -> Entries:
    """In the plane, without symmetries: 1 + L L^T / 2 with trigonometric entries of L."""
    u, v = x
    p, q, r, s = f.sin(u + 0.3 * v), f.cos(0.7 * u - v), f.sin(1.1 * v), f.cos(u * 0.5 + 1)
    return [[1 + (p * p + q * q) / 2, (p * r + q * s) / 2], [(p * r + q * s) / 2, 1 + (r * r + s * s) / 2]]


def space(x: Any, f: Any) -> Entries:
    """In three dimensions, without symmetries, and diagonal: SymPy's formula of a full one takes minutes."""
    u, v, w = x
    zero = 0 * u
    a, b, c = 2 + f.sin(v + 2 * w), 2 + f.cos(u - w), 2 + f.sin(2 * u + v)
    return [[a, zero, zero], [zero, b, zero], [zero, zero, c]]


METRICS = {"torus": (torus, 2), "uneven plane": (uneven, 2), "uneven space": (space, 3)}

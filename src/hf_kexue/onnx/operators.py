"""Operators that ONNX lacks. The exporter's own replacements, log(1 + x), exp(x) - 1 and log(sigmoid(x)), lose all
digits where x is small, or a probability near 0 or 1.

    log1p(x) = x log(u) / (u - 1),   u = 1 + x
    expm1(x) = x (u - 1) / log(u),   u = exp(x)
    log sigmoid(x) = min(x, 0) - log1p(exp(-|x|))

They are exact to a few units in the last place: the error of u divides out (W. Kahan; N. Higham 2002, "Accuracy and
stability of numerical algorithms", 1.14).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def accurate_operators() -> dict[Any, Callable[..., Any]]:
    """The table that `torch.onnx.export` takes."""
    import torch
    from onnxscript import opset20 as op

    def log1p(self: Any) -> Any:
        one = op.CastLike(op.Constant(value_float=1.0), self)
        u = op.Add(self, one)
        step = op.Sub(u, one)
        exact = op.Equal(u, one)
        quotient = op.Div(self, op.Where(exact, one, step))
        return op.Where(exact, self, op.Mul(op.Log(u), quotient))

    def expm1(self: Any) -> Any:
        one = op.CastLike(op.Constant(value_float=1.0), self)
        u = op.Exp(self)
        step = op.Sub(u, one)
        exact = op.Equal(u, one)
        gone = op.Equal(step, op.Neg(one))  # log(u) may be infinite
        logarithm = op.Log(op.Where(op.Or(exact, gone), op.Exp(one), u))
        return op.Where(exact, self, op.Where(gone, step, op.Mul(step, op.Div(self, logarithm))))

    def log_sigmoid(self: Any) -> Any:
        zero = op.CastLike(op.Constant(value_float=0.0), self)
        return op.Sub(op.Min(self, zero), log1p(op.Exp(op.Neg(op.Abs(self)))))

    def sub_scalar(self: Any, other: Any, alpha: float = 1) -> Any:
        # A number that is computed from a free size is a tensor here; the exporter takes constants alone.
        return op.Sub(self, op.CastLike(other if alpha == 1 else op.Mul(other, alpha), self))

    aten = torch.ops.aten
    exact = {aten.log1p.default: log1p, aten.expm1.default: expm1, aten.log_sigmoid.default: log_sigmoid}
    return exact | {aten.sub.Scalar: sub_scalar}

"""Which kernel computes a layer of the U-ViT on a CPU: by precision, layout and length, decided here and nowhere else.

    group norm, scale, shift, SiLU    channels-last, float32 or bf16   one function with its own backward pass; float32
                                                                       without gradients only where it is large
    attention                         bf16 units, few tokens           written out; else PyTorch's fused one
    RMS norm                          half precision                   its weight in the precision of its input

Everything else, and every GPU, takes PyTorch's own operations, and so do compiled and exported programs, forward
derivatives, function transforms, and second derivatives.

Why, with torch 2.13 on one thread of an AMD EPYC (Zen 3): the group norm of (16, 48, 32, 32) channels-last in 16
groups takes 0.6 ms and its gradient 5.5 in float32, 0.5 and 10.6 in bf16, where a pass over the tensor takes 0.3. In
bf16 with units for it (AVX-512), 64 tokens: fused attention with its gradient 18.3 ms, written out 2.0.

The group norm is one affine map for each image and channel, of moments of channels:

    y = silu(a x + c),   a = gamma r,   c = beta - mu a
    gamma = weight (1 + scale),   beta = bias (1 + scale) + shift
    with h = a x + c and g = dL/dh:   S1 = sum g,   S2 = sum g x   over the pixels of a channel
    dL/dgamma = r (S2 - mu S1),   dL/dbeta = S1
    dL/dx = a g + p x + q,   p = r^3 (mu sum gamma S1 - sum gamma S2) / n,   q = -p mu - r (sum gamma S1) / n

with sums over the channels of a group, n its values, mu its mean and r the inverse of its standard deviation.

Shapes: B batch, C channels, H W rows and columns, G groups, L tokens, d width of a head.
"""

from __future__ import annotations

import platform
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function, forward_ad

SHORT_ROW = 256
"""Tokens up to which attention is written out in half precision."""
SMALL = 2**17
"""Elements up to which PyTorch's group norm is faster where no gradient follows: a picture or two of preset 64."""


def uses_own_kernels(x: Tensor) -> bool:
    """Whether a tensor may go through a function of this file: eager mode on a CPU, derivatives backward ones only."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
    )


class GroupNorm(nn.GroupNorm):
    """silu(norm(x) (1 + scale) + shift), (B, C, H, W) -> (B, C, H, W)."""

    def forward(self, input: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """`scale` and `shift` (B, C), both or none."""
        small = input.dtype == torch.float32 and input.numel() <= SMALL and not torch.is_grad_enabled()
        own = uses_own_kernels(input) and input.is_contiguous(memory_format=torch.channels_last)
        if small or not own:
            return modulated_group_norm(input, self.num_groups, self.weight, self.bias, self.eps, scale, shift)
        weight, bias = self.weight.float(), self.bias.float()
        if scale is None or shift is None:
            gamma, beta = weight.expand(len(input), -1), bias.expand(len(input), -1)
        else:
            gamma, beta = weight * (1 + scale.float()), torch.addcmul(shift.float(), bias, 1 + scale.float())
        return group_norm_silu(input, gamma, beta, self.num_groups, self.eps)


def modulated_group_norm(
    x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float, scale: Tensor | None, shift: Tensor | None
) -> Tensor:
    """The same by PyTorch's operations."""
    h = F.group_norm(x, groups, weight, bias, eps)
    if scale is not None and shift is not None:
        h = torch.addcmul(shift[:, :, None, None], h, 1 + scale[:, :, None, None])
    return F.silu(h)


def group_norm_silu(x: Tensor, gamma: Tensor, beta: Tensor, groups: int, eps: float) -> Tensor:
    """SiLU of a group norm whose scale and shift each image has for itself.

    Args:
        x: (B, C, H, W), channels-last for speed. Half precision is computed in float32.
        gamma, beta: (B, C) float32, or float64 as x.
        groups: G.
        eps: added to the variance.
    """
    return _GroupNormSiLU.apply(x, gamma, beta, groups, eps)


class _GroupNormSiLU(Function):
    """See the formulas at the top of this file. Keeps x and numbers of channels, neither the normed nor the scaled."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor, groups: int, eps: float) -> Tensor:
        wide = x.to(gamma.dtype)
        n = x[0].numel() // groups
        mean = _over_group(wide.sum(dim=(2, 3)), groups) / n  # (B, G)
        square = _over_group((wide * wide).sum(dim=(2, 3)), groups) / n
        inverse = (square - mean * mean).clamp(min=0).add(eps).rsqrt()  # (B, G)
        a = gamma * _to_channels(inverse, gamma)
        c = beta - _to_channels(mean, gamma) * a
        ctx.save_for_backward(x, gamma, beta, mean, inverse, a, c)
        ctx.groups, ctx.eps = groups, eps
        h = torch.addcmul(c[:, :, None, None], wide, a[:, :, None, None])
        return F.silu(h, inplace=True).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *dys: Tensor) -> Any:
        x, gamma, beta, mean, inverse, a, c = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again
            return *_twice_differentiable(x, gamma, beta, dys[0], ctx.groups, ctx.eps), None, None
        wide = x.to(gamma.dtype)
        dy = dys[0].to(gamma.dtype, memory_format=torch.channels_last)
        g = torch.ops.aten.silu_backward(dy, torch.addcmul(c[:, :, None, None], wide, a[:, :, None, None]))
        s1, s2 = g.sum(dim=(2, 3)), (g * wide).sum(dim=(2, 3))  # (B, C)
        n = x[0].numel() // ctx.groups
        t1, t2 = _over_group(gamma * s1, ctx.groups), _over_group(gamma * s2, ctx.groups)  # (B, G)
        p = inverse**3 * (mean * t1 - t2) / n
        q = -p * mean - inverse * t1 / n
        dx = torch.addcmul(_to_channels(q, gamma)[:, :, None, None], wide, _to_channels(p, gamma)[:, :, None, None])
        dx.addcmul_(g, a[:, :, None, None])
        dgamma = _to_channels(inverse, gamma) * (s2 - _to_channels(mean, gamma) * s1)
        return dx.to(x.dtype), dgamma, s1, None, None


def _over_group(values: Tensor, groups: int) -> Tensor:
    """(B, C) -> (B, G) sums."""
    return values.unflatten(1, (groups, -1)).sum(dim=2)


def _to_channels(values: Tensor, like: Tensor) -> Tensor:
    """(B, G) -> (B, C), the same for all channels of a group."""
    return values.repeat_interleave(like.shape[1] // values.shape[1], dim=1)


def _twice_differentiable(
    x: Tensor, gamma: Tensor, beta: Tensor, dy: Tensor, groups: int, eps: float
) -> tuple[Tensor | None, ...]:
    """Gradients of x, gamma and beta by PyTorch's operations."""
    inputs = [tensor for tensor in (x, gamma, beta) if tensor.requires_grad]
    h = F.group_norm(x.to(gamma.dtype), groups, None, None, eps)
    y = F.silu(torch.addcmul(beta[:, :, None, None], h, gamma[:, :, None, None])).to(x.dtype)
    found = iter(torch.autograd.grad(y, inputs, dy, create_graph=True))
    return tuple(next(found) if tensor.requires_grad else None for tensor in (x, gamma, beta))


class RMSNorm(nn.RMSNorm):
    """With its weight in the precision of its input on a CPU: under autocast the two differ, and PyTorch then promotes
    the tensor to float32 and warns."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x.dtype) if x.device.type == "cpu" else self.weight
        return F.rms_norm(x, self.normalized_shape, weight, self.eps)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(d)) v for (B, heads, L, d) and (B, heads, S, d); `mask` (B, 1, 1, S) is True where a key
    counts. A query without keys that count gets zeros."""
    if mask is None and max(q.shape[2], k.shape[2]) <= SHORT_ROW and uses_own_kernels(q):
        autocast = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if autocast else q.dtype
        if dtype == torch.bfloat16 and has_bf16_units():
            return written_out_attention(q, k, v)
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    if mask is not None and torch.compiler.is_compiling():  # exported to ONNX, a row without keys is the mean of all
        attended = attended * mask.any(dim=-1, keepdim=True)
    return attended


def written_out_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Two matrix products, with the softmax between them in float32."""
    scores = torch.matmul(q * q.shape[3] ** -0.5, k.transpose(2, 3))  # (B, heads, L, S)
    return torch.matmul(torch.softmax(scores, dim=3, dtype=torch.float32).to(v.dtype), v)


def has_bf16_units() -> bool:
    """Whether this processor multiplies matrices in bf16 faster than in float32."""
    if platform.machine() in ("x86_64", "AMD64"):  # oneDNN also takes bf16 where AVX-512 alone has to imitate it
        return bool(torch.cpu._is_avx512_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())

"""How convolutions that keep the length, their gates, dropout and attention are computed: by device, precision and
processor, decided here.

    convolution, GPU                      one matrix product over shifted copies: cuDNN plans anew for each shape
    convolution, CPU                      oneDNN, in two dimensions: it takes the channels of a character side by side
        AVX2, float32, in training        that, with a backward pass of its own, `_Convolution`
    gate, CPU, in training                `_Gate`, whose gradient is one tensor, laid out as the convolution takes it
    dropout, CPU                          by 16 random bits an element, where PyTorch draws a number for each
    attention, CPU, bf16, few tokens      written out in training: the fused one's gradient is slow there

Compiled and exported programs, function transforms, and first derivatives that are to be differentiated again take
PyTorch's own operations.

Measured with torch 2.13 on one thread of an AMD EPYC (Zen 3), all gradients of a convolution of width 3, in ms:

    32 rows of 128 characters, 256 -> 512 channels                  154, here 101
    16 rows of 300 characters, 128 -> 256 channels                  63, here 30
    16 rows of 75 characters, 256 -> 512 channels, dilated by 2     43, here 37

What is slow there is the gradient of the weight. With AVX-512 (Zen 4) the stock path is as fast as a plain matrix
product, and stays. Dropout of 2.8 million elements takes 29 ms, here 10. On Zen 4 under bf16 autocast, in ms,
with all gradients:

    the gate of 80 rows of 60 characters, 256 channels, dropout     21, here 10
    attention of 32 rows of 60 characters, 8 heads                  38, here 4

A product with a bool tensor, or of two dtypes, takes three to eight times one of the same dtype: PyTorch casts element
by element. Bytes are cast fast, so what dropout keeps is saved as bool and read as bytes.

Shapes: B batch, D and E channels, L and S characters.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function, forward_ad

from .losses_dgcnn import MASKED_LOGIT

SHORT_ROW = 256
"""Characters up to which attention is written out in half precision."""
ELEMENTS_PER_DRAW = 4  # of 64 bits
OWN_BACKWARD = torch.backends.cpu.get_cpu_capability() == "AVX2"
"""Whether this processor is one where `_Convolution` was measured to be faster."""


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """(B, D, L), weight (E, D, width) with an odd width, bias (E,) -> (B, E, L)."""
    if x.is_cuda:
        return by_products(x, weight, bias, dilation)
    if OWN_BACKWARD and weight.requires_grad and is_plain_training(x, weight):
        return _Convolution.apply(x, weight, bias, dilation)
    return _by_onednn(x, weight, bias, dilation)


def is_plain_training(*tensors: Tensor) -> bool:
    """Whether an ordinary float32 backward pass may follow: nothing compiles, and no derivative is a forward one."""
    return (
        torch.is_grad_enabled()
        and all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in tensors)
        and not torch.is_autocast_enabled("cpu")
        and _is_eager()
    )


def _is_eager() -> bool:
    return (
        not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
    )


def by_products(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """As one matrix product over shifted copies of the input."""
    width, length = weight.shape[2], x.shape[2]
    matrix = weight.transpose(1, 2).flatten(1)  # (E, width * D)
    if torch.is_autocast_enabled(x.device.type):  # before both are copied, not after
        dtype = torch.get_autocast_dtype(x.device.type)
        matrix, x = matrix.to(dtype), x.to(dtype)
    if width > 1:
        padded = F.pad(x, (dilation * (width // 2),) * 2)
        x = torch.cat([padded[..., k * dilation : k * dilation + length] for k in range(width)], dim=1)
    matrix = matrix.expand(x.shape[0], -1, -1)
    if bias is None:
        return torch.bmm(matrix, x)
    return torch.baddbmm(bias[:, None], matrix, x)


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    margin = dilation * (weight.shape[2] // 2)
    return F.conv2d(x.unsqueeze(2), weight.unsqueeze(2), bias, 1, (0, margin), (1, dilation)).squeeze(2)


class _Convolution(Function):
    """dL/dx by oneDNN, dL/dw as one matrix product over shifted copies of the input; a backward pass that is to be
    differentiated itself takes PyTorch's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation, ctx.has_bias = dilation, bias is not None
        return _by_onednn(x, weight, bias, dilation)

    @staticmethod
    def backward(ctx: Any, *dys: Tensor) -> Any:
        (dy,), (x, weight), dilation = dys, ctx.saved_tensors, ctx.dilation
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        dbias = dy.sum(dim=(0, 2)) if of_bias else None
        margin = dilation * (weight.shape[2] // 2)
        geometry = ((1, 1), (0, margin), (1, dilation), False, (0, 0), 1)
        planes = dy.unsqueeze(2), x.unsqueeze(2), weight.unsqueeze(2)
        if torch.is_grad_enabled():
            wanted = [of_x, of_weight, False]
            dx, dweight, _ = torch.ops.aten.convolution_backward(*planes, None, *geometry, wanted)
            return dx.squeeze(2) if of_x else None, dweight.squeeze(2) if of_weight else None, dbias, None
        dx = None
        if of_x:
            wanted = [True, False, False]
            dx = torch.ops.aten.convolution_backward(*planes, None, *geometry, wanted)[0].squeeze(2)
        return dx, _weight_gradient(dy, x, weight.shape[2], dilation) if of_weight else None, dbias, None


def _weight_gradient(dy: Tensor, x: Tensor, width: int, dilation: int) -> Tensor:
    """dy (B, E, L), x (B, D, L) -> (E, D, width)."""
    length = x.shape[2]
    outputs, rows = dy.transpose(1, 2).flatten(0, 1), x.transpose(1, 2)  # (BL, E), (B, L, D)
    if width > 1:
        padded = F.pad(rows, (0, 0, *(dilation * (width // 2),) * 2))
        rows = torch.cat([padded[:, k * dilation : k * dilation + length] for k in range(width)], dim=2)
    product = outputs.T @ rows.flatten(0, 1)  # (E, width * D)
    return product.unflatten(1, (width, -1)).transpose(1, 2)


def takes_own_gate(hidden: Tensor, both: Tensor) -> bool:
    """Whether `gate` may compute a gate, and its ordinary backward pass may follow."""
    return (
        torch.is_grad_enabled()
        and all(
            tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.bfloat16)
            for tensor in (hidden, both)
        )
        and _is_eager()
    )


def gate(hidden: Tensor, both: Tensor, kept: Tensor | None, p: float, mask: Tensor | None) -> Tensor:
    """x (1 - g) + h g with g = sigmoid(a), masked; where `takes_own_gate`.

    Args:
        hidden: (B, D, L), x. The result has its dtype.
        both: (B, 2D, L), h and a. Under autocast bf16, as the convolution leaves them, where x is float32.
        kept: (B, D, L) bool of `kept_by_dropout`, applied to a; None: no dropout.
        p: share that dropout drops.
        mask: (B, 1, L) or None.
    """
    return _Gate.apply(hidden, both, kept, p, mask)


def open_gate(hidden: Tensor, value: Tensor, logits: Tensor, mask: Tensor | None) -> Tensor:
    """The same by PyTorch's operations from h and a, (B, D, L) each, after dropout."""
    value, opening = value.to(hidden.dtype), torch.sigmoid(logits).to(hidden.dtype)  # autocast: the sum stays float32
    mixed = torch.lerp(hidden, value, opening)
    return mixed if mask is None else mixed * mask


class _Gate(Function):
    """Keeps its inputs and the gate; writes both halves of the gradient into one tensor. Each operation has tensors of
    one dtype."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, both: Tensor, kept: Tensor | None, p: float, mask: Tensor | None) -> Tensor:
        value, logits = both.chunk(2, dim=1)
        opening = torch.sigmoid(logits) if kept is None else _after_dropout(logits, kept, p).sigmoid_()
        ctx.save_for_backward(hidden, both, opening, kept, mask)
        ctx.p = p
        mixed = torch.lerp(hidden, value.to(hidden.dtype), opening.to(hidden.dtype))
        return mixed if mask is None else mixed.mul_(mask)

    @staticmethod
    def backward(ctx: Any, *dys: Tensor) -> Any:
        hidden, both, opening, kept, mask = ctx.saved_tensors
        if torch.is_grad_enabled():
            inputs = [tensor for tensor in (hidden, both) if tensor.requires_grad]
            value, logits = both.chunk(2, dim=1)
            logits = logits if kept is None else _after_dropout(logits, kept, ctx.p)
            mixed = open_gate(hidden, value, logits, mask)
            found = iter(torch.autograd.grad(mixed, inputs, dys[0], create_graph=True))
            return *(next(found) if tensor.requires_grad else None for tensor in (hidden, both)), None, None, None
        dy = dys[0] if mask is None else dys[0] * mask
        opening, value = opening.to(dy.dtype), both.chunk(2, dim=1)[0].to(dy.dtype)
        dboth = torch.empty_like(both)
        dvalue, dlogits = dboth.chunk(2, dim=1)
        passed = dy * opening
        dvalue.copy_(passed)
        slope = torch.sub(value, hidden).mul_(dy)
        dlogits.copy_(torch.ops.aten.sigmoid_backward.grad_input(slope, opening, grad_input=slope))
        if kept is not None:
            dlogits.mul_(_as_numbers(kept, dlogits.dtype)).mul_(1 / (1 - ctx.p))
        return dy - passed, dboth, None, None, None


def _after_dropout(x: Tensor, kept: Tensor, p: float) -> Tensor:
    """What is kept of x, over 1 - p."""
    return (x * _as_numbers(kept, x.dtype)).mul_(1 / (1 - p))


def _as_numbers(kept: Tensor, dtype: torch.dtype) -> Tensor:
    """Ones and zeros of a bool tensor; bytes are cast faster than bools."""
    return kept.view(torch.uint8).to(dtype)


def kept_by_dropout(x: Tensor, p: float) -> Tensor:
    """For x (B, D, L) on a CPU a bool tensor of that shape, False with probability p, in steps of 2^-16; the channels
    side by side in memory."""
    batch, size, length = x.shape
    count = batch * size * length
    draws = torch.empty(-(-count // ELEMENTS_PER_DRAW), dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.int16)[:count] >= round(p * 2**16) - 2**15
    return kept.view(batch, length, size).transpose(1, 2)


class ChannelDropout(torch.nn.Dropout):
    """`nn.Dropout` of (B, D, L), with random bits that cost less on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, D, L) -> (B, D, L)."""
        if not self.training or self.p in (0, 1) or input.device.type != "cpu" or not _is_eager():
            return super().forward(input)
        return _after_dropout(input, kept_by_dropout(input, self.p), self.p)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v for (B, heads, L, d) and (B, heads, S, d); `mask` (B, 1, 1, S) is True where a key
    counts. What a row without any gives is not defined, but finite."""
    short = max(query.shape[2], key.shape[2]) <= SHORT_ROW and query.dtype == torch.bfloat16
    if short and query.device.type == "cpu" and query.requires_grad and torch.is_grad_enabled() and _is_eager():
        return written_out_attention(query, key, value, mask)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def written_out_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Two matrix products, with the softmax between them in float32."""
    scores = torch.matmul(query * query.shape[3] ** -0.5, key.transpose(2, 3))  # (B, heads, L, S)
    weights = (scores.float() + MASKED_LOGIT * (~mask).float()).softmax(dim=3)
    return torch.matmul(weights.to(value.dtype), value)

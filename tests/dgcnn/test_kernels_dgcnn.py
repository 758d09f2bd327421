"""The kernels of the DGCNN against PyTorch's operations."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from hf_kexue.dgcnn.kernels_dgcnn import (
    ChannelDropout,
    _Convolution,
    attention,
    by_products,
    gate,
    kept_by_dropout,
    open_gate,
    written_out_attention,
)

every_geometry = pytest.mark.parametrize(
    ("width", "dilation", "bias"), [(3, 1, True), (3, 4, True), (5, 3, False), (1, 1, True)]
)


def rows(*shape, seed=0, dtype=torch.float64):
    """(B, D, L), the channels of a character side by side."""
    batch, size, length = shape
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, length, size, generator=generator, dtype=dtype).transpose(1, 2)


@pytest.mark.parametrize("function", [by_products, _Convolution.apply])
@every_geometry
def test_convolutions_and_their_gradients(function, width, dilation, bias):
    layer = nn.Conv1d(6, 10, width, padding=dilation * (width // 2), dilation=dilation, bias=bias).double()
    hidden = rows(3, 6, 11).requires_grad_()
    ours, expected = function(hidden, layer.weight, layer.bias, dilation), layer(hidden)
    assert_close(ours, expected)
    weight = rows(*expected.shape, seed=3)
    leaves = [hidden, *layer.parameters()]
    found = torch.autograd.grad((ours * weight).sum(), leaves)
    assert_close(found, torch.autograd.grad((expected * weight).sum(), leaves))


@every_geometry
def test_a_convolution_can_be_differentiated_twice(width, dilation, bias):
    layer = nn.Conv1d(4, 6, width, padding=dilation * (width // 2), dilation=dilation, bias=bias).double()
    hidden = rows(2, 4, 7).requires_grad_()

    def slope(y):
        (gradient,) = torch.autograd.grad(y.square().sum(), hidden, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), [hidden, layer.weight])

    ours = _Convolution.apply(hidden, layer.weight, layer.bias, dilation)
    assert_close(slope(ours), slope(layer(hidden)))


def test_products_in_half_precision():
    layer, hidden = nn.Conv1d(6, 10, 3, padding=2, dilation=2), torch.randn(3, 6, 11)
    with torch.autocast("cpu", torch.bfloat16):
        ours = by_products(hidden, layer.weight, layer.bias, 2)
    assert ours.dtype == torch.bfloat16
    assert_close(ours.float(), layer(hidden), rtol=0.02, atol=0.02)  # 8 bits


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_gate_and_its_gradients(drops, masked):
    hidden, both = rows(2, 4, 7).requires_grad_(), rows(2, 8, 7, seed=1).requires_grad_()
    kept = kept_by_dropout(hidden, 0.3) if drops else None
    mask = (torch.arange(7) < torch.tensor([[7], [4]]))[:, None].double() if masked else None
    arguments = hidden, both, kept, 0.3, mask

    def by_hand(*_):
        value, logits = both.chunk(2, dim=1)
        opening = torch.sigmoid(logits if kept is None else logits * kept / 0.7)
        return (hidden * (1 - opening) + value * opening) * (1 if mask is None else mask)

    def stock(*_):
        value, logits = both.chunk(2, dim=1)
        return open_gate(hidden, value, logits if kept is None else logits * kept / 0.7, mask)

    weight = rows(2, 4, 7, seed=2)
    expected = torch.autograd.grad((by_hand() * weight).sum(), [hidden, both])
    for function in (gate, stock):
        mixed = function(*arguments)
        assert_close(mixed, by_hand())
        assert_close(torch.autograd.grad((mixed * weight).sum(), [hidden, both]), expected)
    twice = []
    for function in (gate, by_hand):
        (gradient,) = torch.autograd.grad(function(*arguments).square().sum(), both, create_graph=True)
        twice.append(torch.autograd.grad(gradient.square().sum(), [hidden, both]))
    assert_close(*twice)


def test_the_gate_of_autocast_is_the_one_of_float32_within_8_bits():
    """x in float32, h and a in bf16, as a convolution under autocast leaves them."""
    hidden = rows(3, 8, 11, dtype=torch.float32).requires_grad_()
    both = rows(3, 16, 11, seed=1, dtype=torch.float32).bfloat16()
    kept = kept_by_dropout(hidden, 0.3)
    mask = (torch.arange(11) < torch.tensor([[11], [4], [7]]))[:, None].float()
    weight = rows(3, 8, 11, seed=2, dtype=torch.float32)
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        leaf = both.to(dtype).requires_grad_()
        mixed = gate(hidden, leaf, kept, 0.3, mask)
        slopes = torch.autograd.grad((mixed * weight).sum(), [hidden, leaf])
        assert mixed.dtype == torch.float32
        assert slopes[1].dtype == dtype
        assert slopes[1].transpose(1, 2).is_contiguous()  # as the convolution takes it
        found[dtype] = mixed, slopes[0], slopes[1].float()
    assert_close(found[torch.bfloat16], found[torch.float32], rtol=0.02, atol=0.02)


def test_attention_written_out_and_its_gradients():
    leaves = [torch.randn(2, 3, size, 4, dtype=torch.float64, requires_grad=True) for size in (5, 7, 7)]
    mask = (torch.arange(7) < torch.tensor([[7], [4]]))[:, None, None]
    scores = torch.einsum("bhid,bhjd->bhij", *leaves[:2]) / 2
    weights = scores.exp() * mask
    by_hand = torch.einsum("bhij,bhjd->bhid", weights / weights.sum(dim=3, keepdim=True), leaves[2])
    weight = torch.randn_like(by_hand)
    expected = torch.autograd.grad((by_hand * weight).sum(), leaves)
    found = written_out_attention(*leaves, mask)
    assert_close(found, by_hand, rtol=1e-5, atol=1e-6)  # the softmax is in float32
    assert_close(torch.autograd.grad((found * weight).sum(), leaves), expected, rtol=1e-4, atol=1e-6)
    halves = [leaf.detach().bfloat16().requires_grad_() for leaf in leaves]
    assert_close(attention(*halves, mask).double(), by_hand, rtol=0.03, atol=0.03)  # 8 bits
    assert torch.isfinite(attention(*halves, torch.zeros_like(mask))).all()  # rows without a key


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_its_share_and_the_mean(p):
    torch.manual_seed(0)
    x = torch.ones(5, 64, 301)
    layer = ChannelDropout(p)
    y = layer(x)
    spread = 5 * (p * (1 - p) / x.numel()) ** 0.5  # five standard deviations
    assert (y == 0).float().mean().item() == pytest.approx(p, abs=spread)
    assert_close(y[y != 0], torch.full_like(y[y != 0], 1 / (1 - p)))
    assert not torch.equal(layer(x), y)
    torch.manual_seed(0)
    assert torch.equal(layer(x), y)
    assert torch.equal(layer.eval()(x), x)
    kept = kept_by_dropout(x, p).float()
    neighbours = ((kept[:, 1:] - 1 + p) * (kept[:, :-1] - 1 + p)).mean() / (p * (1 - p))
    assert abs(neighbours.item()) < 0.02  # elements of one draw are independent

"""The kernels of the U-ViT against PyTorch's operations in float64, and in half precision against the float32 twin."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from hf_kexue import SimpleDiffusionUViT2DModel
from hf_kexue.simple_diffusion import kernels_uvit
from hf_kexue.simple_diffusion.kernels_uvit import GroupNorm, RMSNorm, group_norm_silu, written_out_attention


def images(*shape, dtype=torch.float32, seed=0):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 + 3
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def stock(x, gamma, beta, groups, eps):
    h = F.group_norm(x, groups, eps=eps)
    return F.silu(h * gamma[:, :, None, None] + beta[:, :, None, None])


@pytest.mark.parametrize(("channels", "groups"), [(48, 16), (6, 1), (8, 8)])
def test_group_norm_and_its_gradient_in_double_precision(channels, groups):
    x = images(3, channels, 4, 6, dtype=torch.float64).requires_grad_()
    gamma, beta = (torch.randn(3, channels, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weight = torch.randn(3, channels, 4, 6, dtype=torch.float64)
    results = []
    for function in (group_norm_silu, stock):
        y = function(x, gamma, beta, groups, 1e-5)
        results.append([y, *torch.autograd.grad((y * weight).sum(), [x, gamma, beta])])
    for ours, expected in zip(*results):
        assert_close(ours, expected, rtol=1e-12, atol=1e-12)


def test_group_norm_can_be_differentiated_twice():
    x = images(2, 4, 2, 3, dtype=torch.float64).requires_grad_()
    gamma, beta = (torch.randn(2, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def slope(function):
        (gradient,) = torch.autograd.grad(function(x, gamma, beta, 2, 1e-5).square().sum(), x, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), [x, gamma, beta])

    for ours, expected in zip(slope(group_norm_silu), slope(stock)):
        assert_close(ours, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layer_agrees_with_the_stock_path(dtype, modulated):
    """The same layer, contiguous and channels-last: the first takes PyTorch's operations."""
    torch.manual_seed(0)
    layer = GroupNorm(4, 24)
    for parameter in layer.parameters():
        parameter.data.normal_()
    scale, shift = (torch.randn(3, 24, requires_grad=True) for _ in range(2)) if modulated else (None, None)
    x, weight = images(3, 24, 8, 8), torch.randn(3, 24, 8, 8)
    results = []
    for layout, precision in ((torch.channels_last, dtype), (torch.contiguous_format, torch.float32)):
        leaf = x.to(precision).contiguous(memory_format=layout).requires_grad_()
        y = layer(leaf, scale, shift)
        assert y.dtype == precision
        leaves = [leaf, *layer.parameters(), *([scale, shift] if modulated else [])]
        results.append([y, *torch.autograd.grad((y.float() * weight).sum(), leaves)])
    for ours, expected in zip(*results):
        error = (ours.float() - expected).norm() / expected.norm()
        assert error < (1e-5 if dtype == torch.float32 else 2**-7)


@pytest.mark.parametrize("case", ["function transform", "forward derivative"])
def test_transforms_take_the_stock_path(case):
    layer, x, weight = GroupNorm(2, 4), images(2, 4, 2, 2), images(2, 4, 2, 2, seed=1)
    if case == "function transform":
        ours = torch.func.grad(lambda x: (layer(x) * weight).sum())(x)
        leaf = x.clone().requires_grad_()
        assert_close(ours, torch.autograd.grad((layer(leaf) * weight).sum(), leaf)[0], rtol=1e-4, atol=1e-5)
    else:
        x, tangent = x.contiguous(), weight.contiguous()
        _, ours = torch.func.jvp(layer, (x,), (tangent,))
        step = 1e-3
        assert_close(ours, (layer(x + step * tangent) - layer(x - step * tangent)) / (2 * step), rtol=1e-2, atol=1e-2)


def test_written_out_attention():
    q, k, v = torch.randn(3, 2, 4, 9, 16).unbind()
    assert_close(written_out_attention(q, k, v), F.scaled_dot_product_attention(q, k, v), rtol=1e-5, atol=1e-6)


def tiny_model():
    torch.manual_seed(0)
    model = SimpleDiffusionUViT2DModel(
        sample_size=16, patch_size=1, block_out_channels=(8, 16), layers_per_block=1, hidden_size=32,
        num_transformer_layers=1, num_attention_heads=2, embedding_dim=16, skip="residual", norm_num_groups=4,
    )  # fmt: skip
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.05)
    return model


@pytest.mark.parametrize("bf16_units", [False, True])
def test_network_in_bf16_agrees_with_its_float32_twin(bf16_units, monkeypatch):
    """Channels-last under autocast, as in training, with both kinds of attention; without a warning of RMSNorm."""
    monkeypatch.setattr(kernels_uvit, "has_bf16_units", lambda: bf16_units)
    model, sample, logsnr = tiny_model(), images(2, 3, 16, 16) / 4, torch.tensor([-2.0, 3.0])
    twin = copy.deepcopy(model)
    ours = model.to(memory_format=torch.channels_last)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with torch.autocast("cpu", torch.bfloat16):
            output = ours(sample, logsnr).sample
    expected = twin(sample.contiguous(), logsnr).sample
    assert (output.float() - expected).norm() / expected.norm() < 0.02
    output.float().square().mean().backward()
    expected.square().mean().backward()
    found, wanted = (torch.cat([p.grad.flatten() for p in net.parameters()]) for net in (ours, twin))
    assert (found - wanted).norm() / wanted.norm() < 0.05


def test_rms_norm_keeps_the_precision_of_its_input():
    layer = RMSNorm(8, eps=1e-6)
    assert layer(torch.randn(2, 8).bfloat16()).dtype == torch.bfloat16
    assert layer(torch.randn(2, 8)).dtype == torch.float32

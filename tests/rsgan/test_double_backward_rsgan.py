"""Convolutions for penalties: equal to those that torch differentiates twice by itself, in values and gradients."""

import pytest
import torch
from torch import nn

from hf_kexue.rsgan.double_backward_rsgan import double_backward_convolutions


def network(dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.Softplus(),
        nn.Conv2d(8, 6, 4, stride=2, padding=(1, 2), dilation=(1, 2), bias=False), nn.Softplus(),
        nn.Conv2d(6, 6, 3, padding="same", groups=6), nn.Flatten(), nn.LazyLinear(1),
    ).to(dtype)  # fmt: skip


def penalised(model, images, twice):
    """Scores, |gradient|^2 and every gradient of a loss with both."""
    images = images.clone().requires_grad_()
    with double_backward_convolutions() if twice else torch.enable_grad():
        scores = model(images)[:, 0]
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    squares = gradient.square().flatten(1).sum(dim=1)
    parameters = list(model.parameters())
    return scores, squares, *torch.autograd.grad((scores.sin() + squares).sum(), parameters)


def test_all_equals_what_torch_derives():
    model, images = network(), torch.randn(3, 3, 9, 11, dtype=torch.float64)
    model(images)
    for ours, theirs in zip(penalised(model, images, True), penalised(model, images, False)):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_ordinary_backward_is_the_same():
    model, images = network(), torch.randn(3, 3, 9, 11, dtype=torch.float64, requires_grad=True)
    model(images)
    with double_backward_convolutions():
        ours = torch.autograd.grad(model(images).sum(), [images, *model.parameters()])
    theirs = torch.autograd.grad(model(images).sum(), [images, *model.parameters()])
    for mine, other in zip(ours, theirs):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


def test_it_computes_as_autocast_asks():
    model, images = network(torch.float32), torch.randn(3, 3, 9, 11)
    model(images)
    with torch.autocast("cpu", torch.bfloat16):
        half = penalised(model, images, True)
    for ours, single in zip(half, penalised(model, images, False)):
        assert ours.isfinite().all()
        assert 0 < (ours - single).norm() / single.norm() < 0.1  # bfloat16: some percent, and not float32


def test_weights_are_no_part_of_the_first_pass():
    """What is not computed is said to be missing, not zero."""
    convolution, images = nn.Conv2d(3, 2, 3), torch.randn(1, 3, 5, 5, requires_grad=True)
    with double_backward_convolutions():
        total = convolution(images).sum()
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        torch.autograd.grad(total, [images, convolution.weight], create_graph=True)

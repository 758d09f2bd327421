"""The two scales of a noised image, built from its picture and its noise, and what a network says on each."""

import math

import pytest
import torch
from torch.testing import assert_close

from hf_kexue.simple_diffusion import conversions_flow as flow
from hf_kexue.simple_diffusion.guidance_simple_diffusion import output_from_sample, predict_sample

LOGSNR = torch.tensor([-14.0, -3.0, -0.1, 0.0, 2.5, 12.0], dtype=torch.float64)


@pytest.fixture
def pair():
    """x_0, noise, x_vp and x_flow of one image at six noise levels, float64."""
    generator = torch.Generator().manual_seed(0)
    x_0, noise = (torch.randn(len(LOGSNR), 3, 4, 4, dtype=torch.float64, generator=generator) for _ in range(2))
    snr = LOGSNR.exp().view(-1, 1, 1, 1)
    alpha, sigma = (snr / (1 + snr)).sqrt(), (1 / (1 + snr)).sqrt()
    t = 1 / (1 + snr.sqrt())
    return x_0, noise, alpha * x_0 + sigma * noise, (1 - t) * x_0 + t * noise, alpha * noise - sigma * x_0


def test_the_scales_differ_by_alpha_plus_sigma(pair):
    _, _, x_vp, x_flow, _ = pair
    assert_close(flow.flow_from_variance_preserving(x_vp, LOGSNR), x_flow)
    assert_close(flow.variance_preserving_from_flow(x_flow, LOGSNR), x_vp)


def test_time_and_logsnr(pair):
    t = flow.flow_time(LOGSNR)
    assert_close(2 * torch.log((1 - t) / t), LOGSNR)
    for logsnr, share in zip(LOGSNR.tolist(), t.tolist()):
        alpha, sigma = math.sqrt(1 / (1 + math.exp(-logsnr))), math.sqrt(1 / (1 + math.exp(logsnr)))
        assert share == pytest.approx(sigma / (alpha + sigma), rel=1e-12)


def test_velocities(pair):
    x_0, noise, x_vp, x_flow, v = pair
    assert_close(flow.flow_velocity_from_v(v, x_vp, LOGSNR), noise - x_0)
    assert_close(flow.v_from_flow_velocity(noise - x_0, x_vp, LOGSNR), v)
    assert_close(flow.flow_velocity_from_sample(x_0, x_flow, LOGSNR), noise - x_0, rtol=1e-9, atol=1e-9)
    assert_close(flow.sample_from_flow_velocity(noise - x_0, x_flow, LOGSNR), x_0)


def test_the_velocity_is_the_derivative_of_the_straight_path(pair):
    x_0, noise, _, _, _ = pair
    t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    path = lambda share: (1 - share) * x_0 + share * noise  # noqa: E731
    _, derivative = torch.func.jvp(path, (t.detach(),), (torch.ones_like(t),))
    assert_close(
        flow.flow_velocity_from_sample(x_0, path(t).detach(), 2 * torch.log((1 - t) / t).detach()), derivative
    )


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction", "flow_prediction"])
def test_every_kind_of_output_implies_the_same_image(pair, kind):
    x_0, noise, x_vp, _, v = pair
    output = {"epsilon": noise, "sample": x_0, "v_prediction": v, "flow_prediction": noise - x_0}[kind]
    assert_close(predict_sample(output, x_vp, LOGSNR, kind), x_0, rtol=1e-8, atol=1e-8)  # epsilon divides by alpha
    assert_close(output_from_sample(x_0, x_vp, LOGSNR, kind), output, rtol=1e-8, atol=1e-8)

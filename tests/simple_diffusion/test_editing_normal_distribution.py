"""The law of what the editing pipelines draw where that of all pictures is known: a normal one of 4 x 4 pixels."""

import numpy as np
import pytest
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from hf_kexue.simple_diffusion import (
    ShiftedFlowScheduler,
    SimpleDiffusionImageToImagePipeline,
    SimpleDiffusionInpaintPipeline,
    SimpleDiffusionUpscalePipeline,
)
from hf_kexue.simple_diffusion.modeling_uvit import SimpleDiffusionUViT2DOutput


def quiet(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


class NormalOracle(ModelMixin, ConfigMixin):
    """Exact v-prediction for grey pictures of a normal distribution whose pixels depend on each other."""

    @register_to_config
    def __init__(self, sample_size=4, in_channels=1, num_class_embeds=None):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(()))  # tells the pipeline a device and a dtype
        factor = torch.randn(16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        self.covariance = 0.0012 * factor @ factor.T + 0.001 * torch.eye(16, dtype=torch.float64)

    def forward(self, sample, logsnr):
        logsnr = logsnr.double().view(-1, 1)[:1]
        alpha, sigma = torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()
        x_t = sample.double().flatten(1)
        inverse = torch.linalg.inv(alpha**2 * self.covariance + sigma**2 * torch.eye(16, dtype=torch.float64))
        x_0 = x_t @ (alpha * inverse @ self.covariance)
        return SimpleDiffusionUViT2DOutput(sample=((alpha * x_t - x_0) / sigma).view_as(sample).to(sample))


def law_of_the_drawn(pipeline, *pictures, **options):
    """Mean and covariance of what is drawn, in [-1, 1]: an affine map of the noise where nothing is cut off."""
    latents = torch.cat([torch.zeros(1, 16), torch.eye(16)]).view(17, 1, 4, 4)
    images = 2 * pipeline(*pictures, latents=latents, output_type="pt", **options).images.double().flatten(1) - 1
    columns = (images[1:] - images[:1]).numpy()
    return images[0].numpy(), columns.T @ columns


@pytest.mark.parametrize("kind", ["pixels", "means"])
def test_the_gradient_draws_from_the_posterior_of_a_normal_distribution(kind):
    """The flow from noise to pictures, by Heun: mean and covariance are those of Bayes' rule; those of the projection
    are not."""
    oracle = NormalOracle()
    scheduler = ShiftedFlowScheduler(sample_size=4, base_size=4, network_prediction_type="v_prediction", solver="heun",
                                     clip_sample=False)  # fmt: skip
    c = oracle.covariance.numpy()
    values = 0.5 + 0.05 * torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    if kind == "pixels":
        pipeline, keep = SimpleDiffusionInpaintPipeline(oracle, scheduler), torch.zeros(1, 1, 4, 4)
        keep[..., :2, :3] = 1
        given, a = (values, 1 - keep), np.eye(16)[keep.flatten().numpy() > 0]
    else:
        pipeline, values = SimpleDiffusionUpscalePipeline(oracle, scheduler), values[..., :2, :2]
        given, a = (values,), np.kron(np.kron(np.eye(2), np.full(2, 0.5)), np.kron(np.eye(2), np.full(2, 0.5)))
    y = (a @ (2 * values.flatten().numpy() - 1)) if kind == "pixels" else 2 * values.flatten().numpy() - 1
    gain = c @ a.T @ np.linalg.inv(a @ c @ a.T)
    mean, covariance = gain @ y, c - gain @ a @ c
    options = {"num_inference_steps": 60, "iterations": 16}
    found, spread = law_of_the_drawn(quiet(pipeline), *given, method="gradient", **options)
    assert np.abs(found - mean).max() < 2e-3 * np.abs(mean).max()
    assert np.abs(spread - covariance).max() < 0.02 * np.abs(covariance).max()
    projected, other = law_of_the_drawn(pipeline, *given, method="projection", **options)
    assert np.abs(projected - mean).max() > 0.1 * np.abs(mean).max()
    assert np.abs(other - covariance).max() > 0.1 * np.abs(covariance).max()


def test_a_noised_picture_is_drawn_anew_from_its_posterior():
    """y = x + noise of the level where drawing begins: the law of the images over the noise is that of Bayes' rule
    with this picture, and that noise added."""
    oracle = NormalOracle()
    scheduler = ShiftedFlowScheduler(sample_size=4, base_size=4, network_prediction_type="v_prediction", solver="heun",
                                     clip_sample=False)  # fmt: skip
    pipeline = quiet(SimpleDiffusionImageToImagePipeline(oracle, scheduler))
    value = 0.5 + 0.05 * torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found, _ = law_of_the_drawn(pipeline, value, strength=0.4, num_inference_steps=100)
    scheduler.set_timesteps(100)
    t = float(scheduler.sigmas[2 * 60])
    c, x = oracle.covariance.numpy(), 2 * value.flatten().numpy() - 1
    # The mean over the noise: the flow maps the mean of x_t to that of x_0, by the root of C (C + s I)^-1.
    w, v = np.linalg.eigh(c)
    expected = v @ np.diag(np.sqrt(w / (w + (t / (1 - t)) ** 2))) @ v.T @ x
    assert np.abs(found - expected).max() < 2e-3 * np.abs(x).max()

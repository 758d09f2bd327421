"""The sampling loop: its contracts with a tiny network, its statistics with one that knows the answer."""

import json
import logging
import math

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from PIL import Image
from torch import nn
from torch.testing import assert_close

from hf_kexue.simple_diffusion.guidance_simple_diffusion import output_from_sample, predict_sample
from hf_kexue.simple_diffusion.modeling_uvit import SimpleDiffusionUViT2DModel, SimpleDiffusionUViT2DOutput
from hf_kexue.simple_diffusion.modeling_vit import SimpleDiffusionViT2DModel
from hf_kexue.simple_diffusion.pipeline_simple_diffusion import SimpleDiffusionPipeline
from hf_kexue.simple_diffusion.reshift_simple_diffusion import reshifted
from hf_kexue.simple_diffusion.samplers import SAMPLERS, with_sampler
from hf_kexue.simple_diffusion.scheduling_shifted_cosine import ShiftedCosineScheduler
from hf_kexue.simple_diffusion.scheduling_shifted_flow import ShiftedFlowScheduler

SOLVERS = (DPMSolverMultistepScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler, UniPCMultistepScheduler)
NAMES = {0: "Shirt", 1: "Hat", 2: "Shoes"}
STEPS = 4


class GaussianOracle(ModelMixin, ConfigMixin):
    """Exact v-prediction for pixels that are independent N(mean of the class, std**2), or images of one such number.

    With x_0 ~ N(m, s**2) the noise in x_t = alpha x_0 + sigma noise has the posterior mean
    sigma (x_t - alpha m) / (alpha**2 s**2 + sigma**2).
    """

    @register_to_config
    def __init__(self, means=(0.0,), std=0.2, sample_size=8, in_channels=1, constant_images=False):
        super().__init__()
        self.register_to_config(num_class_embeds=len(means) - 1 if len(means) > 1 else None)
        self.place = nn.Parameter(torch.zeros(()))  # tells the pipeline a device and a dtype
        self.calls = []

    def forward(self, sample, logsnr, class_labels=None, return_dict=True):
        c = self.config
        self.calls.append((tuple(sample.shape), logsnr.clone()))
        x_t = sample.double()
        means = torch.tensor(c.means, dtype=torch.float64)
        m = means[-1] if class_labels is None else means[class_labels].view(-1, 1, 1, 1)
        logsnr = logsnr.double().view(-1, 1, 1, 1)
        alpha, sigma = torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()
        if c.constant_images:
            count = sample.shape[1:].numel()
            gain = alpha * c.std**2 / (alpha**2 * c.std**2 + sigma**2 / count)
            x_0 = m + gain * (x_t.mean(dim=(1, 2, 3), keepdim=True) - alpha * m)
            v = (alpha * x_t - x_0) / sigma
        else:
            noise = sigma * (x_t - alpha * m) / (alpha**2 * c.std**2 + sigma**2)
            x_0 = m + alpha * c.std**2 * (x_t - alpha * m) / (alpha**2 * c.std**2 + sigma**2)
            v = alpha * noise - sigma * x_0
        return SimpleDiffusionUViT2DOutput(sample=v.to(sample.dtype))


def make_unet(seed=0, **arguments):
    torch.manual_seed(seed)
    tiny = {
        "sample_size": 16,
        "block_out_channels": (8,),
        "layers_per_block": 1,
        "hidden_size": 32,
        "num_transformer_layers": 1,
        "num_attention_heads": 2,
        "norm_num_groups": 4,
        "num_class_embeds": 3,
    }
    model = SimpleDiffusionUViT2DModel(**(tiny | arguments)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model


def make_pipe(unet=None, id2label=NAMES, scheduler=None, **arguments):
    scheduler = scheduler or ShiftedCosineScheduler(**arguments)
    pipe = SimpleDiffusionPipeline(unet or make_unet(), scheduler, id2label)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def oracle_pipe(oracle, scheduler=None, **arguments):
    scheduler = scheduler or ShiftedCosineScheduler(sample_size=8, base_size=8, clip_sample=False, **arguments)
    return make_pipe(oracle, None, scheduler)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(pipe, seed=0, **arguments):
    options = {"num_inference_steps": STEPS, "output_type": "pt", "generator": rng(seed)} | arguments
    return pipe(**options).images


def values(images):
    """Back from [0, 1] to the range of the network."""
    return 2 * images.double() - 1


@pytest.fixture(scope="module")
def pipe():
    return make_pipe()


# Contracts


def test_images_of_every_output_type(pipe):
    tensors = draw(pipe, batch_size=2)
    arrays = draw(pipe, batch_size=2, output_type="np")
    pictures = draw(pipe, batch_size=2, output_type="pil")
    assert tensors.shape == (2, 3, 16, 16)
    assert tensors.dtype == torch.float32
    assert tensors.min() >= 0
    assert tensors.max() <= 1
    assert isinstance(arrays, np.ndarray)
    assert_close(torch.from_numpy(arrays), tensors.permute(0, 2, 3, 1), rtol=0, atol=0)
    assert all(isinstance(picture, Image.Image) and picture.size == (16, 16) for picture in pictures)
    assert_close(
        torch.from_numpy(np.stack(pictures) / 255).float(), torch.from_numpy(arrays), rtol=0, atol=0.5 / 255 + 1e-6
    )


def test_grey_images():
    pictures = draw(make_pipe(make_unet(in_channels=1, out_channels=1)), output_type="pil")
    assert pictures[0].mode == "L"


def test_the_default_is_one_picture():
    images = make_pipe(make_unet(num_class_embeds=None), None)(num_inference_steps=2, generator=rng()).images
    assert len(images) == 1
    assert isinstance(images[0], Image.Image)


def test_tuple_equals_named(pipe):
    (plain,) = pipe(num_inference_steps=STEPS, output_type="pt", generator=rng(), return_dict=False)
    assert_close(plain, draw(pipe), rtol=0, atol=0)


def test_one_seed_one_image(pipe):
    assert_close(draw(pipe, batch_size=2), draw(pipe, batch_size=2), rtol=0, atol=0)
    assert (draw(pipe) - draw(pipe, seed=1)).abs().max() > 0.01


def test_a_list_of_generators_equals_single_runs(pipe):
    together = draw(pipe, batch_size=3, generator=[rng(i) for i in range(3)], class_labels=[0, 1, 2])
    apart = torch.cat([draw(pipe, seed=i, class_labels=[i]) for i in range(3)])
    # Ancestral noise is drawn image by image; kernels for another batch size differ in float32 rounding.
    assert_close(together, apart, rtol=0, atol=1e-4)


def test_class_names_and_indices(pipe):
    assert pipe.class_names == ["Shirt", "Hat", "Shoes"]
    by_index = draw(pipe, class_labels=[1, 2])
    for same in (["hat", "SHOES"], torch.tensor([1, 2]), ("Hat", 2)):
        assert_close(draw(pipe, class_labels=same), by_index, rtol=0, atol=0)
    assert_close(draw(pipe, batch_size=2, class_labels="hat"), draw(pipe, class_labels=[1, 1]), rtol=0, atol=0)
    assert_close(draw(pipe, batch_size=2, class_labels=1), draw(pipe, class_labels=[1, 1]), rtol=0, atol=0)
    assert_close(draw(pipe, class_labels=[3]), draw(pipe), rtol=0, atol=0)  # the null class
    assert (by_index[:1] - draw(pipe, class_labels=[0, 2])[:1]).abs().max() > 1e-3


def test_label_ids(pipe):
    ids = pipe.label_ids(["shoes", 0, "Hat", 3])
    assert ids.tolist() == [2, 0, 1, 3]
    assert ids.dtype == torch.int64


def test_classes_beyond_ten_keep_their_order():
    names = {i: f"kind {i}" for i in range(12)}
    pipe = make_pipe(make_unet(num_class_embeds=12), names)
    assert pipe.class_names == list(names.values())
    assert pipe.label_ids(["kind 11", "kind 2"]).tolist() == [11, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_labels": ["trousers"]}, "'trousers'.* Shirt, Hat, Shoes"),
        ({"class_labels": [4]}, "Unknown class 4"),
        ({"class_labels": [-1]}, "Unknown class -1"),
        ({"batch_size": 0}, "batch_size"),
        ({"class_labels": []}, "batch_size"),
        ({"output_type": "jpeg"}, "output_type must be"),
        ({"guidance_unet_share": 1.5}, "guidance_unet_share"),
        ({"guidance_unet_share": "half"}, "guidance_unet_share"),
        ({"guidance_scale": "two", "class_labels": [0]}, "guidance_scale"),
        ({"num_images_per_label": 0}, "num_images_per_label"),
        ({"class_labels": [1.7]}, "class"),
        ({"upsample_factor": 0}, "upsample_factor must be"),
        ({"upsample_factor": 1.5}, "upsample_factor must be"),
        ({"latents": torch.zeros(1, 1, 16, 16)}, "latents must have the shape"),
        ({"latents": torch.zeros(3, 16, 16)}, "latents must have the shape"),
        ({"latents": torch.zeros(3, 3, 16, 16), "class_labels": [0]}, "latents must have the shape"),
        ({"height": 18}, "multiples of 4"),
        ({"guidance_scale": 2.0, "guidance_interval": (1.0, -1.0), "class_labels": [0]}, "low < high"),
        ({"guidance_interval": (1.0, -1.0)}, "low < high"),
        ({"num_inference_steps": 0}, "positive"),
        ({"num_inference_steps": 2000}, "only 1000"),
        ({"eta": 1.5}, "eta"),
        ({"generator": [torch.Generator()] * 3, "batch_size": 2}, "generators"),
        ({"callback_on_step_end": print, "callback_on_step_end_tensor_inputs": ["noise"]}, "latents"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_wrong_arguments_raise(pipe, arguments, message):
    with pytest.raises(ValueError, match=message):
        draw(pipe, **arguments)


def test_a_model_without_classes_says_so():
    pipe = make_pipe(make_unet(num_class_embeds=None), None)
    assert pipe.class_names == []
    with pytest.raises(ValueError, match="trained without classes"):
        draw(pipe, class_labels=[0])
    with pytest.raises(ValueError, match="no classes"):
        draw(pipe, guidance_scale=2.0)


def test_unnamed_classes_are_counted_in_the_message():
    with pytest.raises(ValueError, match="knows 0 to 2"):
        draw(make_pipe(id2label=None), class_labels=["hat"])


def test_sizes(pipe):
    assert draw(pipe, height=8, width=24).shape == (1, 3, 8, 24)
    assert draw(pipe, height=24).shape == (1, 3, 24, 16)
    latents = torch.randn(2, 3, 12, 8, generator=rng())
    assert draw(pipe, latents=latents).shape == (2, 3, 12, 8)
    assert draw(pipe, upsample_factor=2).shape == (1, 3, 32, 32)
    assert draw(pipe, upsample_factor=2.0).shape == (1, 3, 32, 32)


def test_latents_replace_the_first_draw(pipe):
    latents = torch.randn(2, 3, 16, 16, generator=rng(5))
    assert_close(draw(pipe, latents=latents, eta=0.0), draw(pipe, seed=5, batch_size=2, eta=0.0), rtol=0, atol=0)


def test_eta(pipe):
    latents = torch.randn(1, 3, 16, 16, generator=rng(5))
    ddim = [draw(pipe, seed=seed, latents=latents, eta=0.0) for seed in range(2)]
    assert_close(ddim[0], ddim[1], rtol=0, atol=0)
    assert_close(draw(pipe, latents=latents), draw(pipe, latents=latents, eta=1.0), rtol=0, atol=0)
    assert (draw(pipe, latents=latents) - ddim[0]).abs().max() > 0.01


def test_callbacks_see_and_may_replace_the_latents(pipe):
    seen = []

    def watch(pipeline, step, timestep, tensors):
        assert pipeline is pipe
        seen.append((step, int(timestep), tensors["latents"].shape))
        return tensors

    assert_close(draw(pipe, callback_on_step_end=watch), draw(pipe), rtol=0, atol=0)
    assert [step for step, *_ in seen] == list(range(STEPS))
    assert [t for _, t, _ in seen] == pipe.scheduler.timesteps.tolist()
    assert {shape for *_, shape in seen} == {(1, 3, 16, 16)}

    def silent(pipeline, step, timestep, tensors):
        return None

    assert_close(draw(pipe, callback_on_step_end=silent), draw(pipe), rtol=0, atol=0)

    def paint(pipeline, step, timestep, tensors):
        return {"latents": torch.full_like(tensors["latents"], 0.5)}

    assert_close(draw(pipe, callback_on_step_end=paint), torch.full((1, 3, 16, 16), 0.75), rtol=0, atol=0)


@pytest.mark.parametrize("solver", [None, DPMSolverMultistepScheduler], ids=["own", "dpm"])
def test_save_and_load(solver, tmp_path):
    pipe = make_pipe(sample_size=16, base_size=8, variance_gamma=0.1, num_train_timesteps=200)
    if solver:
        pipe.scheduler = solver.from_config(pipe.scheduler.config)
    pipe.save_pretrained(tmp_path)
    loaded = SimpleDiffusionPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    assert type(loaded.scheduler) is type(pipe.scheduler)
    assert loaded.class_names == pipe.class_names
    assert loaded.config.id2label == {"0": "Shirt", "1": "Hat", "2": "Shoes"}
    # Weights read from a file lie at other addresses, for which kernels sum in another order.
    assert_close(draw(loaded, class_labels=["hat"]), draw(pipe, class_labels=["hat"]), rtol=0, atol=1e-5)


def test_bf16_network(pipe):
    half = make_pipe(make_unet().to(torch.bfloat16))
    images = draw(half, batch_size=2, eta=0.0)
    assert images.dtype == torch.float32
    # The net is off by about 1 %, which the large first steps amplify; the loop itself stays in float32.
    assert (images - draw(pipe, batch_size=2, eta=0.0)).abs().mean() < 0.05


def test_progress_bar_can_be_silenced(pipe, capsys):
    draw(pipe)
    assert capsys.readouterr().err == ""


# Conditioning


def test_the_network_is_conditioned_on_the_logsnr_of_each_timestep():
    oracle = GaussianOracle()
    scheduler = ShiftedCosineScheduler(sample_size=64, base_size=32)
    draw(oracle_pipe(oracle, scheduler), num_inference_steps=10)
    heard = torch.cat([logsnr for _, logsnr in oracle.calls])
    u = torch.arange(10, 0, -1, dtype=torch.float64) / 10
    assert_close(heard.double(), scheduler.logsnr(u), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.__name__)
def test_solvers_of_diffusers_condition_on_the_same_logsnr(solver):
    oracle, scheduler = GaussianOracle(), ShiftedCosineScheduler(sample_size=64, base_size=32)
    draw(oracle_pipe(oracle, solver.from_config(scheduler.config)), num_inference_steps=10)
    heard = torch.cat([logsnr for _, logsnr in oracle.calls]).unique().flip(0)
    u = torch.arange(1, 11, dtype=torch.float64) / 10
    assert_close(heard.double(), scheduler.logsnr(u), rtol=0, atol=2e-3)  # a float32 product of up to 1000 alphas


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.__name__)
def test_a_real_network_runs_under_every_solver(pipe, solver):
    swapped = make_pipe(pipe.unet, scheduler=solver.from_config(pipe.scheduler.config))
    images = draw(swapped, batch_size=2, class_labels=["hat", "shirt"], guidance_scale=1.5)
    assert images.isfinite().all()
    assert_close(images, draw(swapped, class_labels=["hat", "shirt"], guidance_scale=1.5), rtol=0, atol=0)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.__name__)
def test_karras_sigmas(solver):
    """Timesteps between the trained ones (Euler, Heun), or rounded to them, several to the same one (DPM, UniPC)."""
    scheduler = solver.from_config(ShiftedCosineScheduler(clip_sample=False).config, use_karras_sigmas=True)
    oracle = GaussianOracle((0.3,))
    images = values(draw(oracle_pipe(oracle, scheduler), batch_size=64, num_inference_steps=100))
    assert_close(images.mean().item(), 0.3, rtol=0, atol=0.02)
    assert_close(images.std().item(), 0.2, rtol=0.1, atol=0)
    heard = torch.stack([logsnr[0] for _, logsnr in oracle.calls])
    true = -2 * torch.as_tensor(scheduler.sigmas)[: len(heard)].log()
    rounds = solver in (DPMSolverMultistepScheduler, UniPCMultistepScheduler)
    told = true.abs() < 8  # beyond, where hardly any image or hardly any noise is left, the rounding is above 1 nat
    assert_close(heard[told], true[told].to(heard), rtol=0, atol=0.1 if rounds else 1e-4)


# Statistics with the exact posterior mean

LEVELS = torch.linspace(-2, 2, 256).view(4, 1, 8, 8)


def first_order(scheduler, steps, eta, std=0.2):
    """Standard deviation that a first-order sampler leaves of N(m, std**2), by a recursion for one number.

    x_s = alpha_s x_hat + sigma_s (direction + noise), with x_hat linear in x_t, so that variances map to variances.
    """
    rates = scheduler.logsnr(torch.arange(steps, 0, -1, dtype=torch.float64) / steps)
    alphas, sigmas = torch.sigmoid(rates).sqrt().tolist(), torch.sigmoid(-rates).sqrt().tolist()
    gains = [alpha * std**2 / (alpha**2 * std**2 + sigma**2) for alpha, sigma in zip(alphas, sigmas)]
    variance = 1.0
    for i in range(steps - 1):
        c = -math.expm1(rates[i] - rates[i + 1])
        noise = eta**2 * c * sigmas[i] ** (2 * 0.3) * sigmas[i + 1] ** (2 * 0.7)
        keep = sigmas[i + 1] / sigmas[i] * math.sqrt(1 - eta**2 * c)
        variance = (alphas[i + 1] * gains[i] + keep * (1 - alphas[i] * gains[i])) ** 2 * variance + noise
    return gains[-1] * math.sqrt(variance)  # the last step returns x_hat


def exact_until_the_last_step(scheduler, steps, std=0.2):
    """Standard deviation of E[x_0 | x_t] at the last timestep, u = 1 / steps, if the flow until there is exact."""
    noise_to_signal = math.exp(-scheduler.logsnr(1 / steps).item())
    return std * math.sqrt(std**2 / (std**2 + noise_to_signal))


SAMPLER_CASES = {
    # name: scheduler class, steps, options, what is expected, tolerance
    "ddim": (ShiftedCosineScheduler, 50, {"eta": 0.0}, lambda s, n: first_order(s, n, 0.0), 1e-3),
    "euler": (EulerDiscreteScheduler, 50, {}, lambda s, n: first_order(s, n, 0.0), 1e-3),
    "dpm": (DPMSolverMultistepScheduler, 40, {}, exact_until_the_last_step, 0.02),
    "heun": (HeunDiscreteScheduler, 40, {}, exact_until_the_last_step, 0.02),
    "unipc": (UniPCMultistepScheduler, 40, {}, exact_until_the_last_step, 0.02),
}


@pytest.mark.parametrize("name", SAMPLER_CASES)
def test_every_solver_maps_noise_to_the_gaussian_that_the_oracle_knows(name):
    """The flow from N(0, 1) to N(m, s**2) is z -> m + s z: no statistics, each level of noise has its place."""
    cls, steps, options, expected, tolerance = SAMPLER_CASES[name]
    own = ShiftedCosineScheduler(sample_size=16, base_size=8, clip_sample=False)
    pipe = oracle_pipe(GaussianOracle((0.25,)), own if cls is ShiftedCosineScheduler else cls.from_config(own.config))
    images = values(draw(pipe, latents=LEVELS, num_inference_steps=steps, **options))
    slope = (images.max() - images.min()) / 4
    assert_close(images, images.mean() + slope * LEVELS.double(), rtol=0, atol=1e-4)  # float32 latents up to 4000
    assert_close(images.mean().item(), 0.25, rtol=0, atol=1e-3)
    assert_close(slope.item(), expected(own, steps), rtol=tolerance, atol=0)


@pytest.mark.parametrize("eta", [1.0, 0.5])
def test_ancestral_samples_have_the_moments_that_the_oracle_knows(eta):
    own = ShiftedCosineScheduler(sample_size=16, base_size=8, clip_sample=False)
    pipe = oracle_pipe(GaussianOracle((0.25,)), own)
    images = values(draw(pipe, batch_size=256, num_inference_steps=100, eta=eta))
    # 16384 pixels: standard error 0.0016 of the mean, 0.6 % of the standard deviation.
    assert_close(images.mean().item(), 0.25, rtol=0, atol=0.008)
    assert_close(images.std().item(), first_order(own, 100, eta), rtol=0.025, atol=0)
    assert_close(first_order(own, 1000, eta), 0.2, rtol=0.012, atol=0)  # and that tends to the truth


def test_samplers_by_name():
    original = oracle_pipe(GaussianOracle((0.25,)))
    slopes = {}
    for sampler in SAMPLERS:
        pipe, options = with_sampler(original, sampler)
        pipe.set_progress_bar_config(disable=True)
        assert pipe.unet is original.unet
        assert pipe.scheduler is not original.scheduler
        images = [values(draw(pipe, seed, latents=LEVELS, num_inference_steps=40, **options)) for seed in range(2)]
        assert torch.equal(*images) == ("ancestral" not in sampler)
        slopes[sampler] = (images[0] * LEVELS).mean().item() / LEVELS.square().mean().item()
    own = original.scheduler
    assert_close(slopes["ddim"], first_order(own, 40, 0.0), rtol=1e-3, atol=0)
    assert_close(slopes["dpm"], exact_until_the_last_step(own, 40), rtol=0.02, atol=0)
    assert abs(slopes["ancestral"]) < 0.05  # the noise of the steps has replaced that of the start


def test_unknown_sampler(pipe):
    with pytest.raises(ValueError, match="sampler must be one of"):
        with_sampler(pipe, "plms")


def test_with_sampler_there_and_back_without_a_word(pipe, caplog):
    solver, _ = with_sampler(pipe, "dpm")
    assert not caplog.messages
    again, _ = with_sampler(solver, "ancestral")
    assert dict(again.scheduler.config) == dict(pipe.scheduler.config)
    type(solver.scheduler).from_config(pipe.scheduler.config)  # elsewhere diffusers warns as before
    assert "not expected" in caplog.text


def test_with_sampler_keeps_the_class_names(pipe):
    assert with_sampler(pipe, "dpm")[0].class_names == pipe.class_names


def test_each_image_gets_its_own_class():
    pipe = oracle_pipe(GaussianOracle((-0.4, 0.0, 0.4, 0.1), std=0.1))
    images = values(draw(pipe, class_labels=[0, 2, 1, 3], num_inference_steps=50, eta=0.0, height=32, width=32))
    expected = torch.tensor([-0.4, 0.4, 0.0, 0.1], dtype=torch.float64)
    assert_close(images.mean(dim=(1, 2, 3)), expected, rtol=0, atol=0.02)  # 1024 pixels each: 0.003


def test_classifier_free_guidance_extrapolates_the_mean():
    """Posterior means are linear in the mean of the data, so guidance w samples N(m0 + w (m1 - m0), s**2) exactly."""
    pipe = oracle_pipe(GaussianOracle((0.3, -0.3, 0.1), std=0.1))
    options = {"num_inference_steps": 50, "eta": 0.0, "height": 32, "width": 32, "reshift": "off"}
    images = values(draw(pipe, class_labels=[0, 1], guidance_scale=2.0, **options))
    expected = torch.tensor([0.1 + 2 * 0.2, 0.1 - 2 * 0.4], dtype=torch.float64)
    assert_close(images.mean(dim=(1, 2, 3)), expected, rtol=0, atol=0.02)
    # DDIM in 50 steps ends 12 % low; 1024 pixels give a standard error of 2 %.
    assert_close(images.std(dim=(1, 2, 3)), torch.full((2,), 0.1, dtype=torch.float64), rtol=0.2, atol=0)


def test_autoguidance_extrapolates_from_the_second_network():
    strong, weak = GaussianOracle((0.2,), std=0.1), GaussianOracle((0.0,), std=0.1)
    pipe = oracle_pipe(strong)
    options = {"num_inference_steps": 50, "eta": 0.0, "height": 32, "width": 32, "reshift": "off"}
    images = values(draw(pipe, guidance_unet=weak, guidance_scale=3.0, **options))
    assert_close(images.mean().item(), 0.6, rtol=0, atol=0.02)
    assert len(weak.calls) == len(strong.calls) == 50


@pytest.mark.parametrize(("share", "calls"), [(0.0, 0), (0.5, 50), (1.0, 50)])
def test_images_move_away_from_the_mean_of_both(share, calls):
    strong, weak = GaussianOracle((0.3, -0.3, 0.1), std=0.1), GaussianOracle((0.2, -0.2, 0.0), std=0.1)
    options = {"num_inference_steps": 50, "eta": 0.0, "height": 32, "width": 32, "guidance_unet_share": share}
    images = values(draw(oracle_pipe(strong), class_labels=[0, 1], guidance_unet=weak, guidance_scale=2, **options))
    negative = [share * told + (1 - share) * 0.1 for told in (0.2, -0.2)]
    expected = [2 * mean - away for mean, away in zip((0.3, -0.3), negative)]
    assert_close(images.mean(dim=(1, 2, 3)).tolist(), expected, rtol=0, atol=0.02)
    assert (len(strong.calls), len(weak.calls)) == (50, calls)


def test_without_classes_only_the_weaker_network_guides():
    strong, weak = GaussianOracle((0.2,), std=0.1), GaussianOracle((0.0,), std=0.1)
    options = {"num_inference_steps": 50, "eta": 0.0, "height": 32, "width": 32, "guidance_unet_share": 0.5}
    images = values(draw(oracle_pipe(strong), guidance_unet=weak, guidance_scale=3.0, **options))
    assert_close(images.mean().item(), 0.4, rtol=0, atol=0.02)


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_a_saved_weaker_network_guides_by_itself(pipe, tmp_path, share):
    weak, options = make_unet(seed=1), {"class_labels": [0], "guidance_scale": 3.0}
    kept = {"guidance_unet": weak, "guidance_unet_share": share}
    saved = SimpleDiffusionPipeline(pipe.unet, pipe.scheduler, pipe.config.id2label, guidance_scale=3.0, **kept)
    saved.save_pretrained(tmp_path)
    close = {"rtol": 0, "atol": 1e-5}  # loaded weights lie otherwise in memory, which changes the order of sums
    expected = values(draw(pipe, **kept, **options))
    loaded = SimpleDiffusionPipeline.from_pretrained(tmp_path)
    assert_close(values(draw(loaded, class_labels=[0])), expected, **close)
    off = values(draw(loaded, class_labels=[0], guidance_scale=1.0))
    assert_close(off, values(draw(pipe, class_labels=[0])), **close)
    sampled, _ = with_sampler(loaded, "ancestral")
    assert sampled.guidance_unet is loaded.guidance_unet
    assert (sampled.config.guidance_scale, sampled.config.guidance_unet_share) == (3.0, share)
    without = SimpleDiffusionPipeline.from_pretrained(tmp_path, guidance_unet=None)
    assert_close(values(draw(without, **options)), values(draw(pipe, **options)), **close)


def test_autoguidance_by_itself_is_no_guidance(pipe):
    assert_close(
        draw(pipe, class_labels=[0], guidance_unet=pipe.unet, guidance_scale=3.0),
        draw(pipe, class_labels=[0]),
        rtol=0,
        atol=1e-5,
    )


def test_autoguidance_changes_the_image(pipe):
    guided = draw(pipe, class_labels=[0], guidance_unet=make_unet(seed=1), guidance_scale=3.0)
    assert (guided - draw(pipe, class_labels=[0])).abs().max() > 1e-3


def test_guidance_outside_its_interval_is_no_guidance(pipe):
    plain = draw(pipe, class_labels=[0, 1])
    guided = draw(pipe, class_labels=[0, 1], guidance_scale=3.0)
    outside = draw(pipe, class_labels=[0, 1], guidance_scale=3.0, guidance_interval=(50.0, 60.0))
    everywhere = draw(pipe, class_labels=[0, 1], guidance_scale=3.0, guidance_interval=(-100.0, 100.0))
    partly = draw(pipe, class_labels=[0, 1], guidance_scale=3.0, guidance_interval=(-1.0, 100.0))
    assert_close(outside, plain, rtol=0, atol=0)
    assert_close(everywhere, guided, rtol=0, atol=0)
    assert (guided - plain).abs().max() > 1e-3
    assert (partly - plain).abs().max() > 1e-3
    assert (partly - guided).abs().max() > 1e-3


def test_guidance_costs_a_double_batch_only_inside_the_interval():
    oracle = GaussianOracle((0.3, 0.1))
    draw(
        oracle_pipe(oracle),
        class_labels=[0],
        guidance_scale=2.0,
        guidance_interval=(-2.0, 3.0),
        num_inference_steps=20,
    )
    assert len(oracle.calls) == 20
    for shape, logsnr in oracle.calls:
        assert shape[0] == (2 if -2.0 <= logsnr[0] <= 3.0 else 1)
    assert {shape[0] for shape, _ in oracle.calls} == {1, 2}


def test_unit_guidance_is_no_guidance(pipe):
    assert_close(draw(pipe, class_labels=[1], guidance_scale=1.0), draw(pipe, class_labels=[1]), rtol=0, atol=0)


# Upsample guidance


def test_upsampling_leaves_alone_what_is_right_at_both_sizes():
    """Images of one constant: the oracle is exact at 8 and at 16 pixels, so the steering has nothing to correct."""
    pipe = oracle_pipe(
        GaussianOracle((0.2,), constant_images=True),
        ShiftedCosineScheduler(sample_size=16, base_size=8, clip_sample=False),
    )
    options = {"batch_size": 400, "num_inference_steps": 40, "eta": 0.0, "upsample_factor": 2}
    steered = values(draw(pipe, **options))
    plain = values(draw(pipe, upsample_guidance_scale=0.0, **options))
    assert steered.shape == (400, 1, 16, 16)
    assert_close(steered, plain, rtol=0, atol=2e-3)  # float32 latents, v divides by sigma near the end
    assert_close(steered.mean().item(), 0.2, rtol=0, atol=0.04)  # 400 numbers: standard error 0.01
    # DDIM in 40 steps ends some 10 % low; 400 numbers give a standard error of 3.5 %.
    assert_close(steered.mean(dim=(1, 2, 3)).std().item(), 0.2, rtol=0.25, atol=0)


def test_the_small_network_runs_at_the_raised_logsnr():
    oracle = GaussianOracle()
    pipe = oracle_pipe(oracle, ShiftedCosineScheduler(sample_size=16, base_size=8, clip_sample=False))
    draw(pipe, upsample_factor=2, upsample_guidance_interval=None, num_inference_steps=6)
    large, small = oracle.calls[::2], oracle.calls[1::2]
    assert {shape for shape, _ in large} == {(1, 1, 16, 16)}
    assert {shape for shape, _ in small} == {(1, 1, 8, 8)}
    for (_, high), (_, low) in zip(large, small):
        assert_close(low, high + 2 * math.log(2))


def test_upsampling_steers_in_its_interval_only(pipe):
    options = {"upsample_factor": 2, "num_inference_steps": 6}
    plain = draw(pipe, height=32, width=32, num_inference_steps=6)
    off = draw(pipe, upsample_guidance_interval=(50.0, 60.0), **options)
    noisy = draw(pipe, **options)
    always = draw(pipe, upsample_guidance_interval=None, **options)
    assert_close(off, plain, rtol=0, atol=0)
    assert (noisy - plain).abs().max() > 1e-3
    assert (noisy - always).abs().max() > 1e-4


@pytest.mark.parametrize("solver", SOLVERS[:2], ids=lambda s: s.__name__)
def test_upsampling_under_other_solvers_and_guidance(pipe, solver):
    swapped = make_pipe(pipe.unet, scheduler=solver.from_config(pipe.scheduler.config))
    images = draw(swapped, class_labels=["hat"], guidance_scale=2.0, upsample_factor=2)
    assert images.shape == (1, 3, 32, 32)
    assert images.isfinite().all()


FLOW_CLASSES = (
    ShiftedFlowScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    DPMSolverMultistepScheduler,
    UniPCMultistepScheduler,
)


@pytest.mark.parametrize("kind", ["flow_prediction", "epsilon", "sample"])
@pytest.mark.parametrize("cls", FLOW_CLASSES, ids=lambda cls: cls.__name__)
def test_a_network_of_one_schedule_is_sampled_by_the_other(cls, kind):
    """The oracle predicts v of variance-preserving noise and sees only such images: pixels end as N(0.25, 0.2**2)."""
    pipe = oracle_pipe(GaussianOracle((0.25,), std=0.2))
    own = ShiftedFlowScheduler.from_config(pipe.scheduler.config, prediction_type=kind)
    pipe.scheduler = cls.from_config(own.config)
    images = values(draw(pipe, latents=LEVELS, num_inference_steps=60))
    slope = ((images - images.mean()) * LEVELS).mean() / LEVELS.square().mean()
    assert images.mean().item() == pytest.approx(0.25, abs=2e-3)
    assert slope.item() == pytest.approx(0.2, rel=0.1 if cls in FLOW_CLASSES[:2] else 0.06)
    seen = torch.stack([logsnr[0] for _, logsnr in pipe.unet.calls])
    assert seen.min() >= -15.001  # not where the network was never trained
    assert bool((seen.diff() >= -1e-5).all())


@pytest.mark.parametrize("kind", ["epsilon", "sample", "flow_prediction"])
def test_what_the_network_predicts_is_converted(kind):
    """One denoiser in three forms gives one picture."""

    class Converted(GaussianOracle):
        def forward(self, sample, logsnr, class_labels=None, return_dict=True):
            v = super().forward(sample, logsnr, class_labels).sample
            x_0 = predict_sample(v, sample, logsnr, "v_prediction")
            return SimpleDiffusionUViT2DOutput(sample=output_from_sample(x_0, sample, logsnr, kind))

    pictures = []
    for network, prediction in ((GaussianOracle(), "v_prediction"), (Converted(), kind)):
        scheduler = ShiftedFlowScheduler(sample_size=8, base_size=8, network_prediction_type=prediction)
        pipe = SimpleDiffusionPipeline(network, scheduler)
        pipe.set_progress_bar_config(disable=True)
        pictures.append(values(draw(pipe, latents=LEVELS, num_inference_steps=15)))
    assert_close(*pictures, rtol=0, atol=2e-3)  # epsilon divides by an alpha of 5e-4 at the start


def test_a_pipeline_with_the_flow_is_saved_and_loaded(pipe, tmp_path):
    flowing, _ = with_sampler(pipe, "flow-heun")
    flowing.save_pretrained(tmp_path)
    loaded = SimpleDiffusionPipeline.from_pretrained(tmp_path)
    assert type(loaded.scheduler) is ShiftedFlowScheduler
    assert dict(loaded.scheduler.config) == dict(flowing.scheduler.config)


def test_schedulers_that_cannot_serve_the_network(pipe):
    for scheduler, message in (
        (FlowMatchEulerDiscreteScheduler(), "network_prediction_type"),
        (DDIMScheduler(prediction_type="epsilon"), "from_config"),
        (ShiftedFlowScheduler(network_prediction_type="sample"), "from_config"),
        (DEISMultistepScheduler.from_config(with_sampler(pipe, "flow")[0].scheduler.config), "noise of its last step"),
    ):
        pipe.scheduler = scheduler
        with pytest.raises(ValueError, match=message):
            pipe(num_inference_steps=2)


# ---- the schedule follows the size


def logsnr_seen(scheduler, **call):
    pipe = SimpleDiffusionPipeline(GaussianOracle(sample_size=8), scheduler)
    pipe.set_progress_bar_config(disable=True)
    pipe(num_inference_steps=5, generator=torch.Generator().manual_seed(0), **call)
    assert scheduler.config["sample_size"] == 8  # the pipeline's own stays as it is
    return torch.stack(
        [logsnr[0] for shape, logsnr in pipe.unet.calls if shape[-1] != 8 or "upsample_factor" not in call]
    )


@pytest.mark.parametrize("cls", [None, *FLOW_CLASSES, *SOLVERS], ids=lambda cls: getattr(cls, "__name__", "own"))
def test_asking_for_another_size_moves_the_schedule(cls):
    own = ShiftedCosineScheduler(sample_size=8, base_size=8)
    flow_class = cls in FLOW_CLASSES and cls not in SOLVERS
    config = ShiftedFlowScheduler.from_config(own.config).config if flow_class else own.config
    scheduler = own if cls is None else cls.from_config(config)
    before = logsnr_seen(scheduler)
    options = {"use_karras_sigmas": True} if cls in SOLVERS else {}
    for call, ratio in (
        ({"height": 16, "width": 16}, 2),
        ({"height": 32, "width": 8}, 2),
        ({"height": 24}, math.sqrt(3)),
    ):
        expected = before - 2 * math.log(ratio)
        assert_close(logsnr_seen(scheduler, **call), expected, rtol=0, atol=2e-2)  # diffusers keeps float32 betas
        assert_close(logsnr_seen(scheduler, **call, reshift="off"), before, rtol=0, atol=1e-6)
    if options:
        karras = cls.from_config(own.config, **options)
        assert not torch.equal(logsnr_seen(karras, height=16), logsnr_seen(scheduler, height=16))
    assert_close(logsnr_seen(scheduler, height=8, width=8), before, rtol=0, atol=0)


def test_upsampling_moves_the_schedule_once():
    scheduler = ShiftedCosineScheduler(sample_size=8, base_size=8)
    large = ShiftedCosineScheduler(sample_size=16, base_size=8)
    seen = logsnr_seen(scheduler, upsample_factor=2)
    large.set_timesteps(5)
    assert_close(seen, large.logsnr_at(large.timesteps), rtol=0, atol=1e-5)


def test_a_scheduler_without_a_size_is_left_alone(caplog):
    foreign = ShiftedCosineScheduler(trained_betas=torch.linspace(1e-4, 0.02, 1000).numpy(), sample_size=8)
    plain = DDIMScheduler(prediction_type="v_prediction", timestep_spacing="trailing")
    for scheduler in (foreign, plain):
        assert reshifted(scheduler, 16, 16) is scheduler
    assert caplog.text.count("not re-shifted") == 2


def test_loading_warns_of_unused_keys_but_those_of_our_schedules(tmp_path, pipe, monkeypatch):
    """A student saved with DDIM keeps the keys of the schedule that it came from."""
    told, handler = [], logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    monkeypatch.setattr(logging.getLogger("diffusers.configuration_utils"), "handlers", [handler])
    scheduler = DDIMScheduler.from_config(ShiftedCosineScheduler(sample_size=8).config)
    type(pipe).from_pipe(pipe, scheduler=scheduler).save_pretrained(tmp_path)
    told.clear()
    path = tmp_path / "scheduler" / "scheduler_config.json"
    assert "logsnr_min" in json.loads(path.read_text())
    loaded = type(pipe).from_pretrained(tmp_path)
    assert with_sampler(loaded, "ancestral")[0].scheduler.config.sample_size == 8
    assert told == []
    path.write_text(json.dumps(json.loads(path.read_text()) | {"clip_samples": True}))
    type(pipe).from_pretrained(tmp_path)
    assert "clip_samples" in told[0]


@pytest.mark.parametrize("call", [{"height": 18}, {"width": 6}, {"height": 0}, {"height": 16.5}, {"reshift": "on"}])
def test_wrong_sizes_raise_before_the_network_runs(pipe, call):
    with pytest.raises(ValueError, match=next(iter(call))):
        pipe(num_inference_steps=2, callback_on_step_end=lambda *_: pytest.fail("a step was computed"), **call)


# ---- distilled networks


@pytest.mark.parametrize("classes", [3, None])
def test_a_network_that_takes_the_scale_is_called_once(classes):
    """With the scale where guidance acts, and 1 elsewhere."""
    pipeline = SimpleDiffusionPipeline(
        make_unet(guidance_embedding=True, num_class_embeds=classes), ShiftedCosineScheduler(sample_size=16),
        guidance_scale=3.0, num_inference_steps=4,
    )  # fmt: skip
    scales = []
    pipeline.unet.register_forward_pre_hook(
        lambda _, __, given: scales.append(given["guidance_scale"]), with_kwargs=True
    )
    labels = None if classes is None else [0]
    pipeline(class_labels=labels, guidance_interval=(2.0, 4.0), output_type="pt")
    assert scales == [1.0, 1.0, 3.0, 1.0]
    scales.clear()
    pipeline(class_labels=labels, guidance_scale=2.0, num_inference_steps=2, output_type="pt")
    assert scales == [2.0, 2.0]
    with pytest.raises(ValueError, match="guidance_unet"):
        pipeline(class_labels=labels, guidance_unet=make_unet(num_class_embeds=classes))


def test_the_number_of_steps_is_saved(tmp_path):
    pipeline = SimpleDiffusionPipeline(make_unet(), ShiftedCosineScheduler(sample_size=16), num_inference_steps=3)
    pipeline.save_pretrained(tmp_path)
    loaded = SimpleDiffusionPipeline.from_pretrained(tmp_path)
    loaded(output_type="pt")
    assert loaded.num_timesteps == 3
    assert with_sampler(loaded, "dpm")[0].config.num_inference_steps == 3
    with pytest.raises(ValueError, match="0"):
        loaded(num_inference_steps=0)


# Either network


def make_vit(**arguments):
    torch.manual_seed(0)
    tiny = {
        "sample_size": 16, "patch_size": 4, "hidden_size": 32, "num_transformer_layers": 2, "num_attention_heads": 2,
        "num_class_embeds": 3, "context_start": 1,
    }  # fmt: skip
    model = SimpleDiffusionViT2DModel(**(tiny | arguments))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model


@pytest.mark.parametrize("kind", ["sample", "epsilon", "v_prediction"])
@pytest.mark.parametrize("cls", [ShiftedCosineScheduler, ShiftedFlowScheduler])
def test_a_vit_runs_under_either_scheduler(cls, kind, tmp_path):
    key = "network_prediction_type" if cls is ShiftedFlowScheduler else "prediction_type"
    scheduler = cls(sample_size=16, base_size=16, **{key: kind})
    pipe = SimpleDiffusionPipeline(make_vit(prediction_type=kind), scheduler, NAMES, guidance_unet=make_unet())
    pipe.save_pretrained(tmp_path)
    loaded = SimpleDiffusionPipeline.from_pretrained(tmp_path)
    assert (type(loaded.unet), type(loaded.guidance_unet)) == (SimpleDiffusionViT2DModel, SimpleDiffusionUViT2DModel)
    arguments = {"class_labels": ["Hat", "Shoes"], "height": 8, "width": 24, "guidance_scale": 2.0}
    images = draw(pipe, **arguments)
    assert images.shape == (2, 3, 8, 24)
    assert images.std() > 0.01
    assert_close(draw(loaded, **arguments), images, rtol=0, atol=0)


def test_a_network_that_says_what_it_predicts_is_held_to_it():
    with pytest.raises(ValueError, match=r"predicts 'sample'.*takes its output as 'v_prediction'"):
        SimpleDiffusionPipeline(make_vit(), ShiftedCosineScheduler(sample_size=16))
    with pytest.raises(ValueError, match=r"predicts 'sample'.*takes its output as 'flow_prediction'"):
        SimpleDiffusionPipeline(make_vit(), ShiftedFlowScheduler(sample_size=16))
    scheduler = ShiftedCosineScheduler(sample_size=16)
    with pytest.raises(ValueError, match="predicts 'sample'"):  # the weaker network too
        SimpleDiffusionPipeline(make_unet(), scheduler, guidance_unet=make_vit())
    pipe = SimpleDiffusionPipeline(make_vit(prediction_type="v_prediction"), scheduler)
    with pytest.raises(ValueError, match="predicts 'sample'"):
        draw(pipe, class_labels=[0], guidance_unet=make_vit())
    pipe.scheduler = ShiftedCosineScheduler(sample_size=16, prediction_type="sample")
    with pytest.raises(ValueError, match="takes the network's output as 'sample'"):
        draw(pipe, class_labels=[0])


def test_a_size_that_the_patch_does_not_divide_raises_before_anything_is_computed(monkeypatch):
    pipe = SimpleDiffusionPipeline(make_vit(prediction_type="v_prediction"), ShiftedCosineScheduler(sample_size=16))
    calls = []
    monkeypatch.setattr(SimpleDiffusionViT2DModel, "forward", lambda *arguments, **options: calls.append(1))
    with pytest.raises(ValueError, match="height is 18; positive multiples of 4"):
        draw(pipe, class_labels=[0], height=18)
    assert calls == []

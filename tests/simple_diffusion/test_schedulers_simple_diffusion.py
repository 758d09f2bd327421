"""Scheduler classes of diffusers inside the pipeline: equal to the own scheduler, reproducible, or refused."""

import diffusers
import pytest
import torch
from diffusers.callbacks import PipelineCallback
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers
from torch import nn
from torch.testing import assert_close

from hf_kexue.simple_diffusion.modeling_uvit import SimpleDiffusionUViT2DModel
from hf_kexue.simple_diffusion.pipeline_simple_diffusion import SimpleDiffusionPipeline
from hf_kexue.simple_diffusion.schedulers_simple_diffusion import logsnr_of
from hf_kexue.simple_diffusion.scheduling_shifted_cosine import ShiftedCosineScheduler

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # diffusers gives torch scalars to numpy
    pytest.mark.filterwarnings("ignore:Should have tb<=t1:UserWarning"),  # torchsde
    pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning"),
]
FAMILY = sorted(member.name for member in KarrasDiffusionSchedulers if member.name != "EDMEulerScheduler")
KNOW_ZERO_SNR = {
    *("DDIMScheduler", "DDPMScheduler", "DPMSolverMultistepScheduler", "EulerAncestralDiscreteScheduler"),
    *("EulerDiscreteScheduler", "UniPCMultistepScheduler"),
}


def make_unet(**options):
    torch.manual_seed(0)
    tiny = {
        "sample_size": 16, "block_out_channels": (8,), "layers_per_block": 1, "hidden_size": 32,
        "num_transformer_layers": 1, "num_attention_heads": 2, "norm_num_groups": 4, "num_class_embeds": 3,
    }  # fmt: skip
    model = SimpleDiffusionUViT2DModel(**(tiny | options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model


@pytest.fixture(scope="module")
def unet():
    return make_unet()


def make_pipe(unet, scheduler, **options):
    pipe = SimpleDiffusionPipeline(unet, scheduler, **options)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, seed=0, **arguments):
    options = {"num_inference_steps": 4, "output_type": "pt", "generator": torch.Generator().manual_seed(seed)}
    return pipe(**(options | arguments)).images


def swap(name, scheduler=None, **options):
    return getattr(diffusers, name).from_config((scheduler or ShiftedCosineScheduler()).config, **options)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 61, 64])  # 61: diffusers appends a timestep -1
@pytest.mark.parametrize("name", ["DDIMScheduler", "DDIMParallelScheduler"])
def test_ddim_equals_the_own_scheduler_at_every_number_of_steps(unet, name, steps):
    own = ShiftedCosineScheduler()
    options = {"eta": 0.0, "num_inference_steps": steps, "class_labels": [0, 2]}
    expected = draw(make_pipe(unet, own), **options)
    assert_close(draw(make_pipe(unet, swap(name, own)), **options), expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", FAMILY)
def test_a_generator_makes_images_reproducible_with_every_class(unet, name):
    pipe = make_pipe(unet, swap(name))
    first = draw(pipe, class_labels=[0, 1])
    assert first.isfinite().all()
    pipe.scheduler = swap(name)
    torch.manual_seed(7)
    assert_close(draw(pipe, class_labels=[0, 1]), first, rtol=0, atol=0)
    assert not torch.equal(draw(pipe, seed=1, class_labels=[0, 1]), first)


def test_sde_noise_of_each_image_follows_its_own_generator(unet):
    def rng(seed):
        return torch.Generator().manual_seed(seed)

    pipe = make_pipe(unet, swap("DPMSolverSDEScheduler"))
    together = draw(pipe, class_labels=[0, 1], generator=[rng(3), rng(4)])
    apart = [draw(pipe, class_labels=[label], generator=rng(seed)) for label, seed in ((0, 3), (1, 4))]
    assert_close(together, torch.cat(apart), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["ShiftedCosineScheduler", *FAMILY])
def test_zero_terminal_snr_is_finite_or_refused(unet, name):
    scheduler = ShiftedCosineScheduler(rescale_betas_zero_snr=True)
    known = name in {*KNOW_ZERO_SNR, "ShiftedCosineScheduler"}
    pipe = make_pipe(unet, scheduler if name == "ShiftedCosineScheduler" else swap(name, scheduler))
    if known:
        assert draw(pipe).isfinite().all()
    else:
        with pytest.raises(ValueError, match="zero terminal SNR"):
            draw(pipe)


def test_interpolation_towards_zero_terminal_snr_is_finite():
    scheduler = swap("DDIMScheduler", ShiftedCosineScheduler(rescale_betas_zero_snr=True))
    table = [logsnr_of(scheduler, torch.tensor(t)).item() for t in (998.0, 998.5, 999.0)]
    assert table[0] > table[1] > table[2] == -30.0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("EDMEulerScheduler", {}),
        ("EDMDPMSolverMultistepScheduler", {}),
        ("IPNDMScheduler", {}),
        ("FlowMatchEulerDiscreteScheduler", {}),
        ("FlowMatchHeunDiscreteScheduler", {}),
        ("DPMSolverMultistepScheduler", {"use_flow_sigmas": True}),
        ("UniPCMultistepScheduler", {"use_beta_sigmas": True}),
        ("EulerDiscreteScheduler", {"use_beta_sigmas": True}),
        ("DDIMInverseScheduler", {}),
        ("DPMSolverMultistepScheduler", {"prediction_type": "flow_prediction"}),
    ],
)
def test_schedulers_of_other_processes_are_refused(unet, name, options):
    with pytest.raises(ValueError, match=name):
        draw(make_pipe(unet, swap(name, **options)))


def test_callbacks_of_diffusers(unet):
    class Stop(PipelineCallback):
        tensor_inputs = ["latents"]  # noqa: RUF012 - the form diffusers reads

        def callback_fn(self, pipeline, step_index, timestep, callback_kwargs):
            seen.append((pipeline.num_timesteps, pipeline.guidance_scale, pipeline.do_classifier_free_guidance))
            pipeline._guidance_scale = 1.0
            pipeline._interrupt = step_index == 2
            return {"latents": callback_kwargs["latents"].bfloat16()}

    seen = []
    pipe = make_pipe(unet, ShiftedCosineScheduler())
    images = draw(pipe, num_inference_steps=5, guidance_scale=2.0, class_labels=[1], callback_on_step_end=Stop())
    assert seen == [(5, 2.0, True), (5, 1.0, False), (5, 1.0, False)]
    assert images.dtype == torch.float32
    assert not torch.equal(images, draw(pipe, num_inference_steps=5, guidance_scale=2.0, class_labels=[1]))


def test_counts(unet):
    pipe = make_pipe(unet, ShiftedCosineScheduler(), id2label={0: "Hat", 1: "hat", 2: "Coat"})
    latents = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    expected = draw(pipe, latents=latents, class_labels=[2, 2, 0, 0], eta=0.0)
    assert_close(draw(pipe, latents=latents, class_labels=["coat", "Hat"], num_images_per_label=2, eta=0.0), expected)
    assert_close(
        draw(pipe, latents=latents, class_labels="coat", eta=0.0),
        draw(pipe, latents=latents, class_labels=[2] * 4, eta=0.0),
    )
    assert len(draw(pipe, batch_size=2, num_images_per_label=3)) == 6
    assert pipe.label_ids(["hat", "Hat", "COAT"]).tolist() == [1, 0, 2]
    with pytest.raises(ValueError, match="HAT"):  # either of two
        pipe.label_ids(["HAT"])


def test_the_constructor_sets_evaluation_mode_and_calls_leave_the_mode_alone():
    unet = make_unet(dropout=0.5).train()
    pipe = make_pipe(unet, ShiftedCosineScheduler())
    assert not unet.training
    unet.train()
    draw(pipe)
    assert unet.training


class Adapted(nn.Module):
    """The form of peft's layers: the weights as `base_layer`, the adapter beside them."""

    def __init__(self, base_layer):
        super().__init__()
        self.base_layer = base_layer


def test_what_would_not_load_again_is_not_saved(tmp_path):
    pipe = make_pipe(make_unet(), ShiftedCosineScheduler())
    for saved in (pipe, pipe.unet):
        with pytest.raises(ValueError, match="safe_serialization"):
            saved.save_pretrained(tmp_path / "saved", safe_serialization=False)
    block = pipe.unet.transformer_blocks[0]
    block.linear_1 = Adapted(block.linear_1)
    for saved in (pipe, pipe.unet):
        with pytest.raises(ValueError, match="adapters"):
            saved.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize("transform", ["patch", "dwt"])
def test_export_with_free_batch_height_and_width(transform):
    network = make_unet(input_transform=transform)

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, *inputs):
            return self.network(*inputs).sample

    batch, rows, columns = (torch.export.Dim(name, min=2, max=64) for name in ("batch", "rows", "columns"))
    inputs = (torch.randn(4, 3, 16, 24), torch.randn(4), torch.tensor([0, 1, 2, 3]))
    free = (({0: batch, 2: 4 * rows, 3: 4 * columns}, {0: batch}, {0: batch}),)
    program = torch.export.export(Plain(), inputs, dynamic_shapes=free).module()
    other = (torch.randn(3, 3, 32, 12), torch.randn(3), torch.tensor([1, 2, 3]))
    assert_close(program(*other), network(*other).sample, rtol=0, atol=1e-5)


def test_layerwise_casting_stores_float8():
    network = make_unet()
    inputs = (torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(2))
    expected = network(*inputs).sample
    network.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    assert network.transformer_blocks[0].linear_1.weight.dtype == torch.float8_e4m3fn
    error = (network(*inputs).sample - expected).norm() / expected.norm()
    assert 0 < error < 0.1  # float8 has 3 bits of mantissa, a relative rounding error of up to 1/16 in each weight

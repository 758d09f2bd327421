"""Weights of JiT: names, shapes and outputs of the released definition, its time, its sampler, and other files."""

import argparse
import pickle

import pytest
import torch
from jit_weights import START, jit_inputs, jit_shapes, jit_state
from safetensors.torch import save_file
from torch.testing import assert_close

from hf_kexue.simple_diffusion import ShiftedFlowScheduler, SimpleDiffusionPipeline, convert_jit
from hf_kexue.simple_diffusion.conversions_jit import jit_config, pipeline_from_jit
from hf_kexue.simple_diffusion.losses_simple_diffusion import simple_diffusion_loss

# What the released definition returns for `jit_state` and `jit_inputs` on z = t x_0 + (1 - t) s noise, in float32:
# the mean of the absolute values of each image, and the value of channel 1 at row 5, column 9. By noise scale s.
RELEASED = {
    1.0: ([1.348876, 1.144817, 1.269038, 1.351441], [0.417821, 1.106995, 1.299224, 1.758987]),
    2.0: ([1.292211, 1.124403, 1.279345, 1.353179], [0.557790, 1.216847, 1.118490, 1.774783]),
}


@pytest.fixture
def checkpoint(tmp_path):
    """As JiT saves one: three sets of weights under "net.", of which the first averaged one counts, and arguments."""
    sets = {
        name: {f"net.{key}": value + shift * (key != "pos_embed") for key, value in jit_state().items()}
        for name, shift in (("model", 2.0), ("model_ema1", 0.0), ("model_ema2", 1.0))
    }
    arguments = argparse.Namespace(noise_scale=2.0, cfg=2.9, img_size=16, model="tiny")
    torch.save({**sets, "optimizer": {"state": {}}, "epoch": 3, "args": arguments}, tmp_path / "checkpoint.pth")
    return tmp_path / "checkpoint.pth"


@pytest.fixture
def state_file(tmp_path):
    save_file(jit_state(), tmp_path / "jit.safetensors")
    return tmp_path / "jit.safetensors"


def on_the_path(noise_scale):
    """z of JiT at its t, the same images variance preserving, logSNR and classes."""
    images, noise, t, labels = jit_inputs()
    logsnr = 2 * torch.log(t / ((1 - t) * noise_scale))
    share = t.view(-1, 1, 1, 1)
    alpha, sigma = (torch.sigmoid(sign * logsnr).sqrt().view(-1, 1, 1, 1) for sign in (1, -1))
    z = share * images + (1 - share) * noise_scale * noise
    return z, alpha * images + sigma * noise, logsnr, t, labels


def test_the_shapes_say_what_network_it_is():
    config = jit_config(jit_state(), START)
    assert config == {
        "sample_size": 16, "patch_size": 4, "in_channels": 3, "out_channels": 3, "bottleneck_dim": 6,
        "hidden_size": 32, "num_transformer_layers": 3, "num_attention_heads": 2, "mlp_ratio": 4.0,
        "num_class_embeds": 3, "num_context_tokens": 2, "context_start": 1, "prediction_type": "sample",
        "conditioning": "flow_time",
    }  # fmt: skip


def test_every_weight_of_the_released_definition_has_its_place(state_file):
    network = pipeline_from_jit(state_file, context_start=START).unet
    shapes = {name: shape for name, shape in jit_shapes().items() if name != "pos_embed"}
    count = sum(torch.Size(shape).numel() for shape in shapes.values())
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert len(network.state_dict()) == len(shapes) + 2 * 3  # qkv of three blocks are two layers here


@pytest.mark.parametrize("noise_scale", RELEASED)
def test_outputs_are_those_of_the_released_definition(state_file, noise_scale):
    network = pipeline_from_jit(state_file, context_start=START, noise_scale=noise_scale).unet
    _, x_t, logsnr, _, labels = on_the_path(noise_scale)
    with torch.no_grad():
        output = network(x_t, logsnr, labels).sample
    means, values = (torch.tensor(row) for row in RELEASED[noise_scale])
    assert_close(output.abs().mean((1, 2, 3)), means, rtol=0, atol=1e-5)
    assert_close(output[:, 1, 5, 9], values, rtol=0, atol=1e-5)


@pytest.mark.parametrize("noise_scale", [1.0, 2.0])
def test_the_time_of_jit_is_the_flow_with_its_shift(state_file, noise_scale):
    """t counts the image, u the noise; deviation s of the noise is the shift s."""
    pipeline = pipeline_from_jit(state_file, context_start=START, noise_scale=noise_scale)
    z, x_t, logsnr, t, _ = on_the_path(noise_scale)
    embedding = pipeline.unet.time_embedding
    assert_close(embedding.time(logsnr), t, rtol=0, atol=1e-6)
    assert_close(embedding.scaled(x_t, logsnr), z, rtol=0, atol=1e-5)
    assert pipeline.scheduler.shift == noise_scale
    assert_close(pipeline.scheduler.logsnr(1 - t.double()), logsnr.double(), rtol=0, atol=1e-5)


def test_its_loss_is_the_flow_loss():
    """The mean square of (x_hat - z) / (1 - t) - (x - z) / (1 - t), where it does not clamp 1 - t at 0.05."""
    z, _, logsnr, t, _ = (value.double() for value in on_the_path(1.0))
    images, noise = (value.double() for value in jit_inputs()[:2])
    guess = images + 0.1 * noise.flip(0)
    share = t.view(-1, 1, 1, 1)
    theirs = ((guess - z) / (1 - share) - (images - z) / (1 - share)).square().mean((1, 2, 3))
    ours = simple_diffusion_loss(guess, images, noise, logsnr, "sample", "flow", reduction="none")
    assert_close(ours[:3], theirs[:3], rtol=1e-5, atol=0)  # logsnr is that of a float32 t


def jit_sampler(network, noise, labels, steps, noise_scale, guidance, heun):
    """Their loop, written out: guided velocities from t = 0 to 1, the last step Euler; 1 - t is not clamped."""

    def velocity(z, t):
        logsnr = torch.full((len(z),), t).logit() * 2 - 2 * torch.log(torch.tensor(noise_scale))
        logsnr = logsnr.clamp(-30, 30)
        x_vp = z / torch.hypot(torch.tensor(t), (1 - torch.tensor(t)) * noise_scale)
        images = [network(x_vp, logsnr, classes).sample for classes in (labels, torch.full_like(labels, 3))]
        conditional, unconditional = ((image - z) / (1 - t) for image in images)
        return unconditional + guidance * (conditional - unconditional)

    z = noise_scale * noise
    for i in range(steps):
        t, t_next = i / steps, (i + 1) / steps
        v = velocity(z, t)
        if heun and i + 1 < steps:
            v = (v + velocity(z + (t_next - t) * v, t_next)) / 2
        z = z + (t_next - t) * v
    return z


@pytest.mark.parametrize(("solver", "noise_scale"), [("euler", 1.0), ("heun", 1.0), ("euler", 2.0)])
def test_the_pipeline_takes_the_steps_of_jit(state_file, solver, noise_scale):
    pipeline = pipeline_from_jit(state_file, context_start=START, noise_scale=noise_scale)
    pipeline.scheduler = ShiftedFlowScheduler.from_config(pipeline.scheduler.config, solver=solver)
    pipeline.set_progress_bar_config(disable=True)
    _, noise, _, labels = jit_inputs()
    seen = {}
    pipeline(
        class_labels=labels[:3], latents=noise[:3], num_inference_steps=5, guidance_scale=2.0, output_type="pt",
        callback_on_step_end=lambda pipe, i, t, tensors: seen.update(tensors) or {},
    )  # fmt: skip
    with torch.no_grad():
        theirs = jit_sampler(pipeline.unet, noise[:3], labels[:3], 5, noise_scale, 2.0, solver == "heun")
    # The loop begins at logSNR -30, 3e-7 of the path after its end, and the outputs grow errors tenfold.
    assert_close(seen["latents"], theirs, rtol=0, atol=1e-4)


def test_a_checkpoint_is_read_with_its_averages_and_arguments(checkpoint, state_file, tmp_path):
    pipeline = convert_jit(checkpoint, tmp_path / "folder", context_start=START)
    assert pipeline.unet.config.noise_scale == 2.0
    assert pipeline.config.guidance_scale == 2.9
    expected = pipeline_from_jit(state_file, context_start=START).unet.state_dict()
    assert_close(pipeline.unet.state_dict(), expected, rtol=0, atol=0)
    other = pipeline_from_jit(checkpoint, context_start=START, weights="model").unet.state_dict()
    assert_close(other["context_embedding"], expected["context_embedding"] + 2, rtol=0, atol=1e-6)

    loaded = SimpleDiffusionPipeline.from_pretrained(tmp_path / "folder")
    loaded.set_progress_bar_config(disable=True)
    images = [
        pipe(class_labels=[0, 2], num_inference_steps=2, output_type="pt", generator=torch.Generator().manual_seed(0))
        for pipe in (pipeline, loaded)
    ]
    assert_close(images[0].images, images[1].images, rtol=0, atol=0)
    assert images[1].images.shape == (2, 3, 16, 16)


@pytest.mark.parametrize(("side", "noise_scale"), [(16, 1.0), (512, 2.0)])
def test_without_arguments_the_size_says_the_noise_scale(tmp_path, side, noise_scale):
    patch = side // 4
    state = jit_state() | {
        "x_embedder.proj1.weight": torch.zeros(6, 3, patch, patch),
        "final_layer.linear.weight": torch.zeros(3 * patch**2, 32),
        "final_layer.linear.bias": torch.zeros(3 * patch**2),
    }
    save_file(state, tmp_path / "jit.safetensors")
    pipeline = pipeline_from_jit(tmp_path / "jit.safetensors", context_start=START)
    assert (pipeline.unet.config.sample_size, pipeline.unet.config.noise_scale) == (side, noise_scale)


WRONG = {
    "missing": (lambda state: {k: v for k, v in state.items() if k != "blocks.1.norm2.weight"}, "blocks.1.norm2"),
    "unknown": (lambda state: state | {"decoder.weight": torch.zeros(2)}, "decoder.weight"),
    "misshapen": (lambda state: state | {"x_embedder.proj2.bias": torch.zeros(3)}, "patch_embedding.linear_2.bias"),
    "positions": (lambda state: state | {"pos_embed": state["pos_embed"] + 0.1}, "pos_embed is not"),
    "another": (lambda state: {"weight": torch.zeros(2)}, "holds no weights of JiT"),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_weights_raise(tmp_path, name):
    change, message = WRONG[name]
    save_file(change(jit_state()), tmp_path / "jit.safetensors")
    with pytest.raises(ValueError, match=message):
        pipeline_from_jit(tmp_path / "jit.safetensors", context_start=START)


def test_other_files_and_arguments_raise(tmp_path, checkpoint, state_file):
    with pytest.raises(OSError, match="is no file"):
        pipeline_from_jit(tmp_path / "nowhere.pth")
    (tmp_path / "code.pth").write_bytes(pickle.dumps(pytest.raises))
    with pytest.raises(ValueError, match="no checkpoint of tensors"):
        pipeline_from_jit(tmp_path / "code.pth")
    with pytest.raises(ValueError, match="say at which"):
        pipeline_from_jit(state_file)
    with pytest.raises(ValueError, match="context_start must lie"):
        pipeline_from_jit(state_file, context_start=3)
    with pytest.raises(ValueError, match="'model_ema3'"):
        pipeline_from_jit(checkpoint, weights="model_ema3", context_start=START)
    for scale in (-1.0, 0.0):
        with pytest.raises(ValueError, match=f"noise_scale is {scale}"):
            pipeline_from_jit(state_file, noise_scale=scale, context_start=START)

"""Contracts of the ViT once, for both kinds of conditioning; then its parts against plain twins."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from hf_kexue.simple_diffusion.complexity import count_flops
from hf_kexue.simple_diffusion.layers_vit import SwiGLU, ViTBlock, sincos_positions
from hf_kexue.simple_diffusion.modeling_vit import SimpleDiffusionViT2DModel
from hf_kexue.simple_diffusion.transformer_uvit import axial_rotary_angles

TINY = {
    "sample_size": 16, "patch_size": 4, "bottleneck_dim": 6, "hidden_size": 32, "num_transformer_layers": 3,
    "num_attention_heads": 2, "num_class_embeds": 5, "num_context_tokens": 3, "context_start": 1,
}  # fmt: skip
VARIANTS = {
    "logsnr": {},
    "flow_time": {"conditioning": "flow_time", "noise_scale": 2.0},
    "readouts": {"readout_sizes": (8, 4), "prediction_type": "v_prediction"},
    "guided": {"guidance_embedding": True, "num_context_tokens": 0},
}


@pytest.fixture(params=VARIANTS)
def variant(request):
    return VARIANTS[request.param]


def make_model(perturbed=True, seed=0, **arguments):
    """A tiny net; perturbed so that no gate and no output is left at its initial zero."""
    torch.manual_seed(seed)
    model = SimpleDiffusionViT2DModel(**(TINY | arguments)).eval()
    if perturbed:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return model


def make_inputs(batch=2, height=16, width=16, seed=1, classes=True):
    generator = torch.Generator().manual_seed(seed)
    inputs = {
        "sample": torch.randn(batch, 3, height, width, generator=generator),
        "logsnr": torch.linspace(-6, 9, batch),
    }
    return inputs | ({"class_labels": torch.arange(batch) % 5} if classes else {})


def everything(model, **inputs):
    """The prediction and those of the read-out heads, as a list."""
    return list(model(**inputs, return_dict=False, return_readouts=True))


def weighted_sum(tensors):
    """A scalar whose gradient differs from place to place."""
    generator = torch.Generator().manual_seed(3)
    return sum((x * torch.randn(x.shape, generator=generator)).sum() for x in tensors)


# Contracts


def test_the_first_step_predicts_exactly_zero(variant):
    for output in everything(make_model(perturbed=False, **variant), **make_inputs()):
        assert_close(output, torch.zeros_like(output), rtol=0, atol=0)


@pytest.mark.parametrize("subfolder", [None, "unet"])
def test_save_and_load(variant, subfolder, tmp_path):
    model = make_model(**variant)
    model.save_pretrained(tmp_path / subfolder if subfolder else tmp_path)
    loaded = SimpleDiffusionViT2DModel.from_pretrained(tmp_path, subfolder=subfolder)
    assert not loaded.training
    assert_close(loaded.state_dict(), model.state_dict(), rtol=0, atol=0)
    with torch.no_grad():
        assert_close(everything(loaded, **make_inputs()), everything(model, **make_inputs()), rtol=0, atol=0)
    written = json.loads((tmp_path / (subfolder or "") / "config.json").read_text())
    assert written["_class_name"] == "SimpleDiffusionViT2DModel"
    public = [{k: v for k, v in m.config.items() if not k.startswith("_")} for m in (loaded, model)]
    assert json.loads(json.dumps(public[0])) == json.loads(json.dumps(public[1]))


def test_tuple_equals_dict(variant):
    model, inputs = make_model(**variant), make_inputs()
    with torch.no_grad():
        (plain,) = model(**inputs, return_dict=False)
        named = model(**inputs)
        with_readouts = model(**inputs, return_readouts=True)
    assert_close(plain, named.sample, rtol=0, atol=0)
    assert named.readouts is None
    assert_close(with_readouts.sample, plain, rtol=0, atol=0)
    assert_close([plain, *with_readouts.readouts], everything(model, **inputs), rtol=0, atol=0)


def test_gradient_reaches_every_parameter(variant):
    model = make_model(dropout=0.1, **variant).train()
    weighted_sum(everything(model, **make_inputs())).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_gradient_reaches_the_input(variant):
    inputs = make_inputs()
    inputs["sample"].requires_grad_()
    weighted_sum([make_model(**variant)(**inputs).sample]).backward()
    assert (inputs["sample"].grad != 0).all()


def test_images_of_a_batch_do_not_meet(variant):
    model, inputs = make_model(**variant), make_inputs(batch=3)
    with torch.no_grad():
        together = model(**inputs).sample
        apart = torch.cat([model(**{k: v[i : i + 1] for k, v in inputs.items()}).sample for i in range(3)])
    assert_close(together, apart, rtol=1e-4, atol=1e-5)  # other kernels sum in another order


def test_bf16_is_near_float32(variant):
    inputs = make_inputs()
    with torch.no_grad():
        exact = make_model(**variant)(**inputs).sample
        half = make_model(**variant).to(torch.bfloat16)(**(inputs | {"sample": inputs["sample"].bfloat16()})).sample
        with torch.autocast("cpu", torch.bfloat16):
            cast = make_model(**variant)(**inputs).sample
    assert half.dtype == torch.bfloat16
    for other in (half, cast):  # bf16 keeps 8 bits, 0.4 %, which add up over the layers
        assert (other.float() - exact).norm() < 0.05 * exact.norm()


def test_float64_is_near_float32(variant):
    inputs = make_inputs()
    with torch.no_grad():
        single = make_model(**variant)(**inputs).sample
        double = make_model(**variant).double()(**(inputs | {"sample": inputs["sample"].double()})).sample
    assert_close(single.double(), double, rtol=1e-3, atol=1e-4)  # embeddings are computed in float32


def test_gradient_checkpointing_changes_no_gradient(variant):
    gradients = []
    for checkpointing in (False, True):
        model = make_model(**variant).train()
        if checkpointing:
            model.enable_gradient_checkpointing()
            assert model.is_gradient_checkpointing
        weighted_sum(everything(model, **make_inputs())).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    assert_close(gradients[1], gradients[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["flow_time", "readouts"])
def test_torch_compile_without_graph_breaks(name):
    model, inputs = make_model(**VARIANTS[name]), make_inputs()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert_close(compiled(**inputs).sample, model(**inputs).sample, rtol=0, atol=0)


@pytest.mark.parametrize(("height", "width"), [(8, 24), (32, 32), (4, 4)])
def test_other_sizes(variant, height, width):
    model = make_model(**variant)
    with torch.no_grad():
        outputs = everything(model, **make_inputs(height=height, width=width))
    ratios = [16 // size for size in (16, *variant.get("readout_sizes", ()))]
    assert [output.shape for output in outputs] == [(2, 3, height // r, width // r) for r in ratios]
    assert all(output.isfinite().all() and output.std() > 0 for output in outputs)


def test_no_labels_are_the_null_class(variant):
    model, inputs = make_model(**variant), make_inputs(classes=False)
    with torch.no_grad():
        null = model(**inputs, class_labels=torch.full((2,), 5)).sample
        assert_close(model(**inputs).sample, null, rtol=0, atol=0)
        assert (model(**inputs, class_labels=torch.zeros(2, dtype=torch.int64)).sample - null).abs().max() > 1e-3


def test_logsnr_as_number_scalar_or_row():
    model, inputs = make_model(), make_inputs()
    with torch.no_grad():
        row = model(inputs["sample"], torch.full((2,), 1.5)).sample
        for logsnr in (1.5, torch.tensor(1.5), torch.tensor([1.5]), torch.full((2,), 1.5, dtype=torch.float64)):
            assert_close(model(inputs["sample"], logsnr).sample, row, rtol=0, atol=0)
        assert (model(inputs["sample"], torch.full((2,), 2.0)).sample - row).abs().max() > 1e-3


def test_a_fresh_scale_changes_nothing_and_only_a_guided_network_takes_one():
    model, inputs = make_model(perturbed=False, guidance_embedding=True), make_inputs()
    nn.init.normal_(model.head_out.linear.weight)
    nn.init.normal_(model.head_out.modulation.weight)
    with torch.no_grad():
        assert_close(model(**inputs, guidance_scale=7.0).sample, model(**inputs).sample, rtol=0, atol=0)
    with pytest.raises(ValueError, match="guidance_embedding"):
        make_model()(**inputs, guidance_scale=2.0)


def test_dropout_acts_in_the_middle_half_of_the_depth():
    model = make_model(num_transformer_layers=8, dropout=0.5)
    places = {name.split(".")[1] for name, m in model.named_modules() if isinstance(m, nn.Dropout) and m.p > 0}
    assert places == {"2", "3", "4", "5"}


def test_without_classes_the_context_tokens_are_learned_alone():
    model, inputs = make_model(num_class_embeds=None), make_inputs(classes=False)
    with torch.no_grad():
        before = model(**inputs).sample
        model.context_embedding.zero_()
        assert (model(**inputs).sample - before).abs().max() > 1e-3
    with pytest.raises(ValueError, match="no classes"):
        model(**make_inputs())


def test_flops_are_counted_of_either_network():
    model = make_model()
    tokens, hidden = 16, 32
    at_least = 2 * tokens * 3 * (4 + 8) * hidden**2  # products of attention and SwiGLU in three blocks
    assert at_least < count_flops(model) < 2 * at_least
    assert 3.5 * count_flops(model) < count_flops(model, 32, 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(({name: 0}, f"{name} is 0") for name in ("sample_size", "in_channels", "patch_size", "bottleneck_dim")),
        *(({name: 0}, f"{name} is 0") for name in ("num_transformer_layers", "num_class_embeds", "noise_scale")),
        ({"mlp_ratio": -1.0}, "mlp_ratio is"),
        ({"hidden_size": 36}, "multiple of 4 \\* num_attention_heads"),
        ({"sample_size": 18}, "multiple of the total stride 4"),
        ({"dropout": 1.0}, "dropout must lie"),
        ({"num_context_tokens": -1}, "num_context_tokens must"),
        ({"context_start": 3}, "context_start must lie"),
        ({"prediction_type": "velocity"}, "prediction_type is"),
        ({"conditioning": "t"}, "conditioning is"),
        ({"readout_sizes": (16,)}, "readout_sizes must be"),
        ({"readout_sizes": (2,)}, "readout_sizes must be"),
        ({"readout_sizes": (0,)}, "readout_sizes must be"),
        ({"readout_sizes": (4, 8)}, "readout_sizes must descend"),
        ({"readout_sizes": (8, 4), "num_transformer_layers": 2}, "different blocks"),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_wrong_configs_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        SimpleDiffusionViT2DModel(**(TINY | arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample": torch.zeros(2, 1, 16, 16)}, "shape \\(B, 3, H, W\\)"),
        ({"sample": torch.zeros(2, 3, 18, 16)}, "multiples of 4"),
        ({"sample": torch.zeros(2, 3, 16, 0)}, "multiples of 4"),
        ({"logsnr": torch.zeros(3)}, "logsnr must"),
        ({"class_labels": torch.zeros(2)}, "class_labels must"),
        ({"class_labels": torch.tensor([0, 6])}, "lie in 0..5"),
    ],
    ids=lambda value: "-".join(f"{k}{tuple(v.shape)}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_wrong_inputs_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_model()(**(make_inputs() | arguments))


# Parts against plain twins


def plain_rms(x, weight):
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight


def turned(x, angles):
    """Rotary positions as products of complex numbers; x (L, d), angles (L, d / 2)."""
    half = x.shape[1] // 2
    pairs = torch.complex(x[:, :half], x[:, half:]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([pairs.real, pairs.imag], dim=1)


def plain_block(block, x, emb, angles):
    """One image (L, D), head by head, in float64."""
    shift1, scale1, gate1, shift2, scale2, gate2 = block.modulation(emb).chunk(6)
    h = plain_rms(x, block.norm1.weight) * (1 + scale1) + shift1
    q, (k, v) = block.attn.to_q(h), block.attn.to_kv(h).chunk(2, dim=1)
    d, heads = len(block.attn.norm_q.weight), []
    for i in range(0, len(emb), d):
        query = turned(plain_rms(q[:, i : i + d], block.attn.norm_q.weight), angles)
        key = turned(plain_rms(k[:, i : i + d], block.attn.norm_k.weight), angles)
        heads.append(torch.softmax(query @ key.T / math.sqrt(d), dim=1) @ v[:, i : i + d])
    x = x + gate1 * block.attn.to_out(torch.cat(heads, dim=1))
    h = plain_rms(x, block.norm2.weight) * (1 + scale2) + shift2
    inner = block.mlp.linear_1(h)
    inner = F.silu(inner[:, : inner.shape[1] // 2]) * inner[:, inner.shape[1] // 2 :]
    return x + gate2 * block.mlp.linear_2(inner)


def test_the_whole_network_equals_a_plain_twin():
    """Image by image: patches cut by slicing, class tokens before the second block, pixels laid one by one."""
    model, inputs = make_model().double(), make_inputs()
    sample, grid, patch = inputs["sample"].double(), 4, 4
    angles = axial_rotary_angles(grid, grid, 16, 16.0, sample.device, 10000.0, centred=False).double()
    places = sincos_positions(grid, grid, 32, 16.0, sample.device).double()
    expected = torch.zeros_like(sample)
    with torch.no_grad():
        for b, (label, logsnr) in enumerate(zip(inputs["class_labels"], inputs["logsnr"])):
            of_class = model.class_embedding.weight[label]
            emb = F.silu(model.time_embedding(logsnr[None], torch.float64)[0] + of_class)
            cut = [sample[b, :, r : r + patch, c : c + patch] for r in range(0, 16, 4) for c in range(0, 16, 4)]
            x = model.patch_embedding(torch.stack([pixels.flatten() for pixels in cut])) + places
            x = plain_block(model.transformer_blocks[0], x, emb, angles)
            x = torch.cat([model.context_embedding + of_class, x])
            for block in model.transformer_blocks[1:]:
                x = plain_block(block, x, emb, torch.cat([torch.zeros(3, 8).double(), angles]))
            shift, scale = model.head_out.modulation(emb).chunk(2)
            pixels = model.head_out.linear(plain_rms(x[3:], model.head_out.norm.weight) * (1 + scale) + shift)
            for i, values in enumerate(pixels):
                r, c = 4 * (i // grid), 4 * (i % grid)
                expected[b, :, r : r + patch, c : c + patch] = values.view(3, patch, patch)
        output = model(sample, inputs["logsnr"], inputs["class_labels"]).sample
    assert_close(output, expected, rtol=1e-5, atol=1e-6)  # positions are float32 in both, summed in another order


def test_positions_of_a_larger_grid_span_that_of_training():
    """Twice as dense, and the same in every second row and column."""
    small = sincos_positions(4, 4, 32, 16.0, torch.device("cpu")).view(4, 4, 32)
    large = sincos_positions(8, 8, 32, 16.0, torch.device("cpu")).view(8, 8, 32)
    assert_close(large[::2, ::2], small, rtol=0, atol=1e-6)


def test_swiglu_has_as_many_weights_as_the_mlp_that_it_replaces():
    layer = SwiGLU(96, 4.0, 0.0)
    count = layer.linear_1.weight.numel() + layer.linear_2.weight.numel()
    assert count == 2 * 96 * 4 * 96


def test_a_fresh_block_passes_its_input_on():
    x, rotary = torch.randn(2, 4, 32), (torch.ones(4, 8), torch.zeros(4, 8))
    with torch.no_grad():
        assert_close(ViTBlock(32, 2, 2.0, 0.0)(x, torch.randn(2, 32), rotary), x, rtol=0, atol=0)


def test_coarser_readouts_are_read_from_shallower_blocks():
    model, inputs = make_model(num_transformer_layers=6, readout_sizes=(8, 4)), make_inputs()
    assert model.readout_after == [4, 2]
    with torch.no_grad():
        before = everything(model, **inputs)
        model.transformer_blocks[3].modulation.weight.mul_(2)  # after the coarse head, before the fine one
        after = everything(model, **inputs)
    assert_close(after[2], before[2], rtol=0, atol=0)
    assert all((after[i] - before[i]).abs().max() > 1e-4 for i in (0, 1))

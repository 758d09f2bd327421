"""Contracts of the U-ViT once, for both skips and both input transforms; then its parts against plain twins."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from hf_kexue.inference.precision import dtype_argument
from hf_kexue.simple_diffusion.complexity import count_flops, count_parameters
from hf_kexue.simple_diffusion.layers_uvit import ResnetBlock, UpBlock
from hf_kexue.simple_diffusion.modeling_uvit import SimpleDiffusionUViT2DModel
from hf_kexue.simple_diffusion.transformer_uvit import Attention, TransformerBlock, apply_rotary, axial_rotary_angles

TINY = {
    "sample_size": 16,
    "in_channels": 3,
    "out_channels": 3,
    "patch_size": 2,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "hidden_size": 32,
    "num_transformer_layers": 2,
    "num_attention_heads": 2,
    "norm_num_groups": 4,
    "num_class_embeds": 5,
}
VARIANTS = {
    f"{skip}-{transform}": {"skip": skip, "input_transform": transform}
    for skip in ("concat", "residual")
    for transform in ("patch", "dwt")
}


@pytest.fixture(params=VARIANTS)
def variant(request):
    return VARIANTS[request.param]


def make_model(perturbed=True, seed=0, **arguments):
    """A tiny net; perturbed so that no gate and no output is left at its initial zero."""
    torch.manual_seed(seed)
    model = SimpleDiffusionUViT2DModel(**(TINY | arguments)).eval()
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


def make_text(batch=2, length=4, width=12, seed=2):
    return torch.randn(batch, length, width, generator=torch.Generator().manual_seed(seed))


def weighted_sum(x):
    """A scalar whose gradient differs from place to place."""
    return (x * torch.randn(x.shape, generator=torch.Generator().manual_seed(3))).sum()


# Contracts


def test_the_first_step_predicts_exactly_zero(variant):
    output = make_model(perturbed=False, **variant)(**make_inputs()).sample
    assert output.shape == (2, 3, 16, 16)
    assert_close(output, torch.zeros_like(output), rtol=0, atol=0)


@pytest.mark.parametrize("subfolder", [None, "unet"])
def test_save_and_load(variant, subfolder, tmp_path):
    model = make_model(cross_attention_dim=12, **variant)
    model.save_pretrained(tmp_path / subfolder if subfolder else tmp_path)
    loaded = SimpleDiffusionUViT2DModel.from_pretrained(tmp_path, subfolder=subfolder)
    assert not loaded.training
    expected, got = model.state_dict(), loaded.state_dict()
    assert expected.keys() == got.keys()
    for key in expected:
        assert_close(got[key], expected[key], rtol=0, atol=0, msg=key)
    inputs = make_inputs() | {"encoder_hidden_states": make_text()}
    with torch.no_grad():
        assert_close(loaded(**inputs).sample, model(**inputs).sample, rtol=0, atol=0)
    written = json.loads((tmp_path / (subfolder or "") / "config.json").read_text())
    assert written["_class_name"] == "SimpleDiffusionUViT2DModel"
    public = {key: value for key, value in loaded.config.items() if not key.startswith("_")}
    before = {key: value for key, value in model.config.items() if not key.startswith("_")}
    assert json.loads(json.dumps(public)) == json.loads(json.dumps(before))


def test_load_in_half_precision(tmp_path):
    make_model().save_pretrained(tmp_path)
    loaded = SimpleDiffusionUViT2DModel.from_pretrained(tmp_path, **{dtype_argument("diffusers"): torch.bfloat16})
    assert loaded.dtype == torch.bfloat16
    assert loaded(**to_dtype(make_inputs(), torch.bfloat16)).sample.isfinite().all()


def test_tuple_equals_dict(variant):
    model, inputs = make_model(**variant), make_inputs()
    with torch.no_grad():
        (plain,) = model(**inputs, return_dict=False)
        named = model(**inputs)
    assert_close(plain, named.sample, rtol=0, atol=0)
    assert_close(plain, named[0], rtol=0, atol=0)


def test_determinism(variant):
    model, inputs = make_model(**variant), make_inputs()
    with torch.no_grad():
        assert_close(model(**inputs).sample, model(**inputs).sample, rtol=0, atol=0)
        assert_close(make_model(**variant)(**inputs).sample, model(**inputs).sample, rtol=0, atol=0)


def test_gradient_reaches_every_parameter(variant):
    model = make_model(cross_attention_dim=12, dropout=0.1, **variant).train()
    weighted_sum(model(**make_inputs(), encoder_hidden_states=make_text()).sample).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_gradient_reaches_the_input(variant):
    inputs = make_inputs()
    inputs["sample"].requires_grad_()
    weighted_sum(make_model(**variant)(**inputs).sample).backward()
    assert (inputs["sample"].grad != 0).all()


def test_images_of_a_batch_do_not_meet(variant):
    model, inputs = make_model(**variant), make_inputs(batch=3)
    with torch.no_grad():
        together = model(**inputs).sample
        apart = torch.cat([model(**{k: v[i : i + 1] for k, v in inputs.items()}).sample for i in range(3)])
    # Other kernels sum in another order: float32 rounding on activations of size up to 10.
    assert_close(together, apart, rtol=1e-4, atol=1e-5)


def to_dtype(inputs, dtype):
    return {k: v.to(dtype) if k in ("sample", "encoder_hidden_states") else v for k, v in inputs.items()}


def test_bf16_is_near_float32(variant):
    inputs = make_inputs() | {"encoder_hidden_states": make_text()}
    with torch.no_grad():
        exact = make_model(cross_attention_dim=12, **variant)(**inputs).sample
        model = make_model(cross_attention_dim=12, **variant).to(torch.bfloat16)
        half = model(**to_dtype(inputs, torch.bfloat16)).sample
    assert half.dtype == torch.bfloat16
    # bf16 keeps 8 bits, 0.4 %; some twenty layers in a row add up like a random walk to 2 %.
    assert (half.float() - exact).norm() < 0.05 * exact.norm()


def test_bf16_autocast_is_near_float32(variant):
    model, inputs = make_model(**variant), make_inputs()
    with torch.no_grad():
        exact = model(**inputs).sample
        with torch.autocast("cpu", torch.bfloat16):
            half = model(**inputs).sample
    assert (half.float() - exact).norm() < 0.05 * exact.norm()  # as above


def test_float64_is_near_float32(variant):
    inputs = make_inputs()
    with torch.no_grad():
        single = make_model(**variant)(**inputs).sample
        double = make_model(**variant).double()(**to_dtype(inputs, torch.float64)).sample
    assert_close(single.double(), double, rtol=1e-3, atol=1e-4)  # the embedding turns up to 60 radians in float32


def test_logsnr_is_embedded_in_float32_by_a_bf16_net():
    """Frequencies rounded to bf16 would turn logSNR 15 by 0.1 radian too much."""
    logsnr = torch.tensor([-15.0, 7.3, 15.0])
    features = []
    for dtype in (torch.float32, torch.bfloat16):
        embedding = make_model().to(dtype).logsnr_embedding
        embedding.linear_1.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0].float()))
        embedding(logsnr, dtype)
    assert_close(features[1], features[0], rtol=0, atol=2**-8)  # sines rounded to bf16, and nothing else


def test_gradient_checkpointing_changes_no_gradient(variant):
    gradients = []
    for checkpointing in (False, True):
        model = make_model(cross_attention_dim=12, **variant).train()
        if checkpointing:
            model.enable_gradient_checkpointing()
            assert model.is_gradient_checkpointing
        inputs = make_inputs() | {"encoder_hidden_states": make_text()}
        output = model(**inputs, encoder_attention_mask=torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])).sample
        weighted_sum(output).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        assert_close(gradients[1][name], gradient, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("name", ["concat-patch", "residual-dwt"])
def test_torch_compile_without_graph_breaks(name):
    model = make_model(cross_attention_dim=12, num_transformer_layers=1, block_out_channels=(8,), **VARIANTS[name])
    inputs = make_inputs() | {"encoder_hidden_states": make_text(), "encoder_attention_mask": torch.ones(2, 4)}
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert_close(compiled(**inputs).sample, model(**inputs).sample, rtol=0, atol=0)
        unlabelled = {"sample": inputs["sample"], "logsnr": inputs["logsnr"]}
        assert_close(compiled(**unlabelled).sample, model(**unlabelled).sample, rtol=0, atol=0)


@pytest.mark.parametrize(("height", "width"), [(8, 24), (24, 16), (32, 32), (8, 8)])
def test_other_sizes(variant, height, width):
    model = make_model(**variant)
    with torch.no_grad():
        output = model(**make_inputs(height=height, width=width)).sample
    assert output.shape == (2, 3, height, width)
    assert output.isfinite().all()
    assert output.std() > 0


def test_one_token():
    model = make_model(sample_size=8)
    with torch.no_grad():
        assert model(**make_inputs(height=8, width=8)).sample.shape == (2, 3, 8, 8)


@pytest.mark.parametrize("transform", ["patch", "dwt"])
@pytest.mark.parametrize("patch_size", [1, 4])
def test_other_patches(patch_size, transform):
    model = make_model(patch_size=patch_size, input_transform=transform, block_out_channels=(8,))
    with torch.no_grad():
        assert model(**make_inputs()).sample.shape == (2, 3, 16, 16)
    assert model.total_stride == 2 * patch_size


def test_other_channels_and_depths():
    model = make_model(in_channels=1, out_channels=2, layers_per_block=(1, 2), embedding_dim=24, mlp_ratio=1.5)
    inputs = make_inputs()
    with torch.no_grad():
        output = model(inputs["sample"][:, :1], inputs["logsnr"]).sample
    assert output.shape == (2, 2, 16, 16)
    assert [len(block.resnets) for block in model.down_blocks] == [1, 2]
    assert [len(block.resnets) for block in model.up_blocks] == [2, 1]


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


def test_dropout_acts_inside_the_transformer_only():
    model = make_model(dropout=0.5)
    places = [name for name, module in model.named_modules() if isinstance(module, nn.Dropout) and module.p > 0]
    assert places
    assert all(name.startswith("transformer_blocks.") for name in places)
    seen = {}

    def remember(name):
        return lambda module, inputs, output: seen.setdefault(name, []).append(output)

    model.down_blocks[-1].register_forward_hook(lambda m, i, output: remember("above")(m, i, output[0]))
    model.transformer_blocks[-1].register_forward_hook(remember("transformer"))
    inputs = make_inputs()
    with torch.no_grad():
        model(**inputs)
        model.train()
        torch.manual_seed(0)
        model(**inputs)
        torch.manual_seed(0)
        model(**inputs)
        model(**inputs)
    assert_close(seen["above"][1], seen["above"][0], rtol=0, atol=0)
    still, first, again, other = seen["transformer"]
    assert_close(first, again, rtol=0, atol=0)
    assert (first - still).abs().max() > 1e-3
    assert (first - other).abs().max() > 1e-3


def test_cross_attention_reads_text_and_honours_its_mask():
    model, inputs, text = make_model(cross_attention_dim=12), make_inputs(), make_text(length=5)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])
    with torch.no_grad():
        masked = model(**inputs, encoder_hidden_states=text, encoder_attention_mask=mask).sample
        for dtype in (torch.bool, torch.float32):
            again = model(**inputs, encoder_hidden_states=text, encoder_attention_mask=mask.to(dtype)).sample
            assert_close(again, masked, rtol=0, atol=0)
        rubbish = torch.where(mask[..., None].bool(), text, 100.0)
        other = model(**inputs, encoder_hidden_states=rubbish, encoder_attention_mask=mask).sample
        assert_close(other, masked, rtol=1e-5, atol=1e-5)
        short = model(
            sample=inputs["sample"][1:],
            logsnr=inputs["logsnr"][1:],
            class_labels=inputs["class_labels"][1:],
            encoder_hidden_states=text[1:, :2],
        ).sample
        assert_close(masked[1:], short, rtol=1e-4, atol=1e-5)  # padding changes the order of sums only
        full = model(**inputs, encoder_hidden_states=text).sample
        all_true = model(**inputs, encoder_hidden_states=text, encoder_attention_mask=torch.ones(2, 5)).sample
        assert_close(full, all_true, rtol=1e-4, atol=1e-5)
        assert (full - masked).abs().max() > 1e-3
        assert (full - model(**inputs).sample).abs().max() > 1e-3


def test_fresh_cross_attention_changes_nothing():
    """So that a text condition can be added to a trained network without a jump."""
    block = TransformerBlock(32, 2, 2.0, 0.0, cross_attention_dim=12)
    x, rotary = torch.randn(2, 4, 32), (torch.ones(4, 8), torch.zeros(4, 8))
    modulation = torch.randn(2, 6, 32)
    with torch.no_grad():
        assert_close(block(x, modulation, rotary, make_text()), block(x, modulation, rotary), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_transform": "fft"}, "input_transform must be"),
        ({"skip": "add"}, "skip must be"),
        ({"patch_size": 0}, "patch_size must be"),
        ({"patch_size": -2}, "patch_size must be"),
        ({"patch_size": 3, "input_transform": "dwt", "sample_size": 12}, "power of two"),
        ({"block_out_channels": ()}, "at least one"),
        ({"block_out_channels": (8, 0)}, "block_out_channels must be"),
        ({"layers_per_block": 0}, "layers_per_block must be"),
        ({"layers_per_block": (1, 2, 3)}, "layers_per_block must be"),
        ({"hidden_size": 36}, "multiple of 4 \\* num_attention_heads"),
        ({"hidden_size": 0}, "hidden_size must be"),
        ({"num_attention_heads": 0}, "num_attention_heads must be"),
        ({"num_transformer_layers": -1}, "num_transformer_layers must not be negative"),
        ({"mlp_ratio": 0.0}, "mlp_ratio must be"),
        ({"dropout": 1.0}, "dropout must lie"),
        ({"dropout": -0.1}, "dropout must lie"),
        ({"num_class_embeds": 0}, "num_class_embeds must be"),
        ({"cross_attention_dim": 0}, "cross_attention_dim must be"),
        ({"embedding_dim": -8}, "embedding_dim must be"),
        ({"norm_num_groups": 0}, "norm_num_groups must be"),
        ({"in_channels": 0}, "in_channels must be"),
        ({"out_channels": 0}, "out_channels must be"),
        ({"sample_size": 20}, "multiple of the total stride 8"),
        ({"sample_size": 0}, "sample_size must be"),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_wrong_configs_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        SimpleDiffusionUViT2DModel(**(TINY | arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample": torch.zeros(2, 1, 16, 16)}, "shape \\(B, 3, H, W\\)"),
        ({"sample": torch.zeros(3, 16, 16)}, "shape \\(B, 3, H, W\\)"),
        ({"sample": torch.zeros(2, 3, 20, 16)}, "multiples of 8"),
        ({"sample": torch.zeros(2, 3, 16, 0)}, "multiples of 8"),
        ({"logsnr": torch.zeros(3)}, "logsnr must"),
        ({"logsnr": torch.zeros(2, 1)}, "logsnr must"),
        ({"class_labels": torch.zeros(3, dtype=torch.int64)}, "class_labels must"),
        ({"class_labels": torch.zeros(2)}, "class_labels must"),
        ({"class_labels": torch.tensor([0, 6])}, "lie in 0..5"),
        ({"class_labels": torch.tensor([-1, 0])}, "lie in 0..5"),
        ({"encoder_hidden_states": torch.zeros(2, 4, 12)}, "no cross-attention"),
        ({"encoder_attention_mask": torch.ones(2, 4)}, "encoder_attention_mask"),
    ],
    ids=lambda value: "-".join(f"{k}{tuple(v.shape)}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_wrong_inputs_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_model()(**(make_inputs() | arguments))


def test_inputs_that_the_model_was_not_built_for():
    with pytest.raises(ValueError, match="no classes"):
        make_model(num_class_embeds=None)(**make_inputs())
    model = make_model(cross_attention_dim=12)
    with pytest.raises(ValueError, match="encoder_hidden_states must"):
        model(**make_inputs(), encoder_hidden_states=make_text(width=10))
    with pytest.raises(ValueError, match="encoder_attention_mask must"):
        model(**make_inputs(), encoder_hidden_states=make_text(), encoder_attention_mask=torch.ones(2, 3))


# Parts against plain twins


def rms_norm(x, weight):
    return x / (x.square().mean() + 1e-6).sqrt() * weight


def turn(x, angles):
    """Rotation as a product of complex numbers."""
    half = len(x) // 2
    turned = torch.complex(x[:half], x[half:]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag])


def plain_attention(layer, x, angles=None, context=None, mask=None):
    """Query by query, head by head, softmax written out."""
    source = x if context is None else context
    size = layer.to_q.weight.shape[0]
    width = size // layer.num_heads
    w_k, w_v = layer.to_kv.weight[:size], layer.to_kv.weight[size:]
    images = []
    for b in range(len(x)):
        rows = []
        for i in range(x.shape[1]):
            heads = []
            for h in range(layer.num_heads):
                part = slice(h * width, (h + 1) * width)
                q = rms_norm(layer.to_q.weight[part] @ x[b, i], layer.norm_q.weight)
                q = q if angles is None else turn(q, angles[i])
                scores, values = [], []
                for j in range(source.shape[1]):
                    if mask is not None and not mask[b, j]:
                        continue
                    k = rms_norm(w_k[part] @ source[b, j], layer.norm_k.weight)
                    k = k if angles is None else turn(k, angles[j])
                    scores.append((q @ k / math.sqrt(width)).exp())
                    values.append(w_v[part] @ source[b, j])
                share = torch.stack(scores) / sum(scores)
                heads.append(share @ torch.stack(values))
            rows.append(layer.to_out.weight @ torch.cat(heads) + layer.to_out.bias)
        images.append(torch.stack(rows))
    return torch.stack(images)


def make_attention(context_dim=None):
    torch.manual_seed(0)
    layer = Attention(16, 2, context_dim).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, dtype=torch.float64))
    return layer


def test_self_attention_against_a_plain_softmax():
    layer, x = make_attention(), torch.randn(2, 6, 16, dtype=torch.float64)
    angles = axial_rotary_angles(2, 3, 8, 6, x.device).double()
    with torch.no_grad():
        got = layer(x, (angles.cos(), angles.sin()))
        assert_close(got, plain_attention(layer, x, angles), rtol=1e-10, atol=1e-10)


def test_cross_attention_against_a_plain_softmax():
    layer, x = make_attention(5), torch.randn(2, 3, 16, dtype=torch.float64)
    text, mask = make_text(2, 4, 5).double(), torch.tensor([[True, True, False, True], [True, False, False, False]])
    with torch.no_grad():
        got = layer(x, context=text, context_mask=mask[:, None, None])
        assert_close(got, plain_attention(layer, x, context=text, mask=mask), rtol=1e-10, atol=1e-10)


def test_attention_ignores_the_length_of_queries_and_keys():
    """QK normalisation: scaling both projections changes nothing but the 1e-6 under the root."""
    layer, x = make_attention(), torch.randn(1, 4, 16, dtype=torch.float64)
    with torch.no_grad():
        before = layer(x)
        layer.to_q.weight.mul_(50)
        layer.to_kv.weight[:16].mul_(20)
        assert_close(layer(x), before, rtol=1e-5, atol=1e-5)


def test_rotary_scores_depend_on_relative_positions_only():
    height, width, dim = 3, 4, 16
    angles = axial_rotary_angles(height, width, dim, height * width, torch.device("cpu")).double()
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(dim, dtype=torch.float64, generator=generator) for _ in range(2))
    at = [apply_rotary(x.expand(1, 1, height * width, dim), angles.cos(), angles.sin())[0, 0] for x in (q, k)]
    scores = (at[0] @ at[1].T).view(height, width, height, width)
    by_displacement = {}
    for i in range(height):
        for j in range(width):
            for m in range(height):
                for n in range(width):
                    by_displacement.setdefault((m - i, n - j), []).append(scores[i, j, m, n])
    for same in map(torch.stack, by_displacement.values()):
        assert_close(same, same[:1].expand_as(same), rtol=0, atol=1e-5)  # the angles are float32
    distinct = torch.stack([same[0] for same in by_displacement.values()])
    assert distinct.unique().numel() == len(by_displacement)
    assert_close(at[0].norm(dim=-1), q.norm().expand(height * width))


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (2, 6)], ids=["square", "wide"])
def test_rotary_coordinates_span_the_same_area_at_another_resolution(height, width, factor):
    """The mean angle over each square of the finer grid is the angle of the coarse token that covers it."""
    device, dim = torch.device("cpu"), 16
    coarse = axial_rotary_angles(height, width, dim, 16, device).T.reshape(dim // 2, height, width)
    fine = axial_rotary_angles(factor * height, factor * width, dim, 16, device)
    fine = fine.T.reshape(dim // 2, factor * height, factor * width)
    assert_close(F.avg_pool2d(fine[None], factor)[0], coarse, rtol=1e-5, atol=1e-6)


def test_rotary_angles_of_the_training_grid():
    """Unit spacing, centred; frequencies fall geometrically from 1; rows in the first half, columns in the second."""
    angles = axial_rotary_angles(4, 4, 16, 16, torch.device("cpu")).view(4, 4, 8)
    frequencies = torch.tensor([100.0 ** (-i / 4) for i in range(4)])
    places = torch.tensor([-1.5, -0.5, 0.5, 1.5])
    assert_close(angles[:, 2, :4], places[:, None] * frequencies)
    assert_close(angles[2, :, 4:], places[:, None] * frequencies)


def perturbed_block(block):
    torch.manual_seed(0)
    block = block.double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, dtype=torch.float64))
    return block


def test_transformer_block_against_its_formula():
    """Norm, scale, shift; attention times gate; norm, scale, shift; perceptron times gate."""
    block = perturbed_block(TransformerBlock(16, 2, 1.5, 0.0, cross_attention_dim=5))
    x, text, modulation = torch.randn(2, 4, 16).double(), make_text(2, 3, 5).double(), torch.randn(2, 6, 16).double()
    angles = axial_rotary_angles(2, 2, 8, 4, x.device).double()

    def normalised(h):
        centred = h - h.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()

    with torch.no_grad():
        shift1, scale1, gate1, shift2, scale2, gate2 = (modulation + block.modulation_table).unsqueeze(2).unbind(1)
        h = x + gate1 * plain_attention(block.attn, normalised(x) * (1 + scale1) + shift1, angles)
        query = normalised(h) * block.norm_cross.weight + block.norm_cross.bias
        h = h + plain_attention(block.cross_attn, query, context=text)
        inner = (normalised(h) * (1 + scale2) + shift2) @ block.linear_1.weight.T + block.linear_1.bias
        inner = inner / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3)))
        expected = h + gate2 * (inner @ block.linear_2.weight.T + block.linear_2.bias)
        got = block(x, modulation, (angles.cos(), angles.sin()), text)
    assert_close(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("out_channels", [8, 12], ids=["identity-shortcut", "projected-shortcut"])
def test_resnet_block_against_its_formula(out_channels):
    block = perturbed_block(ResnetBlock(8, out_channels, 6, 4))
    x, emb = torch.randn(2, 8, 4, 6).double(), torch.randn(2, 6).double()

    def group_norm(h, norm):
        parts = h.unflatten(1, (4, -1))
        centred = parts - parts.mean(dim=(2, 3, 4), keepdim=True)
        whitened = centred / (centred.square().mean(dim=(2, 3, 4), keepdim=True) + 1e-5).sqrt()
        return whitened.flatten(1, 2) * norm.weight[:, None, None] + norm.bias[:, None, None]

    def silu(h):
        return h / (1 + torch.exp(-h))

    with torch.no_grad():
        film = emb @ block.modulation.weight.T + block.modulation.bias
        scale, shift = film[:, :out_channels, None, None], film[:, out_channels:, None, None]
        h = F.conv2d(silu(group_norm(x, block.norm1)), block.conv1.weight, block.conv1.bias, padding=1)
        h = silu(group_norm(h, block.norm2) * (1 + scale) + shift)
        h = F.conv2d(h, block.conv2.weight, block.conv2.bias, padding=1)
        straight = x if out_channels == 8 else F.conv2d(x, block.shortcut.weight, block.shortcut.bias)
        assert_close(block(x, emb), straight + h, rtol=1e-10, atol=1e-10)


def test_fresh_transformer_blocks_are_the_identity():
    """Gates start at zero."""
    model = make_model(perturbed=False)
    seen = []
    model.transformer_blocks[0].register_forward_hook(lambda m, inputs, output: seen.append((inputs[0], output)))
    model.transformer_blocks[1].register_forward_hook(lambda m, inputs, output: seen.append((inputs[0], output)))
    with torch.no_grad():
        model(**make_inputs())
    for before, after in seen:
        assert_close(after, before, rtol=0, atol=0)


def test_residual_skip_sends_up_only_what_changed_below():
    """x <- Up(x - h_after) + h_before: with x = h_after and no bias the level hears h_before alone."""
    torch.manual_seed(0)
    block = UpBlock(8, 16, 1, 32, 4, "residual")
    h_before, h_after, emb = torch.randn(2, 8, 8, 8), torch.randn(2, 16, 4, 4), torch.randn(2, 32)
    with torch.no_grad():
        block.upsampler.conv.bias.zero_()
        assert_close(block(h_after, emb, [h_before], h_after), h_before)  # a fresh residual block adds nothing
        change = torch.randn(2, 16, 4, 4)
        expected = F.pixel_shuffle(F.conv2d(change, block.upsampler.conv.weight), 2) + h_before
        assert_close(block(h_after + change, emb, [h_before], h_after), expected, rtol=1e-4, atol=1e-5)


def test_concatenating_skips_take_one_map_per_block_last_first():
    torch.manual_seed(0)
    block = UpBlock(8, 16, 2, 32, 4, "concat")
    seen = []
    for resnet in block.resnets:
        resnet.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][:, 8:]))
    maps = [torch.randn(1, 8, 8, 8) for _ in range(2)]
    with torch.no_grad():
        block(torch.randn(1, 16, 4, 4), torch.randn(1, 32), maps, torch.randn(1, 16, 4, 4))
    assert_close(seen, maps[::-1], rtol=0, atol=0)


# Size and arithmetic


def hand_count(side, patch, channels, hidden, embedding, mlp_ratio=4):
    """Multiplications and additions of one level with one block each way and one transformer layer, term by term."""
    grid = (side // patch) ** 2
    tokens = grid // 4
    folded = 3 * patch**2
    conv = 2 * 9 * grid * (folded * channels + channels * folded)  # in, out
    conv += 2 * 9 * grid * (2 * channels * channels)  # block on the way down
    conv += 2 * grid * (9 * (2 * channels * channels + channels * channels) + 2 * channels * channels)  # on the way up
    conv += 2 * tokens * (4 * channels * hidden + hidden * 4 * channels)  # down, up
    linear = 2 * (128 * embedding + embedding * embedding)  # logSNR
    linear += 2 * embedding * (2 * 2 * channels + 6 * hidden)  # modulations
    transformer = 2 * tokens * hidden * hidden * (4 + 2 * mlp_ratio)
    attention = 2 * 2 * tokens**2 * hidden
    return conv + linear + transformer + attention


@pytest.mark.parametrize("side", [16, 32])
def test_flops_against_a_hand_count(side):
    model = make_model(sample_size=16, block_out_channels=(8,), num_transformer_layers=1, num_class_embeds=None)
    expected = hand_count(side, 2, 8, 32, 32)
    assert count_flops(model, side, side) == expected
    assert next(model.parameters()).device.type == "cpu"


def test_flops_default_to_the_sample_size_and_scale_with_area():
    model = make_model()
    assert count_flops(model) == count_flops(model, 16, 16)
    assert count_flops(model, 8, 32) == count_flops(model, 16, 16)
    ratio = count_flops(model, 32, 32) / count_flops(model)
    assert 3 < ratio < 6  # four times the pixels, sixteen times the attention


def test_a_larger_patch_makes_a_larger_image_nearly_free():
    """Sixteen times the pixels: only the two outer layers grow."""
    arguments = {"block_out_channels": (128, 256), "hidden_size": 512, "num_transformer_layers": 8}
    with torch.device("meta"):
        small = SimpleDiffusionUViT2DModel(sample_size=128, patch_size=2, **arguments)
        large = SimpleDiffusionUViT2DModel(sample_size=512, patch_size=8, **arguments)
    assert count_flops(small) < count_flops(large) < 1.3 * count_flops(small)


def test_parameter_count():
    model = make_model(num_class_embeds=None)
    assert count_parameters(model) == sum(math.prod(p.shape) for p in model.state_dict().values())


# ---- the guidance scale as an input


def test_the_scale_starts_silent_and_then_counts():
    plain, scaled = make_model(), make_model(perturbed=False, guidance_embedding=True)
    missing = scaled.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert {key.split(".")[0] for key in missing} == {"scale_embedding"}
    inputs = make_inputs()
    expected = plain(**inputs).sample
    for scale in (None, 1.0, 5.0, torch.tensor([0.0, 9.0])):
        assert_close(scaled(**inputs, guidance_scale=scale).sample, expected)
    nn.init.normal_(scaled.scale_embedding.linear_2.weight)
    both = scaled(**inputs, guidance_scale=torch.tensor([1.0, 5.0])).sample
    assert_close(both[0], scaled(**inputs).sample[0])  # None is 1
    assert_close(both[1], scaled(**inputs, guidance_scale=5.0).sample[1])
    assert not torch.allclose(both[1], scaled(**inputs).sample[1])


def test_a_scale_needs_its_embedding():
    with pytest.raises(ValueError, match="guidance_embedding"):
        make_model()(**make_inputs(), guidance_scale=2.0)

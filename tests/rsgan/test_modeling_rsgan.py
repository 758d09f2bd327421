"""Contracts of both networks for both kinds of stages; then initialisation and derivatives against closed forms."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from hf_kexue.rsgan.layers_rsgan import ResidualBlock
from hf_kexue.rsgan.modeling_rsgan import RSGANDiscriminator, RSGANGenerator

WIDTH = 6  # of the latents
TINY = {
    "sample_size": 32,
    "block_out_channels": (16, 16, 8, 8),
    "expansion": 2,
    "group_size": 8,
    "num_class_embeds": 3,
}
STAGES = ("r3", "dcgan")
NETWORKS = {f"{role}-{stages}": (role, stages) for role in ("generator", "discriminator") for stages in STAGES}


def make_generator(block_type="r3", seed=0, **options):
    torch.manual_seed(seed)
    return RSGANGenerator(
        **{"latent_dim": WIDTH, "class_embedding_dim": 4, "block_type": block_type, **TINY, **options}
    )


def make_discriminator(block_type="r3", seed=0, **options):
    torch.manual_seed(seed)
    of_type = {"spectral_norm": block_type == "dcgan", "block_type": block_type}
    return RSGANDiscriminator(**{**of_type, **TINY, **options})


def perturbed(model):
    """No branch is left at zero, and batch statistics are not those of the start."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
    return model.eval()


@pytest.fixture(params=NETWORKS)
def network(request):
    """A function that makes the network, and inputs of it."""
    role, block_type = NETWORKS[request.param]
    make = make_generator if role == "generator" else make_discriminator

    def build(seed=0, **options):
        return make(block_type, seed, **options)

    return build, make_inputs(role)


def make_inputs(role, batch=3, classes=3, size=32, seed=1):
    rng = torch.Generator().manual_seed(seed)
    shape = (batch, WIDTH) if role == "generator" else (batch, 3, size, size)
    labels = None if classes is None else torch.arange(batch) % classes
    return (torch.randn(shape, generator=rng), labels)


def output(model, inputs):
    with torch.no_grad():
        return model(*inputs, return_dict=False)[0]


def weighted_sum(x):
    """A scalar whose gradient differs from place to place."""
    return (x * torch.randn(x.shape, generator=torch.Generator().manual_seed(3))).sum()


# Contracts


@pytest.mark.parametrize("block_type", STAGES)
@pytest.mark.parametrize(("size", "stages"), [(32, 4), (64, 5), (128, 6), (256, 7)])
def test_every_size(block_type, size, stages):
    options = {"sample_size": size, "block_out_channels": (8,) * stages, "num_class_embeds": None}
    generator = make_generator(block_type, **options)
    discriminator = make_discriminator(block_type, **options)
    images = output(generator, make_inputs("generator", 2, None))
    assert images.shape == (2, 3, size, size)
    assert images.isfinite().all()
    assert output(discriminator, (images,)).shape == (2,)


@pytest.mark.parametrize(
    ("size", "channels"),
    [
        (32, (256, 256, 128, 64)),
        (64, (256, 256, 128, 64, 32)),
        (128, (256, 256, 128, 64, 32, 32)),
        (256, (256, 256, 128, 64, 32, 32, 32)),
    ],
)
def test_default_channels(size, channels):
    with torch.device("meta"):
        default = RSGANGenerator(sample_size=size)
        written = RSGANGenerator(sample_size=size, block_out_channels=channels)
    shapes = [{name: tensor.shape for name, tensor in model.state_dict().items()} for model in (default, written)]
    assert shapes[0] == shapes[1]


def test_the_networks_are_mirror_images():
    """The same residual blocks, in the opposite order, and the same changes of width, the other way round."""
    generator, discriminator = make_generator(layers_per_block=2), make_discriminator(layers_per_block=2)

    def blocks(model):
        return [module for module in model.modules() if isinstance(module, ResidualBlock)]

    def shapes(block):
        return [tuple(parameter.shape) for parameter in block.parameters()]

    assert len(blocks(generator)) == 8
    assert [shapes(b) for b in blocks(generator)] == [shapes(b) for b in reversed(blocks(discriminator))]
    changes = [
        [tuple(p.shape[:2]) for name, p in model.named_parameters() if name.endswith("conv_shortcut.weight")]
        for model in (generator, discriminator)
    ]
    assert changes[0] == [shape[::-1] for shape in reversed(changes[1])] == [(8, 16)]


@pytest.mark.parametrize("low_cpu_mem_usage", [True, False])
def test_save_and_load(network, low_cpu_mem_usage, tmp_path):
    build, inputs = network
    model = perturbed(build())
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    assert not loaded.training
    expected, got = model.state_dict(), loaded.state_dict()
    assert expected.keys() == got.keys()
    for key in expected:
        assert_close(got[key], expected[key], rtol=0, atol=0, msg=key)
    # Weights read from a file lie at other addresses, for which kernels sum in another order.
    assert_close(output(loaded, inputs), output(model, inputs), rtol=1e-5, atol=1e-5)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["_class_name"] == type(model).__name__
    public = [{k: v for k, v in m.config.items() if not k.startswith("_")} for m in (loaded, model)]
    assert json.loads(json.dumps(public[0])) == json.loads(json.dumps(public[1]))


def test_made_on_the_meta_device(network):
    """Everything that is not in the state dict would stay there."""
    build, inputs = network
    model = perturbed(build())
    with torch.device("meta"):
        empty = build(seed=5)
    assert all(parameter.is_meta for parameter in empty.parameters())
    empty.load_state_dict(model.state_dict(), assign=True)
    assert_close(output(empty.eval(), inputs), output(model, inputs), rtol=0, atol=0)


def test_tuple_equals_dict(network):
    build, inputs = network
    model = perturbed(build())
    with torch.no_grad():
        named = model(*inputs)
    assert_close(output(model, inputs), named[0], rtol=0, atol=0)
    assert list(named) == (["sample"] if isinstance(model, RSGANGenerator) else ["logits"])


def test_determinism(network):
    build, inputs = network
    model = perturbed(build())
    assert_close(output(model, inputs), output(model, inputs), rtol=0, atol=0)
    assert_close(output(perturbed(build()), inputs), output(model, inputs), rtol=0, atol=0)


def test_images_of_a_batch_do_not_meet(network):
    build, inputs = network
    model = perturbed(build())
    apart = torch.cat([output(model, [x[i : i + 1] for x in inputs]) for i in range(3)])
    # Other kernels sum in another order: float32 rounding.
    assert_close(output(model, inputs), apart, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [make_generator, make_discriminator])
def test_r3_is_the_same_in_training_and_evaluation(make):
    model = perturbed(make("r3"))
    inputs = make_inputs("generator" if make is make_generator else "discriminator")
    assert not dict(model.named_buffers())
    assert_close(output(model.train(), inputs), output(model.eval(), inputs), rtol=0, atol=0)


def test_dcgan_normalises_over_the_batch_in_training():
    model, inputs = perturbed(make_generator("dcgan")), make_inputs("generator")
    assert (output(model.train(), inputs) - output(model.eval(), inputs)).abs().max() > 0.01


def test_dcgan_stays_within_the_range_of_images():
    model = perturbed(make_generator("dcgan"))
    with torch.no_grad():
        model.conv_out.weight.mul_(100)
    assert output(model, make_inputs("generator")).abs().max() <= 1


def without_gradient(model, inputs):
    weighted_sum(model(*inputs)[0]).backward()
    return {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}


@pytest.mark.parametrize("make", [make_generator, make_discriminator])
def test_gradient_reaches_every_parameter_of_dcgan(make):
    inputs = make_inputs("generator" if make is make_generator else "discriminator")
    assert without_gradient(make("dcgan").train(), inputs) == set()


@pytest.mark.parametrize("make", [make_generator, make_discriminator])
def test_gradient_reaches_every_parameter_of_r3_after_one_step(make):
    """At step 0 the last convolution of each branch, zero, holds up what lies before it in the branch."""
    model = make("r3", layers_per_block=2)
    inputs = make_inputs("generator" if make is make_generator else "discriminator")
    before = {
        f"{name}.{layer}.{kind}"
        for name, module in model.named_modules()
        if isinstance(module, ResidualBlock)
        for layer in ("conv_in", "conv_grouped")
        for kind in ("weight", "bias")
    }
    assert len(before) == 8 * 4
    assert without_gradient(model, inputs) == before
    torch.optim.SGD(model.parameters(), 0.01).step()
    model.zero_grad()
    assert without_gradient(model, inputs) == set()


def test_gradient_reaches_the_input(network):
    build, (x, labels) = network
    x = x.clone().requires_grad_()
    weighted_sum(perturbed(build())(x, labels)[0]).backward()
    assert (x.grad != 0).all()


@pytest.mark.parametrize("how", ["weights", "autocast"])
def test_bf16_is_near_float32(network, how):
    build, (x, labels) = network
    model = perturbed(build())
    exact = output(model, (x, labels))
    if how == "weights":
        half = output(model.to(torch.bfloat16), (x, labels))  # inputs are cast to the weights' dtype
    else:
        with torch.autocast("cpu", torch.bfloat16):
            half = output(model, (x, labels))
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).norm() < 0.05 * exact.norm()  # 8 bits, 0.4 %, and some twenty layers


def test_memory_format_does_not_matter(network):
    build, (x, labels) = network
    model = perturbed(build())
    plain = output(model, (x, labels))
    model.to(memory_format=torch.channels_last)
    if x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    assert_close(output(model, (x, labels)), plain, rtol=1e-4, atol=1e-5)  # kernels sum in another order


# Classes


@pytest.mark.parametrize("block_type", STAGES)
def test_a_class_changes_the_image(block_type):
    model, (latents, _) = perturbed(make_generator(block_type)), make_inputs("generator")
    images = [output(model, (latents, torch.full((3,), label))) for label in range(3)]
    assert (images[0] - images[1]).abs().mean() > 0.01
    assert (images[1] - images[2]).abs().mean() > 0.01


@pytest.mark.parametrize("block_type", STAGES)
def test_a_class_is_a_direction_of_the_features(block_type):
    """The score under class c is the inner product of the features with row c."""
    model, (images, labels) = perturbed(make_discriminator(block_type)), make_inputs("discriminator")
    features = []
    model.score.register_forward_hook(lambda module, args, out: features.append(args[0]))
    logits = output(model, (images, labels))
    expected = (features[0] * model.score.weight[labels]).sum(1) + model.score.bias[labels]
    assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    assert_close(output(model, (images, labels.int())), logits, rtol=0, atol=0)


# Sentences


@pytest.mark.parametrize("network_class", [RSGANGenerator, RSGANDiscriminator])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_size": 48}, r"sample_size .*48"),
        ({"sample_size": 512}, "got 512"),
        ({"block_type": "resnet"}, "block_type .*'resnet'"),
        ({"sample_size": 64}, r"5 .*got \(16, 16, 8, 8\)"),
        ({"block_out_channels": (16, 16, 8, 0)}, r"got \(16, 16, 8, 0\)"),
        ({"block_out_channels": (16, 12, 8, 9)}, r"group_size 8, .*2 x 9"),
        ({"block_out_channels": None, "group_size": 48}, "group_size 48, .*2 x 256"),
        ({"layers_per_block": 0}, "layers_per_block .*0"),
        ({"num_class_embeds": 0}, "num_class_embeds .*0"),
    ],
)
def test_configurations_that_cannot_be_built(network_class, options, message):
    with pytest.raises(ValueError, match=message):
        network_class(**{**TINY, **options})


def test_dcgan_does_not_ask_for_groups():
    make_generator("dcgan", block_out_channels=(9, 7, 5, 3))


def test_spectral_norm_of_zero_weights():
    with pytest.raises(ValueError, match="'dcgan'"):
        RSGANDiscriminator(**TINY, spectral_norm=True)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((torch.zeros(2, WIDTH + 1), torch.tensor([0, 1])), r"shape \(B, 6\), got \(2, 7\)"),
        ((torch.zeros(WIDTH), torch.tensor([0])), r"shape \(B, 6\), got \(6,\)"),
        ((torch.zeros(2, WIDTH), None), "class_labels"),
        ((torch.zeros(2, WIDTH), torch.tensor([0])), r"2 integers, got tensor\(\[0\]\)"),
        ((torch.zeros(2, WIDTH), torch.tensor([0.0, 1.0])), "must be 2 integers"),
        ((torch.zeros(2, WIDTH), torch.tensor([0, 3])), r"0 to 2, got \[0, 3\]"),
        ((torch.zeros(2, WIDTH), torch.tensor([-1, 0])), r"0 to 2, got \[-1, 0\]"),
    ],
)
def test_inputs_that_a_generator_refuses(inputs, message):
    with pytest.raises(ValueError, match=message):
        make_generator()(*inputs)


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((2, 3, 64, 64), torch.tensor([0, 1]), r"shape \(B, 3, 32, 32\), got \(2, 3, 64, 64\)"),
        ((2, 1, 32, 32), torch.tensor([0, 1]), r"got \(2, 1, 32, 32\)"),
        ((3, 32, 32), torch.tensor([0]), r"got \(3, 32, 32\)"),
        ((2, 3, 32, 32), None, "This model has 3 classes"),
        ((2, 3, 32, 32), torch.tensor([0, 7]), r"0 to 2, got \[0, 7\]"),
    ],
)
def test_inputs_that_a_discriminator_refuses(shape, labels, message):
    with pytest.raises(ValueError, match=message):
        make_discriminator()(torch.zeros(shape), labels)


def test_classes_for_a_model_without():
    with pytest.raises(ValueError, match="this model has no classes"):
        make_generator(num_class_embeds=None)(*make_inputs("generator"))


# Initialisation


def bilinear_matrix(size):
    """(2 size, size): rows of 3/4 and 1/4, at the border 1."""
    matrix = torch.zeros(2 * size, size, dtype=torch.float64)
    for row in range(2 * size):
        near, far = row // 2, row // 2 + (1 if row % 2 else -1)
        matrix[row, near] += 0.75
        matrix[row, min(max(far, 0), size - 1)] += 0.25
    return matrix


def test_a_fresh_r3_generator_is_its_resampling_path():
    """Start times code, widths mixed by 1 x 1 matrices, enlarged by known matrices; branches say nothing."""
    model = make_generator(num_class_embeds=None, layers_per_block=3).double()
    latents = make_inputs("generator")[0].double()
    weights = {name: p.detach() for name, p in model.named_parameters()}
    x = weights["start.weight"] * (latents @ weights["start.linear.weight"].T)[:, :, None, None]
    for stage, size in enumerate((4, 8, 16)):
        mix = weights.get(f"stages.{stage}.conv_shortcut.weight")
        if mix is not None:
            x = torch.einsum("oi,bihw->bohw", mix[:, :, 0, 0], x)
        enlarge = bilinear_matrix(size)
        x = torch.einsum("yh,bchw,xw->bcyx", enlarge, x, enlarge)
    expected = torch.einsum("oi,bihw->bohw", weights["conv_out.weight"][:, :, 0, 0], x)
    assert_close(output(model, (latents,)), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [32, 64])
def test_variance_of_fresh_images(size):
    """That of the white 4 x 4 start, lowered by what interpolation averages away; depth and widths do not enter."""
    enlarge, side = torch.eye(4, dtype=torch.float64), 4
    while side < size:
        enlarge, side = bilinear_matrix(side) @ enlarge, 2 * side
    expected = enlarge.square().sum(1).mean() ** 2
    channels = (64, 32, 64, 32, 64)[: size.bit_length() - 2]
    options = {"sample_size": size, "block_out_channels": channels, "num_class_embeds": None}
    images = [
        output(make_generator(seed=seed, **options), make_inputs("generator", 4, None, seed=seed))
        for seed in range(30)
    ]
    # From network to network it is off by half of itself; the mean of 30 by 9 %.
    assert_close(torch.stack(images).double().square().mean(), expected, rtol=0.25, atol=0)


@pytest.mark.parametrize("depth", [1, 4, 16])
def test_fix_up_shares_out_one_unit_among_the_blocks(depth):
    """Were the last convolution not zero but as the others without fix-up, a branch would add 1 / depth to a second
    moment of 1, and all branches together 1."""
    torch.manual_seed(0)
    block = ResidualBlock(64, 128, 16, depth)
    torch.nn.init.normal_(block.conv_out.weight, std=128**-0.5)
    x = torch.randn(4, 64, 32, 32)
    added = (output(lambda x, return_dict: (block(x),), (x,)) - x).square().mean()
    # By 6 % less for the border of the 3 x 3 convolution; weights make 5 %.
    assert_close(depth * added, torch.tensor(0.94), rtol=0.12, atol=0)


def test_a_fresh_block_is_the_identity():
    x = torch.randn(2, 8, 5, 5)
    assert_close(ResidualBlock(8, 16, 8, 3)(x), x, rtol=0, atol=0)


@pytest.mark.parametrize("size", [32, 64])
def test_variance_of_fresh_scores(size):
    """One, for images of one random colour each: means of 2 x 2 leave those as they are."""
    stages = size.bit_length() - 2
    options = {"sample_size": size, "block_out_channels": (24,) * stages, "expansion": 1, "num_class_embeds": None}
    images = torch.randn(6, 16, 1, 1, generator=torch.Generator().manual_seed(1)).expand(6, 16, size, size)
    scores = [output(make_discriminator(seed=seed, in_channels=16, **options), (images,)) for seed in range(60)]
    # From network to network it is off by two thirds of itself; the mean of 60 by 9 %.
    assert_close(torch.stack(scores).square().mean(), torch.tensor(1.0), rtol=0.25, atol=0)


# Derivatives and spectral norm


@pytest.mark.parametrize("block_type", STAGES)
def test_gradient_of_a_gradient_penalty(block_type):
    """d/dt of the sum of |dD/dx|^2, weights moving with t, against a difference quotient; in float64."""
    model = perturbed(make_discriminator(block_type)).double()  # in evaluation singular vectors stand still
    images, labels = make_inputs("discriminator")
    images = images.double().requires_grad_()

    def penalty():
        logits = model(images, labels).logits
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        return gradient.square().sum()

    parameters = [p for name, p in model.named_parameters() if not name.endswith("bias")]
    directions = [torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(7)) for p in parameters]
    gradients = torch.autograd.grad(penalty(), parameters)
    expected = sum((g * d).sum() for g, d in zip(gradients, directions))
    step = 1e-7
    moved = []
    for sign in (1, -1):
        with torch.no_grad():
            for p, d in zip(parameters, directions):
                p.add_(sign * step * d)
        moved.append(penalty().detach())
        with torch.no_grad():
            for p, d in zip(parameters, directions):
                p.sub_(sign * step * d)
    assert_close((moved[0] - moved[1]) / (2 * step), expected, rtol=1e-4, atol=0)


def test_spectral_norm_divides_by_the_largest_singular_value():
    model, inputs = make_discriminator("dcgan").train(), make_inputs("discriminator", batch=1)
    for _ in range(100):  # power iterations
        output(model, inputs)
    layers = [module for module in model.modules() if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))]
    assert len(layers) == 5
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert_close(largest, torch.tensor(1.0), rtol=1e-3, atol=0)


def test_one_power_iteration_a_pass():
    """In training alone, and not more than one."""
    model, inputs = make_discriminator("dcgan"), make_inputs("discriminator", batch=1)
    name = "score.parametrizations.weight"
    weight, v = model.state_dict()[f"{name}.original"].clone(), model.state_dict()[f"{name}.0._v"].clone()
    output(model.eval(), inputs)
    assert_close(model.state_dict()[f"{name}.0._v"], v, rtol=0, atol=0)
    output(model.train(), inputs)
    expected = F.normalize(weight.T @ F.normalize(weight @ v, dim=0), dim=0)
    assert_close(model.state_dict()[f"{name}.0._v"], expected, rtol=1e-5, atol=1e-6)


def test_dcgan_downsamples_by_strided_convolutions():
    """The first stage by hand: it tells stride, padding and slope."""
    model, (images, labels) = perturbed(make_discriminator("dcgan", spectral_norm=False)), make_inputs("discriminator")
    seen = []
    model.stages[0].register_forward_hook(lambda module, args, out: seen.append((args[0], out)))
    output(model, (images, labels))
    first, stage = model.conv_in, model.stages[0].conv
    x = F.leaky_relu(F.conv2d(images, first.weight, first.bias, padding=1), 0.2)
    assert_close(seen[0][0], x, rtol=1e-4, atol=1e-5)
    patches = F.unfold(x, 4, stride=2, padding=1)  # (B, 16 C, 256)
    by_hand = torch.einsum("oi,bip->bop", stage.weight.flatten(1), patches).unflatten(2, (16, 16))
    by_hand = by_hand + stage.bias[:, None, None]
    assert_close(seen[0][1], torch.where(by_hand > 0, by_hand, 0.2 * by_hand), rtol=1e-4, atol=1e-5)

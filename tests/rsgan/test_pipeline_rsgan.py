"""The pipeline: its contracts, how images depend on seeds, and the way between two latents."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from hf_kexue.rsgan.modeling_rsgan import RSGANGenerator
from hf_kexue.rsgan.pipeline_rsgan import RSGANPipeline, spherical

NAMES = {0: "Shirt", 1: "Hat", 2: "Shoes"}
WIDTH = 16  # of the latents


def make_pipe(id2label=NAMES, seed=0, **options):
    torch.manual_seed(seed)
    tiny = {
        "sample_size": 32,
        "latent_dim": WIDTH,
        "block_out_channels": (16, 16, 8, 8),
        "group_size": 8,
        "num_class_embeds": len(NAMES),
        "class_embedding_dim": 4,
    }
    model = RSGANGenerator(**(tiny | options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return RSGANPipeline(model, id2label)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(pipe, seed=0, **options):
    return pipe(**{"output_type": "pt", "generator": rng(seed)} | options).images


@pytest.fixture(scope="module")
def pipe():
    return make_pipe()


@pytest.fixture(scope="module")
def unconditional():
    return make_pipe(None, num_class_embeds=None)


# Contracts


def test_images_of_every_output_type(pipe):
    tensors = draw(pipe, batch_size=2)
    arrays = draw(pipe, batch_size=2, output_type="np")
    pictures = draw(pipe, batch_size=2, output_type="pil")
    assert tensors.shape == (2, 3, 32, 32)
    assert tensors.dtype == torch.float32
    assert tensors.min() >= 0
    assert tensors.max() <= 1
    assert isinstance(arrays, np.ndarray)
    assert_close(torch.from_numpy(arrays), tensors.permute(0, 2, 3, 1), rtol=0, atol=0)
    assert all(isinstance(picture, Image.Image) and picture.size == (32, 32) for picture in pictures)
    assert_close(
        torch.from_numpy(np.stack(pictures) / 255).float(), torch.from_numpy(arrays), rtol=0, atol=0.5 / 255 + 1e-6
    )


def test_images_are_what_the_generator_says(pipe):
    latents, labels = torch.randn(3, WIDTH, generator=rng()), torch.tensor([0, 1, 2])
    with torch.no_grad():
        samples = pipe.generator(latents, labels).sample
    expected = ((samples + 1) / 2).clamp(0, 1)
    assert ((samples.abs() < 1).float().mean() > 0.5).item()  # clamping is not all there is
    assert_close(draw(pipe, latents=latents, class_labels=labels), expected, rtol=0, atol=1e-6)


def test_the_default_is_one_picture(unconditional):
    images = unconditional().images
    assert len(images) == 1
    assert isinstance(images[0], Image.Image)


def test_grey_images():
    assert draw(make_pipe(out_channels=1), output_type="pil")[0].mode == "L"


def test_tuple_equals_dict(pipe):
    (plain,) = pipe(2, generator=rng(), output_type="pt", return_dict=False)
    assert_close(plain, draw(pipe, batch_size=2), rtol=0, atol=0)


def test_save_and_load(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    loaded = RSGANPipeline.from_pretrained(tmp_path)
    assert type(loaded.generator) is RSGANGenerator
    assert loaded.class_names == ["Shirt", "Hat", "Shoes"]
    # Weights read from a file lie at other addresses, for which kernels sum in another order.
    assert_close(draw(loaded, class_labels=["hat"]), draw(pipe, class_labels=["hat"]), rtol=0, atol=1e-5)


def test_batch_normalisation_uses_what_training_has_seen(tmp_path):
    """A loaded pipeline evaluates: an image does not depend on its neighbours."""
    make_pipe(block_type="dcgan").save_pretrained(tmp_path)
    loaded = RSGANPipeline.from_pretrained(tmp_path)
    latents = torch.randn(4, WIDTH, generator=rng())
    together = draw(loaded, latents=latents, class_labels="hat")
    assert_close(draw(loaded, latents=latents[:1], class_labels="hat"), together[:1], rtol=0, atol=1e-5)


def test_bf16_network(pipe):
    half = make_pipe()
    half.to(torch.bfloat16)
    images = draw(half, batch_size=2)
    assert images.dtype == torch.float32
    assert (images - draw(pipe, batch_size=2)).abs().mean() < 0.02  # 8 bits: 1 % of values of about one


# Seeds and truncation


def test_a_seed_makes_the_images(pipe):
    assert_close(draw(pipe, 3, batch_size=4), draw(pipe, 3, batch_size=4), rtol=0, atol=0)
    assert (draw(pipe, 3, batch_size=4) - draw(pipe, 4, batch_size=4)).abs().mean() > 0.01


@pytest.mark.parametrize("with_classes", [True, False])
def test_a_seed_of_its_own_makes_an_image_whatever_the_batch(with_classes, pipe, unconditional):
    pipeline = pipe if with_classes else unconditional
    together = pipeline(3, generator=[rng(seed) for seed in (5, 6, 7)], output_type="pt").images
    for seed, image in zip((5, 6, 7), together):
        for generator in (rng(seed), [rng(seed)]):
            alone = pipeline(generator=generator, output_type="pt").images[0]
            assert_close(image, alone, rtol=0, atol=1e-5)


def test_truncation_pulls_latents_to_their_mean(pipe):
    latents = torch.randn(2, WIDTH, generator=rng())
    full = draw(pipe, latents=0.3 * latents, class_labels="hat")
    assert_close(draw(pipe, latents=latents, class_labels="hat", truncation=0.3), full, rtol=0, atol=1e-6)
    assert_close(draw(pipe, truncation=1.0), draw(pipe), rtol=0, atol=0)

    def spread(truncation):
        return draw(pipe, batch_size=32, class_labels="hat", truncation=truncation).var(dim=0).mean()

    assert spread(0.1) < spread(0.5) < spread(None)


# Classes


def test_names_and_indices_are_the_same(pipe):
    by_name = draw(pipe, class_labels=["Hat", "sHOES"])
    assert_close(draw(pipe, class_labels=[1, 2]), by_name, rtol=0, atol=0)
    assert_close(draw(pipe, class_labels=torch.tensor([1, 2])), by_name, rtol=0, atol=0)
    assert (draw(pipe, class_labels=[0, 2])[0] - by_name[0]).abs().mean() > 0.01


def test_one_class_for_all(pipe):
    assert_close(draw(pipe, batch_size=3, class_labels="hat"), draw(pipe, class_labels=["hat"] * 3), rtol=0, atol=0)
    latents = torch.randn(2, WIDTH, generator=rng())
    assert len(draw(pipe, latents=latents, class_labels="hat")) == 2


def test_without_a_class_each_is_drawn(pipe):
    """As often one as another; told by the images of one latent."""
    latents = torch.zeros(1, WIDTH).expand(300, WIDTH)
    of_class = draw(pipe, latents=latents[:3], class_labels=[0, 1, 2])
    found = (draw(pipe, latents=latents)[:, None] - of_class).abs().mean(dim=(2, 3, 4))  # (300, 3)
    assert found.min(dim=1).values.max() < 1e-5
    counts = found.argmin(dim=1).bincount(minlength=3)
    assert counts.min() > 70  # 100 each, standard deviation 8


def test_names_are_not_needed():
    nameless = make_pipe(None)
    assert nameless.class_names == []
    assert draw(nameless, class_labels=[2]).shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match=r"'hat'.* 0 to 2"):
        nameless(class_labels="hat")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size .*0"),
        ({"class_labels": []}, "batch_size .*0"),
        ({"output_type": "latent"}, "output_type"),
        ({"truncation": 0.0}, r"truncation .*0\.0"),
        ({"truncation": 1.5}, r"truncation .*1\.5"),
        ({"class_labels": ["Coat"]}, "'Coat'.* Shirt, Hat, Shoes"),
        ({"class_labels": [3]}, "Unknown class 3"),
        ({"class_labels": [-1]}, "Unknown class -1"),
        ({"latents": torch.zeros(2, WIDTH + 1)}, r"\(2, 16\), got \(2, 17\)"),
        ({"latents": torch.zeros(WIDTH)}, r"got \(16,\)"),
        ({"latents": torch.zeros(2, WIDTH), "class_labels": [0]}, r"\(1, 16\), got \(2, 16\)"),
        ({"batch_size": 3, "generator": [rng(), rng()]}, "2 generators for 3 images"),
    ],
)
def test_input_that_cannot_be_met(pipe, options, message):
    with pytest.raises(ValueError, match=message):
        pipe(**options)


def test_classes_for_a_model_without(unconditional):
    with pytest.raises(ValueError, match="trained without classes"):
        unconditional(class_labels=[0])


# Grid


def tiles(picture, size=32):
    array = np.asarray(picture)
    rows, columns = array.shape[0] // size, array.shape[1] // size
    return array.reshape(rows, size, columns, size, 3).swapaxes(1, 2)  # (rows, columns, size, size, 3)


def test_grid_has_a_row_for_each_class(pipe):
    found = tiles(pipe.grid(columns=4, generator=rng(2), truncation=0.8))
    assert found.shape[:2] == (3, 4)
    labels = [0] * 4 + [1] * 4 + [2] * 4
    expected = pipe(class_labels=labels, generator=rng(2), truncation=0.8).images
    assert (found.reshape(12, 32, 32, 3) == np.stack([np.asarray(image) for image in expected])).all()


@pytest.mark.parametrize("labels", ["hat", 1, ["hat"], torch.tensor([1])])
def test_grid_of_some_classes(pipe, labels):
    found = tiles(pipe.grid(columns=3, class_labels=labels, generator=rng(2)))
    expected = pipe(3, class_labels="hat", generator=rng(2)).images
    assert (found[0] == np.stack([np.asarray(image) for image in expected])).all()


def test_grid_without_classes(unconditional):
    assert unconditional.grid(rows=2, columns=5, generator=rng()).size == (5 * 32, 2 * 32)
    assert unconditional.grid().size == (8 * 32, 4 * 32)
    with pytest.raises(ValueError, match="0 and 8"):
        unconditional.grid(rows=0)


def test_grid_of_grey_images():
    assert make_pipe(out_channels=1).grid(columns=1).size == (32, 96)


# Interpolation


def test_interpolation_starts_and_ends_with_its_latents(pipe):
    first, last = torch.randn(2, WIDTH, generator=rng())
    between = pipe.interpolate(first, last, 5, class_labels="hat", output_type="pt").images
    ends = draw(pipe, latents=torch.stack([first, last]), class_labels="hat")
    assert len(between) == 5
    assert_close(between[[0, -1]], ends, rtol=0, atol=1e-5)
    assert (between[2] - ends).abs().mean() > 0.01
    assert len(pipe.interpolate(first, last, class_labels=1).images) == 8


def test_the_arc_between_two_latents():
    """Of one length, in equal angles, both ends exact; in float64."""
    first, last = torch.randn(2, 64, generator=rng(1), dtype=torch.float64)
    last = last * first.norm() / last.norm()
    path = spherical(first, last, 7)
    assert torch.equal(path[0], first)
    assert torch.equal(path[-1], last)
    assert_close(path.norm(dim=1), first.norm().expand(7), rtol=1e-12, atol=0)
    cosines = (path[1:] * path[:-1]).sum(1) / first.norm() ** 2
    whole = math.acos((first @ last / first.norm() ** 2).item())
    assert_close(torch.arccos(cosines), torch.full((6,), whole / 6, dtype=torch.float64), rtol=1e-10, atol=0)


def test_ends_are_exact_in_float32():
    for seed in range(20):
        first, last = torch.randn(2, 64, generator=rng(seed))
        path = spherical(first, last, 9)
        assert torch.equal(path[0], first)
        assert torch.equal(path[-1], last)


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0])
def test_parallel_latents_are_joined_by_a_straight_line(factor):
    first = torch.randn(64, generator=rng())
    path = spherical(first, factor * first, 5)
    expected = torch.stack([(1 + (factor - 1) * t / 4) * first for t in range(5)])
    assert_close(path, expected, rtol=1e-5, atol=1e-6)


def test_interpolations_that_cannot_be_drawn(pipe, unconditional):
    latent = torch.zeros(WIDTH)
    with pytest.raises(ValueError, match=r"\(16,\) and at least 2 steps"):
        pipe.interpolate(latent[None], latent, 3, class_labels=0)
    with pytest.raises(ValueError, match=r"got \(16,\), \(16,\) and 1\."):
        pipe.interpolate(latent, latent, 1, class_labels=0)
    with pytest.raises(ValueError, match="class_labels"):
        pipe.interpolate(latent, latent, 3)
    assert len(unconditional.interpolate(latent, latent, 3).images) == 3

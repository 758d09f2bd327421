"""The three editing pipelines: what they give back, what they share with drawing, and what they refuse."""

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)
from PIL import Image
from tiny_models import save_pipeline
from torch.testing import assert_close

from hf_kexue.inference.precision import dtype_argument
from hf_kexue.simple_diffusion import (
    ShiftedFlowScheduler,
    SimpleDiffusionImageToImagePipeline,
    SimpleDiffusionInpaintPipeline,
    SimpleDiffusionPipeline,
    SimpleDiffusionUpscalePipeline,
)
from hf_kexue.simple_diffusion.pictures_simple_diffusion import with_border

METHODS = ("replacement", "projection", "gradient")
FLOW = (FlowMatchEulerDiscreteScheduler,)
SCHEDULERS = (
    None, ShiftedFlowScheduler, DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler,
    HeunDiscreteScheduler, UniPCMultistepScheduler, *FLOW,
)  # fmt: skip
each_scheduler = pytest.mark.parametrize("cls", SCHEDULERS, ids=lambda cls: getattr(cls, "__name__", "own"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clothes")
    save_pipeline(folder, ["Dress", "Hat"])
    return folder


@pytest.fixture(scope="module")
def pipe(folder):
    return quiet(SimpleDiffusionPipeline.from_pretrained(folder))


def quiet(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def editing(pipeline, kind, cls=None):
    """The editing pipeline with the networks of another and a scheduler of this class."""
    scheduler = pipeline.scheduler
    if cls is not None:
        flow = cls in (ShiftedFlowScheduler, *FLOW)
        config = ShiftedFlowScheduler.from_config(scheduler.config).config if flow else scheduler.config
        scheduler = cls.from_config(config)
    return quiet(kind.from_pipe(pipeline, scheduler=scheduler))


def draw(pipeline, *pictures, **options):
    defaults = {"num_inference_steps": 4, "generator": torch.Generator().manual_seed(0), "class_labels": "Hat"}
    return pipeline(*pictures, **defaults | options).images


def picture(width=16, height=16, seed=0):
    levels = np.random.default_rng(seed).integers(256, size=(height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def mask(width=16, height=16, hole=(4, 4, 12, 16)):
    image = Image.new("L", (width, height), 0)
    image.paste(255, hole)
    return image


def clear(image):
    """Without its black."""
    clear = Image.new("RGBA", image.size)
    clear.paste("white", mask=image)
    return clear


def pixels(image):
    return np.asarray(image, dtype=int)


# What comes back


@each_scheduler
@pytest.mark.parametrize("method", METHODS)
def test_an_empty_mask_is_drawing_without_a_picture(pipe, method, cls):
    inpaint = editing(pipe, SimpleDiffusionInpaintPipeline, cls)
    plain = SimpleDiffusionPipeline.from_pipe(inpaint)
    for options in ({}, {"guidance_scale": 1.0}, {"class_labels": ["Hat", "Dress"]}):
        drawn = draw(inpaint, picture(), Image.new("L", (16, 16), 255), method=method, output_type="pt", **options)
        assert torch.equal(drawn, draw(quiet(plain), output_type="pt", **options))


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_of_which_nothing_is_kept_is_drawn_beside_others(pipe, method):
    """In one batch with a picture of which something is."""
    inpaint, masks = editing(pipe, SimpleDiffusionInpaintPipeline), [Image.new("L", (16, 16), 255), mask()]
    drawn = draw(inpaint, picture(), masks, method=method, output_type="pt")
    plain = draw(pipe, batch_size=2, output_type="pt")
    assert torch.equal(drawn[0], plain[0])
    assert not torch.equal(drawn[1], plain[1])


@pytest.mark.parametrize("method", METHODS)
def test_a_hole_alone_decides_nothing_of_an_empty_mask(pipe, method):
    """One kept pixel changes the others: the equality above does not hold because nothing is kept anywhere."""
    inpaint = editing(pipe, SimpleDiffusionInpaintPipeline)
    single = Image.new("L", (16, 16), 255)
    single.putpixel((8, 8), 0)
    drawn = draw(inpaint, Image.new("RGB", (16, 16), "red"), single, method=method, output_type="pt")
    plain = draw(pipe, output_type="pt")
    changed = (drawn - plain).abs().amax((0, 1))
    changed[8, 8] = 0
    assert changed.max() > 1e-3


@each_scheduler
@pytest.mark.parametrize("method", METHODS)
def test_kept_pixels_come_back_bit_for_bit(pipe, method, cls):
    inpaint, image, hole = editing(pipe, SimpleDiffusionInpaintPipeline, cls), picture(), mask()
    kept = pixels(hole) == 0
    drawn = draw(inpaint, image, hole, method=method)[0]
    assert (pixels(drawn)[kept] == pixels(image)[kept]).all()
    assert (pixels(drawn)[~kept] != pixels(image)[~kept]).mean() > 0.5
    tensor = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1))
    (drawn,) = draw(inpaint, tensor, hole, method=method, output_type="pt")
    assert torch.equal(drawn[:, kept], tensor[:, kept])
    (whole,) = draw(inpaint, tensor, Image.new("L", (16, 16), 0), method=method, output_type="pt")
    assert torch.equal(whole, tensor)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("method", METHODS)
def test_means_of_an_enlarged_picture_are_the_picture(pipe, method, factor):
    upscale, small = editing(pipe, SimpleDiffusionUpscalePipeline), picture(8, 4)
    (large,) = draw(upscale, small, factor=factor, method=method)
    assert large.size == (8 * factor, 4 * factor)
    sums = pixels(large).reshape(4, factor, 8, factor, 3).sum((1, 3))
    assert (sums == factor**2 * pixels(small)).all()
    (tensor,) = draw(upscale, small, factor=factor, method=method, output_type="pt")
    means = torch.nn.functional.avg_pool2d(tensor, factor).permute(1, 2, 0)
    assert_close(means, torch.from_numpy(pixels(small) / 255).float(), rtol=0, atol=1e-6)
    assert (tensor - tensor.roll(1, -1)).std() > 0.05  # no repetition of the small one


@each_scheduler
def test_strength_leads_from_the_picture_to_drawing_without_it(pipe, cls):
    again, image = editing(pipe, SimpleDiffusionImageToImagePipeline, cls), picture()
    assert draw(again, image, strength=0.0)[0].tobytes() == image.tobytes()
    drawn = draw(again, image, strength=1.0, output_type="pt")
    assert torch.equal(drawn, draw(quiet(SimpleDiffusionPipeline.from_pipe(again)), output_type="pt"))
    distances = [
        float((draw(again, image, strength=strength, num_inference_steps=8, output_type="pt")
               - torch.from_numpy(pixels(image) / 255).permute(2, 0, 1)).norm())
        for strength in (0.0, 0.25, 0.5, 1.0)
    ]  # fmt: skip
    assert distances == sorted(distances)


@each_scheduler
def test_strength_is_the_share_of_the_steps(pipe, cls):
    again = editing(pipe, SimpleDiffusionImageToImagePipeline, cls)
    seen = []
    for strength, steps in ((1.0, 8), (0.5, 4), (0.01, 1)):
        seen.clear()
        draw(
            again, picture(), strength=strength, num_inference_steps=8,
            callback_on_step_end=lambda _, step, t, tensors: seen.append(step) or tensors,
        )  # fmt: skip
        assert len(seen) == again.num_timesteps == (2 * steps - 1 if cls is HeunDiscreteScheduler else steps)
        assert seen == list(range(len(seen)))


def test_out_painting_and_sizes_that_are_not_square(pipe):
    inpaint, image = editing(pipe, SimpleDiffusionInpaintPipeline), picture(12, 8)
    larger, border = with_border(image, left=4, top=8, right=8)
    assert larger.size == border.size == (24, 16)
    (drawn,) = draw(inpaint, larger, border)
    assert drawn.crop((4, 8, 16, 16)).tobytes() == image.tobytes()
    assert pixels(drawn)[:8].std() > 5
    with pytest.raises(ValueError, match="border"):
        with_border(image)


def test_folders_and_pipelines_are_those_of_drawing(folder, pipe, tmp_path):
    for kind in (SimpleDiffusionImageToImagePipeline, SimpleDiffusionInpaintPipeline, SimpleDiffusionUpscalePipeline):
        loaded = kind.from_pretrained(folder)
        assert loaded.class_names == ["Dress", "Hat"]
        assert loaded.config.guidance_scale == 2.0
        half = SimpleDiffusionPipeline.from_pretrained(folder, **{dtype_argument("diffusers"): torch.bfloat16})
        assert kind.from_pipe(half).unet.dtype == half.unet.dtype == torch.bfloat16
        shared = kind.from_pipe(pipe)
        assert shared.unet is pipe.unet
        assert shared.config.guidance_scale == 2.0
        loaded.save_pretrained(tmp_path / kind.__name__)
        again = kind.from_pretrained(tmp_path / kind.__name__)
        assert type(again.scheduler) is type(pipe.scheduler)
    single = Image.new("L", (16, 16), 0)
    assert draw(quiet(SimpleDiffusionInpaintPipeline.from_pretrained(folder)), picture(), single)


def test_one_picture_serves_many_and_many_are_drawn_each(pipe):
    inpaint, hole = editing(pipe, SimpleDiffusionInpaintPipeline), mask()
    kept = pixels(hole) == 0
    for options in ({"batch_size": 3, "class_labels": None}, {"class_labels": ["Hat", "Dress", "Hat"]},
                    {"num_images_per_label": 3}):  # fmt: skip
        drawn = draw(inpaint, picture(), hole, **options)
        assert len(drawn) == 3
        assert all((pixels(one)[kept] == pixels(picture())[kept]).all() for one in drawn)
        assert len({one.tobytes() for one in drawn}) == 3
    several = [picture(seed=seed) for seed in range(2)]
    drawn = draw(inpaint, several, [hole, Image.new("L", (16, 16), 0)], num_images_per_label=2)
    assert [(pixels(one) == pixels(several[number // 2])).all() for number, one in enumerate(drawn)] == [
        False, False, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize("cls", [None, ShiftedFlowScheduler, DDIMScheduler])
@pytest.mark.parametrize("method", METHODS)
def test_resampling_does_each_step_but_the_last_again(pipe, method, cls):
    inpaint, calls = editing(pipe, SimpleDiffusionInpaintPipeline, cls), []
    hook = inpaint.unet.register_forward_pre_hook(lambda *_: calls.append(1))
    options = {"method": method, "guidance_scale": 1.0}
    draw(inpaint, picture(), mask(), resampling=3, **options)
    resampled, count = len(calls), 2 if method == "gradient" else 1
    hook.remove()
    assert resampled == count * (3 * 3 + 1)


# What is refused


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("again", {"strength": 1.2}, "strength"),
        ("again", {"strength": "half"}, "strength"),
        ("again", {"image": picture(18, 16)}, "18 x 16"),
        ("again", {"image": []}, "image is empty"),
        ("again", {"image": [picture(), picture(16, 20)]}, "different sizes"),
        ("again", {"image": Image.new("I;16", (16, 16))}, "I;16"),
        ("again", {"image": np.full((16, 16, 3), 200.0)}, "uint8"),
        ("again", {"image": torch.full((3, 16, 16), float("nan"))}, "no numbers"),
        ("again", {"image": torch.zeros(2, 16, 16)}, "channels"),
        ("again", {"image": [picture()] * 2, "class_labels": ["Hat"] * 3}, "2 pictures"),
        ("inpaint", {"mask_image": mask(16, 20)}, "16 x 20"),
        ("inpaint", {"mask_image": [mask()] * 2, "image": [picture()] * 3}, "2 masks"),
        ("inpaint", {"mask_image": mask(), "method": "paste"}, "method"),
        ("inpaint", {"mask_image": mask(), "resampling": 0}, "resampling"),
        ("inpaint", {"mask_image": mask(), "iterations": 1.5}, "iterations"),
        ("inpaint", {"mask_image": mask(), "class_labels": "Shoe"}, "Shoe"),
        ("inpaint", {"mask_image": clear(mask())}, "transparent in parts"),
        ("inpaint", {"mask_image": np.eye(16, dtype=np.uint8)}, "levels 0 and 1"),
        ("inpaint", {"mask_image": Image.fromarray(np.eye(16, dtype=np.uint8))}, "levels 0 and 1"),
        ("inpaint", {"mask_image": 255 * np.eye(16, dtype=np.int64)}, "uint8"),
        ("inpaint", {"mask_image": torch.zeros(2, 16, 16)}, "1 or 3 channels"),
        ("again", {"image": Image.new("RGB", (0, 16))}, "0 x 16 pixels"),
        ("again", {"image": torch.zeros(3, 0, 16)}, "pixels with"),
        ("again", {"image": torch.zeros(16)}, "pixels with"),
        ("again", {"strength": torch.tensor(0.5)}, "strength"),
        ("again", {"strength": True}, "strength"),
        ("upscale", {"factor": 1}, "factor"),
        ("upscale", {"factor": 2.0}, "factor"),
        ("upscale", {"image": picture(9, 8)}, "9 x 8"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_arguments_raise_before_anything_is_computed(pipe, kind, arguments, message):
    kinds = {"again": SimpleDiffusionImageToImagePipeline, "inpaint": SimpleDiffusionInpaintPipeline,
             "upscale": SimpleDiffusionUpscalePipeline}  # fmt: skip
    pipeline = editing(pipe, kinds[kind])
    hook = pipeline.unet.register_forward_pre_hook(lambda *_: pytest.fail("the network ran"))
    try:
        with pytest.raises(ValueError, match=message):
            draw(pipeline, **{"image": picture()} | arguments)
    finally:
        hook.remove()


def test_masks_of_other_modes_and_numbers_of_numpy(pipe):
    """White where the mask is, whatever it came as: the picture is the same, bit for bit."""
    inpaint, hole = editing(pipe, SimpleDiffusionInpaintPipeline), mask()
    levels = np.asarray(hole)
    expected = draw(inpaint, picture(), hole, resampling=2, method="projection")[0].tobytes()
    for given in (
        *(hole.convert(mode) for mode in ("1", "P", "RGB", "RGBA", "LA", "CMYK")),
        *(levels > 0, levels / 255, (levels > 0).astype(int), levels[..., None]),
        *(torch.from_numpy(levels > 0), torch.from_numpy(levels / 255)[None]),
    ):
        again = draw(inpaint, picture(), given, resampling=np.int64(2), method="projection")
        assert again[0].tobytes() == expected
    again, half = editing(pipe, SimpleDiffusionImageToImagePipeline), np.float32(0.5)
    assert draw(again, picture(), half)[0].tobytes() == draw(again, picture(), 0.5)[0].tobytes()
    upscale = editing(pipe, SimpleDiffusionUpscalePipeline)
    assert draw(upscale, picture(8, 8), np.int64(2))[0].size == (16, 16)


def test_schedulers_that_cannot_do_it_are_named(pipe):
    again = editing(pipe, SimpleDiffusionImageToImagePipeline, PNDMScheduler)
    with pytest.raises(ValueError, match="PNDM"):
        draw(again, picture(), strength=0.5)
    for cls in (DPMSolverMultistepScheduler, HeunDiscreteScheduler):
        with pytest.raises(ValueError, match="resampling"):
            draw(editing(pipe, SimpleDiffusionInpaintPipeline, cls), picture(), mask(), resampling=2)
    with pytest.raises(TypeError):
        draw(again, "picture.png")
    with pytest.raises(TypeError, match="stength"):
        draw(again, picture(), stength=0.5)


def test_the_gradient_needs_derivatives(pipe):
    inpaint = editing(pipe, SimpleDiffusionInpaintPipeline)
    with torch.inference_mode():
        with pytest.raises(ValueError, match="inference_mode"):
            draw(inpaint, picture(), mask())
        assert draw(inpaint, picture(), mask(), method="projection")


def test_pictures_of_other_modes(pipe):
    """Grey, palette, CMYK and transparent pictures are those of Pillow's own conversion, on white."""
    again, image = editing(pipe, SimpleDiffusionImageToImagePipeline), picture()
    transparent = image.convert("RGBA")
    transparent.putalpha(128)
    white = Image.composite(image, Image.new("RGB", image.size, "white"), Image.new("L", image.size, 128))
    for given, wanted in (
        (image.convert("L"), image.convert("L").convert("RGB")),
        (image.convert("P"), image.convert("P").convert("RGB")),
        (image.convert("CMYK"), image.convert("CMYK").convert("RGB")),
        (transparent, white),
        (np.asarray(image), image),
        (torch.from_numpy(pixels(image) / 255).permute(2, 0, 1), image),
    ):
        back = pixels(draw(again, given, strength=0.0)[0])
        assert np.abs(back - pixels(wanted)).max() <= (1 if given is transparent else 0)

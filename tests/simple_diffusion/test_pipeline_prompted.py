"""Editing told by words: what prompts change, what they share with drawing, folders, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import save_pipeline
from tiny_prompts import WORDS, tiny_prompt_pipeline

from hf_kexue.hub import export_repository
from hf_kexue.simple_diffusion import (
    SimpleDiffusionImageToImagePipeline,
    SimpleDiffusionInpaintPipeline,
    SimpleDiffusionPipeline,
    SimpleDiffusionTextToImagePipeline,
    SimpleDiffusionUpscalePipeline,
)
from hf_kexue.simple_diffusion.guidance_simple_diffusion import extrapolate, output_from_sample, predict_sample
from hf_kexue.simple_diffusion.samplers import with_sampler
from hf_kexue.simple_diffusion.schedulers_simple_diffusion import logsnr_of, start_sampling

METHODS = ("replacement", "projection", "gradient")
EDITING = (SimpleDiffusionImageToImagePipeline, SimpleDiffusionInpaintPipeline, SimpleDiffusionUpscalePipeline)
each_kind = pytest.mark.parametrize("kind", EDITING, ids=lambda kind: kind.__name__)
WHITE = Image.new("L", (16, 16), 255)


@pytest.fixture(scope="module")
def words():
    return tiny_prompt_pipeline(guidance_scale=2.0)


@pytest.fixture(scope="module")
def clothes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clothes")
    save_pipeline(folder, ["Dress", "Hat"])
    return quiet(SimpleDiffusionPipeline.from_pretrained(folder))


def quiet(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def picture(seed=0):
    levels = np.random.default_rng(seed).integers(256, size=(16, 16, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def mask():
    image = Image.new("L", (16, 16), 0)
    image.paste(255, (4, 4, 12, 16))
    return image


def given(kind):
    """What each pipeline edits."""
    return (picture(), mask()) if kind is SimpleDiffusionInpaintPipeline else (picture(),)


def draw(pipeline, *pictures, **options):
    defaults = {"num_inference_steps": 3, "generator": torch.Generator().manual_seed(0), "output_type": "pt"}
    return pipeline(*pictures, **defaults | options).images


@pytest.mark.parametrize("method", METHODS)
def test_a_white_mask_is_drawing_the_prompt(words, method):
    inpaint = quiet(SimpleDiffusionInpaintPipeline.from_pipe(words))
    for options in (
        {"prompt": WORDS[0]},
        {"prompt": WORDS[:2], "negative_prompt": WORDS[2]},
        {"prompt": "", "guidance_scale": 1.0},
    ):
        assert torch.equal(draw(inpaint, picture(), WHITE, method=method, **options), draw(words, **options))
    nothing = draw(inpaint, picture(), WHITE, method=method)
    assert torch.equal(nothing, draw(words, ""))


def test_full_strength_is_drawing_the_prompt(words):
    again = quiet(SimpleDiffusionImageToImagePipeline.from_pipe(words))
    assert torch.equal(draw(again, picture(), 1.0, prompt=WORDS[1]), draw(words, WORDS[1]))
    assert draw(again, picture(), 0.0, prompt=WORDS[1], output_type="pil")[0].tobytes() == picture().tobytes()


@each_kind
def test_words_change_what_is_free_and_keep_what_is_known(words, kind):
    pipeline = quiet(kind.from_pipe(words))
    first, second = (draw(pipeline, *given(kind), prompt=prompt, output_type="pil")[0] for prompt in WORDS[:2])
    assert first.tobytes() != second.tobytes()
    for one in (first, second):
        if kind is SimpleDiffusionInpaintPipeline:
            kept = np.asarray(mask()) == 0
            assert (np.asarray(one)[kept] == np.asarray(picture())[kept]).all()
        if kind is SimpleDiffusionUpscalePipeline:
            assert one.reduce(2).tobytes() == picture().tobytes()


def test_projection_with_guidance_is_that_of_a_loop_by_hand(words):
    """The guided prediction of prompt and negative prompt, with the known pixels put into it."""
    noise, scale = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(3)), 2.5
    options = {"method": "projection", "latents": noise, "guidance_scale": scale, "eta": 0.0}
    inpaint = quiet(SimpleDiffusionInpaintPipeline.from_pipe(words))
    found = draw(inpaint, picture(), mask(), prompt=WORDS[0], negative_prompt=WORDS[1], **options)
    kept = torch.from_numpy(np.asarray(mask()) == 0)
    known = torch.from_numpy(np.asarray(picture()) / 255).float().permute(2, 0, 1)
    sides = [
        {"encoder_hidden_states": states, "encoder_attention_mask": real, "pooled_projections": pooled}
        for states, pooled, real in map(words.encode_prompt, WORDS[:2])
    ]
    x, scheduler = noise, words.scheduler
    with torch.no_grad():
        for index, t in enumerate(start_sampling(scheduler, 3, x.device, None)):
            logsnr = logsnr_of(scheduler, t, index)
            output = extrapolate(*(words.unet(x, logsnr, **side).sample for side in sides), scale)
            clean = torch.where(kept, 2 * known - 1, predict_sample(output, x, logsnr, "v_prediction"))
            output = output_from_sample(clean, x, logsnr, "v_prediction")
            x = scheduler.step(output, t, x, eta=0.0).prev_sample
    expected = torch.where(kept, known, (x / 2 + 0.5).clamp(0, 1))
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)  # two ways through sigma near zero, float32


@each_kind
def test_embeddings_in_place_of_prompts(words, kind):
    states, pooled, real = words.encode_prompt(WORDS[0])
    embeds = {"prompt_embeds": states, "pooled_prompt_embeds": pooled, "prompt_attention_mask": real}
    states, pooled, real = words.encode_prompt(WORDS[1])
    embeds |= {"negative_prompt_embeds": states, "negative_pooled_prompt_embeds": pooled}
    embeds["negative_prompt_attention_mask"] = real
    silent = quiet(kind.from_pipe(words, text_encoder=None, tokenizer=None))
    expected = draw(quiet(kind.from_pipe(words)), *given(kind), prompt=WORDS[0], negative_prompt=WORDS[1])
    torch.testing.assert_close(draw(silent, *given(kind), **embeds), expected, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="no text_encoder and no tokenizer: give embeddings of prompt"):
        draw(silent, *given(kind), prompt=WORDS[0])


def test_pictures_and_prompts_one_or_one_each(words):
    again = quiet(SimpleDiffusionImageToImagePipeline.from_pipe(words))
    pictures, noise = [picture(0), picture(1)], torch.randn(4, 3, 16, 16)
    options = {"strength": 0.5, "eta": 0.0, "num_inference_steps": 2}

    def one(image, prompt, place):
        return draw(again, image, prompt=prompt, latents=noise[place : place + 1], **options)

    for found, expected in (
        ((pictures, WORDS[0]), [(pictures[0], WORDS[0]), (pictures[1], WORDS[0])]),
        ((pictures[0], WORDS[:2]), [(pictures[0], WORDS[0]), (pictures[0], WORDS[1])]),
        ((pictures, WORDS[:2]), [(pictures[0], WORDS[0]), (pictures[1], WORDS[1])]),
    ):
        drawn = draw(again, found[0], prompt=found[1], latents=noise[:2], **options)
        alone = torch.cat([one(*pair, place) for place, pair in enumerate(expected)])
        torch.testing.assert_close(drawn, alone, rtol=0, atol=1e-5)
    drawn = draw(again, pictures, prompt=WORDS[:2], num_images_per_prompt=2, latents=noise, **options)
    alone = torch.cat([one(pictures[place // 2], WORDS[place // 2], place) for place in range(4)])
    torch.testing.assert_close(drawn, alone, rtol=0, atol=1e-5)
    assert len(draw(again, pictures[0], prompt=WORDS[0], batch_size=3)) == 3


@each_kind
def test_folders_are_those_of_drawing_and_the_other_way_round(words, clothes, kind, tmp_path):
    words.save_pretrained(tmp_path / "words")
    loaded = quiet(kind.from_pretrained(tmp_path / "words"))
    expected = draw(quiet(kind.from_pipe(words)), *given(kind), prompt=WORDS[0])
    assert torch.equal(draw(loaded, *given(kind), prompt=WORDS[0]), expected)
    loaded.save_pretrained(tmp_path / "edited")
    export_repository(loaded, tmp_path / "exported")
    for name in ("edited", "exported"):
        back = quiet(SimpleDiffusionTextToImagePipeline.from_pretrained(tmp_path / name))
        assert torch.equal(draw(back, WORDS[0]), draw(words, WORDS[0]))
        again = quiet(kind.from_pretrained(tmp_path / name))
        assert torch.equal(draw(again, *given(kind), prompt=WORDS[0]), expected)
    solved, options = with_sampler(loaded, "ddim")
    assert solved.text_encoder is loaded.text_encoder
    assert draw(quiet(solved), *given(kind), prompt=WORDS[0], **options).shape == expected.shape
    kind.from_pipe(clothes).save_pretrained(tmp_path / "clothes")
    back = quiet(SimpleDiffusionPipeline.from_pretrained(tmp_path / "clothes"))
    assert torch.equal(draw(back, class_labels="Hat"), draw(clothes, class_labels="Hat"))
    assert torch.equal(
        draw(quiet(SimpleDiffusionPipeline.from_pipe(kind.from_pipe(clothes))), class_labels="Hat"),
        draw(clothes, class_labels="Hat"),
    )


@each_kind
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"prompt": "a red hat"}, "prompt was given, but this model was trained without words; it draws the classes"),
        ({"negative_prompt": "blue"}, "negative_prompt was given, .* Dress, Hat"),
        ({"prompt_embeds": torch.ones(1, 2, 8)}, "prompt_embeds was given"),
        ({"num_images_per_prompt": 2}, "num_images_per_prompt was given"),
    ],
)
def test_models_of_classes_refuse_words(clothes, kind, options, match):
    with pytest.raises(ValueError, match=match):
        draw(kind.from_pipe(clothes), *given(kind), **options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"class_labels": "Hat"}, "class_labels was given, but this model draws what a prompt says"),
        ({"num_images_per_label": 2}, "num_images_per_label was given"),
        ({"prompt": 3}, "prompt must be a text"),
        ({"prompt": []}, "prompt must be a text"),
        ({"prompt": WORDS, "image": [picture()] * 2}, "2 pictures were given for 3 labels, prompts or images"),
        ({"prompt": WORDS[:2], "negative_prompt": WORDS}, "3 negative prompts for 2 prompts"),
        ({"prompt": WORDS[0], "num_images_per_prompt": 0}, "num_images_per_prompt is 0"),
        ({"prompt": WORDS[0], "latents": torch.zeros(2, 3, 16, 16)}, "2 latents for 1 images"),
        ({"prompt": WORDS[0], "pooled_prompt_embeds": torch.ones(1, 8)}, "exclude each other"),
    ],
)
def test_wrong_words_raise_before_anything_is_computed(words, options, match):
    again = SimpleDiffusionImageToImagePipeline.from_pipe(words)
    hook = again.unet.register_forward_pre_hook(lambda *_: pytest.fail("the network ran"))
    try:
        with pytest.raises(ValueError, match=match):
            draw(again, **{"image": picture()} | options)
        with pytest.raises(TypeError, match="promt"):
            draw(again, picture(), promt=WORDS[0])
    finally:
        hook.remove()


def test_pipelines_that_do_not_fit_are_named(words, clothes, tmp_path):
    with pytest.raises(ValueError, match=r"SimpleDiffusionPipeline made of a \w+ has no use for text_encoder"):
        SimpleDiffusionPipeline.from_pipe(words)
    with pytest.raises(ValueError, match="lacks text_encoder, tokenizer"):
        SimpleDiffusionTextToImagePipeline.from_pipe(clothes)
    words.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="SimpleDiffusionPipeline, for a SimpleDiffusionTextToImagePipeline"):
        SimpleDiffusionPipeline.from_pretrained(tmp_path)

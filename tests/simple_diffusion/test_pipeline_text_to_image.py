"""The text-to-image pipeline: what words change, guidance against a loop by hand, embeddings, and what is refused."""

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from tiny_prompts import WORDS, tiny_prompt_pipeline, tiny_text_encoder
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from hf_kexue import SimpleDiffusionTextToImagePipeline, SimpleDiffusionUViT2DModel
from hf_kexue.hub import export_repository
from hf_kexue.simple_diffusion.guidance_simple_diffusion import extrapolate
from hf_kexue.simple_diffusion.samplers import with_sampler
from hf_kexue.simple_diffusion.schedulers_simple_diffusion import logsnr_of, start_sampling


@pytest.fixture(scope="module")
def pipeline():
    return tiny_prompt_pipeline()


def draw(pipeline, prompt=None, seed=0, **options):
    options = {"num_inference_steps": 2, "output_type": "pt", **options}
    return pipeline(prompt, generator=torch.Generator().manual_seed(seed), **options).images


def test_words_change_the_picture_and_pictures_follow_their_prompts(pipeline):
    together = draw(pipeline, WORDS[:2], latents=torch.ones(2, 3, 16, 16), eta=0.0)
    assert (together[0] - together[1]).abs().max() > 1e-3
    swapped = draw(pipeline, WORDS[1::-1], latents=torch.ones(2, 3, 16, 16), eta=0.0)
    assert torch.allclose(swapped, together.flip(0), atol=1e-5)


def test_guidance_is_that_of_a_loop_by_hand(pipeline):
    """Prompt and empty prompt, extrapolated, deterministic steps of the scheduler."""
    noise, scale = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(3)), 2.5
    found = draw(pipeline, WORDS[0], latents=noise, guidance_scale=scale, eta=0.0)
    x, scheduler, unet = noise, pipeline.scheduler, pipeline.unet
    sides = []
    for prompt in (WORDS[0], ""):
        states, pooled, mask = pipeline.encode_prompt(prompt)
        sides.append({
            "encoder_hidden_states": states, "encoder_attention_mask": mask, "pooled_projections": pooled,
        })  # fmt: skip
    with torch.no_grad():
        for index, t in enumerate(start_sampling(scheduler, 2, x.device, None)):
            logsnr = logsnr_of(scheduler, t, index)
            positive, negative = (unet(x, logsnr, **side).sample for side in sides)
            x = scheduler.step(extrapolate(positive, negative, scale), t, x, eta=0.0).prev_sample
    assert torch.allclose(found, (x / 2 + 0.5).clamp(0, 1), atol=1e-5)


def test_negative_prompts(pipeline):
    """The empty one is the default; the prompt itself takes all guidance away; without guidance they do nothing."""
    guided = draw(pipeline, WORDS[0], guidance_scale=3.0)
    assert torch.equal(guided, draw(pipeline, WORDS[0], guidance_scale=3.0, negative_prompt=""))
    assert not torch.equal(guided, draw(pipeline, WORDS[0], guidance_scale=3.0, negative_prompt=WORDS[1]))
    plain = draw(pipeline, WORDS[0], guidance_scale=1.0)
    itself = draw(pipeline, WORDS[0], guidance_scale=3.0, negative_prompt=WORDS[0])
    assert torch.allclose(itself, plain, atol=1e-4)
    assert torch.equal(plain, draw(pipeline, WORDS[0], guidance_scale=1.0, negative_prompt=WORDS[1]))
    both = draw(pipeline, WORDS[:2], guidance_scale=3.0, negative_prompt=[WORDS[1], WORDS[2]])
    one = draw(pipeline, WORDS[:2], guidance_scale=3.0, negative_prompt=WORDS[1])
    assert torch.allclose(both[0], one[0], atol=1e-5)


def test_embeddings_in_place_of_prompts(pipeline):
    states, pooled, mask = pipeline.encode_prompt(WORDS[:2])
    embeds = {"prompt_embeds": states, "pooled_prompt_embeds": pooled, "prompt_attention_mask": mask}
    assert torch.equal(draw(pipeline, **embeds, guidance_scale=2.0), draw(pipeline, WORDS[:2], guidance_scale=2.0))
    states, pooled, mask = pipeline.encode_prompt(WORDS[2])
    embeds = {"negative_prompt_embeds": states, "negative_pooled_prompt_embeds": pooled}
    embeds["negative_prompt_attention_mask"] = mask
    expected = draw(pipeline, WORDS[0], guidance_scale=2.0, negative_prompt=WORDS[2])
    assert torch.allclose(draw(pipeline, WORDS[0], guidance_scale=2.0, **embeds), expected, atol=1e-5)


def test_images_of_a_prompt_lie_side_by_side(pipeline):
    latents = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = draw(pipeline, WORDS[:2], num_images_per_prompt=2, latents=latents, eta=0.0)
    alone = draw(pipeline, WORDS[1], latents=latents[2:3], eta=0.0)
    assert torch.allclose(images[2:3], alone, atol=1e-5)
    assert draw(pipeline, WORDS[0], height=24, width=16, num_images_per_prompt=3).shape == (3, 3, 24, 16)


def test_callbacks_of_diffusers_users(pipeline):
    seen = []

    def stop(pipe, step, timestep, tensors):
        seen.append((step, tensors["latents"].shape))
        pipe._interrupt = True
        return {"latents": tensors["latents"] * 0}

    images = draw(pipeline, WORDS[0], num_inference_steps=4, callback_on_step_end=stop)
    assert seen == [(0, (1, 3, 16, 16))]
    assert torch.equal(images, torch.full_like(images, 0.5))
    assert pipeline(WORDS[0], num_inference_steps=1).images[0].size == (16, 16)
    assert pipeline(WORDS[0], num_inference_steps=1, return_dict=False)[0][0].size == (16, 16)


@pytest.mark.parametrize(("pooled", "states"), [(8, None), (None, 8)])
def test_either_door_alone(pooled, states):
    pipeline = tiny_prompt_pipeline(pooled=pooled, states=states)
    first, second = draw(pipeline, WORDS[0], guidance_scale=2.0), draw(pipeline, WORDS[1], guidance_scale=2.0)
    assert (first - second).abs().max() > 1e-4
    vectors = {"pooled_prompt_embeds": torch.ones(1, 8)}
    if states is None:
        assert draw(pipeline, **vectors, guidance_scale=2.0).shape == (1, 3, 16, 16)
    else:
        with pytest.raises(ValueError, match="cross_attention_dim"):
            draw(pipeline, **vectors)


def test_other_samplers_keep_the_words(pipeline):
    other, options = with_sampler(pipeline, "dpm")
    assert isinstance(other, SimpleDiffusionTextToImagePipeline)
    assert isinstance(other.scheduler, DPMSolverMultistepScheduler)
    other.set_progress_bar_config(disable=True)
    assert not torch.equal(draw(other, WORDS[0], **options), draw(other, WORDS[1], **options))


def test_an_encoder_of_transformers_without_special_tokens():
    """BERT over whole words, whose empty prompt has no token of its own."""
    vocab = {"[PAD]": 0, "[UNK]": 1, "red": 2, "apple": 3}
    words = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", model_max_length=4)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=4, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=4,
    )  # fmt: skip
    pipeline = tiny_prompt_pipeline(BertModel(config), tokenizer)
    images = draw(pipeline, ["red apple", ""], guidance_scale=2.0)
    assert torch.isfinite(images).all()
    assert not torch.equal(images[0], images[1])


def test_saved_and_exported_folders_load(pipeline, tmp_path):
    expected = draw(pipeline, WORDS[0])
    pipeline.save_pretrained(tmp_path / "saved")
    export_repository(pipeline, tmp_path / "with_code")
    export_repository(pipeline, tmp_path / "bare", with_code=False)
    for name in ("saved", "with_code", "bare"):
        loaded = SimpleDiffusionTextToImagePipeline.from_pretrained(tmp_path / name)
        loaded.set_progress_bar_config(disable=True)
        assert torch.equal(draw(loaded, WORDS[0]), expected), name
        assert loaded.tokenizer.model_max_length == 20
    assert (tmp_path / "with_code" / "text_encoder" / "modeling_dgcnn.py").is_file()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "Give a prompt"),
        ({"prompt": 3}, "prompt must be"),
        ({"prompt": []}, "prompt must be"),
        ({"prompt": "a", "pooled_prompt_embeds": torch.ones(1, 8)}, "exclude"),
        ({"prompt": "a", "negative_prompt": "b", "negative_pooled_prompt_embeds": torch.ones(1, 8)}, "exclude"),
        ({"prompt": "a", "negative_prompt": 3}, "negative_prompt must be"),
        ({"prompt": ["a"] * 3, "negative_prompt": ["b"] * 2}, "2 negative prompts"),
        ({"prompt_embeds": torch.ones(1, 3, 8)}, "pooled_projection_dim"),
        ({"prompt_embeds": torch.ones(1, 3, 5), "pooled_prompt_embeds": torch.ones(1, 8)}, "width 8"),
        ({"prompt_embeds": torch.ones(2, 3, 8), "pooled_prompt_embeds": torch.ones(1, 8)}, "2 states"),
        (
            {
                "prompt_embeds": torch.ones(1, 3, 8), "pooled_prompt_embeds": torch.ones(1, 8),
                "prompt_attention_mask": torch.zeros(1, 3),
            },
            "without a token",
        ),
        (
            {
                "prompt_embeds": torch.ones(1, 3, 8), "pooled_prompt_embeds": torch.ones(1, 8),
                "prompt_attention_mask": torch.ones(1, 4),
            },
            r"shape \(1, 4\), its states \(1, 3, 8\)",
        ),
        ({"prompt_embeds": torch.ones(3, 8), "pooled_prompt_embeds": torch.ones(1, 8)}, "states .* 3 axes"),
        ({"prompt_embeds": [[1.0]], "pooled_prompt_embeds": torch.ones(1, 8)}, "states .* 3 axes"),
        ({"prompt_attention_mask": torch.ones(1, 4)}, "Give a prompt"),
        ({"prompt": "a", "num_images_per_prompt": 0}, "positive"),
        ({"prompt": "a", "height": 9}, "multiple"),
        ({"prompt": "a", "guidance_scale": "high"}, "number"),
        ({"prompt": "a", "latents": torch.zeros(3, 3, 16, 16)}, "3 latents"),
        ({"prompt": "a", "output_type": "jpg"}, "output_type"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused_before_anything_is_drawn(pipeline, options, match):
    with pytest.raises(ValueError, match=match):
        draw(pipeline, **options)


def test_a_network_without_text_is_refused():
    encoder, tokenizer = tiny_text_encoder()
    unet = SimpleDiffusionUViT2DModel(
        sample_size=16, block_out_channels=(8,), layers_per_block=1, hidden_size=16, num_transformer_layers=1,
        num_attention_heads=2,
    )  # fmt: skip
    with pytest.raises(ValueError, match="no text"):
        SimpleDiffusionTextToImagePipeline(unet, tiny_prompt_pipeline().scheduler, encoder, tokenizer)

"""The contrastive losses against closed forms, and that they teach an encoder which words belong together."""

import copy
import math

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")

from tiny_prompts import tiny_text_encoder

from hf_kexue.simple_diffusion.prompts_simple_diffusion import encode_tokens, tokenize_prompts
from hf_kexue.training.contrastive import (
    ContrastiveModel,
    coarse_pictures,
    info_nce,
    learn_pictures,
    retrieval_share,
)


def test_info_nce_is_the_mean_of_both_cross_entropies():
    """Against the formula in numpy."""
    generator = np.random.default_rng(0)
    x, y, scale = generator.normal(size=(4, 3)), generator.normal(size=(4, 3)), 2.5
    scores = np.exp(scale * x @ y.T)
    expected = -np.mean(
        [math.log(scores[i, i] / scores[i].sum()) + math.log(scores[i, i] / scores[:, i].sum()) for i in range(4)]
    )
    assert float(info_nce(torch.tensor(x), torch.tensor(y), scale)) == pytest.approx(expected / 2)
    twice = info_nce(torch.tensor(np.concatenate([x, x])), torch.tensor(np.concatenate([y, y])), scale, groups=2)
    assert float(twice) == pytest.approx(expected / 2)


def test_equal_vectors_cost_the_logarithm_of_the_batch():
    ones = torch.ones(8, 3) / 3**0.5
    assert float(info_nce(ones, ones, 5.0)) == pytest.approx(math.log(8))


def test_share_of_rows_that_find_their_own():
    eye = torch.eye(4)
    assert retrieval_share(eye, eye) == 1
    assert retrieval_share(eye, eye[[1, 0, 2, 3]]) == 0.5


def test_the_encoder_learns_which_words_name_one_picture():
    """Four pictures, two names each: after some steps each name finds the other, and its picture."""
    torch.manual_seed(0)
    encoder, tokenizer = tiny_text_encoder(16)
    model = ContrastiveModel(encoder, 16, lambda network, columns: encode_tokens(network, columns).pooled).train()
    pairs = ["red", "blue car", "apple", "noto", "苹", "戴墨镜", "的猫", "镜: 猫"]
    columns = tokenize_prompts(tokenizer, pairs)
    pixels = torch.rand(4, 3, 32, 32) * 2 - 1
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    first = None
    for _ in range(40):
        losses = model(pixels, columns)
        first = first or float(losses["loss"].detach())
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    text, sketch = model.eval().vectors(columns)
    assert float(losses["loss"].detach()) < first / 2
    assert retrieval_share(text[:4], text[4:]) == 1
    assert retrieval_share(text[:4], model.of_pictures(pixels)) == 1
    assert sketch.shape == (8, 3, 16, 16)


def vector_of(network, columns):
    return encode_tokens(network, columns).pooled


def test_perceptrons_learn_the_pictures_of_captions_alone():
    """Six captions of three pictures: each gives its picture, and nothing below the perceptrons moves."""
    encoder, tokenizer = tiny_text_encoder(16, pooler_layers=2, pooler_size=24)
    model = ContrastiveModel(encoder, 24, vector_of).train()
    captions = ["red", "blue car", "apple", "noto", "戴墨镜", "的猫"]
    columns = [tokenize_prompts(tokenizer, part) for part in (captions[:4], captions[4:])]
    coarse = coarse_pictures(torch.rand(3, 3, 32, 32) * 2 - 1)
    before = copy.deepcopy(model.state_dict())
    owners = torch.tensor([0, 0, 1, 1, 2, 2])
    losses = learn_pictures(model, columns, owners, coarse, steps=300, seed=0, rate=3e-3, batch_size=6)
    assert len(losses) == 300
    assert losses[0] > 0.5
    assert losses[-1] < 0.05
    assert model.training
    _, sketch = model.eval().vectors(tokenize_prompts(tokenizer, captions))
    assert float((sketch.detach() - coarse[owners]).square().mean() / coarse.var()) < 0.05
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith(("text_encoder.vector_blocks.", "text_norm.", "sketch.")) for name in moved)


def test_an_encoder_without_perceptrons_learns_no_pictures():
    encoder, tokenizer = tiny_text_encoder(16)
    model = ContrastiveModel(encoder, 16, vector_of)
    columns = tokenize_prompts(tokenizer, ["red"])
    with pytest.raises(ValueError, match="pooler_layers"):
        learn_pictures(model, [columns], torch.tensor([0]), torch.zeros(1, 3, 16, 16), steps=1, seed=0)

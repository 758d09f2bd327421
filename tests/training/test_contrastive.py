"""The contrastive losses against closed forms, and that they teach an encoder which words belong together."""

import math

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")

from tiny_prompts import tiny_text_encoder

from hf_kexue.simple_diffusion.prompts_simple_diffusion import encode_tokens, tokenize_prompts
from hf_kexue.training.contrastive import ContrastiveModel, info_nce, retrieval_share


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

"""Prompts -> tokens, states, masks and vectors, with encoders of several kinds."""

import logging

import pytest
import torch
from tiny_prompts import tiny_text_encoder
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, T5Config, T5EncoderModel

from hf_kexue.simple_diffusion.prompts_simple_diffusion import (
    EncodedPrompts,
    check_prompts,
    encode_tokens,
    tokenize_prompts,
)

VOCAB = {"[PAD]": 0, "[UNK]": 1, "red": 2, "apple": 3, "car": 4}


def word_tokenizer(side="right", longest=4):
    """Whole words and no special tokens: an empty prompt has no token at all."""
    tokenizer = Tokenizer(models.WordLevel(VOCAB, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", padding_side=side, model_max_length=longest
    )


def bert():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=5, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=8,
    )  # fmt: skip
    return BertModel(config).eval()


@pytest.mark.parametrize("side", ["left", "right"])
def test_every_row_keeps_a_token(side):
    columns = tokenize_prompts(word_tokenizer(side), ["red apple", "", "car"])
    assert columns["attention_mask"].sum(dim=1).tolist() == [2, 1, 1]
    assert columns["attention_mask"][1].tolist() == ([0, 1] if side == "left" else [1, 0])
    alone = tokenize_prompts(word_tokenizer(side), [""])
    assert alone["attention_mask"].tolist() == [[1]]
    assert alone["input_ids"].tolist() == [[0]]


def test_an_empty_prompt_is_the_separator_of_our_tokenizer():
    _, tokenizer = tiny_text_encoder()
    assert tokenize_prompts(tokenizer, [""])["input_ids"].tolist() == [[tokenizer.sep_token_id]]


def test_a_long_prompt_is_cut_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        columns = tokenize_prompts(word_tokenizer(longest=3), ["red red red apple car", "car"])
    assert columns["input_ids"].tolist() == [[2, 2, 2], [4, 0, 0]]
    assert "5 tokens" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        tokenize_prompts(word_tokenizer(longest=3), ["red red apple"])
        tokenize_prompts(word_tokenizer(longest=3), ["red red red apple"], warn=False)
    assert not caplog.text


@pytest.mark.parametrize("name", ["bert", "t5", "dgcnn"])
def test_a_prompt_encodes_the_same_in_any_company(name):
    """What is padded does not count, whatever the encoder; its vector is the pooled one, or the mean of the states."""
    torch.manual_seed(0)
    if name == "dgcnn":
        encoder, tokenizer = tiny_text_encoder()
    else:
        t5 = T5Config(vocab_size=5, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
        encoder, tokenizer = bert() if name == "bert" else T5EncoderModel(t5).eval(), word_tokenizer()
    with torch.no_grad():
        both = encode_tokens(encoder, tokenize_prompts(tokenizer, ["car", "red apple red"]))
        alone = encode_tokens(encoder, tokenize_prompts(tokenizer, ["car"]))
    assert both.states.shape[2] == both.pooled.shape[1] == 8
    assert torch.allclose(both.pooled[:1], alone.pooled, atol=1e-5)
    assert torch.allclose(both.states[:1, : alone.length], alone.states, atol=1e-5)
    if name == "t5":
        assert torch.allclose(alone.pooled, alone.states.mean(dim=1), atol=1e-6)


def test_rows_are_repeated_and_padded():
    states = torch.arange(6.0).view(1, 3, 2)
    text = EncodedPrompts(states, torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 4))
    more = text.repeated(2, 3).padded(5)
    assert (len(more), more.length) == (6, 5)
    assert more.mask.tolist() == [[True] * 3 + [False] * 2] * 6
    assert torch.equal(more.states[5, :3], states[0])
    rows = EncodedPrompts(None, None, torch.tensor([[1.0], [2.0]])).repeated(2, 2)
    assert rows.pooled.flatten().tolist() == [1, 1, 2, 2]
    half = more.to(torch.device("cpu"), torch.bfloat16)
    assert (half.states.dtype, half.mask.dtype) == (torch.bfloat16, torch.bool)


@pytest.mark.parametrize("prompt", [None, 3, [], ["red", 3], b"red", {"red": 1}])
def test_what_is_no_text_is_refused(prompt):
    with pytest.raises(ValueError, match="prompt must be"):
        check_prompts("prompt", prompt)
    assert check_prompts("prompt", ("red", "car")) == ["red", "car"]

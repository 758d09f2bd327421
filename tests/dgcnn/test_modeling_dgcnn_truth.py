"""The parts of DGCNN against plain loops and formulas in float64, written from the articles and not from the model."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.testing import assert_close

from hf_kexue.dgcnn.configuration_dgcnn import DGCNNConfig
from hf_kexue.dgcnn.layers_dgcnn import (
    AttentionPooling,
    DGCNNBlock,
    DGCNNEmbeddings,
    QuestionFusion,
    VectorBlocks,
    sinusoidal_positions,
)
from hf_kexue.dgcnn.modeling_dgcnn import DGCNNForMaskedLM, DGCNNForQuestionAnswering

FLOAT64 = {"rtol": 1e-10, "atol": 1e-12}
LENGTHS = (7, 5)  # characters of the two rows


def sigmoid(x):
    return 1 / (1 + np.exp(-np.maximum(x, -700.0)))  # no overflow


def random_tensor(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mask_of(lengths=LENGTHS):
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).double()[:, None]  # (B, 1, L)


def randomised(module, seed=1):
    module = module.double().eval()
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.copy_(0.5 * random_tensor(*parameter.shape, seed=seed + i))
    return module


# The trunk


@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("width", [1, 3, 5])
def test_a_gated_block(dilation, width):
    size = 4
    block = randomised(DGCNNBlock(DGCNNConfig(hidden_size=size, kernel_size=width), dilation))
    mask = mask_of()
    x = (random_tensor(2, size, 7) * mask).numpy()
    weight, bias = (parameter.detach().numpy() for parameter in block.parameters())  # (2D, D, width), value first
    expected = np.zeros_like(x)
    for row, length in enumerate(LENGTHS):
        for i in range(length):
            total = bias.copy()
            for k in range(width):
                place = i + dilation * (k - width // 2)
                if 0 <= place < length:
                    total += weight[:, :, k] @ x[row, :, place]
            value, g = total[:size], sigmoid(total[size:])
            expected[row, :, i] = x[row, :, i] * (1 - g) + value * g
    assert_allclose(block(torch.tensor(x), mask).detach().numpy(), expected, **FLOAT64)


def test_attention_pooling():
    pooling = randomised(AttentionPooling(4))
    mask = mask_of()
    x = random_tensor(2, 4, 7).numpy()
    hidden, alpha = pooling.hidden.weight.detach().numpy()[:, :, 0], pooling.score.weight.detach().numpy()[0, :, 0]
    for row, length in enumerate(LENGTHS):
        weights = np.array([np.exp(alpha @ np.tanh(hidden @ x[row, :, i])) for i in range(length)])
        expected = sum(w * x[row, :, i] for i, w in enumerate(weights / weights.sum()))
        ours = pooling(torch.tensor(x), mask)[row].detach().numpy()
        assert_allclose(ours, expected, **FLOAT64)


def test_perceptrons_behind_the_pooling():
    blocks = randomised(VectorBlocks(DGCNNConfig(hidden_size=4, pooler_layers=2, pooler_size=6)))
    weights = {name: parameter.detach().numpy() for name, parameter in blocks.named_parameters()}

    def normed(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    x = random_tensor(3, 4).numpy()
    expected = linear(normed(x, "norm"), "project")
    for i in range(2):
        inner = linear(normed(expected, f"blocks.{i}.0"), f"blocks.{i}.1")
        expected = expected + linear(inner * sigmoid(inner), f"blocks.{i}.3")
    assert_allclose(blocks(torch.tensor(x)).detach().numpy(), expected, **FLOAT64)


@pytest.mark.parametrize("size", [6, 7])
def test_sinusoidal_positions(size):
    table = sinusoidal_positions(500, size, torch.device("cpu"), torch.float64).numpy()
    for p in (0, 1, 17, 499):
        for i in range(size):
            angle = p / 10000 ** (2 * (i // 2) / size)
            expected = math.cos(angle) if i % 2 else math.sin(angle)
            assert table[p, i] == pytest.approx(expected, abs=5e-5)  # float32 angles up to 500


def test_the_embedding_adds_character_and_word():
    config = DGCNNConfig(vocab_size=30, hidden_size=4, word_vocab_size=9, word_embedding_size=3)
    embeddings = randomised(DGCNNEmbeddings(config))
    ids = torch.randint(1, 30, (2, 7), generator=torch.Generator().manual_seed(2))
    words = torch.randint(0, 9, (2, 7), generator=torch.Generator().manual_seed(3))
    ours = embeddings(ids, mask_of(), words).detach().numpy()
    weights = {name: parameter.detach().numpy() for name, parameter in embeddings.named_parameters()}
    for row, length in enumerate(LENGTHS):
        for i in range(7):
            word = weights["word_projection.weight"] @ weights["words.weight"][words[row, i]]
            expected = weights["characters.weight"][ids[row, i]] + word
            assert_allclose(ours[row, :, i], expected if i < length else 0 * expected, **FLOAT64)


@pytest.mark.parametrize("attends", [False, True])
def test_the_fusion_is_a_projection_of_everything_side_by_side(attends):
    config = DGCNNConfig(
        hidden_size=4, question_attention=attends, position_embedding="sinusoidal", num_match_features=8
    )
    fusion = randomised(QuestionFusion(config))
    hidden, vector, states = random_tensor(2, 4, 7), random_tensor(2, 4, seed=5), random_tensor(2, 4, 3, seed=6)
    features = random_tensor(2, 7, 8, seed=7)
    passage = mask_of()
    passage[1, 0, :2] = 0  # begins later: positions are counted from there
    ours = fusion(hidden, passage, vector, states, mask_of((3, 2)), features).detach().numpy()
    parts = [fusion.projection.weight[:, :, 0], fusion.question.weight, fusion.position.weight, fusion.features.weight]
    matrix = torch.cat(parts, dim=1).detach().numpy()
    for row, (begin, end, question) in enumerate([(0, 7, 3), (2, 5, 2)]):
        for i in range(begin, end):
            p = hidden[row, :, i].numpy()
            column = [p]
            if attends:
                keys = [fusion.key.weight.detach().numpy() @ states[row, :, j].numpy() for j in range(question)]
                weights = np.exp([key @ p / 2 for key in keys])  # / sqrt(4)
                found = sum(w * states[row, :, j].numpy() for j, w in enumerate(weights / weights.sum()))
                column += [found, found * p]
            angles = [(i - begin) / 10000 ** (k / 4) for k in (0, 2)]
            place = [f(angle) for angle in angles for f in (math.sin, math.cos)]
            column = np.concatenate([*column, vector[row].numpy(), place, features[row, i].numpy()])
            assert_allclose(ours[row, :, i], matrix @ column, rtol=1e-6, atol=1e-6)  # float32 angles
    assert (ours[1, :, [0, 1, 5, 6]] == 0).all()


@pytest.mark.parametrize("pretrained", [False, True])
def test_the_fusion_starts_as_the_identity_on_the_passage(pretrained, tmp_path):
    config = DGCNNConfig(hidden_size=4, question_attention=True)
    model = DGCNNForQuestionAnswering(config)
    if pretrained:
        DGCNNForMaskedLM(config).save_pretrained(tmp_path)
        model = DGCNNForQuestionAnswering.from_pretrained(tmp_path)
    weight = model.fusion.projection.weight[:, :, 0]
    assert_close(weight[:, :4], torch.eye(4), rtol=0, atol=0)
    assert weight[:, 4:].std() > 0.1
    assert_close(model.fusion.key.weight.data, torch.eye(4), rtol=0, atol=0)


# Noise and dropout of the gate


def test_feature_dropout_leaves_out_whole_questions_in_training_alone():
    fusion = randomised(QuestionFusion(DGCNNConfig(hidden_size=4, num_match_features=8, feature_dropout=0.3)))
    count = 2000
    hidden, mask = torch.zeros(count, 4, 3).double(), torch.ones(count, 1, 3).double()
    inputs = [hidden, mask, torch.zeros(count, 4).double(), hidden, mask]
    features = random_tensor(count, 3, 8)
    heard = features @ fusion.features.weight.detach().T  # (B, L, D)
    assert_close(fusion(*inputs, features).detach(), heard.transpose(1, 2), **FLOAT64)
    torch.manual_seed(0)
    trained = fusion.train()(*inputs, features).detach().transpose(1, 2)
    gone = (trained == 0).all(dim=(1, 2))
    assert gone.double().mean() == pytest.approx(0.3, abs=0.04)  # four standard errors
    assert_close(trained[~gone], heard[~gone], **FLOAT64)


def gates(training, noise=0.0, dropout=0.0):
    """The gate's logit as a block uses it, read back from its output; without disturbance 2, at 100,000 places."""
    block = DGCNNBlock(DGCNNConfig(hidden_size=1, gate_noise=noise, gate_dropout=dropout), 1).double().train(training)
    with torch.no_grad():
        block.convolution.weight.zero_()
        block.convolution.bias.copy_(torch.tensor([1.0, 2.0]))  # value 1, gate 2
    torch.manual_seed(0)
    return block(torch.zeros(1, 1, 100_000).double(), torch.ones(1, 1, 100_000).double()).logit().flatten()


def test_gate_noise_is_uniform_and_of_training_alone():
    assert_close(gates(training=False, noise=0.1), torch.full((100_000,), 2.0).double(), **FLOAT64)
    e = gates(training=True, noise=0.1) / 2 - 1
    assert e.abs().max() <= 0.1 + 1e-9
    assert e.abs().max() > 0.0999
    assert abs(e.mean()) < 5 * 0.1 / math.sqrt(3 * 100_000)  # five standard errors
    assert e.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.01)


def test_gate_dropout_drops_the_logit_and_of_training_alone():
    assert_close(gates(training=False, dropout=0.1), torch.full((100_000,), 2.0).double(), **FLOAT64)
    gate = gates(training=True, dropout=0.1)
    assert_close(gate.round(decimals=6).unique(), torch.tensor([0, 2 / 0.9]).double(), rtol=0, atol=1e-6)
    assert (gate.abs() < 1).double().mean().item() == pytest.approx(0.1, abs=5 * 0.3 / math.sqrt(100_000))

"""The second look and the end that hears the start against plain loops in float64."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.testing import assert_close

from hf_kexue.dgcnn.configuration_dgcnn import DGCNNConfig
from hf_kexue.dgcnn.layers_dgcnn_qa import EndPointer, SecondLook
from hf_kexue.dgcnn.losses_dgcnn import MASKED_LOGIT
from hf_kexue.dgcnn.modeling_dgcnn import DGCNNForQuestionAnswering

FLOAT64 = {"rtol": 1e-9, "atol": 1e-11}


def random_tensor(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mask_of(*lengths):
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).double()[:, None]  # (B, 1, L)


def randomised(module):
    module = module.double().eval()
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.copy_(0.5 * random_tensor(*parameter.shape, seed=1 + i))
    return module


def normal(x, layer):
    weight, bias = (parameter.detach().numpy() for parameter in (layer.weight, layer.bias))
    return (x - x.mean()) / np.sqrt(x.var() + layer.eps) * weight + bias


def attention(query, keys, values, heads):
    """One query over lists of keys and values, head by head."""
    size, found = len(query) // heads, []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        weights = np.exp([key[part] @ query[part] / np.sqrt(size) for key in keys])
        found.append(sum(w * value[part] for w, value in zip(weights / weights.sum(), values)))
    return np.concatenate(found)


@pytest.mark.parametrize("heads", [0, 1, 3])
def test_the_second_cross_attention_attends_to_question_and_passage(heads):
    look = randomised(SecondLook(DGCNNConfig(hidden_size=6, num_attention_heads=heads)))
    mask, states_mask = mask_of(5, 3), mask_of(2, 4)
    hidden, states = random_tensor(2, 6, 5) * mask, random_tensor(2, 6, 4, seed=9) * states_mask
    ours = look(hidden, mask, states, states_mask).detach().numpy()
    query, question, passage = (
        part.weight.detach().numpy() for part in (look.query, look.question, look.passage)
    )  # fmt: skip
    output = [parameter.detach().numpy() for parameter in look.output.parameters()]
    for row, (length, asked) in enumerate([(5, 2), (3, 4)]):
        seen = [normal(hidden[row, :, i].numpy(), look.norm) for i in range(length)]
        of_question = [question @ normal(states[row, :, j].numpy(), look.norm) for j in range(asked)]
        of_passage = [passage @ x for x in seen]
        for i in range(length):
            found = [
                attention(query @ seen[i], [x[:6] for x in of_question], [x[6:] for x in of_question], heads or 1),
                attention(of_passage[i][:6], [x[6:12] for x in of_passage], [x[12:] for x in of_passage], heads or 1),
            ]
            expected = hidden[row, :, i].numpy() + output[0] @ np.concatenate(found) + output[1]
            assert_allclose(ours[row, :, i], expected, **FLOAT64)
        assert (ours[row, :, length:] == 0).all()


def test_the_end_is_conditioned_on_the_softmax_of_the_start_and_its_sum():
    pointer = randomised(EndPointer(DGCNNConfig(hidden_size=4)))
    mask = mask_of(6, 4)
    hidden = random_tensor(2, 4, 6) * mask
    starts = random_tensor(2, 1, 6, seed=5).masked_fill(mask == 0, MASKED_LOGIT)
    ours = pointer(hidden, mask, starts).detach()
    for row, length in enumerate((6, 4)):
        here = np.exp(starts[row, 0, :length].numpy())
        here /= here.sum()
        started = [[here[i], here[: i + 1].sum()] for i in range(length)]
        told = np.array(started) @ pointer.start.weight[:, :, 0].detach().numpy().T  # (L, D)
        heard = hidden[row : row + 1, :, :length] + torch.from_numpy(told.T)
        expected = pointer.pointer(pointer.block(heard, None))[0].detach()
        assert_close(ours[row, :, :length], expected, rtol=1e-9, atol=1e-11)


def test_the_second_cross_attention_starts_small():
    torch.manual_seed(0)
    model = DGCNNForQuestionAnswering(DGCNNConfig(hidden_size=32, second_dilations=(1,), initializer_range=0.5))
    hidden, mask, states = torch.randn(2, 32, 9), torch.ones(2, 1, 9), torch.randn(2, 32, 4)
    added = model.second_look(hidden, mask, states, torch.ones(2, 1, 4)) - hidden
    assert 0 < added.std() < 0.1 * hidden.std()

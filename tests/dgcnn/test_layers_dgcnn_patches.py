"""Blocks on patches against a loop over rows and patches in float64, and that nothing outside the mask is heard."""

import pytest
import torch
from torch.testing import assert_close

from hf_kexue.dgcnn.configuration_dgcnn import DGCNNConfig
from hf_kexue.dgcnn.layers_dgcnn_patches import DGCNNEncoder, PatchBlocks
from hf_kexue.dgcnn.modeling_dgcnn import DGCNNForQuestionAnswering

FLOAT64 = {"rtol": 1e-9, "atol": 1e-11}


def random_tensor(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make_blocks(size=3, width=6):
    torch.manual_seed(0)
    config = DGCNNConfig(hidden_size=4, patch_size=size, patch_hidden_size=width, patch_dilations=(1, 2))
    return PatchBlocks(config).double().eval()


def by_loop(blocks, row):
    """One text (D, L) alone, patch by patch: what is added to each of its characters."""
    size, (width, length) = blocks.patch_size, row.shape
    patches = []
    for begin in range(0, length, size):
        vectors = [
            row[:, i] if i < length else torch.zeros(width, dtype=row.dtype) for i in range(begin, begin + size)
        ]
        patches.append(blocks.enter.weight[:, :, 0] @ torch.cat(vectors) + blocks.enter.bias)
    for block in blocks.blocks:
        convolution, count = block.convolution, len(patches)
        reach, mixed = convolution.dilation[0], []
        for i in range(count):
            total = convolution.bias
            for tap in range(3):
                if 0 <= (other := i + (tap - 1) * reach) < count:
                    total = total + convolution.weight[:, :, tap] @ patches[other]
            value, gate = total.chunk(2)
            mixed.append(patches[i] * (1 - gate.sigmoid()) + value * gate.sigmoid())
        patches = mixed
    leaving = [blocks.leave.weight[:, :, 0] @ patch + blocks.leave.bias for patch in patches]
    return torch.stack([part for patch in leaving for part in patch.split(width)], dim=1)[:, :length]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [1, 5, 12])
def test_a_text_is_read_patch_by_patch(size, length):
    blocks, rows = make_blocks(size), random_tensor(2, 4, length)
    expected = torch.stack([row + by_loop(blocks, row) for row in rows])
    assert_close(blocks(rows, None), expected, **FLOAT64)
    assert_close(blocks(rows, torch.ones(2, 1, length, dtype=torch.float64)), expected, **FLOAT64)


@pytest.mark.parametrize("before", [[0, 0], [1, 2], [3, 7], [4, 5]])
def test_what_stands_before_and_behind_a_text_does_not_move_its_patches(before):
    blocks, lengths, size = make_blocks(), (8, 5), 16
    texts = [random_tensor(4, length, seed=length) for length in lengths]
    rows, mask = torch.zeros(2, 4, size).double(), torch.zeros(2, 1, size).double()
    for row, (begin, text) in enumerate(zip(before, texts)):
        rows[row, :, begin : begin + text.shape[1]] = text
        mask[row, :, begin : begin + text.shape[1]] = 1
    found = blocks(rows, mask)
    for row, (begin, text) in enumerate(zip(before, texts)):
        assert_close(found[row, :, begin : begin + text.shape[1]], text + by_loop(blocks, text), **FLOAT64)
    assert (found * (1 - mask) == 0).all()
    assert_close(blocks(rows[:, :, :13], mask[:, :, :13])[0], found[0, :, :13], **FLOAT64)


def test_a_row_that_is_all_padding_is_zero():
    assert (make_blocks()(torch.zeros(1, 4, 5).double(), torch.zeros(1, 1, 5).double()) == 0).all()


def test_gradients():
    blocks, rows = make_blocks(), random_tensor(2, 4, 5).requires_grad_()
    mask = torch.tensor([[[0, 1, 1, 1, 1]], [[1, 1, 1, 0, 0]]]).double()
    assert torch.autograd.gradcheck(lambda x: blocks(x * mask, mask), rows)


def test_they_come_before_the_blocks_of_characters():
    torch.manual_seed(0)
    options = {"hidden_size": 4, "dilations": (1,), "patch_dilations": (2,)}
    encoder, rows = DGCNNEncoder(DGCNNConfig(**options)).double().eval(), random_tensor(1, 4, 9)
    assert_close(encoder(rows, None), encoder.blocks[0](encoder.patches(rows, None), None), **FLOAT64)
    assert encoder.patches.blocks[0].convolution.weight.shape == (8, 4, 3)  # as wide as the characters
    assert DGCNNEncoder(DGCNNConfig(hidden_size=4)).patches is None


def test_what_they_add_is_small_at_first():
    torch.manual_seed(0)
    options = {"vocab_size": 9, "hidden_size": 64, "patch_dilations": (1, 2), "patch_hidden_size": 96}
    patches = DGCNNForQuestionAnswering(DGCNNConfig(**options)).eval().dgcnn.encoder.patches
    rows = random_tensor(2, 64, 20).float()
    assert 0 < (patches(rows, None) - rows).std() < 0.2

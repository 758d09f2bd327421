"""The doors of a prompt into the U-ViT: shapes, formula of the sketch, and what a network without them refuses."""

import math

import numpy as np
import pytest
import torch

from hf_kexue.simple_diffusion import SimpleDiffusionUViT2DModel
from hf_kexue.simple_diffusion.layers_uvit import PooledText


def tiny(**options):
    """A network with content: what starts at zero does not stay there."""
    torch.manual_seed(0)
    options = {"pooled_projection_dim": 5, "cross_attention_dim": 6, **options}
    model = SimpleDiffusionUViT2DModel(
        sample_size=16, patch_size=2, block_out_channels=(8,), layers_per_block=1, hidden_size=16,
        num_transformer_layers=1, num_attention_heads=2, **options,
    )  # fmt: skip
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def inputs(batch=2, side=16):
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    text = {"pooled_projections": draw(batch, 5), "encoder_hidden_states": draw(batch, 3, 6)}
    return (draw(batch, 3, side, side), draw(batch)), text


@pytest.mark.parametrize("grid", [(4, 4), (3, 6)])
def test_the_sketch_is_a_sum_of_cosines(grid):
    """Against the formula, written out place by place in numpy."""
    torch.manual_seed(0)
    layer = PooledText(text_dim=5, embedding_dim=4, hidden_size=16, waves=3).double()
    torch.nn.init.normal_(layer.to_out.weight)
    text = torch.randn(2, 5, dtype=torch.float64)
    found = layer.sketch(text, *grid).detach().numpy()
    row = text.numpy() - text.numpy().mean(axis=1, keepdims=True)
    row = row / np.sqrt(text.numpy().var(axis=1, keepdims=True) + 1e-5)
    weights = (row @ layer.to_waves.weight.detach().numpy().T + layer.to_waves.bias.detach().numpy()).reshape(
        2, 3, 3, 2
    )
    for place in range(grid[0] * grid[1]):
        y, x = (place // grid[1] + 0.5) / grid[0], (place % grid[1] + 0.5) / grid[1]
        strength = np.zeros((2, 2))
        for a in range(3):
            for b in range(3):
                strength += math.cos(math.pi * a * y) * math.cos(math.pi * b * x) * weights[:, a, b]
        expected = strength @ layer.to_out.weight.detach().numpy().T + layer.to_out.bias.detach().numpy()
        np.testing.assert_allclose(found[:, place], expected, atol=1e-6)


def test_the_first_waves_span_every_map_of_their_grid():
    """On a grid of as many places as waves the cosines are a basis, so that no coarse picture is out of reach."""
    from hf_kexue.simple_diffusion.layers_uvit import cosines

    basis = cosines(8, 8, torch.zeros(1, dtype=torch.float64))
    assert torch.linalg.matrix_rank(basis) == 8
    gram = basis.T @ basis  # orthogonal: the discrete cosine transform
    assert torch.allclose(gram, torch.diag(gram.diagonal()), atol=1e-6)


def test_prompts_change_the_prediction_through_each_door_and_at_any_size():
    model = tiny()
    for side in (16, 24):
        (sample, logsnr), text = inputs(side=side)
        base = model(sample, logsnr, **text).sample
        for name in text:
            other = model(sample, logsnr, **{**text, name: text[name].flip(-1)}).sample
            assert base.shape == other.shape == sample.shape
            assert (other - base).abs().max() > 1e-4


def test_a_new_network_predicts_zero_and_every_weight_of_the_doors_learns():
    (sample, logsnr), text = inputs()
    fresh = SimpleDiffusionUViT2DModel(
        sample_size=16, block_out_channels=(8,), layers_per_block=1, hidden_size=16, num_transformer_layers=1,
        num_attention_heads=2, pooled_projection_dim=5, cross_attention_dim=6,
    )  # fmt: skip
    assert fresh(sample, logsnr, **text).sample.abs().max() == 0
    model = tiny().train()
    model(sample, logsnr, **text).sample.square().mean().backward()
    for name, parameter in model.named_parameters():
        if "pooled_text" in name or "cross_attn" in name:
            assert parameter.grad.abs().max() > 0, name


def test_masked_tokens_do_not_count():
    model = tiny(pooled_projection_dim=None)
    (sample, logsnr), text = inputs()
    states, mask = text["encoder_hidden_states"], torch.tensor([[1, 1, 0], [1, 0, 0]])
    base = model(sample, logsnr, encoder_hidden_states=states, encoder_attention_mask=mask).sample
    changed = torch.where(mask[..., None] == 0, states + 7, states)
    again = model(sample, logsnr, encoder_hidden_states=changed, encoder_attention_mask=mask).sample
    assert torch.allclose(base, again, atol=1e-6)
    alone = model(sample[1:], logsnr[1:], encoder_hidden_states=states[1:, :1]).sample
    assert torch.allclose(base[1:], alone, atol=1e-5)


def test_what_does_not_fit_is_refused():
    (sample, logsnr), text = inputs()
    with pytest.raises(ValueError, match="missing"):
        tiny()(sample, logsnr)
    with pytest.raises(ValueError, match="takes none"):
        tiny(pooled_projection_dim=None)(sample, logsnr, pooled_projections=text["pooled_projections"])
    with pytest.raises(ValueError, match=r"\(2, 5\)"):
        tiny()(sample, logsnr, pooled_projections=text["pooled_projections"][:1])
    with pytest.raises(ValueError, match="pooled_projection_dim"):
        tiny(pooled_projection_dim=0)


def test_a_folder_saved_before_there_were_prompts_loads(tmp_path):
    """Its configuration does not name the width of a prompt's vector."""
    import json

    model = tiny(pooled_projection_dim=None, cross_attention_dim=None)
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    del config["pooled_projection_dim"]
    path.write_text(json.dumps(config))
    loaded = SimpleDiffusionUViT2DModel.from_pretrained(tmp_path)
    (sample, logsnr), _ = inputs()
    assert torch.equal(loaded(sample, logsnr).sample, model(sample, logsnr).sample)

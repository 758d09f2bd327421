"""Batch statistics of averaged weights: against means and variances of the activations, computed by hooks."""

import pytest
import torch
from torch.testing import assert_close

from hf_kexue.rsgan import estimate_batch_statistics
from hf_kexue.rsgan.modeling_rsgan import RSGANGenerator


@pytest.mark.parametrize("classes", [None, 3])
def test_statistics_are_those_of_the_present_weights(classes):
    torch.manual_seed(0)
    generator = RSGANGenerator(
        sample_size=32, latent_dim=8, block_type="dcgan", block_out_channels=(8,) * 4, num_class_embeds=classes
    ).eval()
    stale = generator.start.norm.running_mean.clone()
    inputs = []
    hook = generator.start.norm.register_forward_hook(lambda module, args, output: inputs.append(args[0]))
    assert estimate_batch_statistics(generator, batches=4, batch_size=16, seed=1) == 4
    hook.remove()
    assert not generator.training
    means = torch.stack([x.mean(dim=(0, 2, 3)) for x in inputs]).mean(0)
    variances = torch.stack([x.var(dim=(0, 2, 3)) for x in inputs]).mean(0)
    assert len(inputs) == 4
    assert_close(generator.start.norm.running_mean, means)
    assert_close(generator.start.norm.running_var, variances)
    assert not torch.equal(generator.start.norm.running_mean, stale)


def test_without_batch_normalisation_nothing_happens():
    generator = RSGANGenerator(sample_size=32, latent_dim=8, block_out_channels=(16,) * 4).train()
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    assert estimate_batch_statistics(generator) == 0
    assert generator.training
    assert all(torch.equal(before[key], value) for key, value in generator.state_dict().items())


def test_one_latent_has_no_variance():
    with pytest.raises(ValueError, match="batch"):
        estimate_batch_statistics(RSGANGenerator(sample_size=32), batch_size=1)

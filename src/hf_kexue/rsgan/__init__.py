"""Relativistic GANs, from the article to today's recipe.

Networks = `modeling_rsgan`, losses = `losses_rsgan` and `gradient_penalties_rsgan`, augmentation =
`augmentation_rsgan`, sampling = `pipeline_rsgan`, stopping after a collapse = `collapse_rsgan`, batch statistics of
averaged weights = `batch_statistics_rsgan`.
"""

from .batch_statistics_rsgan import estimate_batch_statistics
from .gradient_penalties_rsgan import (
    gradient_penalty_finite_difference,
    wgan_divergence,
    wgan_gradient_penalty,
    zero_centered_gradient_penalty,
)
from .losses_rsgan import gan_qp_loss, relativistic_loss
from .modeling_rsgan import RSGANDiscriminator, RSGANGenerator
from .pipeline_rsgan import RSGANPipeline

__all__ = [
    "RSGANDiscriminator",
    "RSGANGenerator",
    "RSGANPipeline",
    "estimate_batch_statistics",
    "gan_qp_loss",
    "gradient_penalty_finite_difference",
    "relativistic_loss",
    "wgan_divergence",
    "wgan_gradient_penalty",
    "zero_centered_gradient_penalty",
]

"""Generator and discriminator of a GAN, mirror images of each other: latents to pixels, pixels to a score.

    latent (B, Z) --> 4 x 4 --> stages, each twice as large --> image (B, C, H, W)
    image (B, C, H, W) --> stages, each half as large --> 4 x 4 --> score (B,)

                4 x 4 in the generator             stages                          4 x 4 in the discriminator
    r3          learned map times A z + b          residual, no normalisation      a 4 x 4 weight per channel, linear
    dcgan       linear, normalised over batch      convolutions of stride 2        linear

`r3` is today's recipe: the same function in training and in evaluation. `dcgan` is that of the article's experiments,
with batch normalisation in the generator and, with `spectral_norm`, Lipschitz layers in the discriminator.
The number of stages follows from the image size: 4 x 4 is the first, each next one twice as large.
A class enters the generator beside the latent, and the discriminator as the direction in which features are scored.

Sources: kexue.fm archives/6110 (RSGAN); arXiv 2501.05441 (R3GAN), arXiv 1511.06434, arXiv 1802.05957 (spectral norm),
arXiv 1802.05637 (classes by projection). Written from the papers.

Shapes: B batch, Z latent width, C channels, H = W = sample_size, F channels of the 4 x 4 stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils import BaseOutput
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from .layers_rsgan import (
    GAIN,
    SLOPE,
    DCGANDownStage,
    DCGANUpStage,
    DenseStart,
    DownStage,
    LearnedStart,
    UpStage,
    convolution,
    residual_blocks,
)
from .modeling_from_hub import ModelFromHub
from .typed_config import registered

SIZES = (32, 64, 128, 256)
WIDEST, NARROWEST = 256, 32


@dataclass
class RSGANGeneratorOutput(BaseOutput):
    """Output of `RSGANGenerator`.

    Args:
        sample (`torch.Tensor` of shape (B, C, H, W)): images, as those of the training data in [-1, 1]. Only `dcgan`
            keeps to that range by itself (tanh).
    """

    sample: Tensor


@dataclass
class RSGANDiscriminatorOutput(BaseOutput):
    """Output of `RSGANDiscriminator`.

    Args:
        logits (`torch.Tensor` of shape (B,)): scores, higher for what looks real; only differences mean something to
            a relativistic loss.
    """

    logits: Tensor


class RSGANGenerator(ModelFromHub, ModelMixin, ConfigMixin):
    r"""Latents (B, Z), and classes where it has them, to images (B, C, H, W).

    Args:
        sample_size (`int`): H = W, a power of two from 32 to 256.
        out_channels (`int`): C.
        latent_dim (`int`): Z.
        block_type (`"r3"` or `"dcgan"`): kind of the stages.
        block_out_channels (`tuple[int, ...]`, optional): channels from the 4 x 4 stage upwards, log2(sample_size) - 1
            of them; default: 256, halved with each stage from 16 x 16 on, at least 32.
        layers_per_block (`int`): residual blocks of a stage (`r3`).
        expansion (`int`): inner channels of a residual block over its outer ones (`r3`).
        group_size (`int`): channels of a group of its 3 x 3 convolution, all stages' inner channels are multiples
            of it (`r3`). On CPUs smaller groups are faster, down to 8; `expansion` 1 gains more.
        num_class_embeds (`int`, optional): number of classes; None: unconditional.
        class_embedding_dim (`int`): width of a class beside the latent.

    Raises:
        ValueError: for a size, number of stages or of channels that does not fit.
    """

    @registered
    def __init__(
        self,
        sample_size: int = 64,
        out_channels: int = 3,
        latent_dim: int = 64,
        block_type: Literal["r3", "dcgan"] = "r3",
        block_out_channels: tuple[int, ...] | None = None,
        layers_per_block: int = 1,
        expansion: int = 2,
        group_size: int = 16,
        num_class_embeds: int | None = None,
        class_embedding_dim: int = 64,
    ) -> None:
        super().__init__()
        channels = stage_channels(self.config)
        width = latent_dim + (0 if num_class_embeds is None else class_embedding_dim)
        self.class_embedding = (
            None if num_class_embeds is None else nn.Embedding(num_class_embeds, class_embedding_dim)
        )
        self.stages: nn.ModuleList
        if block_type == "r3":
            block_options = (layers_per_block, expansion, group_size, layers_per_block * len(channels))
            self.start: nn.Module = LearnedStart(width, channels[0])
            self.first_blocks = residual_blocks(channels[0], *block_options)
            self.stages = nn.ModuleList(
                UpStage(a, b, residual_blocks(b, *block_options)) for a, b in pairwise(channels)
            )
        else:
            self.start = DenseStart(width, channels[0])
            self.first_blocks = nn.ModuleList()
            self.stages = nn.ModuleList(DCGANUpStage(a, b) for a, b in pairwise(channels))
        self.conv_out = convolution(channels[-1], out_channels, 1 if block_type == "r3" else 3)

    def forward(
        self, latents: Tensor, class_labels: Tensor | None = None, return_dict: bool = True
    ) -> RSGANGeneratorOutput | tuple[Tensor]:
        """Draw.

        Args:
            latents: (B, Z), standard normal.
            class_labels: (B,) int64 in [0, num_class_embeds); needed by a model with classes.
            return_dict: an output object instead of a tuple.

        Returns:
            `RSGANGeneratorOutput` with `.sample` (B, C, H, W), unclamped.

        Raises:
            ValueError: for latents of another width, or classes missing, surplus or out of range.
        """
        if latents.ndim != 2 or latents.shape[1] != self.config.latent_dim:
            raise ValueError(f"latents must have the shape (B, {self.config.latent_dim}), got {tuple(latents.shape)}.")
        check_classes(
            class_labels, self.config.num_class_embeds, latents.shape[0]
        )  # len() would be an export's constant
        code = latents.to(self.dtype)
        if self.class_embedding is not None:
            code = torch.cat([code, self.class_embedding(class_labels)], dim=1)
        x = self.start(code).contiguous(memory_format=torch.channels_last)  # (B, F, 4, 4)
        for block in self.first_blocks:
            x = block(x)
        for stage in self.stages:
            x = stage(x)
        sample = self.conv_out(x)
        if self.config.block_type == "dcgan":
            sample = sample.tanh()
        return RSGANGeneratorOutput(sample=sample) if return_dict else (sample,)


class RSGANDiscriminator(ModelFromHub, ModelMixin, ConfigMixin):
    r"""Images (B, C, H, W), and classes where it has them, to scores (B,): the generator read backwards.

    Args:
        sample_size (`int`): H = W, a power of two from 32 to 256.
        in_channels (`int`): C.
        block_type, block_out_channels, layers_per_block, expansion, group_size, num_class_embeds: as those of
            `RSGANGenerator`; channels too are given from the 4 x 4 stage upwards.
        spectral_norm (`bool`): every weight divided by its largest singular value, which is followed by one power
            iteration in each forward pass in training mode (`dcgan`).

    Raises:
        ValueError: for a size, number of stages or of channels that does not fit.
    """

    @registered
    def __init__(
        self,
        sample_size: int = 64,
        in_channels: int = 3,
        block_type: Literal["r3", "dcgan"] = "r3",
        block_out_channels: tuple[int, ...] | None = None,
        layers_per_block: int = 1,
        expansion: int = 2,
        group_size: int = 16,
        num_class_embeds: int | None = None,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        if spectral_norm and block_type == "r3":
            raise ValueError(
                "spectral_norm divides by a weight's largest singular value, and residual blocks start with weights "
                "of zero; use it with block_type 'dcgan'."
            )
        channels = stage_channels(self.config)[::-1]
        number = 1 if num_class_embeds is None else num_class_embeds
        last = channels[-1]
        self.stages: nn.ModuleList
        if block_type == "r3":
            block_options = (layers_per_block, expansion, group_size, layers_per_block * len(channels))
            self.conv_in = convolution(in_channels, channels[0], 1)
            self.stages = nn.ModuleList(
                DownStage(a, b, residual_blocks(a, *block_options)) for a, b in pairwise(channels)
            )
            self.last_blocks = residual_blocks(last, *block_options)
            self.conv_out: nn.Module = convolution(last, last, 4, groups=last, padding=0)
            self.score = nn.Linear(last, number)
        else:
            self.conv_in = convolution(in_channels, channels[0], 3, gain=GAIN)
            self.stages = nn.ModuleList(DCGANDownStage(a, b) for a, b in pairwise(channels))
            self.last_blocks = nn.ModuleList()
            self.conv_out = nn.Identity()
            self.score = nn.Linear(16 * last, number)
        nn.init.normal_(self.score.weight, std=1 / math.sqrt(self.score.in_features))
        nn.init.zeros_(self.score.bias)
        if spectral_norm:
            for module in list(self.modules()):
                if isinstance(module, (nn.Conv2d, nn.Linear)):
                    parametrizations.spectral_norm(module)

    def forward(
        self, sample: Tensor, class_labels: Tensor | None = None, return_dict: bool = True
    ) -> RSGANDiscriminatorOutput | tuple[Tensor]:
        """Score images.

        Args:
            sample: (B, C, H, W) in [-1, 1].
            class_labels: (B,) int64 in [0, num_class_embeds); needed by a model with classes.
            return_dict: an output object instead of a tuple.

        Returns:
            `RSGANDiscriminatorOutput` with `.logits` (B,).

        Raises:
            ValueError: for images of another shape, or classes missing, surplus or out of range.
        """
        wanted = (self.config.in_channels, self.config.sample_size, self.config.sample_size)
        if tuple(sample.shape[1:]) != wanted:
            sizes = ", ".join(map(str, wanted))
            raise ValueError(f"Images for this model have the shape (B, {sizes}), got {tuple(sample.shape)}.")
        check_classes(class_labels, self.config.num_class_embeds, sample.shape[0])
        x = self.conv_in(sample.to(self.dtype).contiguous(memory_format=torch.channels_last))
        if self.config.block_type == "dcgan":
            x = F.leaky_relu(x, SLOPE)
        for stage in self.stages:
            x = stage(x)
        for block in self.last_blocks:
            x = block(x)
        scores = self.score(self.conv_out(x).flatten(1))  # (B, number of classes, or 1)
        logits = scores[:, 0] if class_labels is None else scores.gather(1, class_labels.long()[:, None])[:, 0]  # (B,)
        return RSGANDiscriminatorOutput(logits=logits) if return_dict else (logits,)


POSITIVE = (
    *("out_channels", "in_channels", "latent_dim", "layers_per_block", "expansion", "group_size", "num_class_embeds"),
    "class_embedding_dim",
)


def stage_channels(config: Any) -> list[int]:
    """Channels of each stage from 4 x 4 upwards, once the configuration of a network is checked.

    Raises:
        ValueError: what was given, and what is allowed.
    """
    for name in POSITIVE:
        if config.get(name) is not None and not config[name] > 0:
            raise ValueError(f"{name} must be positive, got {config[name]!r}.")
    size, block_type, channels = config.sample_size, config.block_type, config.block_out_channels
    if size not in SIZES:
        raise ValueError(f"sample_size must be one of {', '.join(map(str, SIZES))}, got {size!r}.")
    if block_type not in ("r3", "dcgan"):
        raise ValueError(f'block_type must be "r3" or "dcgan", got {block_type!r}.')
    stages = int(size).bit_length() - 2  # 4 x 4 is the first: 64 -> 5
    if channels is None:
        channels = [max(NARROWEST, WIDEST >> max(0, stage - 1)) for stage in range(stages)]
    if len(channels) != stages or min(channels) < 1:
        raise ValueError(
            f"Images of {size} x {size} pixels take {stages} stages, from 4 x 4 upwards: block_out_channels must be "
            f"{stages} positive numbers, got {tuple(channels)}."
        )
    expansion, group_size = config.expansion, config.group_size
    odd = [width for width in channels if width * expansion % group_size]
    if block_type == "r3" and odd:
        raise ValueError(
            f"expansion times each of block_out_channels must be a multiple of group_size {group_size}, and "
            f"{expansion} x {odd[0]} is not."
        )
    return list(channels)


def check_classes(class_labels: Tensor | None, number: int | None, batch_size: int) -> None:
    """Raise where the classes of a batch do not fit the model.

    Raises:
        ValueError: for classes missing, surplus, of another number, not whole or out of range.
    """
    if class_labels is None and number is not None:
        raise ValueError(f"This model has {number} classes: class_labels must name one of them for each image.")
    if class_labels is None:
        return
    if number is None:
        raise ValueError("class_labels were given, but this model has no classes (num_class_embeds is None).")
    if class_labels.shape != (batch_size,) or class_labels.is_floating_point():
        raise ValueError(f"class_labels must be {batch_size} integers, got {class_labels}.")
    if class_labels.device.type != "cpu" or torch.compiler.is_compiling():
        return  # elsewhere the check would wait for the device in every step
    if class_labels.numel() and not 0 <= int(class_labels.min()) <= int(class_labels.max()) < number:
        raise ValueError(f"class_labels must lie in 0 to {number - 1}, got {class_labels.tolist()}.")

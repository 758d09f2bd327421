"""Images from the generator of a GAN: one network pass, no loop.

Sources: kexue.fm archives/6110; arXiv 2501.05441.
Shapes: B batch, Z latent width, C channels, H W rows and columns.

One file of several of hf_kexue, put together for the Hub.
"""

from __future__ import annotations

import inspect
import math
import numpy as np
import re
import torch
import torch.nn.functional as F
from PIL import Image
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline, ImagePipelineOutput
from diffusers.utils import BaseOutput, make_image_grid
from diffusers.utils.torch_utils import randn_tensor
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from itertools import pairwise
from json import JSONDecodeError
from pathlib import Path
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from typing import Any, ClassVar, Literal


# ---- layers_rsgan.py

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # a leaky ReLU takes this from the standard deviation of a centred input


def convolution(
    in_channels: int, out_channels: int, size: int, groups: int = 1, gain: float = 1.0, padding: int | None = None
) -> nn.Conv2d:
    """A convolution that multiplies the standard deviation by `gain` (0: it is zero); by default it keeps the size."""
    layer = nn.Conv2d(
        in_channels, out_channels, size, padding=size // 2 if padding is None else padding, groups=groups
    )
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class ResidualBlock(nn.Module):
    """(B, C, H, W) -> (B, C, H, W).

    Args:
        channels: C.
        inner_channels: between the 1x1 convolutions; a multiple of `group_size`.
        group_size: channels of a group of the 3x3 convolution.
        depth: residual blocks from end to end of the network, L of fix-up.
    """

    def __init__(self, channels: int, inner_channels: int, group_size: int, depth: int) -> None:
        super().__init__()
        gain = GAIN * depth**-0.25
        self.conv_in = convolution(channels, inner_channels, 1, gain=gain)
        self.conv_grouped = convolution(inner_channels, inner_channels, 3, inner_channels // group_size, gain)
        self.conv_out = convolution(inner_channels, channels, 1, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.conv_in(x), SLOPE)
        return x + self.conv_out(F.leaky_relu(self.conv_grouped(hidden), SLOPE))


def residual_blocks(channels: int, number: int, expansion: int, group_size: int, depth: int) -> nn.ModuleList:
    """`number` blocks of one size; the rest as `ResidualBlock` takes it."""
    return nn.ModuleList(ResidualBlock(channels, expansion * channels, group_size, depth) for _ in range(number))


class LearnedStart(nn.Module):
    """A learned 4 x 4 map whose channels are multiplied by a linear function of the code: (B, Z) -> (B, C, 4, 4)."""

    def __init__(self, code_width: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, 4, 4))
        self.linear = nn.Linear(code_width, channels)
        nn.init.normal_(self.linear.weight, std=1 / math.sqrt(code_width))
        nn.init.zeros_(self.linear.bias)

    def forward(self, code: Tensor) -> Tensor:
        return self.weight * self.linear(code)[:, :, None, None]


class DenseStart(nn.Module):
    """Linear, batch normalisation, ReLU: (B, Z) -> (B, C, 4, 4)."""

    def __init__(self, code_width: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(code_width, 16 * channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, code: Tensor) -> Tensor:
        return F.relu(self.norm(self.linear(code).unflatten(1, (-1, 4, 4))))


class UpStage(nn.Module):
    """Twice the size, then residual blocks: (B, C, H, W) -> (B, C', 2H, 2W).

    The 1x1 convolution comes before the interpolation, with which it commutes, on a quarter of the pixels.
    """

    def __init__(self, in_channels: int, out_channels: int, blocks: nn.ModuleList) -> None:
        super().__init__()
        same = in_channels == out_channels
        self.conv_shortcut = nn.Identity() if same else convolution(in_channels, out_channels, 1)
        self.blocks = blocks

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(self.conv_shortcut(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        for block in self.blocks:
            x = block(x)
        return x


class DownStage(nn.Module):
    """Residual blocks, then half the size by means of 2 x 2: (B, C, H, W) -> (B, C', H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int, blocks: nn.ModuleList) -> None:
        super().__init__()
        same = in_channels == out_channels
        self.blocks = blocks
        self.conv_shortcut = nn.Identity() if same else convolution(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.conv_shortcut(F.avg_pool2d(x, 2))


class DCGANUpStage(nn.Module):
    """Transposed convolution, batch normalisation, ReLU: (B, C, H, W) -> (B, C', 2H, 2W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class DCGANDownStage(nn.Module):
    """Convolution and leaky ReLU: (B, C, H, W) -> (B, C', H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1)
        nn.init.normal_(self.conv.weight, std=GAIN / math.sqrt(16 * in_channels))
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv(x), SLOPE)


# ---- strict_loading.py

SHAPES = re.compile(r"(\S+) expected shape torch\.Size\((\[[\d, ]*\])\), but got torch\.Size\((\[[\d, ]*\])\)")
SHOWN = 3  # names in a sentence


def safetensors_only(options: dict[str, Any]) -> dict[str, Any]:
    """Options of `from_pretrained` that never read a pickled file.

    Raises:
        ValueError: if they ask for one.
    """
    if options.get("use_safetensors") is False:
        raise ValueError("use_safetensors=False asks for pickled weights, which can run code: only safetensors load.")
    return {**options, "use_safetensors": True}


@contextmanager
def clear_errors(source: Any) -> Iterator[None]:
    """What the libraries raise about files, as one sentence.

    Args:
        source: folder or repository id, for the sentence.

    Raises:
        ValueError: for weights that are cut off or damaged, or of another shape, and for JSON that is cut off.
        OSError: where there are no weights in safetensors.
    """
    try:
        yield
    except (SafetensorError, OSError, ValueError) as error:
        broken = next((cause for cause in _chain(error) if isinstance(cause, SafetensorError)), None)
        shape = SHAPES.search(str(error))
        if broken is not None:
            raise ValueError(
                f"The weights of {source} are cut off or damaged ({broken}): save or download them again."
            ) from error
        if shape is not None:
            check_loaded(source, {"mismatched_keys": [(shape[1], shape[3], shape[2])]})
        if isinstance(error, JSONDecodeError):
            raise ValueError(f"A file of {source} is no whole JSON ({error}): save or download it again.") from error
        if isinstance(error, OSError) and "safetensors" in str(error):
            raise OSError(
                f"{source} has no weights in safetensors; pickled ones (.bin, .pt) can run code and are not loaded."
            ) from error
        raise


def check_loaded(source: Any, info: dict[str, Any]) -> None:
    """Refuse what was loaded in part.

    Args:
        source: folder or repository id, for the sentence.
        info: what `from_pretrained(output_loading_info=True)` tells.

    Raises:
        ValueError: if weights are missing, too many, or of another shape.
    """
    shapes = [f"{name} is {_plain(there)}, not {_plain(own)}" for name, there, own in info.get("mismatched_keys", ())]
    for what, names in (
        ("of another shape", shapes),
        ("missing", info.get("missing_keys", ())),
        ("not of this network", info.get("unexpected_keys", ())),
    ):
        if names:
            raise ValueError(f"The weights of {source} do not fit its configuration; {what}: {_first(names)}.")


def refuse_unknown_fields(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a configuration with fields that no one reads: a newer version or a slip of the pen wrote them.

    Args:
        where: whose configuration, for the sentence.
        given: names; those that begin with an underscore belong to the libraries.
        known: names.

    Raises:
        ValueError: with the unknown names and the known ones.
    """
    known = set(known)
    if unknown := sorted(name for name in given if name not in known and not name.startswith("_")):
        raise ValueError(f"The configuration of {where} has unknown fields {unknown}; known are {sorted(known)}.")


def _plain(shape: Any) -> str:
    return str(shape).removeprefix("torch.Size(").removesuffix(")")


def _first(names: Iterable[Any]) -> str:
    names = sorted(map(str, names))
    return "; ".join(names[:SHOWN]) + (f"; and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


# ---- modeling_from_hub.py

class ModelFromHub(ModelMixin):
    """What the networks of the family have in common."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> Any:
        """As everywhere in diffusers, from safetensors alone, and all of it or nothing.

        Args:
            pretrained_model_name_or_path: folder, or repository id of the Hub; `subfolder` names a pipeline's part.
            **kwargs: of `ModelMixin.from_pretrained`. With `ignore_mismatched_sizes` it may be a part.

        Raises:
            ValueError: for weights that are damaged, missing, too many or of another shape, and for unknown fields.
            OSError: where there are no weights in safetensors.
        """
        with_info = kwargs.pop("output_loading_info", False)
        options = safetensors_only(kwargs)
        with clear_errors(pretrained_model_name_or_path):
            model, info = super().from_pretrained(pretrained_model_name_or_path, output_loading_info=True, **options)
        if not kwargs.get("ignore_mismatched_sizes"):
            check_loaded(pretrained_model_name_or_path, info)
        return (model, info) if with_info else model

    @classmethod
    def extract_init_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As everywhere in diffusers, but unknown entries of a configuration are refused."""
        known = inspect.signature(cls.__init__).parameters.keys() - {"self"}
        refuse_unknown_fields(cls.__name__, config_dict, {*known, "quantization_config"})
        return super().extract_init_dict(config_dict, **kwargs)


# ---- modeling_rsgan.py

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

    @register_to_config
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
            of_residual = (layers_per_block, expansion, group_size, layers_per_block * len(channels))
            self.start: nn.Module = LearnedStart(width, channels[0])
            self.first_blocks = residual_blocks(channels[0], *of_residual)
            self.stages = nn.ModuleList(UpStage(a, b, residual_blocks(b, *of_residual)) for a, b in pairwise(channels))
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
        check_classes(class_labels, self.config.num_class_embeds, len(latents))
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

    @register_to_config
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
            of_residual = (layers_per_block, expansion, group_size, layers_per_block * len(channels))
            self.conv_in = convolution(in_channels, channels[0], 1)
            self.stages = nn.ModuleList(
                DownStage(a, b, residual_blocks(a, *of_residual)) for a, b in pairwise(channels)
            )
            self.last_blocks = residual_blocks(last, *of_residual)
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
        check_classes(class_labels, self.config.num_class_embeds, len(sample))
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
    """A sentence where the classes of a batch do not fit the model.

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


# ---- pipeline_from_hub.py

PATTERNS = ["*.json", "*.safetensors"]  # no code, no pickles, no pictures
DOWNLOADING = ("cache_dir", "force_download", "local_files_only", "revision", "token")


class PipelineFromHub(DiffusionPipeline):
    """What the pipelines of the package have in common."""

    _own_classes: ClassVar[tuple[type, ...]] = ()  # components that a model_index.json may name by file

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Any:
        """Load from a folder or a repository id of the Hub.

        Args:
            pretrained_model_name_or_path: folder, or `"user/name"`.
            **kwargs: of `DiffusionPipeline.from_pretrained`; `revision`, `token`, `cache_dir`, `force_download` and
                `local_files_only` decide what is downloaded. Without a network, a repository that was loaded before
                comes from the cache.

        Raises:
            ValueError: for a name that can be neither, pickled, damaged or foreign weights, an unknown field.
            OSError: where there is no such repository, or no weights in it.
        """
        options = safetensors_only(kwargs)
        download = {key: options.pop(key) for key in DOWNLOADING if key in options}
        folder = Path(pretrained_model_name_or_path)
        if not folder.is_dir():
            try:
                found = snapshot_download(str(pretrained_model_name_or_path), allow_patterns=PATTERNS, **download)
            except HFValidationError as error:
                raise ValueError(
                    f"{pretrained_model_name_or_path} is neither a folder nor the id of a repository (user/name)."
                ) from error
            folder = Path(found)
        if not (folder / cls.config_name).is_file():
            raise OSError(
                f"{pretrained_model_name_or_path} holds no {cls.config_name}: it is no pipeline of diffusers."
            )
        return super().from_pretrained(str(folder), **options)

    @classmethod
    def load_config(cls, *args: Any, **kwargs: Any) -> Any:
        """The model_index.json, with the classes of this family where it names them by a file of the repository."""
        loaded = super().load_config(*args, **kwargs)
        config = loaded[0] if isinstance(loaded, tuple) else loaded
        own = {owned.__name__: owned.__module__ for owned in cls._own_classes}
        for key, value in config.items():
            if isinstance(value, list) and len(value) == 2 and value[1] in own:
                config[key] = [own[value[1]], value[1]]
        if isinstance(config.get("_class_name"), list):
            config["_class_name"] = config["_class_name"][1]
        return loaded

    @classmethod
    def extract_init_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As everywhere in diffusers, but unknown entries of a model_index.json are refused."""
        known = inspect.signature(cls.__init__).parameters.keys() - {"self"}
        refuse_unknown_fields(f"{cls.__name__} ({cls.config_name})", config_dict, known)
        return super().extract_init_dict(config_dict, **kwargs)


# ---- pipeline_rsgan.py

class RSGANPipeline(PipelineFromHub, DiffusionPipeline):
    r"""Unconditional or class-conditional images from a `RSGANGenerator`.

    Args:
        generator ([`RSGANGenerator`]): the network.
        id2label (`dict[int, str]`, optional): names of the classes.
    """

    _own_classes = (RSGANGenerator,)
    model_cpu_offload_seq = "generator"

    def __init__(self, generator: RSGANGenerator, id2label: dict[int, str] | dict[str, str] | None = None) -> None:
        super().__init__()
        self.register_modules(generator=generator)
        self.register_to_config(id2label={str(k): v for k, v in id2label.items()} if id2label else None)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in the order of their indices; empty if the pipeline has none."""
        id2label = self.config.id2label or {}
        return [id2label[key] for key in sorted(id2label, key=int)]

    def label_ids(self, class_labels: Sequence[int | str] | Tensor) -> Tensor:
        """Class names or indices -> (B,) int64.

        Raises:
            ValueError: for a name or an index that this pipeline does not know, or a generator without classes.
        """
        number = self.generator.config.num_class_embeds
        if number is None:
            raise ValueError("class_labels were given, but this model was trained without classes.")
        by_name = {name.lower(): index for index, name in enumerate(self.class_names)}
        ids = []
        for value in class_labels.tolist() if isinstance(class_labels, Tensor) else class_labels:
            index = by_name.get(value.lower()) if isinstance(value, str) else int(value)
            if index is None or not 0 <= index < number:
                known = ", ".join(self.class_names) or f"0 to {number - 1}"
                raise ValueError(f"Unknown class {value!r}; this model knows {known}.")
            ids.append(index)
        return torch.tensor(ids, dtype=torch.int64)

    @torch.no_grad()
    def __call__(
        self,
        batch_size: int = 1,
        class_labels: int | str | Sequence[int | str] | Tensor | None = None,
        truncation: float | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> Any:
        """Draw images.

        Args:
            batch_size: how many; the number of `class_labels` or `latents` where those are given.
            class_labels: one name or index per image, or one for all. A model with classes draws each from a class
                of its own choice where there are none.
            truncation: in (0, 1]: latents are drawn towards their mean, zero, by this factor, which trades variety for
                typical images; None is 1. It acts on given `latents` too.
            generator: one, or one per image: makes latents and chosen classes reproducible. With one per image, each
                image depends on its own alone (to rounding); with one for all, also on `batch_size`.
            latents: (B, Z) instead of drawn ones.
            output_type: `"pil"`, `"np"` (B, H, W, C) in [0, 1], or `"pt"` (B, C, H, W) in [0, 1].
            return_dict: False returns a plain tuple.

        Returns:
            `ImagePipelineOutput` with `.images`.

        Raises:
            ValueError: with a sentence, for input that cannot be met.
        """
        if isinstance(class_labels, (int, str)):
            class_labels = [class_labels] * (batch_size if latents is None else len(latents))
        if class_labels is not None:
            batch_size = len(class_labels)
        elif latents is not None:
            batch_size = len(latents)
        self._check_inputs(batch_size, truncation, generator, latents, output_type)
        device, width = self._execution_device, self.generator.config.latent_dim
        if latents is None:
            latents = randn_tensor((batch_size, width), generator=generator, device=device, dtype=torch.float32)
        labels = None
        if class_labels is not None:
            labels = self.label_ids(class_labels).to(device)
        elif self.generator.config.num_class_embeds is not None:
            labels = self._random_labels(batch_size, generator).to(device)
        samples = self.generator(latents.to(device) * (truncation or 1.0), labels).sample.float()
        images: Any = (samples / 2 + 0.5).clamp(0, 1)
        if output_type != "pt":
            images = images.permute(0, 2, 3, 1).cpu().numpy().astype(np.float32)  # (B, H, W, C)
        if output_type == "pil":
            images = self.numpy_to_pil(images)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def grid(
        self,
        rows: int = 4,
        columns: int = 8,
        class_labels: int | str | Sequence[int | str] | Tensor | None = None,
        truncation: float | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
    ) -> Image.Image:
        """One picture of many images, without gaps.

        Args:
            rows: of a generator without classes; one with classes has a row for each of `class_labels`.
            columns: images in a row.
            class_labels: names or indices; None is all classes.
            truncation, generator: as those of a call.

        Returns:
            An RGB picture, `columns * sample_size` wide.

        Raises:
            ValueError: for less than one row or column, or what a call refuses.
        """
        labels: list[int | str] | None = None
        if isinstance(class_labels, (int, str)):
            class_labels = [class_labels]
        if class_labels is not None:
            labels = class_labels.tolist() if isinstance(class_labels, Tensor) else list(class_labels)
        elif self.generator.config.num_class_embeds is not None:
            labels = list(range(self.generator.config.num_class_embeds))
        rows = rows if labels is None else len(labels)
        if rows < 1 or columns < 1:
            raise ValueError(f"A grid needs at least one row and one column, got {rows} and {columns}.")
        of_images = None if labels is None else [label for label in labels for _ in range(columns)]
        images = self(rows * columns, of_images, truncation, generator).images
        return make_image_grid(images, rows, columns)

    def interpolate(
        self,
        first: Tensor,
        last: Tensor,
        steps: int = 8,
        class_labels: int | str | None = None,
        output_type: str = "pil",
    ) -> ImagePipelineOutput:
        """The way from one latent to another: on the arc between their directions, lengths in between.

        Args:
            first: (Z,), the latent of the first image.
            last: (Z,), that of the last one. Where it points the same or the opposite way, the way is straight.
            steps: images, at least 2.
            class_labels: one class for all of them; needed by a model with classes.
            output_type: as that of a call.

        Returns:
            `ImagePipelineOutput` with `steps` images.

        Raises:
            ValueError: for latents of another shape, fewer than 2 steps, or a class missing.
        """
        width = (self.generator.config.latent_dim,)
        if tuple(first.shape) != width or tuple(last.shape) != width or steps < 2:
            raise ValueError(
                f"An interpolation needs two latents of shape {width} and at least 2 steps, got "
                f"{tuple(first.shape)}, {tuple(last.shape)} and {steps}."
            )
        if class_labels is None and self.generator.config.num_class_embeds is not None:
            raise ValueError("This model has classes: name the one of the interpolation in class_labels.")
        return self(latents=spherical(first, last, steps), class_labels=class_labels, output_type=output_type)

    def _check_inputs(
        self, batch_size: int, truncation: float | None, generator: Any, latents: Tensor | None, output_type: str
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        if output_type not in ("pil", "np", "pt"):
            raise ValueError(f'output_type must be "pil", "np" or "pt", got {output_type!r}.')
        if truncation is not None and not 0 < truncation <= 1:
            raise ValueError(f"truncation must be above 0 and at most 1, got {truncation}.")
        if isinstance(generator, list) and len(generator) not in (1, batch_size):
            raise ValueError(f"{len(generator)} generators for {batch_size} images were given; give one, or one each.")
        shape = (batch_size, self.generator.config.latent_dim)
        if latents is not None and tuple(latents.shape) != shape:
            raise ValueError(f"latents must have the shape {shape}, got {tuple(latents.shape)}.")

    def _random_labels(self, batch_size: int, generator: Any) -> Tensor:
        """(B,) classes, each as likely as another; with one generator per image each draws its own."""
        number = self.generator.config.num_class_embeds
        if isinstance(generator, list) and len(generator) == 1:
            generator = generator[0]
        if isinstance(generator, list):
            return torch.cat([self._random_labels(1, one) for one in generator])
        return torch.randint(
            number, (batch_size,), generator=generator, device=generator.device if generator else "cpu"
        )


def spherical(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """(Z,), (Z,) -> (steps, Z) from `first` to `last`, both exactly: sin((1 - t) w) / sin w and sin(t w) / sin w times
    them, w the angle between them; a straight line where that is 0 or pi."""
    share = torch.linspace(0, 1, steps, dtype=first.dtype, device=first.device)[:, None]
    angle = torch.arccos(torch.nn.functional.cosine_similarity(first, last, dim=0).clamp(-1, 1))
    if angle.sin() < 1e-3:
        path = torch.lerp(first[None], last[None], share)
    else:
        path = (torch.sin((1 - share) * angle) * first + torch.sin(share * angle) * last) / angle.sin()
    path[0], path[-1] = first, last
    return path

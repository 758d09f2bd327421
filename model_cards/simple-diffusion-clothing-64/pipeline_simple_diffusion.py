"""Sampling from a pixel-space U-ViT: noise in, images out, the loop in sight.

Works with `ShiftedCosineScheduler` and, through `from_config`, with the Karras-family schedulers of diffusers: the
network is conditioned on logSNR, which every one of them can tell from its `alphas_cumprod`.

Sources: kexue.fm archives/10047 and archives/10055; arXiv 2301.11093.
Shapes: B batch, C channels, H W rows and columns.

One file of several of hf_kexue, put together for the Hub.
"""

from __future__ import annotations

import diffusers
import inspect
import math
import numpy as np
import re
import torch
import torch.nn.functional as F
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline, ImagePipelineOutput
from diffusers.schedulers.scheduling_ddim import DDIMSchedulerOutput
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers, SchedulerMixin
from diffusers.utils import BaseOutput, logging
from diffusers.utils.torch_utils import randn_tensor
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from json import JSONDecodeError
from pathlib import Path
from safetensors import SafetensorError
from torch import Tensor, nn
from typing import Any, ClassVar, Literal


# ---- guidance_simple_diffusion.py

def extrapolate(positive: Tensor, negative: Tensor, guidance_scale: float) -> Tensor:
    """negative + guidance_scale (positive - negative), any shape; 1 is no guidance.

    Classifier-free guidance takes the conditional prediction as positive and the unconditional one as negative;
    autoguidance the model and a weaker version of itself.
    """
    return negative + guidance_scale * (positive - negative)


def in_interval(logsnr: float, interval: tuple[float, float] | None) -> bool:
    """Whether guidance acts at this logSNR (nats); None is everywhere.

    Raises:
        ValueError: if the interval is not (low, high) with low < high.
    """
    if interval is None:
        return True
    low, high = interval
    if not low < high:
        raise ValueError(f"guidance_interval must be (low, high) in logSNR with low < high, got {interval}.")
    return low <= logsnr <= high


def predict_sample(model_output: Tensor, x_t: Tensor, logsnr: Tensor, prediction_type: str) -> Tensor:
    """The clean sample that a model output implies; all (B, C, H, W)."""
    alpha, sigma = _alpha_sigma(logsnr, x_t)
    if prediction_type == "epsilon":
        return (x_t - sigma * model_output) / alpha
    return model_output if prediction_type == "sample" else alpha * x_t - sigma * model_output


def output_from_sample(sample: Tensor, x_t: Tensor, logsnr: Tensor, prediction_type: str) -> Tensor:
    """The model output that implies a clean sample: inverse of `predict_sample`."""
    alpha, sigma = _alpha_sigma(logsnr, x_t)
    if prediction_type == "epsilon":
        return (x_t - alpha * sample) / sigma
    return sample if prediction_type == "sample" else (alpha * x_t - sample) / sigma


def upsample_guidance(
    denoise: Callable[[Tensor, Tensor], Tensor], x_t: Tensor, logsnr: Tensor, factor: int, scale: float
) -> Tensor:
    """Clean-sample prediction at `factor` times the training resolution, steered by the prediction at that resolution.

    With D the mean over factor x factor squares, U its nearest-neighbour repetition and s = factor,

        x_tilde = x_hat + scale U[ x_low - D x_hat ],     x_low = denoise(D x_t / rho, logsnr + 2 log s),
        rho**2 = alpha**2 + sigma**2 / s**2.

    In epsilon space this is the article's  eps + (1 + w) U[ eps_low / s - D eps ]  with scale = 1 + w; written for the
    clean sample the factor 1/s is absorbed and nothing is divided by a vanishing alpha.

    Args:
        denoise: (x_t, logsnr) -> clean sample, at any resolution.
        x_t (B, C, H, W): H and W are multiples of `factor`.
        logsnr: of x_t at its own resolution.
        factor: how many times larger than the training resolution, s >= 1; 1 is no guidance.
        scale: 1 + w in the article (about 1.2 there); 0 is no guidance.

    Raises:
        ValueError: if the factor is not a positive integer or does not divide H and W.
    """
    if factor < 1 or factor != int(factor) or x_t.shape[-2] % factor or x_t.shape[-1] % factor:
        raise ValueError(f"The factor must be a positive integer that divides {tuple(x_t.shape[-2:])}, got {factor}.")
    x_hat = denoise(x_t, logsnr)
    if factor == 1 or scale == 0:
        return x_hat
    alpha, sigma = _alpha_sigma(logsnr, x_t)
    rho = (alpha.square() + sigma.square() / factor**2).sqrt()
    x_low = denoise(F.avg_pool2d(x_t, factor) / rho, logsnr + 2 * math.log(factor))  # (B, C, H/s, W/s)
    correction = x_low - F.avg_pool2d(x_hat, factor)
    return x_hat + scale * correction.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def _alpha_sigma(logsnr: Tensor, x_t: Tensor) -> tuple[Tensor, Tensor]:
    logsnr = logsnr.to(x_t).reshape(-1, *[1] * (x_t.ndim - 1))
    return torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()


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


# ---- transformer_uvit.py

def zero_init(layer: nn.Module) -> None:
    """Set weight and bias to zero: the branch that ends in this layer is silent at the start of training."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def axial_rotary_angles(
    height: int, width: int, head_dim: int, base_tokens: float, device: torch.device, theta: float = 100.0
) -> Tensor:
    """Rotary angles (H*W, head_dim / 2): the first half of them turns with the row, the second with the column.

    Coordinates are centred and scaled so that a grid of any size spans the area of the training grid of `base_tokens`
    tokens: at another resolution the network meets the same range of positions, only more densely or sparsely sampled.
    """
    scale = math.sqrt(base_tokens / (height * width))
    rows = (torch.arange(height, device=device) - (height - 1) / 2) * scale
    columns = (torch.arange(width, device=device) - (width - 1) / 2) * scale
    frequencies = theta ** (-torch.arange(head_dim // 4, device=device) / (head_dim // 4))  # (head_dim / 4,)
    by_row = (rows[:, None] * frequencies)[:, None].expand(height, width, -1)
    by_column = (columns[:, None] * frequencies)[None].expand(height, width, -1)
    return torch.cat([by_row, by_column], dim=-1).flatten(0, 1)  # (H*W, head_dim / 2)


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (x[..., :d/2], x[..., d/2:]) of x (B, heads, L, d) by the angles behind cos and sin (L, d/2)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class Attention(nn.Module):
    """Multi-head attention with RMS-normalised queries and keys; over itself, or over text states where given."""

    def __init__(self, hidden_size: int, num_heads: int, context_dim: int | None = None) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.to_q = nn.Linear(hidden_size, hidden_size, bias=False)
        self.to_kv = nn.Linear(context_dim or hidden_size, 2 * hidden_size, bias=False)
        self.norm_q = nn.RMSNorm(hidden_size // num_heads, eps=1e-6)
        self.norm_k = nn.RMSNorm(hidden_size // num_heads, eps=1e-6)
        self.to_out = nn.Linear(hidden_size, hidden_size)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor] | None = None,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        q = self.to_q(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, heads, L, d)
        kv = self.to_kv(x if context is None else context)  # (B, S or L, 2D)
        k, v = kv.unflatten(-1, (2 * self.num_heads, -1)).transpose(1, 2).chunk(2, dim=1)  # (B, heads, S or L, d) each
        q, k = self.norm_q(q), self.norm_k(k)
        if rotary is not None:
            q, k = apply_rotary(q, *rotary), apply_rotary(k, *rotary)
        h = F.scaled_dot_product_attention(q, k, v, attn_mask=context_mask)
        return self.to_out(h.transpose(1, 2).flatten(2))  # (B, L, D)


class TransformerBlock(nn.Module):
    """Self-attention, optional cross-attention and MLP; shift, scale and gate of each branch come from the embedding.

    The six modulation vectors are one projection shared by all blocks plus a learned table per block (adaLN-single of
    PixArt, arXiv 2310.00426): a projection for each block would cost as many weights as its attention.
    """

    def __init__(
        self, hidden_size: int, num_heads: int, mlp_ratio: float, dropout: float, cross_attention_dim: int | None
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden_size, eps=1e-6, elementwise_affine=False)
        self.attn = Attention(hidden_size, num_heads)
        self.cross_attn = None
        if cross_attention_dim is not None:
            self.norm_cross = nn.LayerNorm(hidden_size, eps=1e-6)
            self.cross_attn = Attention(hidden_size, num_heads, cross_attention_dim)
            zero_init(self.cross_attn.to_out)
        self.norm2 = nn.LayerNorm(hidden_size, eps=1e-6, elementwise_affine=False)
        inner_dim = int(hidden_size * mlp_ratio)
        self.linear_1 = nn.Linear(hidden_size, inner_dim)
        self.linear_2 = nn.Linear(inner_dim, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.modulation_table = nn.Parameter(torch.zeros(6, hidden_size))

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        rotary: tuple[Tensor, Tensor],
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = (modulation + self.modulation_table)[:, :, None].unbind(1)
        h = torch.addcmul(shift1, self.norm1(x), 1 + scale1)  # (B, L, D)
        x = x + gate1 * self.dropout(self.attn(h, rotary))
        if self.cross_attn is not None and context is not None:
            x = x + self.cross_attn(self.norm_cross(x), context=context, context_mask=context_mask)
        h = torch.addcmul(shift2, self.norm2(x), 1 + scale2)
        h = self.linear_2(self.dropout(F.gelu(self.linear_1(h), approximate="tanh")))
        return x + gate2 * h


# ---- wavelet_legall.py

def _analyse(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    length = x.shape[dim]
    even, odd = (x.index_select(dim, torch.arange(start, length, 2, device=x.device)) for start in (0, 1))
    half = length // 2
    following = torch.cat([even.narrow(dim, 1, half - 1), even.narrow(dim, half - 1, 1)], dim)
    detail = odd - (even + following) / 2
    preceding = torch.cat([detail.narrow(dim, 0, 1), detail.narrow(dim, 0, half - 1)], dim)
    smooth = even + (preceding + detail) / 4
    return smooth * math.sqrt(2), detail / math.sqrt(2)


def _synthesise(smooth: Tensor, detail: Tensor, dim: int) -> Tensor:
    smooth, detail = smooth / math.sqrt(2), detail * math.sqrt(2)
    half = smooth.shape[dim]
    preceding = torch.cat([detail.narrow(dim, 0, 1), detail.narrow(dim, 0, half - 1)], dim)
    even = smooth - (preceding + detail) / 4
    following = torch.cat([even.narrow(dim, 1, half - 1), even.narrow(dim, half - 1, 1)], dim)
    odd = detail + (even + following) / 2
    return torch.stack([even, odd], dim=dim + 1).flatten(dim, dim + 1)


def dwt_forward(x: Tensor, levels: int = 1) -> Tensor:
    """Fold an image into wavelet coefficients, every band split again at each further level.

    Args:
        x (B, C, H, W): H and W are multiples of 2**levels.
        levels: 0 returns x.

    Returns:
        (B, 4**levels * C, H / 2**levels, W / 2**levels); in each level the bands follow each other as smooth-smooth,
        smooth-detail, detail-smooth, detail-detail (rows first).

    Raises:
        ValueError: if H or W is not a multiple of 2**levels.
    """
    if x.shape[-2] % 2**levels or x.shape[-1] % 2**levels:
        raise ValueError(f"{levels} wavelet levels need sides divisible by {2**levels}, got {tuple(x.shape[-2:])}.")
    for _ in range(levels):
        bands = [band for half in _analyse(x, 2) for band in _analyse(half, 3)]
        x = torch.cat(bands, dim=1)
    return x


def dwt_inverse(x: Tensor, levels: int = 1) -> Tensor:
    """Undo `dwt_forward`: (B, 4**levels * C, H, W) -> (B, C, H * 2**levels, W * 2**levels)."""
    for _ in range(levels):
        smooth_smooth, smooth_detail, detail_smooth, detail_detail = x.chunk(4, dim=1)
        smooth = _synthesise(smooth_smooth, smooth_detail, 3)
        detail = _synthesise(detail_smooth, detail_detail, 3)
        x = _synthesise(smooth, detail, 2)
    return x


# ---- modeling_uvit.py

@dataclass
class SimpleDiffusionUViT2DOutput(BaseOutput):
    """Output of `SimpleDiffusionUViT2DModel`.

    Args:
        sample (`torch.Tensor` of shape (B, out_channels, H, W)): the prediction, of the kind the scheduler's
            `prediction_type` names.
    """

    sample: Tensor


class LogSNREmbedding(nn.Module):
    """Sines and cosines of logSNR, then a two-layer perceptron: (B,) -> (B, E)."""

    def __init__(self, embedding_dim: int, num_frequencies: int = 64) -> None:
        super().__init__()
        self.num_frequencies = num_frequencies
        self.linear_1 = nn.Linear(2 * num_frequencies, embedding_dim)
        self.linear_2 = nn.Linear(embedding_dim, embedding_dim)

    def forward(self, logsnr: Tensor) -> Tensor:
        # Periods from far beyond the range of logSNR (about +-20) down to a quarter of a nat. Not a buffer: in bf16
        # its rounding would turn the angles of a large logSNR by a tenth of a radian.
        exponents = torch.linspace(math.log(1 / 40), math.log(4.0), self.num_frequencies, device=logsnr.device)
        angles = logsnr.float()[:, None] * exponents.exp()  # (B, F)
        features = torch.cat([angles.sin(), angles.cos()], dim=-1)  # (B, 2F)
        return self.linear_2(F.silu(self.linear_1(features.to(self.linear_1.weight.dtype))))


class ResnetBlock(nn.Module):
    """x + Conv(SiLU(FiLM(Norm(Conv(SiLU(Norm(x))))))), the last convolution starts at zero."""

    def __init__(self, in_channels: int, out_channels: int, embedding_dim: int, norm_groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(math.gcd(norm_groups, in_channels), in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.modulation = nn.Linear(embedding_dim, 2 * out_channels)
        self.norm2 = nn.GroupNorm(math.gcd(norm_groups, out_channels), out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        zero_init(self.modulation)
        zero_init(self.conv2)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(emb)[:, :, None, None].chunk(2, dim=1)  # (B, C, 1, 1) each
        h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        return self.shortcut(x) + self.conv2(F.silu(h))


class Downsample(nn.Module):
    """2x2 convolution of stride 2: (B, C, H, W) -> (B, C', H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Upsample(nn.Module):
    """1x1 convolution and pixel shuffle, the mirror image of `Downsample`: (B, C', H/2, W/2) -> (B, C, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 2)


class DownBlock(nn.Module):
    """One level on the way down: residual blocks, then half the resolution."""

    def __init__(
        self, channels: int, next_channels: int, num_layers: int, embedding_dim: int, norm_groups: int
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            ResnetBlock(channels, channels, embedding_dim, norm_groups) for _ in range(num_layers)
        )
        self.downsampler = Downsample(channels, next_channels)

    def forward(self, x: Tensor, emb: Tensor) -> tuple[Tensor, list[Tensor]]:
        hidden_states = []
        for resnet in self.resnets:
            x = resnet(x, emb)
            hidden_states.append(x)
        return self.downsampler(x), hidden_states


class UpBlock(nn.Module):
    """One level on the way up: double the resolution, then residual blocks over the skips."""

    def __init__(
        self, channels: int, next_channels: int, num_layers: int, embedding_dim: int, norm_groups: int, skip: str
    ) -> None:
        super().__init__()
        self.skip = skip
        self.upsampler = Upsample(next_channels, channels)
        in_channels = 2 * channels if skip == "concat" else channels
        self.resnets = nn.ModuleList(
            ResnetBlock(in_channels, channels, embedding_dim, norm_groups) for _ in range(num_layers)
        )

    def forward(self, x: Tensor, emb: Tensor, hidden_states: list[Tensor], h_after: Tensor) -> Tensor:
        if self.skip == "residual":
            x = self.upsampler(x - h_after) + hidden_states[-1]
        else:
            x = self.upsampler(x)
        for resnet, h_before in zip(self.resnets, reversed(hidden_states)):
            x = resnet(torch.cat([x, h_before], dim=1) if self.skip == "concat" else x, emb)
        return x


# Arguments of the model that count or measure something.
POSITIVE = (
    *("sample_size", "in_channels", "out_channels", "patch_size", "hidden_size", "num_attention_heads", "mlp_ratio"),
    *("embedding_dim", "num_class_embeds", "cross_attention_dim", "norm_num_groups"),
)


class SimpleDiffusionUViT2DModel(ModelFromHub, ModelMixin, ConfigMixin):
    r"""The U-ViT of simple diffusion.

    Args:
        sample_size (`int`): pixels along one side of the training images. Other sizes may be sampled (see `forward`).
        in_channels, out_channels (`int`): channels of the image and of the prediction.
        patch_size (`int`): side of the patch folded into channels at the input; a power of two for `"dwt"`.
        input_transform (`"patch"` | `"dwt"`): fold patches as they are, or their LeGall 5/3 wavelet coefficients.
        block_out_channels (`tuple[int, ...]`): channels of the convolutional levels, finest first. Each level halves
            the resolution, so that the transformer sees H / (patch_size * 2**len(block_out_channels)) rows.
        layers_per_block (`int` or `tuple[int, ...]`): residual blocks per level, each way.
        hidden_size, num_transformer_layers, num_attention_heads, mlp_ratio: of the transformer at the bottom.
        dropout (`float` in [0, 1)): in the transformer only, where the paper puts it.
        embedding_dim (`int`, defaults to `hidden_size`): width of the conditioning vector.
        num_class_embeds (`int`, optional): number of classes. Index `num_class_embeds` is the null class of guidance.
        cross_attention_dim (`int`, optional): width of text states; adds a cross-attention to each transformer block.
        skip (`"concat"` | `"residual"`): skips of simple diffusion, or of SiD2.
        norm_num_groups (`int`): most groups in a GroupNorm of the convolutional levels.

    Raises:
        ValueError: with a sentence, for any combination that cannot be built.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["ResnetBlock", "TransformerBlock"]  # noqa: RUF012 - the form diffusers reads
    _repeated_blocks = ["ResnetBlock", "TransformerBlock"]  # noqa: RUF012 - for compile_repeated_blocks

    @register_to_config
    def __init__(
        self,
        sample_size: int = 64,
        in_channels: int = 3,
        out_channels: int = 3,
        patch_size: int = 2,
        input_transform: Literal["patch", "dwt"] = "patch",
        block_out_channels: tuple[int, ...] = (64, 128),
        layers_per_block: int | tuple[int, ...] = 2,
        hidden_size: int = 256,
        num_transformer_layers: int = 6,
        num_attention_heads: int = 4,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        embedding_dim: int | None = None,
        num_class_embeds: int | None = None,
        cross_attention_dim: int | None = None,
        skip: Literal["concat", "residual"] = "concat",
        norm_num_groups: int = 32,
    ) -> None:
        super().__init__()
        block_out_channels = tuple(block_out_channels)
        layers = (
            (layers_per_block,) * len(block_out_channels) if isinstance(layers_per_block, int) else layers_per_block
        )
        self._check_config(block_out_channels, tuple(layers))
        embedding_dim = embedding_dim or hidden_size
        self.gradient_checkpointing = False
        self.total_stride = patch_size * 2 ** len(block_out_channels)
        """Height and width of any sample must be multiples of this."""

        self.logsnr_embedding = LogSNREmbedding(embedding_dim)
        self.class_embedding = None
        if num_class_embeds is not None:
            self.class_embedding = nn.Embedding(num_class_embeds + 1, embedding_dim)
            nn.init.normal_(self.class_embedding.weight, std=0.02)

        self.conv_in = nn.Conv2d(in_channels * patch_size**2, block_out_channels[0], 3, padding=1)
        below = (*block_out_channels[1:], hidden_size)
        self.down_blocks = nn.ModuleList(
            DownBlock(c, c_below, n, embedding_dim, norm_num_groups)
            for c, c_below, n in zip(block_out_channels, below, layers)
        )
        self.transformer_modulation = nn.Linear(embedding_dim, 6 * hidden_size)
        zero_init(self.transformer_modulation)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(hidden_size, num_attention_heads, mlp_ratio, dropout, cross_attention_dim)
            for _ in range(num_transformer_layers)
        )
        self.up_blocks = nn.ModuleList(
            UpBlock(c, c_below, n, embedding_dim, norm_num_groups, skip)
            for c, c_below, n in reversed(list(zip(block_out_channels, below, layers)))
        )
        self.norm_out = nn.GroupNorm(math.gcd(norm_num_groups, block_out_channels[0]), block_out_channels[0])
        self.conv_out = nn.Conv2d(block_out_channels[0], out_channels * patch_size**2, 3, padding=1)
        zero_init(self.conv_out)  # step 0 predicts zero

    def _check_config(self, block_out_channels: tuple[int, ...], layers: tuple[int, ...]) -> None:
        c, levels = self.config, len(block_out_channels)
        for name in POSITIVE:
            if c[name] is not None and not c[name] > 0:
                raise ValueError(f"{name} must be positive, got {c[name]!r}.")
        stride = c.patch_size * 2**levels
        head_multiple = 4 * c.num_attention_heads
        rules = [
            (
                c.input_transform in ("patch", "dwt"),
                f'input_transform must be "patch" or "dwt", got {c.input_transform!r}',
            ),
            (c.skip in ("concat", "residual"), f'skip must be "concat" or "residual", got {c.skip!r}'),
            (
                c.num_transformer_layers >= 0,
                f"num_transformer_layers must not be negative, got {c.num_transformer_layers}",
            ),
            (
                c.input_transform != "dwt" or c.patch_size.bit_count() == 1,
                f"The wavelet input needs a power of two as patch_size, got {c.patch_size}",
            ),
            (
                levels >= 1 and all(n >= 1 for n in block_out_channels),
                f"block_out_channels must be positive and at least one, got {block_out_channels}",
            ),
            (
                len(layers) == levels and all(n >= 1 for n in layers),
                f"layers_per_block must be positive, one number or one for each of {levels} levels, got {layers}",
            ),
            (
                c.hidden_size % head_multiple == 0,
                f"hidden_size must be a multiple of 4 * num_attention_heads = {head_multiple}, since rotary positions "
                f"split each head into four parts; got {c.hidden_size}",
            ),
            (0.0 <= c.dropout < 1.0, f"dropout must lie in [0, 1), got {c.dropout}"),
            (
                c.sample_size >= stride and c.sample_size % stride == 0,
                f"sample_size must be a multiple of the total stride {stride} (patch_size {c.patch_size} times 2 for "
                f"each of {levels} levels), got {c.sample_size}",
            ),
        ]
        for is_fulfilled, sentence in rules:
            if not is_fulfilled:
                raise ValueError(f"{sentence}.")

    def forward(
        self,
        sample: Tensor,
        logsnr: Tensor | float,
        class_labels: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        return_dict: bool = True,
    ) -> SimpleDiffusionUViT2DOutput | tuple[Tensor]:
        """Predict from noised images.

        Args:
            sample (B, in_channels, H, W): x_t. H and W are any multiples of `total_stride`, square or not.
            logsnr (B,), () or `float`: log signal-to-noise ratio of each x_t, in nats.
            class_labels (B,), optional: integers in [0, num_class_embeds]; None is the null class for every sample.
            encoder_hidden_states (B, S, cross_attention_dim), optional: text states.
            encoder_attention_mask (B, S), optional: 1 or True where a text token is real.
            return_dict: False returns a plain tuple.

        Returns:
            `SimpleDiffusionUViT2DOutput` with `.sample` (B, out_channels, H, W).

        Raises:
            ValueError: for a size that the total stride does not divide, or inputs this model was not built for.
        """
        logsnr = torch.as_tensor(logsnr, device=sample.device)
        self._check_inputs(sample, logsnr, class_labels, encoder_hidden_states, encoder_attention_mask)
        batch_size = len(sample)
        logsnr = logsnr.expand(batch_size)  # (B,)
        emb = self.logsnr_embedding(logsnr)  # (B, E)
        if self.class_embedding is not None:
            if class_labels is None:
                class_labels = torch.full((batch_size,), self.config.num_class_embeds, device=sample.device)
            emb = emb + self.class_embedding(class_labels)
        emb = F.silu(emb)
        mask = None if encoder_attention_mask is None else encoder_attention_mask.bool()[:, None, None]  # (B, 1, 1, S)

        x = self.conv_in(self._fold(sample))  # (B, C, H/p, W/p)
        skips: list[tuple[list[Tensor], Tensor]] = []
        for block in self.down_blocks:
            x, hidden_states = self._run(block, x, emb)
            skips.append((hidden_states, x))

        rows, columns = x.shape[-2:]
        rotary = self._rotary(rows, columns, x)
        modulation = self.transformer_modulation(emb).unflatten(-1, (6, -1))  # (B, 6, D)
        x = x.flatten(2).transpose(1, 2)  # (B, L, D)
        for block in self.transformer_blocks:
            x = self._run(block, x, modulation, rotary, encoder_hidden_states, mask)
        x = x.transpose(1, 2).unflatten(-1, (rows, columns))  # (B, D, h, w)

        for block, (hidden_states, h_after) in zip(self.up_blocks, reversed(skips)):
            x = self._run(block, x, emb, hidden_states, h_after)
        x = self._unfold(self.conv_out(F.silu(self.norm_out(x))))  # (B, out_channels, H, W)
        return SimpleDiffusionUViT2DOutput(sample=x) if return_dict else (x,)

    def _run(self, block: nn.Module, *inputs: Any) -> Any:
        if torch.is_grad_enabled() and self.gradient_checkpointing:
            return self._gradient_checkpointing_func(block, *inputs)
        return block(*inputs)

    def _fold(self, x: Tensor) -> Tensor:
        if self.config.input_transform == "dwt":
            return dwt_forward(x, levels=self.config.patch_size.bit_length() - 1)
        return F.pixel_unshuffle(x, self.config.patch_size)

    def _unfold(self, x: Tensor) -> Tensor:
        if self.config.input_transform == "dwt":
            return dwt_inverse(x, levels=self.config.patch_size.bit_length() - 1)
        return F.pixel_shuffle(x, self.config.patch_size)

    def _rotary(self, height: int, width: int, x: Tensor) -> tuple[Tensor, Tensor]:
        head_dim = self.config.hidden_size // self.config.num_attention_heads
        base_tokens = (self.config.sample_size / self.total_stride) ** 2
        angles = axial_rotary_angles(height, width, head_dim, base_tokens, x.device)
        return angles.cos().to(x.dtype), angles.sin().to(x.dtype)

    def _check_inputs(
        self, sample: Tensor, logsnr: Tensor, class_labels: Tensor | None, text: Tensor | None, mask: Tensor | None
    ) -> None:
        if sample.ndim != 4 or sample.shape[1] != self.config.in_channels:
            raise ValueError(
                f"sample must have the shape (B, {self.config.in_channels}, H, W), got {tuple(sample.shape)}."
            )
        height, width = sample.shape[-2:]
        if height % self.total_stride or width % self.total_stride or not height or not width:
            raise ValueError(
                f"Height and width must be positive multiples of {self.total_stride}, the total stride of this model; "
                f"got {height} x {width}."
            )
        batch_size, text_dim = len(sample), self.config.cross_attention_dim
        if logsnr.ndim > 1 or logsnr.numel() not in (1, batch_size):
            raise ValueError(f"logsnr must be a number or have the shape ({batch_size},), got {tuple(logsnr.shape)}.")
        if class_labels is not None and self.class_embedding is None:
            raise ValueError("class_labels were given, but this model has no classes (num_class_embeds is None).")
        if class_labels is not None and (class_labels.shape != (batch_size,) or class_labels.is_floating_point()):
            raise ValueError(f"class_labels must be {batch_size} integers, got {class_labels}.")
        if class_labels is not None and class_labels.device.type == "cpu" and not torch.compiler.is_compiling():
            null = self.config.num_class_embeds  # elsewhere the check would wait for the device in every step
            if class_labels.numel() and not 0 <= int(class_labels.min()) <= int(class_labels.max()) <= null:
                raise ValueError(
                    f"class_labels must lie in 0..{null}, where {null} is the null class; got {class_labels}."
                )
        if text is not None and text_dim is None:
            raise ValueError(
                "encoder_hidden_states were given, but this model has no cross-attention (no cross_attention_dim)."
            )
        if text is not None and (text.ndim != 3 or len(text) != batch_size or text.shape[2] != text_dim):
            raise ValueError(
                f"encoder_hidden_states must have the shape ({batch_size}, S, {text_dim}), got {tuple(text.shape)}."
            )
        if mask is not None and (text is None or mask.shape != text.shape[:2]):
            raise ValueError("encoder_attention_mask must have the shape (B, S) of encoder_hidden_states.")


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


# ---- scheduling_shifted_cosine.py

logger = logging.get_logger(__name__)

# The arguments that define the curve.
SCHEDULE_KEYS = {
    "num_train_timesteps",
    "sample_size",
    "base_size",
    "logsnr_min",
    "logsnr_max",
    "rescale_betas_zero_snr",
}
# Not arguments: PNDM reads these, and by its own defaults stops at training index 0 and starts with unstable steps.
PNDM_KEYS = {"set_alpha_to_one": True, "skip_prk_steps": True}


class ShiftedCosineScheduler(SchedulerMixin, ConfigMixin):
    """Cosine schedule shifted to the image size, with ancestral and DDIM sampling.

    Training index i in 0..N-1 stands for u = (i + 1) / N: index N-1 is the noisiest, u = 1. The curve is computed in
    float64; `alphas_cumprod`, `alphas` and `betas` are float32 copies of it, and no beta is clipped.

    Args:
        num_train_timesteps: N, how many discrete timesteps the curve is cut into.
        sample_size: Side of the image in pixels.
        base_size: Image side at which the unshifted cosine is right (64 or 32 in the paper), or a pair
            `(at u = 0, at u = 1)`: logsnr(u) = (1 - u) shifted_with(first) + u shifted_with(second). Both orders are
            in print: (32, 256) is how notes on the paper have it, (256, 32) how widely copied code has it.
        logsnr_min: logSNR at u = 1 before the shift.
        logsnr_max: logSNR at u = 0 before the shift.
        prediction_type: What the model returns: the noise, the clean sample, or v = alpha noise - sigma x_0.
        timestep_spacing: How `set_timesteps` picks among the N. "trailing" and "linspace" keep the noisiest one,
            "leading" skips it, which a shifted schedule does not forgive.
        variance_gamma: Weight in [0, 1] of the upper bound in the ancestral log-variance.
        clip_sample: Clip the predicted clean sample to +-`clip_sample_range`.
        clip_sample_range: Positive bound for `clip_sample`.
        rescale_betas_zero_snr: Put u_max at pi/2: the last timestep is pure noise (logSNR -inf), `logsnr_min` is
            unused. A network conditioned on logSNR must then clamp it; classes without this key cannot follow.
        trained_betas: The N betas, as they come back from another class's config. They win over the arguments of
            the schedule: if the two disagree a warning is logged, `num_train_timesteps` becomes the number of betas,
            and `logsnr(u)` raises since the curve between timesteps is unknown. If None they are computed and put
            into the config, so that `OtherScheduler.from_config(scheduler.config)` gets this very schedule.

    Raises:
        ValueError: If an argument is out of range, logSNR would not fall with u, or `prediction_type` is "epsilon"
            at zero terminal SNR.

    Relations: eta = 0 equals DDIMScheduler with these `trained_betas`; eta = 1 equals DDPMScheduler: "fixed_small" at
    gamma = 0, "fixed_large" at gamma = 1, "learned_range" with a constant 2 gamma - 1 between.

    Note: swapping another class in logs one harmless diffusers warning, which names the keys that only this class
    has. `register_with_diffusers()` silences it for those who want that.

    Source: archives/10047; arXiv 2301.11093 (schedule, shift, interpolated shift, sampler).
    """

    _compatibles = [e.name for e in KarrasDiffusionSchedulers if e.name != "EDMEulerScheduler"]  # noqa: RUF012
    order = 1

    @register_to_config
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        sample_size: float = 64,
        base_size: float | Sequence[float] = 64,
        logsnr_min: float = -15.0,
        logsnr_max: float = 15.0,
        prediction_type: Literal["epsilon", "sample", "v_prediction"] = "v_prediction",
        timestep_spacing: Literal["leading", "linspace", "trailing"] = "trailing",
        variance_gamma: float = 0.3,
        clip_sample: bool = True,
        clip_sample_range: float = 1.0,
        rescale_betas_zero_snr: bool = False,
        trained_betas: np.ndarray | Sequence[float] | None = None,
    ) -> None:
        sizes: list[float] = list(base_size) if isinstance(base_size, Sequence | np.ndarray) else [base_size] * 2
        _require(len(sizes) == 2, f"base_size is {base_size}; give one size, or a pair (at u = 0, at u = 1).")
        _require_positive("num_train_timesteps", num_train_timesteps, whole=True)
        _require_positive("sample_size", sample_size)
        _require_positive("base_size", *sizes)
        _require_positive("clip_sample_range", clip_sample_range)
        ordered = -100.0 <= logsnr_min < logsnr_max <= 100.0
        _require(ordered, f"logsnr_min is {logsnr_min}, logsnr_max {logsnr_max}; -100 <= min < max <= 100 is needed.")
        _require(0.0 <= variance_gamma <= 1.0, f"variance_gamma is {variance_gamma}; it must lie in [0, 1].")
        _require_one_of("prediction_type", prediction_type, ("epsilon", "sample", "v_prediction"))
        _require_one_of("timestep_spacing", timestep_spacing, ("leading", "linspace", "trailing"))

        self._shifts = [2.0 * math.log(size / sample_size) for size in sizes]
        self._angle_min = math.atan(math.exp(-logsnr_max / 2))  # u_min
        self._coangle_min = 0.0 if rescale_betas_zero_snr else math.atan(math.exp(logsnr_min / 2))  # pi/2 - u_max
        self._angle_span = math.pi / 2 - self._angle_min - self._coangle_min  # u_max - u_min
        # The cosine falls at a rate of at least 4 span, least where its angle is pi/4; the shift must rise slower.
        _require(
            self._shifts[1] - self._shifts[0] < 4.0 * self._angle_span,
            f"base_size is {tuple(sizes)}; the second must be less than {math.exp(2.0 * self._angle_span):.3g} times "
            "the first, or else logSNR would rise with u.",
        )

        logsnr = self._curve(torch.arange(1, num_train_timesteps + 1, dtype=torch.float64) / num_train_timesteps)
        abar = torch.sigmoid(logsnr)
        betas = 1.0 - abar / torch.cat([torch.ones_like(abar[:1]), abar[:-1]])
        self._curve_known = True
        if trained_betas is not None:
            given = torch.as_tensor(np.asarray(trained_betas, dtype=np.float64))
            valid = given.ndim == 1 and len(given) > 0 and bool(((given > 0) & (given <= 1)).all())
            valid = valid and bool((given[:-1] < 1).all())
            _require(valid, "trained_betas must be one row of numbers between 0 and 1; only the last may equal 1.")
            # Betas that were rounded to float32 on their way are still the same schedule.
            self._curve_known = given.shape == betas.shape and torch.allclose(given, betas, rtol=1e-6, atol=0.0)
            if not self._curve_known:
                logger.warning(
                    "trained_betas are not those of the shifted cosine which the other arguments describe. The betas "
                    f"win: num_train_timesteps is their number, {len(given)}, and logsnr(u) is not available."
                )
                betas, abar = given, torch.cumprod(1.0 - given, dim=0)
                logsnr = torch.log(abar) - torch.log1p(-abar)
        _require(
            prediction_type != "epsilon" or bool(logsnr[-1] > -math.inf),
            "prediction_type 'epsilon' cannot work at zero terminal SNR, where the noise tells nothing of the image; "
            "use 'v_prediction' or 'sample', or a schedule whose last timestep keeps some signal.",
        )

        self._logsnr = logsnr  # (N,) float64, what every method reads
        self._tables: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}
        self.betas = betas.float()  # (N,)
        self.alphas = (1.0 - betas).float()  # (N,)
        self.alphas_cumprod = abar.float()  # (N,)
        self.init_noise_sigma = 1.0
        self.num_inference_steps: int | None = None
        self.timesteps = torch.arange(len(logsnr) - 1, -1, -1)  # (N,)

        kept = {"trained_betas": betas.tolist(), "num_train_timesteps": len(betas), "_class_name": type(self).__name__}
        self.register_to_config(**kept, **PNDM_KEYS)

    def register_to_config(self, **kwargs: Any) -> None:
        """Put values into the config as JSON will give them back, and let every key travel: diffusers' `from_config`
        forgets those that "_use_default_values" names, and the class swapped in would take linear betas."""
        kwargs.pop("_use_default_values", None)
        for key, value in kwargs.items():
            kwargs[key] = value.tolist() if isinstance(value, np.ndarray | np.generic | Tensor) else value
            kwargs[key] = list(value) if isinstance(value, tuple) else kwargs[key]
        super().register_to_config(**kwargs)

    @classmethod
    def from_config(cls, config: Any = None, return_unused_kwargs: bool = False, **kwargs: Any) -> Any:
        """Build from the config of this or of another class; see diffusers' `ConfigMixin.from_config`.

        A schedule argument among the keywords (`sample_size=128`) asks for a new schedule: the `trained_betas` that
        the config brings from the old one are dropped. A config with a named beta schedule and no betas is taken, but
        warned about, since a model trained on that schedule would get another one.

        Raises:
            ValueError: for fields of a config of this class that neither it nor a class to swap in knows.
        """
        if isinstance(config, dict) and config.get("_class_name") == cls.__name__:
            known = inspect.signature(cls.__init__).parameters.keys() - {"self"}
            if strange := [key for key in config if key not in known]:  # those of classes that were swapped in stay
                others = (getattr(diffusers, name).__init__ for name in cls._compatibles)
                theirs = {key for other in others for key in inspect.signature(other).parameters}
                refuse_unknown_fields(cls.__name__, (key for key in strange if key not in theirs), known)
        if isinstance(config, dict) and "trained_betas" not in kwargs:
            if SCHEDULE_KEYS & kwargs.keys():
                config = {key: value for key, value in config.items() if key != "trained_betas"}
            elif config.get("beta_schedule") and config.get("trained_betas") is None:
                logger.warning(f"The {config['beta_schedule']!r} betas of the config give way to a shifted cosine.")
        return super().from_config(config, return_unused_kwargs, **kwargs)

    def _curve(self, u: Tensor) -> Tensor:
        """Eq. (2). Each half is measured from its own end, where tan keeps its digits; log 0 is zero terminal SNR."""
        from_data = -2.0 * torch.log(torch.tan(self._angle_min + u * self._angle_span))
        from_noise = 2.0 * torch.log(torch.tan(self._coangle_min + (1.0 - u) * self._angle_span))
        return torch.where(u < 0.5, from_data, from_noise) + (1.0 - u) * self._shifts[0] + u * self._shifts[1]

    def logsnr(self, u: float | Tensor) -> Tensor:
        """logSNR of the continuous schedule, eq. (2), at times u in [0, 1] of any shape (0 clean, 1 noise).

        Returns:
            Same shape and device, computed in float64; float64 if u is float64 or a number, else float32.

        Raises:
            ValueError: If u leaves [0, 1] (seen on the CPU only: elsewhere the check would wait for the device in
                every training step), or foreign `trained_betas` define the schedule.
        """
        _require(self._curve_known, "logsnr(u) is unknown between the timesteps of foreign trained_betas.")
        u = u if isinstance(u, Tensor) else torch.tensor(u, dtype=torch.float64)
        inside = u.device.type != "cpu" or bool(((u >= 0) & (u <= 1)).all())
        _require(inside, "u must lie in [0, 1], where 0 is the clean image and 1 is noise; a value given does not.")
        work = torch.float32 if u.device.type == "mps" else torch.float64  # MPS has no float64
        return self._curve(u.to(work)).to(torch.float64 if u.dtype == torch.float64 else torch.float32)

    def logsnr_slope(self, u: float | Tensor) -> Tensor:
        """-d logsnr / d u of the continuous schedule, eq. (2): positive, infinite only at zero terminal SNR.

        A loss weighted by it integrates over logSNR instead of over u, whatever the schedule.
        Arguments, result and errors as in `logsnr`.
        """
        _require(self._curve_known, "logsnr_slope(u) is unknown between the timesteps of foreign trained_betas.")
        u = u if isinstance(u, Tensor) else torch.tensor(u, dtype=torch.float64)
        work = torch.float32 if u.device.type == "mps" else torch.float64
        from_data = self._angle_min + u.to(work) * self._angle_span
        from_noise = self._coangle_min + (1.0 - u.to(work)) * self._angle_span
        slope = 4.0 * self._angle_span / torch.sin(2.0 * torch.where(u < 0.5, from_data, from_noise))
        return (slope + self._shifts[0] - self._shifts[1]).to(
            torch.float64 if u.dtype == torch.float64 else torch.float32
        )

    def logsnr_at(self, timesteps: int | Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """logSNR at integer timesteps 0..N-1, logsnr((i + 1) / N): what a network is conditioned on.

        Returns:
            Shape and device of `timesteps`; -inf at the last one under zero terminal SNR.

        Raises:
            ValueError: If a timestep is no integer or out of range.
        """
        timesteps = self._check_timesteps(timesteps)
        return self._logsnr.to(dtype).to(timesteps.device)[timesteps]

    def _check_timesteps(self, timesteps: int | Sequence[int] | Tensor) -> Tensor:
        steps = torch.as_tensor(timesteps)
        whole = not steps.is_floating_point() and steps.dtype != torch.bool
        _require(whole, f"timesteps have dtype {steps.dtype}; integers are needed.")
        inside = steps.device.type != "cpu" or bool(((steps >= 0) & (steps < len(self))).all())
        _require(inside, f"timesteps must lie in 0..{len(self) - 1}; {timesteps} was given.")
        return steps.long()

    def _alpha_sigma(self, timesteps: int | Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t, sigma_t on the device and in the working dtype of the sample, shape (B or 1, 1, 1, ...)."""
        steps = self._check_timesteps(timesteps).to(sample.device).flatten()
        fits = len(steps) == 1 or sample.shape[:1] == steps.shape
        _require(fits, f"{len(steps)} timesteps for samples of shape {tuple(sample.shape)}; give one or one each.")
        device, dtype = key = sample.device, _working_dtype(sample)
        if key not in self._tables:
            alpha, sigma = torch.sigmoid(self._logsnr).sqrt(), torch.sigmoid(-self._logsnr).sqrt()
            self._tables[key] = (alpha.to(dtype).to(device), sigma.to(dtype).to(device))
        alpha, sigma = (table[steps].view(-1, *[1] * (sample.ndim - 1)) for table in self._tables[key])
        return alpha, sigma

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The noisy sample x_t = alpha_t x_0 + sigma_t noise, eq. (1).

        Args:
            original_samples: Clean samples (B, ...). Half precision is computed in float32.
            noise: Standard normal, same shape.
            timesteps: Integers in 0..N-1, shape (B,), (1,) or ().

        Returns:
            Shape and dtype of the samples.

        Raises:
            ValueError: If the shapes do not match or a timestep is out of range.
        """
        _require_shape("noise", noise, original_samples)
        alpha, sigma = self._alpha_sigma(timesteps, original_samples)
        return (alpha * original_samples.to(alpha) + sigma * noise.to(alpha)).to(original_samples.dtype)

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The target of v-prediction, v = alpha_t noise - sigma_t x_0; arguments and result as in `add_noise`."""
        _require_shape("noise", noise, sample)
        alpha, sigma = self._alpha_sigma(timesteps, sample)
        return (alpha * noise.to(alpha) - sigma * sample.to(alpha)).to(sample.dtype)

    def scale_model_input(self, sample: Tensor, timestep: int | Tensor | None = None) -> Tensor:
        """The sample itself: a variance-preserving schedule needs no scaling."""
        return sample

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        timesteps: Sequence[int] | Tensor | None = None,
    ) -> None:
        """Put the descending timesteps of the sampling loop into `self.timesteps` on `device`: `num_inference_steps`
        of them (1..N) placed by `timestep_spacing`, or the strictly descending `timesteps` given.

        Raises:
            ValueError: If both or neither are given, or they are out of range or not descending.
        """
        if num_inference_steps is None and timesteps is not None:
            chosen = self._check_timesteps(timesteps).cpu()
            descending = chosen.ndim == 1 and len(chosen) > 0 and bool((chosen.diff() < 0).all())
            _require(descending, f"timesteps are {chosen.tolist()}; they must be one strictly descending row.")
        elif num_inference_steps is not None and timesteps is None:
            count, total, spacing = num_inference_steps, len(self), self.config["timestep_spacing"]
            _require_positive("num_inference_steps", count, whole=True)
            _require(count <= total, f"num_inference_steps is {count}; there are only {total} training timesteps.")
            if spacing == "trailing":
                places = np.round(np.arange(total, 0, -total / count))[:count] - 1  # arange may add one more, near 0
            elif spacing == "linspace":
                places = np.linspace(0, total - 1, count).round()[::-1]
            else:
                places = np.arange(count)[::-1] * (total // count)
            chosen = torch.from_numpy(places.astype(np.int64))
        else:
            raise ValueError("set_timesteps needs either num_inference_steps or timesteps, and not both.")
        self.num_inference_steps = len(chosen)
        self.timesteps = chosen.to(device)

    def previous_timestep(self, timestep: int | Tensor) -> int:
        """The next lower timestep of the loop (before `set_timesteps`, of all N), -1 if there is none."""
        lower = self.timesteps[self.timesteps < int(timestep)]
        return int(lower[0]) if len(lower) else -1

    def step(
        self,
        model_output: Tensor,
        timestep: int | Tensor,
        sample: Tensor,
        eta: float = 1.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        return_dict: bool = True,
    ) -> DDIMSchedulerOutput | tuple[Tensor, Tensor]:
        """One step from x_t to x_s, with c = 1 - exp(logsnr_t - logsnr_s) and gamma = `variance_gamma`:

            x_s = alpha_s x_0 + (sigma_s / sigma_t) sqrt(1 - eta**2 c) (x_t - alpha_t x_0) + eta std noise       (3)
            std**2 = (sigma_t**2 c)**gamma (sigma_s**2 c)**(1 - gamma)      between the upper and the lower bound  (4)

        x_0 is the (clipped) prediction; the last step returns it as it is. eta = 0 is DDIM and draws no noise, eta = 1
        the ancestral sampler of the paper. Between them eta scales the standard deviation: at gamma = 0 this is DDIM's
        family, which keeps the marginals of the forward process; at gamma > 0 the noise is (sigma_t / sigma_s)**gamma
        times larger than that at every eta.

        Args:
            model_output: What the model returned, shape of the sample.
            timestep: t, an integer or a tensor that holds one integer.
            sample: x_t (B, ...). Half precision is computed in float32.
            eta: 0 to 1.
            generator: Source of the noise, or a list of one per sample.
            return_dict: False for the plain tuple.

        Returns:
            `(prev_sample, pred_original_sample)`: x_s and x_0, shape and dtype of `sample`.

        Raises:
            ValueError: Before `set_timesteps`, or if eta, the timestep or a shape is wrong.

        Source: arXiv 2301.11093 (sampler with interpolated log-variance); arXiv 2010.02502, eq. (12) and (16).
        """
        _require(self.num_inference_steps is not None, "step was called before set_timesteps(num_inference_steps).")
        _require(0.0 <= eta <= 1.0, f"eta is {eta}; it must lie between 0 (DDIM) and 1 (ancestral).")
        _require_shape("model_output", model_output, sample)
        steps = set(self._check_timesteps(torch.as_tensor(timestep).cpu()).flatten().tolist())
        _require(len(steps) == 1, f"step takes one timestep for the whole batch; {timestep} was given.")
        t = steps.pop()
        s = self.previous_timestep(t)
        x_t = sample.to(_working_dtype(sample))
        output = model_output.to(x_t.dtype)
        alpha_t, sigma_t = _alpha_sigma_of(float(self._logsnr[t]))

        if self.config["prediction_type"] == "epsilon":
            x_0 = (x_t - sigma_t * output) / alpha_t
        elif self.config["prediction_type"] == "sample":
            x_0 = output
        else:
            x_0 = alpha_t * x_t - sigma_t * output
        if self.config["clip_sample"]:
            x_0 = x_0.clamp(-self.config["clip_sample_range"], self.config["clip_sample_range"])

        x_s = x_0
        if s >= 0:
            alpha_s, sigma_s = _alpha_sigma_of(float(self._logsnr[s]))
            c = -math.expm1(float(self._logsnr[t] - self._logsnr[s]))
            keep = sigma_s / sigma_t * math.sqrt(1.0 - eta**2 * c)
            x_s = alpha_s * x_0 + keep * (x_t - alpha_t * x_0)  # (3)
            if eta > 0:
                gamma = self.config["variance_gamma"]
                std = math.sqrt(c) * sigma_t**gamma * sigma_s ** (1.0 - gamma)  # (4)
                x_s = x_s + eta * std * randn_tensor(x_t.shape, generator, x_t.device, x_t.dtype)

        x_s, x_0 = x_s.to(sample.dtype), x_0.to(sample.dtype)
        return DDIMSchedulerOutput(prev_sample=x_s, pred_original_sample=x_0) if return_dict else (x_s, x_0)

    def __len__(self) -> int:
        return len(self._logsnr)


def register_with_diffusers() -> None:
    """Make the class known as `diffusers.ShiftedCosineScheduler`; opt-in, never called on import.

    diffusers looks class names of configs up in its own namespace. Once the name is there, `from_config` of another
    class drops the keys of this one without a warning and `compatibles` lists it.
    """
    setattr(diffusers, ShiftedCosineScheduler.__name__, ShiftedCosineScheduler)


def _alpha_sigma_of(logsnr: float) -> tuple[float, float]:
    return 1.0 / math.sqrt(1.0 + math.exp(-logsnr)), 1.0 / math.sqrt(1.0 + math.exp(logsnr))


def _working_dtype(sample: Tensor) -> torch.dtype:
    return torch.float64 if sample.dtype == torch.float64 else torch.float32


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


def _require_positive(name: str, *values: Any, whole: bool = False) -> None:
    kinds = int | np.integer if whole else int | float | np.number
    fits = all(isinstance(value, kinds) and not isinstance(value, bool) and 0 < value < math.inf for value in values)
    shown = values[0] if len(set(values)) == 1 else values
    _require(fits, f"{name} is {shown!r}; a positive {'whole ' * whole}number is needed.")


def _require_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    _require(value in allowed, f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")


def _require_shape(name: str, given: Tensor, sample: Tensor) -> None:
    shapes = f"{tuple(given.shape)} and the sample {tuple(sample.shape)}"
    _require(given.shape == sample.shape, f"{name} has shape {shapes}; they must be equal.")


# ---- pipeline_simple_diffusion.py

class SimpleDiffusionPipeline(PipelineFromHub, DiffusionPipeline):
    r"""Unconditional or class-conditional images from a `SimpleDiffusionUViT2DModel`.

    Args:
        unet ([`SimpleDiffusionUViT2DModel`]): the network.
        scheduler ([`ShiftedCosineScheduler`] or a Karras-family scheduler made from its config): the sampler.
        id2label (`dict[int, str]`, optional): names of the classes.
        guidance_unet ([`SimpleDiffusionUViT2DModel`], optional): a weaker model (fewer steps, smaller) for
            autoguidance (arXiv 2406.02507). A pipeline saved with one guides with it;
            `from_pretrained(..., guidance_unet=None)` leaves it out.
        guidance_scale (`float`): how strongly calls guide unless they say otherwise; 1 is not at all.
        guidance_unet_share (`float`): how much, from 0 to 1, of what images move away from is drawn by the
            guidance_unet; the rest by the network itself without a class. 1 is autoguidance, 0 guidance by the class.
    """

    _own_classes = (SimpleDiffusionUViT2DModel, ShiftedCosineScheduler)
    _optional_components = ["guidance_unet"]  # noqa: RUF012 - the form diffusers reads
    model_cpu_offload_seq = "unet->guidance_unet"
    _callback_tensor_inputs = ["latents"]  # noqa: RUF012 - the form diffusers reads

    def __init__(
        self,
        unet: SimpleDiffusionUViT2DModel,
        scheduler: SchedulerMixin,
        id2label: dict[int, str] | dict[str, str] | None = None,
        guidance_unet: SimpleDiffusionUViT2DModel | None = None,
        guidance_scale: float = 1.0,
        guidance_unet_share: float = 1.0,
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler, guidance_unet=guidance_unet)
        self.register_to_config(id2label={str(k): v for k, v in id2label.items()} if id2label else None)
        self.register_to_config(guidance_scale=guidance_scale, guidance_unet_share=guidance_unet_share)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in the order of their indices; empty if the pipeline has none."""
        id2label = self.config.id2label or {}
        return [id2label[key] for key in sorted(id2label, key=int)]

    def label_ids(self, class_labels: Sequence[int | str] | Tensor) -> Tensor:
        """Class names or indices -> (B,) int64.

        Raises:
            ValueError: for a name or an index that this pipeline does not know.
        """
        num_classes = self.unet.config.num_class_embeds
        if num_classes is None:
            raise ValueError("class_labels were given, but this model was trained without classes.")
        values = class_labels.tolist() if isinstance(class_labels, Tensor) else list(class_labels)
        by_name = {name.lower(): index for index, name in enumerate(self.class_names)}
        ids = []
        for value in values:
            index = by_name.get(value.lower()) if isinstance(value, str) else int(value)
            if index is None or not 0 <= index <= num_classes:
                known = ", ".join(self.class_names) or f"0 to {num_classes - 1}"
                raise ValueError(f"Unknown class {value!r}; this model knows {known} (index {num_classes}: no class).")
            ids.append(index)
        return torch.tensor(ids, dtype=torch.int64)

    def _logsnr(self, timestep: Tensor) -> Tensor:
        """logSNR at a timestep, whole or (Karras sigmas) fractional, from whatever scheduler is plugged in: scalar
        float32."""
        if hasattr(self.scheduler, "logsnr_at"):
            return self.scheduler.logsnr_at(timestep.long()).float()
        alphas_cumprod = self.scheduler.alphas_cumprod.double().cpu()
        table = torch.log(alphas_cumprod) - torch.log1p(-alphas_cumprod)
        position = timestep.double().cpu().clamp(0, len(table) - 1)
        low = position.floor().long().clamp(max=len(table) - 2)
        return torch.lerp(table[low], table[low + 1], position - low).float()

    def _check_inputs(
        self,
        batch_size: int,
        guidance_scale: float,
        guidance_unet: SimpleDiffusionUViT2DModel | None,
        guidance_unet_share: float,
        upsample_factor: int,
        output_type: str,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        if output_type not in ("pil", "np", "pt"):
            raise ValueError(f'output_type must be "pil", "np" or "pt", got {output_type!r}.')
        if guidance_scale != 1.0 and guidance_unet is None and self.unet.config.num_class_embeds is None:
            raise ValueError(
                "guidance_scale needs a model with classes or a weaker one as guidance_unet; this one has no classes."
            )
        if not 0 <= guidance_unet_share <= 1:
            raise ValueError(f"guidance_unet_share is a share from 0 to 1, got {guidance_unet_share}.")
        if upsample_factor < 1 or upsample_factor != int(upsample_factor):
            raise ValueError(f"upsample_factor must be a positive integer, got {upsample_factor}.")

    @torch.no_grad()
    def __call__(
        self,
        batch_size: int = 1,
        class_labels: int | str | Sequence[int | str] | Tensor | None = None,
        guidance_scale: float | None = None,
        guidance_interval: tuple[float, float] | None = None,
        guidance_unet: SimpleDiffusionUViT2DModel | None = None,
        guidance_unet_share: float | None = None,
        upsample_factor: int = 1,
        upsample_guidance_scale: float = 1.2,
        upsample_guidance_interval: tuple[float, float] | None = (-float("inf"), 0.0),
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        eta: float | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> Any:
        """Draw images.

        Args:
            batch_size: how many; the number of `class_labels` or `latents` where those are given.
            class_labels: one name or index per image, or one for all. None draws without a class.
            guidance_scale: w of weak + w (strong - weak), where weak is the guidance_unet, or the network itself
                without a class, or a mean of both; 1 is off and costs one network call per step, else two or, for a
                mean, three. None: as the pipeline was saved.
            guidance_interval: (low, high) in logSNR where guidance acts; None is everywhere.
            guidance_unet: a weaker model in place of the pipeline's own one.
            guidance_unet_share: weight of the guidance_unet in the mean of both, from 0 to 1, whose other part is the
                network itself without a class; None: as the pipeline was saved.
            upsample_factor: sample at this multiple of `sample_size`, steered by the prediction at `sample_size`,
                without training (archives/10055). The scheduler must have the schedule of the large size.
            upsample_guidance_scale: 1 + w of the article.
            upsample_guidance_interval: logSNR of the large image where the steering acts; only in the noisy phase.
            height, width: pixels; default `sample_size * upsample_factor`.
            num_inference_steps: network evaluations, default 64.
            eta: passed on to schedulers whose `step` takes it: 1 ancestral, 0 DDIM.
            generator: one, or one per image: makes the images reproducible.
            latents (B, C, H, W): start noise of unit variance, drawn from `generator` by default.
            output_type: `"pil"`, `"np"` (B, H, W, C) in [0, 1], or `"pt"` (B, C, H, W) in [0, 1].
            return_dict: False returns a plain tuple.
            callback_on_step_end: called as (pipeline, step, timestep, tensors) after each step; may return new
                latents.
            callback_on_step_end_tensor_inputs: tensors handed to it; `"latents"` is the only one.

        Returns:
            `ImagePipelineOutput` with `.images`.

        Raises:
            ValueError: with a sentence, for input that cannot be met.
        """
        if isinstance(class_labels, (int, str)):
            class_labels = [class_labels] * batch_size
        if class_labels is not None:
            batch_size = len(class_labels)
        elif latents is not None:
            batch_size = len(latents)
        guidance_unet = guidance_unet or self.guidance_unet
        if guidance_scale is None:
            guidance_scale = self.config.guidance_scale
        if guidance_unet_share is None:
            guidance_unet_share = self.config.guidance_unet_share
        self._check_inputs(
            batch_size, guidance_scale, guidance_unet, guidance_unet_share, upsample_factor, output_type
        )
        if set(callback_on_step_end_tensor_inputs) - {"latents"}:
            raise ValueError(f'Callbacks get "latents" alone, not {list(callback_on_step_end_tensor_inputs)}.')
        if isinstance(generator, list) and len(generator) not in (1, batch_size):
            raise ValueError(f"{len(generator)} generators for {batch_size} images were given; give one, or one each.")
        in_interval(0.0, guidance_interval), in_interval(0.0, upsample_guidance_interval)  # refuse empty ones early
        device, dtype = self._execution_device, self.unet.dtype
        upsample_factor = int(upsample_factor)
        side = self.unet.config.sample_size * upsample_factor
        shape = (batch_size, self.unet.config.in_channels, height or side, width or side)
        if latents is None:
            latents = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)
        elif latents.ndim != 4 or latents.shape[0] != batch_size or latents.shape[1] != shape[1]:
            raise ValueError(f"latents must have the shape {shape}, got {tuple(latents.shape)}.")
        labels = None if class_labels is None else self.label_ids(class_labels).to(device)

        # Sampling arithmetic stays in float32: sigma-space schedulers start at sigmas in the thousands.
        self.scheduler.set_timesteps(64 if num_inference_steps is None else num_inference_steps, device=device)
        if hasattr(self.scheduler, "set_begin_index"):  # Karras sigmas round to equal timesteps: a search would miss
            self.scheduler.set_begin_index(0)
        latents = latents.to(device, torch.float32) * self.scheduler.init_noise_sigma
        accepted = inspect.signature(self.scheduler.step).parameters
        step_options = {"generator": generator, "eta": eta}
        step_options = {key: value for key, value in step_options.items() if key in accepted and value is not None}
        prediction_type = self.scheduler.config.prediction_type

        def predict(x_t: Tensor, logsnr: Tensor) -> Tensor:
            """Guided model output, float32 (B, C, H, W)."""
            x_t, logsnr_batch = x_t.to(dtype), logsnr.to(x_t.device).expand(len(x_t))
            guided = guidance_scale != 1.0 and in_interval(float(logsnr), guidance_interval)
            if not guided or (guidance_unet is None and labels is None):
                return self.unet(x_t, logsnr_batch, labels).sample.float()
            share = 0.0 if guidance_unet is None else guidance_unet_share
            if labels is None or share == 1:  # nothing that the network itself could be guided by
                positive = negative = self.unet(x_t, logsnr_batch, labels).sample.float()
            else:
                null = torch.full_like(labels, self.unet.config.num_class_embeds)
                both = self.unet(torch.cat([x_t, x_t]), logsnr_batch.repeat(2), torch.cat([labels, null])).sample
                positive, negative = both.float().chunk(2)
            if guidance_unet is not None and share > 0:
                weak = guidance_unet(x_t.to(guidance_unet.dtype), logsnr_batch, labels).sample.float()
                negative = torch.lerp(negative, weak, share)
            return extrapolate(positive, negative, guidance_scale)

        def denoise(x_t: Tensor, logsnr: Tensor) -> Tensor:
            x_0 = predict_sample(predict(x_t, logsnr), x_t, logsnr, prediction_type)
            return x_0.clamp(-1, 1) if self.scheduler.config.get("clip_sample") else x_0

        with self.progress_bar(total=len(self.scheduler.timesteps)) as progress_bar:
            for i, t in enumerate(self.scheduler.timesteps):
                logsnr = self._logsnr(t)
                # Variance-exploding classes hand over x_t / sqrt(alphas_cumprod); scaling brings it back to unit
                # variance.
                model_input = self.scheduler.scale_model_input(latents, t)
                if upsample_factor > 1 and in_interval(float(logsnr), upsample_guidance_interval):
                    x_0 = upsample_guidance(denoise, model_input, logsnr, upsample_factor, upsample_guidance_scale)
                    model_output = output_from_sample(x_0, model_input, logsnr, prediction_type)
                else:
                    model_output = predict(model_input, logsnr)
                latents = self.scheduler.step(model_output, t, latents, **step_options).prev_sample
                if callback_on_step_end is not None:
                    tensors = dict.fromkeys(callback_on_step_end_tensor_inputs, latents)  # no name but "latents"
                    latents = (callback_on_step_end(self, i, t, tensors) or {}).pop("latents", latents)
                progress_bar.update()

        images: Any = (latents / 2 + 0.5).clamp(0, 1)
        if output_type != "pt":
            images = images.permute(0, 2, 3, 1).cpu().numpy().astype(np.float32)  # (B, H, W, C)
        if output_type == "pil":
            images = self.numpy_to_pil(images)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if return_dict else (images,)

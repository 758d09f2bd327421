"""U-ViT of simple diffusion: convolutional levels above, one transformer at the bottom, pixels in and pixels out.

    sample --patch or wavelet--> conv levels --> transformer --> conv levels --inverse--> prediction
                                     |______________ skips ______________|

The image is folded into channels once, right at the input (`patch_size`), so that a larger image costs a larger patch
and hardly any more arithmetic. Convolutional levels carry the fine grids; all the depth sits in the transformer at the
lowest resolution, whose blocks are joined by plain residual connections. Skips between the two halves either
concatenate one map per block (simple diffusion) or add one map per level, `x <- Up(x - h_after) + h_before` (SiD2).

Sources: kexue.fm archives/10047 (生成扩散模型漫谈二十二); Hoogeboom et al., simple diffusion, arXiv 2301.11093, the
U-ViT; Hoogeboom et al., SiD2, arXiv 2410.19324, the residual U-ViT. It is not `UVit2DModel` of diffusers (aMUSEd) nor
the U-ViT of arXiv 2209.12152.

Shapes: B batch, C channels, H W rows and columns, L = H*W tokens at the bottom, D hidden_size, E embedding width, S
text tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils import BaseOutput
from torch import Tensor, nn

from .checks_simple_diffusion import check_network_inputs
from .kernels_uvit import GroupNorm
from .layers_uvit import DownBlock, LogSNREmbedding, PooledText, UpBlock
from .modeling_from_hub import ModelFromHub
from .transformer_uvit import TransformerBlock, axial_rotary_angles, zero_init
from .typed_config import registered
from .wavelet_legall import dwt_forward, dwt_inverse


@dataclass
class SimpleDiffusionUViT2DOutput(BaseOutput):
    """Output of `SimpleDiffusionUViT2DModel`.

    Args:
        sample (`torch.Tensor` of shape (B, out_channels, H, W)): the prediction, of the kind the scheduler's
            `prediction_type` names.
    """

    sample: Tensor


# Arguments of the model that count or measure something.
POSITIVE = (
    *("sample_size", "in_channels", "out_channels", "patch_size", "hidden_size", "num_attention_heads", "mlp_ratio"),
    *("embedding_dim", "num_class_embeds", "cross_attention_dim", "norm_num_groups"),
    "pooled_projection_dim",
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
        guidance_embedding (`bool`): a network whose prediction is guided already, to the scale that it takes as an
            input: one call a step. Its embedding starts at zero.
        pooled_projection_dim (`int`, optional): width of one vector a prompt, which such a network always takes; it
            enters beside logSNR, where classes do, and as a sketch on the tokens.

    Raises:
        ValueError: for any combination that cannot be built.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["ResnetBlock", "TransformerBlock"]  # noqa: RUF012 - the form diffusers reads
    _skip_layerwise_casting_patterns = [  # noqa: RUF012
        *("logsnr_embedding", "scale_embedding", "pooled_text", "conv_in", "conv_out", "norm")
    ]
    _repeated_blocks = ["ResnetBlock", "TransformerBlock"]  # noqa: RUF012 - for compile_repeated_blocks

    @registered
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
        guidance_embedding: bool = False,
        pooled_projection_dim: int | None = None,
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
        self.scale_embedding = LogSNREmbedding(embedding_dim) if guidance_embedding else None
        if self.scale_embedding is not None:
            zero_init(self.scale_embedding.linear_2)  # step 0 predicts as without it
        self.pooled_text = None
        if pooled_projection_dim is not None:
            self.pooled_text = PooledText(pooled_projection_dim, embedding_dim, hidden_size)

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
        self.norm_out = GroupNorm(math.gcd(norm_num_groups, block_out_channels[0]), block_out_channels[0])
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
        guidance_scale: Tensor | float | None = None,
        pooled_projections: Tensor | None = None,
    ) -> SimpleDiffusionUViT2DOutput | tuple[Tensor]:
        """Predict from noised images.

        Args:
            sample (B, in_channels, H, W): x_t. H and W are any multiples of `total_stride`, square or not.
            logsnr (B,), () or `float`: log signal-to-noise ratio of each x_t, in nats; clamped to [-30, 30].
            class_labels (B,), optional: integers in [0, num_class_embeds]; None is the null class for every sample.
            encoder_hidden_states (B, S, cross_attention_dim), optional: text states.
            encoder_attention_mask (B, S), optional: 1 or True where a text token is real.
            return_dict: False returns a plain tuple.
            guidance_scale (B,), () or `float`: of a network with `guidance_embedding`; None is 1, no guidance.
            pooled_projections (B, pooled_projection_dim): vectors of the prompts, that of an empty one for no prompt.

        Returns:
            `SimpleDiffusionUViT2DOutput` with `.sample` (B, out_channels, H, W).

        Raises:
            ValueError: for a size that the total stride does not divide, or inputs this model was not built for.
        """
        logsnr = torch.as_tensor(logsnr, device=sample.device)
        self._check_inputs(sample, logsnr, class_labels, encoder_hidden_states, encoder_attention_mask)
        self._check_pooled(pooled_projections, sample.shape[0])
        batch_size = sample.shape[0]  # len(sample) would become a constant of an exported program
        logsnr = logsnr.expand(batch_size)  # (B,)
        emb = self.logsnr_embedding(logsnr, sample.dtype)  # (B, E)
        if self.class_embedding is not None:
            if class_labels is None:
                class_labels = torch.full((batch_size,), self.config.num_class_embeds, device=sample.device)
            emb = emb + self.class_embedding(class_labels)
        if self.scale_embedding is not None:
            scale = torch.as_tensor(1.0 if guidance_scale is None else guidance_scale, device=sample.device)
            emb = emb + self.scale_embedding(scale.expand(batch_size), sample.dtype)
        elif guidance_scale is not None:
            raise ValueError("guidance_scale was given, but this model was built without guidance_embedding.")
        if self.pooled_text is not None and pooled_projections is not None:
            emb = emb + self.pooled_text.embed(pooled_projections)
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
        if self.pooled_text is not None and pooled_projections is not None:
            x = x + self.pooled_text.sketch(pooled_projections, rows, columns)
        for block in self.transformer_blocks:
            x = self._run(block, x, modulation, rotary, encoder_hidden_states, mask)
        x = x.transpose(1, 2).unflatten(-1, (rows, columns))  # (B, D, h, w)

        for block, (hidden_states, h_after) in zip(self.up_blocks, reversed(skips)):
            x = self._run(block, x, emb, hidden_states, h_after)
        x = self._unfold(self.conv_out(self.norm_out(x)))  # (B, out_channels, H, W)
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
        check_network_inputs(self.config, self.total_stride, sample, logsnr, class_labels)
        batch_size, text_dim = sample.shape[0], self.config.cross_attention_dim
        if text is not None and text_dim is None:
            raise ValueError(
                "encoder_hidden_states were given, but this model has no cross-attention (no cross_attention_dim)."
            )
        if text is not None and (text.ndim != 3 or text.shape[0] != batch_size or text.shape[2] != text_dim):
            raise ValueError(
                f"encoder_hidden_states must have the shape ({batch_size}, S, {text_dim}), got {tuple(text.shape)}."
            )
        if mask is not None and (text is None or mask.shape != text.shape[:2]):
            raise ValueError("encoder_attention_mask must have the shape (B, S) of encoder_hidden_states.")

    def _check_pooled(self, pooled: Tensor | None, batch_size: int) -> None:
        width = self.config.pooled_projection_dim
        if (pooled is None) != (width is None):
            what = "were given, but this model takes none" if width is None else "are missing: one a prompt"
            raise ValueError(f"pooled_projections {what} (pooled_projection_dim is {width}).")
        if pooled is not None and pooled.shape != (batch_size, width):
            raise ValueError(
                f"pooled_projections must have the shape ({batch_size}, {width}), got {tuple(pooled.shape)}."
            )

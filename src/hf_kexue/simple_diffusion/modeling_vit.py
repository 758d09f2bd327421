"""A transformer without convolutions on large patches of pixels, in the arrangement of JiT.

    sample --patches, bottleneck--> tokens --blocks; class tokens join them--> tokens --linear--> prediction
                                                 |_ after some blocks: the prediction at lower sizes

A patch of 16 x 16 pixels has 768 numbers, more than a token may be wide. Images lie near a surface of few dimensions,
noise fills all of them: such a network can predict images, not noise, hence `prediction_type="sample"`. Blocks have
RMS norms, attention with normalised queries and keys and rotary positions, and SwiGLU, all modulated by logSNR and
class; a few more tokens that carry the class join the patches in the middle of the depth.

Read-out heads predict the image at lower sizes from shallower blocks. Their losses are the multiscale loss of simple
diffusion, moved into the network (`losses_simple_diffusion.readout_loss`); sampling leaves them out.

Sources: arXiv 2511.13720 (JiT, "Back to basics: let denoising generative models denoise"); kexue.fm archives/10047
(multiscale loss).

Shapes: B batch, C channels, H W rows and columns, P patch_size, L = H*W / P**2 tokens, D hidden_size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils import BaseOutput
from torch import Tensor, nn

from .checks_simple_diffusion import check_network_inputs, require, require_one_of, require_positive
from .layers_uvit import LogSNREmbedding
from .layers_vit import THETA, FlowTimeEmbedding, OutputHead, PatchEmbedding, ViTBlock, sincos_positions
from .modeling_from_hub import ModelFromHub
from .transformer_uvit import axial_rotary_angles, zero_init
from .typed_config import registered

PredictionType = Literal["sample", "epsilon", "v_prediction", "flow_prediction"]


@dataclass
class SimpleDiffusionViT2DOutput(BaseOutput):
    """Output of `SimpleDiffusionViT2DModel`.

    Args:
        sample (`torch.Tensor` of shape (B, out_channels, H, W)): the prediction, of the kind that the network's
            `prediction_type` names.
        readouts (`tuple[torch.Tensor, ...]`, optional): the same at each of `readout_sizes`, where asked for.
    """

    sample: Tensor
    readouts: tuple[Tensor, ...] | None = None


class SimpleDiffusionViT2DModel(ModelFromHub, ModelMixin, ConfigMixin):
    r"""A transformer on patches of pixels.

    Args:
        sample_size (`int`): pixels along one side of the training images. Other sizes may be sampled (see `forward`).
        in_channels, out_channels (`int`): channels of the image and of the prediction.
        patch_size (`int`): side of a patch, the only stride of the network.
        bottleneck_dim (`int`): width between the pixels of a patch and its token.
        hidden_size, num_transformer_layers, num_attention_heads, mlp_ratio: of the transformer.
        dropout (`float` in [0, 1)): in the middle half of the blocks, after attention and within the SwiGLU.
        num_class_embeds (`int`, optional): number of classes. Index `num_class_embeds` is the null class of guidance.
        num_context_tokens (`int`): tokens that carry the class; without classes they are learned alone.
        context_start (`int`): the block before which they join the patches.
        prediction_type (`"sample"` | `"epsilon"` | `"v_prediction"` | `"flow_prediction"`): what the network returns.
            `SimpleDiffusionPipeline` refuses a scheduler that takes it as something else.
        conditioning (`"logsnr"` | `"flow_time"`): how blocks learn of the noise: by logSNR, or as released networks of
            JiT by the time of their path, which also scales the input.
        noise_scale (`float`): deviation of the noise on that path, for `"flow_time"`.
        readout_sizes (`tuple[int, ...]`): lower sizes at which heads predict the image too, descending; each is
            sample_size divided by a divisor of patch_size. Smaller ones are read from shallower blocks.
        guidance_embedding (`bool`): a network whose prediction is guided already, to the scale that it takes as an
            input: one call a step. Its embedding starts at zero.

    Raises:
        ValueError: for any combination that cannot be built.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["ViTBlock"]  # noqa: RUF012 - the form diffusers reads
    _skip_layerwise_casting_patterns = [  # noqa: RUF012
        *("time_embedding", "scale_embedding", "patch_embedding", "head_out", "readout_heads", "norm")
    ]
    _repeated_blocks = ["ViTBlock"]  # noqa: RUF012 - for compile_repeated_blocks

    @registered
    def __init__(
        self,
        sample_size: int = 64,
        in_channels: int = 3,
        out_channels: int = 3,
        patch_size: int = 8,
        bottleneck_dim: int = 64,
        hidden_size: int = 256,
        num_transformer_layers: int = 6,
        num_attention_heads: int = 4,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        num_class_embeds: int | None = None,
        num_context_tokens: int = 8,
        context_start: int = 2,
        prediction_type: PredictionType = "sample",
        conditioning: Literal["logsnr", "flow_time"] = "logsnr",
        noise_scale: float = 1.0,
        readout_sizes: tuple[int, ...] = (),
        guidance_embedding: bool = False,
    ) -> None:
        super().__init__()
        self._check_config()
        self.gradient_checkpointing = False
        self.total_stride = patch_size
        """Height and width of any sample must be multiples of this."""

        flow = conditioning == "flow_time"
        self.time_embedding = FlowTimeEmbedding(hidden_size, noise_scale) if flow else LogSNREmbedding(hidden_size)
        self.class_embedding = None
        if num_class_embeds is not None:
            self.class_embedding = nn.Embedding(num_class_embeds + 1, hidden_size)
            nn.init.normal_(self.class_embedding.weight, std=0.02)
        self.scale_embedding = LogSNREmbedding(hidden_size) if guidance_embedding else None
        if self.scale_embedding is not None:
            zero_init(self.scale_embedding.linear_2)  # step 0 predicts as without it
        self.patch_embedding = PatchEmbedding(in_channels * patch_size**2, bottleneck_dim, hidden_size)
        self.context_embedding = None
        if num_context_tokens:
            self.context_embedding = nn.Parameter(0.02 * torch.randn(num_context_tokens, hidden_size))
        depth = num_transformer_layers
        inner = range(depth // 4, depth // 4 * 3)
        self.transformer_blocks = nn.ModuleList(
            ViTBlock(hidden_size, num_attention_heads, mlp_ratio, dropout if i in inner else 0.0) for i in range(depth)
        )
        self.head_out = OutputHead(hidden_size, out_channels * patch_size**2)
        self.readout_patches = [patch_size * size // sample_size for size in readout_sizes]
        self.readout_heads = nn.ModuleList(
            OutputHead(hidden_size, out_channels * patch**2) for patch in self.readout_patches
        )
        count = len(readout_sizes) + 1
        self.readout_after = [round(depth * (count - 1 - i) / count) for i in range(len(readout_sizes))]
        """Number of blocks before each of the read-out heads."""

    def _check_config(self) -> None:
        c = self.config
        for name in ("sample_size", "in_channels", "out_channels", "patch_size", "bottleneck_dim", "hidden_size"):
            require_positive(name, c[name], whole=True)
        require_positive("num_transformer_layers", c.num_transformer_layers, whole=True)
        require_positive("num_attention_heads", c.num_attention_heads, whole=True)
        require_positive("mlp_ratio", c.mlp_ratio)
        require_positive("noise_scale", c.noise_scale)
        if c.num_class_embeds is not None:
            require_positive("num_class_embeds", c.num_class_embeds, whole=True)
        require_one_of("prediction_type", c.prediction_type, get_args(PredictionType))
        require_one_of("conditioning", c.conditioning, ("logsnr", "flow_time"))
        multiple = 4 * c.num_attention_heads
        require(
            c.hidden_size % multiple == 0,
            f"hidden_size must be a multiple of 4 * num_attention_heads = {multiple}, since rotary positions split "
            f"each head into four parts; got {c.hidden_size}.",
        )
        require(0.0 <= c.dropout < 1.0, f"dropout must lie in [0, 1), got {c.dropout}.")
        require(
            c.sample_size % c.patch_size == 0,
            f"sample_size must be a multiple of the total stride {c.patch_size} (patch_size), got {c.sample_size}.",
        )
        require(c.num_context_tokens >= 0, f"num_context_tokens must not be negative, got {c.num_context_tokens}.")
        require(
            not c.num_context_tokens or 0 <= c.context_start < c.num_transformer_layers,
            f"context_start must lie in 0..{c.num_transformer_layers - 1}, a block's place; got {c.context_start}.",
        )
        sizes = list(c.readout_sizes)
        for size in sizes:
            ratio, rest = divmod(c.sample_size, size) if size > 0 else (0, 1)
            require(
                not rest and ratio > 1 and c.patch_size % ratio == 0,
                f"readout_sizes must be sample_size {c.sample_size} divided by divisors of patch_size {c.patch_size} "
                f"above 1, got {size}.",
            )
        require(sizes == sorted(set(sizes), reverse=True), f"readout_sizes must descend, got {tuple(sizes)}.")
        require(
            len(sizes) < c.num_transformer_layers,
            f"readout_sizes {tuple(sizes)} are read after different blocks, of which there are "
            f"{c.num_transformer_layers}.",
        )

    def forward(
        self,
        sample: Tensor,
        logsnr: Tensor | float,
        class_labels: Tensor | None = None,
        return_dict: bool = True,
        return_readouts: bool = False,
        guidance_scale: Tensor | float | None = None,
    ) -> SimpleDiffusionViT2DOutput | tuple[Tensor, ...]:
        """Predict from noised images.

        Args:
            sample (B, in_channels, H, W): x_t = alpha x_0 + sigma noise, variance preserving. H and W are any
                multiples of `patch_size`, square or not.
            logsnr (B,), () or `float`: log signal-to-noise ratio of each x_t, in nats; clamped to [-30, 30].
            class_labels (B,), optional: integers in [0, num_class_embeds]; None is the null class for every sample.
            return_dict: False returns a plain tuple.
            return_readouts: also the predictions of the read-out heads, for training.
            guidance_scale (B,), () or `float`: of a network with `guidance_embedding`; None is 1, no guidance.

        Returns:
            `SimpleDiffusionViT2DOutput` with `.sample` (B, out_channels, H, W) and `.readouts`, of which the i-th has
            `readout_sizes[i] / sample_size` times the height and width.

        Raises:
            ValueError: for a size that the patch does not divide, or inputs this model was not built for.
        """
        logsnr = torch.as_tensor(logsnr, device=sample.device)
        check_network_inputs(self.config, self.total_stride, sample, logsnr, class_labels)
        batch_size = sample.shape[0]
        logsnr = logsnr.expand(batch_size)  # (B,)
        emb = self.time_embedding(logsnr, sample.dtype)  # (B, D)
        context = self.context_embedding  # (T, D)
        if self.class_embedding is not None:
            if class_labels is None:
                class_labels = torch.full((batch_size,), self.config.num_class_embeds, device=sample.device)
            labels = self.class_embedding(class_labels)  # (B, D)
            emb = emb + labels
            context = None if context is None else context + labels[:, None]  # (B, T, D)
        if self.scale_embedding is not None:
            scale = torch.as_tensor(1.0 if guidance_scale is None else guidance_scale, device=sample.device)
            emb = emb + self.scale_embedding(scale.expand(batch_size), sample.dtype)
        elif guidance_scale is not None:
            raise ValueError("guidance_scale was given, but this model was built without guidance_embedding.")
        emb = F.silu(emb)

        if isinstance(self.time_embedding, FlowTimeEmbedding):
            sample = self.time_embedding.scaled(sample, logsnr)
        patches = F.pixel_unshuffle(sample, self.config.patch_size)  # (B, C P**2, H / P, W / P)
        rows, columns = grid = patches.shape[-2], patches.shape[-1]
        x = self.patch_embedding(patches.flatten(2).transpose(1, 2))  # (B, L, D)
        base_tokens = (self.config.sample_size / self.config.patch_size) ** 2
        x = x + sincos_positions(rows, columns, self.config.hidden_size, base_tokens, x.device).to(x.dtype)
        length, readouts = x.shape[1], [x] * len(self.readout_patches)
        head_dim = self.config.hidden_size // self.config.num_attention_heads
        angles = axial_rotary_angles(rows, columns, head_dim, base_tokens, x.device, THETA, centred=False)
        rotary = angles.cos().to(x.dtype), angles.sin().to(x.dtype)  # (L, d / 2) each
        for i, block in enumerate(self.transformer_blocks):
            if context is not None and i == self.config.context_start:
                x = torch.cat([context.expand(batch_size, -1, -1).to(x.dtype), x], dim=1)  # (B, T + L, D)
                angles = F.pad(angles, (0, 0, x.shape[1] - length, 0))  # class tokens are not turned
                rotary = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
            x = self._run(block, x, emb, rotary)
            if return_readouts and i + 1 in self.readout_after:
                readouts[self.readout_after.index(i + 1)] = x[:, -length:]
        prediction = self._image(self.head_out(x[:, -length:], emb), grid)  # (B, C, H, W)
        if not return_readouts:
            return SimpleDiffusionViT2DOutput(sample=prediction) if return_dict else (prediction,)
        lower = tuple(self._image(head(h, emb), grid) for head, h in zip(self.readout_heads, readouts))
        return SimpleDiffusionViT2DOutput(prediction, lower) if return_dict else (prediction, *lower)

    def _run(self, block: nn.Module, *inputs: Any) -> Tensor:
        if torch.is_grad_enabled() and self.gradient_checkpointing:
            return self._gradient_checkpointing_func(block, *inputs)
        return block(*inputs)

    def _image(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, L, C p**2) -> (B, C, p H / P, p W / P)."""
        x = tokens.transpose(1, 2).unflatten(-1, grid)
        return F.pixel_shuffle(x, round((x.shape[1] / self.config.out_channels) ** 0.5))

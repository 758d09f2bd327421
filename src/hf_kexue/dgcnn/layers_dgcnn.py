"""Building blocks of the DGCNN.

One block (kexue.fm/archives/5409, "gated convolution"; dilations as in archives/6906):

    h, a = split(Conv(x))             one convolution makes value and gate
    g = sigmoid(a)
    y = x (1 - g) + h g               masked: padding is zero on the way in and on the way out

Shapes: B batch, L characters, Q characters of the question, D hidden size. The channels come before the characters,
(B, D, L): no block transposes. In memory the channels of a character stand side by side, as the embedding leaves them.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .configuration_dgcnn import DGCNNConfig
from .kernels_dgcnn import ChannelDropout, convolution, gate, kept_by_dropout, open_gate, takes_own_gate
from .losses_dgcnn import MASKED_LOGIT


class DGCNNConv1d(nn.Conv1d):
    """A convolution that keeps the length, (B, D, L) -> (B, E, L): its padding is `dilation * (kernel_size // 2)`.

    How it is computed, by device and precision, is in `kernels_dgcnn`.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, groups, bias: of `nn.Conv1d`, in its order.
        dilation: None: that of the padding. Adapters such as LoRA make a layer of the same class from the other
            arguments alone, and theirs has to see the same characters.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] = 0,
        dilation: int | None = None,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        if dilation is None:
            width, margin = (size[0] if isinstance(size, tuple) else size for size in (kernel_size, padding))
            dilation = margin // (width // 2) if width > 1 else 1
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)

    def forward(self, input: Tensor) -> Tensor:
        """(B, D, L) -> (B, E, L)."""
        return convolution(input, self.weight, self.bias, self.dilation[0])


class ScoreConv1d(DGCNNConv1d):
    """In the precision of its weights, autocast or not: what a softmax compares needs more than 8 bits."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, D, L) -> (B, E, L)."""
        if not torch.is_autocast_enabled(input.device.type):
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.to(self.weight.dtype))


def mask_of(input_ids: Tensor, attention_mask: Tensor | None, dtype: torch.dtype) -> Tensor:
    """(B, L) -> (B, 1, L), ones without an attention mask."""
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    return mask[:, None].to(dtype)


class DGCNNEmbeddings(nn.Module):
    """Vector of a character, plus that of the word that holds it, where asked for."""

    def __init__(self, config: DGCNNConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.characters = nn.Embedding(config.vocab_size, size, padding_idx=config.pad_token_id)
        self.words = None
        if config.word_vocab_size:
            self.words = nn.Embedding(config.word_vocab_size, config.word_embedding_size, padding_idx=0)
            self.words.requires_grad_(not config.freeze_word_embeddings)
            self.word_projection = nn.Linear(config.word_embedding_size, size, bias=False)
        self.dropout = ChannelDropout(config.hidden_dropout)

    def forward(self, input_ids: Tensor, mask: Tensor, word_input_ids: Tensor | None = None) -> Tensor:
        """(B, L) ids and mask (B, 1, L) -> (B, D, L)."""
        hidden = self.characters(input_ids)
        if self.words is not None:
            if word_input_ids is None:
                raise ValueError("this model embeds words too: pass word_input_ids, which DGCNNTokenizer returns.")
            hidden = hidden + self.word_projection(self.words(word_input_ids))
        return self.dropout(hidden.transpose(1, 2)) * mask  # (B, D, L)


class DGCNNBlock(GradientCheckpointingLayer):
    """Residual dilated gated convolution; see the formula at the top of this file."""

    def __init__(self, config: DGCNNConfig, dilation: int, size: int | None = None) -> None:
        super().__init__()
        size, width = size or config.hidden_size, config.kernel_size
        padding = dilation * (width // 2)
        self.convolution = DGCNNConv1d(size, 2 * size, width, padding=padding, dilation=dilation)
        self.dropout = nn.Dropout(config.gate_dropout)
        self.noise = config.gate_noise

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """(B, D, L), mask (B, 1, L), None where nothing is padding -> (B, D, L)."""
        both = self.convolution(hidden)  # (B, 2D, L)
        noise = self.noise if self.training else 0.0
        if not noise and takes_own_gate(hidden, both):
            p = self.dropout.p if self.dropout.training else 0.0
            return gate(hidden, both, kept_by_dropout(hidden, p) if p else None, p, mask)
        value, logits = both.chunk(2, dim=1)  # (B, D, L) each
        logits = self.dropout(logits)
        if noise:
            logits = logits * (1 + torch.empty_like(logits).uniform_(-noise, noise))  # 5409 eq. 9
        return open_gate(hidden, value, logits, mask)


class DGCNNStack(nn.Module):
    """Blocks in a row."""

    def __init__(self, config: DGCNNConfig, dilations: list[int] | tuple[int, ...]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(DGCNNBlock(config, dilation) for dilation in dilations)

    def forward(self, hidden: Tensor, mask: Tensor | None, states: list[Tensor] | None = None) -> Tensor:
        """(B, D, L), mask (B, 1, L) -> (B, D, L); `states` gets what goes in and what each block gives, (B, L, D)."""
        hidden = collected(hidden, states)
        for block in self.blocks:
            hidden = collected(block(hidden, mask), states)
        return hidden


class AttentionPooling(nn.Module):
    """x = sum_i softmax_i(alpha . tanh(W x_i)) x_i over the characters that the mask leaves (5409, eq. 6)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.hidden = DGCNNConv1d(size, size, 1, bias=False)
        self.score = DGCNNConv1d(size, 1, 1, bias=False)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(B, D, L), mask (B, 1, L) -> (B, D)."""
        score = self.score(torch.tanh(self.hidden(hidden)))
        weight = score.masked_fill(mask == 0, MASKED_LOGIT).softmax(dim=-1)  # (B, 1, L)
        return (hidden * weight).sum(dim=-1)


class VectorBlocks(nn.Module):
    """Residual perceptrons on the one vector of a text, x + W2 SiLU(W1 Norm(x)) after a first linear map: the cheapest
    place for what a text stands for, since they run once a text and not at every character or pixel. Not of the
    articles."""

    def __init__(self, config: DGCNNConfig) -> None:
        super().__init__()
        size = config.pooler_size or config.hidden_size
        self.norm = nn.LayerNorm(config.hidden_size)
        self.project = nn.Linear(config.hidden_size, size)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(size), nn.Linear(size, size), nn.SiLU(), SmallLinear(size, size))
            for _ in range(config.pooler_layers)
        )

    def forward(self, vector: Tensor) -> Tensor:
        """(B, D) -> (B, pooler_size)."""
        vector = self.project(self.norm(vector))
        for block in self.blocks:
            vector = vector + block(vector)
        return vector


class ZeroEmbedding(nn.Embedding):
    """Begins at zero."""


class IdentityLinear(nn.Linear):
    """Begins as the identity on as many inputs as it has outputs."""


class IdentityConv1d(DGCNNConv1d):
    """Begins as the identity on as many inputs as it has outputs."""


class SmallLinear(nn.Linear):
    """Begins at a tenth of the usual scale: what it adds to a residual hardly counts at first."""


class SmallConv1d(DGCNNConv1d):
    """Begins at a tenth of the usual scale: what it adds to a residual hardly counts at first."""


class QuestionFusion(nn.Module):
    """Conditions every character of the passage on the question: the projection of [p, q, position, features], and of
    what the character finds by attention, as one sum of products. What is the same for all characters, such as q, is
    projected once and not once a character. The weight on p starts as the identity, so that pretrained blocks go on
    processing what they know; so does that of the attention, whose first guess then is the same character."""

    def __init__(self, config: DGCNNConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.attends = config.question_attention
        if self.attends:
            self.key = IdentityLinear(size, size, bias=False)
        self.projection = IdentityConv1d(3 * size if self.attends else size, size, 1, bias=False)
        self.question = nn.Linear(size, size, bias=False)
        sinusoidal = config.position_embedding == "sinusoidal"
        self.position = nn.Linear(size, size, bias=False) if sinusoidal else None
        features = config.num_match_features
        self.features = nn.Linear(features, size, bias=False) if features else None
        self.feature_dropout = config.feature_dropout

    def forward(
        self,
        hidden: Tensor,
        mask: Tensor | None,
        vector: Tensor,
        states: Tensor,
        states_mask: Tensor,
        features: Tensor | None,
    ) -> Tensor:
        """(B, D, L), mask (B, 1, L), None where nothing is padding, question vector (B, D), its states (B, D, Q),
        (B, 1, Q), (B, L, F) -> (B, D, L)."""
        parts = [hidden]
        if self.attends:
            keys = self.key(states.transpose(1, 2))  # (B, Q, D)
            scores = torch.bmm(hidden.transpose(1, 2), keys.transpose(1, 2)) / math.sqrt(hidden.shape[1])  # (B, L, Q)
            weight = scores.masked_fill(states_mask == 0, MASKED_LOGIT).softmax(dim=2)
            found = torch.bmm(weight, states.transpose(1, 2)).transpose(1, 2)  # (B, D, L)
            parts += [found, found * hidden]
        together = torch.cat([part.transpose(1, 2) for part in parts], dim=2).transpose(1, 2)
        fused = self.projection(together) + self.question(vector).unsqueeze(-1)
        if self.position is not None:
            table = sinusoidal_positions(hidden.shape[2], hidden.shape[1], hidden.device, hidden.dtype)
            there = torch.ones_like(hidden[:, 0]) if mask is None else mask[:, 0]
            place = ((there != 0).long().cumsum(dim=-1) - 1).clamp(min=0)  # (B, L), 0 where the passage begins
            fused = fused + F.embedding(place, self.position(table)).transpose(1, 2)
        if self.features is not None:
            if features is None:
                raise ValueError("this model wants match_features (B, L, 8), which DGCNNTokenizer returns.")
            if self.training and self.feature_dropout:  # of whole questions
                features = features * (torch.rand_like(features[:, :1, :1]) >= self.feature_dropout)
            fused = fused + self.features(features.to(fused.dtype)).transpose(1, 2)
        return fused if mask is None else fused * mask


def collected(hidden: Tensor, states: list[Tensor] | None) -> Tensor:
    """(B, D, L) -> the same, as a view of the (B, L, D) that `states` gets, so that a loss has gradients there."""
    if states is None:
        return hidden
    states.append(hidden.transpose(1, 2))  # (B, L, D)
    return states[-1].transpose(1, 2)  # (B, D, L)


def sinusoidal_positions(length: int, size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(L, D): sin(p / 10000^(2i/D)) at 2i and its cosine at 2i + 1 (archives/5409)."""
    place = torch.arange(length, device=device, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, size, 2, device=device, dtype=torch.float32) * (-math.log(10000.0) / size))
    return torch.stack([torch.sin(place * rate), torch.cos(place * rate)], dim=-1).flatten(1)[:, :size].to(dtype)


def identity_first(weight: Tensor) -> Tensor:
    """The weight with the identity on as many inputs as it has outputs, the rest as it is."""
    outputs = weight.shape[0]
    eye = torch.eye(outputs, dtype=weight.dtype, device=weight.device)
    return torch.cat([eye.view(outputs, outputs, *weight.shape[2:]), weight[:, outputs:]], dim=1)

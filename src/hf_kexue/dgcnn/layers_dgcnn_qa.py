"""What the reader may have beyond the articles: a second cross-attention to the question in the middle of the
passage's blocks, and an end conditioned on where the answer starts.

    SecondLook    x + W [attention of x to the question, attention of x to the passage]
    EndPointer    e_i = w . block(x + V [p_i, p_1 + ... + p_i])_i,   p the softmax of the start scores

Shapes: B batch, L characters, Q characters of the question, D hidden size. The channels come before the characters.

Source of the ideas: QANet (1804.09541) for both attentions, Match-LSTM and later pointer networks for the end.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration_dgcnn import DGCNNConfig
from .layers_dgcnn import DGCNNBlock, DGCNNConv1d, ScoreConv1d, SmallLinear
from .losses_dgcnn import MASKED_LOGIT, single


class SecondLook(nn.Module):
    """Residual attention of every character of the passage to the question and to the whole passage."""

    def __init__(self, config: DGCNNConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = max(config.num_attention_heads, 1)
        self.norm = nn.LayerNorm(size)
        self.query = nn.Linear(size, size, bias=False)
        self.question = nn.Linear(size, 2 * size, bias=False)
        self.passage = nn.Linear(size, 3 * size, bias=False)
        self.output = SmallLinear(2 * size, size)
        self.dropout = nn.Dropout(config.gate_dropout)

    def forward(self, hidden: Tensor, mask: Tensor, states: Tensor, states_mask: Tensor) -> Tensor:
        """(B, D, L), (B, 1, L), question states (B, D, Q), (B, 1, Q) -> (B, D, L)."""
        rows = self.norm(hidden.transpose(1, 2))  # (B, L, D)
        of_question = self._attend(
            [self.query(rows), *self.question(self.norm(states.transpose(1, 2))).chunk(2, dim=-1)], states_mask
        )
        of_passage = self._attend(list(self.passage(rows).chunk(3, dim=-1)), mask)
        found = self.dropout(self.output(torch.cat([of_question, of_passage], dim=-1)))
        return (hidden + found.transpose(1, 2).to(hidden.dtype)) * mask

    def _attend(self, rows: list[Tensor], mask: Tensor) -> Tensor:
        """Queries, keys and values (B, L or Q, D), mask (B, 1, Q) of the keys -> (B, L, D)."""
        query, key, value = (row.unflatten(-1, (self.heads, -1)).transpose(1, 2) for row in rows)
        bias = ((mask == 0) * MASKED_LOGIT).to(query.dtype)[:, None]  # (B, 1, 1, Q), finite: a row may be all padding
        bias = bias.expand(-1, -1, query.shape[2], -1)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return found.transpose(1, 2).flatten(2)


class EndPointer(nn.Module):
    """End scores that know the softmax of the start scores: how likely the answer starts here, or has started."""

    def __init__(self, config: DGCNNConfig) -> None:
        super().__init__()
        self.start = DGCNNConv1d(2, config.hidden_size, 1, bias=False)
        self.block = DGCNNBlock(config, 1)
        self.pointer = ScoreConv1d(config.hidden_size, 1, 1, bias=False)

    def forward(self, hidden: Tensor, mask: Tensor, start_logits: Tensor) -> Tensor:
        """(B, D, L), (B, 1, L), masked start scores (B, 1, L) -> end scores (B, 1, L)."""
        here = single(start_logits).softmax(dim=-1)
        started = torch.cat([here, here.cumsum(dim=-1)], dim=1).to(hidden.dtype)  # (B, 2, L)
        conditioned = (hidden + self.start(started).to(hidden.dtype)) * mask
        return self.pointer(self.block(conditioned, mask))


def longest_question(states_mask: Tensor) -> int:
    """Where the last question ends; the end of the row while it is being compiled or exported: no values are known."""
    if torch.compiler.is_compiling():
        return states_mask.shape[-1]
    places = torch.arange(1, states_mask.shape[-1] + 1, device=states_mask.device)
    return max(int((places * (states_mask != 0)).max()), 1)

"""The cascade over a trunk's states: subjects, then the objects of each subject for each predicate.

    P(s, p, o | text) = P(s | text) P(p, o | s, text)

Both factors are half pointers: a probability for each character to begin a mention and one to end it. A probability
may be a power of a sigmoid (archives/7161) and a product with gates that know less (archives/6671):

    subject start_i      = sigmoid(x_i)^n  pn1_i
    object start_(p, i)  = sigmoid(y_pi)^m pn1_i po_i pc_p

pn1 (pn2 for ends) sees the character, po the character and the subject, pc the whole text. All of it is summed as
logarithms; what leaves this file are the logits of these products.

Beside the article: distances to the subject's ends are signed and have tables of their own, added after the
convolution of the object stage, so that the convolution runs once for a text and not once for a subject.

Shapes: B texts, L characters, D hidden size, N subjects of all texts, C predicates, T subject types. The channels come
before the characters.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration_dgcnn import DGCNNConfig
from .kernels_dgcnn import attention
from .layers_dgcnn import DGCNNConv1d, DGCNNStack, ScoreConv1d, ZeroEmbedding
from .losses_dgcnn import MASKED_LOGIT, single
from .schema_dgcnn_triples import subject_types

SUBJECT_PLACES = 6


class TripleStates(NamedTuple):
    """What the object stage needs of the texts, once for all their subjects.

    Args:
        hidden: (B, D, L) of the trunk.
        mask: (B, 1, L).
        context: (B, D, L), the object stage before it is conditioned on a subject.
        character_gates: (B, 2, L) logits of pn1 and pn2, None without.
        predicate_gate: (B, C) logits of pc, None without.
    """

    hidden: Tensor
    mask: Tensor
    context: Tensor
    character_gates: Tensor | None
    predicate_gate: Tensor | None


class SelfAttention(nn.Module):
    """Heads of D / heads channels, without biases and without a projection after them (6671)."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projection = nn.Linear(size, 3 * size, bias=False)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(B, D, L), (B, 1, L) -> (B, D, L)."""
        batch, size, length = hidden.shape
        rows = self.projection(hidden.transpose(1, 2)).view(batch, length, 3, self.heads, size // self.heads)
        query, key, value = rows.permute(2, 0, 3, 1, 4)  # (B, heads, L, D / heads) each
        found = attention(query, key, value, (mask != 0)[:, None])
        return found.transpose(1, 2).flatten(2).transpose(1, 2) * mask


class CascadeHead(nn.Module):
    """Subject and object scores over the states of any trunk.

    Args:
        config: sizes, schema and options; of it `hidden_size` is the width of the states.
    """

    def __init__(self, config: DGCNNConfig) -> None:
        super().__init__()
        size, heads = config.hidden_size, config.num_attention_heads
        types, predicates = num_subject_types(config), len(config.triple_schema or [])
        self.powers = (config.subject_power, config.object_power)
        self.limit = config.max_relative_position
        self.prior = config.triple_prior
        self.subject_attention = SelfAttention(size, heads) if heads else None
        self.object_attention = SelfAttention(size, heads) if heads else None
        wide = 2 * size if heads else size
        self.subject_hidden = DGCNNConv1d(wide + 2 * self.prior, size, 3, padding=1)
        self.subject_pointer = ScoreConv1d(size, 2 * types, 1)
        self.recurrence = None
        if config.subject_encoder == "gru":
            self.recurrence = nn.GRU(size, size, batch_first=True, bidirectional=True)
        self.subject_code = nn.Linear(2 * size, size)
        self.after_start = ZeroEmbedding(2 * self.limit + 1, size)
        self.after_end = ZeroEmbedding(2 * self.limit + 1, size)
        self.object_hidden = DGCNNConv1d(wide + (2 + 2 * predicates) * self.prior, size, 3, padding=1)
        self.object_blocks = DGCNNStack(config, config.object_dilations)
        self.object_pointer = ScoreConv1d(size, 2 * predicates, 1)
        self.predicate_gate = _gate(nn.Linear, size, predicates) if config.predicate_gate else None
        self.character_gate = _gate(nn.Conv1d, size, 2, 1) if config.character_gate else None
        self.object_gate = nn.Conv1d(size, 1, 1) if config.character_gate else None

    def subjects(self, hidden: Tensor, mask: Tensor, prior: Tensor | None = None) -> tuple[Tensor, TripleStates]:
        """Scores of subjects.

        Args:
            hidden: (B, D, L), zero at padding.
            mask: (B, 1, L).
            prior: (B, L, 2 + 2C), where the configuration has it.

        Returns:
            logits (B, 2T, L), T starts and T ends, and what `objects` needs.
        """
        if self.prior and prior is None:
            raise ValueError(
                "this model wants the prior (B, L, 2 + 2C) of memorised triples, which TriplePrior makes."
            )
        hints = prior.to(hidden.dtype) if self.prior and prior is not None else None  # (B, L, 2 + 2C)
        rows, kept = hidden.transpose(1, 2), mask.transpose(1, 2)

        def beside(attention: SelfAttention | None, width: int | None) -> Tensor:
            parts = [rows] if attention is None else [rows, attention(hidden, mask).transpose(1, 2)]
            parts = parts if hints is None else [*parts, hints[..., :width] * kept]
            return torch.cat(parts, dim=2).transpose(1, 2)  # the channels of a character side by side in memory

        gates = None if self.character_gate is None else self.character_gate(hidden)  # (B, 2, L)
        predicate_gate = None
        if self.predicate_gate is not None:
            highest = hidden.masked_fill(mask == 0, MASKED_LOGIT).amax(dim=2)  # (B, D)
            predicate_gate = self.predicate_gate(highest)
        found = F.relu(self.subject_hidden(beside(self.subject_attention, 2)))
        logits = self.subject_pointer(found)
        if gates is not None:
            by_type = gates.repeat_interleave(logits.shape[1] // 2, dim=1)
            logits = product_logits((logits, self.powers[0]), (by_type, 1))
        else:
            logits = product_logits((logits, self.powers[0]))
        context = self.object_hidden(beside(self.object_attention, None)) * mask
        states = TripleStates(hidden, mask, context, gates, predicate_gate)
        return logits.masked_fill(mask == 0, MASKED_LOGIT), states

    def objects(self, states: TripleStates, subjects: Tensor) -> Tensor:
        """Scores of objects, for all subjects at once.

        Args:
            states: of `subjects`.
            subjects: (N, 3) long: text, first character, last character.

        Returns:
            logits (N, 2C, L), C starts and C ends.
        """
        row, first, last = subjects.unbind(dim=1)
        mask = states.mask[row]  # (N, 1, L)
        code = self.subject_code(self._ends(states.hidden.transpose(1, 2), row, first, last))  # (N, D)
        place = torch.arange(states.hidden.shape[2], device=subjects.device)
        distance = self.after_start(self._steps(place, first)) + self.after_end(self._steps(place, last))  # (N, L, D)
        hidden = (states.context.transpose(1, 2)[row] + code[:, None] + distance).transpose(1, 2) * mask
        hidden = F.relu(self.object_blocks(hidden, mask))
        logits = self.object_pointer(hidden)  # (N, 2C, L)
        gates = []
        if states.character_gates is not None and self.object_gate is not None:
            by_predicate = states.character_gates[row].repeat_interleave(logits.shape[1] // 2, dim=1)
            gates += [(by_predicate, 1), (self.object_gate(hidden), 1)]
        if states.predicate_gate is not None:
            gates.append((states.predicate_gate[row].repeat(1, 2)[..., None], 1))
        return product_logits((logits, self.powers[1]), *gates).masked_fill(mask == 0, MASKED_LOGIT)

    def _ends(self, rows: Tensor, row: Tensor, first: Tensor, last: Tensor) -> Tensor:
        """(B, L, D) -> (N, 2D): the subject's first and last state, or the GRU's after six places between them."""
        if self.recurrence is None:
            return torch.cat([rows[row, first], rows[row, last]], dim=1)
        share = torch.linspace(0, 1, SUBJECT_PLACES, device=rows.device)
        places = (first[:, None] + share * (last - first)[:, None]).round().long()  # (N, 6)
        return self.recurrence(rows[row[:, None], places])[1].transpose(0, 1).flatten(1)

    def _steps(self, place: Tensor, end: Tensor) -> Tensor:
        """(N, L) rows of the distance tables."""
        return (place - end[:, None]).clamp(-self.limit, self.limit) + self.limit


def num_subject_types(config: DGCNNConfig) -> int:
    """T."""
    return max(len(subject_types(config)), 1)


def product_logits(*factors: tuple[Tensor, int]) -> Tensor:
    """Logit of the product of powers of sigmoids: x, n -> logit(prod sigmoid(x) ** n).

    Args:
        factors: pairs of logits, of shapes that broadcast, and powers of at least 1.

    Returns:
        float32 (float64 stays); at most 27.6, which is a probability of 1 - 1e-12.
    """
    if len(factors) == 1 and factors[0][1] == 1:
        return single(factors[0][0])
    total = sum(power * F.logsigmoid(single(logits)) for logits, power in factors)
    total = total.clamp(max=-1e-12)  # type: ignore[union-attr]
    return total - torch.log(-torch.expm1(total))


def _gate(layer: type[nn.Module], size: int, outputs: int, *args: int) -> nn.Sequential:
    return nn.Sequential(layer(size, size, *args), nn.ReLU(), layer(size, outputs, *args))

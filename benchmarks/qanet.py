"""QANet, a peer of the reader: convolutions with self-attention, and attention between passage and question.

    C, Q     passage and question, each through two highway layers and the same encoder block
    S_ij     = w . [C_i, Q_j, C_i * Q_j]
    A        = softmax_j(S) Q
    B        = softmax_j(S) softmax_i(S)^T C
    M_0      = blocks(W [C, A, C * A, C * B]),  M_1 = blocks(M_0),  M_2 = blocks(M_1)
    start, end = w_1 . [M_0, M_1],  w_2 . [M_0, M_2]

A block adds positions, then each of its parts f as x + f(layer_norm(x)): depthwise separable convolutions,
self-attention, two pointwise layers. Later parts are left out more often in training (stochastic depth).

Unlike the paper, vectors of characters and of the words that hold them are learned, in place of given word vectors and
a network on letters; and the first token belongs to the passage too, where a start and an end mean "no answer".

Source: arXiv 1804.09541.
Shapes: B questions, L tokens of both texts, M of the passage and one, N of the question, D wide.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import QuestionAnsweringModelOutput

SURVIVAL = 0.9  # of the last part of a block


class SeparableConvolution(nn.Module):
    """Depthwise, then pointwise convolution, with ReLU: (B, L, D) -> (B, L, D)."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width, bias=False)
        self.pointwise = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = (x * mask[..., None]).transpose(1, 2)  # (B, D, L); padding is zero, as beyond the ends
        return self.pointwise(self.depthwise(x)).relu().transpose(1, 2)


class SelfAttention(nn.Module):
    """Multi-head attention on what is not padding: (B, L, D) -> (B, L, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.attention(x, x, x, key_padding_mask=~mask, need_weights=False)[0]


class Pointwise(nn.Module):
    """Two layers at each place: (B, L, D) -> (B, L, D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.second(self.first(x).relu())


class Highway(nn.Module):
    """x * (1 - g) + g * relu(W x) with g = sigmoid(V x): (..., D) -> (..., D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer, self.gate = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(x, self.layer(x).relu(), self.gate(x).sigmoid())


class EncoderBlock(nn.Module):
    """Positions, convolutions, attention and pointwise layers, each with layer norm and a shortcut.

    Args:
        width: D.
        heads: of the attention.
        convolutions: their number.
        kernel: their length.
        dropout: on the output of each part.
    """

    def __init__(self, width: int, heads: int, convolutions: int, kernel: int, dropout: float) -> None:
        super().__init__()
        parts = [*(SeparableConvolution(width, kernel) for _ in range(convolutions))]
        self.parts = nn.ModuleList([*parts, SelfAttention(width, heads), Pointwise(width)])
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in self.parts)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, L, D), and (B, L), true where there is a token."""
        x = x + positions(x.shape[1], x.shape[2]).to(x)
        for number, (norm, part) in enumerate(zip(self.norms, self.parts), 1):
            left_out = (1 - SURVIVAL) * number / len(self.parts)
            if self.training and torch.rand(()).item() < left_out:
                continue
            x = x + self.dropout(part(norm(x), mask))
        return x


def positions(length: int, width: int) -> Tensor:
    """Sines and cosines of places, (L, D); D is even."""
    rates = torch.exp(-math.log(10_000) * torch.arange(width // 2) / (width // 2))
    angles = torch.arange(length)[:, None] * rates  # (L, D / 2)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class QANet(nn.Module):
    """Scores of starts and ends, with the interface of `BertForQuestionAnswering`.

    Args:
        vocab_size: characters.
        word_vocab_size: words; 0: none.
        width: D, a multiple of `heads` and of 2.
        embedding_size: of characters and of words.
        heads, blocks: of the model encoder; the paper has 8 and 7.
        dropout: on embeddings and parts of blocks.
    """

    def __init__(
        self, vocab_size: int, word_vocab_size: int = 0, width: int = 128, embedding_size: int = 128, heads: int = 8,
        blocks: int = 7, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.characters = nn.Embedding(vocab_size, embedding_size)
        self.words = nn.Embedding(word_vocab_size, embedding_size) if word_vocab_size else None
        self.projection = nn.Linear(embedding_size * (2 if word_vocab_size else 1), width)
        self.highway = nn.Sequential(Highway(width), Highway(width))
        self.dropout = nn.Dropout(dropout)
        self.embedding_encoder = EncoderBlock(width, heads, 4, 7, dropout)
        self.of_passage, self.of_question, self.of_both = (nn.Linear(width, 1, bias=False) for _ in range(3))
        self.joined = nn.Linear(4 * width, width)
        self.model_encoder = nn.ModuleList(EncoderBlock(width, heads, 2, 5, dropout) for _ in range(blocks))
        self.start, self.end = (nn.Linear(2 * width, 1, bias=False) for _ in range(2))  # a softmax knows no bias

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, word_input_ids: Tensor | None = None,
        start_positions: Tensor | None = None, end_positions: Tensor | None = None,
    ) -> QuestionAnsweringModelOutput:  # fmt: skip
        """Logits (B, L), the smallest number outside the passage and the first token; with positions (B,) also a loss.

        Args:
            input_ids, word_input_ids: (B, L), the question before the passage, padding behind them.
            attention_mask: (B, L), 0 at padding.
            token_type_ids: (B, L), 1 in the passage.
            start_positions, end_positions: (B,), of the answer; 0 for none.
        """
        present = attention_mask.bool()
        in_passage = present & (token_type_ids == 1)
        questions, passages = (present & ~in_passage).sum(1), in_passage.sum(1)  # (B,)
        x = self._embed(input_ids, word_input_ids)  # (B, L, D)
        place = torch.arange(x.shape[1], device=x.device)
        question_mask = place[: int(questions.max())] < questions[:, None]  # (B, N)
        passage_mask = place[: int(passages.max()) + 1] <= passages[:, None]  # (B, M)
        # The first token, then those behind the question.
        index = (place[: passage_mask.shape[1]] - 1 + questions[:, None]).clamp(max=x.shape[1] - 1)  # (B, M)
        index[:, 0] = 0
        passage = x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))  # (B, M, D)
        c = self.embedding_encoder(passage, passage_mask)
        q = self.embedding_encoder(x[:, : question_mask.shape[1]], question_mask)
        joined = self.dropout(self.joined(self._attend(c, q, passage_mask, question_mask)))  # (B, M, D)
        encoded = [joined]
        for _ in range(3):
            encoded.append(self._encode(encoded[-1], passage_mask))
        _, first, second, third = encoded
        scored = [(self.start, second), (self.end, third)]
        back = (place - questions[:, None] + 1).clamp(0, passage_mask.shape[1] - 1)  # (B, L)
        outside = ~(in_passage | (place == 0))
        start, end = (
            layer(torch.cat([first, other], dim=2))[..., 0].float().gather(1, back)
            .masked_fill(outside, torch.finfo(torch.float32).min)
            for layer, other in scored
        )  # fmt: skip
        loss = None
        if start_positions is not None and end_positions is not None:
            pairs = ((start, start_positions), (end, end_positions))
            loss = sum(nn.functional.cross_entropy(logits, labels) for logits, labels in pairs) / 2
        return QuestionAnsweringModelOutput(loss=loss, start_logits=start, end_logits=end)

    def _embed(self, input_ids: Tensor, word_input_ids: Tensor | None) -> Tensor:
        x = self.characters(input_ids)
        if self.words is not None:
            x = torch.cat([x, self.words(word_input_ids)], dim=2)
        return self.highway(self.projection(self.dropout(x)))

    def _attend(self, c: Tensor, q: Tensor, passage_mask: Tensor, question_mask: Tensor) -> Tensor:
        """[C, A, C * A, C * B], (B, M, 4 D)."""
        similarity = self.of_passage(c) + self.of_question(q).mT + (c * self.of_both.weight) @ q.mT  # (B, M, N)
        lowest = torch.finfo(similarity.dtype).min
        over_question = similarity.masked_fill(~question_mask[:, None], lowest).softmax(2)
        over_passage = similarity.masked_fill(~passage_mask[..., None], lowest).softmax(1)
        a = over_question @ q
        b = over_question @ (over_passage.mT @ c)
        return torch.cat([c, a, c * a, c * b], dim=2)

    def _encode(self, x: Tensor, mask: Tensor) -> Tensor:
        for block in self.model_encoder:
            x = block(x, mask)
        return x

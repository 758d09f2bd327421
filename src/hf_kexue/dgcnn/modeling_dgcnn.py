"""DGCNN: residual dilated gated convolutions, light enough for a CPU, with heads for masked characters and for reading
comprehension.

Trunk: embeddings and a row of gated blocks, `layers_dgcnn`.

Reader (archives/5409 and 6906): the question becomes one vector q by attention pooling; every character of the passage
is conditioned on q; start and end are scored for each character and multiplied by one global answerability

    p_start_i = p_global sigmoid(s_i),   p_end_i = p_global sigmoid(e_i).

Beyond the articles, each off unless the configuration asks: passage blocks before the question comes in
(`context_dilations`), blocks that read it in patches (`patch_dilations`), attention from passage to question
(`question_attention`), a second cross-attention (`second_dilations`), an end conditioned on the start
(`conditional_end`), a softmax over the window (`output="span"`). Short of them: the passage is pooled without q
beside it (6906 has [p, q]), and start and end share the layer under their scores (5409 has one each).

Shapes: B batch, L characters, Q characters of the question, D hidden size. Inside the trunk the channels come before
the characters, (B, D, L): no block transposes.

Longer than a modeling file should be: a third is the docstrings of three models.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling, MaskedLMOutput, QuestionAnsweringModelOutput
from transformers.utils import can_return_tuple

from .configuration_dgcnn import DGCNNConfig
from .layers_dgcnn import (
    AttentionPooling,
    DGCNNConv1d,
    DGCNNEmbeddings,
    DGCNNStack,
    IdentityConv1d,
    IdentityLinear,
    QuestionFusion,
    ScoreConv1d,
    SmallConv1d,
    SmallLinear,
    VectorBlocks,
    ZeroEmbedding,
    identity_first,
    mask_of,
)
from .layers_dgcnn_patches import DGCNNEncoder
from .layers_dgcnn_qa import EndPointer, SecondLook, longest_question
from .losses_dgcnn import MASKED_LOGIT, per_process, single, span_labels, span_loss, tagging_loss
from .strict_loading import check_loaded, clear_errors, safetensors_only


class DGCNNPreTrainedModel(PreTrainedModel):
    config: DGCNNConfig
    base_model_prefix = "dgcnn"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # a `Trainer` scales the loss for gradient accumulation; not that of the masked LM
    _no_split_modules: ClassVar[list[str]] = ["DGCNNBlock"]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *args: Any, **kwargs: Any) -> Self:
        """As everywhere in transformers, from safetensors alone and without shapes that do not fit; frozen parameters
        are frozen again, as new ones are made on loading. A class that was saved as this one must be complete."""
        source, info = pretrained_model_name_or_path, kwargs.pop("output_loading_info", False)
        options = {"ignore_mismatched_sizes": True, **safetensors_only(kwargs), "output_loading_info": True}
        with clear_errors(source):
            model, found = super().from_pretrained(source, *args, **options)
        if not kwargs.get("ignore_mismatched_sizes"):
            same = cls.__name__ in (model.config.architectures or ())
            check_loaded(source, found if same else {"mismatched_keys": found["mismatched_keys"]})
        if model.config.freeze_word_embeddings and model.base_model.embeddings.words is not None:
            model.base_model.embeddings.words.requires_grad_(False)
        loaded: Any = (model, found) if info else model
        return loaded

    def collects(self, output_hidden_states: bool | None) -> list[Tensor] | None:
        """Where a call collects its hidden states, None where it does not."""
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return [] if wanted else None

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, ZeroEmbedding):
            init.zeros_(module.weight)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, mean=0.0, std=self.config.initializer_range)
            # A slice does not know that its tensor was loaded from a file.
            if module.padding_idx is not None and not getattr(module.weight, "_is_hf_initialized", False):
                init.zeros_(module.weight[module.padding_idx])
        elif isinstance(module, nn.Linear | nn.Conv1d):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
            if isinstance(module, IdentityLinear | IdentityConv1d):
                init.copy_(module.weight, identity_first(module.weight))
            elif isinstance(module, SmallLinear | SmallConv1d):
                init.copy_(module.weight, 0.1 * module.weight)
        elif isinstance(module, nn.GRU):
            for name, parameter in module.named_parameters():
                init.zeros_(parameter) if name.startswith("bias") else init.xavier_uniform_(parameter)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)


class DGCNNModel(DGCNNPreTrainedModel):
    """The trunk: embeddings and the blocks of `config.dilations`, pooled by attention where asked for."""

    def __init__(self, config: DGCNNConfig, add_pooling_layer: bool = True, blocks: bool = True) -> None:
        super().__init__(config)
        self.embeddings = DGCNNEmbeddings(config)
        self.encoder = DGCNNEncoder(config)
        self.pooler = AttentionPooling(config.hidden_size) if add_pooling_layer else None
        self.vector_blocks = VectorBlocks(config) if add_pooling_layer and blocks and config.pooler_layers else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.characters

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embeddings.characters = value

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        word_input_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Encode texts.

        Args:
            input_ids: (B, L) character ids.
            attention_mask: (B, L), 1 for characters and 0 for padding; default: nothing is padding.
            word_input_ids: (B, L) ids of the words that hold the characters, where the configuration has words.
            output_hidden_states: whether to return `hidden_states`; None: `config.output_hidden_states`.
            kwargs: `return_dict`; others are ignored.

        Returns:
            `last_hidden_state` (B, L, D), zero at padding; `pooler_output` (B, D or `pooler_size`), None without
            pooling; where asked for, `hidden_states`: what goes into the blocks and what each gives, (B, L, D) each.
        """
        mask = mask_of(input_ids, attention_mask, self.dtype)
        padding = None if attention_mask is None else mask
        states = self.collects(output_hidden_states)
        hidden = self.encoder(self.embeddings(input_ids, mask, word_input_ids), padding, states)
        pooled = None if self.pooler is None else self.pooler(hidden, mask)
        pooled = pooled if self.vector_blocks is None else self.vector_blocks(pooled)
        return BaseModelOutputWithPooling(hidden.transpose(1, 2), pooled, tuple(states) if states else None)


class DGCNNForMaskedLM(DGCNNPreTrainedModel):
    """The trunk with a head that names masked characters; `DGCNNForQuestionAnswering` starts from its weights."""

    accepts_loss_kwargs = True
    _tied_weights_keys: ClassVar[dict[str, str]] = {"decoder.weight": "dgcnn.embeddings.characters.weight"}

    def __init__(self, config: DGCNNConfig) -> None:
        super().__init__(config)
        self.dgcnn = DGCNNModel(config, add_pooling_layer=False)
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.decoder

    def set_output_embeddings(self, value: nn.Linear) -> None:
        self.decoder = value

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        word_input_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Score every character of the vocabulary at every place.

        Args:
            input_ids: (B, L) ids, `config.mask_token_id` where a character is hidden.
            attention_mask: (B, L).
            word_input_ids: (B, L); the words of hidden characters should be hidden too.
            labels: (B, L) ids to name, -100 elsewhere.
            output_hidden_states: as of `DGCNNModel`.
            num_items_in_batch: labelled characters of all batches whose gradients are accumulated, as a `Trainer` of
                transformers counts them: what the loss is divided by. None: those of this batch.
            kwargs: `return_dict`; others are ignored.

        Returns:
            `logits` (B, L, vocab_size), or (labelled characters, vocab_size) with `config.sparse_prediction` and
            labels; `loss`, mean cross entropy over the labelled characters; `hidden_states`.
        """
        trunk = self.dgcnn(
            input_ids, attention_mask, word_input_ids, output_hidden_states=output_hidden_states, return_dict=True
        )
        hidden = trunk.last_hidden_state
        if labels is not None and self.config.sparse_prediction:
            hidden, labels = hidden[labels != -100], labels[labels != -100]  # (N, D), (N,)
        logits = self.decoder(self.norm(F.gelu(self.transform(hidden))))
        loss = None
        if labels is not None:
            scores, kept = single(logits).flatten(0, -2), labels.flatten()
            total = F.cross_entropy(scores, kept, ignore_index=-100, reduction="sum")
            if num_items_in_batch is None:
                num_items_in_batch = per_process((kept != -100).sum().to(total.dtype))
            loss = total / num_items_in_batch
        return MaskedLMOutput(loss=loss, logits=logits, hidden_states=trunk.hidden_states)


@dataclass
class DGCNNQuestionAnsweringOutput(QuestionAnsweringModelOutput):
    """The usual output with one score more.

    Args:
        answerability_logits: (B,); its sigmoid is p_global, how likely the window answers the question at all.
    """

    answerability_logits: Tensor = None  # type: ignore[assignment]


class DGCNNForQuestionAnswering(DGCNNPreTrainedModel):
    """The reader: start and end of the answer in a passage. Where the passage follows its question in one row of ids,
    `token_type_ids` tell them apart; where `question_states` are given, the row is the passage alone."""

    def __init__(self, config: DGCNNConfig) -> None:
        super().__init__(config)
        if config.position_embedding == "learned":
            raise ValueError('position_embedding="learned" is for triples; the reader takes "none" or "sinusoidal".')
        size = config.hidden_size
        self.dgcnn = DGCNNModel(config, blocks=False)
        self.question_encoder = DGCNNStack(config, config.question_dilations)
        self.question_pooler = AttentionPooling(size)
        self.fusion = QuestionFusion(config)
        self.pointer_hidden = DGCNNConv1d(size, config.pointer_hidden_size, 1) if config.pointer_hidden_size else None
        # What is the same for all characters changes a sigmoid, but no softmax.
        tagging = config.output == "tagging"
        self.second_look = SecondLook(config) if config.second_dilations else None
        self.second_blocks = DGCNNStack(config, config.second_dilations)
        self.pointer = ScoreConv1d(
            config.pointer_hidden_size or size, 1 + (not config.conditional_end), 1, bias=tagging
        )
        self.end_pointer = EndPointer(config) if config.conditional_end else None
        self.pointer_question = nn.Linear(size, 2, bias=False) if tagging else None
        self.answerability = nn.Linear(2 * size, 1)
        self.post_init()

    @property
    def span_scoring(self) -> str:
        """`"sigmoid"` or `"softmax"`: how `span_probabilities` reads the logits."""
        return "sigmoid" if self.config.output == "tagging" else "softmax"

    def encode_question(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, word_input_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The question once, for any number of windows.

        Args:
            input_ids: (B, Q) as `tokenizer(question)` returns them.
            attention_mask: (B, Q).
            word_input_ids: (B, Q).

        Returns:
            `question_states` (B, Q, D) and `question_mask` (B, Q), arguments of `forward`.
        """
        mask = mask_of(input_ids, attention_mask, self.dtype)
        padding = None if attention_mask is None else mask
        states = self.question_encoder(self.dgcnn.embeddings(input_ids, mask, word_input_ids), padding)
        return states.transpose(1, 2), mask[:, 0]

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        word_input_ids: Tensor | None = None,
        match_features: Tensor | None = None,
        question_states: Tensor | None = None,
        question_mask: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        question_length: int | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> DGCNNQuestionAnsweringOutput:
        """Score start and end of the answer.

        Args:
            input_ids: (B, L) question and passage, or the passage alone with `question_states`.
            attention_mask: (B, L).
            token_type_ids: (B, L), 0 for the question and 1 for the passage; not needed with `question_states`.
            word_input_ids: (B, L), where the configuration has words.
            match_features: (B, L, 8), where the configuration has them.
            question_states: (B, Q, D) of `encode_question`.
            question_mask: (B, Q) of `encode_question`.
            start_positions: (B,) index of the answer's first character in the row; one outside the passage, such as
                -1, means that the window holds no answer.
            end_positions: (B,) index of its last character; outside the passage, it means the same.
            question_length: tokens of the longest question in the rows, [SEP] among them; who knows it spares a GPU
                the wait for it.
            output_hidden_states: as of `DGCNNModel`, of the blocks after the passage has met the question.
            start_labels, end_labels: in place of the positions, (B, L), 1 at the first or last character of every
                occurrence. A `Trainer` of transformers evaluates with the labels that the signature names, all of
                them; for these it takes `label_names=["start_labels", "end_labels"]`.
            kwargs: `return_dict`; others are ignored.

        Returns:
            `start_logits`, `end_logits` (B, L), with -1e4 outside the passage; `answerability_logits` (B,); `loss`
            with labels; `hidden_states` where asked for. `span_probabilities` makes probabilities of the logits.

        Raises:
            ValueError: with neither `token_type_ids` nor `question_states`, or `question_states` without their mask;
                without the words or features that the configuration asks for; with half of the labels.
        """
        if (question_states is None) != (question_mask is None):
            raise ValueError("question_states come with question_mask: pass both that encode_question returns.")
        mask = mask_of(input_ids, attention_mask, self.dtype)
        embedded = self.dgcnn.embeddings(input_ids, mask, word_input_ids)
        padding = None if attention_mask is None else mask  # the blocks are faster where they need not look
        if question_states is not None and question_mask is not None:
            states, states_mask = question_states.transpose(1, 2), question_mask[:, None].to(self.dtype)
        elif token_type_ids is not None:
            states_mask = mask * (token_type_ids == 0)[:, None]
            padding = mask = mask * (token_type_ids == 1)[:, None]
            longest = question_length or longest_question(states_mask)
            states_mask = states_mask[..., :longest]
            states = self.question_encoder(embedded[..., :longest] * states_mask, states_mask)
        else:
            raise ValueError("the question is missing: pass token_type_ids, or question_states with question_mask.")
        vector = self.question_pooler(states, states_mask)

        hidden = embedded if padding is None else embedded * mask
        for block in self.question_encoder.blocks[: len(self.config.context_dilations)]:
            hidden = block(hidden, padding)
        fused = self.fusion(hidden, padding, vector, states, states_mask, match_features)
        collected = self.collects(output_hidden_states)
        hidden = self.dgcnn.encoder(fused, padding, collected)
        if self.second_look is not None:
            hidden = self.second_blocks(self.second_look(hidden, mask, states, states_mask), padding)
        pooled = self.dgcnn.pooler(hidden, mask)  # type: ignore[misc]  # this trunk has one
        answerable = self.answerability(torch.cat([pooled, vector], dim=-1))  # (B, 1)
        pointed = hidden if self.pointer_hidden is None else torch.tanh(self.pointer_hidden(hidden))
        logits = self.pointer(pointed)  # (B, 2, L), starts alone with `conditional_end`
        if self.end_pointer is not None:
            logits = torch.cat(
                [logits, self.end_pointer(hidden, mask, logits.masked_fill(mask == 0, MASKED_LOGIT))], 1
            )
        if self.pointer_question is not None:  # logit of sigmoid(a) sigmoid(b) is -log(e^-a + e^-b + e^(-a-b))
            logits = logits + self.pointer_question(vector).unsqueeze(-1)
            a, b = torch.broadcast_tensors(logits, answerable.unsqueeze(-1))
            logits = -torch.logsumexp(torch.stack([-a, -b, -a - b]), dim=0)
        logits = logits.masked_fill(mask == 0, MASKED_LOGIT)

        loss = None
        per_character = (kwargs.get("start_labels"), kwargs.get("end_labels"))
        labels = span_labels(mask[:, 0], start_positions, end_positions, *per_character)
        if labels is not None:
            if self.config.output == "span":
                loss = span_loss(logits, labels, answerable.squeeze(-1))
            else:
                focal = (self.config.focal_alpha, self.config.focal_gamma) if self.config.loss == "focal" else None
                loss = tagging_loss(logits, labels, mask, focal)
        return DGCNNQuestionAnsweringOutput(
            loss=loss,
            start_logits=logits[:, 0],
            end_logits=logits[:, 1],
            hidden_states=tuple(collected) if collected else None,
            answerability_logits=answerable.squeeze(-1),
        )

    def span_probabilities(self, output: DGCNNQuestionAnsweringOutput) -> tuple[Tensor, Tensor]:
        """Probabilities whose product is the score of a span.

        Args:
            output: of `forward`.

        Returns:
            start and end, (B, L) float32 in [0, 1]. With `output="span"` each holds the square root of the
            answerability, so that a span is scored p_global p_start p_end.
        """
        if self.config.output == "tagging":
            return output.start_logits.float().sigmoid(), output.end_logits.float().sigmoid()
        root = output.answerability_logits.float().sigmoid().sqrt()[:, None]
        return output.start_logits.float().softmax(-1) * root, output.end_logits.float().softmax(-1) * root


__all__ = ["DGCNNForMaskedLM", "DGCNNForQuestionAnswering", "DGCNNModel", "DGCNNPreTrainedModel"]

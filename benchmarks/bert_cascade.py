"""The cascade of triple extraction on a BERT with random weights, the baseline of the published model."""

from __future__ import annotations

from torch import Tensor
from transformers import BertConfig, BertModel

from hf_kexue import DGCNNConfig, DGCNNForTripleExtraction
from hf_kexue.dgcnn.layers_dgcnn_triples import TripleStates
from hf_kexue.dgcnn.modeling_dgcnn import mask_of


class BertForTripleExtraction(DGCNNForTripleExtraction):
    """Subjects and objects by the same head and loss as the published model's, over BERT in place of the trunk.

    Args:
        config: of the published model; `hidden_size` is replaced by `width`.
        layers: of BERT.
        width: of BERT, a head of attention for every 64.
        vocab_size: characters; default: those of `config`.
    """

    def __init__(self, config: DGCNNConfig, layers: int, width: int, vocab_size: int | None = None) -> None:
        config = DGCNNConfig.from_dict(
            config.to_dict() | {"hidden_size": width, "word_vocab_size": 0, "position_embedding": "none"}
        )
        super().__init__(config)
        self.dgcnn = BertModel(
            BertConfig(
                vocab_size=vocab_size or config.vocab_size, hidden_size=width, num_hidden_layers=layers,
                num_attention_heads=width // 64, intermediate_size=4 * width, max_position_embeddings=512,
                pad_token_id=0,
            ),
            add_pooling_layer=False,
        )  # fmt: skip

    def extract_subjects(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        word_input_ids: Tensor | None = None,
        prior: Tensor | None = None,
        collected: list[Tensor] | None = None,
    ) -> tuple[Tensor, TripleStates]:
        """As in the published model, without words and without the states of the trunk."""
        hidden = self.dgcnn(input_ids, attention_mask=attention_mask).last_hidden_state.transpose(1, 2)  # (B, D, L)
        mask = mask_of(input_ids, attention_mask, self.dtype)
        logits, states = self.head.subjects(hidden * mask, mask, prior)
        return logits.transpose(1, 2), states

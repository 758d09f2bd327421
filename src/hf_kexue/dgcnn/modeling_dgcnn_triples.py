"""DGCNN for triple extraction: (subject, predicate, object) from a text, overlaps included.

The trunk of `modeling_dgcnn` reads the text once; `layers_dgcnn_triples.CascadeHead` finds its subjects, and for all
of them in one pass their objects.

Training conditions on gold subjects and learns both stages at once (archives/6671):

    loss = BCE of subject starts and ends, mean over characters
         + BCE of object starts and ends, sum over predicates, mean over characters and subjects

Shapes: B texts, L characters, D hidden size, N subjects of all texts, C predicates, T subject types.

Source: kexue.fm/archives/6671 (factorisation, gates, prior), /7161 (powers of sigmoids).
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel  # noqa: F401  transformers looks for the name of the base here
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_dgcnn import DGCNNConfig
from .layers_dgcnn import ZeroEmbedding, mask_of
from .layers_dgcnn_triples import CascadeHead, TripleStates
from .losses_dgcnn import per_process
from .modeling_dgcnn import DGCNNModel, DGCNNPreTrainedModel
from .schema_dgcnn_triples import subject_types


@dataclass
class TripleExtractionOutput(ModelOutput):
    """Scores of both stages; the sigmoid of every logit is a probability, gates and powers are inside.

    Args:
        loss: with labels.
        subject_logits: (B, L, 2T), T starts and T ends; -1e4 at padding.
        object_logits: (N, L, 2C), C starts and C ends of the objects of each subject; with `subjects`.
        subject_loss: the first part of the loss.
        object_loss: the second.
        last_hidden_state: (B, L, D).
        logits: those of subjects once more, under the name that token classification has for scores.
        hidden_states: as of `DGCNNModel`, where asked for.
    """

    loss: Tensor | None = None
    subject_logits: Tensor | None = None
    object_logits: Tensor | None = None
    subject_loss: Tensor | None = None
    object_loss: Tensor | None = None
    last_hidden_state: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None


class DGCNNForTripleExtraction(DGCNNPreTrainedModel):
    """Subjects of texts, and for each of them the objects of every predicate of `config.triple_schema`."""

    def __init__(self, config: DGCNNConfig) -> None:
        super().__init__(config)
        if not config.triple_schema:
            raise ValueError("config.triple_schema is empty: list the predicates to look for.")
        if config.position_embedding == "sinusoidal":
            raise ValueError('position_embedding="sinusoidal" is the reader\'s; triples take "none" or "learned".')
        self.dgcnn = DGCNNModel(config, add_pooling_layer=False)
        self.positions = None
        if config.position_embedding == "learned":
            self.positions = ZeroEmbedding(config.max_position_embeddings, config.hidden_size)
        self.head = CascadeHead(config)
        self.post_init()

    @property
    def schema(self) -> list[dict[str, Any]]:
        """The predicates with their types, in the order of their ids."""
        return self.config.triple_schema or []

    @property
    def subject_types(self) -> list[str]:
        """T names; [""] where subjects are tagged without their type."""
        return subject_types(self.config)

    def extract_subjects(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        word_input_ids: Tensor | None = None,
        prior: Tensor | None = None,
        collected: list[Tensor] | None = None,
    ) -> tuple[Tensor, TripleStates]:
        """The first stage; arguments as of `forward`; `collected` gets the hidden states of the trunk, (B, D, L).

        Returns:
            subject logits (B, L, 2T), and the states that `extract_objects` takes.
        """
        mask = mask_of(input_ids, attention_mask, self.dtype)
        hidden = self.dgcnn.embeddings(input_ids, mask, word_input_ids)
        if self.positions is not None:
            length = input_ids.shape[1]
            if length > self.positions.num_embeddings:
                raise ValueError(
                    f"a row of {length} characters is longer than max_position_embeddings "
                    f"({self.positions.num_embeddings}): cut the text first."
                )
            place = torch.arange(length, device=input_ids.device)
            hidden = (hidden + self.positions(place).T) * mask
        hidden = self.dgcnn.encoder(hidden, None if attention_mask is None else mask, collected)
        logits, states = self.head.subjects(hidden, mask, prior)
        return logits.transpose(1, 2), states

    def extract_objects(self, states: TripleStates, subjects: Tensor) -> Tensor:
        """The second stage, for any number of subjects of the texts.

        Args:
            states: of `extract_subjects`.
            subjects: (N, 3) long: text, first character, last character (inclusive).

        Returns:
            object logits (N, L, 2C).
        """
        waits = subjects.is_cuda and self.training  # for the look at the values, once a step
        if not waits and not torch.compiler.is_compiling():
            _check_subjects(subjects, *states.hidden.shape[::2])
        return self.head.objects(states, subjects).transpose(1, 2)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        word_input_ids: Tensor | None = None,
        prior: Tensor | None = None,
        subjects: Tensor | None = None,
        subject_labels: Tensor | None = None,
        object_labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> TripleExtractionOutput:
        """Score subjects, and the objects of given subjects.

        Args:
            input_ids: (B, L).
            attention_mask: (B, L).
            word_input_ids: (B, L), where the configuration has words.
            prior: (B, L, 2 + 2C), where the configuration has it: 1 where a memorised triple that fits the text
                begins or ends its subject, and its object by predicate.
            subjects: (N, 3) long: text, first character, last character (inclusive).
            subject_labels: (B, L, 2T) in {0, 1}.
            object_labels: (N, L, 2C) in {0, 1}; with `subjects`.
            output_hidden_states: as of `DGCNNModel`.
            kwargs: `return_dict`; others are ignored.

        Raises:
            ValueError: for object labels without subjects, subjects outside their text, a prior or words missing.
        """
        collected = self.collects(output_hidden_states)
        subject_logits, states = self.extract_subjects(input_ids, attention_mask, word_input_ids, prior, collected)
        object_logits = None if subjects is None else self.extract_objects(states, subjects)
        mask = states.mask[:, 0, :, None]  # (B, L, 1)
        subject_loss = object_loss = None
        if subject_labels is not None:
            subject_loss = _bce(subject_logits, subject_labels, mask)
        if object_labels is not None:
            if subjects is None or object_logits is None:
                raise ValueError("object_labels belong to subjects: pass subjects (N, 3) with them.")
            object_loss = _bce(object_logits, object_labels, mask[subjects[:, 0]])
        losses = [part for part in (subject_loss, object_loss) if part is not None]
        return TripleExtractionOutput(
            loss=sum(losses) if losses else None,  # type: ignore[arg-type]
            subject_logits=subject_logits,
            object_logits=object_logits,
            subject_loss=subject_loss,
            object_loss=object_loss,
            last_hidden_state=states.hidden.transpose(1, 2),
            logits=subject_logits,
            hidden_states=tuple(collected) if collected else None,
        )


def _bce(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Logits and labels (R, L, S), mask (R, L, 1): sum over S, mean over the characters of all rows."""
    loss = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none")
    return (loss * mask).sum() / per_process(mask.sum())


def _check_subjects(subjects: Tensor, batch: int, length: int) -> None:
    if subjects.ndim != 2 or subjects.shape[1] != 3:
        raise ValueError(f"subjects must be (N, 3): text, first, last character; got {tuple(subjects.shape)}.")
    row, first, last = subjects.unbind(dim=1)
    wrong = (row < 0) | (row >= batch) | (first < 0) | (first > last) | (last >= length)
    if bool(wrong.any()):
        number = int(wrong.nonzero()[0])
        raise ValueError(
            f"subject {number} is {subjects[number].tolist()}: it must name one of {batch} texts and a span "
            f"first <= last of {length} characters."
        )


__all__ = ["DGCNNForTripleExtraction"]

"""Distill a large reader into a small one: its embeddings projected into fewer dimensions, its scores as soft labels.

Source: Hinton and others, "Distilling the Knowledge in a Neural Network" (1503.02531), at temperature 1; the principal
directions of the embeddings are those of an uncentred principal component analysis over all characters and words.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses_dgcnn import single
from .modeling_dgcnn import DGCNNForQuestionAnswering, DGCNNQuestionAnsweringOutput


@torch.no_grad()
def project_embeddings(student: DGCNNForQuestionAnswering, teacher: DGCNNForQuestionAnswering) -> float:
    """Give a student the embeddings of its teacher, projected on their principal directions, as many as it is wide.

    Args:
        student: is changed; at most as wide as the teacher.
        teacher: of the same characters, and words of the same width where the student has words.

    Returns:
        The share of the squared length of all vectors that is kept, 1 at equal widths.

    Raises:
        ValueError: for a wider student, or one of other characters or words.
    """
    to, of = student.dgcnn.embeddings, teacher.dgcnn.embeddings
    width, available = to.characters.embedding_dim, of.characters.embedding_dim
    if width > available:
        raise ValueError(f"a student {width} wide gets no embeddings from a teacher {available} wide: it is wider.")
    if (to.words is None) != (of.words is None):
        raise ValueError("one of student and teacher embeds words and the other does not: give both of them words.")
    vectors, tables = [of.characters.weight], [(to.characters.weight.shape[:1], of.characters.weight.shape[:1])]
    if to.words is not None and of.words is not None:
        vectors.append(of.word_projection(of.words.weight))
        tables.append((to.words.weight.shape, of.words.weight.shape))
    for mine, its in tables:
        if mine != its:
            raise ValueError(f"student and teacher have different embeddings: {list(mine)} here, {list(its)} there.")
    both = torch.cat(vectors).double()
    values, directions = torch.linalg.eigh(both.T @ both)  # ascending
    basis = torch.eye(available) if width == available else directions[:, -width:]
    basis = basis.to(of.characters.weight)  # (D of the teacher, D)
    to.characters.weight.copy_(of.characters.weight @ basis)
    if to.words is not None and of.words is not None:
        to.words.weight.copy_(of.words.weight)
        to.word_projection.weight.copy_(basis.T @ of.word_projection.weight)
    return float(values[-width:].sum() / values.sum())


def distillation_loss(student: DGCNNQuestionAnsweringOutput, teacher: DGCNNQuestionAnsweringOutput) -> Tensor:
    """Kullback-Leibler divergence from the teacher's softmax to the student's, of starts plus that of ends, mean over
    the windows, plus the cross entropy of answerability against the teacher's probability.

    Args:
        student: of a reader with `output="span"`.
        teacher: the same, for the same rows; where the student has read all of them twice, one batch after the other,
            for them once.
    """
    passes = len(student.start_logits) // len(teacher.start_logits)
    truth = single(teacher.answerability_logits).sigmoid().repeat(passes)
    loss = F.binary_cross_entropy_with_logits(single(student.answerability_logits), truth)
    for mine, its in ((student.start_logits, teacher.start_logits), (student.end_logits, teacher.end_logits)):
        target = single(its).log_softmax(-1).repeat(passes, 1)
        loss = loss + F.kl_div(single(mine).log_softmax(-1), target, reduction="batchmean", log_target=True)
    return loss


__all__ = ["distillation_loss", "project_embeddings"]

"""A student's first embeddings against the best projection of a singular value decomposition, and the loss of soft
labels against NumPy."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hf_kexue.dgcnn.configuration_dgcnn import DGCNNConfig
from hf_kexue.dgcnn.distillation_dgcnn import distillation_loss, project_embeddings
from hf_kexue.dgcnn.losses_dgcnn import MASKED_LOGIT
from hf_kexue.dgcnn.modeling_dgcnn import DGCNNForQuestionAnswering, DGCNNQuestionAnsweringOutput


def make_reader(size, seed=0, **options):
    torch.manual_seed(seed)
    words = {"word_vocab_size": 20, "word_embedding_size": 6}
    config = {"vocab_size": 30, "hidden_size": size, "dilations": (1,), "output": "span", "initializer_range": 0.5}
    return DGCNNForQuestionAnswering(DGCNNConfig(**(config | words | options))).eval()


def vectors(model):
    """What the embeddings give for every character and every word, (N, D)."""
    embeddings = model.dgcnn.embeddings
    found = [embeddings.characters.weight]
    if embeddings.words is not None:
        found.append(embeddings.word_projection(embeddings.words.weight))
    return torch.cat(found).detach()


@pytest.mark.parametrize("options", [{}, {"word_vocab_size": 0}], ids=["words", "characters alone"])
@pytest.mark.parametrize("size", [2, 5, 11])
def test_the_embeddings_are_the_best_projection(size, options):
    teacher, student = make_reader(12, **options), make_reader(size, seed=1, **options)
    share = project_embeddings(student, teacher)
    of_teacher, of_student = vectors(teacher).double(), vectors(student).double()
    left, values, _ = np.linalg.svd(of_teacher.numpy(), full_matrices=False)
    assert share == pytest.approx((values[:size] ** 2).sum() / (values**2).sum(), rel=1e-5)
    best = (left[:, :size] * values[:size]) @ (left[:, :size] * values[:size]).T  # inner products tell no rotation
    assert_close(of_student @ of_student.T, torch.from_numpy(best), rtol=1e-4, atol=1e-5)
    assert (student.dgcnn.embeddings.characters.weight[0] == 0).all()  # padding


def test_at_equal_width_they_are_the_teachers():
    teacher, student = make_reader(12), make_reader(12, seed=1)
    assert project_embeddings(student, teacher) == pytest.approx(1)
    assert_close(vectors(student), vectors(teacher))


@pytest.mark.parametrize(
    ("student", "message"),
    [
        ({"size": 13}, "13 .*12"),
        ({"size": 8, "word_vocab_size": 0}, "words"),
        ({"size": 8, "vocab_size": 31}, r"\[31\] here, \[30\] there"),
        ({"size": 8, "word_vocab_size": 21}, r"\[21, 6\] here, \[20, 6\] there"),
        ({"size": 8, "word_embedding_size": 5}, r"\[20, 5\] here, \[20, 6\] there"),
    ],
)
def test_other_embeddings_are_refused(student, message):
    model = make_reader(**student)
    before = vectors(model).clone()
    with pytest.raises(ValueError, match=message):
        project_embeddings(model, make_reader(12))
    assert_close(vectors(model), before, rtol=0, atol=0)


def make_output(seed, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    starts, ends = torch.randn(2, 3, 7, generator=random, dtype=torch.float64)
    starts[:, 5:] = ends[:, 5:] = MASKED_LOGIT
    whole = torch.randn(3, generator=random, dtype=torch.float64)
    return DGCNNQuestionAnsweringOutput(
        start_logits=starts.to(dtype), end_logits=ends.to(dtype), answerability_logits=whole.to(dtype)
    )


def by_numpy(student, teacher):
    total = 0.0
    for name in ("start_logits", "end_logits"):
        p, q = (np.exp(output[name].numpy()[:, :5]) for output in (teacher, student))
        p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
        total += (p * np.log(p / q)).sum() / 3
    p, q = (1 / (1 + np.exp(-output.answerability_logits.numpy())) for output in (teacher, student))
    return total - (p * np.log(q) + (1 - p) * np.log(1 - q)).mean()


def test_the_loss_is_a_divergence_and_a_cross_entropy():
    student, teacher = make_output(1), make_output(2)
    assert float(distillation_loss(student, teacher)) == pytest.approx(by_numpy(student, teacher), rel=1e-12)
    p = teacher.answerability_logits.sigmoid()
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).mean()
    assert float(distillation_loss(teacher, teacher)) == pytest.approx(float(entropy), rel=1e-12)


def test_at_the_teachers_scores_nothing_pulls():
    teacher, student = make_output(2), make_output(2)
    for name in ("start_logits", "end_logits", "answerability_logits"):
        student[name].requires_grad_()
    distillation_loss(student, teacher).backward()
    assert max(student[name].grad.abs().max() for name in student) < 1e-12


def test_half_precision_is_counted_in_float32():
    loss = distillation_loss(make_output(1, torch.bfloat16), make_output(2, torch.bfloat16))
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(by_numpy(make_output(1), make_output(2)), rel=0.05)

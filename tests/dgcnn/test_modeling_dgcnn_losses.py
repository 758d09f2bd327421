"""Scores and losses of the DGCNN reader against loops in float64, written from the articles and not from the model."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hf_kexue.dgcnn.configuration_dgcnn import DGCNNConfig
from hf_kexue.dgcnn.losses_dgcnn import span_loss, tagging_loss
from hf_kexue.dgcnn.modeling_dgcnn import DGCNNForQuestionAnswering

LENGTHS = (7, 5)  # characters of the two rows


def sigmoid(x):
    return 1 / (1 + np.exp(-np.maximum(x, -700.0)))  # no overflow


def random_tensor(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mask_of(lengths=LENGTHS):
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).double()[:, None]  # (B, 1, L)


@pytest.mark.parametrize("scale", [1, 10, 100, 1000])
def test_the_tagging_logit_is_that_of_the_product(scale):
    """Pointer and answerability are replaced by what they should score; the loop knows only p = p_global p_i."""
    model = DGCNNForQuestionAnswering(DGCNNConfig(vocab_size=30, hidden_size=4, dilations=(1,))).double().eval()
    a, b = scale * random_tensor(2, 2, 7), scale * random_tensor(2, 1, seed=1)
    model.pointer.register_forward_hook(lambda *_: a)
    model.pointer_question.register_forward_hook(lambda *_: torch.zeros(2, 2).double())
    model.answerability.register_forward_hook(lambda *_: b)
    states, question = model.encode_question(torch.ones(2, 3, dtype=torch.long))
    output = model(torch.ones(2, 7, dtype=torch.long), question_states=states, question_mask=question)
    assert_close(output.answerability_logits, b[:, 0], rtol=0, atol=0)
    for ours, tag in ((output.start_logits, 0), (output.end_logits, 1)):
        assert ours.isfinite().all()
        for row in range(2):
            for i in range(7):
                x, y = sorted((a[row, tag, i].item(), b[row, 0].item()))
                if x > -30 and x < 30:  # log p - log(1 - p), with 1 - p = 1 - p_i + p_i (1 - p_global) kept exact
                    p, q, not_p, not_q = sigmoid(x), sigmoid(y), sigmoid(-x), sigmoid(-y)
                    expected = math.log(p * q) - math.log(not_p + p * not_q)
                else:  # far out: the smaller decides, or both say no and their logits add up
                    expected = x + min(y, 0)
                assert ours[row, i].item() == pytest.approx(expected, rel=1e-9, abs=1 if abs(x) >= 30 else 1e-9)


def focal_by_loop(logits, labels, mask, alpha, gamma):
    total = 0.0
    for row, tag, i in np.ndindex(*logits.shape):
        p = sigmoid(logits[row, tag, i])
        if mask[row, 0, i]:
            positive = labels[row, tag, i] == 1
            weight = alpha * (1 - p) ** gamma if positive else (1 - alpha) * p**gamma
            total -= weight * math.log(p if positive else 1 - p)
    return total / mask.sum()


def bce_by_loop(logits, labels, mask, alpha, gamma):
    total = 0.0
    for row, tag, i in np.ndindex(*logits.shape):
        p = sigmoid(logits[row, tag, i])
        total -= mask[row, 0, i] * math.log(p if labels[row, tag, i] else 1 - p)
    return total / mask.sum()


def span_by_loop(logits, labels, mask, whole):
    spans, answers, answerability = 0.0, 0, 0.0
    for row, length in enumerate(LENGTHS):
        answer = labels[row].any(axis=1).all()
        p = sigmoid(whole[row])
        answerability -= math.log(p if answer else 1 - p)
        if answer:
            answers += 1
            for tag in (0, 1):
                mass = np.exp(logits[row, tag, :length])
                spans -= math.log(mass[labels[row, tag, :length] == 1].sum() / mass.sum())
    return spans / max(answers, 1) + answerability / len(LENGTHS)


def scores(places, seed=0):
    """Logits, labels at `places` (row, start or end, character), mask and answerability."""
    mask = mask_of()
    logits = (3 * random_tensor(2, 2, 7, seed=seed)).masked_fill(mask == 0, -1e4)
    labels = torch.zeros(2, 2, 7).double()
    for place in places:
        labels[place] = 1
    return logits, labels, mask, random_tensor(2, seed=seed + 1)


ANSWERS = {
    "both": [(0, 0, 1), (0, 1, 3), (1, 0, 4), (1, 1, 4)],
    "several in one": [(0, 0, 1), (0, 1, 3), (0, 0, 5), (0, 1, 6)],
    "none": [],
    "half": [(0, 0, 1), (0, 1, 3), (1, 0, 2)],
}


@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize(
    ("focal", "twin"), [((0.25, 2.0), focal_by_loop), ((0.6, 1.0), focal_by_loop), (None, bce_by_loop)]
)
def test_the_tagging_losses(answers, focal, twin):
    logits, labels, mask, _ = scores(ANSWERS[answers])
    expected = twin(logits.numpy(), labels.numpy(), mask.numpy(), *(focal or (0, 0)))
    assert tagging_loss(logits, labels, mask, focal).item() == pytest.approx(expected, rel=1e-10)


def test_the_focal_constants_are_those_of_the_article():
    """One character, p = 1/2 twice: .25 (1/2)^2 log 2 for the positive, .75 (1/2)^2 log 2 for the negative."""
    logits, mask = torch.zeros(1, 2, 1), torch.ones(1, 1, 1)
    labels = torch.tensor([[[1.0], [0.0]]])
    loss = tagging_loss(logits, labels, mask)
    assert loss.item() == pytest.approx((0.25 + 0.75) / 4 * math.log(2), rel=1e-6)
    loss = tagging_loss(logits, 1 + 0 * labels, mask)
    assert loss.item() == pytest.approx(2 * 0.25 / 4 * math.log(2), rel=1e-6)


@pytest.mark.parametrize("answers", ANSWERS)
def test_the_span_loss(answers):
    logits, labels, mask, whole = scores(ANSWERS[answers])
    expected = span_by_loop(logits.numpy(), labels.numpy(), mask.numpy(), whole.numpy())
    assert span_loss(logits, labels, whole).item() == pytest.approx(expected, rel=1e-10)


LOSSES = {
    "focal": lambda logits, labels, mask, whole: tagging_loss(logits, labels, mask),
    "bce": lambda logits, labels, mask, whole: tagging_loss(logits, labels, mask, focal=None),
    "span": lambda logits, labels, mask, whole: span_loss(logits, labels, whole),
}


@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_the_losses(answers, loss):
    logits, labels, mask, whole = scores(ANSWERS[answers])

    def of_the_passage(x, y):
        return LOSSES[loss](x.masked_fill(mask == 0, -1e4), labels, mask, y)

    assert torch.autograd.gradcheck(of_the_passage, (logits.clone().requires_grad_(), whole.requires_grad_()))


@pytest.mark.parametrize("value", [-1e4, -200.0, 200.0, 1e4])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_extreme_scores_are_finite_with_finite_gradients(loss, value):
    logits = torch.full((2, 2, 7), value, requires_grad=True)
    whole = torch.full((2,), value, requires_grad=True)
    _, labels, mask, _ = scores(ANSWERS["half"])
    result = LOSSES[loss](logits, labels.float(), mask.float(), whole)
    result.backward()
    assert result.isfinite()
    assert logits.grad.isfinite().all()
    assert whole.grad is None or whole.grad.isfinite().all()


def test_losses_of_half_precision_are_counted_in_float32():
    """600 characters: bfloat16 counts them in steps of four."""
    logits, labels = torch.zeros(1, 2, 601).bfloat16(), torch.zeros(1, 2, 601)
    loss = tagging_loss(logits, labels, torch.ones(1, 1, 601).bfloat16(), focal=None)
    assert loss.item() == pytest.approx(2 * math.log(2), rel=1e-6)

"""Losses of the DGCNN reader, for a sigmoid of each character and for a softmax over the window.

A mean over characters or answers is one over those of all processes of a training: DDP, FSDP and DeepSpeed average
gradients over processes, whose batches hold different numbers of them.

Shapes: B batch, L characters; the second dimension of logits and labels is start and end.

Source: kexue.fm/archives/6906 (focal loss).
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

MASKED_LOGIT = -1e4  # finite in float16 too; sigmoid and softmax of it are 0 in float32


def tagging_loss(
    logits: Tensor, labels: Tensor, mask: Tensor, focal: tuple[float, float] | None = (0.25, 2.0)
) -> Tensor:
    """Focal loss of archives/6906, or plain BCE, of p = p_global p_i; sum over characters / number of characters.

    Args:
        logits: (B, 2, L) of p.
        labels: (B, 2, L) in {0, 1}.
        mask: (B, 1, L).
        focal: alpha, the weight of the positives, where the negatives have 1 - alpha, and the exponent gamma; None:
            plain BCE.
    """
    logits = single(logits)
    labels = labels.to(logits.dtype)
    positive, negative = -F.logsigmoid(logits), -F.logsigmoid(-logits)  # -log p, -log (1 - p)
    if focal is not None:
        (alpha, gamma), probability = focal, logits.sigmoid()
        positive = alpha * (1 - probability) ** gamma * positive
        negative = (1 - alpha) * probability**gamma * negative
    loss = labels * positive + (1 - labels) * negative
    return (loss * mask).sum() / per_process(mask.float().sum())


def span_loss(logits: Tensor, labels: Tensor, answerability: Tensor) -> Tensor:
    """-log of the softmax mass on the labelled characters, start plus end, over the windows that hold an answer from
    its start to its end, plus the cross entropy of answerability over all windows.

    Args:
        logits: (B, 2, L), `MASKED_LOGIT` outside the passage.
        labels: (B, 2, L) in {0, 1}.
        answerability: (B,) logits.
    """
    logits, answerability = single(logits), single(answerability)
    answerable = labels.amax(dim=2).amin(dim=1).to(logits.dtype)  # (B,); an answer that the window cuts is none
    inside = logits.masked_fill(labels == 0, MASKED_LOGIT).logsumexp(-1)
    negative_log = (logits.logsumexp(-1) - inside).sum(dim=1)  # (B,)
    spans = (negative_log * answerable).sum() / per_process(answerable.sum())
    return spans + F.binary_cross_entropy_with_logits(answerability, answerable)


def span_labels(
    mask: Tensor,
    start_positions: Tensor | None,
    end_positions: Tensor | None,
    start_labels: Tensor | None,
    end_labels: Tensor | None,
) -> Tensor | None:
    """(B, 2, L) in {0, 1} from either form of labels, nothing outside the passage."""
    if (start_positions is None) != (end_positions is None) or (start_labels is None) != (end_labels is None):
        raise ValueError("labels come in pairs: start_positions with end_positions, start_labels with end_labels.")
    if start_labels is not None and end_labels is not None:
        return torch.stack([start_labels, end_labels], dim=1) * mask[:, None]
    if start_positions is None or end_positions is None:
        return None
    places = torch.stack([start_positions, end_positions], dim=1).unsqueeze(-1)  # (B, 2, 1)
    labels = (torch.arange(mask.shape[1], device=mask.device) == places) * mask[:, None]
    return labels * labels.amax(dim=2, keepdim=True).amin(dim=1, keepdim=True)


def per_process(count: Tensor) -> Tensor:
    """What a sum over a batch is to be divided by to be its part in a mean: the count, at least 1.

    Where several processes train, it is their mean count, so that the mean of the quotients over the processes is the
    sum over all of them by the count over all of them. All must call this as often; without gradients nobody waits.
    """
    if not (torch.is_grad_enabled() and dist.is_available() and dist.is_initialized()):
        return count.clamp(min=1)
    total = count.detach().clone()
    dist.all_reduce(total)
    return total.clamp(min=1) / dist.get_world_size()


def single(logits: Tensor) -> Tensor:
    """Half precision as float32; float64 stays."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))

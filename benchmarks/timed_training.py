"""Train a baseline for a given CPU time, with the same recipe for every baseline.

`train_for_seconds` ends its schedule with the time; `train_with_marks` has none, to be looked at on the way.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from hf_kexue.data.length_groups import LengthGroupedSampler

BATCH = 32


def endless_batches(
    dataset: Any, collator: Callable[[list[Any]], dict[str, Tensor]], lengths: Sequence[int] | None = None
) -> Iterator[dict[str, Tensor]]:
    """Endless shuffled batches from seed 0.

    Args:
        dataset: with `epoch` and `set_epoch`.
        collator: samples -> batch.
        lengths: of the samples, for batches of similar length; None: without a look at lengths.
    """
    sampler = None if lengths is None else LengthGroupedSampler(lengths, BATCH)
    loader = DataLoader(
        dataset, BATCH, shuffle=sampler is None, sampler=sampler, drop_last=True, collate_fn=collator,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    while True:
        yield from loader
        dataset.set_epoch(dataset.epoch + 1)
        if sampler is not None:
            sampler.set_epoch(dataset.epoch)


def train_for_seconds(
    model: nn.Module,
    loss_of: Callable[[dict[str, Tensor]], Tensor],
    batches: Iterator[dict[str, Tensor]],
    seconds: float,
    learning_rate: float,
    at_step: Callable[[float, int], None] | None = None,
) -> int:
    """AdamW with warm-up over the first 5 % and a cosine to zero; the model ends with its EMA weights.

    Args:
        model: whose parameters are trained.
        loss_of: a batch to a scalar loss.
        batches: the time to make them is excluded.
        seconds: of CPU time in training steps.
        learning_rate: peak.
        at_step: called before each step with the share of the time that is over, in [0, 1), and the number of steps
            so far; the time that it takes is excluded.

    Returns:
        The number of steps.
    """
    optimizer, ema = _optimizer(model, learning_rate)
    model.train()
    spent, steps = 0.0, 0
    bar = tqdm(total=round(seconds), desc=type(model).__name__, unit="s")
    while spent < seconds:
        batch = next(batches)
        place = spent / seconds
        if at_step is not None:
            at_step(place, steps)
        started = time.process_time()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1.0, place / 0.05 + 1e-3) * (1 + math.cos(math.pi * place)) / 2
        loss = _step(model, loss_of, batch, optimizer, ema)
        spent, steps = spent + time.process_time() - started, steps + 1
        bar.update(round(spent) - bar.n)
        bar.set_postfix(loss=f"{loss.item():.3f}")
    bar.close()
    ema.copy_to(model.parameters())
    return steps


def train_with_marks(
    model: nn.Module,
    loss_of: Callable[[dict[str, Tensor]], Tensor],
    batches: Iterator[dict[str, Tensor]],
    minutes: Sequence[float],
    learning_rate: float,
    at_mark: Callable[[float, int], None],
) -> None:
    """AdamW with warm-up over 100 steps, then at a constant rate; at each mark the model has its averaged weights.

    Args:
        model, loss_of, batches: as of `train_for_seconds`.
        minutes: of CPU time in training steps, the marks, ascending.
        learning_rate: after the warm-up.
        at_mark: called with the mark and the number of steps so far; the time that it takes is excluded.
    """
    optimizer, ema = _optimizer(model, learning_rate)
    model.train()
    spent, steps = 0.0, 0
    for mark in minutes:
        while spent < 60 * mark:
            batch = next(batches)
            started = time.process_time()
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * min(1.0, (steps + 1) / 100)
            _step(model, loss_of, batch, optimizer, ema)
            spent, steps = spent + time.process_time() - started, steps + 1
        ema.store(model.parameters())
        ema.copy_to(model.parameters())
        at_mark(mark, steps)
        ema.restore(model.parameters())


def _optimizer(model: nn.Module, learning_rate: float) -> tuple[torch.optim.Optimizer, Any]:
    """AdamW, and the average of the weights."""
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    return optimizer, EMAModel(model.parameters(), decay=0.998)


def _step(
    model: nn.Module, loss_of: Callable[[dict[str, Tensor]], Tensor], batch: dict[str, Tensor],
    optimizer: torch.optim.Optimizer, ema: Any,
) -> Tensor:  # fmt: skip
    """One step with the gradient cut at norm 1; returns the loss."""
    loss = loss_of(batch)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    ema.step(model.parameters())
    return loss

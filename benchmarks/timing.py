"""Alternating measurements: other load on the machine affects all candidates equally."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch


def best_seconds(
    steps: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1, device: str = "cpu"
) -> dict[str, float]:
    """The shortest time of each step, in seconds, since other load only makes a step slower.

    Args:
        steps: functions by name, called in turn.
        rounds: to measure.
        warm_up: rounds before them.
        device: of the steps; a GPU is synchronised before the clock is read.
    """
    best = dict.fromkeys(steps, float("inf"))
    for number in range(warm_up + rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            if device == "cuda":
                torch.cuda.synchronize()
            if number >= warm_up:
                best[name] = min(best[name], time.perf_counter() - started)
    return best

"""Weights that FSDP2 has split over the processes: gathered, averaged, and in a full copy that evaluates and is saved.

FSDP2 turns parameters into `DTensor`s, of which each process holds a part. Gathering them is a collective:
all processes must call it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from .checkpoints import full_copy
from .state import ema_weights, trainable


def split_like(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor on the device and in the parts of another."""
    tensor = tensor.to(like.device)
    if not hasattr(like, "full_tensor"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, like.device_mesh, like.placements)  # type: ignore[attr-defined]


def keep_first_row(parameter: nn.Parameter) -> None:
    """Give row 0 of a parameter a gradient of zero; a split one needs `zero_first_row` in each step instead."""
    if not hasattr(parameter, "full_tensor"):
        parameter.register_hook(lambda gradient: torch.cat([torch.zeros_like(gradient[:1]), gradient[1:]]))


def zero_first_row(parameter: Any) -> None:
    """Set row 0 of the gradient of a split parameter to zero, on the process that has it."""
    if hasattr(parameter, "full_tensor") and parameter.device_mesh.get_local_rank() == 0:  # rows are dealt in order
        parameter.grad.to_local()[0] = 0


class AveragedWeights(EMAModel):
    """Of the weights as they are, split or not; a state from a checkpoint is split alike.

    Args:
        parameters: of the prepared network, those that are trained.
        decay: final one; it ramps up as (1 + step) / (10 + step).
    """

    shadow_params: list[Tensor]

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        parameters = list(parameters)
        # Of the operations on many tensors at once not all know split ones.
        super().__init__(parameters, decay=decay, foreach=not any(hasattr(p, "full_tensor") for p in parameters))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        held = self.shadow_params
        super().load_state_dict(state_dict)
        self.shadow_params = [split_like(new, old) for new, old in zip(self.shadow_params, held)]


class EvaluationCopy:
    """The network that evaluates and is saved: the trained one itself, or with FSDP a full copy beside it.

    Args:
        accelerator: of the run.
        model: before it is prepared.
    """

    def __init__(self, accelerator: Any, model: nn.Module) -> None:
        split = str(accelerator.distributed_type).endswith("FSDP")
        self.network = copy.deepcopy(model).to(accelerator.device) if split else None
        self.step = -1

    @contextmanager
    def averaged(self, ema: EMAModel, trained: nn.Module, step: int) -> Iterator[nn.Module]:
        """The network in evaluation mode with the averaged weights of a step; with FSDP the first call at a step is
        one of all processes."""
        if self.network is None:
            with ema_weights(ema, trained) as network:
                yield network
            return
        if step != self.step:
            with torch.no_grad():
                for parameter, average in zip(trainable(self.network), ema.shadow_params, strict=True):
                    parameter.copy_(full_copy(average))
            self.step = step
        yield self.network.eval()

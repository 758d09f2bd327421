"""Weights sharded by FSDP2: gathering, EMA, and a full copy for evaluation and saving.

FSDP2 turns parameters into `DTensor`s, of which each process holds a shard. Gathering them is a collective, which all
processes must call.
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


def shard_like(tensor: Tensor, like: Tensor) -> Tensor:
    """Move a full tensor to the device of another and shard it likewise."""
    tensor = tensor.to(like.device)
    if not hasattr(like, "full_tensor"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, like.device_mesh, like.placements)  # type: ignore[attr-defined]


def keep_first_row(parameter: nn.Parameter) -> None:
    """Keep row 0 of a parameter fixed by a gradient hook; a sharded one needs `zero_first_row` in each step."""
    if not hasattr(parameter, "full_tensor"):
        parameter.register_hook(lambda gradient: torch.cat([torch.zeros_like(gradient[:1]), gradient[1:]]))


def zero_first_row(parameter: Any) -> None:
    """Set row 0 of the gradient of a sharded parameter to zero, on the process that holds it."""
    if hasattr(parameter, "full_tensor") and parameter.device_mesh.get_local_rank() == 0:  # rows are sharded in order
        parameter.grad.to_local()[0] = 0


class AveragedWeights(EMAModel):
    """EMA of weights, sharded or not; a state from a checkpoint is sharded likewise.

    Args:
        parameters: of the prepared network, those that are trained.
        decay: final one; it ramps up as (1 + step) / (10 + step).
    """

    shadow_params: list[Tensor]

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        parameters = list(parameters)
        # Not all foreach operations support sharded tensors.
        super().__init__(parameters, decay=decay, foreach=not any(hasattr(p, "full_tensor") for p in parameters))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        previous = self.shadow_params
        super().load_state_dict(state_dict)
        self.shadow_params = [shard_like(new, old) for new, old in zip(self.shadow_params, previous)]


class EvaluationCopy:
    """The network to evaluate and save: the trained one, or with FSDP a full copy.

    Args:
        accelerator: of the run.
        model: before preparation.
    """

    def __init__(self, accelerator: Any, model: nn.Module) -> None:
        split = str(accelerator.distributed_type).endswith("FSDP")
        self.network = copy.deepcopy(model).to(accelerator.device) if split else None
        self.step = -1

    @contextmanager
    def averaged(self, ema: EMAModel, trained: nn.Module, step: int) -> Iterator[nn.Module]:
        """The network in evaluation mode with the EMA weights of a step; with FSDP the first call at a step is a
        collective."""
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

"""What `SimpleDiffusionPipeline` asks of scheduler classes, and what some of diffusers need to follow a schedule.

The network is conditioned on logSNR, so that every class with a table of `alphas_cumprod` can serve it. Classes for
other processes (flow matching, EDM, inversion) and options that leave the table are refused before the first step.

Sources: kexue.fm archives/10047; the schedulers of diffusers.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddim_parallel import DDIMParallelScheduler
from diffusers.schedulers.scheduling_pndm import PNDMScheduler
from torch import Tensor

from .layers_uvit import LOGSNR_BOUND

# Their step goes down by `num_train_timesteps // num_inference_steps`, wherever the next timestep lies.
CONSTANT_STRIDE = (DDIMScheduler, DDIMParallelScheduler, PNDMScheduler)
PREDICTION_TYPES = ("epsilon", "sample", "v_prediction")
REFUSED_SIGMAS = {
    "use_beta_sigmas": "places nearly all steps where there is only noise",
    "use_flow_sigmas": "leaves the variance-preserving schedule that the network was trained with",
}


class Stride(int):
    """A number of inference steps by which `num_train_timesteps // steps` gives the stride that the step needs."""

    stride: int

    def __rfloordiv__(self, other: int) -> int:
        return self.stride


def check_scheduler(scheduler: Any) -> None:
    """Refuse schedulers that cannot drive a network which is conditioned on logSNR.

    Raises:
        ValueError: for a class without a table of noise levels or whose `step` needs more than the model output, and
            for options or prediction types that do not fit a variance-preserving schedule.
    """
    name, config = type(scheduler).__name__, scheduler.config
    if not hasattr(scheduler, "alphas_cumprod") and not hasattr(scheduler, "logsnr_at"):
        raise ValueError(
            f"{name} has no alphas_cumprod: it samples another process (flow matching, EDM) than the "
            "variance-preserving one of this network. Use a class of ShiftedCosineScheduler.compatibles."
        )
    for option, reason in REFUSED_SIGMAS.items():
        if config.get(option):
            raise ValueError(f"{name} with {option}=True {reason}; use use_karras_sigmas, or the schedule's own.")
    if config.get("prediction_type", "epsilon") not in PREDICTION_TYPES:
        raise ValueError(
            f"prediction_type {config.prediction_type!r} of {name} is not one of {', '.join(PREDICTION_TYPES)}."
        )
    parameters = list(inspect.signature(scheduler.step).parameters.values())
    required = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(required) > 3:
        raise ValueError(f"The step of {name} needs {', '.join(required[3:])}, which image generation does not have.")


def start_sampling(
    scheduler: Any, num_inference_steps: int, device: torch.device, generator: torch.Generator | list | None
) -> Tensor:
    """Set the timesteps and, where a class draws noise from a source of its own, seed that from `generator`.

    Args:
        scheduler: checked by `check_scheduler`.
        num_inference_steps: at least 1.
        device: of the timesteps.
        generator: of the call; one integer per generator is drawn for DPMSolverSDEScheduler.

    Returns:
        The timesteps of the loop, descending.

    Raises:
        ValueError: if the timesteps ascend, or the class cannot start from the schedule's noise level.
    """
    name = type(scheduler).__name__
    scheduler.set_timesteps(num_inference_steps, device=device)
    if hasattr(scheduler, "set_begin_index"):  # Karras sigmas round to equal timesteps: a search would miss
        scheduler.set_begin_index(0)
    timesteps = scheduler.timesteps
    if isinstance(scheduler, CONSTANT_STRIDE):  # rounding in their arange may append a timestep -1
        timesteps = timesteps[timesteps >= 0]
    if timesteps[0] < timesteps[-1]:
        raise ValueError(f"{name} goes from images to noise; sampling needs the other direction.")
    sigmas = torch.as_tensor(getattr(scheduler, "sigmas", 0.0))
    divides = isinstance(scheduler, PNDMScheduler) and scheduler.alphas_cumprod[-1] == 0
    if divides or not sigmas.isfinite().all():
        raise ValueError(
            f"{name} cannot start at zero terminal SNR: it divides by the signal there. Use a class that knows "
            "rescale_betas_zero_snr (DDIM, DDPM, DPMSolverMultistep, Euler, UniPC), or a schedule without it."
        )
    if hasattr(scheduler, "noise_sampler_seed"):
        single = generator[0] if isinstance(generator, list) and len(generator) == 1 else generator
        if single is None:
            seed: Any = scheduler.config.get("noise_sampler_seed")
        elif isinstance(single, list):
            seed = [_integer(one) for one in single]
        else:
            seed = _integer(single)
        scheduler.noise_sampler_seed = seed
    return timesteps


def set_stride(scheduler: Any, timesteps: Tensor, index: int) -> None:
    """Let the step at `timesteps[index]` of a class with a constant stride end at the next timestep of the loop."""
    if not isinstance(scheduler, CONSTANT_STRIDE) or not scheduler.config.get("skip_prk_steps", True):
        return
    here = int(timesteps[index])
    below = int(timesteps[index + 1]) if index + 1 < len(timesteps) else -1
    steps = Stride(scheduler.num_inference_steps)
    # PNDM visits its second timestep twice and then repeats the stride above it.
    steps.stride = here - below or int(timesteps[index - 1]) - here
    scheduler.num_inference_steps = steps


def logsnr_of(scheduler: Any, timestep: Tensor) -> Tensor:
    """logSNR at a timestep, integer or (Karras sigmas) fractional, from whatever scheduler is plugged in.

    Returns:
        Scalar float32 in [-30, 30]: zero terminal SNR is clamped as the network clamps it.
    """
    if hasattr(scheduler, "logsnr_at"):
        logsnr: Tensor = scheduler.logsnr_at(timestep.long()).float()
        return logsnr.clamp(-LOGSNR_BOUND, LOGSNR_BOUND)
    alphas_cumprod = scheduler.alphas_cumprod.double().cpu()
    table = torch.log(alphas_cumprod) - torch.log1p(-alphas_cumprod)
    table = table.clamp(-LOGSNR_BOUND, LOGSNR_BOUND)  # an infinite end would make the interpolation NaN
    position = timestep.double().cpu().clamp(0, len(table) - 1)
    low = position.floor().long().clamp(max=len(table) - 2)
    return torch.lerp(table[low], table[low + 1], position - low).float()


def _integer(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))

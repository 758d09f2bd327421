"""What `SimpleDiffusionPipeline` asks of scheduler classes, and what some of diffusers need to follow a schedule.

The network is conditioned on logSNR, so that every class with a table of `alphas_cumprod` can serve it, and those of
flow matching, whose x_t is the same image on another scale (`conversions_flow`). Classes for other processes (EDM,
inversion) and options that leave the schedule are refused before the first step.

Sources: kexue.fm archives/10047; the schedulers of diffusers.
"""

from __future__ import annotations

import inspect
import math
from numbers import Integral
from typing import Any

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddim_parallel import DDIMParallelScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_flow_match_heun_discrete import FlowMatchHeunDiscreteScheduler
from diffusers.schedulers.scheduling_pndm import PNDMScheduler
from torch import Tensor

from .checks_simple_diffusion import require
from .conversions_flow import variance_preserving_from_flow
from .guidance_simple_diffusion import predict_sample
from .layers_uvit import LOGSNR_BOUND
from .scheduling_shifted_cosine import ShiftedCosineScheduler
from .scheduling_shifted_flow import NETWORK_PREDICTIONS, ShiftedFlowScheduler

# Their step goes down by `num_train_timesteps // num_inference_steps`, wherever the next timestep lies.
CONSTANT_STRIDE = (DDIMScheduler, DDIMParallelScheduler, PNDMScheduler)
PREDICTION_TYPES = ("epsilon", "sample", "v_prediction")
REPEATABLE = (
    ShiftedCosineScheduler, ShiftedFlowScheduler, DDIMScheduler, DDIMParallelScheduler, DDPMScheduler,
)  # fmt: skip
FLOW_MATCHING = (FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler)


class Stride(int):
    """A number of inference steps by which `num_train_timesteps // steps` gives the stride that the step needs."""

    stride: int

    def __rfloordiv__(self, other: int) -> int:
        return self.stride


def check_scheduler(scheduler: Any, expected: str | None = None) -> None:
    """Refuse schedulers that cannot drive a network which is conditioned on logSNR.

    Args:
        scheduler: of the call.
        expected: what the network returns, where that is known.

    Raises:
        ValueError: for a class without a table of noise levels or whose `step` needs more than the model output, and
            for options or prediction types that do not fit a variance-preserving schedule.
    """
    name, config = type(scheduler).__name__, scheduler.config
    if not is_flow(scheduler) and not hasattr(scheduler, "alphas_cumprod") and not hasattr(scheduler, "logsnr_at"):
        raise ValueError(
            f"{name} has no alphas_cumprod: it samples another process (EDM) than those of this network. Use a class "
            "of ShiftedCosineScheduler.compatibles or ShiftedFlowScheduler.compatibles."
        )
    if config.get("use_beta_sigmas"):
        raise ValueError(
            f"{name} with use_beta_sigmas=True places nearly all steps where there is only noise; use "
            "use_karras_sigmas, or the schedule's own."
        )
    if is_flow(scheduler) and "network_prediction_type" not in config:
        raise ValueError(
            f"The config of {name} does not say what the network returns (network_prediction_type): make it by "
            f"{name}.from_config(ShiftedFlowScheduler.from_config(pipe.scheduler.config).config)."
        )
    kinds = NETWORK_PREDICTIONS if is_flow(scheduler) else PREDICTION_TYPES
    if network_prediction(scheduler) not in kinds:
        raise ValueError(
            f"prediction_type {network_prediction(scheduler)!r} of {name} is not one of {', '.join(kinds)}."
        )
    if expected not in (None, network_prediction(scheduler)):
        raise ValueError(
            f"{name} takes the network's output as {network_prediction(scheduler)!r}, but the scheduler that this "
            f"pipeline was made with as {expected!r}; make the new one by from_config of the old one's config."
        )
    parameters = list(inspect.signature(scheduler.step).parameters.values())
    required = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(required) > 3:
        raise ValueError(f"The step of {name} needs {', '.join(required[3:])}, which image generation does not have.")


def check_prediction(network: Any, scheduler: Any) -> None:
    """Refuse a network that says what it predicts under a scheduler that takes it as something else.

    Raises:
        ValueError: if they disagree.
    """
    kind = None if network is None else network.config.get("prediction_type")
    if kind not in (None, network_prediction(scheduler)):
        raise ValueError(
            f"The network predicts {kind!r}, but {type(scheduler).__name__} takes its output as "
            f"{network_prediction(scheduler)!r}; make the scheduler with that kind (prediction_type, of a flow "
            "network_prediction_type)."
        )


def check_size(stride: int, **sides: int | None) -> None:
    """Refuse a height or width that the network's stride does not divide; None is not given.

    Raises:
        ValueError: if one is not a positive multiple.
    """
    for name, side in sides.items():
        if side is not None and (not isinstance(side, Integral) or side < 1 or side % stride):
            raise ValueError(f"{name} is {side!r}; positive multiples of {stride} are needed, the network's stride.")


def is_flow(scheduler: Any) -> bool:
    """Whether x_t of a scheduler is (1 - t) x_0 + t noise."""
    classes = (ShiftedFlowScheduler, *FLOW_MATCHING)
    return isinstance(scheduler, classes) or bool(scheduler.config.get("use_flow_sigmas"))


def network_prediction(scheduler: Any) -> str:
    """What the network returns under this scheduler."""
    key = "network_prediction_type" if is_flow(scheduler) else "prediction_type"
    kind: str = scheduler.config.get(key, "epsilon")
    return kind


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
    if isinstance(scheduler, FLOW_MATCHING):
        set_flow_timesteps(scheduler, num_inference_steps, device)
    else:
        scheduler.set_timesteps(num_inference_steps, device=device)
    if hasattr(scheduler, "set_begin_index"):  # Karras sigmas round to equal timesteps: a search would miss
        scheduler.set_begin_index(0)
    timesteps = scheduler.timesteps
    if isinstance(scheduler, CONSTANT_STRIDE):  # rounding in their arange may append a timestep -1
        timesteps = timesteps[timesteps >= 0]
    if timesteps[0] < timesteps[-1]:
        raise ValueError(f"{name} goes from images to noise; sampling needs the other direction.")
    sigmas = torch.as_tensor(getattr(scheduler, "sigmas", 0.0))
    ends = not is_flow(scheduler) or float(sigmas[-1]) == 0.0
    require(ends, f"{name} stops at the noise of its last step; use a class of ShiftedFlowScheduler.compatibles.")
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


def set_flow_timesteps(scheduler: Any, num_inference_steps: int, device: str | torch.device | None = None) -> None:
    """`set_timesteps` of FlowMatchEuler or FlowMatchHeun, with sigmas that are shifted once: evenly spaced in u.

    Both derive the lowest time of the loop from the sigmas of their constructor, which are shifted already, and shift
    it again. Here their range is unshifted, and ends one step above zero.

    Args:
        scheduler: of one of the two classes; with its `shift`.
        num_inference_steps: n.
        device: of the timesteps.
    """
    scheduler.sigma_max, scheduler.sigma_min = 1.0, 1.0 / num_inference_steps
    scheduler.set_timesteps(num_inference_steps, device=device)


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


def logsnr_of(scheduler: Any, timestep: Tensor, index: int = 0) -> Tensor:
    """logSNR at a timestep, integer or (Karras sigmas) fractional, from whatever scheduler is plugged in.

    Args:
        scheduler: checked by `check_scheduler`, and started.
        timestep: one of the loop.
        index: its place in the loop; flow classes keep rounded timesteps, but exact sigmas.

    Returns:
        Scalar float32 in [-30, 30]: zero terminal SNR is clamped as the network clamps it; of the flow, not below
        where `ShiftedFlowScheduler` starts.
    """
    if is_flow(scheduler):
        t = scheduler.sigmas[index].double().cpu()
        shift = 2.0 * math.log(scheduler.config.get("shift") or scheduler.config.get("flow_shift") or 1.0)
        lowest = max(-LOGSNR_BOUND, scheduler.config.get("logsnr_min", -LOGSNR_BOUND) - shift)
        return (2.0 * (torch.log1p(-t) - torch.log(t))).clamp(lowest, LOGSNR_BOUND).float()
    if hasattr(scheduler, "logsnr_at"):
        logsnr: Tensor = scheduler.logsnr_at(timestep.long()).float()
        return logsnr.clamp(-LOGSNR_BOUND, LOGSNR_BOUND)
    alphas_cumprod = scheduler.alphas_cumprod.double().cpu()
    table = torch.log(alphas_cumprod) - torch.log1p(-alphas_cumprod)
    table = table.clamp(-LOGSNR_BOUND, LOGSNR_BOUND)  # an infinite end would make the interpolation NaN
    position = timestep.double().cpu().clamp(0, len(table) - 1)
    low = position.floor().long().clamp(max=len(table) - 2)
    return torch.lerp(table[low], table[low + 1], position - low).float()


def network_input(scheduler: Any, x_t: Tensor, timestep: Tensor, logsnr: Tensor) -> Tensor:
    """x_t of the scheduler on the scale that the network knows, that of variance-preserving noise.

    Variance-exploding classes hand over x_t / sqrt(alphas_cumprod), which their own scaling brings back.
    """
    x: Tensor = scheduler.scale_model_input(x_t, timestep) if hasattr(scheduler, "scale_model_input") else x_t
    return variance_preserving_from_flow(x, logsnr) if is_flow(scheduler) else x


def scheduler_sample(scheduler: Any, x_vp: Tensor, timestep: Tensor, logsnr: Tensor) -> Tensor:
    """The inverse of `network_input`: x_t of the scheduler from that of variance-preserving noise."""
    one = torch.ones((1, 1, 1, 1), device=x_vp.device)
    return x_vp / network_input(scheduler, one, timestep, logsnr)


def begin_later(scheduler: Any, timesteps: Tensor, strength: float) -> int:
    """Leave out the first steps of a loop, to begin with a picture under noise.

    Args:
        scheduler: that `start_sampling` has started.
        timesteps: of it.
        strength: share of the steps to do, from 0 (none) to 1 (all); above 0 at least one.

    Returns:
        Place in the loop of the first step to do.

    Raises:
        ValueError: for PNDM, whose first steps differ from the others.
    """
    order = scheduler.order
    total = (len(timesteps) + order - 1) // order
    steps = max(1, round(strength * total)) if strength > 0 else 0
    first = min((total - steps) * order, len(timesteps))
    if first and isinstance(scheduler, PNDMScheduler):
        raise ValueError("PNDMScheduler cannot begin within its steps (strength below 1): its first ones differ.")
    if first < len(timesteps) and hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    return first


def check_repeatable(scheduler: Any) -> None:
    """Refuse to resample with a scheduler that remembers its steps, and so cannot do one twice.

    Raises:
        ValueError: naming those that can.
    """
    if not isinstance(scheduler, REPEATABLE) or scheduler.config.get("solver") == "heun":
        known = ", ".join(cls.__name__ for cls in REPEATABLE)
        raise ValueError(
            f"{type(scheduler).__name__} remembers its last steps and cannot do one twice: leave resampling at 1, or "
            f"use one of {known} (not with the solver heun)."
        )


def output_for_step(scheduler: Any, output: Tensor, x_vp: Tensor, x_t: Tensor, logsnr: Tensor, index: int) -> Tensor:
    """The output of the network as the kind that the `step` of the scheduler takes.

    Args:
        scheduler: its network returns `network_prediction(scheduler)`.
        output, x_vp: of the network, and its input.
        x_t: of the scheduler.
        logsnr: of both.
        index: place in the loop.
    """
    if not is_flow(scheduler):
        return output
    x_0 = predict_sample(output, x_vp, logsnr, network_prediction(scheduler))
    kind = "flow_prediction" if isinstance(scheduler, FLOW_MATCHING) else scheduler.config["prediction_type"]
    t = scheduler.sigmas[index].to(x_t)
    if kind == "sample":
        return x_0
    return (x_t - x_0) / t if kind == "flow_prediction" else (x_t - (1 - t) * x_0) / t


def _integer(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))

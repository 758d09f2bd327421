"""One step of sampling: network, what is known of the picture, scheduler.

Shapes: B batch, C channels, H W rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from .checks_simple_diffusion import require, require_one_of
from .editing_simple_diffusion import (
    Method,
    brought_back,
    gradient_shift,
    noised,
    output_shift,
    projection_shift,
    replaced,
)
from .guidance_simple_diffusion import in_interval, output_from_sample, predict_sample, upsample_guidance
from .observations_simple_diffusion import Observation
from .schedulers_simple_diffusion import (
    logsnr_of,
    network_input,
    network_prediction,
    output_for_step,
    scheduler_sample,
    set_stride,
)

Generators = torch.Generator | list[torch.Generator] | None


class Upsampling(NamedTuple):
    """Steering by the prediction at the trained size, see `upsample_guidance`."""

    factor: int = 1
    scale: float = 1.2
    interval: tuple[float, float] | None = (-float("inf"), 0.0)


NO_UPSAMPLING = Upsampling()


@dataclass(frozen=True)
class Known:
    """What is known of the pictures, and how it is kept; see `editing_simple_diffusion`.

    Args:
        observation: of the batch.
        method: "replacement", "projection" or "gradient".
        resampling: how often each step but the last is done.
        iterations: of the gradient, each a backward pass of the network.
    """

    observation: Observation
    method: Method
    resampling: int
    iterations: int

    def __post_init__(self) -> None:
        require_one_of("method", self.method, ("replacement", "projection", "gradient"))
        for name in ("resampling", "iterations"):
            value = getattr(self, name)
            whole = isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1
            require(whole, f"{name} is {value!r}; a whole number of at least 1 is needed.")


@dataclass
class SamplingLoop:
    """The steps of a call.

    Args:
        scheduler: that `start_sampling` has started.
        timesteps: of the loop.
        predict: (x_t of variance-preserving noise, logsnr) -> guided output of the network, float32.
        unguided: the same without guidance.
        step_options: of `scheduler.step`.
        generator: of the noise.
        upsampling: off at a factor of 1.
        known: what is known of the pictures; None where nothing is.
        noise_copy: of a copy of `generator`, from its state before anything was drawn: noise of the known part. The
            copy reads the same numbers again, each at the pixels where the loop itself discards them.
    """

    scheduler: Any
    timesteps: Tensor
    predict: Callable[[Tensor, Tensor], Tensor]
    unguided: Callable[[Tensor, Tensor], Tensor]
    step_options: dict[str, Any]
    generator: Generators = None
    upsampling: Upsampling = NO_UPSAMPLING
    known: Known | None = None
    noise_copy: Generators = None

    def begun(self, noise: Tensor, first: int, picture: Tensor | None = None) -> Tensor:
        """x_t of the scheduler where sampling begins; its arithmetic stays in float32, since sigma-space schedulers
        start at sigmas in the thousands.

        Args:
            noise (B, C, H, W): of unit variance.
            first: step; 0 begins with noise alone.
            picture (B, C, H, W): in [-1, 1], under the noise of a later step.
        """
        if picture is None or first == 0:
            return noise * getattr(self.scheduler, "init_noise_sigma", 1.0)
        t, logsnr = self.timesteps[first], logsnr_of(self.scheduler, self.timesteps[first], first)
        return scheduler_sample(self.scheduler, noised(picture, noise, logsnr), t, logsnr)

    def step(self, latents: Tensor, index: int) -> Tensor:
        """x_t of the scheduler at `timesteps[index]` -> x_s at the next one, (B, C, H, W) float32."""
        t, logsnr = self.timesteps[index], logsnr_of(self.scheduler, self.timesteps[index], index)
        resampled = self.known is not None and index + 1 < len(self.timesteps)
        visits = self.known.resampling if self.known is not None and resampled else 1
        for visit in range(visits):
            set_stride(self.scheduler, self.timesteps, index)
            latents = self._with_known_part(latents, t, logsnr)
            x_vp = network_input(self.scheduler, latents, t, logsnr)
            output = output_for_step(self.scheduler, self._output(x_vp, logsnr), x_vp, latents, logsnr, index)
            latents = self.scheduler.step(output, t, latents, **self.step_options).prev_sample
            if visit + 1 < visits:
                latents = self._back(latents, index)
        return latents

    def _with_known_part(self, latents: Tensor, t: Tensor, logsnr: Tensor) -> Tensor:
        if self.known is None or self.known.method != "replacement":
            return latents
        noise = randn_tensor(latents.shape, self.noise_copy, latents.device, latents.dtype)
        x_vp = network_input(self.scheduler, latents, t, logsnr)
        difference = replaced(x_vp, noise, logsnr, self.known.observation) - x_vp
        return latents + scheduler_sample(self.scheduler, difference, t, logsnr)

    def _output(self, x_vp: Tensor, logsnr: Tensor) -> Tensor:
        """Output of the network for x_t of variance-preserving noise, after guidance and with what is known."""
        prediction_type, known = network_prediction(self.scheduler), self.known
        if self.upsampling.factor > 1 and in_interval(float(logsnr), self.upsampling.interval):
            x_0 = upsample_guidance(self._denoise, x_vp, logsnr, self.upsampling.factor, self.upsampling.scale)
            return output_from_sample(x_0, x_vp, logsnr, prediction_type)
        if known is None or known.method == "replacement":
            return self.predict(x_vp, logsnr)
        output = self.predict(x_vp, logsnr)
        x_0 = predict_sample(output, x_vp, logsnr, prediction_type)
        if known.method == "projection":
            shift = projection_shift(x_0, known.observation)
        else:  # guidance makes x_0 no mean of pictures: the covariance is that of the network without it
            with torch.enable_grad():
                leaf = x_vp.detach().requires_grad_()
                unguided = predict_sample(self.unguided(leaf, logsnr), leaf, logsnr, prediction_type)
            shift = gradient_shift(x_0, unguided, leaf, known.observation, known.iterations)
        return output + output_shift(shift, logsnr, prediction_type)

    def _denoise(self, x_vp: Tensor, logsnr: Tensor) -> Tensor:
        x_0 = predict_sample(self.predict(x_vp, logsnr), x_vp, logsnr, network_prediction(self.scheduler))
        return x_0.clamp(-1, 1) if self.scheduler.config.get("clip_sample") else x_0

    def _back(self, latents: Tensor, index: int) -> Tensor:
        """x_s after the step of `index` -> x_t before it, with new noise."""
        s, t = self.timesteps[index + 1], self.timesteps[index]
        logsnr_s, logsnr_t = logsnr_of(self.scheduler, s, index + 1), logsnr_of(self.scheduler, t, index)
        noise = randn_tensor(latents.shape, self.generator, latents.device, latents.dtype)
        x_vp = brought_back(network_input(self.scheduler, latents, s, logsnr_s), noise, logsnr_s, logsnr_t)
        return scheduler_sample(self.scheduler, x_vp, t, logsnr_t)


def copied(generator: Generators, device: torch.device) -> Generators:
    """A generator, or each of a list, that gives the same numbers once more; of None, the global one of the device."""
    if isinstance(generator, list):
        return [one.clone_state() for one in generator]
    if generator is None:
        index = device.index if device.index is not None else 0
        generator = torch.cuda.default_generators[index] if device.type == "cuda" else torch.default_generator
    return generator.clone_state()

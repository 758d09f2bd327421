"""The straight path of flow matching, shifted to the resolution of the image, as a diffusers scheduler.

Mean-pooling over k x k pixels divides the variance of independent noise by k**2, so that a large image needs a logSNR
that is lower by 2 log k. `ShiftedCosineScheduler` moves a cosine by that; on the straight path it is the `shift` of
flow matching:

    x_t = (1 - t) x_0 + t noise,   t = k u / (1 + (k - 1) u),   k = sample_size / base_size,   u in [0, 1]    (1)
    logsnr(u) = 2 log((1 - t) / t)                                                                           (2)

Sources: archives/10047; arXiv 2403.03206 (shift of time); arXiv 2209.03003 (straight path).
Legend: B batch, N num_train_timesteps, t the share of the noise that a step leaves, s the lower one it reaches.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.schedulers.scheduling_ddim import DDIMSchedulerOutput
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from .checks_simple_diffusion import require, require_one_of, require_positive, require_shape
from .configs_flow import flow_arguments
from .curve_shifted_cosine import alpha_sigma_of, working_dtype
from .curve_shifted_flow import ShiftedFlowCurve
from .typed_config import registered

PREDICTIONS = ("flow_prediction", "epsilon", "sample")
NETWORK_PREDICTIONS = (*PREDICTIONS, "v_prediction")


class ShiftedFlowScheduler(SchedulerMixin, ConfigMixin):
    """Flow matching whose shift follows the image size, with Euler, Heun and ancestral sampling.

    Timesteps are N t, as those of the flow classes of diffusers: floating point, N pure noise, 0 the image.

    Args:
        num_train_timesteps: N.
        sample_size: Side of the image in pixels; of an image that is not square, the root of its number of pixels.
        base_size: Image side at which the unshifted path is right. One number: the shift of flow matching is one.
        logsnr_min: Before the shift. Sampling starts here instead of at -inf, where logSNR of a network's input
            would not be a number. The curve itself is not clipped.
        prediction_type: What `step` takes: noise - x_0 ("flow_prediction"), the noise, or the clean sample.
        network_prediction_type: What the network returns, if that is not `prediction_type`; also "v_prediction", v =
            alpha noise - sigma x_0 of a variance-preserving schedule. `SimpleDiffusionPipeline` converts.
        solver: "euler"; "heun", which evaluates the network twice in every step but the last; or "ancestral", which
            draws new noise.
        variance_gamma: Weight in [0, 1] of the upper bound in the ancestral log-variance.
        clip_sample: Clip the predicted clean sample to +-`clip_sample_range`.
        clip_sample_range: Positive bound for `clip_sample`.

    Raises:
        ValueError: If an argument is out of range.

    Relations: a step of Euler equals a step of DDIM, and an ancestral one that of `ShiftedCosineScheduler`, between
    the same two logSNR, on the scale of x_t / (alpha + sigma). `Other.from_config(scheduler.config)` gives the same
    shift to FlowMatchEuler, FlowMatchHeun, DPMSolverMultistep, DPMSolverSinglestep and UniPCMultistep. The first two
    shift the lowest of their times a second time; `set_flow_timesteps` prevents that. DEIS and SASolver of diffusers
    stop at the noise of their last step.

    Source: archives/10047; arXiv 2403.03206.
    """

    _compatibles = [  # noqa: RUF012 - the form diffusers reads
        *("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler", "DPMSolverMultistepScheduler"),
        *("DPMSolverSinglestepScheduler", "UniPCMultistepScheduler"),
    ]

    if TYPE_CHECKING:  # inherited, and without types there

        @classmethod
        def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self: ...

    @registered
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        sample_size: float = 64,
        base_size: float = 64,
        logsnr_min: float = -15.0,
        prediction_type: Literal["flow_prediction", "epsilon", "sample"] = "flow_prediction",
        network_prediction_type: Literal["flow_prediction", "epsilon", "sample", "v_prediction"] | None = None,
        solver: Literal["euler", "heun", "ancestral"] = "euler",
        variance_gamma: float = 0.3,
        clip_sample: bool = True,
        clip_sample_range: float = 1.0,
    ) -> None:
        require_positive("num_train_timesteps", num_train_timesteps, whole=True)
        require_positive("sample_size", sample_size)
        require_positive("base_size", base_size)
        require_positive("clip_sample_range", clip_sample_range)
        require(-100.0 <= logsnr_min < 0.0, f"logsnr_min is {logsnr_min}; -100 <= logsnr_min < 0 is needed.")
        require(0.0 <= variance_gamma <= 1.0, f"variance_gamma is {variance_gamma}; it must lie in [0, 1].")
        require_one_of("prediction_type", prediction_type, PREDICTIONS)
        require_one_of("network_prediction_type", network_prediction_type or prediction_type, NETWORK_PREDICTIONS)
        require_one_of("solver", solver, ("euler", "heun", "ancestral"))

        shift = sample_size / base_size
        self._curve = ShiftedFlowCurve(shift)
        self.order = 2 if solver == "heun" else 1
        self.init_noise_sigma = 1.0
        self.num_inference_steps: int | None = None
        self._set_times(torch.arange(num_train_timesteps, 0, -1, dtype=torch.float64) / num_train_timesteps)

        # What the classes of diffusers read; the solvers for both kinds of schedules also need to know which it is.
        self.register_to_config(
            shift=shift, flow_shift=shift, use_flow_sigmas=True, final_sigmas_type="zero",
            network_prediction_type=network_prediction_type or prediction_type,
        )  # fmt: skip

    def register_to_config(self, **kwargs: Any) -> None:
        """Every key travels: diffusers' `from_config` forgets those that "_use_default_values" names."""
        kwargs.pop("_use_default_values", None)
        super().register_to_config(**kwargs)

    @classmethod
    def from_config(cls, config: Any = None, return_unused_kwargs: bool = False, **kwargs: Any) -> Any:
        """Build from the config of this class, of a flow class of diffusers, or of `ShiftedCosineScheduler`.

        Of diffusers' the `shift` (`flow_shift`) is read, as sample_size = shift base_size; of the cosine the sizes
        and the prediction of the network. Keywords win, see diffusers' `ConfigMixin.from_config`.

        Raises:
            ValueError: for a shift that is decided at each call, or that the sizes of the same config contradict, and
                for a variance-preserving schedule without sizes.
        """
        if isinstance(config, dict):
            config = flow_arguments(config, kwargs.keys())
        return super().from_config(config, return_unused_kwargs, **kwargs)

    @property
    def shift(self) -> float:
        """k of eq. (1)."""
        return self._curve.shift

    def logsnr(self, u: float | Tensor) -> Tensor:
        """Eq. (2) at times u in [0, 1] of any shape (0 clean, 1 noise): finite inside, -inf at 1 and inf at 0.

        Returns:
            Same shape, device and dtype, computed in float64; float64 if u is a number.

        Raises:
            ValueError: If u leaves [0, 1] (seen on the CPU only: elsewhere the check would wait for the device in
                every training step).
        """
        return self._curve.logsnr(self._checked(u))

    def logsnr_slope(self, u: float | Tensor) -> Tensor:
        """-d logsnr / d u = 2 / (u (1 - u)). Arguments, result and errors as in `logsnr`."""
        return self._curve.slope(self._checked(u))

    @staticmethod
    def _checked(u: float | Tensor) -> Tensor:
        u = u if isinstance(u, Tensor) else torch.tensor(u, dtype=torch.float64)
        inside = u.device.type != "cpu" or bool(((u >= 0) & (u <= 1)).all())
        require(inside, "u must lie in [0, 1], where 0 is the clean image and 1 is noise; a value given does not.")
        return u

    def logsnr_at(self, timesteps: float | Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """logSNR at timesteps N t in [0, N], integer or not: what a network is conditioned on.

        Returns:
            Shape and device of `timesteps`; -inf at N, inf at 0.

        Raises:
            ValueError: If a timestep is out of range.
        """
        t = self._shares(timesteps)
        return (2.0 * (torch.log1p(-t) - torch.log(t))).to(dtype)

    def _shares(self, timesteps: float | Tensor) -> Tensor:
        """t = timesteps / N, float64 on the CPU."""
        steps, total = torch.as_tensor(timesteps), self.config["num_train_timesteps"]
        work = steps.double() if steps.device.type != "mps" else steps.float()
        inside = steps.device.type != "cpu" or bool(((work >= 0) & (work <= total)).all())
        require(inside, f"timesteps must lie in 0..{total}; {timesteps} was given.")
        return work / total

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The noisy sample x_t = (1 - t) x_0 + t noise, eq. (1).

        Args:
            original_samples: Clean samples (B, ...). Half precision is computed in float32.
            noise: Standard normal, same shape.
            timesteps: N t in [0, N], shape (B,), (1,) or ().

        Returns:
            Shape and dtype of the samples.

        Raises:
            ValueError: If the shapes do not match or a timestep is out of range.
        """
        require_shape("noise", noise, original_samples)
        t = self._shares(timesteps).flatten()
        fits = len(t) == 1 or original_samples.shape[:1] == t.shape
        require(
            fits, f"{len(t)} timesteps for samples of shape {tuple(original_samples.shape)}; give one or one each."
        )
        t = t.to(original_samples.device).view(-1, *[1] * (original_samples.ndim - 1))
        dtype = working_dtype(original_samples)
        signal, share = (1.0 - t).to(dtype), t.to(dtype)
        return (signal * original_samples.to(dtype) + share * noise.to(dtype)).to(original_samples.dtype)

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The target of "flow_prediction", noise - sample at every time; arguments as in `add_noise`."""
        require_shape("noise", noise, sample)
        return noise.to(sample) - sample

    def scale_model_input(self, sample: Tensor, timestep: float | Tensor | None = None) -> Tensor:
        """The sample itself."""
        return sample

    def _set_times(self, times: Tensor) -> None:
        """u (n,) descending -> t, timesteps, and sigmas with a zero at their end, as diffusers has them."""
        self._t = self._curve.time(times)  # (n,) float64
        self.sigmas = torch.cat([self._t, torch.zeros(1, dtype=torch.float64)]).float()  # (n + 1,)
        self.timesteps = (self._t * self.config["num_train_timesteps"]).float()
        self._pending: tuple[Tensor, Tensor, float] | None = None  # of Heun: x_t, its derivative, t

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        timesteps: Sequence[float] | Tensor | None = None,
    ) -> None:
        """Put the descending timesteps of the sampling loop into `self.timesteps` on `device`.

        Args:
            num_inference_steps: n steps, evenly spaced in u from where logSNR is `logsnr_min` before the shift, the
                last of them to 0. "heun" makes 2 n - 1 timesteps of them, all but the first twice.
            device: of the timesteps.
            timesteps: strictly descending N t in (0, N), in place of the number.

        Raises:
            ValueError: If both or neither are given, or they are out of range or not descending.
        """
        if num_inference_steps is None and timesteps is not None:
            t = self._shares(torch.as_tensor(timesteps).cpu())
            valid = t.ndim == 1 and len(t) > 0 and bool((t.diff() < 0).all()) and bool(((t > 0) & (t < 1)).all())
            require(valid, f"timesteps are {timesteps}; one strictly descending row between 0 and N is needed.")
            u = t / (self.shift + (1.0 - self.shift) * t)  # the inverse of eq. (1)
        elif num_inference_steps is not None and timesteps is None:
            require_positive("num_inference_steps", num_inference_steps, whole=True)
            first = 1.0 / (1.0 + math.exp(self.config["logsnr_min"] / 2))
            u = first * torch.arange(num_inference_steps, 0, -1, dtype=torch.float64) / num_inference_steps
        else:
            raise ValueError("set_timesteps needs either num_inference_steps or timesteps, and not both.")
        self.num_inference_steps = len(u)
        self._set_times(u)
        if self.config["solver"] == "heun":
            self.timesteps = torch.cat([self.timesteps[:1], self.timesteps[1:].repeat_interleave(2)])
            self.sigmas = torch.cat([self.sigmas[:1], self.sigmas[1:-1].repeat_interleave(2), self.sigmas[-1:]])
        self.timesteps = self.timesteps.to(device)

    def step(
        self,
        model_output: Tensor,
        timestep: float | Tensor,
        sample: Tensor,
        eta: float | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        return_dict: bool = True,
    ) -> DDIMSchedulerOutput | tuple[Tensor, Tensor]:
        """One step from x_t to x_s. With v = (x_t - x_0) / t and x_0 the (clipped) prediction,

            Euler       x_s = x_t + (s - t) v                                                                (3)
            Heun        x_s = x_t + (s - t) (v + v') / 2,   v' at s and at the x_s of Euler                  (4)
            ancestral   eq. (3) and (4) of `ShiftedCosineScheduler.step` between the same two logSNR, eta between 0,
                        which is Euler, and 1

        Args:
            model_output: Of the kind `prediction_type` names, shape of the sample.
            timestep: One of `self.timesteps`.
            sample: x_t (B, ...). Half precision is computed in float32.
            eta: 0 to 1; None is 1 for "ancestral" and else 0.
            generator: Source of the noise, or a list of one per sample.
            return_dict: False for the plain tuple.

        Returns:
            `(prev_sample, pred_original_sample)`: x_s and x_0, shape and dtype of `sample`.

        Raises:
            ValueError: Before `set_timesteps`, or if eta, the timestep or a shape is wrong.
        """
        require(self.num_inference_steps is not None, "step was called before set_timesteps(num_inference_steps).")
        solver = self.config["solver"]
        eta = float(solver == "ancestral") if eta is None else eta
        require(0.0 <= eta <= 1.0, f"eta is {eta}; it must lie between 0 (Euler) and 1 (ancestral).")
        require(solver != "heun" or eta == 0.0, f"eta is {eta}; the solver heun draws no noise, eta must be 0.")
        require_shape("model_output", model_output, sample)
        index = self._index(timestep)
        t = float(self._t[index])
        s = float(self._t[index + 1]) if index + 1 < len(self._t) else 0.0
        x_t = sample.to(working_dtype(sample))
        output = model_output.to(x_t.dtype)

        if self.config["prediction_type"] == "flow_prediction":
            x_0 = x_t - t * output
        elif self.config["prediction_type"] == "epsilon":
            x_0 = (x_t - t * output) / (1.0 - t)
        else:
            x_0 = output
        if self.config["clip_sample"]:
            x_0 = x_0.clamp(-self.config["clip_sample_range"], self.config["clip_sample_range"])

        velocity = (x_t - x_0) / t
        if self._pending is not None:  # the second half of a step of Heun, which ends where it is evaluated
            start, derivative, before = self._pending
            x_s, self._pending = start + (t - before) * (derivative + velocity) / 2, None  # (4)
        elif s == 0.0:
            x_s = x_0
        elif eta > 0:
            x_s = self._ancestral(x_t, x_0, t, s, eta, generator)
        else:
            x_s = x_t + (s - t) * velocity  # (3)
            if solver == "heun":
                self._pending = (x_t, velocity, t)
        x_s, x_0 = x_s.to(sample.dtype), x_0.to(sample.dtype)
        return DDIMSchedulerOutput(prev_sample=x_s, pred_original_sample=x_0) if return_dict else (x_s, x_0)

    def _index(self, timestep: float | Tensor) -> int:
        """Place of a timestep among the n of the loop."""
        given = torch.as_tensor(timestep).flatten().double().cpu()
        require(len(given.unique()) == 1, f"step takes one timestep for the whole batch; {timestep} was given.")
        distances = (self._t * self.config["num_train_timesteps"] - given[0]).abs()
        index = int(distances.argmin())
        known = bool(distances[index] <= 1e-6 * self.config["num_train_timesteps"])
        require(known, f"timestep {timestep} is not one of scheduler.timesteps, {self.timesteps.tolist()}.")
        return index

    def _ancestral(self, x_t: Tensor, x_0: Tensor, t: float, s: float, eta: float, generator: Any) -> Tensor:
        """The step of the variance-preserving scheduler at equal logSNR, on the scale of eq. (1)."""
        logsnr_t, logsnr_s = (2.0 * (math.log1p(-share) - math.log(share)) for share in (t, s))
        (alpha_t, sigma_t), (alpha_s, sigma_s) = alpha_sigma_of(logsnr_t), alpha_sigma_of(logsnr_s)
        c, gamma = -math.expm1(logsnr_t - logsnr_s), self.config["variance_gamma"]
        noise_t = (x_t - (1.0 - t) * x_0) * (alpha_t + sigma_t)
        std = eta * math.sqrt(c) * sigma_t**gamma * sigma_s ** (1.0 - gamma)
        x_s = alpha_s * x_0 + sigma_s / sigma_t * math.sqrt(1.0 - eta**2 * c) * noise_t
        return (x_s + std * randn_tensor(x_t.shape, generator, x_t.device, x_t.dtype)) / (alpha_s + sigma_s)

    def __len__(self) -> int:
        length: int = self.config["num_train_timesteps"]
        return length

"""A cosine noise schedule that knows the resolution of the image, as a diffusers scheduler.

Mean-pooling over s x s pixels keeps the content of an image and divides the variance of independent noise by s**2, so
the same schedule destroys less of a large image than of a small one. The cure lowers the log signal-to-noise ratio of
the large image by ``2 log s``: archives/10047, and arXiv 2301.11093 where it adjusts the noise schedule.

    x_t = alpha_t x_0 + sigma_t noise,   alpha_t**2 = sigmoid(logsnr),   sigma_t**2 = sigmoid(-logsnr)       (1)
    logsnr(u) = -2 log tan(u_min + u (u_max - u_min)) + 2 log(base_size / sample_size),   u in [0, 1]        (2)
    u_min = atan(exp(-logsnr_max / 2)),   u_max = atan(exp(-logsnr_min / 2))

The file is longer than 350 lines because its interface is that of diffusers, each argument of which is described.
Legend: B batch, N training timesteps, t the timestep that a step leaves, s the lower one it reaches (-1 is clean).
"""

import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import diffusers
import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.schedulers.scheduling_ddim import DDIMSchedulerOutput
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers, SchedulerMixin
from diffusers.utils import logging
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from .checks_simple_diffusion import checked_timesteps, require, require_one_of, require_positive, require_shape
from .configs_flow import variance_preserving_arguments
from .curve_shifted_cosine import ShiftedCosineCurve, alpha_sigma_of, working_dtype
from .strict_loading import refuse_unknown_fields
from .typed_config import registered

logger = logging.get_logger(__name__)

# The arguments that define the curve.
SCHEDULE_KEYS = {
    "num_train_timesteps", "sample_size", "base_size", "logsnr_min", "logsnr_max", "rescale_betas_zero_snr",
}  # fmt: skip
# Not arguments: PNDM reads these, and by its own defaults stops at training index 0 and starts with unstable steps.
PNDM_KEYS = {"set_alpha_to_one": True, "skip_prk_steps": True}


class ShiftedCosineScheduler(SchedulerMixin, ConfigMixin):
    """Cosine schedule shifted to the image size, with ancestral and DDIM sampling.

    Training index i in 0..N-1 stands for u = (i + 1) / N: index N-1 is the noisiest, u = 1. The curve is computed in
    float64; `alphas_cumprod`, `alphas` and `betas` are float32 copies of it, and no beta is clipped.

    Args:
        num_train_timesteps: N, how many discrete timesteps the curve is cut into.
        sample_size: Side of the image in pixels.
        base_size: Image side at which the unshifted cosine is right (64 or 32 in the paper), or a pair
            `(at u = 0, at u = 1)`: logsnr(u) = (1 - u) shifted_with(first) + u shifted_with(second). Both orders are
            in print: (32, 256) is how notes on the paper have it, (256, 32) how widely copied code has it.
        logsnr_min: logSNR at u = 1 before the shift.
        logsnr_max: logSNR at u = 0 before the shift.
        prediction_type: What the model returns: the noise, the clean sample, or v = alpha noise - sigma x_0.
        timestep_spacing: How `set_timesteps` picks among the N. "trailing" and "linspace" keep the noisiest one,
            "leading" skips it, which a shifted schedule does not forgive.
        variance_gamma: Weight in [0, 1] of the upper bound in the ancestral log-variance.
        clip_sample: Clip the predicted clean sample to +-`clip_sample_range`.
        clip_sample_range: Positive bound for `clip_sample`.
        rescale_betas_zero_snr: Put u_max at pi/2: the last timestep is pure noise (logSNR -inf), `logsnr_min` is
            unused. A network conditioned on logSNR must clamp it, as `SimpleDiffusionUViT2DModel` does; classes
            without this key cannot follow.
        trained_betas: The N betas, as they come back from another class's config. They win over the arguments of
            the schedule: if the two disagree a warning is logged, `num_train_timesteps` becomes the number of betas,
            and `logsnr(u)` raises since the curve between timesteps is unknown. If None they are computed and put
            into the config, so that `OtherScheduler.from_config(scheduler.config)` gets this very schedule.

    Raises:
        ValueError: If an argument is out of range, logSNR would not fall with u, or `prediction_type` is "epsilon"
            at zero terminal SNR.

    Relations: eta = 0 equals DDIMScheduler with these `trained_betas` (in a loop of one's own where the number of
    steps divides N, in `SimpleDiffusionPipeline` always); eta = 1 equals DDPMScheduler: "fixed_small" at
    gamma = 0, "fixed_large" at gamma = 1, "learned_range" with a constant 2 gamma - 1 between.

    Note: swapping another class in logs one harmless diffusers warning, which names the keys that only this class
    has. `register_with_diffusers()` silences it for those who want that.

    Source: archives/10047; arXiv 2301.11093 (schedule, shift, interpolated shift, sampler).
    """

    _compatibles = [e.name for e in KarrasDiffusionSchedulers if e.name != "EDMEulerScheduler"]  # noqa: RUF012
    order = 1

    if TYPE_CHECKING:  # inherited, and without types there

        @classmethod
        def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self: ...

    @registered
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        sample_size: float = 64,
        base_size: float | Sequence[float] = 64,
        logsnr_min: float = -15.0,
        logsnr_max: float = 15.0,
        prediction_type: Literal["epsilon", "sample", "v_prediction"] = "v_prediction",
        timestep_spacing: Literal["leading", "linspace", "trailing"] = "trailing",
        variance_gamma: float = 0.3,
        clip_sample: bool = True,
        clip_sample_range: float = 1.0,
        rescale_betas_zero_snr: bool = False,
        trained_betas: np.ndarray | Sequence[float] | None = None,
    ) -> None:
        sizes: list[float] = list(base_size) if isinstance(base_size, Sequence | np.ndarray) else [base_size] * 2
        require(len(sizes) == 2, f"base_size is {base_size}; give one size, or a pair (at u = 0, at u = 1).")
        require_positive("num_train_timesteps", num_train_timesteps, whole=True)
        require_positive("sample_size", sample_size)
        require_positive("base_size", *sizes)
        require_positive("clip_sample_range", clip_sample_range)
        ordered = -100.0 <= logsnr_min < logsnr_max <= 100.0
        require(ordered, f"logsnr_min is {logsnr_min}, logsnr_max {logsnr_max}; -100 <= min < max <= 100 is needed.")
        require(0.0 <= variance_gamma <= 1.0, f"variance_gamma is {variance_gamma}; it must lie in [0, 1].")
        require_one_of("prediction_type", prediction_type, ("epsilon", "sample", "v_prediction"))
        require_one_of("timestep_spacing", timestep_spacing, ("leading", "linspace", "trailing"))

        shifts = (2.0 * math.log(sizes[0] / sample_size), 2.0 * math.log(sizes[1] / sample_size))
        self._curve = ShiftedCosineCurve(logsnr_min, logsnr_max, shifts, rescale_betas_zero_snr)
        require(
            sizes[1] / sizes[0] < self._curve.largest_ratio,
            f"base_size is {tuple(sizes)}; the second must be less than {self._curve.largest_ratio:.3g} times the "
            "first, or else logSNR would rise with u.",
        )

        times = torch.arange(1, num_train_timesteps + 1, dtype=torch.float64) / num_train_timesteps
        logsnr = self._curve.logsnr(times)
        abar = torch.sigmoid(logsnr)
        betas = 1.0 - abar / torch.cat([torch.ones_like(abar[:1]), abar[:-1]])
        self.follows_curve = True
        given = betas if trained_betas is None else torch.as_tensor(np.asarray(trained_betas, dtype=np.float64))
        valid = given.ndim == 1 and len(given) > 0 and bool(((given > 0) & (given <= 1)).all())
        valid = valid and bool((given[:-1] < 1).all())
        if trained_betas is None:
            require(valid, "logSNR is beyond what numbers can hold: signal or noise ends before the last timestep.")
        else:
            require(valid, "trained_betas must be one row of numbers between 0 and 1; only the last may equal 1.")
            # Rounded to float32 on their way they are still the same.
            self.follows_curve = given.shape == betas.shape and torch.allclose(given, betas, rtol=1e-6, atol=0.0)
            if not self.follows_curve:
                logger.warning(
                    "trained_betas are not those of the shifted cosine which the other arguments describe. The betas "
                    f"win: num_train_timesteps is their number, {len(given)}, and logsnr(u) is not available."
                )
                betas, abar = given, torch.cumprod(1.0 - given, dim=0)
                logsnr = torch.log(abar) - torch.log1p(-abar)
        require(
            prediction_type != "epsilon" or bool(logsnr[-1] > -math.inf),
            "prediction_type 'epsilon' cannot work at zero terminal SNR, where the noise tells nothing of the image; "
            "use 'v_prediction' or 'sample', or a schedule whose last timestep keeps some signal.",
        )

        self._logsnr = logsnr  # (N,) float64, what every method reads
        self._tables: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}
        self.betas = betas.float()  # (N,)
        self.alphas = (1.0 - betas).float()  # (N,)
        self.alphas_cumprod = abar.float()  # (N,)
        self.init_noise_sigma = 1.0
        self.num_inference_steps: int | None = None
        self.timesteps = torch.arange(len(logsnr) - 1, -1, -1)  # (N,)

        kept = {"trained_betas": betas.tolist(), "num_train_timesteps": len(betas), "_class_name": type(self).__name__}
        self.register_to_config(**kept, **PNDM_KEYS)

    def register_to_config(self, **kwargs: Any) -> None:
        """Put values into the config as JSON will give them back, and let every key travel: diffusers' `from_config`
        forgets those that "_use_default_values" names, and the class swapped in would take linear betas."""
        kwargs.pop("_use_default_values", None)
        for key, value in kwargs.items():
            kwargs[key] = value.tolist() if isinstance(value, np.ndarray | np.generic | Tensor) else value
            kwargs[key] = list(value) if isinstance(value, tuple) else kwargs[key]
        super().register_to_config(**kwargs)

    @classmethod
    def from_config(cls, config: Any = None, return_unused_kwargs: bool = False, **kwargs: Any) -> Any:
        """Build from the config of this or of another class; see diffusers' `ConfigMixin.from_config`.

        A schedule argument among the keywords (`sample_size=128`) asks for a new schedule: the `trained_betas` that
        the config brings from the old one are dropped. A config with a named beta schedule and no betas is taken, but
        warned about, since a model trained on that schedule would get another one.

        Raises:
            ValueError: for fields of a config of this class that neither it nor a class to swap in knows.
        """
        if not isinstance(config, dict):
            return super().from_config(config, return_unused_kwargs, **kwargs)
        config = variance_preserving_arguments(config)
        if config.get("_class_name") == cls.__name__:
            known = inspect.signature(cls.__init__).parameters.keys() - {"self"}
            others = (getattr(diffusers, name).__init__ for name in cls._compatibles)  # their fields stay
            theirs = {key for other in others for key in inspect.signature(other).parameters}
            refuse_unknown_fields(cls.__name__, (key for key in config if key not in known | theirs), known)
        if "trained_betas" not in kwargs:
            if SCHEDULE_KEYS & kwargs.keys():
                config = {key: value for key, value in config.items() if key != "trained_betas"}
            elif config.get("beta_schedule") and config.get("trained_betas") is None:
                logger.warning(f"The {config['beta_schedule']!r} betas of the config give way to a shifted cosine.")
        return super().from_config(config, return_unused_kwargs, **kwargs)

    def logsnr(self, u: float | Tensor) -> Tensor:
        """logSNR of the continuous schedule, eq. (2), at times u in [0, 1] of any shape (0 clean, 1 noise).

        Returns:
            Same shape and device, computed in float64; float64 if u is float64 or a number, else float32.

        Raises:
            ValueError: If u leaves [0, 1] (seen on the CPU only: elsewhere the check would wait for the device in
                every training step), or foreign `trained_betas` define the schedule.
        """
        require(self.follows_curve, "logsnr(u) is unknown between the timesteps of foreign trained_betas.")
        u = u if isinstance(u, Tensor) else torch.tensor(u, dtype=torch.float64)
        inside = u.device.type != "cpu" or bool(((u >= 0) & (u <= 1)).all())
        require(inside, "u must lie in [0, 1], where 0 is the clean image and 1 is noise; a value given does not.")
        return self._curve.logsnr(u)

    def logsnr_slope(self, u: float | Tensor) -> Tensor:
        """-d logsnr / d u of the continuous schedule, eq. (2): positive, infinite only at zero terminal SNR.

        A loss weighted by it integrates over logSNR instead of over u, whatever the schedule.
        Arguments, result and errors as in `logsnr`.
        """
        require(self.follows_curve, "logsnr_slope(u) is unknown between the timesteps of foreign trained_betas.")
        u = u if isinstance(u, Tensor) else torch.tensor(u, dtype=torch.float64)
        return self._curve.slope(u)

    def logsnr_at(self, timesteps: int | Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """logSNR at integer timesteps 0..N-1, logsnr((i + 1) / N): what a network is conditioned on.

        Returns:
            Shape and device of `timesteps`; -inf at the last one under zero terminal SNR.

        Raises:
            ValueError: If a timestep is no integer or out of range.
        """
        timesteps = checked_timesteps(timesteps, len(self))
        return self._logsnr.to(dtype).to(timesteps.device)[timesteps]

    def _alpha_sigma(self, timesteps: int | Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t, sigma_t on the device and in the working dtype of the sample, shape (B or 1, 1, 1, ...)."""
        steps = checked_timesteps(timesteps, len(self)).to(sample.device).flatten()
        fits = len(steps) == 1 or sample.shape[:1] == steps.shape
        require(fits, f"{len(steps)} timesteps for samples of shape {tuple(sample.shape)}; give one or one each.")
        device, dtype = key = sample.device, working_dtype(sample)
        if key not in self._tables:
            alpha, sigma = torch.sigmoid(self._logsnr).sqrt(), torch.sigmoid(-self._logsnr).sqrt()
            self._tables[key] = (alpha.to(dtype).to(device), sigma.to(dtype).to(device))
        alpha, sigma = (table[steps].view(-1, *[1] * (sample.ndim - 1)) for table in self._tables[key])
        return alpha, sigma

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The noisy sample x_t = alpha_t x_0 + sigma_t noise, eq. (1).

        Args:
            original_samples: Clean samples (B, ...). Half precision is computed in float32.
            noise: Standard normal, same shape.
            timesteps: Integers in 0..N-1, shape (B,), (1,) or ().

        Returns:
            Shape and dtype of the samples.

        Raises:
            ValueError: If the shapes do not match or a timestep is out of range.
        """
        require_shape("noise", noise, original_samples)
        alpha, sigma = self._alpha_sigma(timesteps, original_samples)
        return (alpha * original_samples.to(alpha) + sigma * noise.to(alpha)).to(original_samples.dtype)

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The target of v-prediction, v = alpha_t noise - sigma_t x_0; arguments and result as in `add_noise`."""
        require_shape("noise", noise, sample)
        alpha, sigma = self._alpha_sigma(timesteps, sample)
        return (alpha * noise.to(alpha) - sigma * sample.to(alpha)).to(sample.dtype)

    def scale_model_input(self, sample: Tensor, timestep: int | Tensor | None = None) -> Tensor:
        """The sample itself: a variance-preserving schedule needs no scaling."""
        return sample

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        timesteps: Sequence[int] | Tensor | None = None,
    ) -> None:
        """Put the descending timesteps of the sampling loop into `self.timesteps` on `device`: `num_inference_steps`
        of them (1..N) placed by `timestep_spacing`, or the strictly descending `timesteps` given.

        Raises:
            ValueError: If both or neither are given, or they are out of range or not descending.
        """
        if num_inference_steps is None and timesteps is not None:
            chosen = checked_timesteps(timesteps, len(self)).cpu()
            descending = chosen.ndim == 1 and len(chosen) > 0 and bool((chosen.diff() < 0).all())
            require(descending, f"timesteps are {chosen.tolist()}; they must be one strictly descending row.")
        elif num_inference_steps is not None and timesteps is None:
            count, total, spacing = num_inference_steps, len(self), self.config["timestep_spacing"]
            require_positive("num_inference_steps", count, whole=True)
            require(count <= total, f"num_inference_steps is {count}; there are only {total} training timesteps.")
            if spacing == "trailing":
                places = np.round(np.arange(total, 0, -total / count))[:count] - 1  # arange may add one more, near 0
            elif spacing == "linspace":
                places = np.linspace(0, total - 1, count).round()[::-1]
            else:
                places = np.arange(count)[::-1] * (total // count)
            chosen = torch.from_numpy(places.astype(np.int64))
        else:
            raise ValueError("set_timesteps needs either num_inference_steps or timesteps, and not both.")
        self.num_inference_steps = len(chosen)
        self.timesteps = chosen.to(device)

    def previous_timestep(self, timestep: int | Tensor) -> int:
        """The next lower timestep of the loop (before `set_timesteps`, of all N), -1 if there is none."""
        lower = self.timesteps[self.timesteps < int(timestep)]
        return int(lower[0]) if len(lower) else -1

    def step(
        self,
        model_output: Tensor,
        timestep: int | Tensor,
        sample: Tensor,
        eta: float = 1.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        return_dict: bool = True,
    ) -> DDIMSchedulerOutput | tuple[Tensor, Tensor]:
        """One step from x_t to x_s, with c = 1 - exp(logsnr_t - logsnr_s) and gamma = `variance_gamma`:

            x_s = alpha_s x_0 + (sigma_s / sigma_t) sqrt(1 - eta**2 c) (x_t - alpha_t x_0) + eta std noise       (3)
            std**2 = (sigma_t**2 c)**gamma (sigma_s**2 c)**(1 - gamma)      between the upper and the lower bound  (4)

        x_0 is the (clipped) prediction; the last step returns it as it is. eta = 0 is DDIM and draws no noise, eta = 1
        the ancestral sampler of the paper. Between them eta scales the standard deviation: at gamma = 0 this is DDIM's
        family, which keeps the marginals of the forward process; at gamma > 0 the noise is (sigma_t / sigma_s)**gamma
        times larger than that at every eta.

        Args:
            model_output: What the model returned, shape of the sample.
            timestep: t, an integer or a tensor that holds one integer.
            sample: x_t (B, ...). Half precision is computed in float32.
            eta: 0 to 1.
            generator: Source of the noise, or a list of one per sample.
            return_dict: False for the plain tuple.

        Returns:
            `(prev_sample, pred_original_sample)`: x_s and x_0, shape and dtype of `sample`.

        Raises:
            ValueError: Before `set_timesteps`, or if eta, the timestep or a shape is wrong.

        Source: arXiv 2301.11093 (sampler with interpolated log-variance); arXiv 2010.02502, eq. (12) and (16).
        """
        require(self.num_inference_steps is not None, "step was called before set_timesteps(num_inference_steps).")
        require(0.0 <= eta <= 1.0, f"eta is {eta}; it must lie between 0 (DDIM) and 1 (ancestral).")
        require_shape("model_output", model_output, sample)
        steps = set(checked_timesteps(torch.as_tensor(timestep).cpu(), len(self)).flatten().tolist())
        require(len(steps) == 1, f"step takes one timestep for the whole batch; {timestep} was given.")
        t = steps.pop()
        s = self.previous_timestep(t)
        x_t = sample.to(working_dtype(sample))
        output = model_output.to(x_t.dtype)
        alpha_t, sigma_t = alpha_sigma_of(float(self._logsnr[t]))

        if self.config["prediction_type"] == "epsilon":
            x_0 = (x_t - sigma_t * output) / alpha_t
        elif self.config["prediction_type"] == "sample":
            x_0 = output
        else:
            x_0 = alpha_t * x_t - sigma_t * output
        if self.config["clip_sample"]:
            x_0 = x_0.clamp(-self.config["clip_sample_range"], self.config["clip_sample_range"])

        x_s = x_0
        if s >= 0:
            alpha_s, sigma_s = alpha_sigma_of(float(self._logsnr[s]))
            c = -math.expm1(float(self._logsnr[t] - self._logsnr[s]))
            keep = sigma_s / sigma_t * math.sqrt(1.0 - eta**2 * c)
            x_s = alpha_s * x_0 + keep * (x_t - alpha_t * x_0)  # (3)
            if eta > 0:
                gamma = self.config["variance_gamma"]
                std = math.sqrt(c) * sigma_t**gamma * sigma_s ** (1.0 - gamma)  # (4)
                x_s = x_s + eta * std * randn_tensor(x_t.shape, generator, x_t.device, x_t.dtype)

        x_s, x_0 = x_s.to(sample.dtype), x_0.to(sample.dtype)
        return DDIMSchedulerOutput(prev_sample=x_s, pred_original_sample=x_0) if return_dict else (x_s, x_0)

    def __len__(self) -> int:
        return len(self._logsnr)


def register_with_diffusers() -> None:
    """Make the class known as `diffusers.ShiftedCosineScheduler`; opt-in, never called on import.

    Once the name is in its namespace, `from_config` of another class drops keys of this one without a warning.
    """
    setattr(diffusers, ShiftedCosineScheduler.__name__, ShiftedCosineScheduler)

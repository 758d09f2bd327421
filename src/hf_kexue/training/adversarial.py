"""Adversarial training of two networks: annealed learning rates, EMA of the generator, collapse guard.

    run = AdversarialRun(args, start(args), generator, discriminator, loader, manifest, "rsgan", ramp, guard)
    for batch in run.batches():
        ...  # the steps of discriminator and generator, in the script, each through run.descend
        run.after_step(len(batch["pixel_values"]), figures)

Source: arXiv 2501.05441 (annealed rates, half-life of the EMA).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from .arguments import CommonArguments, option
from .interruption import RunStopped
from .processes import mean_over_processes
from .run import Run
from .state import check_finite, ema_weights


@dataclass
class AdversarialArguments(CommonArguments):
    """Common arguments of adversarial runs; a step is a discriminator step."""

    # optimisation
    train_batch_size: int = option(32, "Images per process.")
    max_train_steps: int = option(10_000, "Discriminator steps.")
    learning_rate: float = option(2e-4, "Of both networks at the start.")
    learning_rate_end: float = option(5e-5, "The same after annealing.")
    adam_beta1: float = option(0.0, "Of Adam.")
    adam_beta2: float = option(0.9, "Of Adam at the start.")
    adam_beta2_end: float = option(0.99, "The same after annealing.")
    annealing_steps: int = option(0, "Steps of the cosine ramps from start to end; 0: all.")
    ema_half_life: float = option(10.0, "Of the averaged weights, in thousands of images.")
    ema_ramp: float = option(0.05, "The half-life is at most this share of the images seen so far.")
    mixed_precision: str = option("auto", "'no', 'bf16', or 'auto': bf16 where this device is faster with it.")
    # periodic actions
    checkpointing_steps: int = option(1000, "Steps between checkpoints.")
    collapse_margin: float = option(20.0, "Margin of real over generated scores that ends a run; 0: never.")
    collapse_steps: int = option(200, "Consecutive steps beyond it, or without a generator gradient.")

    def __post_init__(self) -> None:
        if self.mixed_precision not in ("no", "bf16", "auto"):
            raise ValueError(f"--mixed_precision is 'no', 'bf16' or 'auto' for GANs, got {self.mixed_precision!r}.")
        self.at_least(1, "max_train_steps", "train_batch_size", "collapse_steps")
        self.at_least(0, "max_seconds", "max_cpu_seconds", "annealing_steps")
        self.at_least(0, "ema_half_life", "ema_ramp", "collapse_margin")

    def at_least(self, bound: int, *names: str) -> None:
        """Raise for the first argument below its bound."""
        for name in names:
            if getattr(self, name) < bound:
                raise ValueError(f"--{name} must be at least {bound}, got {getattr(self, name)}.")


class AdversarialRun(Run):
    """An adversarial run, except its training step.

    Args:
        args, accelerator, loader, manifest, tracker: see `Run`.
        generator: `run.generator` is the prepared one, `run.generator_network` the unwrapped one.
        discriminator: likewise.
        ramp: (step, steps, first, last) -> value at that step: the annealing of the rates.
        guard: its `update(margin, generator_gradient, step)` stops a collapsed run; saved with each checkpoint.
    """

    def __init__(
        self, args: AdversarialArguments, accelerator: Any, generator: nn.Module, discriminator: nn.Module,
        loader: Any, manifest: dict[str, Any], tracker: str, ramp: Callable[[int, int, float, float], float],
        guard: Any,
    ) -> None:  # fmt: skip
        super().__init__(args, accelerator, loader, manifest, tracker, "images")
        self.ramp, self.guard = ramp, guard
        self.ema = EMAModel(generator.parameters(), foreach=True)
        networks = [network.to(memory_format=torch.channels_last) for network in (generator, discriminator)]  # type: ignore[call-overload]
        adams = [torch.optim.Adam(network.parameters(), args.learning_rate, fused=True) for network in networks]
        prepared = accelerator.prepare(*networks, *adams, loader)
        self.generator, self.discriminator, self.generator_adam, self.discriminator_adam, self.loader = prepared
        self.generator_network, self.discriminator_network = map(accelerator.unwrap_model, prepared[:2])
        self.begin({"ema": self.ema, "guard": self.guard})
        self.ema.to(accelerator.device)  # a checkpoint loads it on the CPU

    def scheduled(self, first: float, last: float) -> float:
        """The annealed value of this step between `first` and `last`, by steps or by time, whichever is further."""
        steps = self.args.annealing_steps or self.args.max_train_steps
        return self.ramp(max(self.state.step, round(self.time_spent() * steps)), steps, first, last)

    def batches(self) -> Iterator[dict[str, Any]]:
        """Set learning rates and betas, and yield batches with images (B, C, H, W) on the device, channels last.

        Raises:
            RunStopped: if too many images, or all of a batch, cannot be decoded.
        """
        args = self.args
        for batch in super().batches():
            if not len(batch["pixel_values"]):
                raise RunStopped(f"No image of a batch could be decoded. {self.broken.summary()}")
            rate = self.scheduled(args.learning_rate, args.learning_rate_end)
            betas = (args.adam_beta1, self.scheduled(args.adam_beta2, args.adam_beta2_end))
            for adam in (self.generator_adam, self.discriminator_adam):
                for group in adam.param_groups:
                    group["lr"], group["betas"] = rate, betas
            images = batch["pixel_values"].to(self.accelerator.device, memory_format=torch.channels_last)
            yield batch | {"pixel_values": images}

    def descend(self, loss: Tensor, network: nn.Module, adam: Any) -> float:
        """Backward, one Adam step, zero the gradients; return the norm of the gradient over all parameters.

        Raises:
            FloatingPointError: if loss or gradient is not finite, before the step.
        """
        self.accelerator.backward(loss)
        norm = torch.nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
        context = (self.state.step + 1, self.checkpoints, self.accelerator.mixed_precision, self.args.learning_rate)
        values = torch.stack([loss.detach().float(), norm.float()]).tolist()  # a single synchronisation
        for value, what in zip(values, ("A loss", "A gradient"), strict=True):
            check_finite(value, what, *context)
        adam.step()
        adam.zero_grad()
        return values[1]

    def after_step(self, images: int, figures: Mapping[str, float | Tensor]) -> None:
        """Update the EMA, count, log, save.

        Args:
            images: number in this process's batch.
            figures: of the step, by name, floats or scalar tensors; logged as means. They include `margin` and, if
                the generator had a step, `generator_gradient`, for the guard.

        Raises:
            RunStopped: if the discriminator has collapsed.
        """
        args, state, batch_size = self.args, self.state, images * self.accelerator.num_processes
        numbers = {key: float(value) for key, value in figures.items()}
        self.count_batch(images)
        half_life = min(args.ema_half_life * 1000, args.ema_ramp * state.samples)
        self.ema.decay = self.ema.min_decay = 0.5 ** (batch_size / half_life) if half_life else 0.0
        self.ema.step(self.generator_network.parameters())
        if "generator_gradient" in numbers:
            (margin,) = mean_over_processes(self.accelerator, [numbers["margin"]])
            try:
                self.guard.update(margin, numbers["generator_gradient"], state.step + 1)
            except RuntimeError as error:
                raise RunStopped(str(error)) from error
        state.running.append(numbers)
        self.end_step()

    def figures(self) -> dict[str, float]:
        return {"learning_rate": self.generator_adam.param_groups[0]["lr"]}

    def latents(self, images: int, width: int) -> Tensor:
        """Draw the latents of the global batch and return this process's slice (images, width), on the device."""
        first = images * self.accelerator.process_index
        drawn = torch.randn(images * self.accelerator.num_processes, width, generator=self.shared_generator)
        return drawn[first : first + images].to(self.accelerator.device)

    def averaged(self) -> AbstractContextManager[nn.Module]:
        """The generator in evaluation mode with its EMA weights, as a context manager."""
        return ema_weights(self.ema, self.generator_network)

    def costs(self) -> dict[str, Any]:
        """Steps, images and seconds so far, for `results.json`."""
        return {"images_seen": self.state.samples, **super().costs()}

"""What a run of two networks against each other needs around its step: annealed rates, batches that a resumed run sees
again, averaged weights of the generator, and the bookkeeping.

    run = AdversarialRun(args, start(args), generator, discriminator, loader, manifest, "rsgan", ramp, guard)
    for images, labels in run.batches():
        ...  # the discriminator's and the generator's step: in the script, in sight, each through run.descend
        run.after_step(len(images), figures)

Longer than a module should be: thirty lines are arguments, each with its help text.

Source: arXiv 2501.05441 (annealed rates, half-life of the averaged weights).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from ..data.images import BrokenImages
from .arguments import CommonArguments, option
from .checkpoints import Checkpoints
from .processes import mean_over_processes, share
from .setup import one_clock
from .state import History, TrainingState, check_finite, ema_weights

logger = logging.getLogger(__name__)


@dataclass
class AdversarialArguments(CommonArguments):
    """What every run of a generator against a discriminator takes; one step is one of the discriminator."""

    # optimisation
    train_batch_size: int = option(32, "Images per process.")
    max_train_steps: int = option(10_000, "Discriminator steps.")
    max_seconds: float = option(0.0, "Stop after so much time too, with all ramps pressed into it; 0: steps decide.")
    learning_rate: float = option(2e-4, "Of both networks at the start.")
    learning_rate_end: float = option(5e-5, "The same after annealing.")
    adam_beta1: float = option(0.0, "Of Adam.")
    adam_beta2: float = option(0.9, "Of Adam at the start.")
    adam_beta2_end: float = option(0.99, "The same after annealing.")
    annealing_steps: int = option(0, "Steps of the cosine ramps from start to end; 0: all.")
    ema_half_life: float = option(10.0, "Of the averaged weights, in thousands of images.")
    ema_ramp: float = option(0.05, "The half-life is at most this share of the images seen so far.")
    mixed_precision: str = option("auto", "'no', 'bf16', or 'auto': bf16 where this device is faster with it.")
    # once in a while
    checkpointing_steps: int = option(1000, "Steps between checkpoints.")
    collapse_margin: float = option(20.0, "Score of real above generated images that ends a run; 0: never.")
    collapse_steps: int = option(200, "Steps in a row that it takes, or as many without a generator gradient.")

    def __post_init__(self) -> None:
        if self.mixed_precision not in ("no", "bf16", "auto"):
            raise ValueError(f"--mixed_precision is 'no', 'bf16' or 'auto' for GANs, got {self.mixed_precision!r}.")
        self.at_least(1, "max_train_steps", "train_batch_size", "collapse_steps")
        self.at_least(0, "max_seconds", "annealing_steps", "ema_half_life", "ema_ramp", "collapse_margin")

    def at_least(self, bound: int, *names: str) -> None:
        """A sentence for the first argument that is below its bound."""
        for name in names:
            if getattr(self, name) < bound:
                raise ValueError(f"--{name} must be at least {bound}, got {getattr(self, name)}.")


class AdversarialRun:
    """Everything of a run but its step.

    Args:
        args: of the run.
        accelerator: of `training.setup.start`.
        generator: `run.generator` is the prepared one, `run.generator_network` the one below it.
        discriminator: the same.
        loader: of `data.images.image_loader`, not streamed.
        manifest: of `training.setup.run_manifest`; written to the output folder.
        tracker: project name for the trackers.
        ramp: (step, steps, first, last) -> value at that step: how rates go from start to end.
        guard: its `update(margin, generator_gradient, step)` ends a run that leads nowhere; it is saved with each
            checkpoint.

    Attributes:
        chance: generator on the CPU, seeded by the place in the run, so that resuming repeats what a step draws. It is
            the same on every process: each draws for all of them and takes its `share`.
        own_chance: the same for what each process draws for itself.
        share: (number of this process, number of processes).
        state: steps, images and seconds so far.
    """

    def __init__(
        self, args: AdversarialArguments, accelerator: Any, generator: nn.Module, discriminator: nn.Module,
        loader: Any, manifest: dict[str, Any], tracker: str, ramp: Callable[[int, int, float, float], float],
        guard: Any,
    ) -> None:  # fmt: skip
        from tqdm.auto import tqdm

        one_clock(args.max_seconds, accelerator.num_processes)
        if len(loader) < accelerator.num_processes:
            each = f" for each of {accelerator.num_processes} processes" if accelerator.num_processes > 1 else ""
            raise ValueError(f"{len(loader.dataset)} images are not one whole batch{each}: lower --train_batch_size.")
        self.args, self.accelerator, self.folder = args, accelerator, Path(args.output_dir)
        self.dataset, self.broken = loader.dataset, BrokenImages()
        self.chance, self.own_chance, self.share = torch.Generator(), torch.Generator(), share(accelerator)
        self.ema = EMAModel(generator.parameters(), foreach=True)
        networks = [network.to(memory_format=torch.channels_last) for network in (generator, discriminator)]  # type: ignore[call-overload]
        adams = [torch.optim.Adam(network.parameters(), args.learning_rate, fused=True) for network in networks]
        prepared = accelerator.prepare(*networks, *adams, loader)
        self.generator, self.discriminator, self.generator_adam, self.discriminator_adam, self.loader = prepared
        self.generator_network, self.discriminator_network = map(accelerator.unwrap_model, prepared[:2])
        self.state, self.ramp, self.guard = TrainingState(), ramp, guard
        self.ema.to(accelerator.device)
        if accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False))
        states = {"ema": self.ema, "state": self.state, "guard": self.guard}
        self.checkpoints = Checkpoints(accelerator, self.folder / "checkpoints", args.checkpoints_total_limit, states)
        if resumed := self.checkpoints.resume():
            logger.info("Resumed from %s", resumed)
            self.ema.to(accelerator.device)  # comes back on the CPU
        self.state.count_in(args.train_batch_size * accelerator.num_processes)
        if args.tracker != "none":
            accelerator.init_trackers(tracker, {key: str(value) for key, value in asdict(args).items()})
        self.history = History(accelerator, self.folder / "history.jsonl", resumed_at=self.state.step)
        self._bar: Any = tqdm(initial=self.state.step, total=args.max_train_steps, desc="training",
                              disable=not accelerator.is_main_process)  # fmt: skip
        self._started = self._busy = self._clock = 0.0

    def time_spent(self) -> float:
        """Share of --max_seconds that is over; 0 without."""
        return self.state.wall_seconds / self.args.max_seconds if self.args.max_seconds else 0.0

    @property
    def finished(self) -> bool:
        """All steps are done, or the time is over."""
        return self.state.step >= self.args.max_train_steps or self.time_spent() >= 1

    def scheduled(self, first: float, last: float) -> float:
        """The value of this step on the way from `first` to `last`: as far as steps or time have come to."""
        steps = self.args.annealing_steps or self.args.max_train_steps
        return self.ramp(max(self.state.step, round(self.time_spent() * steps)), steps, first, last)

    def due(self, steps: int) -> bool:
        """Whether the step just done is a multiple of `steps` (0: never) and not the last one."""
        return bool(steps) and self.state.step % steps == 0 and not self.finished

    def batches(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Images (B, C, H, W) and labels (B,) of the steps still to do, on the device; rates and chance are set.

        Raises:
            RuntimeError: when too many images, or all of a batch, cannot be decoded.
        """
        accelerator, args, state = self.accelerator, self.args, self.state
        self._clock = time.perf_counter()
        while not self.finished:
            self.dataset.set_epoch(state.epoch)
            self.loader.set_epoch(state.epoch)
            for batch in accelerator.skip_first_batches(self.loader, state.batch) if state.batch else self.loader:
                self._started, self._busy = time.perf_counter(), time.process_time()
                self.broken.update(batch)
                if not len(batch["pixel_values"]):
                    raise RuntimeError(f"No image of a batch could be decoded. {self.broken.summary()}")
                place = (args.seed, state.epoch, state.batch)
                self.chance.manual_seed(hash(place) % 2**63)
                self.own_chance.manual_seed(hash((accelerator.process_index, *place)) % 2**63)
                rate = self.scheduled(args.learning_rate, args.learning_rate_end)
                betas = (args.adam_beta1, self.scheduled(args.adam_beta2, args.adam_beta2_end))
                for adam in (self.generator_adam, self.discriminator_adam):
                    for group in adam.param_groups:
                        group["lr"], group["betas"] = rate, betas
                images = batch["pixel_values"].to(accelerator.device, memory_format=torch.channels_last)
                yield images, batch["class_labels"].to(accelerator.device) if "class_labels" in batch else None
                if self.finished:
                    break
            else:
                state.epoch, state.batch = state.epoch + 1, 0
        self._bar.close()

    def descend(self, loss: Tensor, network: nn.Module, adam: Any) -> float:
        """Backward, one step of Adam, gradients gone; the norm of the gradient over all parameters.

        Raises:
            FloatingPointError: if loss or gradient has left the numbers; nothing is changed then.
        """
        self.accelerator.backward(loss)
        norm = torch.nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
        good = (self.state.step + 1, self.checkpoints, self.accelerator.mixed_precision, self.args.learning_rate)
        values = torch.stack([loss.detach().float(), norm.float()]).tolist()  # the device is waited for once
        for value, what in zip(values, ("A loss", "A gradient"), strict=True):
            check_finite(value, what, *good)
        adam.step()
        adam.zero_grad()
        return values[1]

    def after_step(self, images: int, figures: Mapping[str, float | Tensor]) -> None:
        """Average, count, log, save.

        Args:
            images: of this process's batch.
            figures: of the step, by name, also as tensors of one number; logged as means. Among them `margin` and,
                where the generator had a step, `generator_gradient`, which the guard looks at.

        Raises:
            RuntimeError: when the discriminator has collapsed.
        """
        args, state = self.args, self.state
        numbers = {key: float(value) for key, value in figures.items()}
        state.batch += 1
        state.step += 1
        state.samples += images * self.accelerator.num_processes
        half_life = min(args.ema_half_life * 1000, args.ema_ramp * state.samples)
        decay = 0.5 ** (images * self.accelerator.num_processes / half_life) if half_life else 0.0
        self.ema.decay = self.ema.min_decay = decay
        self.ema.step(self.generator_network.parameters())
        now = time.perf_counter()
        state.seconds += now - self._started
        state.wall_seconds, self._clock = state.wall_seconds + now - self._clock, now
        state.cpu_seconds += time.process_time() - self._busy
        if "generator_gradient" in numbers:
            (margin,) = mean_over_processes(self.accelerator, [numbers["margin"]])
            self.guard.update(margin, numbers["generator_gradient"], state.step)
        state.running.append(numbers)
        self._bar.update()
        last = self.finished
        if state.step % args.logging_steps == 0 or last:
            rows = state.running
            columns = {key: [row[key] for row in rows if key in row] for row in rows for key in row}
            means = {key: self.history.mean(values) for key, values in columns.items()}
            self._bar.set_postfix({key: f"{means[key]:.4f}" for key in list(means)[:2]})
            rate = self.generator_adam.param_groups[0]["lr"]
            self.history.log(
                state.step, **means, learning_rate=rate, images=state.samples, seconds=round(state.seconds, 2)
            )
            state.running.clear()
        if state.step % args.checkpointing_steps == 0 or last:
            state.settle(self.accelerator)
            self.checkpoints.save(state.step)

    def latents(self, images: int, width: int) -> Tensor:
        """Latent vectors (images, width) of this process, on the device."""
        number, processes = self.share
        drawn = torch.randn(processes * images, width, generator=self.chance)
        return drawn[number * images : (number + 1) * images].to(self.accelerator.device)

    def averaged(self) -> AbstractContextManager[nn.Module]:
        """The generator in evaluation mode with its averaged weights, as a context."""
        return ema_weights(self.ema, self.generator_network)

    def costs(self) -> dict[str, Any]:
        """Steps, images and seconds so far, for `results.json`."""
        return {
            "steps": self.state.step,
            "images_seen": self.state.samples,
            "seconds": round(self.state.seconds, 1),
            "cpu_seconds": round(self.state.cpu_seconds, 1),
        }

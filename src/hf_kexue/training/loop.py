"""The loop around a training step: batches that a resumed run sees again, the bookkeeping after each step, and the
articles' way to end (back to the best weights with a tenth of the rate).

    accelerator = start(args)
    run = TrainingRun(args, accelerator, model, loader, manifest, validate)
    for batch in run.batches():
        with accelerator.accumulate(run.model):
            ...  # loss, backward, clipping, optimizer, schedule: in the script, in sight
        run.after_step(len(batch["input_ids"]), loss, norm)
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from .arguments import RunArguments
from .checkpoints import Checkpoints, whole
from .processes import from_first
from .setup import one_clock, optimizer_and_schedule
from .sharding import AveragedWeights, Twin, split_like
from .state import History, TrainingState, check_finite, set_learning_rate

logger = logging.getLogger(__name__)


@dataclass
class Best:
    """The best validation so far, its weights, and how long ago it was; saved with each checkpoint, because a run that
    goes on from one must not meet weights of a later step."""

    score: float = -1.0
    misses: int = 0
    drops: int = 0
    weights: list[Tensor] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class TrainingRun:
    """Everything of a run but its step.

    Args:
        args: of the run.
        accelerator: of `training.setup.start`.
        model: what is trained; `run.model` is the prepared one, `run.trained` the one below it, and `run.network` what
            evaluates and is saved: the same, but with FSDP a whole copy.
        loader: of `training.setup.training_loader`.
        manifest: of `training.setup.run_manifest`; written to the output folder.
        tracker: project name for the trackers.
        validate: figures during training, and the one number of them that decides which weights are the best, larger
            is better; called with the averaged weights in place. None: no validation.
    """

    def __init__(
        self,
        args: RunArguments,
        accelerator: Any,
        model: nn.Module,
        loader: Any,
        manifest: dict[str, Any],
        tracker: str,
        validate: Callable[[], tuple[dict[str, float], float]] | None,
    ) -> None:
        from tqdm.auto import tqdm

        self.args, self.accelerator, self.validate = args, accelerator, validate
        self.folder, self.dataset = Path(args.output_dir), loader.dataset
        one_clock(args.max_seconds, accelerator.num_processes)
        optimizer, lr_scheduler = optimizer_and_schedule(args, model, self.time_spent)
        self.twin = Twin(accelerator, model)
        if accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False))
        self.state, self.best = TrainingState(), Best()
        prepared = accelerator.prepare(model, optimizer, lr_scheduler, loader)
        self.model, self.optimizer, self.lr_scheduler, self.loader = prepared
        self.trained = accelerator.unwrap_model(self.model)
        self.network: Any = self.twin.copy or self.trained
        self.ema = AveragedWeights(self.trained.parameters(), args.ema_decay)
        states = {"ema": self.ema, "state": self.state, "best": self.best}
        self.checkpoints = Checkpoints(accelerator, self.folder / "checkpoints", args.checkpoints_total_limit, states)
        if resumed := self.checkpoints.resume():
            logger.info("Resumed from %s", resumed)
            # A checkpoint brings its learning rate along; what counts is the one asked for now.
            set_learning_rate(self.optimizer, self.lr_scheduler, args.learning_rate / 10**self.best.drops)
        self.state.count_in(args.train_batch_size * accelerator.num_processes)
        if args.tracker != "none":
            accelerator.init_trackers(tracker, {key: str(value) for key, value in asdict(args).items()})
        self.history = History(accelerator, self.folder / "history.jsonl", resumed_at=self.state.step)
        self._pending: list[tuple[int, Tensor, Any]] = []  # step, loss and norm that nobody has looked at yet
        bar: Any = tqdm(initial=self.state.step, total=args.max_train_steps, desc="training",
                        disable=not accelerator.is_main_process)  # fmt: skip
        self._bar = bar
        self._started = self._busy = 0.0

    def time_spent(self) -> float:
        """Share of --max_seconds that is over; 0 without."""
        return self.state.wall_seconds / self.args.max_seconds if self.args.max_seconds else 0.0

    @property
    def finished(self) -> bool:
        """All steps are done, the time is over, or the best weights have returned twice."""
        return self.state.step >= self.args.max_train_steps or self.time_spent() >= 1 or self.best.drops == 2

    def batches(self) -> Iterator[dict[str, Tensor]]:
        """The batches of the steps still to do. What is drawn in a step is seeded by its place in the run, so that
        resuming repeats it."""
        from accelerate.utils import set_seed

        accelerator, state = self.accelerator, self.state
        self._clock = time.perf_counter()
        while not self.finished:
            self.dataset.set_epoch(state.epoch)
            self.loader.set_epoch(state.epoch)
            for batch in accelerator.skip_first_batches(self.loader, state.batch) if state.batch else self.loader:
                self._started, self._busy = time.perf_counter(), time.process_time()
                set_seed(hash((self.args.seed, accelerator.process_index, state.epoch, state.batch)) % 2**32)
                yield batch
                if self.finished:
                    break
            else:
                state.epoch, state.batch = state.epoch + 1, 0
        self._bar.close()
        with self.averaged():  # by all processes, so that the first one can save alone
            pass

    def after_step(self, samples: int, loss: Tensor, norm: Any) -> None:
        """Count, check, average, log, validate, save.

        Args:
            samples: of this process's batch.
            loss: of the batch.
            norm: of the gradient before clipping; None where only a part of it has been summed.

        Raises:
            FloatingPointError: if loss or gradient has left the numbers; at the next step that is logged, validated
                or saved, before it is.
        """
        args, state = self.args, self.state
        state.batch += 1
        state.samples += samples * self.accelerator.num_processes
        if norm is None or self.optimizer.step_was_skipped:
            self._pending.append((state.step + 1, loss.detach(), None))
        else:
            self._pending.append((state.step + 1, loss.detach(), norm))
        if norm is None:
            self._count_time()
            return
        self.ema.step(self.trained.parameters())
        state.step += 1
        self._bar.update()
        self._count_time()
        if any(
            state.step % steps == 0 for steps in (args.logging_steps, args.validation_steps, args.checkpointing_steps)
        ):
            self._look()
        if last := self.finished:
            self._look()
        if state.step % args.logging_steps == 0 or last:
            mean = self.history.mean(self.state.running)
            self._bar.set_postfix(loss=f"{mean:.4f}")
            self.history.log(
                state.step, loss=mean, gradient_norm=float(norm), samples=state.samples,
                learning_rate=self.lr_scheduler.get_last_lr()[0], seconds=round(state.seconds, 2),
            )  # fmt: skip
            self.state.running.clear()
        if self.validate and state.step % args.validation_steps == 0 and not last:
            with self.averaged():
                figures, score = from_first(self.accelerator, self.validate())
            logger.info("step %d: %s", state.step, ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
            self.history.log(state.step, **figures)
            if args.drop_after:
                self._after_validation(score)
        if state.step % args.checkpointing_steps == 0 or last:
            state.settle(self.accelerator)
            self.checkpoints.save(state.step)

    def _look(self) -> None:
        """Check the losses and norms since the last look. Not each step: a look is where a GPU waits."""
        good = (self.checkpoints, self.accelerator.mixed_precision, self.args.learning_rate)
        for step, loss, norm in self._pending:
            self.state.running.append(loss.item())
            check_finite(self.state.running[-1], "The loss", step, *good)
            if norm is not None:
                check_finite(float(norm), "The gradient", step, *good)
        self._pending.clear()
        self._count_time()

    def _count_time(self) -> None:
        """Add what has passed since the batch came, and since the last count."""
        now, busy, state = time.perf_counter(), time.process_time(), self.state
        state.seconds += now - self._started
        state.cpu_seconds += busy - self._busy
        state.wall_seconds += now - self._clock
        self._started, self._busy, self._clock = now, busy, now

    def _after_validation(self, score: float) -> None:
        """Keep the best weights; where they have been the best for too long, go back to them with a lower rate."""
        best = self.best
        if score > best.score:
            best.score, best.misses = score, 0
            best.weights = [whole(weight) for weight in self.ema.shadow_params]
            if self.accelerator.is_main_process:
                with self.averaged():
                    save_file(self.network.state_dict(), self.folder / "best.unfinished")
                os.replace(self.folder / "best.unfinished", self.folder / "best.safetensors")
            return
        best.misses += 1
        if best.misses >= self.args.drop_after:
            best.drops, best.misses = best.drops + 1, 0
            with torch.no_grad():
                for parameter, weight in zip(self.trained.parameters(), best.weights):
                    parameter.copy_(split_like(weight, parameter))
            self.ema.shadow_params = [parameter.detach().clone() for parameter in self.trained.parameters()]
            self.ema.optimization_step, self.twin.step = 0, -1
            self.optimizer.optimizer.state.clear()
            set_learning_rate(self.optimizer, self.lr_scheduler, self.args.learning_rate / 10**best.drops)
            logger.info("step %d: back to the best, %.4g, with a tenth of the rate", self.state.step, best.score)

    def averaged(self) -> AbstractContextManager[nn.Module]:
        """The network in evaluation mode with its averaged weights, as a context."""
        return self.twin.averaged(self.ema, self.trained, self.state.step)

    def costs(self) -> dict[str, Any]:
        """Steps and seconds so far, for `results.json`."""
        return {
            "steps": self.state.step,
            "seconds": round(self.state.seconds, 1),
            "cpu_seconds": round(self.state.cpu_seconds, 1),
        }

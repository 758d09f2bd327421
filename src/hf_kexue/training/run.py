"""The common part of all training runs: clock, seeded batches, history, checkpoints, trackers, progress bar, and exact
resumption.

`loop.TrainingRun` adds one network with a schedule, `adversarial.AdversarialRun` two networks against each other.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..data.images import BrokenImages
from ..data.whole_files import write_whole
from .arguments import CommonArguments
from .checkpoints import Checkpoints
from .checks import different_arguments, require_full_batch, require_single_process
from .interruption import RunStopped, interruption
from .processes import broadcast_from_main, mean_over_processes, synchronized
from .state import History, TrainingState, step_seed

logger = logging.getLogger(__name__)
SECONDS_TO_STOP = 5  # at most, from Ctrl-C to the end of a step on several processes
DRY_STEPS = 2  # of --dry_run: the first one includes one-time costs


class Run:
    """A run, except its networks and its training step.

    A subclass prepares its networks, calls `begin`, then `count_batch` after each batch and `end_step` after each
    optimizer step, which calls its hooks `figures` and `evaluate`.

    Args:
        args: of the run.
        accelerator: of `training.setup.start`.
        loader: batches as dictionaries; its data set has `set_epoch`.
        manifest: of `training.setup.run_manifest`; written to the output folder.
        tracker: project name for the trackers.
        samples: unit of counts and messages, such as "images".
        generator_device: of `shared_generator` and `local_generator`.

    Attributes:
        shared_generator: seeded by (epoch, batch), so that resuming repeats the draws of a step. It is the same on
            every process: each draws for the global batch and keeps its slice.
        local_generator: likewise, but different on each process.
        state: steps, samples and seconds so far.
        broken: images that could not be decoded.
    """

    def __init__(
        self, args: CommonArguments, accelerator: Any, loader: Any, manifest: dict[str, Any], tracker: str,
        samples: str, generator_device: Any = "cpu",
    ) -> None:  # fmt: skip
        self.args: Any = args
        self.accelerator, self.loader, self.manifest = accelerator, loader, manifest
        self.folder, self.dataset, self.tracker, self.samples = Path(args.output_dir), loader.dataset, tracker, samples
        self.samples_key = "images" if samples == "images" else "samples"  # in the history
        require_single_process(self.args, accelerator.num_processes)
        self.streaming = not hasattr(self.dataset, "__len__")
        if not self.streaming:
            require_full_batch(loader, samples, accelerator.num_processes)
        difference = different_arguments(manifest, self.folder) if accelerator.is_main_process else None
        if difference := broadcast_from_main(accelerator, difference):
            raise ValueError(difference)
        self.shared_generator = torch.Generator(generator_device)
        self.local_generator = torch.Generator(generator_device)
        self.state = TrainingState()
        self.broken = BrokenImages(total=None if self.streaming else len(self.dataset))
        self._clock = self._started = self._busy = 0.0
        self._asked, self._ask_at = (
            (0, 0.0),
            0,
        )  # step and seconds of the last question whether to stop, and the next step

    def begin(self, states: Mapping[str, Any]) -> bool:
        """After preparing the networks: resume from the newest checkpoint, write the manifest, open history, trackers
        and progress bar.

        Args:
            states: further objects of a checkpoint, see `Checkpoints`.

        Returns:
            Whether the run resumes from a checkpoint.
        """
        from tqdm.auto import tqdm

        args, accelerator, state = self.args, self.accelerator, self.state
        writes = accelerator.is_main_process and not args.dry_run
        self.checkpoints = Checkpoints(
            accelerator, self.folder / "checkpoints", args.checkpoints_total_limit, {**states, "state": state}
        )
        resumed = self.checkpoints.resume(read_only=args.dry_run)
        if resumed:
            logger.info("Resumed from %s", resumed)
        if writes:  # after resuming, which may raise
            self.folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self.manifest, indent=1, ensure_ascii=False)
            write_whole(self.folder / "manifest.json", text)
        state.set_micro_batch(args.train_batch_size * accelerator.num_processes)
        if args.tracker != "none" and not args.dry_run:
            accelerator.init_trackers(self.tracker, {key: str(value) for key, value in asdict(args).items()})
        path = self.folder / "history.jsonl"
        self.history = History(accelerator, path, resumed_at=state.step, read_only=args.dry_run)
        self._asked = (state.step, state.wall_seconds)
        self._first_step, self._dry_seconds = state.step, [state.wall_seconds]
        bar: Any = tqdm(initial=state.step, total=args.max_train_steps, desc="training",
                        disable=not accelerator.is_main_process)  # fmt: skip
        self.bar = bar
        return resumed is not None

    # ---- progress

    def time_spent(self) -> float:
        """Elapsed share of --max_seconds or --max_cpu_seconds, whichever is further; 0 without."""
        spent = ((self.state.wall_seconds, self.args.max_seconds), (self.state.cpu_seconds, self.args.max_cpu_seconds))
        return max((seconds / limit for seconds, limit in spent if limit), default=0.0)

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or the time is over."""
        if self.args.dry_run and self.state.step >= self._first_step + DRY_STEPS:
            return True
        return self.state.step >= self.args.max_train_steps or self.time_spent() >= 1

    def due(self, steps: int) -> bool:
        """Whether the step just done is a multiple of `steps` (0: never) and not the last one."""
        return bool(steps) and self.state.step % steps == 0 and not self.finished

    def costs(self) -> dict[str, Any]:
        """Steps and seconds so far, for `results.json`."""
        return {
            "steps": self.state.step,
            "seconds": round(self.state.seconds, 3),
            "cpu_seconds": round(self.state.cpu_seconds, 3),
        }

    def estimate(self) -> dict[str, Any]:
        """The manifest of a dry run with the estimated minutes of all remaining steps, without evaluations."""
        steps = [later - earlier for earlier, later in zip(self._dry_seconds, self._dry_seconds[1:])]
        if not steps:
            logger.info("Nothing left to do: %s has %d steps.", self.folder, self.state.step)
            return self.manifest
        left = self.args.max_train_steps - self._first_step
        seconds = min(left * min(steps), self.args.max_seconds or float("inf"))
        if self.args.max_cpu_seconds:
            seconds = min(seconds, self.args.max_cpu_seconds * self.state.wall_seconds / self.state.cpu_seconds)
        logger.info(
            "Dry run: nothing was written. %d steps of %.2g s would take about %.1f minutes, without evaluations.",
            left, min(steps), seconds / 60,
        )  # fmt: skip
        return self.manifest | {"estimated_minutes": round(seconds / 60, 1)}

    # ---- the loop

    def batches(self) -> Iterator[dict[str, Any]]:
        """The batches of the remaining steps, with all generators seeded by (epoch, batch).

        Raises:
            RunStopped: if too many images cannot be decoded, or a stream has no batch.
        """
        accelerator, state = self.accelerator, self.state
        self._clock, interruption.in_loop = time.perf_counter(), True
        while not self.finished:
            for part in (self.dataset, self.loader):
                if hasattr(part, "set_epoch"):
                    part.set_epoch(state.epoch)
            loader = accelerator.skip_first_batches(self.loader, state.batch) if state.batch else self.loader
            for batch in self.grouped(synchronized(accelerator, loader) if self.streaming else loader):
                self._started, self._busy = time.perf_counter(), time.process_time()
                self._before_step(batch)
                yield batch
                if self.finished:
                    break
            else:
                if not state.batch:
                    raise RunStopped(f"The stream has no full batch of {self.samples}: lower --train_batch_size.")
                state.epoch, state.batch = state.epoch + 1, 0
        interruption.in_loop = False
        self.bar.close()
        if self.broken.seen:
            logger.info(self.broken.summary())

    def grouped(self, batches: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The batches of an epoch; a subclass may read those of a step together."""
        yield from batches

    def _before_step(self, batch: Mapping[str, Any]) -> None:
        """Count images that could not be decoded, and seed the generators."""
        from accelerate.utils import set_seed

        if "broken" in batch:
            try:
                self.broken.update(dict(batch))
            except RuntimeError as error:
                raise RunStopped(str(error)) from error
        place, process = (self.args.seed, self.state.epoch, self.state.batch), self.accelerator.process_index
        self.shared_generator.manual_seed(step_seed(*place))
        self.local_generator.manual_seed(step_seed(*place, process))
        set_seed(step_seed(*place, process) % 2**32)  # for dropout, which differs by process

    def count_batch(self, samples: int) -> None:
        """Count a batch after its backward pass.

        Args:
            samples: number in this process's batch.
        """
        self.state.batch += 1
        self.state.samples += samples * self.accelerator.num_processes

    def end_step(self) -> None:
        """After an optimizer step: count, log, evaluate, save, and stop on Ctrl-C.

        Raises:
            KeyboardInterrupt: after Ctrl-C, once a checkpoint is saved.
        """
        args, state = self.args, self.state
        state.step += 1
        self.bar.update()
        self.count_time()
        periods = (args.logging_steps, args.checkpointing_steps, getattr(args, "validation_steps", 0))
        if args.dry_run or any(steps and state.step % steps == 0 for steps in periods):
            self.check_pending()
        if args.dry_run:
            self._dry_seconds.append(state.wall_seconds)
        if last := self.finished:
            self.check_pending()
        if state.step % args.logging_steps == 0 or last:
            self._log()
        if args.dry_run:
            return
        self.evaluate(last)
        saves = state.step % args.checkpointing_steps == 0 or self.finished
        stops = self._stops()
        if saves or stops:
            self.check_pending()
            state.settle(self.accelerator)
            path = self.checkpoints.save(state.step)
        if stops and not self.finished:
            self.bar.close()
            raise KeyboardInterrupt(f"Stopped at step {state.step}, saved {path}: the same command resumes there.")

    def check_pending(self) -> None:
        """Fetch and check values from the device, for runs that do not do so at each step."""

    def figures(self) -> dict[str, float]:
        """Further figures for the history, such as the learning rate; none by default."""
        return {}

    def evaluate(self, last: bool) -> None:
        """Validate, if the run does."""

    def _log(self) -> None:
        """Log means since the last line, weighted by "weight" if rows have it, and the figures of this step."""
        rows, state = self.state.running, self.state
        keys = dict.fromkeys(key for row in rows for key in row if key != "weight")
        means = {}
        for key in keys:
            present = [row for row in rows if key in row]
            weights = [row.get("weight", 1.0) for row in present]
            sums = (sum(row[key] * weight for row, weight in zip(present, weights)), sum(weights))
            total, weight = mean_over_processes(self.accelerator, [value / len(present) for value in sums])
            means[key] = total / weight if weight else total
        if self.time_spent():  # expected steps within the time
            self.bar.total = max(state.step, min(self.args.max_train_steps, round(state.step / self.time_spent())))
        self.bar.set_postfix({key: f"{means[key]:.4f}" for key in list(means)[:2]})
        figures = means | self.figures() | {self.samples_key: state.samples, "seconds": round(state.seconds, 2)}
        self.history.log(state.step, **figures)
        state.running.clear()

    def _stops(self) -> bool:
        """Whether Ctrl-C was pressed on any process. Several ask each other every few seconds, since it is a
        collective, but in time for launchers, which kill what has not ended after half a minute."""
        if self.accelerator.num_processes == 1:
            return interruption.requested
        step, seconds = self._asked
        if self.state.step < self._ask_at:
            return False
        each = (self.state.wall_seconds - seconds) / max(1, self.state.step - step)
        requested, each = mean_over_processes(self.accelerator, [float(interruption.requested), each])
        self._asked = (self.state.step, self.state.wall_seconds)
        self._ask_at = self.state.step + max(1, int(SECONDS_TO_STOP / max(each, 1e-3)))
        return requested > 0

    def count_time(self) -> None:
        """Add the time since the batch arrived, and since the last call."""
        now, busy, state = time.perf_counter(), time.process_time(), self.state
        state.seconds += now - self._started
        state.cpu_seconds += busy - self._busy
        state.wall_seconds += now - self._clock
        self._started, self._busy, self._clock = now, busy, now

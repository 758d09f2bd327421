"""Training of one network: gradient steps, EMA, validation, and the articles' stopping rule (return to the best
weights with a tenth of the learning rate).

    accelerator = start(args)
    run = TrainingRun(args, accelerator, model, loader, manifest, "tracker", "sentences", validate)
    for batch in run.batches():
        with accelerator.accumulate(run.model):
            with accelerator.autocast():
                loss = run.model(**batch).loss
            run.descend(loss)
        run.after_step(len(batch["input_ids"]))
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..data.whole_files import whole_file
from .arguments import RunArguments
from .checkpoints import full_copy
from .processes import broadcast_from_main, mean_over_processes
from .run import Run
from .setup import optimizer_and_schedule
from .sharding import AveragedWeights, EvaluationCopy, shard_like
from .state import check_finite, set_learning_rate, trainable

logger = logging.getLogger(__name__)


@dataclass
class Best:
    """The best validation score so far, its weights, and the validations since; saved with each checkpoint, so that a
    resumed run never sees weights of a later step."""

    score: float = -1.0
    misses: int = 0
    drops: int = 0
    weights: list[Tensor] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class TrainingRun(Run):
    """A run of one network, except its training step.

    Args:
        args, accelerator, loader, manifest, tracker, samples: see `Run`. `loader` may be a stream, of which each
            process reads its shard.
        model: to train; `run.model` is the prepared one, `run.trained` the unwrapped one, and `run.network` the one
            that is evaluated and saved: the same, but with FSDP a full copy.
        validate: returns figures and the score that selects the best weights, larger is better; called by all
            processes with the EMA weights in place. None: no validation.
        optimizer: of the model's parameters; default: AdamW of `training.setup`.
        first_score: also validate before the first step, for a network with trained weights.
        counts: batch -> what the parts of its loss are means over, such as numbers of characters. With `weighted` the
            gradient of accumulated batches is that of one batch with all their samples.
    """

    def __init__(
        self, args: RunArguments, accelerator: Any, model: nn.Module, loader: Any, manifest: dict[str, Any],
        tracker: str, samples: str, validate: Callable[[], tuple[dict[str, float], float]] | None,
        optimizer: torch.optim.Optimizer | None = None, first_score: bool = False,
        counts: Callable[[dict[str, Any]], Sequence[float]] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(args, accelerator, loader, manifest, tracker, samples, accelerator.device)
        self.validate = validate
        optimizer, lr_scheduler = optimizer_and_schedule(args, model, self.time_spent, optimizer)
        self.copy, self.best = EvaluationCopy(accelerator, model), Best()
        self.model, self.optimizer, self.lr_scheduler, *prepared = accelerator.prepare(
            model, optimizer, lr_scheduler, *([] if self.streaming else [loader])
        )
        self.loader = prepared[0] if prepared else loader
        self.trained = accelerator.unwrap_model(self.model)
        self.network: Any = self.copy.network or self.trained
        self.ema = AveragedWeights(trainable(self.trained), args.ema_decay)
        self.norm: Any = None
        # (step, loss, weight, norm) not yet checked, and the weights of the batches of this step
        self._pending: list[tuple[int, Tensor, float, Any]] = []
        self._weights: list[float | None] = []
        self._counts, self._loss_weights = counts if args.gradient_accumulation_steps > 1 else None, [1.0]
        if self._counts:  # `grouped` reads ahead, and says itself where a step ends
            accelerator.gradient_state.plugin_kwargs["sync_with_dataloader"] = False
        if self.begin({"ema": self.ema, "best": self.best}):
            # A checkpoint restores its learning rate; the one of the command line wins.
            set_learning_rate(self.optimizer, self.lr_scheduler, args.learning_rate / 10**self.best.drops)
        self._scores_first = first_score and not self.state.step and not args.dry_run and validate is not None

    @property
    def finished(self) -> bool:
        """Whether all steps are done, the time is over, or the run has returned to the best weights twice."""
        return super().finished or self.best.drops == 2

    def batches(self) -> Iterator[dict[str, Any]]:
        """The batches of the remaining steps; see `Run`."""
        if self._scores_first:
            self._validate()
        yield from super().batches()
        with self.averaged():  # a collective, so that the main process can save alone afterwards
            pass

    def grouped(self, batches: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The batches of an epoch. With `counts` those of a step are read before the first of them is trained on."""
        steps, iterator = self.args.gradient_accumulation_steps, iter(batches)
        if self._counts is None:
            yield from iterator
            return
        while group := list(islice(iterator, steps)):
            counts = [list(self._counts(batch)) for batch in group]
            means = mean_over_processes(self.accelerator, [float(value) for row in counts for value in row])
            table = torch.tensor(means, dtype=torch.float64).view(len(group), -1)
            table = table * len(group) / table.sum(dim=0).clamp(min=torch.finfo(table.dtype).tiny)
            for place, (batch, weights) in enumerate(zip(group, table.tolist()), start=1):
                self._loss_weights = weights
                self.accelerator.step = steps - 1 if place == len(group) else 0  # Accelerate adds 1 and divides
                yield batch

    def weighted(self, *losses: Tensor) -> Tensor:
        """The sum of the parts of a loss, each weighted by its count over the mean count of the step's batches.

        Args:
            losses: in the order of `counts`, means over what it counts.
        """
        weights = self._loss_weights if self._counts else [1.0] * len(losses)
        parts = [loss * weight for loss, weight in zip(losses, weights, strict=True)]
        return sum(parts[1:], parts[0])

    # ---- the step

    def descend(
        self, loss: Tensor, weight: float | None = None, change_gradients: Callable[[], None] | None = None
    ) -> None:
        """Backward; after the last micro batch of a step also clip, step, advance the schedule, zero the gradients.

        The gradient of a step is the mean over its micro batches, even if an epoch ends with fewer of them than
        --gradient_accumulation_steps.

        Args:
            loss: mean over the batch.
            weight: of the batch in the mean over micro batches and processes, such as a number of images. None: equal
                weights. With DeepSpeed, which steps by itself, only zero or non-zero matters.
            change_gradients: called before clipping.
        """
        accelerator = self.accelerator
        if weight is not None and self._is_deepspeed:
            weight = float(weight != 0)
        accelerator.backward(loss if weight is None else loss * weight)
        self._weights.append(weight)
        self.norm = None
        if accelerator.sync_gradients:
            self._divide_gradients()
            if change_gradients:
                change_gradients()
            self.norm = accelerator.clip_grad_norm_(self.model.parameters(), self.args.max_grad_norm)
        self.optimizer.step()
        if accelerator.sync_gradients and not self.optimizer.step_was_skipped:
            self.lr_scheduler.step()
        self.optimizer.zero_grad()
        norm = None if self.optimizer.step_was_skipped else self.norm
        self._pending.append((self.state.step + 1, loss.detach(), 1.0 if weight is None else weight, norm))

    def _divide_gradients(self) -> None:
        """Normalise the sum of weighted gradients, which Accelerate has divided by --gradient_accumulation_steps and
        averaged over processes, to their weighted mean."""
        weights, self._weights = self._weights, []
        if self._is_deepspeed:
            return
        total = float(len(weights))
        if weights[0] is not None:
            (total,) = mean_over_processes(self.accelerator, [sum(weight or 0.0 for weight in weights)])
        factor = self.args.gradient_accumulation_steps / total if total else 1.0
        if factor != 1:
            for parameter in self.trained.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(factor)

    @property
    def _is_deepspeed(self) -> bool:
        return str(self.accelerator.distributed_type).endswith("DEEPSPEED")

    def after_step(self, samples: int) -> None:
        """Count, check, update the EMA, log, validate, save.

        Args:
            samples: number in this process's batch.

        Raises:
            FloatingPointError: if loss or gradient is not finite; raised before the next logging, validation or
                checkpoint.
        """
        self.count_batch(samples)
        if self.norm is None:  # the gradient is still accumulating
            self.count_time()
            return
        self.ema.step(trainable(self.trained))
        self.end_step()

    # ---- hooks of `Run`

    def check_pending(self) -> None:
        """Check the losses and norms since the last call. Not at each step, since it synchronises with the GPU."""
        context = (self.checkpoints, self.accelerator.mixed_precision, self.args.learning_rate)
        for step, loss, weight, norm in self._pending:
            row = {"loss": loss.item()}
            self.state.running.append(row if weight == 1 else row | {"weight": weight})
            check_finite(row["loss"], "The loss", step, *context)
            if norm is not None:
                check_finite(float(norm), "The gradient", step, *context)
        self._pending.clear()
        self.count_time()

    def figures(self) -> dict[str, float]:
        return {"gradient_norm": float(self.norm), "learning_rate": self.lr_scheduler.get_last_lr()[0]}

    def evaluate(self, last: bool) -> None:
        if self.validate and self.state.step % self.args.validation_steps == 0 and not last:
            self._validate()

    def _validate(self) -> None:
        """Validate the EMA weights, log the figures, and update the best weights."""
        assert self.validate is not None
        with self.averaged():
            figures, score = broadcast_from_main(self.accelerator, self.validate())
        text = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
        logger.info("step %d: %s", self.state.step, text)
        self.history.log(self.state.step, **figures)
        if self.args.drop_after:
            self._after_validation(score)

    def _after_validation(self, score: float) -> None:
        """Keep the best weights; after too many validations without a new best, return to them with a lower rate."""
        best = self.best
        if score > best.score:
            best.score, best.misses = score, 0
            best.weights = [full_copy(weight) for weight in self.ema.shadow_params]
            if self.accelerator.is_main_process:
                with self.averaged(), whole_file(self.folder / "best.safetensors") as unfinished:
                    save_file(self.network.state_dict(), unfinished)
            return
        best.misses += 1
        if best.misses >= self.args.drop_after:
            best.drops, best.misses = best.drops + 1, 0
            with torch.no_grad():
                for parameter, weight in zip(trainable(self.trained), best.weights):
                    parameter.copy_(shard_like(weight, parameter))
            self.ema.shadow_params = [parameter.detach().clone() for parameter in trainable(self.trained)]
            self.ema.optimization_step, self.copy.step = 0, -1
            self.optimizer.optimizer.state.clear()
            set_learning_rate(self.optimizer, self.lr_scheduler, self.args.learning_rate / 10**best.drops)
            logger.info(
                "step %d: back to the best weights, score %.4g, with a tenth of the learning rate",
                self.state.step,
                best.score,
            )

    def averaged(self) -> AbstractContextManager[nn.Module]:
        """The network in evaluation mode with its EMA weights, as a context manager."""
        return self.copy.averaged(self.ema, self.trained, self.state.step)

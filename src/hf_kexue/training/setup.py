"""Setup of a training run: argument checks, `Accelerator`, manifest, loader, optimizer."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers.optimization import get_scheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..data.length_groups import LengthGroupedSampler
from . import processes
from .arguments import CommonArguments, RunArguments
from .checks import check_sources, fit_batch_to_data
from .environment import environment, fastest_precision
from .publishing import reserve_repository

logger = logging.getLogger(__name__)


def start(args: Any, networks: int = 1) -> Any:
    """Create the `Accelerator`, and set up logging and the global generators.

    Args:
        args: `CommonArguments`, or an object with `output_dir`, `mixed_precision`, `tracker`, `seed`.
        networks: number of networks to train.

    Raises:
        RuntimeError: if several processes have no process group.
        ValueError: for FSDP or DeepSpeed with several networks, a negative seed, and a missing data or donor folder.
    """
    from accelerate import Accelerator
    from accelerate.utils import DataLoaderConfiguration, ProjectConfiguration, set_seed

    if args.seed < 0:
        raise ValueError(f"--seed must be at least 0, got {args.seed}.")
    check_sources(args)
    folder = Path(args.output_dir)
    accelerator = Accelerator(
        gradient_accumulation_steps=getattr(args, "gradient_accumulation_steps", 1),
        mixed_precision=fastest_precision() if args.mixed_precision == "auto" else args.mixed_precision,
        log_with=None if args.tracker == "none" else args.tracker,
        project_config=ProjectConfiguration(project_dir=str(folder), logging_dir=str(folder / "logs")),
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True, non_blocking=True),
        **processes.options(),
    )
    logging.basicConfig(level=logging.INFO if accelerator.is_main_process else logging.ERROR, format="%(message)s")
    if message := processes.check(accelerator):
        logger.warning(message)
    kind = str(accelerator.distributed_type).rpartition(".")[2]
    if networks > 1 and kind in ("FSDP", "DEEPSPEED"):
        raise ValueError(
            f"{kind} supports one network, and this script trains {networks}: use accelerate_configs/ddp.yaml."
        )
    set_seed(args.seed)
    if accelerator.is_main_process and not args.dry_run:
        reserve_repository(args)
    return accelerator


def run_manifest(args: CommonArguments, accelerator: Any, model: nn.Module, **counts: Any) -> dict[str, Any]:
    """Arguments, sizes and environment of a run, for `manifest.json`; also logged.

    Args:
        args: of the run.
        accelerator: of `start`.
        model: to count the parameters of, with and without embeddings.
        counts: further entries, such as sizes of the data.
    """
    manifest = {
        "arguments": asdict(args),
        "parameters": sum(p.numel() for p in model.parameters()),
        "parameters_without_embeddings": sum(
            p.numel() for n, p in model.named_parameters() if ".embeddings." not in n or "projection" in n
        ),
        **counts,
        "processes": accelerator.num_processes,
        "precision": accelerator.mixed_precision,
        "environment": environment(accelerator.device),
    }
    logger.info(json.dumps(manifest, indent=1, ensure_ascii=False))
    return manifest


def parameter_groups(model: nn.Module, weight_decay: float, embedding_rate: float = 1.0) -> list[dict[str, Any]]:
    """Optimizer groups: weight decay for matrices, none for biases and scales; a separate group for embeddings with
    another rate. `share` is relative to the learning rate."""
    tables = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    slow = {id(table) for table in tables} if embedding_rate != 1 else set()
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in slow]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay, "share": 1.0},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0, "share": 1.0},
    ]
    if slow:
        tables = [table for table in tables if table.requires_grad]
        groups.append({"params": tables, "weight_decay": weight_decay, "share": embedding_rate})
    return groups


def length_multiple() -> int:
    """The multiple that batches of texts are padded to: 16 on a GPU, else 1."""
    return 16 if torch.cuda.is_available() else 1


def training_loader(
    args: RunArguments,
    dataset: Any,
    collator: Callable[[Any], dict[str, Tensor]],
    lengths: Sequence[int] | None = None,
    processes: int = 1,
) -> DataLoader:
    """A loader of full batches in random order by the seed.

    Args:
        args: of the run; --train_batch_size becomes smaller where the data are, see `checks.fit_batch_to_data`.
        dataset: with `set_epoch`; what it gives depends on epoch and index alone.
        collator: samples -> batch.
        lengths: of the samples, for batches of similar length.
        processes: number of processes that share the batches.
    """
    fit_batch_to_data(args, len(dataset), processes)
    size = args.train_batch_size * processes
    sampler = None if lengths is None else LengthGroupedSampler(lengths, size, args.seed)
    return DataLoader(
        dataset, args.train_batch_size, shuffle=sampler is None, sampler=sampler, drop_last=True, collate_fn=collator,
        generator=torch.Generator().manual_seed(args.seed), num_workers=args.dataloader_num_workers,
        persistent_workers=args.dataloader_num_workers > 0, pin_memory=torch.cuda.is_available(),
    )  # fmt: skip


def optimizer_and_schedule(
    args: RunArguments, model: nn.Module, time_spent: Callable[[], float] = float, optimizer: Any = None
) -> tuple[Any, Any]:
    """The optimizer and its learning rate schedule.

    Args:
        args: of the run.
        model: to train.
        time_spent: elapsed share of a time limit. After the warm-up the schedule follows steps or time, whichever is
            further.
        optimizer: default: AdamW over `parameter_groups`.
    """
    if optimizer is None:
        groups = parameter_groups(model, args.weight_decay, getattr(args, "embedding_rate", 1.0))
        groups = [group | {"lr": args.learning_rate * group["share"]} for group in groups]
        optimizer = torch.optim.AdamW(groups, args.learning_rate, betas=(0.9, 0.98), fused=True)
    schedule = get_scheduler(
        args.lr_scheduler, optimizer, num_warmup_steps=args.lr_warmup_steps, num_training_steps=args.max_train_steps
    )
    if args.max_seconds or args.max_cpu_seconds:
        fit_schedule_to_time(schedule, args.lr_warmup_steps, args.max_train_steps, time_spent)
    return optimizer, schedule


def fit_schedule_to_time(schedule: Any, warmup: int, steps: int, time_spent: Callable[[], float]) -> None:
    """Make a schedule, after its warm-up, follow steps or time, whichever is further.

    Args:
        schedule: a `LambdaLR`, not yet prepared.
        warmup: steps that time does not shorten.
        steps: total.
        time_spent: elapsed share of the time.
    """
    schedule.lr_lambdas = [
        lambda step, rate=rate: rate(step if step < warmup else max(step, round(time_spent() * steps)))
        for rate in schedule.lr_lambdas
    ]

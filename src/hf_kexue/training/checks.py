"""Checks before a run starts: missing paths, the folder of another run, too little data."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

# What a run may go on with otherwise than it began; anything else makes another run.
CHANGEABLE = {
    "output_dir", "preset", "max_train_steps", "num_train_epochs", "max_seconds", "max_cpu_seconds",
    "train_batch_size", "gradient_accumulation_steps", "gradient_checkpointing", "learning_rate",
    "learning_rate_end", "lr_scheduler", "lr_warmup_steps", "annealing_steps", "max_grad_norm", "mixed_precision",
    "compile", "dataloader_num_workers", "decoded_megabytes", "checkpointing_steps", "checkpoints_total_limit",
    "logging_steps", "validation_steps", "validation", "validation_split", "validation_questions",
    "validation_sentences", "drop_after", "sample_steps", "sample_inference_steps", "sample_guidance_scale",
    "distance_steps", "distance_images", "collapse_margin", "collapse_steps", "tracker", "dry_run", "push_to_hub",
    "hub_private", "hub_license", "shards",
}  # fmt: skip
SOURCES = ("dataset", "text_encoder", "train", "validation", "texts", "triples", "init_from", "teacher")


def check_sources(args: Any) -> None:
    """Raise for missing local paths, which would be looked up on the Hub.

    `pictures` and `owner/name` may be ids of the Hub, unless there is a local folder `owner`.

    Raises:
        ValueError: naming argument and path.
    """
    for name in SOURCES:
        sources = getattr(args, name, None) or []
        for source in [sources] if isinstance(sources, str) else sources:
            path = Path(source).expanduser()
            local = source.startswith((".", "/", "~")) or source.endswith("/") or source.count("/") > 1
            if not path.exists() and (local or ("/" in source and path.parent.is_dir())):
                raise ValueError(f"--{name} {source}: no such file or folder.")


def different_arguments(manifest: dict[str, Any], folder: Path) -> str | None:
    """An error message if the folder has checkpoints of a run with other arguments, else None."""
    path = folder / "manifest.json"
    if not path.is_file() or not any((folder / "checkpoints").glob("checkpoint-*")):
        return None
    before = json.loads(path.read_text(encoding="utf-8"))
    old, new = before["arguments"], json.loads(json.dumps(manifest["arguments"]))
    other = [f"--{k} {old[k]} (now {new[k]})" for k in new if k in old and k not in CHANGEABLE and old[k] != new[k]]
    if before.get("classes", manifest.get("classes")) != manifest.get("classes"):
        other.append(f"classes {before['classes']} (now {manifest['classes']})")
    if not other:
        return None
    return (
        f"{folder} holds checkpoints of another run, with {', '.join(other)}. Use another --output_dir, or the same "
        "arguments to resume."
    )


def fit_batch_to_data(args: Any, count: int, processes: int = 1) -> None:
    """Lower --train_batch_size to what there is, unless it stood on the command line.

    Args:
        args: of the run, from `parse_arguments`; changed.
        count: of samples.
        processes: that they are dealt out to.
    """
    each = count // processes
    if "train_batch_size" not in args.explicit and 0 < each < args.train_batch_size:
        logger.warning("%d samples are fewer than a batch: --train_batch_size %d.", count, each)
        args.train_batch_size = each


def require_full_batch(loader: Any, samples: str, processes: int) -> None:
    """Raise if the data are smaller than one batch for each process.

    Raises:
        ValueError: naming their number.
    """
    if len(loader) < processes:
        each = f" for each of {processes} processes" if processes > 1 else ""
        raise ValueError(f"{len(loader.dataset)} {samples} do not fill one batch{each}: lower --train_batch_size.")


def require_single_process(args: Any, processes: int) -> None:
    """Raise if the time is limited with several processes, whose clocks would stop at different steps.

    Raises:
        ValueError: for several processes, or a negative time.
    """
    for name in ("max_seconds", "max_cpu_seconds"):
        limit = getattr(args, name)
        if limit < 0:
            raise ValueError(f"--{name} must be at least 0, got {limit:g}.")
        if limit and processes > 1:
            raise ValueError(f"--{name} needs a single process, got {processes}: use --max_train_steps.")

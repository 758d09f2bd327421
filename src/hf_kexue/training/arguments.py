"""Arguments of a training script: dataclass defaults, overridden by a YAML preset, overridden by the command line."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

ArgumentsT = TypeVar("ArgumentsT")


def option(default: Any, text: str) -> Any:
    """A dataclass field with its help text.

    Args:
        default: value; a list is copied.
        text: shown by `--help`.
    """
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata={"help": text})
    return field(default=default, metadata={"help": text})


def parse_arguments(
    arguments_class: type[ArgumentsT],
    presets: Path,
    argv: list[str] | None = None,
    default_preset: str | Callable[[Any], str] = "{resolution}",
    pattern: str = "*",
) -> ArgumentsT:
    """Parse arguments: command line > preset > dataclass default.

    The dataclass has a field `preset`: a file name, or a name in the folder `presets`. Its default is
    `default_preset`, a pattern over the other fields.

    Args:
        arguments_class: dataclass that `transformers.HfArgumentParser` understands.
        presets: folder of `<name>.yaml`.
        argv: arguments without the program name; default `sys.argv[1:]`.
        default_preset: pattern of the preset's name, or a function of the parsed arguments that returns it.
        pattern: glob of the presets of this script, for error messages.

    Raises:
        SystemExit: with a usage message, for an unknown argument, preset, or key inside a preset.

    Returns:
        The arguments; their attribute `explicit` is the frozenset of names given on the command line.
    """
    import yaml
    from transformers import HfArgumentParser

    argv = sys.argv[1:] if argv is None else argv
    parser = HfArgumentParser(arguments_class, allow_abbrev=False)
    requested, unknown_arguments = parser.parse_known_args(argv)
    if unknown_arguments:
        parser.error(f"unknown arguments {' '.join(unknown_arguments)}; see --help")
    name = requested.preset
    if not name and callable(default_preset):
        try:
            name = default_preset(requested)
        except ValueError as error:
            parser.error(str(error))
    elif not name:
        name = str(default_preset).format(**vars(requested))
    known = sorted(path.stem for path in presets.glob(f"{pattern}.yaml"))
    path = Path(name) if name.endswith((".yaml", ".yml")) else presets / f"{name}.yaml"
    if not path.is_file():
        parser.error(
            f"there is no preset {name!r}; the presets are {', '.join(known)}, or give the path of a YAML file"
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        parser.error(f"{path.name} is not valid YAML: {' '.join(str(error).split())}")
    if not isinstance(values, dict):
        parser.error(f"{path.name} must hold a mapping of arguments to values, got {type(values).__name__}")
    fields = {field.name for field in dataclasses.fields(arguments_class)} - {"preset"}  # type: ignore[arg-type]
    unknown = sorted(set(values) - fields)
    if unknown:
        parser.error(f"{path.name} has unknown keys {unknown}; allowed are the arguments of this script (--help)")
    parser.set_defaults(**values, preset=name)
    (arguments,) = parser.parse_args_into_dataclasses(argv, look_for_args_file=False)
    words = {word.partition("=")[0].removeprefix("--").removeprefix("no_") for word in argv if word.startswith("--")}
    setattr(arguments, "explicit", frozenset(words))  # noqa: B010  (any dataclass, which does not declare it)
    return arguments


@dataclass
class CommonArguments:
    """Common arguments of all training scripts."""

    explicit: ClassVar[frozenset[str]] = frozenset()  # names given on the command line

    output_dir: str = option("outputs/run", "Folder for checkpoints, figures and the model.")
    # optimisation
    max_train_steps: int = option(6000, "Optimizer steps.")
    max_seconds: float = option(0.0, "Also stop after this time, with all schedules fitted to it; not reproducible. "
                                "0: no limit.")  # fmt: skip
    max_cpu_seconds: float = option(0.0, "The same for processor time in training steps, of all threads. 0: no limit.")
    train_batch_size: int = option(32, "Samples per process and micro step.")
    learning_rate: float = option(1e-3, "Peak of the schedule.")
    mixed_precision: str = option("auto", "'no', 'bf16', 'fp16', or 'auto': bf16 where this device is faster with it.")
    seed: int = option(0, "Of all random draws, at least 0.")
    # periodic actions
    checkpointing_steps: int = option(500, "Optimizer steps between checkpoints.")
    checkpoints_total_limit: int = option(2, "Checkpoints kept.")
    logging_steps: int = option(20, "Optimizer steps between log lines.")
    tracker: str = option("tensorboard", "Any tracker of Accelerate, or 'none'.")
    dry_run: bool = option(False, "Print the manifest, run two steps, estimate the time, write nothing.")


@dataclass
class RunArguments(CommonArguments):
    """Common arguments of runs of one network with one schedule."""

    # optimisation
    num_train_epochs: float = option(0.0, "Passes over the data, instead of --max_train_steps; 0: use steps.")
    gradient_accumulation_steps: int = option(1, "Micro steps per optimizer step.")
    lr_scheduler: str = option("cosine", "Name in diffusers.optimization.")
    lr_warmup_steps: int = option(100, "Optimizer steps.")
    drop_after: int = option(0, "Validations without a new best after which the best weights return with a tenth of "
                             "the learning rate (the articles); the second time the run ends. 0: never.")  # fmt: skip
    weight_decay: float = option(0.01, "Of AdamW.")
    max_grad_norm: float = option(1.0, "Clip of the gradient norm.")
    dataloader_num_workers: int = option(0, "Processes that make batches; a GPU wants several.")
    ema_decay: float = option(0.998, "Final decay; it ramps up as (1 + step) / (10 + step).")
    # periodic actions
    validation_steps: int = option(500, "Optimizer steps between validations.")


def on_error(args: Any) -> Literal["raise", "skip"]:
    """What the readers of records do with broken ones: --skip_broken."""
    return "skip" if args.skip_broken else "raise"


@dataclass
class TextArguments(RunArguments):
    """Common arguments of runs on texts."""

    skip_broken: bool = option(False, "Leave broken records out, with a warning, in place of an error.")
    embedding_rate: float = option(1.0, "Learning rate of embeddings, as a share of that of the rest.")

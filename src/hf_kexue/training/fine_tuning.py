"""Fine-tuning: shape of the donor model, weights to copy, number of steps."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from .arguments import RunArguments

logger = logging.getLogger(__name__)
FINE_TUNING_EPOCHS = 20
IMAGE_FINE_TUNING_EPOCHS = 100  # noise and augmentation make each pass over few images a new one


def follow_donor(args: Any, donor: Any, shape: Sequence[str]) -> None:
    """Set the shape of a run to that of the model it starts from, except for arguments on the command line.

    Args:
        args: of the run, with `init_from`; modified.
        donor: configuration of the model.
        shape: names of the arguments that determine the shapes of weights.

    Raises:
        ValueError: for a --preset on the command line with another shape.
    """
    other = {
        key: getattr(donor, key) for key in shape
        if key not in args.explicit and _plain(getattr(donor, key)) != _plain(getattr(args, key))
    }  # fmt: skip
    if other and "preset" in args.explicit:
        mine = {key: getattr(args, key) for key in other}
        raise ValueError(
            f"--preset {args.preset} and --init_from {args.init_from} differ in shape: {mine} and {other}. Omit "
            "--preset to follow the model, or set these arguments explicitly: weights that do not fit are then newly "
            "initialised."
        )
    for key, value in other.items():
        setattr(args, key, _plain(value))
    if other:
        logger.info("The network has the shape of %s: %s", args.init_from, other)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def check_width(args: Any, donor: Any) -> None:
    """Raise if the donor has another width, since hardly any of its weights would fit.

    Args:
        args: of the run, with `init_from` and `hidden_size`.
        donor: configuration of the donor.

    Raises:
        ValueError: naming both widths.
    """
    if donor.hidden_size != args.hidden_size:
        raise ValueError(
            f"--init_from {args.init_from} has hidden_size {donor.hidden_size}, and this run {args.hidden_size}. "
            f"Use --hidden_size {donor.hidden_size}, or the preset that the model was trained with."
        )


def log_fresh_weights(args: Any, report: Any) -> None:
    """Log which weights are newly initialised.

    Args:
        args: of the run, with `init_from`.
        report: `loading_info` of transformers' `from_pretrained`.
    """
    names = [name[0] if isinstance(name, tuple) else name for key in ("missing_keys", "mismatched_keys")
             for name in report[key]]  # fmt: skip
    fresh = sorted({name.removesuffix(".weight").removesuffix(".bias") for name in names})
    logger.info("Started from %s%s", args.init_from, f"; newly initialised: {', '.join(fresh)}" if fresh else "")


def fit_steps_to_data(args: RunArguments, loader: Any, processes: int, fine_tuning: int = 0) -> None:
    """Set --max_train_steps from --num_train_epochs; when fine-tuning with neither given, to at most as many epochs as
    `fine_tuning` says.

    Args:
        args: of the run, from `parse_arguments`; modified.
        loader: batches, before sharding.
        processes: number of processes.
        fine_tuning: epochs of a run that starts from a model trained for the same task; 0: it does not.
    """
    if args.num_train_epochs < 0:
        raise ValueError(f"--num_train_epochs must be at least 0, got {args.num_train_epochs:g}.")
    epochs, streaming = args.num_train_epochs, not hasattr(loader.dataset, "__len__")
    chosen = not fine_tuning or args.max_seconds or args.max_cpu_seconds or "max_train_steps" in args.explicit
    if not epochs and (chosen or streaming):
        return
    if streaming:
        raise ValueError("--num_train_epochs needs data of known length: use --max_train_steps with --streaming.")
    steps_per_epoch = math.ceil(len(loader) // processes / args.gradient_accumulation_steps)
    steps = max(1, math.ceil((epochs or fine_tuning) * steps_per_epoch))
    if not epochs and steps >= args.max_train_steps:
        return
    args.max_train_steps = steps
    if "lr_warmup_steps" not in args.explicit:
        args.lr_warmup_steps = min(args.lr_warmup_steps, steps // 10)
    logger.info(
        "%d steps, %d of them warm-up: %g epochs of %d. Change with --num_train_epochs or --max_train_steps.",
        steps, args.lr_warmup_steps, epochs or fine_tuning, steps_per_epoch,
    )  # fmt: skip


@torch.no_grad()
def blend_weights(model: Any, other: Any, share: float) -> None:
    """Set the weights of a model to share * its own + (1 - share) * another's. Between a model and what it was
    fine-tuned from, such a mean holds most of what both know (Wortsman et al. 2022, arXiv 2109.01903).

    Args:
        model: any; modified.
        other: of the same shape, with the same schema where it has one.
        share: in [0, 1].

    Raises:
        ValueError: for a share out of range, another shape or another order of predicates.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"--blend must be in [0, 1], got {share}.")
    mine, theirs = model.state_dict(), other.state_dict()
    names = [
        [entry["predicate"] for entry in getattr(one.config, "triple_schema", None) or []] for one in (model, other)
    ]
    if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in theirs.items()} or names[0] != names[1]:
        raise ValueError("--blend_with has another shape or other predicates than the model of --init_from.")
    for key, value in mine.items():
        if value.is_floating_point():
            value.copy_(torch.lerp(theirs[key].to(value), value, share))


@torch.no_grad()
def init_prior_columns(model: Any, donor: Any) -> None:
    """Initialise the layers that read the prior: copy the columns of the hidden states, copy those of the prior by
    predicate name, and zero the others.

    Args:
        model: a `DGCNNForTripleExtraction`; modified.
        donor: another one of the same width.
    """
    predicates = [[entry["predicate"] for entry in network.schema] for network in (model, donor)]
    shared = [(new, predicates[1].index(name)) for new, name in enumerate(predicates[0]) if name in predicates[1]]
    for layer, old, hints in (
        (model.head.subject_hidden, donor.head.subject_hidden, (2, 2)),
        (model.head.object_hidden, donor.head.object_hidden, tuple(2 + 2 * len(names) for names in predicates)),
    ):
        states = layer.in_channels - hints[0] * model.config.triple_prior
        if layer.out_channels != old.out_channels or states != old.in_channels - hints[1] * donor.config.triple_prior:
            continue  # of another shape: newly initialised
        layer.weight[:, states:] = 0
        layer.weight[:, :states] = old.weight[:, :states]
        layer.bias.copy_(old.bias)
        if not (model.config.triple_prior and donor.config.triple_prior):
            continue
        columns = [(0, 0), (1, 1)]  # starts and ends of subjects, then starts and ends of objects by predicate
        if hints[0] > 2:
            counts = [len(names) for names in predicates]
            columns += [
                (2 + end * counts[0] + new, 2 + end * counts[1] + its) for new, its in shared for end in (0, 1)
            ]
        for new, its in columns:
            layer.weight[:, states + new] = old.weight[:, states + its]


@torch.no_grad()
def copy_image_weights(model: Any, source: str, names: list[str]) -> list[str]:
    """Copy the weights of another diffusion network with the same blocks. The first and last layers, and those that
    read the vector of a prompt, are newly initialised if their shapes differ or the other has none; rows of the class
    table are copied by class name, with the null class.

    Args:
        model: a `SimpleDiffusionUViT2DModel` or `SimpleDiffusionViT2DModel`; changed.
        source: folder of a pipeline with the other.
        names: of the classes of the model, in order; empty where it has none.

    Returns:
        Names of the modules that start afresh, in part or in full.

    Raises:
        ValueError: for a network with other blocks, naming the weights.
    """
    donor: dict[str, Tensor] = type(model).from_pretrained(source, subfolder="unet").state_dict()
    labels = (DiffusionPipeline.load_config(source).get("id2label") or {}) if names else {}
    donor_names = [labels[key] for key in sorted(labels, key=int)]
    weights, table = model.state_dict(), "class_embedding.weight"
    other_classes = table in weights and (table not in donor or names != donor_names)
    if table in donor and table in weights and names != donor_names:
        places = [(names.index(name), number) for number, name in enumerate(donor_names) if name in names] + [(-1, -1)]
        rows = weights[table].clone()
        if rows.shape[1] == donor[table].shape[1]:
            for new, old in places:
                rows[new] = donor[table][old]
            donor[table] = rows
        count = len(names) + 1 - len(places)
        logger.info("Classes differ from those of %s: %d of %d are newly initialised.", source, count, len(names))
    elif (table in donor) != (table in weights):
        has = ("a", "none") if table in donor else ("no", "one")
        logger.info("%s has %s class table, this run has %s.", source, *has)
        donor.pop(table, None)
    fresh = sorted(key for key in weights if key not in donor or donor[key].shape != weights[key].shape)
    ends = ("conv_in.", "conv_out.", "patch_embedding.", "head_out.", "readout_heads.", "pooled_text.")
    other = [key for key in fresh if not key.startswith(ends) and (key != table or key in donor)]
    if other := other + sorted(donor.keys() - weights.keys()):
        raise ValueError(f"--init_from {source} has another architecture; these weights do not fit: {other}.")
    model.load_state_dict(weights | {key: value for key, value in donor.items() if key not in fresh})
    logger.info("Started from %s%s", source, f"; newly initialised: {fresh}" if fresh else "")
    return sorted({key.rpartition(".")[0] for key in [*fresh, *([table] if other_classes else [])]})

"""What a training script does for `--push_to_hub`: the place is made before it trains, and filled when it has.

args = parse_arguments(...)                        # with the fields of PublishingArguments
accelerator = start(args)                          # makes the repository
...
push_to_hub(args, pipeline, results)               # output_dir/repository, then the Hub
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .hub import export_repository, publish, reserve
from .presets import option
from .run_cards import run_card

logger = logging.getLogger(__name__)


@dataclass
class PublishingArguments:
    """Whether a run ends on the Hub; the arguments of a script inherit from it."""

    push_to_hub: str | None = option(None, "Repository of the Hub, user/name, that the model is published to.")
    hub_private: bool = option(False, "Only its owner sees it.")


class Publishing(Protocol):
    """What is read of the arguments."""

    push_to_hub: str | None
    hub_private: bool
    output_dir: str


def reserve_place(args: Publishing) -> None:
    """Make the repository of --push_to_hub: a wrong name or token ends a run before it begins."""
    if args.push_to_hub:
        reserve(args.push_to_hub, private=args.hub_private)


def push_to_hub(args: Publishing, pipeline: Any, results: dict[str, Any]) -> str | None:
    """Export a trained pipeline with its code and a card to `output_dir/repository`, and publish that.

    Args:
        args: of the run; without --push_to_hub nothing is done.
        pipeline: of diffusers or transformers, with the weights to publish.
        results: of the run, as in its results.json: the card shows them.

    Returns:
        The address of the commit, None if nothing was published.
    """
    if not args.push_to_hub:
        return None
    folder = export_repository(pipeline, Path(args.output_dir) / "repository")
    (folder / "README.md").write_text(run_card(pipeline, args.push_to_hub, results), encoding="utf-8")
    address = publish(folder, args.push_to_hub, private=args.hub_private)
    logger.info("Published %s", address)
    return address

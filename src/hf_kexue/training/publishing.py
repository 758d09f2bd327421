"""`--push_to_hub` of the training scripts: create the repository before training, publish after it.

    class Arguments(PublishingArguments, RunArguments): ...

    accelerator = start(args)                   # creates the repository, or raises
    ...
    push_to_hub(args, pipeline, results)        # output_dir/repository, then the Hub

Without the option there is no request to the Hub.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.whole_files import write_whole
from ..hub import export_repository, publish
from ..hub.repository import reserve
from ..hub.run_cards import run_card
from .arguments import option

logger = logging.getLogger(__name__)


@dataclass
class PublishingArguments:
    """Arguments for publishing the result of a run."""

    push_to_hub: str | None = option(None, "Repository of the Hub, user/name, to publish the model to.")
    hub_private: bool = option(False, "Make the repository private.")
    hub_license: str | None = option(None, "Licence of the weights for its card, as the Hub calls it: apache-2.0, ...")


def reserve_repository(args: Any) -> None:
    """Create the repository of --push_to_hub, if given, so that a wrong name or token raises before training."""
    if isinstance(args, PublishingArguments) and args.push_to_hub:
        reserve(args.push_to_hub, private=args.hub_private)


def push_to_hub(args: Any, pipeline: Any, results: dict[str, Any]) -> str | None:
    """Export a trained pipeline with its code and a card to `output_dir/repository`, and publish that.

    Args:
        args: of the run, including `PublishingArguments`; does nothing without --push_to_hub.
        pipeline: of diffusers or transformers, with the weights to publish.
        results: of the run, as in its results.json, for the card.

    Returns:
        The URL of the commit, or None.
    """
    if not args.push_to_hub:
        return None
    folder = export_repository(pipeline, Path(args.output_dir) / "repository")
    write_whole(folder / "README.md", run_card(pipeline, args.push_to_hub, results))
    address = publish(folder, args.push_to_hub, private=args.hub_private)
    logger.info("Published %s", address)
    return address

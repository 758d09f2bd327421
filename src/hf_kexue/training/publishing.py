"""What a training script does for `--push_to_hub`: the place is made before it trains, and filled when it has.

    class Arguments(PublishingArguments, RunArguments): ...

    accelerator = start(args)                   # makes the repository, or says why not
    ...
    push_to_hub(args, pipeline, results)        # output_dir/repository, then the Hub

Without the option nothing is asked of the Hub.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..hub import export_repository, publish
from ..hub.repository import reserve
from ..hub.run_cards import run_card
from .arguments import option

logger = logging.getLogger(__name__)


@dataclass
class PublishingArguments:
    """Whether a run ends on the Hub; the arguments of a script inherit from it."""

    push_to_hub: str | None = option(None, "Repository of the Hub, user/name, that the model is published to.")
    hub_private: bool = option(False, "Only its owner sees it.")
    hub_license: str | None = option(None, "Licence of the weights for its card, as the Hub calls it: apache-2.0, ...")


def reserve_place(args: Any) -> None:
    """Make the repository of --push_to_hub, where a script has that and it is given: a wrong name or token ends a run
    before it begins."""
    if isinstance(args, PublishingArguments) and args.push_to_hub:
        reserve(args.push_to_hub, private=args.hub_private)


def push_to_hub(args: Any, pipeline: Any, results: dict[str, Any]) -> str | None:
    """Export a trained pipeline with its code and a card to `output_dir/repository`, and publish that.

    Args:
        args: of the run, `PublishingArguments` among them; without --push_to_hub nothing is done.
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

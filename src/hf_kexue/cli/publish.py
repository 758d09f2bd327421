"""`hf-kexue publish`: upload a saved model to the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..inference.saved_models import saved_kind


def publish(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of a saved model, e.g. model_cards/dgcnn-qa-zh.")],
    repo_id: Annotated[str, typer.Argument(metavar="REPOSITORY", help="USER/NAME; created if needed.")],
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch; default: the main one.")] = None,
) -> None:
    """Upload a saved model to the Hub, as one commit.

    The folder is checked first. Needs a token, from `hf auth login` or the variable HF_TOKEN. Prints the URL of the
    commit.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    saved_kind(str(folder))
    from ..hub import publish as publish_folder

    typer.echo(publish_folder(folder, repo_id, private=private, revision=revision))

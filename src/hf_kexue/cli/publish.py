"""`hf-kexue publish`: a saved model onto the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..inference.saved_models import saved_kind


def publish(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of a saved model, e.g. model_cards/dgcnn-qa-zh.")],
    repo_id: Annotated[str, typer.Argument(metavar="REPOSITORY", help="USER/NAME; made if it is not there.")],
    private: Annotated[bool, typer.Option("--private", help="Only its owner sees it.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch; default: the main one.")] = None,
) -> None:
    """Put a saved model onto the Hub, as one commit.

    Everything in the folder is looked through first. Who may write there the Hub knows by the token of `hf auth
    login`, or of the variable HF_TOKEN. Prints the address of the commit.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    saved_kind(str(folder))
    from ..hub import publish as publish_folder

    typer.echo(publish_folder(folder, repo_id, private=private, revision=revision))

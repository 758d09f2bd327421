"""`hf-kexue`: the package from a terminal. Heavy imports happen inside the commands, so that `--help` answers at
once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .check_data import check_data
from .images import generate
from .models import evaluate, info
from .publish import publish
from .texts import ask, extract

app = typer.Typer(
    name="hf-kexue",
    help="The articles of kexue.fm as Hugging Face models.",
    no_args_is_help=True,
    add_completion=False,
)


def demo(
    output: Annotated[Path, typer.Option(help="Folder of the page.")] = Path("demo"),
    repository: Annotated[Path, typer.Option(help="Checkout of hf_kexue.")] = Path("."),
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps of the short training.")] = 150,
) -> None:
    """Try the published models, train a little one, and show all of it on one page."""
    from ..demo.run import run_demo

    page = run_demo(repository.resolve(), output, steps)
    typer.echo(f"Open {page} in a browser.")


for command in (demo, generate, ask, extract, evaluate, info, publish):
    app.command()(command)
app.add_typer(check_data, name="check-data")


def main() -> None:
    """Entry point: a user's mistake ends in one sentence and exit code 2, not in a traceback."""
    try:
        app()
    except Exception as error:
        # The HTTP library differs with the version of huggingface_hub, so that its errors of connections go by name.
        unreachable = any(kind.__name__ == "TransportError" for kind in type(error).__mro__)
        if not unreachable and not isinstance(error, ValueError | OSError | ImportError):
            raise
        typer.echo(f"Error: {'The Hub cannot be reached: ' if unreachable else ''}{error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

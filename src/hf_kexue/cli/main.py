"""`hf-kexue`: the package from a terminal. Heavy imports happen inside the commands, to keep `--help`
fast."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from .check_data import check_data
from .edit import edit
from .export import export_onnx
from .images import generate
from .index import index
from .models import evaluate, info
from .publish import publish
from .serve import serve
from .texts import ask, extract

USER_ERRORS = (ValueError, OSError, ImportError)
# By name, since their libraries are not loaded yet: truncated weights, out of memory, and connection errors, whose
# library depends on the version of huggingface_hub.
USER_ERRORS_BY_NAME = {"SafetensorError": "", "OutOfMemoryError": "", "TransportError": "The Hub cannot be reached: "}

app = typer.Typer(name="hf-kexue", no_args_is_help=True, add_completion=False)


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"hf-kexue {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """The articles of kexue.fm as Hugging Face models."""


def demo(
    output: Annotated[Path, typer.Option(help="Folder of the page.")] = Path("demo"),
    repository: Annotated[Path, typer.Option(help="Checkout of hf_kexue.")] = Path("."),
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps of the short training.")] = 60,
) -> None:
    """Run the published models, train a small one, and show the results on one page."""
    from ..demo.run import run_demo

    page = run_demo(repository.resolve(), output, steps)
    typer.echo(f"Open {page} in a browser.")


for command in (demo, generate, edit, ask, extract, index, serve, evaluate, info, export_onnx, publish):
    app.command()(command)
app.add_typer(check_data, name="check-data")


def main() -> None:
    """Entry point: user errors print one line and exit with code 2, without a traceback."""
    try:
        app()
    except Exception as error:
        names = [kind.__name__ for kind in type(error).__mro__ if kind.__name__ in USER_ERRORS_BY_NAME]
        if not names and not isinstance(error, USER_ERRORS):
            raise
        prefix = USER_ERRORS_BY_NAME[names[0]] if names else ""
        typer.echo(f"Error: {prefix}{' '.join(str(error).split())}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

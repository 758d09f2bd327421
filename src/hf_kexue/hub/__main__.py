"""Complete saved models with the code that their configurations name.

    python -m hf_kexue.hub model_cards/* --output outputs/models     copies of the models, each with its code
    python -m hf_kexue.hub FOLDER...                                 write the code into the folders themselves

Folders that hold no saved model are skipped, with a line on stderr.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .remote_code import is_saved_model, refresh_code
from .repository import build_repository


def main(argv: list[str] | None = None) -> int:
    """Return the exit status: 2 if no folder holds a saved model or one is broken."""
    parser = argparse.ArgumentParser(
        prog="python -m hf_kexue.hub", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="of a saved model")
    parser.add_argument("--output", type=Path, help="folder for the copies; default: the folders themselves")
    arguments = parser.parse_args(argv)
    models = [folder for folder in arguments.folders if is_saved_model(folder)]
    for folder in arguments.folders:
        if folder not in models:
            print(f"{folder} holds no saved model: skipped.", file=sys.stderr)
    try:
        for folder in models:
            if arguments.output is not None:
                print(build_repository(folder, arguments.output / folder.resolve().name))
            else:
                print(*refresh_code(folder), sep="\n")
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0 if models else 2


if __name__ == "__main__":
    sys.exit(main())

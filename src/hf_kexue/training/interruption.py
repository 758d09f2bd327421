"""Ctrl-C in training scripts saves a checkpoint, and user errors end with one line.

    if __name__ == "__main__":
        script_main(main)

Code that imports a script and calls its `main(argv)` gets the exceptions.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

OUT_OF_MEMORY = (
    "Out of memory. Try a smaller --train_batch_size with more --gradient_accumulation_steps (the same global "
    "batch), --mixed_precision bf16, and for images --gradient_checkpointing True or a smaller --resolution, for "
    "texts a smaller --max_characters."
)


class RunStopped(RuntimeError):
    """A run that cannot continue because of its data or its networks, not because of a bug."""


class Interruption:
    """SIGINT handler: the first Ctrl-C in the training loop is recorded, so that the step is finished and saved; a
    second one, or one outside the loop, raises `KeyboardInterrupt`.

    Attributes:
        in_loop: whether a loop is running that checks `requested` after each step.
        requested: whether Ctrl-C was pressed in the loop.
    """

    def __init__(self) -> None:
        self.in_loop = self.requested = False

    def __call__(self, *_: Any) -> None:
        """The handler of SIGINT."""
        if not self.in_loop or self.requested:
            raise KeyboardInterrupt
        self.requested = True
        _print("\nCtrl-C: finishing and saving this step; press again to stop now.", everywhere=False)


interruption = Interruption()


def script_main(main: Callable[[], Any]) -> None:
    """Call the `main` of a script; user errors print one line and exit with code 2, Ctrl-C with code 130.

    Other errors are bugs and keep their traceback.
    """
    previous: Any = None
    if threading.current_thread() is threading.main_thread():
        previous = signal.signal(signal.SIGINT, interruption)
    try:
        main()
    except KeyboardInterrupt as stopped:
        _print(str(stopped) or "Stopped.", everywhere=False)
        sys.exit(130)
    except Exception as error:
        if (message := user_error(error)) is None:
            raise
        _print(f"Error: {message}")
        sys.exit(2)
    finally:
        interruption.in_loop = interruption.requested = False
        if previous is not None:
            signal.signal(signal.SIGINT, previous)


def user_error(error: Exception) -> str | None:
    """One line for an error that the user can fix; None for any other."""
    names = {kind.__name__ for kind in type(error).__mro__}
    text = " ".join(str(error).split())
    if "OutOfMemoryError" in names or "DefaultCPUAllocator" in text:
        return OUT_OF_MEMORY
    if "TransportError" in names:  # its library depends on the version of huggingface_hub
        return f"The Hub cannot be reached: {text}"
    if names & {"ValueError", "OSError", "ImportError", "FloatingPointError", "RunStopped", "StrictDataclassError"}:
        return text
    return None


def _print(message: str, everywhere: bool = True) -> None:
    """Print to standard error, on every process or on the main one of a run alone."""
    if everywhere or os.environ.get("RANK", "0") == "0":
        print(message, file=sys.stderr, flush=True)

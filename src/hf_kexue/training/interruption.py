"""How a training script ends: Ctrl-C saves a checkpoint, and a user's mistake is one line.

    if __name__ == "__main__":
        script_main(main)

Whoever imports a script and calls its `main(argv)` gets the exceptions themselves.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

OUT_OF_MEMORY = (
    "Out of memory. Try a smaller --train_batch_size with more --gradient_accumulation_steps (the same step in "
    "parts), --mixed_precision bf16, and for images --gradient_checkpointing True or a smaller --resolution, for "
    "texts a smaller --max_characters."
)


class RunStopped(RuntimeError):
    """A run that cannot go on because of its data or its networks, not because of a fault in the program."""


class Interruption:
    """Ctrl-C during the training loop is noted, so that the step can be finished and saved; a second one, or one
    outside of the loop, is a `KeyboardInterrupt` at once.

    Attributes:
        in_loop: whether a loop is running that looks at `requested` after each step.
        requested: whether Ctrl-C has been pressed in it.
    """

    def __init__(self) -> None:
        self.in_loop = self.requested = False

    def __call__(self, *_: Any) -> None:
        """The handler of SIGINT."""
        if not self.in_loop or self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("\nCtrl-C: this step is finished and saved; press again to end at once.", file=sys.stderr, flush=True)


interruption = Interruption()


def script_main(main: Callable[[], Any]) -> None:
    """Call the `main` of a script; mistakes end with one line and exit code 2, Ctrl-C with one line and 130.

    Other errors are faults of the program and keep their traceback.
    """
    previous: Any = None
    if threading.current_thread() is threading.main_thread():
        previous = signal.signal(signal.SIGINT, interruption)
    try:
        main()
    except KeyboardInterrupt as stopped:
        _exit(str(stopped) or "Stopped.", 130)
    except Exception as error:
        if (message := mistake(error)) is None:
            raise
        _exit(f"Error: {message}", 2)
    finally:
        interruption.in_loop = interruption.requested = False
        if previous is not None:
            signal.signal(signal.SIGINT, previous)


def mistake(error: Exception) -> str | None:
    """One line about an error that the user can do something about; None for any other."""
    names = {kind.__name__ for kind in type(error).__mro__}
    text = " ".join(str(error).split())
    if "OutOfMemoryError" in names or "DefaultCPUAllocator" in text:
        return OUT_OF_MEMORY
    if "TransportError" in names:  # of the HTTP library, which differs with the version of huggingface_hub
        return f"The Hub cannot be reached: {text}"
    if names & {"ValueError", "OSError", "ImportError", "FloatingPointError", "RunStopped", "StrictDataclassError"}:
        return text
    return None


def _exit(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr, flush=True)
    sys.exit(code)

"""Warnings of diffusers that a configuration holds keys which its class does not use, where that is meant.

A scheduler that was made of another one by `from_config` keeps the keys of that one in its configuration, so that the
way back is open; diffusers warns of them whenever it is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any

from diffusers.utils import logging


@contextmanager
def without_config_warnings(keys: Container[str] | None = None) -> Iterator[None]:
    """Without these warnings.

    Args:
        keys: only where all that is unused is among these; None: all of them.
    """

    def is_kept(record: Any) -> bool:
        unused = re.findall(r"'(\w+)': ", record.getMessage().partition(" were passed to ")[0])
        return not unused or (keys is not None and any(key not in keys for key in unused))

    theirs = logging.get_logger("diffusers.configuration_utils")
    theirs.addFilter(is_kept)
    try:
        yield
    finally:
        theirs.removeFilter(is_kept)

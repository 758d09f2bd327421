"""`register_to_config` of diffusers with the types of what it decorates.

Theirs has none, so that a class whose `__init__` it decorates would be `Any` to editors and type checkers.

The same file lies in every family of diffusers models, because a family travels to the Hub alone; a test keeps the
copies equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from diffusers.configuration_utils import register_to_config

Init = TypeVar("Init", bound=Callable[..., None])


def registered(init: Init) -> Init:
    """An `__init__` whose arguments become the configuration."""
    return register_to_config(init)

"""A small HTTP service for answers, triples and images."""

from __future__ import annotations

from .app import Limits, create_app
from .batching import Batcher, Busy

__all__ = ["Batcher", "Busy", "Limits", "create_app"]

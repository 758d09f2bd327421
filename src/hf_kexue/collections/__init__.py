"""Collections of passages: find those that may answer a question, read them, and vote."""

from __future__ import annotations

from .passage_collection import Found, PassageCollection

__all__ = ["Found", "PassageCollection"]

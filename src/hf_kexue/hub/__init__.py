"""Models as Hub repositories, and their cards."""

from .repository import export_repository, publish

__all__ = ["export_repository", "publish"]

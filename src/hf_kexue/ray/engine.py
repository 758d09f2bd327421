"""Ray Data, imported where it is needed."""

from __future__ import annotations

from typing import Any


def ray_data() -> Any:
    """The module `ray.data`.

    Raises:
        ImportError: where it is not installed, saying what to install.
    """
    try:
        import ray.data
    except ImportError as error:
        raise ImportError(f'Ray Data is not installed: `pip install "hf-kexue[ray]"`. ({error})') from error
    return ray.data


def check_actors(actors: int, cpus: float, gpus: float) -> None:
    """Raise a `ValueError` for a number of actors or a share of a machine that is none."""
    if actors < 1:
        raise ValueError(f"actors must be at least 1, got {actors}.")
    if cpus < 0 or gpus < 0:
        raise ValueError(f"cpus and gpus must be at least 0, got {cpus} and {gpus}.")

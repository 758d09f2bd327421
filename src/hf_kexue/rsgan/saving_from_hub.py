"""What a model refuses to save because it would not load again: pickled weights, and adapters beside the weights.

The same file lies in every family of diffusers models, because a family travels to the Hub alone; a test keeps the
copies equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def check_saving(components: Mapping[str, Any], safe_serialization: bool) -> None:
    """Refuse weights that `from_pretrained` would not take back.

    Args:
        components: by name; those that are no networks are passed over.
        safe_serialization: as `save_pretrained` was asked.

    Raises:
        ValueError: for `safe_serialization=False`, or a network with adapters (peft's layers, which hold the weights
            as `base_layer`).
    """
    if not safe_serialization:
        raise ValueError("safe_serialization=False would write pickled weights, which do not load: leave it out.")
    for name, network in components.items():
        if isinstance(network, nn.Module) and any(hasattr(module, "base_layer") for module in network.modules()):
            raise ValueError(
                f"{name} has adapters, whose weights would be saved under names that do not load. Merge them first "
                "(merge_and_unload of peft), or save the adapter itself with get_peft_model_state_dict."
            )

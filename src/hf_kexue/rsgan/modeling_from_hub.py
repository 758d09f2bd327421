"""Loading and saving a network strictly: complete, in safetensors, with a configuration that it knows.

The same file lies in every family of diffusers models, because a family travels to the Hub alone; a test keeps the
copies equal.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Self

from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.import_utils import is_accelerate_available

from .saving_from_hub import check_saving
from .strict_loading import check_loaded, clear_errors, refuse_unknown_fields, safetensors_only


def without_accelerate(options: dict[str, Any]) -> dict[str, Any]:
    """Options of `from_pretrained` that ask for nothing that needs accelerate where it is not installed; diffusers
    would ask for it by default, and warn each time."""
    return options if is_accelerate_available() else {"low_cpu_mem_usage": False, **options}


class ModelFromHub(ModelMixin):
    """What the networks of the family have in common."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """As everywhere in diffusers, from safetensors alone, and all of it or nothing.

        Args:
            pretrained_model_name_or_path: folder, or repository id of the Hub; `subfolder` names a pipeline's part.
            **kwargs: of `ModelMixin.from_pretrained`. With `ignore_mismatched_sizes` it may be a part.

        Raises:
            ValueError: for weights that are damaged, missing, too many or of another shape, and for unknown fields.
            OSError: where there are no weights in safetensors.
        """
        with_info = kwargs.pop("output_loading_info", False)
        options = without_accelerate(safetensors_only(kwargs))
        with clear_errors(pretrained_model_name_or_path):
            model, info = super().from_pretrained(pretrained_model_name_or_path, output_loading_info=True, **options)
        if not kwargs.get("ignore_mismatched_sizes"):
            check_loaded(pretrained_model_name_or_path, info)
        loaded: Any = (model, info) if with_info else model
        return loaded

    def save_pretrained(
        self,
        save_directory: Any,
        is_main_process: bool = True,
        save_function: Any = None,
        safe_serialization: bool = True,
        variant: str | None = None,
        max_shard_size: int | str = "10GB",
        **kwargs: Any,
    ) -> None:
        """As everywhere in diffusers, in safetensors alone. A pipeline hands on only the arguments named here.

        Raises:
            ValueError: for `safe_serialization=False`, or adapters that are not merged into the weights.
        """
        check_saving({type(self).__name__: self}, safe_serialization)
        super().save_pretrained(
            save_directory, is_main_process, save_function, True, variant, max_shard_size, **kwargs
        )

    @classmethod
    def extract_init_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As everywhere in diffusers, but unknown entries of a configuration are refused."""
        known = inspect.signature(cls.__init__).parameters.keys() - {"self"}
        refuse_unknown_fields(cls.__name__, config_dict, {*known, "quantization_config"})
        return super().extract_init_dict(config_dict, **kwargs)

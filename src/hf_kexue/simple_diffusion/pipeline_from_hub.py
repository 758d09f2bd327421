"""Loading a pipeline from a folder or a repository id, strictly.

diffusers itself cannot take a pipeline with components from outside of it from a repository id: it looks for them in
its own modules before anything is downloaded. So the repository is brought here first and loaded as a folder.

The same file lies in every family of pipelines, because a family travels to the Hub alone; a test keeps them equal.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, ClassVar, Self

from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError

from .modeling_from_hub import without_accelerate
from .saving_from_hub import check_saving
from .strict_loading import refuse_unknown_fields, safetensors_only

PATTERNS = ["*.json", "*.safetensors"]  # no code, no pickles, no pictures
ABSENT = ([None, None], (None, None))  # a part in model_index.json, as read and as registered
DOWNLOADING = ("cache_dir", "force_download", "local_files_only", "revision", "token")


class PipelineFromHub(DiffusionPipeline):
    """What the pipelines of the package have in common."""

    _own_classes: ClassVar[tuple[type, ...]] = ()  # components that a model_index.json may name by file

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Load from a folder or a repository id of the Hub.

        Args:
            pretrained_model_name_or_path: folder, or `"user/name"`.
            **kwargs: of `DiffusionPipeline.from_pretrained`; `revision`, `token`, `cache_dir`, `force_download` and
                `local_files_only` decide what is downloaded. Without a network, a repository that was loaded before
                comes from the cache.

        Raises:
            ValueError: for a name that can be neither, pickled, damaged or foreign weights, an unknown field.
            OSError: where there is no such repository, or no weights in it.
        """
        options = without_accelerate(safetensors_only(kwargs))
        download = {key: options.pop(key) for key in DOWNLOADING if key in options}
        folder = Path(pretrained_model_name_or_path)
        if not folder.is_dir():
            try:
                found = snapshot_download(str(pretrained_model_name_or_path), allow_patterns=PATTERNS, **download)
            except HFValidationError as error:
                raise ValueError(
                    f"{pretrained_model_name_or_path} is neither a folder nor the id of a repository (user/name)."
                ) from error
            folder = Path(found)
        if not (folder / cls.config_name).is_file():
            raise OSError(
                f"{pretrained_model_name_or_path} holds no {cls.config_name}: it is no pipeline of diffusers."
            )
        return super().from_pretrained(str(folder), **options)

    def save_pretrained(self, save_directory: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """As everywhere in diffusers, in safetensors alone.

        Raises:
            ValueError: for `safe_serialization=False`, or adapters that are not merged into the weights; nothing is
                written then.
        """
        check_saving(self.components, safe_serialization)
        super().save_pretrained(save_directory, safe_serialization=True, **kwargs)

    @classmethod
    def load_config(cls, *args: Any, **kwargs: Any) -> Any:
        """The model_index.json, with the classes of this family where it names them by a file of the repository."""
        loaded = super().load_config(*args, **kwargs)
        config = loaded[0] if isinstance(loaded, tuple) else loaded
        own = {owned.__name__: owned.__module__ for owned in cls._own_classes}
        for key, value in config.items():
            if isinstance(value, list) and len(value) == 2 and value[1] in own:
                config[key] = [own[value[1]], value[1]]
        if isinstance(config.get("_class_name"), list):
            config["_class_name"] = config["_class_name"][1]
        return loaded

    @classmethod
    def extract_init_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As everywhere in diffusers, but unknown entries of a model_index.json are refused, unless they name a part
        that is absent, which a pipeline of the same family may have."""
        known = inspect.signature(cls.__init__).parameters.keys() - {"self"}
        given = {key: value for key, value in config_dict.items() if key in known or value not in ABSENT}
        saved = config_dict.get("_class_name", cls.__name__)
        whose = cls.__name__ if saved == cls.__name__ else f"{cls.__name__}, for a {saved}"
        refuse_unknown_fields(f"{whose} ({cls.config_name})", given, known)
        for part in cls._get_signature_keys(cls)[0]:
            names = given.get(part, ABSENT[0])
            named = isinstance(names, list | tuple) and len(names) == 2 and all(isinstance(one, str) for one in names)
            if not named and names not in ABSENT:
                raise ValueError(f"{part} of {whose} ({cls.config_name}) must be a module and a class, got {names!r}.")
        return super().extract_init_dict(given, **kwargs)

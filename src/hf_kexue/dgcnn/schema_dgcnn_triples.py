"""Types of the subjects of a triple schema, which decide how many columns the model has."""

from typing import Any


def subject_types(config: Any) -> list[str]:
    """The subject types that are tagged apart, in the order of the schema; [""] where they are not.

    Args:
        config: with the fields `typed_subjects` and `triple_schema` of `DGCNNConfig`.
    """
    if not config.typed_subjects:
        return [""]
    return list(dict.fromkeys(name for entry in config.triple_schema or [] for name in entry["subject_types"])) or [""]

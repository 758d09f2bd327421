"""Configs of other schedulers as arguments of `ShiftedFlowScheduler`.

Sources: the flow schedulers of diffusers 0.42.1.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from .checks_simple_diffusion import require, require_positive

# Options of flow classes that bend the path or decide its shift at each call.
REFUSED = {
    "use_dynamic_shifting": "its shift is decided at each call (`mu`)",
    "invert_sigmas": "its sigmas ascend",
    "shift_terminal": "its sigmas are stretched to end at another value",
}
# Recomputed, or of the other kind of schedule; diffusers would leave out every key that the last one names.
STALE = ("shift", "flow_shift", "use_flow_sigmas", "trained_betas", "_use_default_values")


def flow_arguments(config: dict[str, Any], overridden: Collection[str] = ()) -> dict[str, Any]:
    """A config with `sample_size`, `base_size`, `prediction_type` and `network_prediction_type` of the flow.

    Args:
        config: of `ShiftedFlowScheduler`, of a flow class of diffusers, or of `ShiftedCosineScheduler`.
        overridden: arguments that are given beside the config; with sizes among them the config's shift is stale.

    Raises:
        ValueError: see `ShiftedFlowScheduler.from_config`.
    """
    for key, reason in REFUSED.items():
        require(not config.get(key), f"{key} is {config.get(key)!r}: {reason}, so that no fixed shift can be read.")
    found = {key: value for key, value in config.items() if key not in STALE}
    shift = flow_shift_of(config)
    if shift is None:
        name = config.get("_class_name")
        sized = "sample_size" in config or {"sample_size", "base_size"} & set(overridden)
        require(bool(sized), f"The config of {name} has neither a shift nor sizes: nothing to shift by.")
        if kind := config.get("prediction_type"):
            found["network_prediction_type"] = kind
        found["prediction_type"] = "flow_prediction"
    elif not {"sample_size", "base_size"} & set(overridden):
        size, base = config.get("sample_size"), config.get("base_size")
        if size is None or base is None:
            found["base_size"] = base = base or 64
            found["sample_size"] = shift * base
        else:
            agrees = math.isclose(size / base, shift, rel_tol=1e-6)
            require(agrees, f"shift is {shift}, but sample_size / base_size is {size} / {base}.")
    pair = found.get("base_size")
    if isinstance(pair, list | tuple) and "base_size" not in overridden:
        require(len(set(pair)) == 1, f"base_size is {pair}; the shift of flow matching takes one size.")
        found["base_size"] = pair[0]
    for key in ("prediction_type", "network_prediction_type"):
        if key in overridden:
            found.pop(key, None)
    return found


def flow_shift_of(config: dict[str, Any]) -> float | None:
    """The factor that a config of a flow class holds, None for other configs.

    Raises:
        ValueError: if it is not positive, or `shift` and `flow_shift` differ.
    """
    given = [config[key] for key in ("shift", "flow_shift") if config.get(key) is not None]
    if "shift" not in config and not config.get("use_flow_sigmas"):
        return None
    require(bool(given), "The config has neither shift nor flow_shift.")
    require_positive("shift", *given)
    require(len(set(given)) == 1 or "shift" not in config, f"shift and flow_shift differ: {given}.")
    return float(given[0])


def variance_preserving_arguments(config: dict[str, Any]) -> dict[str, Any]:
    """A config without what belongs to the flow: with the prediction of the network, for `ShiftedCosineScheduler`.

    Configs of other schedules stay as they are.
    """
    if flow_shift_of(config) is None:
        return config
    found = {key: value for key, value in config.items() if key not in STALE}
    kind = found.pop("network_prediction_type", config.get("prediction_type"))
    return found | {"prediction_type": kind}

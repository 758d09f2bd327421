"""Which dtype "auto" is: bfloat16 where a device multiplies matrices faster in it, else float32."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch


def default_device() -> str:
    """A CUDA GPU if there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def chosen_dtype(dtype: str | None, device: str | None = None) -> str | None:
    """`dtype` with "auto" resolved: by what the device has, not by a clock, so that a machine always gives the same.

    Args:
        dtype: a name of torch, "auto", or None.
        device: None: `default_device`.
    """
    if dtype != "auto":
        return dtype
    kind = torch.device(device or default_device()).type
    fast = {"cpu": has_bf16_units, "cuda": torch.cuda.is_bf16_supported}
    return "bfloat16" if kind in fast and fast[kind]() else "float32"


def has_bf16_units() -> bool:
    """Whether this processor has instructions for products in bf16; a family, which imports nothing of this package,
    asks the same."""
    if platform.machine() in ("x86_64", "AMD64"):  # oneDNN also takes bf16 where AVX-512 alone has to imitate it
        return bool(torch.cpu._is_avx512_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def dtype_argument(library: str) -> str:
    """What `from_pretrained` of "transformers" or "diffusers" calls the dtype of the weights.

    In diffusers it was `torch_dtype` before 0.40, which warns of that name since.
    """
    if library != "diffusers":
        return "dtype"
    major, minor = (int(part) for part in version("diffusers").split(".")[:2])
    return "dtype" if (major, minor) >= (0, 40) else "torch_dtype"
